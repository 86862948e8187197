//! Which sequence numbers of an author are held, and whether two messages share one.

use crate::ranges::Ranges;

/// An author's sequence numbers as ranges. Kept without one entry a message, for a chain without gaps is one range.
///
/// Cloning is cheap, and so is a change after it: most of many ranges stay shared.
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
/// # let ana = Keypair::from_seed([1; 32]);
/// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
/// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
/// let (_, said) = room.say(&ana, &clock, vec![(kind::TEXT, b"one".to_vec()), (kind::TEXT, b"two".to_vec())]);
/// said?;
/// let log = &room.authors()[&ana.author()];
/// assert_eq!((log.ranges().next(), log.count(), log.is_forked()), (Some((0, 1)), 2, false));
/// # Ok::<(), distchat_crdt::DecodeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct AuthorLog {
    ranges: Held,
    /// Two messages with one sequence number are held: the identity was written from two places.
    forked: bool,
    /// How many messages are held.
    count: u64,
}

/// Inclusive ranges, ascending, neither overlapping nor touching.
#[derive(Clone, Debug)]
enum Held {
    /// As of nearly every author.
    One(Option<(u64, u64)>),
    Many(Ranges),
}

impl Default for Held {
    fn default() -> Self {
        Self::One(None)
    }
}

impl PartialEq for AuthorLog {
    fn eq(&self, other: &Self) -> bool {
        (self.forked, self.count, self.range_count()) == (other.forked, other.count, other.range_count())
            && self.ranges().eq(other.ranges())
    }
}

impl Eq for AuthorLog {}

impl AuthorLog {
    /// Restores a log from its parts; `None` if the ranges are not as they must be.
    ///
    /// ```
    /// use distchat_crdt::AuthorLog;
    ///
    /// let log = AuthorLog::from_parts(vec![(0, 4), (6, 9)], false, 9);
    /// assert!(log.is_some_and(|log| log.count() == 9));
    /// assert_eq!(AuthorLog::from_parts(vec![(0, 4), (5, 9)], false, 10), None, "these touch, so they are one range");
    /// ```
    pub fn from_parts(ranges: Vec<(u64, u64)>, forked: bool, count: u64) -> Option<Self> {
        let ordered = ranges.iter().all(|(low, high)| low <= high)
            && ranges.windows(2).all(|pair| pair[0].1.checked_add(1).is_some_and(|next| next < pair[1].0));
        let ranges = match &ranges[..] {
            [] => Held::One(None),
            [one] => Held::One(Some(*one)),
            many => Held::Many(Ranges::new(many)),
        };
        ordered.then_some(Self { ranges, forked, count })
    }

    /// Inclusive ranges of the sequence numbers held, ascending, neither overlapping nor touching.
    ///
    /// ```
    /// # use distchat_crdt::{Draft, Keypair, Room, RoomId, Signer, Timestamp, Zip215};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), std::sync::Arc::new(Zip215::new([9; 32])));
    /// # let draft = |seq, prev| Draft {
    /// #     room: RoomId([7; 32]), seq, time: Timestamp(1 + seq), prev, seen: Vec::new(), kind: 0, body: Vec::new(),
    /// # };
    /// let zero = draft(0, None).sign(&ana)?;
    /// let one = draft(1, Some(zero.key())).sign(&ana)?;
    /// let two = draft(2, Some(one.key())).sign(&ana)?;
    /// room.merge(vec![zero, two]);
    /// assert!(room.authors()[&ana.author()].ranges().eq([(0, 0), (2, 2)]));
    /// room.merge(vec![one]);
    /// assert!(room.authors()[&ana.author()].ranges().eq([(0, 2)]));
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let (one, many) = match &self.ranges {
            Held::One(one) => (*one, None),
            Held::Many(many) => (None, Some(many.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// How many ranges these are. A chain without gaps is one.
    ///
    /// ```
    /// use distchat_crdt::AuthorLog;
    ///
    /// let log = AuthorLog::from_parts(vec![(0, 4), (6, 9)], false, 9);
    /// assert_eq!(log.map(|log| log.range_count()), Some(2));
    /// ```
    pub fn range_count(&self) -> usize {
        match &self.ranges {
            Held::One(one) => usize::from(one.is_some()),
            Held::Many(many) => many.len(),
        }
    }

    /// Whether two messages with one sequence number are held.
    ///
    /// ```
    /// # use distchat_crdt::{Draft, Keypair, Room, RoomId, Signer, Timestamp, Zip215, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), std::sync::Arc::new(Zip215::new([9; 32])));
    /// # let first = |body: &[u8]| Draft {
    /// #     room: RoomId([7; 32]), seq: 0, time: Timestamp(1), prev: None, seen: Vec::new(), kind: 0, body: body.to_vec(),
    /// # };
    /// // One key on two machines, neither of which knows of the other.
    /// room.merge(vec![first(b"from the laptop").sign(&ana)?, first(b"from the desk").sign(&ana)?]);
    /// assert!(room.authors()[&ana.author()].is_forked());
    /// assert_eq!(room.index().len(), 2, "both are kept");
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn is_forked(&self) -> bool {
        self.forked
    }

    /// How many messages are held.
    ///
    /// ```
    /// use distchat_crdt::AuthorLog;
    ///
    /// // Three messages, two of which share a sequence number.
    /// let forked = AuthorLog::from_parts(vec![(0, 1)], true, 3);
    /// assert_eq!(forked.map(|log| log.count()), Some(3));
    /// ```
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Takes in a message's sequence number, which is below [`crate::SEQ_LIMIT`].
    pub(crate) fn insert(&mut self, seq: u64) {
        self.count += 1;
        let one = match &mut self.ranges {
            Held::One(one) => one,
            Held::Many(many) => {
                self.forked |= many.insert(seq);
                return;
            }
        };
        match one {
            None => *one = Some((seq, seq)),
            Some((low, high)) if (*low..=*high).contains(&seq) => self.forked = true,
            Some((_, high)) if seq == *high + 1 => *high = seq,
            Some((low, _)) if seq + 1 == *low => *low = seq,
            Some(one) => {
                let both = [(*one).min((seq, seq)), (*one).max((seq, seq))];
                self.ranges = Held::Many(Ranges::new(&both));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn any_order_gives_the_same_log(mut seqs in prop::collection::vec(0..40_u64, 0..60)) {
            let log = |seqs: &[u64]| seqs.iter().fold(AuthorLog::default(), |mut log, seq| { log.insert(*seq); log });
            let first = log(&seqs);
            let held: BTreeSet<u64> = seqs.iter().copied().collect();
            let listed: BTreeSet<u64> = first.ranges().flat_map(|(low, high)| low..=high).collect();
            prop_assert_eq!(&listed, &held);
            prop_assert_eq!(first.is_forked(), held.len() < seqs.len());
            prop_assert_eq!(first.count(), seqs.len() as u64);
            let parts = AuthorLog::from_parts(first.ranges().collect(), first.is_forked(), first.count());
            prop_assert_eq!(parts, Some(first.clone()));
            seqs.reverse();
            prop_assert_eq!(log(&seqs), first);
        }
    }
}

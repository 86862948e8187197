//! Clocks are advice: what time it is, judged from the own clock and those of the peers.
//!
//! None of this decides whether a message is valid. It decides what time the next own message bears, and which messages
//! of others are *future-dated*: kept and passed on, but not followed, so that nobody can drag a room's clock along.
//!
//! ```
//! # use std::sync::Arc;
//! # use distchat_crdt::{Draft, Keypair, Room, RoomId, Signer, Timestamp, Zip215, clock::{Clocks, Now}, kind};
//! # let (ana, bob) = (Keypair::from_seed([1; 32]), Keypair::from_seed([2; 32]));
//! # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
//! # let draft = |time| Draft {
//! #     room: RoomId([7; 32]), seq: 0, time, prev: None, seen: Vec::new(), kind: kind::TEXT, body: Vec::new(),
//! # };
//! let now_ms = 1_790_000_000_000;
//! let next_year = Timestamp::from_millis(now_ms + 365 * 24 * 3_600_000);
//! room.merge(vec![draft(next_year).sign(&bob)?]);
//! assert_eq!(room.index().len(), 1, "bob's message is kept");
//!
//! let clock = Clocks::default().read(Now { wall_ms: now_ms, ..Now::default() });
//! assert!(next_year > clock.horizon);
//! let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
//! assert_eq!(message.time().millis(), now_ms, "and does not drag ana along");
//! # Ok::<(), distchat_crdt::DecodeError>(())
//! ```

use std::{collections::BTreeMap, time::Duration};

use crate::{Timestamp, plant::Bug, sync::Peer};

/// How far ahead of the clock a message may be dated, in milliseconds.
pub const FUTURE_LIMIT_MS: u64 = 2 * 60 * 1000;
/// How much less far ahead a message of others may be dated to be followed, and one of the own author, in milliseconds.
///
/// The next own message is dated behind all that is followed. Were everything up to the limit followed, a stranger's
/// message dated at the very limit would push it beyond, and the one after that would not follow it: a branch. So there
/// is a second for what others write, of which half is left for what follows it here.
const OTHERS_MARGIN_MS: u64 = 1000;
const OWN_MARGIN_MS: u64 = 500;
/// A clock that is off by more than this, in milliseconds, is worth telling its user.
pub const CLOCK_OFF_MS: u64 = 30 * 1000;
/// With so many peers the median of all clocks is trusted.
const QUORUM: usize = 3;

/// The time when something happens, as the driver tells it.
///
/// ```
/// use distchat_crdt::clock::Now;
/// use std::time::{Duration, Instant, SystemTime};
///
/// let start = Instant::now();
/// // As a driver fills it in whenever something happens:
/// let since_1970 = SystemTime::UNIX_EPOCH.elapsed()?;
/// let now = Now { mono: start.elapsed(), wall_ms: since_1970.as_millis().try_into()? };
/// assert!(now.mono < Duration::from_secs(3600) && now.wall_ms > 1_700_000_000_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Time since some fixed moment, from a clock that never jumps.
    pub mono: Duration,
    /// The system's clock: milliseconds since 1970, right or wrong.
    pub wall_ms: u64,
}

/// What a node makes of its own clock and its peers'.
///
/// ```
/// use distchat_crdt::{Timestamp, clock::{Clocks, FUTURE_LIMIT_MS, Now}};
///
/// let clock = Clocks::default().read(Now { wall_ms: 1_790_000_000_000, ..Now::default() });
/// assert_eq!(clock.stamp_ms, 1_790_000_000_000);
/// assert_eq!(clock.horizon, Timestamp::end_of_millis(1_790_000_000_000 + FUTURE_LIMIT_MS));
/// assert!(clock.follow < clock.follow_own && clock.follow_own < clock.horizon);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// What to stamp messages with, in milliseconds since 1970.
    pub stamp_ms: u64,
    /// Messages beyond this are future-dated.
    pub horizon: Timestamp,
    /// Messages of others beyond this are not followed. Below the horizon.
    pub follow: Timestamp,
    /// Messages of the own author beyond this are not followed. A little later, but below the horizon, too.
    pub follow_own: Timestamp,
    /// How far the own clock is ahead of what it should be, in milliseconds, if that is worth telling.
    pub off_ms: Option<i64>,
}

/// The peers' clocks, as offsets to this node's monotonic clock, so that they tick on when the own clock is set.
///
/// ```
/// use distchat_crdt::{clock::{Clocks, Now}, sync::Peer};
///
/// // The own clock is an hour fast, and three peers agree on another time.
/// let now = Now { wall_ms: 1_790_003_600_000, ..Now::default() };
/// let mut clocks = Clocks::default();
/// for peer in [b"bob", b"cat", b"dan"] {
///     clocks.heard(now, &Peer::new(peer), 1_790_000_000_000);
/// }
/// let clock = clocks.read(now);
/// assert_eq!((clock.stamp_ms, clock.off_ms), (1_790_000_000_000, Some(3_600_000)));
/// ```
#[derive(Debug, Default)]
pub struct Clocks {
    offsets_ms: BTreeMap<Peer, i64>,
}

impl Clocks {
    /// A peer told its clock.
    ///
    /// ```
    /// use distchat_crdt::{clock::{Clocks, Now}, sync::Peer};
    ///
    /// let (now, bob) = (Now { wall_ms: 10_000, ..Now::default() }, Peer::new(b"bob"));
    /// let mut clocks = Clocks::default();
    /// clocks.heard(now, &bob, 10_250);
    /// assert_eq!(clocks.offset_ms(now, &bob), Some(250));
    /// // What it told last counts.
    /// clocks.heard(now, &bob, 9_000);
    /// assert_eq!(clocks.offset_ms(now, &bob), Some(-1_000));
    /// ```
    pub fn heard(&mut self, now: Now, peer: &Peer, clock_ms: u64) {
        // A clock beyond what a message's time can bear says nothing.
        let clock_ms = clock_ms.min(Timestamp::MAX.millis());
        let offset = i64::try_from(clock_ms).unwrap_or(i64::MAX) - mono_ms(now);
        self.offsets_ms.insert(peer.clone(), offset);
    }

    /// A peer is gone.
    ///
    /// ```
    /// use distchat_crdt::{clock::{Clocks, Now}, sync::Peer};
    ///
    /// let (now, bob) = (Now { wall_ms: 10_000, ..Now::default() }, Peer::new(b"bob"));
    /// let mut clocks = Clocks::default();
    /// clocks.heard(now, &bob, 2_000);
    /// assert_eq!(clocks.read(now).stamp_ms, 2_000);
    /// clocks.forget(&bob);
    /// assert_eq!(clocks.read(now).stamp_ms, 10_000);
    /// ```
    pub fn forget(&mut self, peer: &Peer) {
        self.offsets_ms.remove(peer);
    }

    /// How far the peer's clock is ahead of the own, in milliseconds.
    ///
    /// ```
    /// use distchat_crdt::{clock::{Clocks, Now}, sync::Peer};
    /// use std::time::Duration;
    ///
    /// let mut clocks = Clocks::default();
    /// clocks.heard(Now { mono: Duration::from_secs(1), wall_ms: 10_000 }, &Peer::new(b"bob"), 10_000);
    /// // Five seconds later, the system's clock has been set back by two.
    /// let later = Now { mono: Duration::from_secs(6), wall_ms: 13_000 };
    /// assert_eq!(clocks.offset_ms(later, &Peer::new(b"bob")), Some(2_000));
    /// assert_eq!(clocks.offset_ms(later, &Peer::new(b"somebody else")), None);
    /// ```
    pub fn offset_ms(&self, now: Now, peer: &Peer) -> Option<i64> {
        let clock = self.offsets_ms.get(peer)?.saturating_add(mono_ms(now));
        Some(clock - i64::try_from(now.wall_ms).unwrap_or(i64::MAX))
    }

    /// What to make of it all.
    ///
    /// With three peers or more, the time is the median of the own clock and theirs: a minority of wrong clocks does not
    /// matter, nor do as many wrong ones as right ones to those who are right. With fewer nobody can tell who is wrong: then messages are stamped with the earliest clock and judged by
    /// the latest, so that two nodes a year apart talk in order and neither folds the other away, and nothing beyond
    /// the own clock is followed.
    ///
    /// ```
    /// use distchat_crdt::{Timestamp, clock::{Clocks, FUTURE_LIMIT_MS, Now}, sync::Peer};
    ///
    /// // Two nodes a year apart: nobody can tell which is wrong.
    /// let (year, now) = (365 * 24 * 3_600_000, Now { wall_ms: 1_790_000_000_000, ..Now::default() });
    /// let mut clocks = Clocks::default();
    /// clocks.heard(now, &Peer::new(b"bob"), now.wall_ms - year);
    /// let clock = clocks.read(now);
    /// assert_eq!(clock.stamp_ms, now.wall_ms - year, "stamped with the earliest");
    /// assert_eq!(clock.horizon, Timestamp::end_of_millis(now.wall_ms + FUTURE_LIMIT_MS), "judged by the latest");
    /// ```
    pub fn read(&self, now: Now) -> Clock {
        let own = now.wall_ms.min(Timestamp::MAX.millis());
        let mono = mono_ms(now);
        let mut clocks: Vec<u64> =
            self.offsets_ms.values().map(|offset| u64::try_from(offset.saturating_add(mono)).unwrap_or(0)).collect();
        let peers = clocks.len();
        clocks.push(own);
        clocks.sort_unstable();
        let (earliest, latest) = (clocks.first().copied().unwrap_or(own), clocks.last().copied().unwrap_or(own));

        let (stamp, judge, follow, reference) = if peers >= QUORUM {
            let median = median(&clocks, own);
            (median, median, median, median)
        } else {
            let farthest = if latest - own > own - earliest { latest } else { earliest };
            (earliest, latest, own, farthest)
        };
        let follow = if Bug::FollowsFuture.is_planted() { Timestamp::MAX.millis() } else { follow };
        let limit = |margin| Timestamp::end_of_millis(follow.saturating_add(FUTURE_LIMIT_MS - margin));
        let off = i64::try_from(own).unwrap_or(i64::MAX) - i64::try_from(reference).unwrap_or(i64::MAX);
        Clock {
            stamp_ms: stamp,
            horizon: Timestamp::end_of_millis(judge.saturating_add(FUTURE_LIMIT_MS)),
            follow: limit(OTHERS_MARGIN_MS),
            follow_own: limit(OWN_MARGIN_MS),
            off_ms: (off.unsigned_abs() > CLOCK_OFF_MS).then_some(off),
        }
    }
}

/// The median of some clocks in their order. Of two in the middle it is the one nearer to the own clock: whoever is right
/// then is not outvoted by as many who are wrong.
fn median(clocks: &[u64], own: u64) -> u64 {
    let at = |place: usize| clocks.get(place).copied().unwrap_or(own);
    let (lower, upper) = (at(clocks.len().saturating_sub(1) / 2), at(clocks.len() / 2));
    if upper.abs_diff(own) < lower.abs_diff(own) { upper } else { lower }
}

fn mono_ms(now: Now) -> i64 {
    i64::try_from(now.mono.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: u64 = 365 * 24 * 3600 * 1000;
    const NOW: u64 = 1_800_000_000_000;

    /// Reads a node's clock, with its own and its peers' clocks given relative to the true time.
    fn read(own: i64, peers: &[i64]) -> Clock {
        let now = Now { mono: Duration::from_secs(77), wall_ms: NOW.saturating_add_signed(own) };
        let mut clocks = Clocks::default();
        for (n, offset) in peers.iter().enumerate() {
            clocks.heard(now, &Peer::new(&[n as u8]), NOW.saturating_add_signed(*offset));
        }
        clocks.read(now)
    }

    #[test]
    fn alone_the_own_clock_is_the_time() {
        let clock = read(0, &[]);
        assert_eq!((clock.stamp_ms, clock.off_ms), (NOW, None));
        assert_eq!(clock.horizon, Timestamp::end_of_millis(NOW + FUTURE_LIMIT_MS));
        assert!(clock.follow < clock.follow_own && clock.follow_own < clock.horizon);
    }

    #[test]
    fn two_a_year_apart_stamp_with_the_earlier_and_judge_by_the_later() {
        let year = YEAR as i64;
        for (own, other) in [(0, year), (year, 0)] {
            let clock = read(own, &[other]);
            assert_eq!(clock.stamp_ms, NOW);
            assert_eq!(clock.horizon, Timestamp::end_of_millis(NOW + YEAR + FUTURE_LIMIT_MS));
            let limit = NOW.saturating_add_signed(own) + FUTURE_LIMIT_MS - OTHERS_MARGIN_MS;
            assert_eq!(clock.follow, Timestamp::end_of_millis(limit));
            assert_eq!(clock.off_ms, Some(own - other), "both are told");
        }
    }

    #[test]
    fn among_many_the_median_is_the_time() {
        let year = YEAR as i64;
        let right = read(5, &[0, 10, year]);
        assert_eq!((right.stamp_ms, right.off_ms), (NOW + 5, None));
        let wrong = read(year, &[0, 5, 10]);
        assert_eq!((wrong.stamp_ms, wrong.off_ms), (NOW + 10, Some(year - 10)));
        assert_eq!(wrong.horizon, Timestamp::end_of_millis(NOW + 10 + FUTURE_LIMIT_MS));
        assert_eq!(read(-year, &[0, 5, 10]).stamp_ms, NOW);
    }

    #[test]
    fn as_many_wrong_ones_as_right_ones_do_not_outvote_who_is_right() {
        let year = YEAR as i64;
        for wrong in [[-year, -year], [year, year], [-year, year], [-year, 50 * year]] {
            let clock = read(5, &[0, wrong[0], wrong[1]]);
            assert!((NOW..=NOW + 5).contains(&clock.stamp_ms), "{wrong:?}: {}", clock.stamp_ms as i64 - NOW as i64);
            assert_eq!(clock.off_ms, None);
        }
        // Three against two do.
        assert_eq!(read(5, &[0, year, year, year]).stamp_ms, NOW + YEAR);
    }

    #[test]
    fn a_peers_clock_ticks_on_when_the_own_is_set() {
        let peer = Peer::new(b"p");
        let mut clocks = Clocks::default();
        clocks.heard(Now { mono: Duration::from_secs(10), wall_ms: NOW }, &peer, NOW + 1000);
        let set_back = Now { mono: Duration::from_secs(15), wall_ms: NOW - YEAR };
        assert_eq!(clocks.offset_ms(set_back, &peer), Some(YEAR as i64 + 6000));
    }

    #[test]
    fn absurd_clocks_do_no_harm() {
        let mut clocks = Clocks::default();
        for (n, clock) in [0, u64::MAX].into_iter().enumerate() {
            clocks.heard(Now::default(), &Peer::new(&[n as u8]), clock);
            clocks.read(Now { mono: Duration::MAX, wall_ms: u64::MAX });
            clocks.read(Now { mono: Duration::ZERO, wall_ms: 0 });
        }
    }
}

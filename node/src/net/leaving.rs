//! Answers that have been handed to a connection and not been taken yet.
//!
//! What is written to a peer that does not read stays in memory until it does, or until its connection ends.

use std::collections::{BTreeMap, btree_map::Entry};

use libp2p::PeerId;

/// How many bytes of answers may be on their way: to one peer, and to all together. A peer that catches up has six pages of
/// a mebibyte on their way to it.
const MAX_LEAVING: u64 = 8 * 1024 * 1024;
const MAX_LEAVING_TO_ALL: u64 = 64 * 1024 * 1024;

/// The answers, by the ids of their requests.
#[derive(Debug)]
pub(super) struct Leaving<Id> {
    answers: BTreeMap<Id, (PeerId, u64)>,
    of: BTreeMap<PeerId, u64>,
    all: u64,
}

impl<Id> Default for Leaving<Id> {
    fn default() -> Self {
        Self { answers: BTreeMap::new(), of: BTreeMap::new(), all: 0 }
    }
}

impl<Id: Ord> Leaving<Id> {
    /// Notes an answer. False if there is no room for it.
    pub(super) fn add(&mut self, id: Id, peer: PeerId, bytes: u64) -> bool {
        let of = self.of.get(&peer).copied().unwrap_or(0);
        if of + bytes > MAX_LEAVING || self.all + bytes > MAX_LEAVING_TO_ALL {
            return false;
        }
        self.answers.insert(id, (peer, bytes));
        self.of.insert(peer, of + bytes);
        self.all += bytes;
        true
    }

    /// An answer has been taken, or never will be. Whose it was, and how long.
    pub(super) fn gone(&mut self, id: &Id) -> Option<(PeerId, u64)> {
        let (peer, bytes) = self.answers.remove(id)?;
        self.all -= bytes;
        if let Entry::Occupied(mut of) = self.of.entry(peer) {
            *of.get_mut() -= bytes;
            if *of.get() == 0 {
                of.remove();
            }
        }
        Some((peer, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_read_leaves_room_for_others() {
        let mut leaving = Leaving::default();
        let (deaf, other) = (PeerId::random(), PeerId::random());
        for n in 0..8 {
            assert!(leaving.add(n, deaf, 1024 * 1024));
        }
        assert!(!leaving.add(8, deaf, 1));
        assert!(leaving.add(9, other, 1024 * 1024));
        assert_eq!(leaving.gone(&3), Some((deaf, 1024 * 1024)));
        assert_eq!(leaving.gone(&3), None);
        assert!(leaving.add(10, deaf, 1024 * 1024));
        for n in (0..8).chain([9, 10]) {
            leaving.gone(&n);
        }
        assert!(leaving.all == 0 && leaving.of.is_empty() && leaving.answers.is_empty());
    }

    #[test]
    fn all_together_are_bounded() {
        let mut leaving = Leaving::default();
        let taken = (0..100).filter(|n| leaving.add(*n, PeerId::random(), 1024 * 1024)).count() as u64;
        assert_eq!(taken * 1024 * 1024, MAX_LEAVING_TO_ALL);
    }
}

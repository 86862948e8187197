//! What a session offers: what the peer was found to lack.

use std::{cmp::Reverse, collections::VecDeque};

use super::{MAX_PAGE, replica::Gain, session::Abort};
use crate::{Key, MAX_MESSAGE, Room, plant::Bug};

/// How many keys are offered in one request at most.
pub(super) const MAX_OFFER_KEYS: usize = MAX_PAGE / MAX_MESSAGE * 64;
/// A larger offer of which the peer takes less than half is the last one. Of a smaller one gossip may have brought all.
const LARGE_OFFER: usize = 64 * 1024;

/// All messages of a range, from its end downwards.
#[derive(Clone, Copy, Debug)]
struct OfferRange {
    from: Key,
    below: Key,
}

/// What is still to be offered.
#[derive(Debug, Default)]
pub(super) struct Offers {
    ranges: VecDeque<OfferRange>,
    in_flight: usize,
    /// How many messages the peer took, for they were new to it.
    pub(super) taken: u64,
    /// It has most of what it is offered by now, for somebody else brings it, or it takes nothing in. Nothing more is offered.
    pub(super) unwanted: bool,
}

impl Offers {
    pub(super) fn add(&mut self, from: Key, below: Key) {
        if from < below && !self.unwanted {
            self.ranges.push_back(OfferRange { from, below });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether an offer may go out: one at a time until the peer has taken something, lest a window full of messages is
    /// lost on one that has them from somebody else by now.
    pub(super) fn may_go(&self) -> bool {
        !self.ranges.is_empty() && (self.taken > 0 || self.in_flight == 0)
    }

    /// What to offer next, the newest first. Unless it is empty, [`answered`](Self::answered) follows.
    pub(super) fn next(&mut self, room: &Room) -> Vec<Key> {
        self.ranges.make_contiguous().sort_unstable_by_key(|range| Reverse(range.from));
        let mut keys = Vec::new();
        if Bug::NeverOffers.is_planted() {
            self.ranges.clear();
        }
        while let Some(range) = self.ranges.pop_front() {
            let limit = MAX_OFFER_KEYS - keys.len();
            let found = room.index().newest(&range.from, &range.below, limit);
            let reached = found.last().copied();
            keys.extend(found);
            if keys.len() >= MAX_OFFER_KEYS {
                if let Some(below) = reached {
                    self.ranges.push_front(OfferRange { below, ..range });
                }
                break;
            }
        }
        self.in_flight += usize::from(!keys.is_empty());
        keys
    }

    /// What did not fit a request goes into the next one.
    pub(super) fn again(&mut self, keys: &[Key]) {
        for key in keys.iter().rev().filter(|_| !self.unwanted) {
            self.ranges.push_front(OfferRange { from: *key, below: key.next() });
        }
    }

    /// The peer has no time for what it was offered, or no place: nothing more is offered.
    pub(super) fn refused(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.unwanted = true;
        self.ranges.clear();
    }

    /// Of so much that was offered the peer took so many messages; how much that is. If that cannot be believed it is
    /// nothing, and nothing more is offered.
    pub(super) fn answered(&mut self, offered: Gain, taken: u32, credible: bool) -> Result<Gain, Abort> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let messages = usize::try_from(taken).unwrap_or(usize::MAX);
        if messages > offered.messages {
            return Err(Abort::Offence("more was taken than offered"));
        }
        if !credible {
            self.stop();
            return Ok(Gain::default());
        }
        self.taken += u64::from(taken);
        if offered.bytes > LARGE_OFFER && messages < offered.messages / 2 {
            self.stop();
        }
        Ok(Gain { messages, bytes: offered.bytes * messages / offered.messages.max(1), unvouched: 0 })
    }

    fn stop(&mut self) {
        self.unwanted = true;
        self.ranges.clear();
    }
}

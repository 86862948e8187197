//! Messages that are merged together, and which of them refer to which.

use crate::{Key, Message, plant::Bug};

/// Messages in order, each once.
pub(super) struct Batch {
    messages: Vec<Message>,
    /// Their keys, one behind the other: a search here does not have to visit every message.
    keys: Vec<Key>,
    /// Where each one's `prev` is, if among them.
    prevs: Vec<Option<usize>>,
}

impl Batch {
    /// They ascend strictly.
    pub(super) fn new(messages: Vec<Message>) -> Self {
        let keys: Vec<Key> = messages.iter().map(Message::key).collect();
        let prev_of = |(at, message): (usize, &Message)| find(&keys, at, &message.prev()?);
        let prevs = messages.iter().enumerate().map(prev_of).collect();
        Self { messages, keys, prevs }
    }

    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }

    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Where the `prev` of the one at `at` is.
    pub(super) fn prev_of(&self, at: usize) -> Option<usize> {
        self.prevs.get(at).copied().flatten()
    }

    /// Where the message of that key is, to which the one at `at` refers, so that it stands before it.
    pub(super) fn find(&self, at: usize, key: &Key) -> Option<usize> {
        find(&self.keys, at, key)
    }

    /// Which of them the one at `at` vouches for.
    pub(super) fn vouched_by(&self, at: usize) -> Option<usize> {
        let (voucher, below) = (self.messages.get(at)?, self.prev_of(at)?);
        let named = self.messages.get(below)?;
        let by_its_author = named.author() == voucher.author() || Bug::AnybodyVouches.is_planted();
        (by_its_author && named.seq() + 1 == voucher.seq()).then_some(below)
    }

    /// Some of the messages, in the order of these positions, none of them twice.
    pub(super) fn into_order(self, positions: &[usize]) -> Vec<Message> {
        if positions.len() == self.messages.len() && positions.is_sorted() {
            return self.messages;
        }
        positions.iter().filter_map(|at| self.messages.get(*at).cloned()).collect()
    }
}

/// Searches backwards in ever longer steps: most refs are to a message not long before.
fn find(keys: &[Key], at: usize, key: &Key) -> Option<usize> {
    let (mut start, mut end, mut step) = (at, at, 1);
    while start > 0 && keys.get(start).is_none_or(|held| held > key) {
        end = start;
        start = start.saturating_sub(step);
        step *= 2;
    }
    let found = keys.get(start..end)?.binary_search(key).ok()?;
    Some(start + found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MessageId, Timestamp};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_finds_what_stands_before(times in prop::collection::btree_set(0..60_u64, 0..40), at in 0..40_usize, time in 0..60_u64) {
            let keys: Vec<Key> = times.iter().map(|time| Key { time: Timestamp(*time), id: MessageId([0; 32]) }).collect();
            let at = at.min(keys.len());
            let key = Key { time: Timestamp(time), id: MessageId([0; 32]) };
            prop_assert_eq!(find(&keys, at, &key), keys[..at].iter().position(|held| *held == key));
        }
    }
}

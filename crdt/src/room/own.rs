//! The own author's newest messages, from which the next one continues.

use std::collections::BTreeMap;

use crate::{AuthorId, Key};

/// How many of its own newest messages a node remembers the places of.
///
/// The next message continues the newest that is not future-dated. Somebody who wrote more than this many under a clock
/// that then was set back starts a new branch, which is allowed.
pub const MAX_OWN_TIPS: usize = 4_096;

#[derive(Debug)]
pub(super) struct OwnTips {
    author: AuthorId,
    /// Sequence numbers by key.
    tips: BTreeMap<Key, u64>,
}

impl OwnTips {
    pub(super) fn new(author: AuthorId) -> Self {
        Self { author, tips: BTreeMap::new() }
    }

    pub(super) fn author(&self) -> AuthorId {
        self.author
    }

    pub(super) fn insert(&mut self, key: Key, seq: u64) {
        self.tips.insert(key, seq);
        if self.tips.len() > MAX_OWN_TIPS {
            self.tips.pop_first();
        }
    }

    /// The newest at or below `upper`, with its sequence number.
    pub(super) fn newest_to(&self, upper: &Key) -> Option<(Key, u64)> {
        self.tips.range(..=upper).next_back().map(|(key, seq)| (*key, *seq))
    }
}

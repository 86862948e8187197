//! The Merkle radix index: all keys of a room, and the hash of any part of them.
//!
//! # Shape
//! A subtree holds the keys that begin with some digits. With at most `LEAF` keys it is a *leaf*; with more it is an
//! *inner node* that stands at the longest prefix all its keys share, with one child for each digit that occurs
//! next. So the shape follows from the set of keys alone, never from the order in which they came, and two replicas
//! with one set have one tree.
//!
//! # Hashes
//! A leaf's hash is SHA-256 over a tag and its keys in order; an inner node's is SHA-256 over another tag, the bitmap
//! of its digits and its children's hashes. A hash therefore commits to the exact set below it: from a tree's hashes
//! the keys could be read back, so two sets with one hash are a collision of SHA-256. Sums or exclusive-ors of
//! hashes would be cheaper to keep, but somebody who chooses messages can make those collide (Wagner's generalized
//! birthday attack, 2002) and so hide a message for ever.
//!
//! # Parts
//! Every question can be asked of the keys at or below an upper key only, and has the answer that a tree of just
//! those keys would give. Only the nodes along the cut are computed anew.
//!
//! Hashes are computed when asked for and kept until a key is inserted below them.

mod cut;
mod digits;
mod hashing;
mod node;
mod prefix;

use crate::{Fingerprint, Key};
use hashing::hash_leaf;
use node::Node;
pub use prefix::Prefix;

/// What a subtree is, seen through a cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// At most `LEAF` keys, perhaps none, in ascending order.
    Leaf(Vec<Key>),
    /// More.
    Inner {
        /// The longest prefix of all the keys.
        prefix: Prefix,
        /// Digit and hash of each child, ascending.
        children: Vec<(u8, [u8; 32])>,
    },
}

/// The most keys of a leaf in the protocol.
pub const LEAF_KEYS: usize = 16;

/// The keys of a room. `BITS` is the width of a digit (2^`BITS` children), `LEAF` the most keys of a leaf.
///
/// The defaults are the protocol's: the fingerprint depends on them. They are measured by the `index_shape` bench.
#[derive(Clone, Debug)]
pub struct Index<const BITS: usize = 4, const LEAF: usize = LEAF_KEYS> {
    root: Node<BITS, LEAF>,
}

impl<const BITS: usize, const LEAF: usize> Default for Index<BITS, LEAF> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<const BITS: usize, const LEAF: usize> Index<BITS, LEAF> {
    /// How many keys there are.
    pub fn len(&self) -> u64 {
        self.root.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a key; whether it is new.
    pub fn insert(&mut self, key: Key) -> bool {
        self.root.insert(key, &key.to_bytes())
    }

    /// Adds keys that ascend strictly; how many are new.
    ///
    /// Several times as fast as one by one, and what is built anew takes no more memory than it needs. A store's keys may
    /// be put in a few thousand at a time, as they are read.
    pub fn insert_ascending(&mut self, run: &[Key]) -> u64 {
        debug_assert!(run.is_sorted_by(|a, b| a < b), "keys that ascend strictly");
        self.root.insert_run(run)
    }

    /// Whether the key is there.
    pub fn contains(&self, key: &Key) -> bool {
        self.root.contains(key)
    }

    /// The hash of all keys.
    pub fn root(&self) -> Fingerprint {
        Fingerprint(self.root.hash())
    }

    /// How many keys are at or below `upper`, and their hash.
    pub fn root_to(&self, upper: &Key) -> (u64, Fingerprint) {
        let (count, hash) = self.root.cut(upper).summary();
        (count, Fingerprint(hash))
    }

    /// The hash of the first `count` keys; of all if there are fewer.
    pub fn root_of_first(&self, count: u64) -> Fingerprint {
        match count.checked_sub(1) {
            None => Fingerprint(hash_leaf(&[])),
            Some(last) => self.select(last).map_or_else(|| self.root(), |key| self.root_to(&key).1),
        }
    }

    /// The key with that many keys before it.
    pub fn select(&self, rank: u64) -> Option<Key> {
        self.root.select(rank)
    }

    /// How many keys are below this one.
    pub fn rank(&self, key: &Key) -> u64 {
        self.root.rank(key)
    }

    /// The greatest key at or below this one.
    pub fn last_to(&self, upper: &Key) -> Option<Key> {
        let rank = self.rank(upper) + u64::from(self.contains(upper));
        self.select(rank.checked_sub(1)?)
    }

    /// How many keys in a region are at or below `upper`, and their hash; `None` if there is none.
    pub fn region(&self, region: &Prefix, upper: &Key) -> Option<(u64, [u8; 32])> {
        let (count, hash) = self.root.find(region).cut(upper).summary();
        (count > 0).then_some((count, hash))
    }

    /// What stands in a region at or below `upper`.
    pub fn part(&self, region: &Prefix, upper: &Key) -> Part {
        self.root.find(region).cut(upper).part()
    }

    /// At most `limit` keys from `from` on and below `below`, the greatest first.
    pub fn newest(&self, from: &Key, below: &Key, limit: usize) -> Vec<Key> {
        let mut keys = Vec::with_capacity(limit.min(4096));
        self.root.descend(from, below, &mut |key| {
            if keys.len() < limit {
                keys.push(key);
            }
            keys.len() < limit
        });
        keys
    }

    /// Calls `visit` with all keys from `from` on and below `below`, the greatest first, until it returns false.
    pub fn descend(&self, from: &Key, below: &Key, visit: &mut dyn FnMut(Key) -> bool) {
        self.root.descend(from, below, visit);
    }
}

impl<const BITS: usize, const LEAF: usize> FromIterator<Key> for Index<BITS, LEAF> {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        let mut keys: Vec<Key> = keys.into_iter().collect();
        keys.sort_unstable();
        keys.dedup();
        let mut index = Self::default();
        index.insert_ascending(&keys);
        index
    }
}

#[cfg(test)]
mod tests;

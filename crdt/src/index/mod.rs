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
//!
//! ```
//! use distchat_crdt::{Key, MessageId, Timestamp, index::{Index, Part, Prefix}};
//!
//! let key = |time| Key { time: Timestamp(time), id: MessageId([0; 32]) };
//! let here: Index = (0..64).map(key).collect();
//! let there: Index = (0..64).filter(|time| *time != 42).map(key).collect();
//! assert_ne!(here.root(), there.root());
//!
//! // Down to where they differ: all children are alike but one.
//! let end = Key::last_of(Timestamp::MAX);
//! let [Part::Inner { prefix, children }, Part::Inner { children: others, .. }] =
//!     [&here, &there].map(|index| index.part(&Prefix::EMPTY, &end)) else { unreachable!() };
//! let differing: Vec<u8> =
//!     children.iter().filter(|child| !others.contains(child)).map(|(digit, _)| *digit).collect();
//! assert_eq!(differing, [2]);
//! let region = prefix.child::<4>(2);
//! let [Part::Leaf(here), Part::Leaf(there)] = [&here, &there].map(|index| index.part(&region, &end))
//!     else { unreachable!() };
//! let lacking: Vec<Key> = here.into_iter().filter(|key| !there.contains(key)).collect();
//! assert_eq!(lacking, [key(42)]);
//! ```

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
///
/// ```
/// use distchat_crdt::{Key, MessageId, Timestamp, index::{Index, Part, Prefix}};
///
/// let key = |time| Key { time: Timestamp(time), id: MessageId([0; 32]) };
/// let end = Key::last_of(Timestamp::MAX);
/// let few: Index = [key(1), key(2)].into_iter().collect();
/// assert_eq!(few.part(&Prefix::EMPTY, &end), Part::Leaf(vec![key(1), key(2)]));
///
/// // 64 keys whose times differ in the last two digits only: the node stands where they part.
/// let many: Index = (0..64).map(key).collect();
/// let Part::Inner { prefix, children } = many.part(&Prefix::EMPTY, &end) else { unreachable!() };
/// assert_eq!(prefix.digits::<4>(), 14);
/// assert_eq!(children.iter().map(|(digit, _)| *digit).collect::<Vec<_>>(), [0, 1, 2, 3]);
/// ```
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

/// The keys of a room. `BITS` is the width of a digit (2^`BITS` children): 1, 2, 4 or 8. `LEAF` is the most keys of a leaf.
///
/// The defaults are the protocol's: the fingerprint depends on them. They are measured by the `index_shape` bench. Where the
/// type follows from nothing else it is to be named (`let index: Index = ..`), for Rust infers no default.
///
/// ```
/// use distchat_crdt::{Key, MessageId, Timestamp, index::Index};
///
/// let keys: Vec<Key> = (0..1000).map(|n| Key { time: Timestamp(n), id: MessageId([0; 32]) }).collect();
/// let ascending: Index = keys.iter().copied().collect();
/// let mut descending: Index = Index::default();
/// for key in keys.iter().rev() {
///     descending.insert(*key);
/// }
/// assert_eq!(ascending.root(), descending.root(), "the order in which they came does not matter");
/// ```
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
    ///
    /// ```
    /// # use distchat_crdt::{Key, index::Index};
    /// let mut index: Index = Index::default();
    /// index.insert(Key::MIN);
    /// index.insert(Key::MIN);
    /// assert_eq!(index.len(), 1);
    /// ```
    pub fn len(&self) -> u64 {
        self.root.len()
    }

    /// Whether there is none.
    ///
    /// ```
    /// # use distchat_crdt::{Key, index::Index};
    /// let mut index: Index = Index::default();
    /// assert!(index.is_empty());
    /// index.insert(Key::MIN);
    /// assert!(!index.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a key; whether it is new.
    ///
    /// ```
    /// # use distchat_crdt::{Key, index::Index};
    /// let mut index: Index = Index::default();
    /// let empty = index.root();
    /// assert!(index.insert(Key::MIN));
    /// assert_ne!(index.root(), empty);
    /// assert!(!index.insert(Key::MIN), "it was there");
    /// ```
    pub fn insert(&mut self, key: Key) -> bool {
        self.root.insert(key, &key.to_bytes())
    }

    /// Adds keys that ascend strictly; how many are new.
    ///
    /// Several times as fast as one by one, and what is built anew takes no more memory than it needs. A store's keys may
    /// be put in a few thousand at a time, as they are read. Keys that do not ascend are a mistake of the caller's: debug
    /// builds panic, and in others the index is of no use afterwards.
    ///
    /// ```
    /// # use distchat_crdt::{Key, MessageId, Timestamp, index::Index};
    /// # let key = |time| Key { time: Timestamp(time), id: MessageId([0; 32]) };
    /// let mut index: Index = Index::default();
    /// assert_eq!(index.insert_ascending(&[key(1), key(2), key(3)]), 3);
    /// assert_eq!(index.insert_ascending(&[key(2), key(5)]), 1);
    /// assert_eq!(index.len(), 4);
    /// ```
    pub fn insert_ascending(&mut self, run: &[Key]) -> u64 {
        debug_assert!(run.is_sorted_by(|a, b| a < b), "keys that ascend strictly");
        self.root.insert_run(run)
    }

    /// Whether the key is there.
    ///
    /// ```
    /// # use distchat_crdt::{Key, MessageId, Timestamp, index::Index};
    /// # let key = |time| Key { time: Timestamp(time), id: MessageId([0; 32]) };
    /// let index: Index = [key(1), key(3)].into_iter().collect();
    /// assert!(index.contains(&key(3)) && !index.contains(&key(2)));
    /// ```
    pub fn contains(&self, key: &Key) -> bool {
        self.root.contains(key)
    }

    /// The hash of all keys.
    ///
    /// ```
    /// # use distchat_crdt::{Key, MessageId, Timestamp, index::Index};
    /// # let key = |time| Key { time: Timestamp(time), id: MessageId([0; 32]) };
    /// let mut here: Index = [key(1), key(3)].into_iter().collect();
    /// let there: Index = [key(1), key(2), key(3)].into_iter().collect();
    /// assert_ne!(here.root(), there.root());
    /// here.insert(key(2));
    /// assert_eq!(here.root(), there.root());
    /// ```
    pub fn root(&self) -> Fingerprint {
        Fingerprint(self.root.hash())
    }

    /// How many keys are at or below `upper`, and their hash.
    ///
    /// ```
    /// # use distchat_crdt::{Key, MessageId, Timestamp, index::Index};
    /// # let key = |time| Key { time: Timestamp(time), id: MessageId([0; 32]) };
    /// // One has gone on while the two were compared: up to the key that was agreed on they are equal.
    /// let here: Index = (0..100).map(key).collect();
    /// let there: Index = (0..107).map(key).collect();
    /// assert_eq!(there.root_to(&key(99)), (100, here.root()));
    /// ```
    pub fn root_to(&self, upper: &Key) -> (u64, Fingerprint) {
        let (count, hash) = self.root.cut(upper).summary();
        (count, Fingerprint(hash))
    }

    /// The hash of the first `count` keys; of all if there are fewer.
    ///
    /// ```
    /// # use distchat_crdt::{Key, MessageId, Timestamp, index::Index};
    /// # let key = |time| Key { time: Timestamp(time), id: MessageId([0; 32]) };
    /// // Whoever says to hold 90 keys and has this root lacks just the last ten.
    /// let here: Index = (0..100).map(key).collect();
    /// let there: Index = (0..90).map(key).collect();
    /// assert_eq!(here.root_of_first(there.len()), there.root());
    /// ```
    pub fn root_of_first(&self, count: u64) -> Fingerprint {
        match count.checked_sub(1) {
            None => Fingerprint(hash_leaf(&[])),
            Some(last) => self.select(last).map_or_else(|| self.root(), |key| self.root_to(&key).1),
        }
    }

    /// The key with that many keys before it.
    ///
    /// ```
    /// # use distchat_crdt::{Key, MessageId, Timestamp, index::Index};
    /// # let key = |time| Key { time: Timestamp(time), id: MessageId([0; 32]) };
    /// let index: Index = [key(10), key(20), key(30)].into_iter().collect();
    /// assert_eq!(index.select(0), Some(key(10)));
    /// assert_eq!(index.select(2), Some(key(30)));
    /// assert_eq!(index.select(3), None);
    /// ```
    pub fn select(&self, rank: u64) -> Option<Key> {
        self.root.select(rank)
    }

    /// How many keys are below this one.
    ///
    /// ```
    /// # use distchat_crdt::{Key, MessageId, Timestamp, index::Index};
    /// # let key = |time| Key { time: Timestamp(time), id: MessageId([0; 32]) };
    /// let index: Index = [key(10), key(20), key(30)].into_iter().collect();
    /// assert_eq!(index.rank(&key(20)), 1);
    /// assert_eq!(index.rank(&key(21)), 2, "it need not be there");
    /// ```
    pub fn rank(&self, key: &Key) -> u64 {
        self.root.rank(key)
    }

    /// The greatest key at or below this one.
    ///
    /// ```
    /// # use distchat_crdt::{Key, MessageId, Timestamp, index::Index};
    /// # let key = |time| Key { time: Timestamp(time), id: MessageId([0; 32]) };
    /// let index: Index = [key(10), key(20), key(30)].into_iter().collect();
    /// assert_eq!(index.last_to(&key(20)), Some(key(20)));
    /// assert_eq!(index.last_to(&key(19)), Some(key(10)));
    /// assert_eq!(index.last_to(&key(9)), None);
    /// ```
    pub fn last_to(&self, upper: &Key) -> Option<Key> {
        let rank = self.rank(upper) + u64::from(self.contains(upper));
        self.select(rank.checked_sub(1)?)
    }

    /// How many keys in a region are at or below `upper`, and their hash; `None` if there is none.
    ///
    /// ```
    /// # use distchat_crdt::{Key, MessageId, Timestamp, index::{Index, Prefix}};
    /// # let key = |time| Key { time: Timestamp(time), id: MessageId([0; 32]) };
    /// let here: Index = (0..64).map(key).collect();
    /// let there: Index = (0..64).filter(|time| *time != 42).map(key).collect();
    /// let region_of = |time| Prefix::of::<4>(&key(time), 15);
    /// let end = Key::last_of(Timestamp::MAX);
    /// assert_eq!(here.region(&region_of(7), &end), there.region(&region_of(7), &end));
    /// assert_ne!(here.region(&region_of(42), &end), there.region(&region_of(42), &end));
    /// assert_eq!(here.region(&region_of(64), &end), None);
    /// ```
    pub fn region(&self, region: &Prefix, upper: &Key) -> Option<(u64, [u8; 32])> {
        let (count, hash) = self.root.find(region).cut(upper).summary();
        (count > 0).then_some((count, hash))
    }

    /// What stands in a region at or below `upper`.
    ///
    /// ```
    /// # use distchat_crdt::{Key, MessageId, Timestamp, index::{Index, Part, Prefix}};
    /// # let key = |time| Key { time: Timestamp(time), id: MessageId([0; 32]) };
    /// let index: Index = (0..64).map(key).collect();
    /// let region = Prefix::of::<4>(&key(0x20), 15);
    /// assert_eq!(index.part(&region, &key(0x22)), Part::Leaf(vec![key(0x20), key(0x21), key(0x22)]));
    /// ```
    pub fn part(&self, region: &Prefix, upper: &Key) -> Part {
        self.root.find(region).cut(upper).part()
    }

    /// At most `limit` keys from `from` on and below `below`, the greatest first.
    ///
    /// ```
    /// # use distchat_crdt::{Key, MessageId, Timestamp, index::Index};
    /// # let key = |time| Key { time: Timestamp(time), id: MessageId([0; 32]) };
    /// let index: Index = (0..100).map(key).collect();
    /// // A screen of three, and the one before it.
    /// let screen = index.newest(&Key::MIN, &key(100), 3);
    /// assert_eq!(screen, [key(99), key(98), key(97)]);
    /// assert_eq!(index.newest(&Key::MIN, &screen[2], 3), [key(96), key(95), key(94)]);
    /// ```
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
    ///
    /// ```
    /// # use distchat_crdt::{Key, MessageId, Timestamp, index::Index};
    /// # let key = |time| Key { time: Timestamp(time), id: MessageId([0; 32]) };
    /// let index: Index = (0..100).map(key).collect();
    /// let mut seen = Vec::new();
    /// index.descend(&key(50), &key(60), &mut |key| {
    ///     seen.push(key.time.0);
    ///     key.time.0 > 57
    /// });
    /// assert_eq!(seen, [59, 58, 57]);
    /// ```
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

//! The tree's nodes.

use std::{cmp::Ordering, sync::OnceLock};

use super::{
    Prefix,
    cut::{Cut, Slice},
    digits::{Digits, digit, groups, shared_digits},
    hashing,
};
use crate::{KEY_LEN, Key, plant::Bug};

/// By how many keys a full leaf grows, and by how many children a full inner node. Growing by doubling would leave a
/// third of the memory unused.
const GROWTH: usize = 2;

#[derive(Clone, Debug)]
pub(super) enum Node<const BITS: usize, const LEAF: usize> {
    Leaf { keys: Vec<Key>, hash: OnceLock<[u8; 32]> },
    Inner(Box<Inner<BITS, LEAF>>),
}

#[derive(Clone, Debug)]
pub(super) struct Inner<const BITS: usize, const LEAF: usize> {
    pub(super) prefix: Prefix,
    pub(super) count: u64,
    pub(super) hash: OnceLock<[u8; 32]>,
    /// Which digits have a child.
    pub(super) digits: Digits,
    /// By digit, ascending.
    pub(super) children: Vec<Node<BITS, LEAF>>,
}

impl<const BITS: usize, const LEAF: usize> Default for Node<BITS, LEAF> {
    fn default() -> Self {
        Self::leaf(Vec::new())
    }
}

impl<const BITS: usize, const LEAF: usize> Node<BITS, LEAF> {
    fn leaf(keys: Vec<Key>) -> Self {
        Self::Leaf { keys, hash: OnceLock::new() }
    }

    /// The subtree of these keys, which ascend strictly.
    fn of(keys: &[Key]) -> Self {
        let (first, last) = match keys {
            [first, .., last] if keys.len() > LEAF => (first.to_bytes(), last.to_bytes()),
            _ => return Self::leaf(keys.to_vec()),
        };
        // Sorted, so what the first and the last share, all share.
        let depth = shared_digits::<BITS>(&first, &last);
        let mut children = Vec::with_capacity(groups::<BITS>(keys, depth).count());
        let mut digits = Digits::default();
        for (digit, group) in groups::<BITS>(keys, depth) {
            digits.insert(digit);
            children.push(Self::of(group));
        }
        let prefix = Prefix::of::<BITS>(&Key::from_bytes(&first), depth);
        Self::Inner(Box::new(Inner { prefix, count: keys.len() as u64, hash: OnceLock::new(), digits, children }))
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Leaf { keys, .. } => keys.len() as u64,
            Self::Inner(inner) => inner.count,
        }
    }

    pub(super) fn hash_cell(&self) -> &OnceLock<[u8; 32]> {
        match self {
            Self::Leaf { hash, .. } => hash,
            Self::Inner(inner) => &inner.hash,
        }
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        match self.hash_cell().get() {
            Some(hash) => *hash,
            None => hashing::hash_all(self),
        }
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        let bytes = key.to_bytes();
        let mut node = self;
        loop {
            match node {
                Self::Leaf { keys, .. } => return keys.binary_search(key).is_ok(),
                // The prefix need not be compared: the leaf compares the whole key.
                Self::Inner(inner) => match inner.child(digit::<BITS>(&bytes, inner.depth())) {
                    Some(child) => node = child,
                    None => return false,
                },
            }
        }
    }

    /// Adds a key; whether it is new.
    pub(super) fn insert(&mut self, key: Key, bytes: &[u8; KEY_LEN]) -> bool {
        match self {
            Self::Leaf { keys, hash } => {
                let Err(at) = keys.binary_search(&key) else { return false };
                hash.take();
                if keys.len() == keys.capacity() {
                    keys.reserve_exact(GROWTH);
                }
                keys.insert(at, key);
                let later = Bug::LeafSplitsByInsertion.is_planted() && at == 0 && keys.len() <= 2 * LEAF;
                if keys.len() > LEAF && !later {
                    *self = Self::of(keys);
                }
                true
            }
            Self::Inner(inner) => {
                if inner.prefix.cmp_region(bytes) != Ordering::Equal {
                    return self.insert_run(&[key]) > 0;
                }
                let new = inner.child_mut(digit::<BITS>(bytes, inner.depth())).insert(key, bytes);
                if new {
                    inner.count += 1;
                    inner.hash.take();
                }
                new
            }
        }
    }

    /// Adds keys that ascend strictly; how many are new.
    pub(super) fn insert_run(&mut self, run: &[Key]) -> u64 {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return 0 };
        if let Self::Leaf { keys, .. } = self {
            if keys.is_empty() {
                *self = Self::of(run);
                return run.len() as u64;
            }
            let union = union(keys, run);
            let new = union.len() - keys.len();
            if new > 0 {
                *self = Self::of(&union);
            }
            return new as u64;
        }
        self.reach(&first.to_bytes(), &last.to_bytes());
        let Self::Inner(inner) = self else { return 0 };
        let depth = inner.depth();
        let new = groups::<BITS>(run, depth)
            .map(|(digit, group)| match group {
                [key] => u64::from(inner.child_mut(digit).insert(*key, &key.to_bytes())),
                group => inner.child_mut(digit).insert_run(group),
            })
            .sum();
        if new > 0 {
            inner.count += new;
            inner.hash.take();
        }
        new
    }

    /// Puts an inner node above this one if there are keys between these that do not begin with this one's prefix. It has
    /// one child only until they are put in.
    fn reach(&mut self, first: &[u8; KEY_LEN], last: &[u8; KEY_LEN]) {
        let Self::Inner(inner) = &*self else { return };
        let old = inner.prefix.first().to_bytes();
        let depth = shared_digits::<BITS>(&old, first).min(shared_digits::<BITS>(&old, last));
        if depth >= inner.depth() {
            return;
        }
        let prefix = Prefix::of::<BITS>(&inner.prefix.first(), depth);
        let mut digits = Digits::default();
        digits.insert(digit::<BITS>(&old, depth));
        let below = std::mem::take(self);
        let count = below.len();
        *self = Self::Inner(Box::new(Inner { prefix, count, hash: OnceLock::new(), digits, children: vec![below] }));
    }

    pub(super) fn select(&self, mut rank: u64) -> Option<Key> {
        let mut node = self;
        loop {
            match node {
                Self::Leaf { keys, .. } => return keys.get(usize::try_from(rank).ok()?).copied(),
                Self::Inner(inner) => {
                    node = inner.children.iter().find(|child| match rank.checked_sub(child.len()) {
                        Some(beyond) => {
                            rank = beyond;
                            false
                        }
                        None => true,
                    })?;
                }
            }
        }
    }

    pub(super) fn rank(&self, key: &Key) -> u64 {
        let bytes = key.to_bytes();
        let mut before = 0;
        let mut node = self;
        loop {
            match node {
                Self::Leaf { keys, .. } => return before + keys.partition_point(|held| held < key) as u64,
                Self::Inner(inner) => {
                    match inner.prefix.cmp_region(&bytes) {
                        Ordering::Less => return before,
                        Ordering::Greater => return before + inner.count,
                        Ordering::Equal => {}
                    }
                    let at = digit::<BITS>(&bytes, inner.depth());
                    before += inner.children[..inner.digits.rank(at)].iter().map(Self::len).sum::<u64>();
                    match inner.child(at) {
                        Some(child) => node = child,
                        None => return before,
                    }
                }
            }
        }
    }

    /// Visits keys in `from..below` from the greatest down. Returns false once `visit` did.
    pub(super) fn descend(&self, from: &Key, below: &Key, visit: &mut dyn FnMut(Key) -> bool) -> bool {
        match self {
            Self::Leaf { keys, .. } => {
                let start = keys.partition_point(|key| key < from);
                let end = keys.partition_point(|key| key < below).max(start);
                keys[start..end].iter().rev().all(|key| visit(*key))
            }
            Self::Inner(inner) => {
                let place = |key: &Key| inner.prefix.cmp_region(&key.to_bytes());
                let start = match place(from) {
                    Ordering::Less => 0,
                    Ordering::Equal => inner.digits.rank(digit::<BITS>(&from.to_bytes(), inner.depth())),
                    Ordering::Greater => return true,
                };
                let end = match place(below) {
                    Ordering::Less => return true,
                    Ordering::Equal => {
                        let digit = digit::<BITS>(&below.to_bytes(), inner.depth());
                        inner.digits.rank(digit) + usize::from(inner.digits.contains(digit))
                    }
                    Ordering::Greater => inner.children.len(),
                };
                inner.children[start.min(end)..end].iter().rev().all(|child| child.descend(from, below, visit))
            }
        }
    }

    /// What stands in a region.
    pub(super) fn find(&self, region: &Prefix) -> Slice<'_, BITS, LEAF> {
        let mut node = self;
        loop {
            match node {
                Self::Leaf { keys, .. } => {
                    let place = |key: &Key| region.cmp_region(&key.to_bytes());
                    let start = keys.partition_point(|key| place(key) == Ordering::Less);
                    let end = keys.partition_point(|key| place(key) != Ordering::Greater);
                    // A whole leaf has a hash at hand.
                    return if end - start == keys.len() { Slice::Node(node) } else { Slice::Keys(&keys[start..end]) };
                }
                Self::Inner(inner) if region.contains(&inner.prefix) => return Slice::Node(node),
                Self::Inner(inner) if inner.prefix.contains(region) => {
                    match inner.child(region.digit::<BITS>(inner.depth())) {
                        Some(child) => node = child,
                        None => return Slice::Keys(&[]),
                    }
                }
                Self::Inner(_) => return Slice::Keys(&[]),
            }
        }
    }

    pub(super) fn cut(&self, upper: &Key) -> Cut<'_, BITS, LEAF> {
        Slice::Node(self).cut(upper)
    }

    pub(super) fn collect(&self, into: &mut Vec<Key>) {
        match self {
            Self::Leaf { keys, .. } => into.extend_from_slice(keys),
            Self::Inner(inner) => inner.children.iter().for_each(|child| child.collect(into)),
        }
    }
}

impl<const BITS: usize, const LEAF: usize> Inner<BITS, LEAF> {
    pub(super) fn depth(&self) -> usize {
        self.prefix.digits::<BITS>()
    }

    pub(super) fn child(&self, digit: u8) -> Option<&Node<BITS, LEAF>> {
        if self.digits.contains(digit) { self.children.get(self.digits.rank(digit)) } else { None }
    }

    /// The child for that digit, an empty leaf if there was none.
    fn child_mut(&mut self, digit: u8) -> &mut Node<BITS, LEAF> {
        let at = self.digits.rank(digit);
        if !self.digits.contains(digit) {
            if self.children.len() == self.children.capacity() {
                self.children.reserve_exact(GROWTH);
            }
            self.children.insert(at, Node::default());
            self.digits.insert(digit);
        }
        &mut self.children[at]
    }

    /// Digit and hash of each child, ascending.
    pub(super) fn child_hashes(&self) -> Vec<(u8, [u8; 32])> {
        self.digits.iter().zip(self.children.iter().map(Node::hash)).collect()
    }
}

/// What either holds. Both ascend strictly, and so does the union.
fn union(a: &[Key], b: &[Key]) -> Vec<Key> {
    let mut union = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a, b);
    while let ([first, rest @ ..], [other, others @ ..]) = (a, b) {
        union.push(*first.min(other));
        if first <= other {
            a = rest;
        }
        if other <= first {
            b = others;
        }
    }
    union.extend_from_slice(a);
    union.extend_from_slice(b);
    union
}

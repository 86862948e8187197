//! The tree's nodes, and trees seen through a cut.

use std::{cmp::Ordering, sync::OnceLock};

use super::{Part, Prefix, prefix::digit};
use crate::{KEY_LEN, Key, id::sha256, plant::Bug};

const LEAF_TAG: &[u8] = b"distchat/1/leaf\0";
const INNER_TAG: &[u8] = b"distchat/1/inner\0";

pub(super) fn hash_leaf(keys: &[Key]) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(LEAF_TAG.len() + keys.len() * KEY_LEN);
    bytes.extend_from_slice(LEAF_TAG);
    for key in keys {
        bytes.extend_from_slice(&key.to_bytes());
    }
    sha256(&[&bytes])
}

/// The bitmap has one bit a digit, digit n in bit n % 8 of byte n / 8.
fn hash_inner<const BITS: usize>(children: &[(u8, [u8; 32])]) -> [u8; 32] {
    let bitmap_len = (1_usize << BITS).div_ceil(8);
    let mut bytes = Vec::with_capacity(INNER_TAG.len() + bitmap_len + 32 * children.len());
    bytes.extend_from_slice(INNER_TAG);
    bytes.resize(INNER_TAG.len() + bitmap_len, 0);
    for (digit, hash) in children {
        bytes[INNER_TAG.len() + usize::from(*digit) / 8] |= 1 << (digit % 8);
        bytes.extend_from_slice(hash);
    }
    sha256(&[&bytes])
}

#[derive(Clone, Debug)]
pub(super) enum Node<const BITS: usize, const LEAF: usize> {
    Leaf { keys: Vec<Key>, hash: OnceLock<[u8; 32]> },
    Inner(Box<Inner<BITS, LEAF>>),
}

#[derive(Clone, Debug)]
pub(super) struct Inner<const BITS: usize, const LEAF: usize> {
    prefix: Prefix,
    count: u64,
    hash: OnceLock<[u8; 32]>,
    /// By digit, ascending.
    children: Vec<(u8, Node<BITS, LEAF>)>,
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

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Leaf { keys, .. } => keys.len() as u64,
            Self::Inner(inner) => inner.count,
        }
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        match self {
            Self::Leaf { keys, hash } => *hash.get_or_init(|| hash_leaf(keys)),
            Self::Inner(inner) => *inner.hash.get_or_init(|| hash_inner::<BITS>(&inner.child_hashes())),
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

    pub(super) fn insert(&mut self, key: Key) -> bool {
        match self {
            Self::Leaf { keys, hash } => {
                let Err(at) = keys.binary_search(&key) else { return false };
                hash.take();
                if keys.len() == keys.capacity() {
                    // Growing by doubling would leave a third of the memory unused.
                    keys.reserve_exact(4);
                }
                keys.insert(at, key);
                let later = Bug::LeafSplitsByInsertion.is_planted() && at == 0 && keys.len() <= 2 * LEAF;
                if keys.len() > LEAF && !later {
                    *self = Self::split(std::mem::take(keys));
                }
                true
            }
            Self::Inner(inner) => {
                if !inner.prefix.covers(&key) {
                    self.put_above(key);
                    return true;
                }
                let new = inner.child_mut(digit::<BITS>(&key.to_bytes(), inner.depth())).insert(key);
                if new {
                    inner.count += 1;
                    inner.hash.take();
                }
                new
            }
        }
    }

    /// An inner node over keys, sorted and more than a leaf holds.
    fn split(keys: Vec<Key>) -> Self {
        let (first, last) = match (keys.first(), keys.last()) {
            (Some(first), Some(last)) => (first.to_bytes(), last.to_bytes()),
            _ => return Self::default(),
        };
        // Sorted, so what the first and the last share, all share.
        let depth = shared_digits::<BITS>(&first, &last);
        let mut children: Vec<(u8, Node<BITS, LEAF>)> = Vec::new();
        for group in keys.chunk_by(|a, b| digit::<BITS>(&a.to_bytes(), depth) == digit::<BITS>(&b.to_bytes(), depth)) {
            if let Some(key) = group.first() {
                children.push((digit::<BITS>(&key.to_bytes(), depth), Self::leaf(group.to_vec())));
            }
        }
        let prefix = Prefix::of::<BITS>(&Key::from_bytes(&first), depth);
        Self::Inner(Box::new(Inner { prefix, count: keys.len() as u64, hash: OnceLock::new(), children }))
    }

    /// Puts an inner node above this one, for a key that does not begin with this one's prefix.
    fn put_above(&mut self, key: Key) {
        let below = std::mem::take(self);
        let Self::Inner(inner) = &below else { return };
        let (old, new) = (inner.prefix.first().to_bytes(), key.to_bytes());
        let depth = shared_digits::<BITS>(&old, &new);
        let prefix = Prefix::of::<BITS>(&key, depth);
        let count = inner.count + 1;
        let mut children =
            vec![(digit::<BITS>(&old, depth), below), (digit::<BITS>(&new, depth), Self::leaf(vec![key]))];
        children.sort_by_key(|(digit, _)| *digit);
        *self = Self::Inner(Box::new(Inner { prefix, count, hash: OnceLock::new(), children }));
    }

    pub(super) fn select(&self, mut rank: u64) -> Option<Key> {
        let mut node = self;
        loop {
            match node {
                Self::Leaf { keys, .. } => return keys.get(usize::try_from(rank).ok()?).copied(),
                Self::Inner(inner) => {
                    let mut chosen = None;
                    for (_, child) in &inner.children {
                        if rank < child.len() {
                            chosen = Some(child);
                            break;
                        }
                        rank -= child.len();
                    }
                    node = chosen?;
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
                    let mut next = None;
                    for (digit, child) in &inner.children {
                        match digit.cmp(&at) {
                            Ordering::Less => before += child.len(),
                            Ordering::Equal => next = Some(child),
                            Ordering::Greater => break,
                        }
                    }
                    match next {
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
                let least = match place(from) {
                    Ordering::Less => 0,
                    Ordering::Equal => digit::<BITS>(&from.to_bytes(), inner.depth()),
                    Ordering::Greater => return true,
                };
                let greatest = match place(below) {
                    Ordering::Less => return true,
                    Ordering::Equal => digit::<BITS>(&below.to_bytes(), inner.depth()),
                    Ordering::Greater => u8::MAX,
                };
                inner
                    .children
                    .iter()
                    .rev()
                    .filter(|(digit, _)| (least..=greatest).contains(digit))
                    .all(|(_, child)| child.descend(from, below, visit))
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
}

impl<const BITS: usize, const LEAF: usize> Inner<BITS, LEAF> {
    fn depth(&self) -> usize {
        self.prefix.digits::<BITS>()
    }

    fn child(&self, digit: u8) -> Option<&Node<BITS, LEAF>> {
        let at = self.children.binary_search_by_key(&digit, |(digit, _)| *digit).ok()?;
        self.children.get(at).map(|(_, child)| child)
    }

    /// The child for that digit, an empty leaf if there was none.
    fn child_mut(&mut self, digit: u8) -> &mut Node<BITS, LEAF> {
        let at = match self.children.binary_search_by_key(&digit, |(digit, _)| *digit) {
            Ok(at) => at,
            Err(at) => {
                if self.children.len() == self.children.capacity() {
                    self.children.reserve_exact(4);
                }
                self.children.insert(at, (digit, Node::default()));
                at
            }
        };
        &mut self.children[at].1
    }

    fn child_hashes(&self) -> Vec<(u8, [u8; 32])> {
        self.children.iter().map(|(digit, child)| (*digit, child.hash())).collect()
    }
}

/// How many digits two keys share.
fn shared_digits<const BITS: usize>(a: &[u8; KEY_LEN], b: &[u8; KEY_LEN]) -> usize {
    let byte = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(KEY_LEN);
    let bits = match (a.get(byte), b.get(byte)) {
        (Some(a), Some(b)) => (a ^ b).leading_zeros() as usize,
        _ => 0,
    };
    (8 * byte + bits) / BITS
}

/// A subtree, or the part of a leaf that lies in a region.
pub(super) enum Slice<'a, const BITS: usize, const LEAF: usize> {
    Node(&'a Node<BITS, LEAF>),
    Keys(&'a [Key]),
}

/// A tree of the keys at or below an upper key, as far as the cut made it differ from the one it was cut from.
pub(super) enum Cut<'a, const BITS: usize, const LEAF: usize> {
    Whole(&'a Node<BITS, LEAF>),
    Keys(Vec<Key>),
    Inner { prefix: Prefix, count: u64, children: Vec<(u8, [u8; 32])> },
}

impl<'a, const BITS: usize, const LEAF: usize> Slice<'a, BITS, LEAF> {
    pub(super) fn cut(self, upper: &Key) -> Cut<'a, BITS, LEAF> {
        let inner = match self {
            Self::Keys(keys) => return Cut::Keys(up_to(keys, upper)),
            Self::Node(Node::Leaf { keys, .. }) if keys.last().is_some_and(|last| last > upper) => {
                return Cut::Keys(up_to(keys, upper));
            }
            Self::Node(node @ Node::Leaf { .. }) => return Cut::Whole(node),
            Self::Node(node @ Node::Inner(inner)) => match inner.prefix.cmp_region(&upper.to_bytes()) {
                Ordering::Less => return Cut::Keys(Vec::new()),
                Ordering::Greater => return Cut::Whole(node),
                Ordering::Equal => inner,
            },
        };
        let at = digit::<BITS>(&upper.to_bytes(), inner.depth());
        let whole = inner.children.partition_point(|(digit, _)| *digit < at);
        let partial = inner.child(at).map(|child| child.cut(upper));
        let partial_count = partial.as_ref().map_or(0, |cut| cut.summary_count());
        let count = inner.children[..whole].iter().map(|(_, child)| child.len()).sum::<u64>() + partial_count;

        // The shape is that of a tree of these keys alone: few keys are a leaf, and one child is no node.
        if count <= LEAF as u64 {
            let mut keys = Vec::new();
            for (_, child) in &inner.children[..whole] {
                child.collect(&mut keys);
            }
            if let Some(cut) = partial {
                cut.collect(&mut keys);
            }
            return Cut::Keys(keys);
        }
        match (&inner.children[..whole], partial) {
            ([], Some(cut)) => cut,
            ([(_, only)], _) if partial_count == 0 => Cut::Whole(only),
            (before, partial) => {
                let mut children: Vec<_> = before.iter().map(|(digit, child)| (*digit, child.hash())).collect();
                if let Some(cut) = partial.filter(|_| partial_count > 0) {
                    children.push((at, cut.summary().1));
                }
                Cut::Inner { prefix: inner.prefix, count, children }
            }
        }
    }
}

fn up_to(keys: &[Key], upper: &Key) -> Vec<Key> {
    keys[..keys.partition_point(|key| key <= upper)].to_vec()
}

impl<const BITS: usize, const LEAF: usize> Node<BITS, LEAF> {
    fn collect(&self, into: &mut Vec<Key>) {
        match self {
            Self::Leaf { keys, .. } => into.extend_from_slice(keys),
            Self::Inner(inner) => inner.children.iter().for_each(|(_, child)| child.collect(into)),
        }
    }
}

impl<const BITS: usize, const LEAF: usize> Cut<'_, BITS, LEAF> {
    fn summary_count(&self) -> u64 {
        match self {
            Self::Whole(node) => node.len(),
            Self::Keys(keys) => keys.len() as u64,
            Self::Inner { count, .. } => *count,
        }
    }

    /// How many keys, and their hash.
    pub(super) fn summary(&self) -> (u64, [u8; 32]) {
        let hash = match self {
            Self::Whole(node) => node.hash(),
            Self::Keys(keys) => hash_leaf(keys),
            Self::Inner { children, .. } => hash_inner::<BITS>(children),
        };
        (self.summary_count(), hash)
    }

    /// Only called where there are few keys: such a cut is never an inner node.
    fn collect(self, into: &mut Vec<Key>) {
        match self {
            Self::Whole(node) => node.collect(into),
            Self::Keys(keys) => into.extend(keys),
            Self::Inner { .. } => debug_assert!(false, "an inner node has more keys than a leaf"),
        }
    }

    pub(super) fn part(self) -> Part {
        match self {
            Self::Whole(Node::Leaf { keys, .. }) => Part::Leaf(keys.clone()),
            Self::Whole(Node::Inner(inner)) => Part::Inner { prefix: inner.prefix, children: inner.child_hashes() },
            Self::Keys(keys) => Part::Leaf(keys),
            Self::Inner { prefix, children, .. } => Part::Inner { prefix, children },
        }
    }
}

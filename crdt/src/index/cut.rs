//! Trees seen through a cut: of the keys at or below an upper key only.

use std::cmp::Ordering;

use super::{
    Part, Prefix,
    digits::digit,
    hashing::{hash_inner, hash_leaf},
    node::Node,
};
use crate::Key;

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
        let (node, inner) = match self {
            Self::Keys(keys) => return Cut::Keys(up_to(keys, upper)),
            Self::Node(Node::Leaf { keys, .. }) if keys.last().is_some_and(|last| last > upper) => {
                return Cut::Keys(up_to(keys, upper));
            }
            Self::Node(node @ Node::Leaf { .. }) => return Cut::Whole(node),
            Self::Node(node @ Node::Inner(inner)) => match inner.prefix.cmp_region(&upper.to_bytes()) {
                Ordering::Less => return Cut::Keys(Vec::new()),
                Ordering::Greater => return Cut::Whole(node),
                Ordering::Equal => (node, inner),
            },
        };
        let at = digit::<BITS>(&upper.to_bytes(), inner.depth());
        let whole = inner.digits.rank(at);
        let partial = inner.child(at).map(|child| child.cut(upper));
        let partial_count = partial.as_ref().map_or(0, |cut| cut.summary_count());
        let count = inner.children[..whole].iter().map(Node::len).sum::<u64>() + partial_count;

        // Nothing was cut off, as nearly always when a replica is asked what it holds up to now.
        if count == inner.count {
            return Cut::Whole(node);
        }
        // The shape is that of a tree of these keys alone: few keys are a leaf, and one child is no node.
        if count <= LEAF as u64 {
            let mut keys = Vec::new();
            for child in &inner.children[..whole] {
                child.collect(&mut keys);
            }
            if let Some(cut) = partial {
                cut.collect(&mut keys);
            }
            return Cut::Keys(keys);
        }
        match (&inner.children[..whole], partial) {
            ([], Some(cut)) => cut,
            ([only], _) if partial_count == 0 => Cut::Whole(only),
            (before, partial) => {
                let mut children: Vec<_> = inner.digits.iter().zip(before.iter().map(Node::hash)).collect();
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

//! The hashes of nodes, as many at once as there are.

use super::node::Node;
use crate::{KEY_LEN, Key, id::sha256, lanes::sha256_all};

const LEAF_TAG: &[u8] = b"distchat/1/leaf\0";
const INNER_TAG: &[u8] = b"distchat/1/inner\0";
/// How many nodes are hashed at once at most, which bounds what is laid out for it to some hundred kilobytes.
const AT_ONCE: usize = 256;

pub(super) fn hash_leaf(keys: &[Key]) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(LEAF_TAG.len() + keys.len() * KEY_LEN);
    write_leaf(keys, &mut bytes);
    sha256(&[&bytes])
}

pub(super) fn hash_inner<const BITS: usize>(children: &[(u8, [u8; 32])]) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(INNER_TAG.len() + 32 * (children.len() + 1));
    write_inner::<BITS>(children.iter().copied(), &mut bytes);
    sha256(&[&bytes])
}

fn write_leaf(keys: &[Key], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(LEAF_TAG);
    for key in keys {
        bytes.extend_from_slice(&key.to_bytes());
    }
}

/// The bitmap has one bit a digit, digit n in bit n % 8 of byte n / 8.
fn write_inner<const BITS: usize>(children: impl Iterator<Item = (u8, [u8; 32])>, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(INNER_TAG);
    let bitmap = bytes.len();
    bytes.resize(bitmap + (1_usize << BITS).div_ceil(8), 0);
    for (digit, hash) in children {
        bytes[bitmap + usize::from(digit) / 8] |= 1 << (digit % 8);
        bytes.extend_from_slice(&hash);
    }
}

/// Computes and keeps the hashes of a node and of all below it that have none; the node's own.
///
/// From the leaves up, all nodes of one height together: so a tree that was just built is hashed several times as fast as
/// node by node.
pub(super) fn hash_all<const BITS: usize, const LEAF: usize>(node: &Node<BITS, LEAF>) -> [u8; 32] {
    let mut heights = Vec::new();
    gather(node, &mut heights);
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for nodes in heights.iter().flat_map(|nodes| nodes.chunks(AT_ONCE)) {
        bytes.clear();
        ends.clear();
        for node in nodes {
            match node {
                Node::Leaf { keys, .. } => write_leaf(keys, &mut bytes),
                Node::Inner(inner) => {
                    // Those of lower nodes are known by now.
                    let hashes = inner.children.iter().map(Node::hash);
                    write_inner::<BITS>(inner.digits.iter().zip(hashes), &mut bytes);
                }
            }
            ends.push(bytes.len());
        }
        let starts = [0].into_iter().chain(ends.iter().copied());
        let inputs: Vec<&[u8]> = starts.zip(&ends).map(|(start, end)| &bytes[start..*end]).collect();
        for (node, hash) in nodes.iter().zip(sha256_all(&inputs)) {
            node.hash_cell().get_or_init(|| hash);
        }
    }
    node.hash_cell().get().copied().unwrap_or_default()
}

/// Gathers the nodes without a hash by their height above the deepest of these below them; the height of this one.
fn gather<'a, const BITS: usize, const LEAF: usize>(
    node: &'a Node<BITS, LEAF>,
    heights: &mut Vec<Vec<&'a Node<BITS, LEAF>>>,
) -> usize {
    if node.hash_cell().get().is_some() {
        return 0;
    }
    let height = match node {
        Node::Leaf { .. } => 0,
        Node::Inner(inner) => 1 + inner.children.iter().map(|child| gather(child, heights)).max().unwrap_or(0),
    };
    if heights.len() <= height {
        heights.resize_with(height + 1, Vec::new);
    }
    heights[height].push(node);
    height
}

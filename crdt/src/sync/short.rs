//! Short hashes: what stands for keys and subtrees on the wire.

use super::SHORT_LEN;
use crate::{Key, id::sha256, lanes::sha256_all};

const TAG: &[u8] = b"distchat/1/short\0";

/// A hash cut to 6 bytes.
pub(super) type Short = [u8; SHORT_LEN];

fn cut([a, b, c, d, e, f, ..]: [u8; 32]) -> Short {
    [a, b, c, d, e, f]
}

/// Makes short hashes of one session. The asker draws the nonce when the session begins, so nobody can have prepared
/// two things with one short hash before; a difference hidden by chance is found in the next session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shortener {
    pub(super) nonce: u64,
}

impl Shortener {
    pub(super) fn hash(self, hash: &[u8; 32]) -> Short {
        self.shorten(hash)
    }

    pub(super) fn key(self, key: &Key) -> Short {
        self.shorten(&key.to_bytes())
    }

    /// The short hashes of keys, one behind the other.
    pub(super) fn keys(self, keys: &[Key]) -> Vec<u8> {
        self.each_key(keys).concat()
    }

    /// The short hash of each key.
    pub(super) fn each_key(self, keys: &[Key]) -> Vec<Short> {
        self.shorten_all(keys.iter().map(Key::to_bytes))
    }

    /// The short hash of each hash.
    pub(super) fn each_hash<'a>(self, hashes: impl Iterator<Item = &'a [u8; 32]>) -> Vec<Short> {
        self.shorten_all(hashes.copied())
    }

    fn shorten(self, bytes: &[u8]) -> Short {
        cut(sha256(&[TAG, &self.nonce.to_be_bytes(), bytes]))
    }

    /// The same for many of one length, side by side.
    fn shorten_all<const N: usize>(self, items: impl Iterator<Item = [u8; N]>) -> Vec<Short> {
        let mut inputs = Vec::with_capacity(items.size_hint().0 * (TAG.len() + 8 + N));
        for item in items {
            inputs.extend_from_slice(TAG);
            inputs.extend_from_slice(&self.nonce.to_be_bytes());
            inputs.extend_from_slice(&item);
        }
        let inputs: Vec<&[u8]> = inputs.chunks_exact(TAG.len() + 8 + N).collect();
        sha256_all(&inputs).into_iter().map(cut).collect()
    }
}

/// The short hashes in a byte string; what is left over at its end is not one.
pub(super) fn shorts(bytes: &[u8]) -> impl ExactSizeIterator<Item = Short> + '_ {
    bytes.chunks_exact(SHORT_LEN).map(|chunk| {
        let mut short = [0; SHORT_LEN];
        short.copy_from_slice(chunk);
        short
    })
}

/// Bits, the first in the lowest bit of the first byte.
pub(super) fn pack_bits(bits: impl Iterator<Item = bool>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (n, bit) in bits.enumerate() {
        if n % 8 == 0 {
            bytes.push(0);
        }
        if let Some(last) = bytes.last_mut() {
            *last |= u8::from(bit) << (n % 8);
        }
    }
    bytes
}

/// The bit at that place; false behind the end.
pub(super) fn bit(bytes: &[u8], at: usize) -> bool {
    bytes.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}

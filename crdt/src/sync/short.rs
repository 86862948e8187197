//! Short hashes: what stands for keys and subtrees on the wire.

use super::SHORT_LEN;
use crate::{Key, id::sha256};

/// A hash cut to 8 bytes.
pub(super) type Short = [u8; SHORT_LEN];

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
        keys.iter().flat_map(|key| self.key(key)).collect()
    }

    fn shorten(self, bytes: &[u8]) -> Short {
        let [a, b, c, d, e, f, g, h, ..] = sha256(&[b"distchat/1/short\0", &self.nonce.to_be_bytes(), bytes]);
        [a, b, c, d, e, f, g, h]
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

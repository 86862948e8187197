//! Digits of keys, and sets of them.

use crate::{KEY_LEN, Key};

/// The digit of a key at that depth.
pub(super) fn digit<const BITS: usize>(key: &[u8; KEY_LEN], depth: usize) -> u8 {
    let bit = depth * BITS;
    let byte = key.get(bit / 8).copied().unwrap_or(0);
    let shift = 8 - BITS - bit % 8;
    (byte >> shift) & ((1_u16 << BITS) - 1) as u8
}

/// How many digits two keys share.
pub(super) fn shared_digits<const BITS: usize>(a: &[u8; KEY_LEN], b: &[u8; KEY_LEN]) -> usize {
    let byte = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(KEY_LEN);
    let bits = match (a.get(byte), b.get(byte)) {
        (Some(a), Some(b)) => (a ^ b).leading_zeros() as usize,
        _ => 0,
    };
    (8 * byte + bits) / BITS
}

/// Ascending keys that share their first `depth` digits, by the next digit.
pub(super) fn groups<const BITS: usize>(keys: &[Key], depth: usize) -> impl Iterator<Item = (u8, &[Key])> {
    let mut rest = keys;
    std::iter::from_fn(move || {
        let first = digit::<BITS>(&rest.first()?.to_bytes(), depth);
        // Most groups are all that is left or a few keys.
        let last = digit::<BITS>(&rest.last()?.to_bytes(), depth);
        let end = if last == first {
            rest.len()
        } else {
            rest.partition_point(|key| digit::<BITS>(&key.to_bytes(), depth) <= first)
        };
        let (group, behind) = rest.split_at(end);
        rest = behind;
        Some((first, group))
    })
}

/// Some digits, of at most eight bits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Digits([u64; 4]);

impl Digits {
    pub(super) fn contains(&self, digit: u8) -> bool {
        self.0[usize::from(digit / 64)] >> (digit % 64) & 1 == 1
    }

    pub(super) fn insert(&mut self, digit: u8) {
        self.0[usize::from(digit / 64)] |= 1 << (digit % 64);
    }

    /// How many are below this one.
    pub(super) fn rank(&self, digit: u8) -> usize {
        let (before, word) = (&self.0[..usize::from(digit / 64)], self.0[usize::from(digit / 64)]);
        let below = word & ((1 << (digit % 64)) - 1);
        before.iter().chain([&below]).map(|word| word.count_ones() as usize).sum()
    }

    /// Ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u8> {
        let mut words = self.0;
        std::iter::from_fn(move || {
            let (at, word) = words.iter_mut().enumerate().find(|(_, word)| **word != 0)?;
            let bit = word.trailing_zeros();
            *word &= *word - 1;
            Some((64 * at) as u8 + bit as u8)
        })
    }
}

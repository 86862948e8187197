//! A prefix of a key: the name of a subtree.

use std::{cmp::Ordering, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::digits::digit;
use crate::{KEY_LEN, Key};

/// Half bytes in a key.
const NIBBLES: usize = 2 * KEY_LEN;

/// The first digits of a key. Its region is all keys that begin with them.
///
/// On the wire, with digits of 4 bits: a byte string of the number of digits in one byte, then the digits, two a byte,
/// the first in the upper half, an unused last half zero.
///
/// ```
/// use distchat_crdt::{Key, MessageId, Timestamp, index::Prefix};
///
/// let key = |time| Key { time: Timestamp(time), id: MessageId([0; 32]) };
/// // All keys whose times begin with these six of their sixteen digits.
/// let region = Prefix::of::<4>(&key(0x1234_5600_0000_0000), 6);
/// assert!(region.covers(&key(0x1234_56ff_0000_0000)));
/// assert_eq!(format!("{region:?}"), "Prefix(123456)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The digits, and zeros behind them.
    bytes: [u8; KEY_LEN],
    /// How many bits count.
    bits: u16,
}

impl Prefix {
    /// The prefix of every key.
    pub const EMPTY: Self = Self { bytes: [0; KEY_LEN], bits: 0 };

    /// The first `digits` digits of a key; all of it if it has no more.
    ///
    /// ```
    /// # use distchat_crdt::{Key, MessageId, Timestamp, index::Prefix};
    /// let key = Key { time: Timestamp(0x1234 << 48), id: MessageId([0; 32]) };
    /// assert_eq!(format!("{:?}", Prefix::of::<4>(&key, 3)), "Prefix(123)");
    /// assert_eq!(Prefix::of::<4>(&key, 0), Prefix::EMPTY);
    /// ```
    pub fn of<const BITS: usize>(key: &Key, digits: usize) -> Self {
        let bits = (digits * BITS).min(8 * KEY_LEN);
        let mut bytes = key.to_bytes();
        if let Some(byte) = bytes.get_mut(bits / 8) {
            *byte &= !(0xff_u16 >> (bits % 8)) as u8;
        }
        bytes.iter_mut().skip(bits / 8 + 1).for_each(|byte| *byte = 0);
        Self { bytes, bits: bits as u16 }
    }

    /// This prefix and one digit more, which is below 2^`BITS`. The prefix is shorter than a key.
    ///
    /// ```
    /// # use distchat_crdt::{Key, MessageId, Timestamp, index::Prefix};
    /// let key = Key { time: Timestamp(0x1234 << 48), id: MessageId([0; 32]) };
    /// assert_eq!(Prefix::of::<4>(&key, 1).child::<4>(0x2), Prefix::of::<4>(&key, 2));
    /// ```
    pub fn child<const BITS: usize>(&self, digit: u8) -> Self {
        let mut child = *self;
        let bit = usize::from(self.bits);
        if let Some(byte) = child.bytes.get_mut(bit / 8) {
            *byte |= digit << (8 - BITS - bit % 8);
        }
        child.bits += BITS as u16;
        child
    }

    /// How many digits it has.
    ///
    /// ```
    /// # use distchat_crdt::{Key, index::Prefix};
    /// assert_eq!(Prefix::of::<4>(&Key::MIN, 6).digits::<4>(), 6);
    /// assert_eq!(Prefix::of::<4>(&Key::MIN, 6).digits::<8>(), 3, "three whole bytes");
    /// ```
    pub fn digits<const BITS: usize>(&self) -> usize {
        usize::from(self.bits) / BITS
    }

    /// Whether the key begins so.
    ///
    /// ```
    /// # use distchat_crdt::{Key, Timestamp, index::Prefix};
    /// let region = Prefix::EMPTY.child::<4>(0x1);
    /// assert!(region.covers(&Key::last_of(Timestamp(0x1fff << 48))));
    /// assert!(!region.covers(&Key::last_of(Timestamp(0x2000 << 48))));
    /// ```
    pub fn covers(&self, key: &Key) -> bool {
        self.cmp_region(&key.to_bytes()) == Ordering::Equal
    }

    /// Whether every key that begins with `other` begins with this.
    ///
    /// ```
    /// # use distchat_crdt::index::Prefix;
    /// let region = Prefix::EMPTY.child::<4>(0x1);
    /// assert!(region.contains(&region.child::<4>(0x2)) && region.contains(&region));
    /// assert!(!region.child::<4>(0x2).contains(&region));
    /// ```
    pub fn contains(&self, other: &Self) -> bool {
        self.bits <= other.bits && self.cmp_region(&other.bytes) == Ordering::Equal
    }

    /// Where the key stands to the region: before (`Less`), in it, or behind it (`Greater`).
    pub(super) fn cmp_region(&self, key: &[u8; KEY_LEN]) -> Ordering {
        // Few nodes stand deeper than the times reach: their prefixes fit a machine word.
        if let Some(unused) = 64_u16.checked_sub(self.bits) {
            let digits = |bytes: &[u8; KEY_LEN]| first_word(bytes).checked_shr(unused.into()).unwrap_or(0);
            return digits(key).cmp(&digits(&self.bytes));
        }
        let whole = usize::from(self.bits) / 8;
        let rest = usize::from(self.bits) % 8;
        key[..whole].cmp(&self.bytes[..whole]).then_with(|| {
            if rest == 0 {
                return Ordering::Equal;
            }
            let mask = !(0xff_u16 >> rest) as u8;
            (key[whole] & mask).cmp(&self.bytes[whole])
        })
    }

    /// The digit at that depth.
    pub(super) fn digit<const BITS: usize>(&self, depth: usize) -> u8 {
        digit::<BITS>(&self.bytes, depth)
    }

    /// The smallest key of the region.
    ///
    /// ```
    /// # use distchat_crdt::{Key, index::Prefix};
    /// let region = Prefix::EMPTY.child::<4>(0x1);
    /// assert_eq!(region.first().time.0, 0x1000 << 48);
    /// assert!(region.covers(&region.first()));
    /// assert_eq!(Prefix::EMPTY.first(), Key::MIN);
    /// ```
    pub fn first(&self) -> Key {
        Key::from_bytes(&self.bytes)
    }

    /// The first key behind the region; `None` if the region reaches the end of all keys.
    ///
    /// ```
    /// # use distchat_crdt::index::Prefix;
    /// let region = Prefix::EMPTY.child::<4>(0x1);
    /// assert_eq!(region.end().map(|key| key.time.0), Some(0x2000 << 48));
    /// assert_eq!(Prefix::EMPTY.child::<4>(0xf).end(), None);
    /// ```
    pub fn end(&self) -> Option<Key> {
        let mut bytes = self.bytes;
        let last = usize::from(self.bits).checked_sub(1)?;
        let mut carry = 1_u16 << (7 - last % 8);
        for byte in bytes[..=last / 8].iter_mut().rev() {
            let sum = u16::from(*byte) + carry;
            *byte = sum as u8;
            carry = sum >> 8;
        }
        (carry == 0).then(|| Key::from_bytes(&bytes))
    }
}

/// A key's first eight bytes as a number.
fn first_word(key: &[u8; KEY_LEN]) -> u64 {
    key.first_chunk().map_or(0, |word| u64::from_be_bytes(*word))
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prefix(")?;
        for depth in 0..self.digits::<4>() {
            write!(f, "{:x}", self.digit::<4>(depth))?;
        }
        f.write_str(")")
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let nibbles = self.digits::<4>();
        let mut wire = Vec::with_capacity(1 + KEY_LEN);
        wire.push(nibbles as u8);
        wire.extend_from_slice(&self.bytes[..nibbles.div_ceil(2)]);
        s.serialize_bytes(&wire)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Prefix;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a prefix: the number of half bytes, then the half bytes")
            }

            fn visit_bytes<E: de::Error>(self, wire: &[u8]) -> Result<Prefix, E> {
                let (nibbles, packed) = wire.split_first().ok_or_else(|| E::invalid_length(0, &self))?;
                let nibbles = usize::from(*nibbles);
                if nibbles > NIBBLES || packed.len() != nibbles.div_ceil(2) {
                    return Err(E::invalid_length(wire.len(), &self));
                }
                let mut bytes = [0; KEY_LEN];
                bytes[..packed.len()].copy_from_slice(packed);
                let key = Key::from_bytes(&bytes);
                let prefix = Prefix::of::<4>(&key, nibbles);
                // One prefix has one encoding: nothing may hide in the unused half.
                if prefix.bytes == bytes { Ok(prefix) } else { Err(E::custom("the unused half byte is not zero")) }
            }
        }
        d.deserialize_bytes(Visitor)
    }
}

//! The total order of a room: the key (time, id).

use std::{cmp::Ordering, fmt};

use serde::{Deserialize, Serialize};

use crate::{MessageId, plant::Bug};

/// Length of a key's byte form.
pub const KEY_LEN: usize = 40;

/// A hybrid logical clock reading (Kulkarni et al., "Logical Physical Clocks", 2014): milliseconds since 1970 in the
/// upper 48 bits, a counter in the lower 16. A counter that overflows runs on into the milliseconds.
///
/// ```
/// use distchat_crdt::Timestamp;
///
/// // Two messages of one millisecond: the counter tells which is later.
/// let first = Timestamp::from_millis(1_790_000_000_000);
/// let second = Timestamp(first.0 + 1);
/// assert!(first < second);
/// assert_eq!(first.millis(), second.millis());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The greatest time a message can bear.
    pub const MAX: Self = Self((1 << 63) - 1);

    /// The first reading of that millisecond; clamped to [`Timestamp::MAX`].
    ///
    /// ```
    /// # use distchat_crdt::Timestamp;
    /// assert_eq!(Timestamp::from_millis(5), Timestamp(5 << 16));
    /// ```
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.min(Self::MAX.0 >> 16) << 16)
    }

    /// The last reading of that millisecond; clamped to [`Timestamp::MAX`].
    ///
    /// ```
    /// # use distchat_crdt::Timestamp;
    /// assert_eq!(Timestamp::end_of_millis(5).0 + 1, Timestamp::from_millis(6).0);
    /// ```
    pub fn end_of_millis(millis: u64) -> Self {
        Self(Self::from_millis(millis).0 | 0xffff)
    }

    /// Milliseconds since 1970.
    ///
    /// ```
    /// # use distchat_crdt::Timestamp;
    /// assert_eq!(Timestamp::end_of_millis(5).millis(), 5);
    /// ```
    pub fn millis(self) -> u64 {
        self.0 >> 16
    }
}

/// A message's place in its room, and a reference to it. Ordered by time, then id: the transcript's order.
///
/// Encoded as an array of two: the time as an unsigned integer, the id as 32 bytes.
///
/// ```
/// use distchat_crdt::{Key, MessageId, Timestamp};
///
/// let key = |millis, id| Key { time: Timestamp::from_millis(millis), id: MessageId([id; 32]) };
/// let mut transcript = [key(2, 0), key(1, 9), key(1, 3)];
/// transcript.sort();
/// assert_eq!(transcript, [key(1, 3), key(1, 9), key(2, 0)]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "(Timestamp, MessageId)", into = "(Timestamp, MessageId)")]
pub struct Key {
    /// The message's time.
    pub time: Timestamp,
    /// The message's id.
    pub id: MessageId,
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_time = self.time.cmp(&other.time);
        if Bug::OrderIgnoresId.is_planted() { by_time } else { by_time.then_with(|| self.id.cmp(&other.id)) }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Key {
    /// No key is smaller. It belongs to no message, for no message has time 0.
    pub const MIN: Self = Self { time: Timestamp(0), id: MessageId([0; 32]) };

    /// The greatest key of that time: everything up to and including the time is at or below it.
    ///
    /// ```
    /// # use distchat_crdt::{Key, MessageId, Timestamp};
    /// let noon = Timestamp::from_millis(43_200_000);
    /// assert!(Key { time: noon, id: MessageId([7; 32]) } <= Key::last_of(noon));
    /// assert!(Key { time: Timestamp(noon.0 + 1), id: MessageId([0; 32]) } > Key::last_of(noon));
    /// ```
    pub fn last_of(time: Timestamp) -> Self {
        Self { time, id: MessageId([0xff; 32]) }
    }

    /// The next greater key; the greatest key's is itself.
    ///
    /// ```
    /// # use distchat_crdt::{Key, Timestamp};
    /// // As an end that is not included, for what is to be included.
    /// let last = Key::last_of(Timestamp(5));
    /// assert!(last.next() > last);
    /// assert_eq!(last.next().time, Timestamp(6));
    /// ```
    pub fn next(&self) -> Self {
        let mut bytes = self.to_bytes();
        for byte in bytes.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                return Self::from_bytes(&bytes);
            }
        }
        *self
    }

    /// Big-endian time, then the id: bytes that sort as the keys do.
    ///
    /// ```
    /// # use distchat_crdt::{Key, MessageId, Timestamp};
    /// let bytes = Key { time: Timestamp(0x0102), id: MessageId([7; 32]) }.to_bytes();
    /// assert_eq!(bytes[..8], [0, 0, 0, 0, 0, 0, 1, 2]);
    /// assert_eq!(bytes[8..], [7; 32]);
    /// ```
    pub fn to_bytes(&self) -> [u8; KEY_LEN] {
        let mut bytes = [0; KEY_LEN];
        let (time, id) = bytes.split_at_mut(8);
        time.copy_from_slice(&self.time.0.to_be_bytes());
        id.copy_from_slice(&self.id.0);
        bytes
    }

    /// The inverse of [`Key::to_bytes`].
    ///
    /// ```
    /// # use distchat_crdt::{KEY_LEN, Key, Timestamp};
    /// let key = Key::last_of(Timestamp(5));
    /// assert_eq!(Key::from_bytes(&key.to_bytes()), key);
    /// assert_eq!(Key::from_bytes(&[0; KEY_LEN]), Key::MIN);
    /// ```
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> Self {
        let mut time = [0; 8];
        let mut id = [0; 32];
        time.copy_from_slice(&bytes[..8]);
        id.copy_from_slice(&bytes[8..]);
        Self { time: Timestamp(u64::from_be_bytes(time)), id: MessageId(id) }
    }
}

impl From<(Timestamp, MessageId)> for Key {
    fn from((time, id): (Timestamp, MessageId)) -> Self {
        Self { time, id }
    }
}

impl From<Key> for (Timestamp, MessageId) {
    fn from(key: Key) -> Self {
        (key.time, key.id)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}.{}, {})", self.time.millis(), self.time.0 & 0xffff, self.id.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_sort_as_keys_do(a in any::<(u64, [u8; 32])>(), b in any::<(u64, [u8; 32])>()) {
            let [a, b] = [a, b].map(|(time, id)| Key { time: Timestamp(time), id: MessageId(id) });
            prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
            prop_assert_eq!(Key::from_bytes(&a.to_bytes()), a);
            prop_assert!(a.next() > a && !(a.next() > b && b > a));
        }
    }

    #[test]
    fn a_time_is_milliseconds_and_a_counter() {
        let time = Timestamp::from_millis(1_700_000_000_000);
        assert_eq!(time.millis(), 1_700_000_000_000);
        assert_eq!(Timestamp::end_of_millis(5).0, 5 << 16 | 0xffff);
        assert!(Timestamp::from_millis(u64::MAX) <= Timestamp::MAX);
        assert!(Timestamp::end_of_millis(u64::MAX) <= Timestamp::MAX);
    }
}

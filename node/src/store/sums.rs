//! What a room's derived rows add up to, so that damage to them is noticed when the room is loaded.
//!
//! The invariant: a room's row in `sums` is the number of its messages, and for its keys, heads, claims and authors the sum of
//! a number that is made of each row, modulo 2^64. It is written in the transaction that changes the rows, from what that
//! transaction has really changed, so it costs a commit a few additions and one row. Rows that were altered, lost or doubled
//! behind this program's back give another sum. It is no protection against somebody who wants to deceive: whoever can write
//! the file can write the sums, too.

use std::collections::BTreeMap;

use distchat_crdt::{AuthorId, Claim, Key};
use rusqlite::{Connection, OptionalExtension, params};

use super::{RoomNo, error::StoreError};

/// The sums of a room, or what a transaction adds to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    messages: u64,
    keys: u64,
    heads: u64,
    claims: u64,
    authors: u64,
}

/// Whether a row has come or gone.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Added,
    Removed,
}

impl Change {
    fn to(self, sum: &mut u64, number: u64) {
        *sum = match self {
            Self::Added => sum.wrapping_add(number),
            Self::Removed => sum.wrapping_sub(number),
        };
    }
}

impl Sums {
    pub(super) fn message(&mut self, key: &Key) {
        self.messages = self.messages.wrapping_add(1);
        self.keys = self.keys.wrapping_add(number_of(key));
    }

    /// Whether it is of the same messages.
    pub(super) fn same_messages(&self, other: &Self) -> bool {
        (self.messages, self.keys) == (other.messages, other.keys)
    }

    pub(super) fn head(&mut self, change: Change, key: &Key) {
        change.to(&mut self.heads, number_of(key));
    }

    pub(super) fn claim(&mut self, change: Change, claim: &Claim) {
        let vouched = claim.vouched_seq.map_or(u64::MAX, |seq| seq);
        change.to(&mut self.claims, mix(number_of(&claim.key) ^ mix(number(&claim.author.0) ^ vouched)));
    }

    /// An author's row as it stands in the table.
    pub(super) fn author(&mut self, change: Change, author: &AuthorId, forked: bool, count: u64, ranges: &[u8]) {
        let row = number(&author.0) ^ mix(count ^ u64::from(forked) << 63) ^ number(ranges).rotate_left(17);
        change.to(&mut self.authors, mix(row));
    }

    /// A page of an author's ranges, as it stands in the table.
    pub(super) fn page(&mut self, change: Change, author: &AuthorId, first: i64, ranges: &[u8]) {
        let row = number(&author.0) ^ mix(first.cast_unsigned()) ^ number(ranges).rotate_left(29);
        change.to(&mut self.authors, mix(row));
    }

    fn add(self, other: Self) -> Self {
        Self {
            messages: self.messages.wrapping_add(other.messages),
            keys: self.keys.wrapping_add(other.keys),
            heads: self.heads.wrapping_add(other.heads),
            claims: self.claims.wrapping_add(other.claims),
            authors: self.authors.wrapping_add(other.authors),
        }
    }
}

/// The sums that are kept of a room; `None` if they were thrown away.
pub(super) fn read(conn: &Connection, room: RoomNo) -> Result<Option<Sums>, StoreError> {
    let mut statement =
        conn.prepare_cached("SELECT messages, keys, heads, claims, authors FROM sums WHERE room = ?")?;
    let sums = statement.query_row([room.0], |row| {
        let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
        Ok(Sums { messages: number(0)?, keys: number(1)?, heads: number(2)?, claims: number(3)?, authors: number(4)? })
    });
    Ok(sums.optional()?)
}

pub(super) fn write(conn: &Connection, room: RoomNo, sums: Sums) -> Result<(), StoreError> {
    let Sums { messages, keys, heads, claims, authors } = sums;
    let mut statement = conn.prepare_cached("INSERT OR REPLACE INTO sums VALUES (?, ?, ?, ?, ?, ?)")?;
    let [messages, keys, heads, claims, authors] = [messages, keys, heads, claims, authors].map(u64::cast_signed);
    statement.execute(params![room.0, messages, keys, heads, claims, authors])?;
    Ok(())
}

/// Adds what a transaction has changed. A room without sums stays without: it is to be judged anew.
pub(super) fn add(conn: &Connection, changes: BTreeMap<RoomNo, Sums>) -> Result<(), StoreError> {
    for (room, change) in changes {
        if change != Sums::default()
            && let Some(sums) = read(conn, room)?
        {
            write(conn, room, sums.add(change))?;
        }
    }
    Ok(())
}

/// Of a million keys in some milliseconds: the products do not wait for each other.
fn number_of(key: &Key) -> u64 {
    let (words, _) = key.id.0.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word)).chain([key.time.0]);
    mix(words.zip(ODD).fold(0, |sum, (word, odd)| sum.wrapping_add(word.wrapping_mul(odd))))
}

/// Odd, so that no bit of a word gets lost.
const ODD: [u64; 5] =
    [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 0xd6e8_feb8_6659_fd93, 0x517c_c1b7_2722_0a95];

/// A number that changes with any byte.
fn number(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let last = rest.iter().fold(bytes.len() as u64, |last, byte| last << 8 | u64::from(*byte));
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    words.fold(last, |sum, word| (sum.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95))
}

/// Spreads a number's bits, so that sums of related numbers are not related.
fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    number ^ number >> 32
}

#[cfg(test)]
mod tests {
    use distchat_crdt::{MessageId, Timestamp};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_flipped_bit_gives_another_sum(bytes in prop::collection::vec(any::<u8>(), 1..60), at: prop::sample::Index, bit in 0..8_u8) {
            let mut flipped = bytes.clone();
            flipped[at.index(bytes.len())] ^= 1 << bit;
            prop_assert_ne!(number(&bytes), number(&flipped));
        }

        #[test]
        fn what_comes_and_goes_leaves_nothing(time: u64, id: [u8; 32], count: u64, ranges: Vec<u8>) {
            let key = Key { time: Timestamp(time), id: MessageId(id) };
            let (author, mut sums) = (AuthorId(id), Sums::default());
            let claim = Claim { key, author, vouched_seq: Some(count) };
            for change in [Change::Added, Change::Removed] {
                sums.head(change, &key);
                sums.claim(change, &claim);
                sums.author(change, &author, true, count, &ranges);
            }
            prop_assert_eq!(sums, Sums::default());
        }
    }
}

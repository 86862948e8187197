//! The corner of CBOR that messages are made of: RFC 8949's core deterministic encoding (section 4.2.1), strictly.
//!
//! A message's bytes are its identity, so one value must have one encoding. General CBOR libraries accept several
//! (long integers, indefinite lengths), hence this reader, which accepts exactly one and allocates nothing.

use thiserror::Error;

/// Major types (RFC 8949 section 3.1) that occur in messages.
const UINT: u8 = 0;
const BYTES: u8 = 2;
const ARRAY: u8 = 4;
const NULL: u8 = 0xf6;

/// Why bytes are not the canonical CBOR that was expected.
///
/// ```
/// use distchat_crdt::{CborError, DecodeError, Message};
///
/// // An array of ten, and a version that takes one byte more than it needs.
/// assert_eq!(Message::decode(&[0x8a, 0x18, 0x01]), Err(DecodeError::Cbor(CborError::NotCanonical)));
/// assert_eq!(Message::decode(b""), Err(DecodeError::Cbor(CborError::Truncated)));
/// assert_eq!(Message::decode(b"hello"), Err(DecodeError::Cbor(CborError::UnexpectedType)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CborError {
    /// The bytes end inside an item.
    #[error("the bytes end early")]
    Truncated,
    /// An integer or a length in more bytes than it needs, or an indefinite length.
    #[error("not the shortest encoding, or an indefinite length")]
    NotCanonical,
    /// An item of another type.
    #[error("an item of another type than expected")]
    UnexpectedType,
}

/// Reads items from the front of a byte string.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn uint(&mut self) -> Result<u64, CborError> {
        self.head(UINT)
    }

    /// The number of items of an array, which follow.
    pub(crate) fn array(&mut self) -> Result<u64, CborError> {
        self.head(ARRAY)
    }

    /// The length of a byte string, whose content follows. Callers hold it against their limit before they take it.
    pub(crate) fn bytes_len(&mut self) -> Result<u64, CborError> {
        self.head(BYTES)
    }

    /// The next `len` bytes as they are.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], CborError> {
        let end = self.at.checked_add(len).ok_or(CborError::Truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(CborError::Truncated)?;
        self.at = end;
        Ok(taken)
    }

    /// A byte string of exactly `N` bytes.
    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], CborError> {
        if self.bytes_len()? != N as u64 {
            return Err(CborError::UnexpectedType);
        }
        self.take(N)?.try_into().map_err(|_| CborError::Truncated)
    }

    /// Whether a null stands here; if so, it is read.
    pub(crate) fn null(&mut self) -> bool {
        let null = self.bytes.get(self.at) == Some(&NULL);
        self.at += usize::from(null);
        null
    }

    /// Reads an item's head of that major type and returns its argument.
    fn head(&mut self, major: u8) -> Result<u64, CborError> {
        let first = *self.take(1)?.first().ok_or(CborError::Truncated)?;
        if first >> 5 != major {
            return Err(CborError::UnexpectedType);
        }
        let (width, least) = match first & 0x1f {
            info @ 0..=23 => return Ok(u64::from(info)),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return Err(CborError::NotCanonical),
        };
        let argument = self.take(width)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        if argument < least { Err(CborError::NotCanonical) } else { Ok(argument) }
    }
}

/// Appends items to a byte string, each in its one encoding.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn uint(&mut self, value: u64) {
        self.head(UINT, value);
    }

    pub(crate) fn array(&mut self, items: usize) {
        self.head(ARRAY, items as u64);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn null(&mut self) {
        self.0.push(NULL);
    }

    fn head(&mut self, major: u8, argument: u64) {
        let bytes = argument.to_be_bytes();
        let (info, width) = match argument {
            0..=23 => (bytes[7], 0),
            24..=0xff => (24, 1),
            0x100..=0xffff => (25, 2),
            0x1_0000..=0xffff_ffff => (26, 4),
            _ => (27, 8),
        };
        self.0.push(major << 5 | info);
        self.0.extend_from_slice(&bytes[8 - width..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 8949 appendix A, and section 4.2.1's examples of what is not deterministic.
    #[test]
    fn one_value_has_one_encoding() {
        let uint = |bytes: &[u8]| Reader::new(bytes).uint();
        for (value, bytes) in [
            (0, &[0x00][..]),
            (23, &[0x17]),
            (24, &[0x18, 0x18]),
            (1000, &[0x19, 0x03, 0xe8]),
            (1_000_000, &[0x1a, 0x00, 0x0f, 0x42, 0x40]),
            (u64::MAX, &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ] {
            assert_eq!(uint(bytes), Ok(value));
            let mut writer = Writer::default();
            writer.uint(value);
            assert_eq!(writer.0, bytes);
        }
        for long in [
            &[0x18, 0x17][..],
            &[0x19, 0, 0xff],
            &[0x1a, 0, 0, 0xff, 0xff],
            &[0x1b, 0, 0, 0, 0, 255, 255, 255, 255],
            &[0x1f],
            &[0x1c],
        ] {
            assert_eq!(uint(long), Err(CborError::NotCanonical), "{long:x?}");
        }
        assert_eq!(Reader::new(&[0x5f, 0x41, 0x00, 0xff]).bytes_len(), Err(CborError::NotCanonical));
        assert_eq!(Reader::new(&[0x9f, 0xff]).array(), Err(CborError::NotCanonical));
        assert_eq!(uint(&[0x20]), Err(CborError::UnexpectedType), "negative");
        assert_eq!(uint(&[0xc1, 0x00]), Err(CborError::UnexpectedType), "a tag");
        assert_eq!(uint(&[0xf9, 0, 0]), Err(CborError::UnexpectedType), "a float");
        assert_eq!(uint(&[0x1a, 0, 1]), Err(CborError::Truncated));
        assert_eq!(uint(&[]), Err(CborError::Truncated));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value: u64, bytes: Vec<u8>) {
            let mut writer = Writer::default();
            writer.uint(value);
            writer.bytes(&bytes);
            let mut reader = Reader::new(&writer.0);
            prop_assert_eq!(reader.uint(), Ok(value));
            let len = reader.bytes_len().unwrap() as usize;
            prop_assert_eq!(reader.take(len), Ok(&bytes[..]));
            prop_assert_eq!(reader.position(), writer.0.len());
        }
    }
}

//! Numbers as libp2p writes and reads them, and fields as Protocol Buffers do.

/// Adds a number, seven bits a byte, the lowest first.
pub(crate) fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Adds a field of bytes.
pub(crate) fn field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Adds a field of a number.
pub(crate) fn number(out: &mut Vec<u8>, field: u64, number: u64) {
    varint(out, field << 3);
    varint(out, number);
}

/// Bytes behind their length.
pub(crate) fn with_length(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 4);
    varint(&mut out, bytes.len() as u64);
    out.extend_from_slice(bytes);
    out
}

/// Takes a number off the front. `None` if it is not all there.
pub(crate) fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Takes what stands behind its length off the front. `None` if it is not all there.
pub(crate) fn take_with_length<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_varint(from)?).ok()?;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes)
}

/// The fields of a message that are bytes, each with its number; up to where it is none.
pub(crate) fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    let mut fields = Vec::new();
    while let Some(tag) = take_varint(&mut message) {
        let field = match tag & 7 {
            0 => take_varint(&mut message).map(|_| None),
            2 => take_with_length(&mut message).map(Some),
            _ => None,
        };
        match field {
            None => break,
            Some(field) => fields.extend(field.map(|bytes| (tag >> 3, bytes))),
        }
    }
    fields
}

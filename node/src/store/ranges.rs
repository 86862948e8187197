//! An author's ranges as bytes: the distances between their ends, as LEB128. A stranger can make many ranges by
//! leaving numbers out, and each of them costs two bytes.

/// Ascending ranges.
pub(super) fn encode(ranges: impl Iterator<Item = (u64, u64)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut last = 0;
    for (low, high) in ranges {
        write(&mut bytes, low - last);
        write(&mut bytes, high - low);
        last = high;
    }
    bytes
}

/// The inverse of [`encode`]; `None` for anything it does not write.
pub(super) fn decode(mut bytes: &[u8]) -> Option<Vec<(u64, u64)>> {
    let mut ranges = Vec::with_capacity(bytes.len() / 2);
    let mut last = 0_u64;
    while !bytes.is_empty() {
        let low = last.checked_add(read(&mut bytes)?)?;
        last = low.checked_add(read(&mut bytes)?)?;
        ranges.push((low, last));
    }
    Some(ranges)
}

fn write(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_go_there_and_back(ends in prop::collection::btree_set(prop_oneof![0..200_u64, any::<u64>()], 0..20)) {
            let ends: Vec<u64> = ends.into_iter().collect();
            let mut ranges: Vec<(u64, u64)> = ends.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            // Touching ranges are one range, which no log holds as two.
            ranges.dedup_by(|next, range| range.1 + 1 == next.0);
            prop_assert_eq!(decode(&encode(ranges.iter().copied())), Some(ranges));
        }

        #[test]
        fn no_bytes_cause_a_panic(bytes: Vec<u8>) {
            decode(&bytes);
        }
    }

    #[test]
    fn what_overflows_is_refused() {
        assert_eq!(decode(&[0xff; 11]), None);
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x01]), None);
        assert_eq!(decode(&[0x05]), None);
    }
}

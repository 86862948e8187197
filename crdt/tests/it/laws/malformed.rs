//! What RFC 8949 gives as examples of CBOR that is not well-formed (appendix F), of CBOR that is not deterministic
//! (section 4.2), and of every other type (appendix A), put in the place of each item of a message. A general reader
//! would accept most of it, or part of it.

use std::ops::Range;

use distchat_crdt::Message;

use super::encoding::samples;

/// Appendix F, by its headings.
const NOT_WELL_FORMED: &[(&str, &[&str])] = &[
    (
        "end of input in a head",
        &[
            "18",
            "19",
            "1a",
            "1b",
            "1901",
            "1a0102",
            "1b01020304050607",
            "38",
            "58",
            "78",
            "98",
            "9a01ff00",
            "b8",
            "d8",
            "f8",
            "f900",
            "fa0000",
            "fb000000",
        ],
    ),
    (
        "definite-length strings with short data",
        &["41", "61", "5affffffff00", "5bffffffffffffffff010203", "7affffffff00", "7b7fffffffffffffff010203"],
    ),
    (
        "definite-length maps and arrays not closed with enough items",
        &["81", "818181818181818181", "8200", "a1", "a20102", "a100", "a2000000"],
    ),
    ("tag number not followed by tag content", &["c0"]),
    ("indefinite-length strings not closed by a break", &["5f4100", "7f6100"]),
    (
        "indefinite-length maps and arrays not closed by a break",
        &["9f", "9f0102", "bf", "bf01020102", "819f", "9f8000", "9f9f9f9f9fffffffff", "9f819f819f9fffffff"],
    ),
    (
        "reserved additional information values",
        &[
            "1c", "1d", "1e", "3c", "3d", "3e", "5c", "5d", "5e", "7c", "7d", "7e", "9c", "9d", "9e", "bc", "bd", "be",
            "dc", "dd", "de", "fc", "fd", "fe",
        ],
    ),
    ("reserved two-byte encodings of simple values", &["f800", "f801", "f818", "f81f"]),
    (
        "indefinite-length string chunks not of the correct type",
        &["5f00ff", "5f21ff", "5f6100ff", "5f80ff", "5fa0ff", "5fc000ff", "5fe0ff", "7f4100ff"],
    ),
    ("indefinite-length string chunks not definite length", &["5f5f4100ffff", "7f7f6100ffff"]),
    ("break on its own", &["ff"]),
    (
        "break in a definite-length array or map or a tag",
        &["81ff", "8200ff", "a1ff", "a1ff00", "a100ff", "a20000ff", "9f81ff", "9f829f819f9fffffffff"],
    ),
    ("break in a value's place in an indefinite-length map", &["bf00ff", "bf000000ff"]),
    ("additional information 31 with the major types 0, 1 and 6", &["1f", "3f", "df"]),
];

/// Appendix A: well-formed items of types that no field has, and indefinite lengths.
const OTHER_TYPES: &[&str] = &[
    "20",
    "29",
    "3863",
    "3903e7",
    "3bffffffffffffffff",
    "c249010000000000000000",
    "c349010000000000000000",
    "f90000",
    "f98000",
    "f93c00",
    "fb3ff199999999999a",
    "f97bff",
    "fa47c35000",
    "f97c00",
    "f97e00",
    "fa7f800000",
    "fb7ff0000000000000",
    "f4",
    "f5",
    "f7",
    "f0",
    "f8ff",
    "c074323031332d30332d32315432303a30343a30305a",
    "c11a514b67b0",
    "d74401020304",
    "d818456449455446",
    "60",
    "6161",
    "6449455446",
    "62c3bc",
    "a0",
    "a201020304",
    "a26161016162820203",
    "826161a161626163",
    "5f42010243030405ff",
    "7f657374726561646d696e67ff",
    "9fff",
    "9f018202039f0405ffff",
    "83018202039f0405ff",
    "bf61610161629f0203ffff",
    "bf6346756ef563416d7421ff",
];

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// An item of a message: where its head is, its argument, and where it ends.
#[derive(Clone, Debug)]
struct Item {
    head: Range<usize>,
    argument: u64,
    end: usize,
}

/// All items of a message, the message itself and the fields of refs among them.
fn items(bytes: &[u8]) -> Vec<Item> {
    fn read(bytes: &[u8], at: usize, items: &mut Vec<Item>) -> usize {
        let width = match bytes[at] & 0x1f {
            0..24 => 0,
            info => 1 << (info - 24),
        };
        let head = at..at + 1 + width;
        let argument = match width {
            0 => u64::from(bytes[at] & 0x1f),
            _ => bytes[at + 1..head.end].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        let place = items.len();
        items.push(Item { head: head.clone(), argument, end: head.end });
        let end = match bytes[at] >> 5 {
            2 => head.end + argument as usize,
            4 => (0..argument).fold(head.end, |at, _| read(bytes, at, items)),
            _ => head.end,
        };
        items[place].end = end;
        end
    }
    let mut items = Vec::new();
    assert_eq!(read(bytes, 0, &mut items), bytes.len());
    items
}

/// Puts something in the place of part of a message, with the rest behind it and without.
#[track_caller]
fn check_refused(message: &Message, place: Range<usize>, with: &[u8], what: &str) {
    let (before, after) = (&message.bytes()[..place.start], &message.bytes()[place.end..]);
    for rest in [after, &[]] {
        let bytes = [before, with, rest].concat();
        assert!(Message::decode(&bytes).is_err(), "{what}: {with:x?} at {}", place.start);
        assert!(Message::decode_all(&bytes).is_err(), "{what}: {with:x?} at {}", place.start);
        // A good message before it does not help.
        assert!(Message::decode_all(&[message.bytes(), &bytes].concat()).is_err(), "{what}: {with:x?}");
    }
}

#[test]
fn what_is_not_well_formed_is_refused_everywhere() {
    for message in samples() {
        for item in items(message.bytes()) {
            for (what, examples) in NOT_WELL_FORMED {
                for example in *examples {
                    check_refused(&message, item.head.start..item.end, &hex(example), what);
                }
            }
        }
    }
}

#[test]
fn other_types_are_refused_everywhere() {
    for message in samples() {
        for item in items(message.bytes()) {
            for example in OTHER_TYPES {
                check_refused(&message, item.head.start..item.end, &hex(example), "another type");
            }
        }
    }
}

#[test]
fn longer_heads_and_indefinite_lengths_are_refused_everywhere() {
    for message in samples() {
        let bytes = message.bytes();
        for Item { head, argument, end } in items(bytes) {
            let major = bytes[head.start] & 0xe0;
            // Null has no argument to be written longer; as a simple value of two bytes it is not well-formed.
            if major == 0xe0 {
                check_refused(&message, head, &[0xf8, 22], "null in two bytes");
                continue;
            }
            for (info, width) in [(24, 1), (25, 2), (26, 4), (27, 8)] {
                if width >= head.len() {
                    let longer = [&[major | info], &argument.to_be_bytes()[8 - width..]].concat();
                    check_refused(&message, head.clone(), &longer, "a longer head than it needs");
                }
            }
            let content = &bytes[head.end..end];
            match major {
                0x40 => {
                    let whole = [&[0x5f], &bytes[head.start..end], &[0xff]].concat();
                    check_refused(&message, head.start..end, &whole, "a string in one chunk");
                    let (front, back) = content.split_at(content.len().min(23) / 2);
                    let chunk = |part: &[u8]| [&[0x58, part.len() as u8], part].concat();
                    let chunks = [&[0x5f][..], &chunk(front), &chunk(&back[..back.len().min(255)]), &[0xff]].concat();
                    check_refused(&message, head.start..end, &chunks, "a string in two chunks");
                }
                0x80 => {
                    let open = [&[0x9f], content, &[0xff]].concat();
                    check_refused(&message, head.start..end, &open, "an array of indefinite length");
                }
                _ => {}
            }
        }
    }
}

//! Files that somebody brings on a stick.

use distchat_crdt::bundle::{Part, Reader};

/// Whatever is in a file, it is read to its end, and what is found in it fits in it.
pub(super) fn run(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let mut found = 0;
    while let Some(part) = reader.next_part().expect("memory can be read") {
        if let Part::Messages { messages, .. } = part {
            found += messages.iter().map(Vec::len).sum::<usize>();
        }
    }
    assert!(found <= bytes.len());
    assert!(reader.next_part().expect("memory can be read").is_none(), "the end is the end");
}

//! Keys, and the roots of sets of them.

use distchat_crdt::{
    Fingerprint, Key, MessageId, Timestamp,
    index::{Index, Part, Prefix},
};

use super::{
    Vector,
    rules::{self, START_MS},
};

pub fn all() -> Vec<Vector> {
    vec![keys(), roots(), restricted(), node()]
}

/// The first keys of the examples.
pub fn first(count: u64) -> Index {
    (0..count).map(rules::key).collect()
}

fn root(keys: impl Iterator<Item = Key>) -> [u8; 32] {
    let mut keys: Vec<Key> = keys.collect();
    let index: Index = keys.iter().copied().collect();
    keys.sort_unstable();
    let bytes: Vec<[u8; 40]> = keys.iter().map(Key::to_bytes).collect();
    assert_eq!(index.root(), Fingerprint(rules::root(&bytes)));
    index.root().0
}

fn keys() -> Vector {
    [0, 1, 999]
        .into_iter()
        .fold(Vector::new("index-keys"), |vector, n| vector.hex(&format!("key-{n}"), &rules::key(n).to_bytes()))
}

fn roots() -> Vector {
    let vector = [0, 1, 16, 17, 1000].into_iter().fold(Vector::new("index-roots"), |vector, count| {
        vector.hex(&format!("first-{count}"), &root((0..count).map(rules::key)))
    });
    let time = Timestamp::from_millis(START_MS);
    let same_time = (0..17).map(|n| Key { time, id: MessageId(rules::key(n).id.0) });
    vector.note("the ids of the first 17, and the time of key 0 for all").hex("same-time-17", &root(same_time))
}

fn restricted() -> Vector {
    let upper = Timestamp::from_millis(START_MS + 350_000);
    let (count, part) = first(1000).root_to(&Key::last_of(upper));
    let below = (0..1000).map(rules::key).filter(|key| key.time <= upper);
    assert_eq!((count, part.0), (below.clone().count() as u64, root(below)));
    Vector::new("index-restricted")
        .note("the first 1000 up to the beginning of millisecond 1,790,000,350,000")
        .word("upper", upper.0)
        .word("count", count)
        .hex("root", &part.0)
}

fn node() -> Vector {
    let all = Prefix::EMPTY;
    let Part::Inner { prefix, children } = first(17).part(&all, &Key::last_of(Timestamp::MAX)) else {
        panic!("17 keys are no leaf")
    };
    let bitmap = children.iter().fold(0_u16, |bits, (digit, _)| bits | 1 << digit);
    let hashes: Vec<u8> = children.iter().flat_map(|(_, hash)| *hash).collect();
    assert_eq!(rules::sha256(&[b"distchat/1/inner\0", &bitmap.to_le_bytes(), &hashes]), first(17).root().0);
    let mut wire = Vec::new();
    ciborium::into_writer(&prefix, &mut wire).unwrap();
    let vector = Vector::new("index-node")
        .note("the root of the first 17: its prefix as on the wire, its bitmap as a number and as it is hashed")
        .hex("prefix", &wire[1..])
        .word("children", bitmap)
        .hex("bitmap", &bitmap.to_le_bytes());
    children.iter().fold(vector, |vector, (digit, hash)| vector.hex(&format!("child-{digit:x}"), hash))
}

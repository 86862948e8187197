use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{MessageId, Timestamp};

type Small = Index<4, 4>;
type Bytes = Index<8, 4>;
type Bits = Index<2, 4>;

const LAST: Key = Key { time: Timestamp(u64::MAX), id: MessageId([0xff; 32]) };

/// Keys that share long prefixes as often as short ones.
fn key() -> impl Strategy<Value = Key> {
    let time = prop_oneof![0..4_u64, 0..1000_u64, any::<u64>()];
    let id = prop_oneof![Just([0; 32]), Just([0xff; 32]), any::<[u8; 32]>()];
    (time, id, any::<u8>()).prop_map(|(time, mut id, last)| {
        id[31] = last;
        Key { time: Timestamp(time), id: MessageId(id) }
    })
}

fn keys() -> impl Strategy<Value = Vec<Key>> {
    prop::collection::vec(key(), 0..80)
}

/// The definition of the root, without a tree: what PROTOCOL.md says in words.
fn root_by_definition(keys: &[Key], leaf: usize) -> [u8; 32] {
    if keys.len() <= leaf {
        let bytes: Vec<u8> = keys.iter().flat_map(|key| key.to_bytes()).collect();
        return crate::id::sha256(&[b"distchat/1/leaf\0", &bytes]);
    }
    let nibble = |key: &Key, at: usize| key.to_bytes()[at / 2] >> (4 * (1 - at % 2)) & 15;
    let at = (0..80).find(|at| keys.iter().any(|key| nibble(key, *at) != nibble(&keys[0], *at))).unwrap();
    let mut bitmap = 0_u16;
    let mut hashes = Vec::new();
    for group in keys.chunk_by(|a, b| nibble(a, at) == nibble(b, at)) {
        bitmap |= 1 << nibble(&group[0], at);
        hashes.extend(root_by_definition(group, leaf));
    }
    crate::id::sha256(&[b"distchat/1/inner\0", &bitmap.to_le_bytes(), &hashes])
}

proptest! {
    #[test]
    fn it_is_the_set_whatever_the_order(keys in keys(), seed: u64) {
        let set: BTreeSet<Key> = keys.iter().copied().collect();
        let mut index = Small::default();
        let mut held = BTreeSet::new();
        for key in &keys {
            prop_assert_eq!(index.insert(*key), held.insert(*key));
            // Ask in between, so that kept hashes have a chance to grow stale.
            index.root();
        }
        let mut shuffled = keys;
        shuffled.sort_by_key(|key| crate::id::sha256(&[&seed.to_be_bytes(), &key.to_bytes()]));
        let other: Small = shuffled.into_iter().collect();
        let sorted: Vec<Key> = set.iter().copied().collect();
        prop_assert_eq!(index.root(), other.root());
        prop_assert_eq!(index.root().0, root_by_definition(&sorted, 4));
        prop_assert_eq!(index.len(), set.len() as u64);
        prop_assert_eq!(index.newest(&Key::MIN, &LAST, usize::MAX), sorted.iter().rev().copied().collect::<Vec<_>>());
        prop_assert_eq!(Bytes::from_iter(sorted.clone()).len(), index.len());
        prop_assert_eq!(Bits::from_iter(sorted.clone()).newest(&Key::MIN, &LAST, usize::MAX).len(), sorted.len());
    }

    #[test]
    fn runs_and_single_keys_make_the_same_tree(runs in prop::collection::vec(keys(), 0..6)) {
        let mut by_runs = Small::default();
        let mut one_by_one = Small::default();
        let mut held = BTreeSet::new();
        for run in runs {
            let run: BTreeSet<Key> = run.into_iter().collect();
            let new = run.difference(&held).count() as u64;
            prop_assert_eq!(by_runs.insert_ascending(&run.iter().copied().collect::<Vec<_>>()), new);
            prop_assert_eq!(run.iter().filter(|key| one_by_one.insert(**key)).count() as u64, new);
            held.extend(run);
            // Ask in between, so that kept hashes have a chance to grow stale.
            prop_assert_eq!(by_runs.root(), one_by_one.root());
            prop_assert_eq!(by_runs.len(), held.len() as u64);
            prop_assert_eq!(by_runs.root().0, root_by_definition(&held.iter().copied().collect::<Vec<_>>(), 4));
        }
        prop_assert_eq!(by_runs.newest(&Key::MIN, &LAST, usize::MAX), held.iter().rev().copied().collect::<Vec<_>>());
    }

    #[test]
    fn other_sets_have_other_roots(a in keys(), b in keys()) {
        let [sa, sb]: [BTreeSet<Key>; 2] = [&a, &b].map(|keys| keys.iter().copied().collect());
        prop_assert_eq!(Small::from_iter(a).root() == Small::from_iter(b).root(), sa == sb);
    }

    #[test]
    fn a_cut_tree_is_the_tree_of_the_cut_set(keys in keys(), upper in key()) {
        let set: BTreeSet<Key> = keys.iter().copied().collect();
        let index: Small = keys.into_iter().collect();
        for upper in set.iter().copied().chain([upper]) {
            let below: Vec<Key> = set.range(..=upper).copied().collect();
            let cut: Small = below.iter().copied().collect();
            prop_assert_eq!(index.root_to(&upper), (below.len() as u64, cut.root()));
            prop_assert_eq!(index.root_of_first(below.len() as u64), cut.root());
            prop_assert_eq!(index.part(&Prefix::EMPTY, &upper), cut.part(&Prefix::EMPTY, &LAST));
            prop_assert_eq!(index.last_to(&upper), below.last().copied());
            prop_assert_eq!(index.rank(&upper), set.range(..upper).count() as u64);
        }
    }

    #[test]
    fn a_region_is_the_tree_of_its_keys(keys in keys(), of in key(), digits in 0..20_usize, upper in key()) {
        let set: BTreeSet<Key> = keys.iter().copied().collect();
        let index: Small = keys.into_iter().collect();
        for of in set.iter().copied().chain([of]) {
            let region = Prefix::of::<4>(&of, digits);
            let inside: Vec<Key> = set.iter().copied().filter(|key| region.covers(key) && *key <= upper).collect();
            let alone: Small = inside.iter().copied().collect();
            let expect = (!inside.is_empty()).then(|| (inside.len() as u64, alone.root().0));
            prop_assert_eq!(index.region(&region, &upper), expect);
            prop_assert_eq!(index.part(&region, &upper), alone.part(&Prefix::EMPTY, &LAST));
            let end = region.end().unwrap_or(LAST);
            let listed: Vec<Key> = index.newest(&region.first(), &end, usize::MAX).into_iter().filter(|key| *key <= upper).collect();
            prop_assert_eq!(listed, inside.iter().rev().copied().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_range_is_listed_from_its_end(keys in keys(), from in key(), below in key(), limit in 0..20_usize) {
        let set: BTreeSet<Key> = keys.iter().copied().collect();
        let index: Small = keys.into_iter().collect();
        let expect: Vec<Key> = set.iter().rev().filter(|key| **key >= from && **key < below).take(limit).copied().collect();
        prop_assert_eq!(index.newest(&from, &below, limit), expect);
    }

    #[test]
    fn a_prefix_survives_the_wire(of in key(), digits in 0..=80_usize) {
        let prefix = Prefix::of::<4>(&of, digits);
        let mut wire = Vec::new();
        ciborium::into_writer(&prefix, &mut wire).unwrap();
        prop_assert_eq!(ciborium::from_reader::<Prefix, _>(&wire[..]).unwrap(), prefix);
        prop_assert!(prefix.covers(&of));
    }
}

#[test]
fn a_prefix_has_one_encoding() {
    for wrong in [&[0x40][..], &[0x42, 0, 0], &[0x42, 1, 0x11], &[0x41, 1], &[0x43, 2, 0, 0], &[0x42, 81, 0]] {
        assert!(ciborium::from_reader::<Prefix, _>(wrong).is_err(), "{wrong:x?}");
    }
}

#[test]
fn the_empty_index_has_a_root() {
    assert_eq!(Small::default().root().0, crate::id::sha256(&[b"distchat/1/leaf\0"]));
    assert_eq!(Small::default().root_to(&LAST), (0, Small::default().root()));
}

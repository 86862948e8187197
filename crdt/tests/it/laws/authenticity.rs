//! What is accepted is the least fixpoint of signatures and vouching, whatever the order in which the bytes come.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use distchat_crdt::{
    AuthorId, Draft, Key, Keypair, Message, Room, Signature, Signer, Timestamp, Verifier, Zip215, kind,
};
use proptest::prelude::*;

use super::{
    cases,
    history::{Cheap, CheapVerifier, Given, START, Signatures, delivery, history, nowhere, other_room},
    model::{by_definition, check_merge, fixpoint, keys, seen},
};
use crate::world::room_id;

fn room() -> Room {
    Room::new(room_id(), Cheap(0).author(), Arc::new(CheapVerifier))
}

fn ids(messages: &[Message]) -> BTreeSet<Key> {
    messages.iter().map(Message::key).collect()
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn every_merge_accepts_the_least_fixpoint_of_what_is_held_and_what_comes(
        history in history(Signatures::SomeBad),
        delivery in delivery(),
    ) {
        let mut room = room();
        let mut held: Vec<Message> = Vec::new();
        for batch in delivery.batches(&history.arriving) {
            let here: Vec<Message> = batch.iter().filter(|message| message.room() == room_id()).cloned().collect();
            let expect = fixpoint(&held, &here);
            let given = batch.len();
            let merge = room.merge(batch.clone());
            check_merge(&merge, given);
            prop_assert_eq!(ids(&merge.commit.messages), &ids(&expect) - &ids(&held));
            prop_assert_eq!(merge.foreign, given - here.len());
            prop_assert_eq!(merge.unauthentic, (&ids(&here) - &ids(&expect)).len());
            held = expect;
            prop_assert_eq!(seen(&room), by_definition(&held));
        }
    }

    #[test]
    fn coming_again_until_nothing_changes_ends_the_same_everywhere(
        history in history(Signatures::SomeBad),
        deliveries in prop::collection::vec(delivery(), 1..4),
    ) {
        let expect = by_definition(&fixpoint(&[], &history.here()));
        for first in &deliveries {
            // As anti-entropy does it: what is lacking comes again, each time in some other order and batching.
            let mut room = room();
            let mut again = [first].into_iter().chain(&deliveries).cycle();
            loop {
                let batches = again.next().unwrap().batches(&history.arriving);
                let accepted: usize = batches.into_iter().map(|batch| room.merge(batch).commit.messages.len()).sum();
                if accepted == 0 {
                    break;
                }
            }
            prop_assert_eq!(seen(&room), expect.clone());
        }
    }

    #[test]
    fn newest_first_nothing_has_to_come_twice(history in history(Signatures::SomeBad), batch in 1..8_usize) {
        let mut newest_first = history.here();
        newest_first.sort_by_key(|message| std::cmp::Reverse(message.key()));
        let mut room = room();
        for batch in newest_first.chunks(batch) {
            room.merge(batch.to_vec());
        }
        prop_assert_eq!(seen(&room), by_definition(&fixpoint(&[], &newest_first)));
    }

    #[test]
    fn of_a_batch_exactly_the_well_signed_are_accepted(
        forgeries in prop::collection::vec(prop::option::weighted(0.3, 0..512_usize), 0..12),
        one_author: bool,
    ) {
        let messages: Vec<(Message, bool)> = forgeries
            .iter()
            .enumerate()
            .map(|(n, flipped)| {
                let keys = Keypair::from_seed([if one_author { 1 } else { n as u8 % 7 }; 32]);
                let good = alone(n as u64).sign(&keys).unwrap();
                let forged = flipped.map(|bit| {
                    let mut signature = good.signature();
                    signature.0[bit / 8] ^= 1 << (bit % 8);
                    alone(n as u64).sign(&Given(keys.author(), signature)).unwrap()
                });
                (forged.unwrap_or(good), flipped.is_none())
            })
            .collect();
        let good: Vec<Message> = messages.iter().filter(|(_, good)| *good).map(|(m, _)| m.clone()).collect();
        let all = messages.into_iter().map(|(message, _)| message).collect();
        let mut room = Room::new(room_id(), AuthorId([0; 32]), Arc::new(Zip215::new([9; 32])));
        room.merge(all);
        prop_assert_eq!(keys(&room).into_iter().collect::<BTreeSet<_>>(), ids(&good));
    }
}

/// A message that refers to nothing, unlike those with other numbers.
fn alone(n: u64) -> Draft {
    Draft {
        room: room_id(),
        seq: 0,
        time: Timestamp(START.0 + 1000 + n),
        prev: None,
        seen: Vec::new(),
        kind: kind::TEXT,
        body: b"mixed order".to_vec(),
    }
}

/// A message with that number that follows another.
fn following(prev: Key, seq: u64) -> Draft {
    Draft { seq, time: Timestamp(prev.time.0 + 1), prev: Some(prev), ..alone(0) }
}

fn badly(draft: &Draft) -> Message {
    draft.sign(&Given(Cheap(1).author(), Signature([0xbd; 64]))).unwrap()
}

/// Whether a badly signed message with sequence number 7 is accepted in the end: with the voucher in one batch, behind
/// it, and before it but sent again.
#[track_caller]
fn check_vouched(others: impl Fn(&Message) -> Vec<Message>, expect: bool) {
    let named = badly(&following(nowhere(1), 7));
    let mut backwards = others(&named);
    backwards.reverse();
    for others in [others(&named), backwards] {
        let in_one = [vec![named.clone()], others.clone()].concat();
        let one_by_one: Vec<Vec<Message>> = in_one.iter().map(|message| vec![message.clone()]).collect();
        for batches in [vec![in_one], one_by_one] {
            let mut room = room();
            for batch in [&batches[..], &batches[..], &batches[..]].concat() {
                room.merge(batch);
            }
            assert_eq!(room.index().contains(&named.key()), expect);
        }
    }
}

#[test]
fn who_can_vouch_and_who_cannot() {
    let good = |draft: Draft| draft.sign(&Cheap(1)).unwrap();
    // Nobody.
    check_vouched(|_| vec![], false);
    // The author's next message.
    check_vouched(|named| vec![good(following(named.key(), 8))], true);
    // Several, of which one is well signed.
    check_vouched(
        |named| {
            let branch = Draft { body: b"another branch".to_vec(), ..following(named.key(), 8) };
            vec![badly(&following(named.key(), 8)), good(branch)]
        },
        true,
    );
    // One that is itself only vouched for.
    check_vouched(
        |named| {
            let next = badly(&following(named.key(), 8));
            let last = good(following(next.key(), 9));
            vec![next, last]
        },
        true,
    );
    // One that is vouched for by nobody.
    check_vouched(
        |named| {
            let next = badly(&following(named.key(), 8));
            let last = badly(&following(next.key(), 9));
            vec![next, last]
        },
        false,
    );
    // Another author.
    check_vouched(|named| vec![following(named.key(), 8).sign(&Cheap(2)).unwrap()], false);
    // A wrong number.
    for seq in [1, 7, 9, 1000] {
        check_vouched(|named| vec![good(following(named.key(), seq))], false);
    }
    // In another room.
    check_vouched(|named| vec![good(Draft { room: other_room(), ..following(named.key(), 8) })], false);
    // As `seen`, and with another time or another id.
    check_vouched(
        |named| {
            let seen = Draft { prev: Some(nowhere(2)), seen: vec![named.key()], ..following(named.key(), 8) };
            let Key { time, id } = named.key();
            let later = following(Key { time: Timestamp(time.0 + 1), id }, 8);
            let other = following(Key { time, id: nowhere(3).id }, 8);
            vec![good(seen), good(later), good(other)]
        },
        false,
    );
}

#[test]
fn what_was_refused_is_accepted_when_it_comes_again() {
    let named = badly(&following(nowhere(1), 7));
    let voucher = following(named.key(), 8).sign(&Cheap(1)).unwrap();
    let mut room = room();
    for _ in 0..3 {
        assert_eq!(room.merge(vec![named.clone()]).unauthentic, 1);
        assert_eq!(room.missing(), 0, "what is refused leaves nothing behind");
    }
    assert_eq!(room.merge(vec![voucher.clone()]).commit.messages, [voucher]);
    assert!(room.is_missing(&named.key()), "it is known now, and can be asked for");
    assert_eq!(room.merge(vec![named.clone()]).commit.messages, [named.clone()]);
    assert!(!room.is_missing(&named.key()));
    assert_eq!(room.merge(vec![named]).duplicates, 1);
}

/// Counts what is verified.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Verifier for Counting {
    fn verify(&self, author: &AuthorId, bytes: &[u8], signature: &Signature) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        CheapVerifier.verify(author, bytes, signature)
    }
}

/// Of each chain only the newest message is well signed.
#[test]
fn a_chain_costs_one_signature_and_comes_in_any_batches() {
    let chain = |length: u64| -> Vec<Message> {
        let mut messages = vec![badly(&alone(0))];
        for seq in 1..length {
            let draft = following(messages.last().unwrap().key(), seq);
            let newest = seq + 1 == length;
            messages.push(if newest { draft.sign(&Cheap(1)).unwrap() } else { badly(&draft) });
        }
        messages
    };
    for length in [2, 3, 100] {
        for batch in [1, 7, 1000] {
            let counting = Arc::new(Counting::default());
            let mut room = Room::new(room_id(), Cheap(0).author(), Arc::clone(&counting) as Arc<dyn Verifier>);
            let mut newest_first = chain(length);
            newest_first.reverse();
            for batch in newest_first.chunks(batch) {
                room.merge(batch.to_vec());
            }
            assert_eq!(room.index().len(), length);
            assert_eq!(counting.0.load(Ordering::Relaxed), 1);
        }
    }
}

// ---- ZIP 215 ---------------------------------------------------------------------------------------------------

fn hex<const N: usize>(text: &str) -> [u8; N] {
    assert_eq!(text.len(), 2 * N);
    std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
}

/// All encodings of the eight points of small order, also those that RFC 8032 forbids.
///
/// Their y are 0, 1, p - 1 and two of order 8; 0 and 1 can also be written as p and p + 1; and each with either sign,
/// even where x is 0 and has none. These are the 14 encodings that the 196 cases of the specification are made of
/// (<https://zips.z.cash/zip-0215>, "Test vectors").
fn small_order() -> Vec<[u8; 32]> {
    let p_and = |n: u8| {
        let mut bytes = [0xff; 32];
        bytes[0] = 0xed_u8.wrapping_add(n);
        bytes[31] = 0x7f;
        bytes
    };
    let small = |n: u8| std::array::from_fn(|at| if at == 0 { n } else { 0 });
    let of_order_8 = [
        hex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    ];
    let ys = [small(0), small(1), p_and(0_u8.wrapping_sub(1)), p_and(0), p_and(1)];
    let negated = |mut y: [u8; 32]| {
        y[31] |= 0x80;
        y
    };
    ys.into_iter().chain(of_order_8).flat_map(|y| [y, negated(y)]).collect()
}

fn signed_by(author: [u8; 32], r: [u8; 32], s: [u8; 32], n: u64) -> Message {
    let signature = Signature(std::array::from_fn(|at| if at < 32 { r[at] } else { s[at - 32] }));
    alone(n).sign(&Given(AuthorId(author), signature)).unwrap()
}

/// The order of the group, L = 2^252 + 27742317777372353535851937790883648493.
fn order() -> [u8; 32] {
    hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
}

/// s + L: the same number to the curve, and another to whoever compares bytes.
fn plus_order(s: [u8; 32]) -> [u8; 32] {
    let order = order();
    let mut carry = 0;
    std::array::from_fn(|at| {
        let sum = u16::from(s[at]) + u16::from(order[at]) + carry;
        carry = sum >> 8;
        sum as u8
    })
}

/// Messages of which all are to be accepted, each by its signature.
fn valid() -> Vec<Message> {
    let mut messages = Vec::new();
    // 8 s B = 8 R + 8 k A holds for all of these and for every k, that is for every message.
    for a in small_order() {
        for r in small_order() {
            messages.push(signed_by(a, r, [0; 32], messages.len() as u64));
        }
    }
    assert_eq!(messages.len(), 196);
    // An honest key a B from the seed 7, and signatures made for `alone(0)` in the room "general", with multiples of the
    // point T of order 8 with the y c717..7a added to the key, to R, or to both, before anything is hashed: by RFC
    // 8032's equation without the cofactor all but the first fail.
    for (a, r, s) in [
        (
            "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c",
            "97e100e78630b90c4d6cf74f46d364bce7d1ac5ec5e1d7080c912f1b45824fbe",
            "289d51b5ad27ed66ebfc285f52d23a818fe827f1fe430b2541ca0d327dbb7a0a",
        ),
        (
            "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c",
            "f4c64a4cbaf26ce40deeef0109d77601776adc2ce2f55c3b629394570903d65a",
            "61408a45d80eaae5c0250e2a69c9447a195009725b7acdddc5c6aa1767ed9708",
        ),
        (
            "1f4f580e73ac208f06760190e9edc6f5916775dabd9c1cdca393175c2d6d1083",
            "a55a18ff85fb5fb7e952d68a387652f9a906e6c8ceacfc390b638fdfc6e19724",
            "a2493d5b5eee810960235119a44a173f2c3ff7628df6f1b3f5c72073d4c51b05",
        ),
        (
            "1f4f580e73ac208f06760190e9edc6f5916775dabd9c1cdca393175c2d6d1083",
            "f985783ee92502f4f4e3850a18ca96624463582e12f22574700887fd5c025e76",
            "f3a318aed608e3b9d724ea7b1f7745d5cc41d6aa77f30dafa6da5d3db0b4af01",
        ),
        (
            "03b5939c1d63adf5410aaf84ecd13a066ab889514141846dbde11596ebb92dd3",
            "a3125e11f2e2338ce11b735cc05094f0c75f05e47f93ab5dafa27423b674f29d",
            "47a2a4706ee0525f13eb6a9e58269905d1ac9b8f8c1ebcfc678c1b174b191202",
        ),
        (
            "fbb3211d177bccefd763d01a88f6473e43e5cf0a0740e44ab5c64460eefd4675",
            "988d8caf8254a0926b7e1c0d4c58be5743dd7fa8ebcf3a946f1b62fc1ad7bab1",
            "8a7e541815cf8145ce41330a66d5c62c43e7cd53fdc7642754c481b7823d030c",
        ),
    ] {
        messages.push(signed_by(hex(a), hex(r), hex(s), 0));
    }
    messages
}

/// Messages of which none is to be accepted.
fn invalid() -> Vec<Message> {
    let identity = small_order()[2];
    let keys = Keypair::from_seed([7; 32]);
    let good = alone(0).sign(&keys).unwrap().signature().0;
    let (r, s) = (good[..32].try_into().unwrap(), good[32..].try_into().unwrap());
    // 2 is the y of no point.
    let no_point = std::array::from_fn(|at| if at == 0 { 2 } else { 0 });
    let one = std::array::from_fn(|at| if at == 0 { 1 } else { 0 });
    vec![
        signed_by(identity, identity, order(), 1),
        signed_by(identity, identity, [0xff; 32], 2),
        signed_by(identity, identity, one, 3),
        signed_by(no_point, identity, [0; 32], 4),
        signed_by(identity, no_point, [0; 32], 5),
        signed_by(keys.author().0, r, plus_order(s), 0),
        signed_by(keys.author().0, r, s, 6),
        signed_by(keys.author().0, identity, [0; 32], 7),
    ]
}

fn accepted(batch: Vec<Message>) -> BTreeSet<Key> {
    let mut room = Room::new(room_id(), AuthorId([0; 32]), Arc::new(Zip215::new([9; 32])));
    keys({
        room.merge(batch);
        &room
    })
    .into_iter()
    .collect()
}

#[test]
fn zip_215_is_the_rule_one_by_one() {
    assert_eq!(small_order().into_iter().collect::<BTreeSet<_>>().len(), 14);
    for message in valid() {
        assert_eq!(accepted(vec![message.clone()]), ids(&[message]));
    }
    for message in invalid() {
        assert!(accepted(vec![message.clone()]).is_empty(), "{message:?} {}", message.signature());
    }
}

#[test]
fn zip_215_is_the_rule_in_batches() {
    let (valid, invalid) = (valid(), invalid());
    assert!(Zip215::new([9; 32]).verify_all(&valid.iter().collect::<Vec<_>>()));
    assert!(!Zip215::new([9; 32]).verify_all(&invalid.iter().collect::<Vec<_>>()));
    assert_eq!(accepted(valid.clone()), ids(&valid));
    assert_eq!(accepted([valid.clone(), invalid.clone()].concat()), ids(&valid));
    // Each of the invalid ones hides behind good ones.
    for bad in invalid {
        let batch = [&valid[..5], &[bad], &valid[190..]].concat();
        assert_eq!(accepted(batch.clone()), &ids(&valid[..5]) | &ids(&valid[190..]));
    }
}

//! Signatures are judged by ZIP 215, one by one and in batches alike.

use std::{collections::BTreeSet, sync::Arc};

use distchat_crdt::{AuthorId, Key, Keypair, Message, Room, Signature, Signer, Verifier, Zip215};

use super::{
    authenticity::{alone, ids},
    history::Given,
    model::keys,
};
use crate::world::room_id;

fn hex<const N: usize>(text: &str) -> [u8; N] {
    assert_eq!(text.len(), 2 * N);
    std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
}

/// All encodings of the eight points of small order, also those that RFC 8032 forbids.
///
/// Their y are 0, 1, p - 1 and two of order 8; 0 and 1 can also be written as p and p + 1; and each with either sign,
/// even where x is 0 and has none. These are the 14 encodings that the 196 cases of the specification are made of
/// (<https://zips.z.cash/zip-0215>, "Test vectors"): eight that RFC 8032 allows and six that it forbids.
///
/// The other encodings that ZIP 215 allows and RFC 8032 forbids are of y from 2 to 18, written as p + 2 to p + 18. Nobody
/// knows the discrete logarithm of such a point, so nobody can show a signature with one that is valid.
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

#[test]
fn a_batch_is_accepted_exactly_if_each_of_it_is() {
    let verifier = Zip215::new([9; 32]);
    let judged: Vec<(Message, bool)> = [valid(), invalid()]
        .concat()
        .into_iter()
        .map(|message| (message.clone(), verifier.verify_one(&message)))
        .collect();
    assert_eq!(judged.iter().filter(|(_, good)| !good).count(), invalid().len());
    // Batches of all sizes; the small step through them is prime to their number, so each stands beside others each time.
    let mut at = 0;
    for round in 0..120 {
        let batch: Vec<&(Message, bool)> = (0..2 + round % 11)
            .map(|_| {
                at = (at + 37 + round) % judged.len();
                &judged[at]
            })
            .collect();
        let messages: Vec<&Message> = batch.iter().map(|(message, _)| message).collect();
        assert_eq!(verifier.verify_all(&messages), batch.iter().all(|(_, good)| *good), "{messages:?}");
    }
    // The special encodings two by two, without an honest one between them.
    for pair in judged[..196].windows(2) {
        assert!(verifier.verify_all(&[&pair[0].0, &pair[1].0]));
    }
}

//! A message has one encoding, and other bytes are another message or none.

use std::ops::Range;

use ciborium::Value;
use distchat_crdt::{
    AuthorId, DecodeError, Draft, Key, MAX_BODY, MAX_MESSAGE, MAX_SEEN, MIN_MESSAGE, Message, MessageId, SEQ_LIMIT,
    Signature, Signer, Timestamp,
};
use proptest::prelude::*;

use super::{
    cases,
    history::{Cheap, Given, Signatures, history, nowhere},
};
use crate::world::room_id;

/// Encodes what was decoded once more.
fn again(message: &Message) -> Vec<u8> {
    let draft = Draft {
        room: message.room(),
        seq: message.seq(),
        time: message.time(),
        prev: message.prev(),
        seen: message.seen().to_vec(),
        kind: message.kind(),
        body: message.body().to_vec(),
    };
    draft.sign(&Given(message.author(), message.signature())).unwrap().bytes().to_vec()
}

/// Bytes decode to the one message that has them, or not at all.
#[track_caller]
fn check_bytes(bytes: &[u8]) -> Option<Message> {
    let message = Message::decode(bytes).ok()?;
    assert_eq!(message.bytes(), bytes);
    assert_eq!(again(&message), bytes, "another encoding of the same message");
    Some(message)
}

/// Changed bytes are no message or another one.
#[track_caller]
fn check_change(original: &Message, changed: &[u8]) {
    if changed != original.bytes()
        && let Some(other) = check_bytes(changed)
    {
        assert_ne!(other.id(), original.id());
    }
}

/// A message with every field as short as can be, one with references, and one with the longest integers.
pub fn samples() -> [Message; 3] {
    let small =
        Draft { room: room_id(), seq: 0, time: Timestamp(1), prev: None, seen: Vec::new(), kind: 0, body: Vec::new() };
    let referring = Draft {
        seq: 24,
        time: Timestamp(1 << 50),
        prev: Some(Key { time: Timestamp(300), id: MessageId([7; 32]) }),
        seen: vec![Key { time: Timestamp(7), id: MessageId([8; 32]) }, nowhere(1)],
        kind: 1,
        body: b"hello".to_vec(),
        ..small.clone()
    };
    let referring = Draft { time: Timestamp(nowhere(1).time.0 + 1), ..referring };
    let long = Draft { seq: SEQ_LIMIT - 1, time: Timestamp::MAX, kind: u32::MAX, ..referring.clone() };
    [small, referring, long].map(|draft| draft.sign(&Cheap(1)).unwrap())
}

#[test]
fn every_change_of_one_byte_is_another_message_or_none() {
    for message in samples() {
        let mut bytes = message.bytes().to_vec();
        for at in 0..bytes.len() {
            let right = bytes[at];
            for wrong in 0..=255 {
                bytes[at] = wrong;
                check_change(&message, &bytes);
            }
            bytes[at] = right;
        }
    }
}

#[test]
fn a_byte_more_or_less_is_another_message_or_none() {
    for message in samples() {
        let bytes = message.bytes();
        for at in 0..=bytes.len() {
            let (front, back) = bytes.split_at(at);
            for more in 0..=255 {
                check_change(&message, &[front, &[more], back].concat());
            }
            if let [_, back @ ..] = back {
                check_change(&message, &[front, back].concat());
            }
        }
    }
}

#[test]
fn no_part_of_a_message_is_a_message() {
    for message in samples() {
        let bytes = message.bytes();
        for at in 0..bytes.len() {
            assert!(Message::decode(&bytes[..at]).is_err());
            assert!(Message::decode_first(&bytes[..at]).is_err());
            assert!(at == 0 || Message::decode(&bytes[at..]).is_err());
        }
        let longer = [bytes, &[0]].concat();
        assert_eq!(Message::decode(&longer).err(), Some(DecodeError::Trailing(1)));
    }
}

#[test]
fn announced_lengths_without_content_fail_at_once() {
    for message in samples() {
        // Nine bytes from the end on there is content enough: those of another signature.
        for at in (0..message.bytes().len()).filter(|at| at + 9 != message.bytes().len()) {
            for major in [2_u8, 3, 4, 5] {
                for length in [1 << 16, 1 << 32, 1 << 47, 1 << 62, u64::MAX] {
                    let head = [major << 5 | 27].into_iter().chain(u64::to_be_bytes(length));
                    let huge: Vec<u8> = message.bytes()[..at].iter().copied().chain(head).collect();
                    assert!(Message::decode(&huge).is_err());
                    assert!(Message::decode_all(&huge).is_err());
                }
            }
        }
    }
}

#[test]
fn the_limits_are_reached_and_not_passed() {
    let [small, _, _] = samples();
    assert_eq!(small.bytes().len(), MIN_MESSAGE);
    let key = |n: u8| Key { time: Timestamp(Timestamp::MAX.0 - 1), id: MessageId([n; 32]) };
    let longest = Draft {
        room: room_id(),
        seq: SEQ_LIMIT - 1,
        time: Timestamp::MAX,
        prev: Some(key(0)),
        seen: (1..=MAX_SEEN as u8).map(key).collect(),
        kind: u32::MAX,
        body: vec![0xff; MAX_BODY],
    };
    let message = longest.sign(&Cheap(1)).unwrap();
    assert_eq!(message.bytes().len(), MAX_MESSAGE);
    assert_eq!(check_bytes(message.bytes()), Some(message));

    for (wrong, error) in [
        (Draft { seq: SEQ_LIMIT, ..longest.clone() }, DecodeError::Limit("seq")),
        (Draft { time: Timestamp(Timestamp::MAX.0 + 1), ..longest.clone() }, DecodeError::Limit("time")),
        (Draft { time: Timestamp(0), ..longest.clone() }, DecodeError::Limit("time")),
        (Draft { time: key(0).time, ..longest.clone() }, DecodeError::TimeOfRef),
        (Draft { prev: None, ..longest.clone() }, DecodeError::PrevAndSeq),
        (Draft { seq: 0, ..longest.clone() }, DecodeError::PrevAndSeq),
        (Draft { prev: Some(key(3)), ..longest.clone() }, DecodeError::SeenOrder),
        (Draft { seen: vec![key(2), key(1)], ..longest.clone() }, DecodeError::SeenOrder),
        (Draft { seen: vec![key(2), key(2)], ..longest.clone() }, DecodeError::SeenOrder),
        (Draft { seen: (1..=9).map(key).collect(), ..longest.clone() }, DecodeError::Limit("seen")),
        (Draft { body: vec![0; MAX_BODY + 1], ..longest.clone() }, DecodeError::Limit("body")),
    ] {
        assert_eq!(wrong.sign(&Cheap(1)).err(), Some(error), "{wrong:?}");
    }
}

/// A message's fields, which need not keep the rules.
#[derive(Clone, Debug)]
struct Fields {
    version: u64,
    room: Vec<u8>,
    author: Vec<u8>,
    seq: u64,
    time: u64,
    prev: Option<(u64, Vec<u8>)>,
    seen: Vec<(u64, Vec<u8>)>,
    kind: u64,
    body: usize,
    signature: Vec<u8>,
    more: usize,
}

impl Fields {
    /// In an encoding that is canonical whatever the fields are.
    fn encode(&self) -> Vec<u8> {
        let reference = |(time, id): &(u64, Vec<u8>)| Value::Array(vec![(*time).into(), Value::Bytes(id.clone())]);
        let mut fields = vec![
            self.version.into(),
            Value::Bytes(self.room.clone()),
            Value::Bytes(self.author.clone()),
            self.seq.into(),
            self.time.into(),
            self.prev.as_ref().map_or(Value::Null, reference),
            Value::Array(self.seen.iter().map(reference).collect()),
            self.kind.into(),
            Value::Bytes(vec![0x62; self.body]),
            Value::Bytes(self.signature.clone()),
        ];
        fields.extend((0..self.more).map(|_| Value::Null));
        let mut bytes = Vec::new();
        ciborium::into_writer(&Value::Array(fields), &mut bytes).unwrap();
        bytes
    }

    /// The rules of the format, in the words of the table that defines it.
    fn keeps_the_rules(&self) -> bool {
        let times = || self.prev.iter().chain(&self.seen).map(|(time, _)| *time);
        self.version == 1
            && self.room.len() == 32
            && self.author.len() == 32
            && self.seq < (1 << 63) - 1
            && 0 < self.time
            && self.time < 1 << 63
            && self.prev.is_none() == (self.seq == 0)
            && self.seen.len() <= 8
            && self.seen.windows(2).all(|pair| pair[0] < pair[1])
            && self.seen.iter().all(|key| Some(key) != self.prev.as_ref())
            && self.prev.iter().chain(&self.seen).all(|(time, id)| *time > 0 && id.len() == 32)
            && times().all(|time| time < self.time)
            && self.kind < 1 << 32
            && self.body <= 16 * 1024
            && self.signature.len() == 64
            && self.more == 0
    }
}

/// Mostly as it should be.
fn length(right: usize) -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![60 => Just(right), 1 => Just(right - 1), 1 => Just(right + 1), 1 => Just(0)];
    (any::<u8>(), length).prop_map(|(byte, length)| vec![byte; length])
}

/// Around the places where encodings grow and limits lie.
fn number(limit: u64) -> impl Strategy<Value = u64> {
    let edge =
        prop::sample::select(vec![0, 1, 23, 24, 255, 256, 65_535, 65_536, u64::from(u32::MAX), 1 << 32, u64::MAX]);
    prop_oneof![6 => 0..limit, 2 => edge, 1 => (limit - 2)..=(limit + 1)]
}

fn fields() -> impl Strategy<Value = Fields> {
    let reference = || (prop_oneof![20 => 1..4_u64, 1 => number(1 << 63)], length(32));
    let seen = prop::collection::vec(reference(), 0..10).prop_flat_map(|seen| {
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.dedup();
        sorted.truncate(8);
        prop_oneof![8 => Just(sorted), 1 => Just(seen)]
    });
    let body = prop_oneof![20 => 0..300_usize, 1 => MAX_BODY - 1..MAX_BODY + 2];
    let version = prop_oneof![40 => Just(1_u64), 1 => number(3)];
    let more = prop_oneof![40 => Just(0), 1 => 1..15_usize];
    let branch = prop_oneof![
        10 => (number(SEQ_LIMIT), reference()).prop_map(|(seq, prev)| (seq, Some(prev))),
        10 => Just((0, None)),
        1 => (number(SEQ_LIMIT), prop::option::of(reference())),
    ];
    let time = prop_oneof![1 => 1..6_u64, 6 => number(1 << 63)];
    (version, length(32), length(32), branch, time, seen, number(1 << 32), body, length(64), more).prop_map(
        |(version, room, author, (seq, prev), time, seen, kind, body, signature, more)| Fields {
            version,
            room,
            author,
            seq,
            time,
            prev,
            seen,
            kind,
            body,
            signature,
            more,
        },
    )
}

/// Bytes that look like CBOR: items with heads of any width, right or wrong.
fn like_cbor() -> impl Strategy<Value = Vec<u8>> {
    let head = (0..8_u8, 0..32_u8, any::<[u8; 8]>()).prop_map(|(major, info, argument)| {
        let width = if (24..28).contains(&info) { 1 << (info - 24) } else { 0 };
        [&[major << 5 | info], &argument[..width]].concat()
    });
    let item = prop_oneof![
        4 => head,
        2 => any::<[u8; 32]>().prop_map(|id| [&[0x58, 32][..], &id].concat()),
        1 => any::<[u8; 32]>().prop_map(|half| [&[0x58, 64][..], &half, &half].concat()),
        2 => (0..24_u8).prop_map(|small| vec![small]),
        1 => Just(vec![0xf6]),
        1 => Just(vec![0x80]),
        1 => any::<u32>().prop_map(|time| [&[0x82, 0x1a][..], &time.to_be_bytes(), &[0x58, 32], &[1; 32]].concat()),
    ];
    let front = prop_oneof![Just(vec![0x8a, 0x01]), Just(vec![])];
    (front, prop::collection::vec(item, 0..12)).prop_map(|(front, items)| [front, items.concat()].concat())
}

/// Part of a byte string that is replaced by something else.
fn replacement() -> impl Strategy<Value = (prop::sample::Index, usize, Vec<u8>)> {
    (any::<prop::sample::Index>(), 0..6_usize, prop::collection::vec(any::<u8>(), 0..6))
}

fn place(at: prop::sample::Index, length: usize, bytes: &[u8]) -> Range<usize> {
    let start = at.index(bytes.len() + 1);
    start..(start + length).min(bytes.len())
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn what_keeps_the_rules_decodes_and_nothing_else_does(fields in fields()) {
        let bytes = fields.encode();
        let decoded = check_bytes(&bytes);
        prop_assert_eq!(decoded.is_some(), fields.keeps_the_rules(), "{:?}", Message::decode(&bytes).err());
        if let Some(message) = decoded {
            let key = |(time, id): &(u64, Vec<u8>)| Key {
                time: Timestamp(*time),
                id: MessageId(id.as_slice().try_into().unwrap()),
            };
            prop_assert_eq!(&message.room().0[..], &fields.room[..]);
            prop_assert_eq!(&message.author().0[..], &fields.author[..]);
            prop_assert_eq!((message.seq(), message.time().0), (fields.seq, fields.time));
            prop_assert_eq!(message.prev(), fields.prev.as_ref().map(key));
            prop_assert_eq!(message.seen(), fields.seen.iter().map(key).collect::<Vec<_>>());
            prop_assert_eq!((u64::from(message.kind()), message.body().len()), (fields.kind, fields.body));
            prop_assert_eq!(&message.signature().0[..], &fields.signature[..]);
        }
    }

    #[test]
    fn arbitrary_bytes_are_at_most_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check_bytes(&bytes);
        drop(Message::decode_all(&bytes));
    }

    #[test]
    fn bytes_like_cbor_are_at_most_an_error(bytes in like_cbor()) {
        check_bytes(&bytes);
        drop(Message::decode_all(&bytes));
    }

    #[test]
    fn integers_have_one_width(which in 0..3_usize, width in 0..4_u32, at in any::<prop::sample::Index>()) {
        // Wherever a small number stands, writes it longer than it needs to be.
        let message = &samples()[which];
        let at = at.index(message.bytes().len());
        let head = message.bytes()[at];
        if head & 0x1f < 24 {
            let argument = u64::from(head & 0x1f).to_be_bytes();
            let longer = [&[head & 0xe0 | (24 + width as u8)], &argument[8 - (1 << width)..]].concat();
            let bytes = [&message.bytes()[..at], &longer, &message.bytes()[at + 1..]].concat();
            check_change(message, &bytes);
        }
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn every_mutation_is_another_message_or_none(
        history in history(Signatures::AllGood),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(replacement(), 1..4)), 20),
    ) {
        for (of, replacements) in mutations {
            if history.written.is_empty() {
                break;
            }
            let message = of.get(&history.written);
            let mut bytes = message.bytes().to_vec();
            for (at, length, with) in replacements {
                bytes.splice(place(at, length, &bytes), with);
            }
            check_change(message, &bytes);
        }
    }

    #[test]
    fn a_run_of_messages_is_those_messages(history in history(Signatures::SomeBad), cut in any::<prop::sample::Index>()) {
        let run: Vec<u8> = history.written.iter().flat_map(|message| message.bytes().to_vec()).collect();
        let decoded = Message::decode_all(&run).unwrap();
        prop_assert_eq!(&decoded, &history.written);
        prop_assert!(decoded.iter().zip(&history.written).all(|(a, b)| a.bytes() == b.bytes()));
        let cut = cut.index(run.len() + 1);
        let mut ends = history.written.iter().scan(0, |end, message| {
            *end += message.bytes().len();
            Some(*end)
        });
        let whole = cut == 0 || ends.any(|end| end == cut);
        prop_assert_eq!(Message::decode_all(&run[..cut]).is_ok(), whole);
    }
}

#[test]
fn the_signature_is_part_of_the_bytes() {
    let [small, _, _] = samples();
    let draft = Draft { room: room_id(), seq: 0, time: Timestamp(1), prev: None, seen: vec![], kind: 0, body: vec![] };
    let author: AuthorId = Cheap(1).author();
    let other = draft.sign(&Given(author, Signature([1; 64]))).unwrap();
    assert_eq!(other.signed_bytes(), small.signed_bytes());
    assert_ne!(other.id(), small.id());
}

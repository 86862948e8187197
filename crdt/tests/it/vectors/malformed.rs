//! Bytes that are not a message, each for one reason only. All but the cut ones are signed by author 1.

use distchat_crdt::{CborError, DecodeError, Key, Message, SEQ_LIMIT, Timestamp};

use super::{
    Vector,
    messages::{first, general, keypair, nick, second},
    rules::{array, bytes, head, reference, sign, uint},
};

/// The fields of a message, each encoded. Their places are their numbers in the table of section 3.
type Fields = [Vec<u8>; 9];

const VERSION: usize = 0;
const ROOM: usize = 1;
const SEQ: usize = 3;
const TIME: usize = 4;
const PREV: usize = 5;
const SEEN: usize = 6;
const KIND: usize = 7;
const BODY: usize = 8;

pub fn all() -> Vec<Vector> {
    let [one, three] = [fields(0), fields(1)];
    let (m1, m2, now) = (first().key(), nick().key(), second().time());
    assert_eq!(whole(&one), first().bytes());
    assert_eq!(whole(&three), second().bytes());

    let at = |time: u64| Key { time: Timestamp(time), id: m2.id };
    let nine: Vec<Vec<u8>> = (1..=9).map(|n| reference(&at(m2.time.0 - 10 + n))).collect();
    let mut cut_body = [vec![0x8a], one[..BODY].concat()].concat();
    cut_body.extend(head(2, 16_385));
    let mut cut_end = first().bytes().to_vec();
    cut_end.pop();
    let unsigned = |start: &[u8], fields: &[Vec<u8>]| sign(&keypair(1), &[start, &fields.concat()].concat());
    let short_signature = {
        let signature = first().signature().0;
        [vec![0x8a], one.concat(), bytes(&signature[..63])].concat()
    };

    [
        ("cut", "message-1 without its last byte", cut_end),
        ("trailing", "message-1 and a byte", [first().bytes(), &[0]].concat()),
        ("map", "not an array", unsigned(&[0xaa], &one)),
        ("tagged", "in the tag 55799", [&[0xd9, 0xd9, 0xf7], first().bytes()].concat()),
        ("nine-fields", "without kind", unsigned(&[0x89], &[&one[..KIND], &one[BODY..]].concat())),
        ("indefinite-array", "the array of indefinite length", [&unsigned(&[0x9f], &one)[..], &[0xff]].concat()),
        ("version", "version 2", whole(&with(&one, VERSION, uint(2)))),
        ("long-integer", "version 1 in two bytes", whole(&with(&one, VERSION, vec![0x18, 0x01]))),
        ("room", "a room of 31 bytes", whole(&with(&one, ROOM, bytes(&general().0[1..])))),
        ("seq-limit", "seq 2^63 - 1", whole(&with(&three, SEQ, uint(SEQ_LIMIT)))),
        ("time-zero", "time 0", whole(&with(&one, TIME, uint(0)))),
        ("time-limit", "time 2^63", whole(&with(&one, TIME, uint(1 << 63)))),
        ("prev-missing", "seq 1, prev null", whole(&with(&one, SEQ, uint(1)))),
        ("prev-first", "seq 0, prev a ref", whole(&with(&three, SEQ, uint(0)))),
        ("prev-undefined", "prev undefined, not null", whole(&with(&one, PREV, vec![0xf7]))),
        (
            "ref-three",
            "a ref of three",
            whole(&with(&three, PREV, array(&[uint(m1.time.0), bytes(&m1.id.0), uint(0)]))),
        ),
        ("ref-time-zero", "a ref with time 0", whole(&with(&three, SEEN, array(&[reference(&at(0))])))),
        ("ref-same-time", "prev has the time of the message", whole(&with(&three, PREV, reference(&at(now.0))))),
        ("ref-later", "seen has a later time", whole(&with(&three, SEEN, array(&[reference(&at(now.0 + 1))])))),
        ("seen-nine", "nine in seen", whole(&with(&three, SEEN, array(&nine)))),
        ("seen-order", "seen descends", whole(&with(&three, SEEN, array(&[nine[1].clone(), nine[0].clone()])))),
        ("seen-twice", "one twice in seen", whole(&with(&three, SEEN, array(&[nine[0].clone(), nine[0].clone()])))),
        ("seen-prev", "prev in seen", whole(&with(&three, SEEN, array(&[reference(&m1)])))),
        ("kind-limit", "kind 2^32", whole(&with(&one, KIND, uint(1 << 32)))),
        ("kind-negative", "kind -1", whole(&with(&one, KIND, vec![0x20]))),
        ("body-text", "the body a text string", whole(&with(&one, BODY, b"\x65hello".to_vec()))),
        ("body-chunks", "the body of indefinite length", whole(&with(&one, BODY, b"\x5f\x45hello\xff".to_vec()))),
        ("body-limit", "a body of 16,385 bytes; here up to where it would begin", cut_body),
        ("signature", "a signature of 63 bytes", short_signature),
    ]
    .into_iter()
    .map(|(name, note, bytes)| {
        let error = Message::decode(&bytes).unwrap_err();
        Vector::new(&format!("malformed-{name}")).note(note).hex("bytes", &bytes).word("rule", rule(error))
    })
    .collect()
}

/// The fields of what author 1 said as its first or second message.
fn fields(seq: u64) -> Fields {
    let message = [first(), second()][seq as usize].clone();
    [
        uint(1),
        bytes(&general().0),
        bytes(&message.author().0),
        uint(seq),
        uint(message.time().0),
        message.prev().map_or(vec![0xf6], |key| reference(&key)),
        array(&message.seen().iter().map(reference).collect::<Vec<_>>()),
        uint(0),
        bytes(message.body()),
    ]
}

fn with(fields: &Fields, place: usize, field: Vec<u8>) -> Fields {
    let mut fields = fields.clone();
    fields[place] = field;
    fields
}

fn whole(fields: &Fields) -> Vec<u8> {
    sign(&keypair(1), &[vec![0x8a], fields.concat()].concat())
}

/// The rule that is broken, as section 3 calls it.
fn rule(error: DecodeError) -> &'static str {
    match error {
        DecodeError::Cbor(CborError::Truncated) => "complete",
        DecodeError::Cbor(CborError::NotCanonical) => "shortest",
        DecodeError::Cbor(CborError::UnexpectedType) => "type",
        DecodeError::Fields(_) => "fields",
        DecodeError::Version(_) => "version",
        DecodeError::Limit("seq") => "seq",
        DecodeError::Limit("time") => "time",
        DecodeError::Limit("seen") => "seen-count",
        DecodeError::Limit("kind") => "kind",
        DecodeError::Limit("body") => "body",
        DecodeError::Limit(other) => panic!("an unknown limit: {other}"),
        DecodeError::PrevAndSeq => "prev-seq",
        DecodeError::SeenOrder => "seen-order",
        DecodeError::TimeOfRef => "ref-time",
        DecodeError::Trailing(_) => "end",
    }
}

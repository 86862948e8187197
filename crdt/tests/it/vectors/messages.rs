//! Names, authors, messages, and which of them are accepted.

use std::sync::Arc;

use distchat_crdt::{
    Draft, Key, Keypair, Message, Room, RoomId, RoomName, RoomNameError, Signer, Timestamp, Zip215, clock::Clock, kind,
    sync::GossipKey,
};

use super::{
    Vector,
    rules::{self, START_MS, array, bytes, diagnostic, reference, uint},
};

pub fn all() -> Vec<Vector> {
    let mut vectors = vec![room(), names(), refused_names()];
    vectors.extend([author(1), author(2)]);
    vectors.extend([
        message("message-1", "author 1, seq 0", &first()),
        message("message-2", "author 2, seq 0, a nick", &nick()),
        message("message-3", "author 1, seq 1, follows message-1 and has seen message-2", &second()),
    ]);
    vectors.extend([vouching(), zip215(), gossip()]);
    vectors
}

/// The author whose seed is this byte 32 times.
pub fn keypair(seed: u8) -> Keypair {
    Keypair::from_seed([seed; 32])
}

pub fn general() -> RoomId {
    RoomId::of(&RoomName::parse("general").unwrap())
}

/// A room without messages.
pub fn empty_room(own: &Keypair) -> Room {
    Room::new(general(), own.author(), Arc::new(Zip215::new([9; 32])))
}

/// What author 1 says first.
pub fn first() -> Message {
    let draft = Draft {
        room: general(),
        seq: 0,
        time: Timestamp::from_millis(START_MS),
        prev: None,
        seen: Vec::new(),
        kind: kind::TEXT,
        body: b"hello".to_vec(),
    };
    draft.sign(&keypair(1)).unwrap()
}

/// What author 2 goes by, a second later.
pub fn nick() -> Message {
    let draft = Draft {
        room: general(),
        seq: 0,
        time: Timestamp::from_millis(START_MS + 1000),
        prev: None,
        seen: Vec::new(),
        kind: kind::NICK,
        body: b"bob".to_vec(),
    };
    draft.sign(&keypair(2)).unwrap()
}

/// What author 1 says next, by a clock that is behind the one of author 2. Written by the room itself.
pub fn second() -> Message {
    let mut room = empty_room(&keypair(1));
    assert_eq!(room.merge(vec![first(), nick()]).commit.messages.len(), 2);
    let far = Timestamp::from_millis(START_MS + 120_000);
    let clock = Clock { stamp_ms: START_MS + 500, horizon: far, follow: far, follow_own: far, off_ms: None };
    room.sign(&keypair(1), &clock, kind::TEXT, "hi bob \u{1f44b}".into()).unwrap()
}

fn room() -> Vector {
    let id = general();
    assert_eq!(id.0, rules::room_id("general"));
    assert_eq!(id.topic().0, rules::topic(&id.0));
    Vector::new("room")
        .note("\"general\"")
        .hex("name", b"general")
        .hex("id", &id.0)
        .hex("topic", &id.topic().0)
        .note("the topic in gossipsub, as text")
        .word("gossip-topic", format!("{:?}", rules::hex(&id.topic().0)))
}

fn names() -> Vector {
    let typed = [
        "general",
        "  General\r\n",
        "\u{3000}STRASSE\u{a0}",
        "Cafe\u{301}",
        "\u{212a}elvin-\u{212b}",
        "\u{130}stanbul",
        "\u{39a}\u{391}\u{3a3}",
        "\u{fb01}n",
        "#rust_2024!",
        "\u{65e5}\u{672c}\u{8a9e}",
    ];
    typed.into_iter().fold(Vector::new("room-names"), |vector, typed| {
        let name = RoomName::parse(typed).unwrap();
        let note = format!("{} -> {}", ascii(typed), ascii(name.as_str()));
        vector.note(&note).hex("typed", typed.as_bytes()).hex("name", name.as_str().as_bytes())
    })
}

fn refused_names() -> Vector {
    let long = "x".repeat(65);
    let typed = ["", " \t ", "two words", "a/b", "a\u{7}", "a\u{200b}b", "a\u{202e}b", "a\u{e000}", "a\u{ffff}", &long];
    typed.into_iter().fold(Vector::new("room-names-refused"), |vector, typed| {
        let why = match RoomName::parse(typed).unwrap_err() {
            RoomNameError::Empty => "empty",
            RoomNameError::TooLong(_) => "too long",
            RoomNameError::Forbidden { what, .. } => what,
        };
        vector.note(&ascii(typed)).hex("typed", typed.as_bytes()).word("refused", why)
    })
}

/// In quotes, and all that is not ASCII by its code point.
fn ascii(text: &str) -> String {
    let shown: String = text
        .chars()
        .map(|c| if matches!(c, ' '..='~') { c.to_string() } else { c.escape_unicode().to_string() })
        .collect();
    format!("\"{shown}\"")
}

fn author(seed: u8) -> Vector {
    Vector::new(&format!("author-{seed}")).hex("seed", &[seed; 32]).hex("author", &keypair(seed).author().0)
}

fn message(name: &str, note: &str, message: &Message) -> Vector {
    assert_eq!(message.id().0, rules::sha256(&[message.bytes()]));
    let (unsigned, _) = message.bytes().split_at(message.bytes().len() - 66);
    assert_eq!(message.signed_bytes(), [b"distchat/1/message\0", unsigned].concat());
    assert_eq!(Message::decode(message.bytes()).unwrap().key(), message.key());
    Vector::new(name)
        .note(note)
        .note(&diagnostic(message.bytes()))
        .hex("bytes", message.bytes())
        .hex("signed", &message.signed_bytes())
        .hex("signature", &message.signature().0)
        .hex("id", &message.id().0)
        .hex("key", &message.key().to_bytes())
}

/// A message of author 1, seq 0, with the text given, and the signature given: right or not.
fn with_signature(author: &[u8; 32], text: &str, signature: &[u8; 64]) -> Message {
    let time = uint(Timestamp::from_millis(START_MS).0);
    let fields = [
        uint(1),
        bytes(&general().0),
        bytes(author),
        uint(0),
        time,
        vec![0xf6],
        array(&[]),
        uint(0),
        bytes(text.as_bytes()),
        bytes(signature),
    ];
    Message::decode(&array(&fields)).unwrap()
}

/// What is accepted of these messages, which come one by one in this order, and then all once more.
fn accepted(messages: &[&Message]) -> Vec<Key> {
    let mut room = empty_room(&keypair(9));
    for message in messages.iter().chain(messages) {
        room.merge(vec![(*message).clone()]);
    }
    let keys = room.index().newest(&Key::MIN, &Key::last_of(Timestamp::MAX), 9);
    keys.into_iter().rev().collect()
}

fn vouching() -> Vector {
    let author = keypair(1).author().0;
    let forged = with_signature(&author, "who signed this?", &[0; 64]);
    let mut other = [0; 64];
    other[0] = 1;
    let twin = with_signature(&author, "who signed this?", &other);
    let fields = [
        uint(1),
        bytes(&general().0),
        bytes(&author),
        uint(1),
        uint(Timestamp::from_millis(START_MS + 1).0),
        reference(&forged.key()),
        array(&[]),
        uint(0),
        bytes(b"I did"),
    ];
    let unsigned = [rules::head(4, 10), fields.concat()].concat();
    let voucher = Message::decode(&rules::sign(&keypair(1), &unsigned)).unwrap();

    for order in [[&forged, &twin, &voucher], [&voucher, &twin, &forged], [&twin, &voucher, &forged]] {
        assert_eq!(accepted(&order), [forged.key(), voucher.key()]);
        let mut room = empty_room(&keypair(9));
        let merge = room.merge(order.map(Message::clone).to_vec());
        assert_eq!((merge.commit.messages.len(), merge.unauthentic, room.index().len()), (2, 1, 2));
    }
    assert_eq!(accepted(&[&forged, &twin]), []);
    let root = rules::root(&[forged.key().to_bytes(), voucher.key().to_bytes()]);
    Vector::new("vouching")
        .note("its signature does not verify, but the voucher names it: accepted as soon as both are there")
        .hex("forged", forged.bytes())
        .note("the same with other bytes for a signature: never accepted")
        .hex("twin", twin.bytes())
        .hex("voucher", voucher.bytes())
        .note("of the two that are accepted")
        .hex("root", &root)
}

fn zip215() -> Vector {
    // y = p + 1, a second spelling of the neutral element, as author and as R; S = 0.
    let mut neutral = [0xff; 32];
    (neutral[0], neutral[31]) = (0xee, 0x7f);
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&neutral);
    let small = with_signature(&neutral, "anybody can sign this", &signature);
    assert_eq!(accepted(&[&small]), [small.key()]);

    // S + L instead of S.
    let order = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut large = first().signature().0;
    let mut carry = 0;
    for (digit, add) in large[32..].iter_mut().zip(order) {
        carry += u16::from(*digit) + add;
        *digit = carry as u8;
        carry >>= 8;
    }
    let large = with_signature(&keypair(1).author().0, "hello", &large);
    assert_eq!((accepted(&[&large]), carry), (vec![], 0));
    Vector::new("zip215")
        .note("accepted: A and R are a non-canonical encoding of the neutral element, S = 0")
        .hex("accepted", small.bytes())
        .note("not accepted: message-1 with S + L for S")
        .hex("unauthentic", large.bytes())
}

fn gossip() -> Vector {
    let payload = [first().bytes(), second().bytes()].concat();
    assert_eq!(Message::decode_all(&payload).unwrap(), [first(), second()]);
    let key = rules::gossip_key(&general().0);
    let sealed = GossipKey::of(&general()).seal(&payload).unwrap();
    assert!(sealed.starts_with(&rules::gossip_nonce(&key, &payload)));
    assert_eq!(GossipKey::of(&general()).open(&sealed), Some(payload));
    Vector::new("gossip")
        .note("of the room \"general\"")
        .hex("key", &key)
        .note("the payload is message-1, message-3; its nonce is in front")
        .hex("sealed", &sealed)
        .hex("message-id", &rules::gossip_id(&general().topic().0, &sealed))
}

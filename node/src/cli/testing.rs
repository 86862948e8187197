//! Values of the library's types for the tests of what shows them.

use distchat_node::{
    AuthorId, Fingerprint, FingerprintInfo, Form, Key, Message, MessageId, PeerId, PeerInfo, RoomInfo, RoomName,
    RoomState, SyncState, Timestamp,
};

/// Milliseconds since 1970 of the test's messages: 22:13:20 on 14 November 2023.
pub(crate) const NOON: u64 = 1_700_000_000_000;

pub(crate) fn room_name(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

pub(crate) fn author(n: u8) -> AuthorId {
    AuthorId([n; 32])
}

pub(crate) fn fingerprint(n: u8) -> Fingerprint {
    Fingerprint([n; 32])
}

/// A peer id: the multihash of an Ed25519 key, `n` all over.
pub(crate) fn peer_id(n: u8) -> PeerId {
    let mut bytes = vec![0, 36, 8, 1, 18, 32];
    bytes.extend([n; 32]);
    PeerId::from_bytes(&bytes).unwrap()
}

/// A message by author 7, the `n`th.
pub(crate) fn message(n: u8, nick: &str, text: &str) -> Message {
    let time = Timestamp::from_millis(NOON + u64::from(n));
    let id = MessageId([n; 32]);
    Message {
        id,
        key: Key { time, id },
        author: author(7),
        nick: nick.to_owned(),
        nick_shared: false,
        seq: n.into(),
        time,
        form: Form::Text,
        text: text.to_owned(),
        own: false,
        late: false,
        delay: None,
        future: false,
    }
}

pub(crate) fn fingerprint_info(messages: u64, n: u8, missing: u64) -> FingerprintInfo {
    FingerprintInfo { messages, fingerprint: fingerprint(n), missing }
}

pub(crate) fn peer_info(n: u8, by: Option<u8>, clock_offset_ms: Option<i64>) -> PeerInfo {
    let address = format!("/ip4/127.0.0.1/tcp/{n}").parse().unwrap();
    let rooms = vec![room_name("general")];
    PeerInfo { peer_id: peer_id(n), author: by.map(author), address, rooms, clock_offset_ms }
}

pub(crate) fn room_info(name: &str, state: RoomState) -> RoomInfo {
    RoomInfo {
        name: room_name(name),
        messages: 9,
        peers: 2,
        state,
        fingerprint: fingerprint(3),
        nick: None,
        sync: SyncState::InSync,
        missing: 0,
        horizon: Timestamp::from_millis(NOON + 120_000),
    }
}

//! Messages, alone and in the runs that gossip carries.

use std::sync::Arc;

use distchat_crdt::{AuthorId, MAX_MESSAGE, MIN_MESSAGE, Message, Room, RoomId, Zip215};

/// What decodes has these bytes and no others, and a room takes none of it that nobody has signed.
pub(super) fn run(bytes: &[u8]) {
    if let Ok(message) = Message::decode(bytes) {
        assert_eq!(message.bytes(), bytes);
        assert!((MIN_MESSAGE..=MAX_MESSAGE).contains(&bytes.len()));
        assert!(message.refs().all(|key| key.time < message.time()));
        let mut room = Room::new(message.room(), AuthorId([1; 32]), Arc::new(Zip215::new([2; 32])));
        let merge = room.merge(vec![message.clone()]);
        assert_eq!(merge.foreign, 0);
        assert_eq!(room.index().contains(&message.key()), merge.unauthentic == 0);
        let mut other = Room::new(RoomId([0xfe; 32]), AuthorId([1; 32]), Arc::new(Zip215::new([2; 32])));
        assert_eq!(other.merge(vec![message]).foreign, 1);
    }
    if let Ok(messages) = Message::decode_all(bytes) {
        assert_eq!(messages.iter().flat_map(|message| message.bytes().to_vec()).collect::<Vec<_>>(), bytes);
    }
    if let Ok((first, rest)) = Message::decode_first(bytes) {
        assert_eq!([first.bytes(), rest].concat(), bytes);
    }
}

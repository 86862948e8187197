//! Which rooms are in doubt: something was read of them that is not what its key says. Whoever runs such a room loads it
//! again, and it is judged anew then.

use std::{collections::BTreeSet, sync::Arc};

use distchat_crdt::{Key, Message};
use tokio::sync::watch;

use super::RoomNo;

#[derive(Clone, Debug, Default)]
pub(super) struct Doubts(Arc<watch::Sender<BTreeSet<RoomNo>>>);

impl Doubts {
    /// The message of that key, if these bytes are it; else the room is in doubt.
    pub(super) fn check(&self, room: RoomNo, key: &Key, bytes: &[u8]) -> Option<Message> {
        let message = Message::decode(bytes).ok().filter(|message| message.key() == *key);
        if message.is_none() {
            self.raise(room, Some(key));
        }
        message
    }

    pub(super) fn raise(&self, room: RoomNo, key: Option<&Key>) {
        let id = key.map(|key| key.id.short());
        tracing::warn!(room = room.0, id, "a message on disk is not what it was: the room is judged anew");
        self.0.send_if_modified(|rooms| rooms.insert(room));
    }

    /// Whether the room is in doubt.
    pub(super) fn has(&self, room: RoomNo) -> bool {
        self.0.borrow().contains(&room)
    }

    /// The room was judged anew.
    pub(super) fn settle(&self, room: RoomNo) {
        self.0.send_if_modified(|rooms| rooms.remove(&room));
    }

    /// Until the room is in doubt.
    pub(super) async fn wait_for(&self, room: RoomNo) {
        // This handle is one that could raise it, so there always is one.
        let _ = self.0.subscribe().wait_for(|rooms| rooms.contains(&room)).await;
    }
}

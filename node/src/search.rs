//! What is found when somebody looks for words.

use distchat_crdt::{AuthorId, RoomName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{event::Message, room, store};

/// What [`crate::Node::search`] has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The lines, the newest first.
    pub hits: Vec<Hit>,
    /// How far the index is, if it is not complete: then there may be more, as a rule older ones.
    pub indexing: Option<Indexing>,
}

/// A line with the words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// The room it was said in, which may not be open.
    pub room: RoomName,
    /// The line as [`crate::Room::messages`] has it, but that `nick_shared` is never set: the room's names are not read
    /// for this.
    pub message: Message,
}

/// How far the index of a profile's messages is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indexing {
    /// How many messages of all kinds it has taken in.
    pub done: u64,
    /// How many there are.
    pub of: u64,
}

impl Found {
    /// What the store has found, as people are shown it.
    pub(crate) fn new(found: store::Found, own: AuthorId, horizon: Timestamp) -> Self {
        let hits = found.hits.into_iter().map(|hit| {
            let message = room::shown(own, &hit.message, hit.nick, horizon);
            Hit { room: hit.room, message }
        });
        Self { hits: hits.collect(), indexing: found.indexing }
    }
}

//! What is found when somebody looks for words.

use distchat_crdt::{AuthorId, RoomName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{event::Message, room, store};

/// What [`crate::Node::search`] has found.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// room.broadcast("the blue whale").await?;
/// room.broadcast("the grey whale").await?;
/// let found = node.search("whale", 1).await?; // one line is enough
/// assert_eq!(found.hits.len(), 1);
/// assert_eq!(found.hits[0].message.text, "the grey whale");
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The lines, the newest first.
    pub hits: Vec<Hit>,
    /// How far the index is, if it is not complete: then there may be more, as a rule older ones.
    pub indexing: Option<Indexing>,
}

/// A line with the words.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// room.broadcast("the blue whale").await?;
/// node.leave_room(room.name()).await?;
///
/// // The room is closed; the line is found all the same, and can be gone to.
/// let hit = node.search("whale", 10).await?.hits.remove(0);
/// let around = node.open_room(&hit.room).await?.messages_before(hit.message.key.next(), 10).await?;
/// assert_eq!(around.last(), Some(&hit.message));
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// The room it was said in, which may not be open.
    pub room: RoomName,
    /// The line as [`crate::Room::messages`] has it, but that `nick_shared` is never set: the room's names are not read
    /// for this.
    pub message: Message,
}

/// How far the index of a profile's messages is.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// room.broadcast("hello").await?;
/// let found = node.search("hello", 10).await?;
/// let percent = found.indexing.map_or(100, |indexing| 100 * indexing.done / indexing.of.max(1));
/// println!("{} found, {percent} % looked through", found.hits.len());
/// assert!(percent <= 100);
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
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

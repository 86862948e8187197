//! Carrying a room where there is no network: its messages out, page by page, and back in.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use distchat_crdt::{
    Key,
    sync::{Imported, Input, MAX_PAGE, Ticket},
};

use super::{
    Command, Room,
    slot::Reply,
    task::{RoomFailure, Task},
};
use crate::error::RoomError;

/// How many bytes of messages are exported or imported in one go, at most.
pub const MAX_CARRY_PAGE: usize = MAX_PAGE;

/// Some of a room's messages, as they stand on the disk.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// use distchat_node::{ExportPage, MAX_CARRY_PAGE};
///
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// let first = room.broadcast("one").await?;
/// let second = room.broadcast("two").await?;
/// let ExportPage { messages, next } = room.export(None, 1).await?; // one byte: one message
/// assert_eq!((messages.len(), next), (1, Some(second.key)));
/// let older = room.export(next, MAX_CARRY_PAGE).await?;
/// assert_eq!((older.messages.len(), older.next), (1, None));
/// # let _ = first;
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportPage {
    /// All the bytes of each, the newest first.
    pub messages: Vec<Vec<u8>>,
    /// Where the next page begins: what to give as `before`. `None` if there is nothing older.
    pub next: Option<Key>,
}

impl ExportPage {
    pub(super) fn new((messages, next): (Vec<Vec<u8>>, Option<Key>)) -> Self {
        Self { messages, next }
    }
}

impl Room {
    /// A page of the room's messages of all kinds, as they stand on the disk: the newest before that place, the newest
    /// first; `None`: the newest of all. At most so many bytes, and never more than [`MAX_CARRY_PAGE`], but at least one
    /// message if there is one.
    ///
    /// The newest come first because each message vouches for its author's one before it: read in that order a room is
    /// imported anywhere at the cost of a hash a message, and what is cut off is worth what came before. What arrives while
    /// page after page is read may or may not be among them.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, MAX_CARRY_PAGE, Node, bundle::Writer};
    ///
    /// # let config = Config { memory: true, offline: true, ..Config::default() };
    /// let node = Node::start(config).await?;
    /// let room = node.open_room(&"general".parse()?).await?;
    /// room.broadcast("carry me").await?;
    ///
    /// let mut bundle = Writer::new(Vec::new(), room.name().clone());
    /// let mut before = None;
    /// loop {
    ///     let page = room.export(before, MAX_CARRY_PAGE).await?;
    ///     page.messages.iter().try_for_each(|message| bundle.push(message))?;
    ///     match page.next {
    ///         Some(next) => before = Some(next),
    ///         None => break,
    ///     }
    /// }
    /// let file = bundle.finish()?;
    /// # assert!(file.len() > 200);
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Room::messages`].
    pub async fn export(&self, before: Option<Key>, max_bytes: usize) -> Result<ExportPage, RoomError> {
        let max_bytes = max_bytes.min(MAX_CARRY_PAGE);
        self.call(|reply| Command::Export { before, max_bytes, reply }).await
    }

    /// Takes in messages that somebody has carried here, each given by all its bytes, in any order: whatever is valid by the
    /// rules for what peers send. Says how many were of which kind; those that are new or known are on this node's disk by
    /// then. People and peers hear of them as if a peer had sent them.
    ///
    /// Each call waits for the disk, so many messages at once are best: up to [`MAX_CARRY_PAGE`] bytes.
    ///
    /// What is neither signed nor vouched for is forgotten. If what vouches for it comes in a later page, it is taken when it
    /// is imported again behind that; newest first nothing has to come twice.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Imported, Node, bundle::{Part, Reader}};
    ///
    /// # let config = Config { memory: true, offline: true, ..Config::default() };
    /// # let file: &[u8] = b"";
    /// let node = Node::start(config).await?;
    /// let mut imported = Imported::default();
    /// let mut reader = Reader::new(file);
    /// while let Some(part) = reader.next_part()? {
    ///     if let Part::Messages { room, messages } = part {
    ///         imported += node.open_room(&room).await?.import(messages).await?;
    ///     }
    /// }
    /// println!("{} new, {} here already", imported.new, imported.known);
    /// # assert_eq!(imported.total(), 0);
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If they are more than [`MAX_CARRY_PAGE`] bytes, if the room has failed or was left, or if they could not be stored.
    /// Then none was taken in.
    pub async fn import(&self, messages: Vec<Vec<u8>>) -> Result<Imported, RoomError> {
        // An empty one costs something, too.
        let bytes = messages.iter().map(|message| message.len().max(1)).sum();
        if bytes > MAX_CARRY_PAGE {
            return Err(RoomError::PageTooLong { bytes, max: MAX_CARRY_PAGE });
        }
        let messages = Arc::new(messages);
        let _turn = self.slot.importing.lock().await;
        self.call(|reply| Command::Import { messages: messages.clone(), reply }).await
    }
}

/// Imports whose answers wait for the disk.
#[derive(Default)]
pub(super) struct Imports {
    /// Not judged yet. That follows at once, so there is never more than one.
    asked: BTreeMap<Ticket, Reply<Imported>>,
    /// What is new goes to the store with that commit, which is handed over next.
    committing: Option<(u64, Imported, Reply<Imported>)>,
    /// Nothing was new, and what is known may be on its way to the disk with that commit or one before.
    known: VecDeque<(u64, Imported, Reply<Imported>)>,
}

impl Imports {
    /// Whether nobody waits for any.
    pub(super) fn are_none(&self) -> bool {
        self.asked.is_empty() && self.committing.is_none() && self.known.is_empty()
    }

    /// Who waits for that commit, which is about to be handed to the store. The store tells them itself, so that what is on
    /// disk is told as new even if the task crashes meanwhile.
    pub(super) fn take(&mut self, commit: u64) -> Option<(Imported, Reply<Imported>)> {
        let (_, imported, reply) = self.committing.take_if(|(number, ..)| *number == commit)?;
        Some((imported, reply))
    }

    /// All commits up to that one are on disk.
    pub(super) fn written(&mut self, through: u64) {
        while let Some((_, imported, reply)) = self.known.pop_front_if(|(commit, ..)| *commit <= through) {
            // Whoever asked may be gone by now.
            reply.send(Ok(imported)).ok();
        }
    }
}

impl Task {
    pub(super) async fn import(&mut self, messages: &[Vec<u8>], reply: Reply<Imported>) -> Result<(), RoomFailure> {
        // It is a catching up, as when a peer offers something: it ends when the room is found equal to a peer's.
        let (frontier, last_commit) = (self.frontier, self.last_commit);
        self.frontier.unfinished = true;
        let ticket = self.ticket();
        self.imports.asked.insert(ticket, reply);
        self.handle(Input::Import { ticket, messages: messages.to_vec() }).await?;
        if self.last_commit == last_commit {
            // Nothing was new.
            self.frontier = frontier;
        }
        Ok(())
    }

    /// The replica has judged what was imported.
    pub(super) fn imported(&mut self, ticket: Ticket, imported: Imported, commit: u64) {
        let Some(reply) = self.imports.asked.remove(&ticket) else { return };
        if imported.new > 0 {
            self.imports.committing = Some((commit, imported, reply));
        } else {
            self.imports.known.push_back((commit, imported, reply));
            self.imports.written(self.written.borrow().through);
        }
    }
}

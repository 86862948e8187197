//! The rooms that a node knows of without having opened them, and whether what it keeps of them is sound.

use std::{cmp::Reverse, collections::BTreeMap};

use distchat_crdt::{RoomId, RoomName, Topic};
use libp2p::PeerId;

use super::Node;
use crate::{
    error::RoomError,
    verify::{Verification, VerifyError},
};

#[cfg(test)]
mod tests;

/// A room that there is something of in the history.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StoredRoom {
    /// Its name.
    pub name: RoomName,
    /// How many messages of all kinds are kept of it.
    pub messages: u64,
}

/// A room that connected peers take part in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRoom {
    /// What it is called on the network. [`Topic::short`] is enough to tell a handful of rooms apart.
    pub topic: Topic,
    /// Its name, if this profile knows it: names are not told to those who do not.
    pub name: Option<RoomName>,
    /// The peers, as far as they are connected.
    pub peers: Vec<PeerId>,
}

impl Node {
    /// The rooms in the history by name, open or not.
    ///
    /// # Errors
    /// If the history cannot be read or the node has shut down.
    pub async fn stored_rooms(&self) -> Result<Vec<StoredRoom>, RoomError> {
        let rooms = self.0.shared.store.rooms().await?;
        Ok(rooms.into_iter().map(|(name, messages)| StoredRoom { name, messages }).collect())
    }

    /// The rooms that connected peers take part in, by what they subscribe to, at most so many: first those whose name this
    /// profile knows, by name; then others, those with most peers first. That somebody subscribes proves nothing: who is in
    /// an open room has shown to know it, and is in [`Node::peers`].
    ///
    /// # Errors
    /// If the history cannot be read or the node has shut down.
    pub async fn seen_rooms(&self, at_most: usize) -> Result<Vec<SeenRoom>, RoomError> {
        let mut names: Vec<RoomName> = self.rooms().into_iter().map(|room| room.name).collect();
        names.extend(self.0.shared.store.rooms().await?.into_iter().map(|(name, _)| name));
        let names: BTreeMap<Topic, RoomName> =
            names.into_iter().map(|name| (RoomId::of(&name).topic(), name)).collect();
        let seen = self.0.shared.network.subscribers().await.map_err(|_| RoomError::Closed)?;
        let seen = seen.into_iter().map(|(topic, peers)| SeenRoom { topic, name: names.get(&topic).cloned(), peers });
        let mut seen: Vec<SeenRoom> = seen.collect();
        seen.sort_by(|a, b| {
            let rank =
                |room: &SeenRoom| (room.name.is_none(), room.name.clone(), Reverse(room.peers.len()), room.topic);
            rank(a).cmp(&rank(b))
        });
        seen.truncate(at_most);
        Ok(seen)
    }

    /// Judges the whole history anew, step by step: every message by its bytes, signature or voucher, and what is kept
    /// beside the messages by what follows from them. It changes nothing, and rooms may be open meanwhile.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Node, Verified};
    ///
    /// # let config = Config { memory: true, offline: true, ..Config::default() };
    /// let node = Node::start(config).await?;
    /// node.open_room(&"general".parse()?).await?.broadcast("hello").await?;
    ///
    /// let mut verification = node.verify().await?;
    /// while let Some(verified) = verification.step().await? {
    ///     match verified {
    ///         Verified::Store { problems } => problems.iter().for_each(|problem| println!("{problem}")),
    ///         Verified::Progress { room, done, of } => println!("{room}: {done} of {of}"),
    ///         Verified::Room(report) => {
    ///             println!("{}: {} of {} are fine", report.room, report.fine, report.messages);
    ///             report.problems.iter().for_each(|problem| println!("{problem}"));
    ///             # assert!(report.is_fine());
    ///         }
    ///     }
    /// }
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the history cannot be read or the node has shut down.
    pub async fn verify(&self) -> Result<Verification, VerifyError> {
        let shared = &self.0.shared;
        Verification::start(&shared.store, self.0.author, shared.verifier.clone()).await
    }
}

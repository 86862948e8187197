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
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// use distchat_node::StoredRoom;
///
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// room.broadcast("hello").await?;
/// assert_eq!(node.stored_rooms().await?, [StoredRoom { name: room.name().clone(), messages: 1 }]);
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StoredRoom {
    /// Its name.
    pub name: RoomName,
    /// How many messages of all kinds are kept of it.
    pub messages: u64,
}

/// A room that connected peers take part in.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::{Config, Node, RoomId};
///
/// # let config = |profile: &str| Config {
/// #     profile: profile.into(),
/// #     memory: true,
/// #     mdns: false,
/// #     same_machine: false,
/// #     listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
/// #     ..Config::default()
/// # };
/// let [alice, bob] = [Node::start(config("alice")).await?, Node::start(config("bob")).await?];
/// let secret = bob.open_room(&"secret".parse()?).await?;
/// alice.connect(bob.listeners().remove(0)).await?;
/// # let pause = std::time::Duration::from_millis(2);
/// let seen = loop {
///     if let Some(seen) = alice.seen_rooms(10).await?.pop() {
///         break seen;
///     }
///     tokio::time::sleep(pause).await; // no event tells of it
/// };
/// assert_eq!((seen.name, seen.peers), (None, vec![bob.peer_id()])); // what it is called is not told
/// assert_eq!(seen.topic, RoomId::of(secret.name()).topic());
/// # alice.shutdown().await;
/// # bob.shutdown().await;
/// # Ok(())
/// # }
/// ```
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
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// for name in ["whales", "general"] {
    ///     let room = node.open_room(&name.parse()?).await?;
    ///     room.broadcast("hello").await?;
    ///     node.leave_room(room.name()).await?;
    /// }
    /// let stored: Vec<_> = node.stored_rooms().await?.into_iter().map(|room| room.name.to_string()).collect();
    /// assert_eq!(stored, ["general", "whales"]);
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
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
    /// No event tells of it.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Event, Node};
    ///
    /// # let config = |profile: &str| Config {
    /// #     profile: profile.into(),
    /// #     memory: true,
    /// #     mdns: false,
    /// #     same_machine: false,
    /// #     listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
    /// #     ..Config::default()
    /// # };
    /// let [alice, bob] = [Node::start(config("alice")).await?, Node::start(config("bob")).await?];
    /// let mut events = alice.events();
    /// let room = alice.open_room(&"general".parse()?).await?;
    /// assert!(alice.seen_rooms(10).await?.is_empty()); // nobody else is in it
    ///
    /// bob.open_room(room.name()).await?;
    /// alice.connect(bob.listeners().remove(0)).await?;
    /// while !matches!(events.next().await, Some(Event::Synced { .. })) {}
    /// # let pause = std::time::Duration::from_millis(2);
    /// # while alice.seen_rooms(10).await?.is_empty() { tokio::time::sleep(pause).await; }
    /// let seen = alice.seen_rooms(10).await?;
    /// assert_eq!((seen[0].name.as_ref(), &*seen[0].peers), (Some(room.name()), &[bob.peer_id()][..]));
    /// # alice.shutdown().await;
    /// # bob.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
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

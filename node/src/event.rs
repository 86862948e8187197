//! What a node tells its users, and how. All of it can be written down by serde, for whoever passes it on.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use distchat_crdt::{AuthorId, Fingerprint, Key, MessageId, RoomName, Timestamp, sync::SyncState};
use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::serial::{as_text, shared};

/// How many events a reader may be behind before it misses some and is told so.
const EVENT_BUFFER: usize = 32 * 1024;

/// How a message is meant.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// use distchat_node::Form;
///
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// room.act("waves").await?;
/// let question = room.broadcast("who is here?").await?;
/// room.reply(question.key, "I am").await?;
/// let forms: Vec<Form> = room.messages(10).await?.into_iter().map(|message| message.form).collect();
/// assert_eq!(forms, [Form::Action, Form::Text, Form::Reply(question.key)]);
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Said to the room.
    Text,
    /// What the author does, told in the third person: `waves`.
    Action,
    /// Said in answer to the message at that place, which may not be here.
    Reply(Key),
}

/// What somebody thinks of a message.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// let message = room.broadcast("lunch?").await?;
/// room.react(message.key, "🍕").await?;
/// room.react(message.key, "🍜").await?; // on second thoughts
/// let reactions = room.reactions(&[message.key]).await?;
/// assert_eq!(reactions.len(), 1);
/// assert_eq!((reactions[0].author, &*reactions[0].emoji), (node.author(), "🍜"));
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// Its place in the transcript. Of an author's reactions to a message the last one holds.
    pub key: Key,
    /// Who.
    pub author: AuthorId,
    /// The message thought of, which may not be here.
    pub to: Key,
    /// An emoji, as a rule. If it is empty, the author takes back what it thought before.
    pub emoji: String,
}

/// What a room is about.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// room.set_topic("whales").await?;
/// let topic = room.topic().await?.ok_or("nobody has said so")?;
/// assert_eq!((topic.author, &*topic.text), (node.author(), "whales"));
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomTopic {
    /// Its place in the transcript. The last one holds.
    pub key: Key,
    /// Who said so.
    pub author: AuthorId,
    /// What it is about. Empty if nothing.
    pub text: String,
}

/// A text message, an action or a reply, as people are shown it. Texts and nicks are raw: whoever shows them escapes them.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// room.set_nick("ana").await?;
/// let said = room.broadcast("hello").await?;
/// let read = room.messages(1).await?.remove(0);
/// assert_eq!((read.id, read.key), (said.id, said.key));
/// assert_eq!(format!("<{}> {}", read.nick, read.text.escape_debug()), "<ana> hello");
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The hash of all its bytes.
    pub id: MessageId,
    /// Its place in the transcript, which ascends by key.
    pub key: Key,
    /// Who wrote it.
    pub author: AuthorId,
    /// The author's display name at that place, else the first digits of the key. Never empty.
    pub nick: String,
    /// Another author goes by the same name, or by one that the eye takes for it ([`fn@crate::look`]), or it looks like the digits
    /// of a key: show the author's key, too.
    pub nick_shared: bool,
    /// How many messages the author wrote here before.
    pub seq: u64,
    /// When it was written, by the hybrid clock.
    pub time: Timestamp,
    /// How it is meant.
    pub form: Form,
    /// What it says. What is not UTF-8 is told as such.
    pub text: String,
    /// Whether this node's author wrote it.
    pub own: bool,
    /// It went in before messages that had been shown already.
    pub late: bool,
    /// How much later than it was written it came here, if newer ones had been shown by then. `None` if it came in time,
    /// and in what is caught up with after an absence. It stays as it is when the node is started again.
    pub delay: Option<Duration>,
    /// It is dated more than two minutes ahead of the clock.
    pub future: bool,
}

/// What state a room's task is in.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// use distchat_node::RoomState;
///
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// assert_eq!(room.info().state, RoomState::Open);
/// room.crash().await?;
/// room.broadcast("still here").await?;
/// assert_eq!(room.info().state, RoomState::Restarted);
/// node.leave_room(room.name()).await?;
/// assert_eq!(room.info().state, RoomState::Left);
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomState {
    /// It runs.
    Open,
    /// It runs again after a crash. Nothing was lost.
    Restarted,
    /// It takes nothing in for now: the disk takes no writes, or the room holds as much as it may
    /// ([`crate::Config::room_limit`]). What is there can be read and is served to peers. When the disk works again it goes
    /// on by itself.
    Paused,
    /// It crashed too often and waits for [`crate::Room::restart`].
    Failed,
    /// It was left. Its history stays.
    Left,
}

/// A room in brief.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// use distchat_node::{RoomState, SyncState};
///
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// let info = room.info();
/// println!("{}: {} messages, {} peers, {}", info.name, info.messages, info.peers, info.fingerprint.short());
/// assert_eq!((info.name.as_str(), info.state, info.sync), ("general", RoomState::Open, SyncState::Alone));
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomInfo {
    /// Its name.
    pub name: RoomName,
    /// How many messages of all kinds it holds.
    pub messages: u64,
    /// How many connected peers are in it.
    pub peers: usize,
    /// How its task is.
    pub state: RoomState,
    /// Equal to another node's if and only if the transcripts are.
    pub fingerprint: Fingerprint,
    /// The name that the own author goes by here, or will once it says something; `None` if that is the first digits of
    /// its key.
    pub nick: Option<String>,
    /// How it stands with the peers in it.
    pub sync: SyncState,
    /// How many messages others refer to that are not here yet.
    pub missing: u64,
    /// Messages of a later time are future-dated.
    pub horizon: Timestamp,
}

/// Somebody who wrote in a room, or is there.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// room.set_nick("ana").await?;
/// room.broadcast("hello").await?;
/// assert_eq!(room.messages(1).await?[0].nick, "ana");
/// let members = room.members(10).await?;
/// assert_eq!(members.len(), 1);
/// assert_eq!((&*members[0].nick, members[0].messages), ("ana", 2)); // the name is one, too
/// assert!(members[0].own && members[0].online);
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub author: AuthorId,
    /// The name they go by now, else the first digits of the key. Never empty.
    pub nick: String,
    /// Another author goes by the same name, or by one that the eye takes for it, or it looks like the digits of a key.
    pub nick_shared: bool,
    /// Whether a node of theirs is connected and in the room. Oneself always is.
    pub online: bool,
    /// Whether this is this node's author.
    pub own: bool,
    /// The identity was written from two places.
    pub forked: bool,
    /// How many messages of theirs, of all kinds, are here.
    pub messages: u64,
    /// How many messages that are not here are referred to by theirs.
    pub missing: u64,
}

/// On whose disks a message is, besides the own: by what their nodes have answered, each bound to its author's key, and never
/// by what was sent to them.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::{Config, Node, Receipt};
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
/// let room = alice.open_room(&"general".parse()?).await?;
/// let message = room.broadcast("keep this").await?;
/// assert_eq!(room.receipt(message.key).await?, Receipt { on: vec![], of: 0, said_before: false });
///
/// bob.open_room(room.name()).await?;
/// alice.connect(bob.listeners().remove(0)).await?;
/// assert_eq!(room.on_disks(message.key, 1).await?.on, [bob.author()]);
/// # alice.shutdown().await;
/// # bob.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Those who have it.
    pub on: Vec<AuthorId>,
    /// How many could: they, and those who are in the room now.
    pub of: usize,
    /// It was not said here since the node started. Answers from before that are not remembered, so there may be more who
    /// have it.
    pub said_before: bool,
}

/// What a room holds.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::{Config, MAX_CARRY_PAGE, Node};
///
/// # let config = Config { memory: true, offline: true, ..Config::default() };
/// let [here, there] = [Node::start(config.clone()).await?, Node::start(config).await?];
/// let [out, back] = [here.open_room(&"general".parse()?).await?, there.open_room(&"general".parse()?).await?];
/// out.broadcast("carry me").await?;
/// assert_ne!(out.fingerprint().await?, back.fingerprint().await?);
/// back.import(out.export(None, MAX_CARRY_PAGE).await?.messages).await?;
/// assert_eq!(out.fingerprint().await?, back.fingerprint().await?);
/// # here.shutdown().await;
/// # there.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FingerprintInfo {
    /// How many messages of all kinds.
    pub messages: u64,
    /// Equal to another node's if and only if the transcripts are.
    pub fingerprint: Fingerprint,
    /// How many messages others refer to that are not here yet.
    pub missing: u64,
}

/// A connected peer.
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
/// bob.open_room(room.name()).await?;
/// alice.connect(bob.listeners().remove(0)).await?;
/// while !matches!(events.next().await, Some(Event::Synced { .. })) {}
///
/// let peers = alice.peers();
/// assert_eq!((peers[0].peer_id, peers[0].author), (bob.peer_id(), Some(bob.author())));
/// assert_eq!(peers[0].rooms, [room.name().clone()]);
/// # alice.shutdown().await;
/// # bob.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// Its transport identity, fresh for every process.
    #[serde(with = "as_text")]
    pub peer_id: PeerId,
    /// Its author, once proven in a room that both are in.
    pub author: Option<AuthorId>,
    /// Where it is.
    pub address: Multiaddr,
    /// The rooms that both are in.
    pub rooms: Vec<RoomName>,
    /// How far its clock is ahead of this node's, in milliseconds.
    pub clock_offset_ms: Option<i64>,
}

/// Something that happened.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// use distchat_node::Event;
///
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// let mut events = node.events();
/// let room = node.open_room(&"general".parse()?).await?;
/// room.set_nick("ana").await?;
/// room.broadcast("hello").await?;
/// # let mut seen = Vec::new();
/// while let Some(event) = events.next().await {
///     let line = match event {
///         Event::Room { room, state, .. } => format!("{room} is {state:?}"),
///         Event::Named { author, nick, .. } => format!("{} goes by {nick}", author.short()),
///         Event::Message { message, .. } => format!("<{}> {}", message.nick, message.text),
///         other => format!("{other:?}"),
///     };
///     println!("{line}");
///     # seen.push(line);
///     # if seen.len() == 3 { break }
/// }
/// # assert_eq!((&*seen[0], &*seen[2]), ("general is Open", "<ana> hello"));
/// # assert_eq!(seen[1], format!("{} goes by ana", node.author().short()));
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A room's task changed its state.
    Room {
        /// Which room.
        room: RoomName,
        /// How many messages it holds.
        messages: u64,
        /// What it holds.
        fingerprint: Fingerprint,
        /// The state.
        state: RoomState,
    },
    /// A text message, an action or a reply is on disk and part of the room.
    Message {
        /// Which room.
        room: RoomName,
        /// The message, which all readers share.
        #[serde(with = "shared")]
        message: Arc<Message>,
    },
    /// An author goes by a name from a place in the transcript on, which may be before messages that were shown already:
    /// a name can come later than what was said under it.
    Named {
        /// In which room.
        room: RoomName,
        /// Who.
        author: AuthorId,
        /// From where on, until the author's next name.
        from: Key,
        /// The name. Never empty.
        nick: String,
    },
    /// A node of somebody else has answered that it has on its disk all that was said here since this node started, up to
    /// that message. Comes only while somebody waits for receipts: see [`crate::Room::receipt`].
    Receipt {
        /// In which room.
        room: RoomName,
        /// Who.
        author: AuthorId,
        /// The place of the last message that they have.
        through: Key,
    },
    /// Somebody thinks something of a message.
    Reacted {
        /// In which room.
        room: RoomName,
        /// Who, what, and of which message.
        reaction: Reaction,
    },
    /// Somebody has said what a room is about.
    Topic {
        /// Which room.
        room: RoomName,
        /// What it is about, which may be out of date: another one may have a later place.
        topic: RoomTopic,
    },
    /// A peer was connected, has proven who its author is, or is gone.
    Peer {
        /// Which peer.
        #[serde(with = "as_text")]
        peer_id: PeerId,
        /// Its author, once proven.
        author: Option<AuthorId>,
        /// Whether it is connected.
        connected: bool,
        /// Where it is or was.
        address: Multiaddr,
    },
    /// This node and a peer hold the same messages of a room.
    Synced {
        /// Which room.
        room: RoomName,
        /// Which peer.
        #[serde(with = "as_text")]
        peer_id: PeerId,
        /// How many messages came in the session that found so.
        received: u64,
        /// How many went.
        sent: u64,
        /// What both hold.
        fingerprint: Fingerprint,
    },
    /// The own clock is off by more than 30 seconds, or differs so much from the only others that are known.
    ClockOff {
        /// How far it is ahead, in milliseconds.
        offset_ms: i64,
    },
    /// An identity was written from two places: two of its messages have one sequence number.
    Forked {
        /// In which room.
        room: RoomName,
        /// Which identity.
        author: AuthorId,
    },
    /// This reader was too slow. What it missed can be read from the rooms.
    Lagged {
        /// How many events it missed.
        missed: u64,
    },
    /// Something that a person should know.
    Warning {
        /// A short name for programs.
        code: Cow<'static, str>,
        /// What is wrong and what to do.
        message: String,
    },
}

/// A node's events from the moment [`crate::Node::events`] was called.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// use distchat_node::Event;
///
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// let mut readers = [node.events(), node.events()];
/// room.broadcast("hello").await?;
/// for events in &mut readers {
///     // Each reader has all of them.
///     while let Some(event) = events.next().await {
///         if let Event::Message { message, .. } = event {
///             assert_eq!(message.text, "hello");
///             break;
///         }
///     }
/// }
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Option<Event>>);

impl Events {
    /// The next event; `None` once the node has shut down.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Event, Node, RoomState};
    ///
    /// # let config = Config { memory: true, offline: true, ..Config::default() };
    /// let node = Node::start(config).await?;
    /// let mut events = node.events();
    /// let room = node.open_room(&"general".parse()?).await?;
    /// node.shutdown().await;
    ///
    /// let mut last = None;
    /// while let Some(event) = events.next().await {
    ///     last = Some(event);
    /// }
    /// assert!(matches!(last, Some(Event::Room { state: RoomState::Left, .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Event::Lagged { missed }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Where events come together. Readers that are too slow miss some and are told; nobody waits for them.
#[derive(Clone, Debug)]
pub(crate) struct EventHub(broadcast::Sender<Option<Event>>);

impl EventHub {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(EVENT_BUFFER))
    }

    pub(crate) fn subscribe(&self) -> Events {
        Events(self.0.subscribe())
    }

    pub(crate) fn emit(&self, event: Event) {
        // Nobody listening is no failure.
        self.0.send(Some(event)).ok();
    }

    /// No events will follow.
    pub(crate) fn end(&self) {
        self.0.send(None).ok();
    }
}

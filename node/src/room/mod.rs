//! Rooms as their users hold them.

mod bell;
mod carry;
mod closely;
mod members;
mod opening;
mod pausing;
mod perform;
pub(crate) mod short;
mod slot;
mod task;
mod view;

use std::{sync::Arc, time::Duration};

use distchat_crdt::{Content, Key, MAX_BODY, RoomName};
use tokio::sync::{mpsc, oneshot};

use crate::{
    error::{NickError, RoomError},
    event::{FingerprintInfo, Form, Member, Message, Reaction, Receipt, RoomInfo, RoomState, RoomTopic},
    store::Lines,
};
pub(crate) use bell::{Parked, Wakes};
pub use carry::{ExportPage, MAX_CARRY_PAGE};
pub(crate) use opening::glance;
pub(crate) use pausing::stand_in;
pub(crate) use slot::{Command, Slot};
pub(crate) use task::{RoomFailure, Shared, run};
#[cfg(test)]
pub(crate) use view::{CRASHES, CRASHES_OTHERS};
pub(crate) use view::{MAX_NICK, shown};

/// How often peers are asked again for receipts while somebody waits for them. They are asked for longer than that.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How often something is tried again that a crash of the room's task interrupted before it was done.
const TRIES: usize = 3;

/// A room that is open on this node. Cloning is cheap.
///
/// The handle stays valid when the room's task crashes and is started again: calls that had not been taken up wait for
/// the new task, and those that were interrupted before they had any effect are made again.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::{Config, Node};
///
/// # let config = Config { memory: true, offline: true, ..Config::default() };
/// let node = Node::start(config).await?;
/// let general = node.open_room(&"general".parse()?).await?;
/// let whales = node.open_room(&"whales".parse()?).await?;
/// general.broadcast("hello").await?;
/// assert_eq!(general.messages(10).await?.len(), 1);
/// assert_eq!(whales.messages(10).await?.len(), 0);
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Room {
    slot: Arc<Slot>,
    restart: mpsc::Sender<Arc<Slot>>,
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").field("name", &self.slot.name).finish_non_exhaustive()
    }
}

impl Room {
    pub(crate) fn new(slot: Arc<Slot>, restart: mpsc::Sender<Arc<Slot>>) -> Self {
        Self { slot, restart }
    }

    /// The room's name.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// let room = node.open_room(&" General".parse()?).await?;
    /// assert_eq!(room.name().as_str(), "general");
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn name(&self) -> &RoomName {
        &self.slot.name
    }

    /// Says something to everybody in the room, now or later. Returns once it is on this node's disk; from then on it is
    /// never lost, whether or not a peer is there.
    ///
    /// Calls take effect in the order in which they are first polled, but for those that a crash of the room interrupts.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// let said = room.broadcast("hello").await?;
    /// assert!(said.own && said.text == "hello");
    /// assert_eq!(room.messages(10).await?, [said]);
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the text is empty or longer than [`MAX_BODY`] bytes, if the room has failed, is paused or was left, or if it could
    /// not be stored. Then nothing was said.
    pub async fn broadcast(&self, text: &str) -> Result<Message, RoomError> {
        self.say_line(text, Form::Text).await
    }

    /// Tells everybody in the room what the own author does, in the third person: `waves`.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// use distchat_node::Form;
    ///
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// room.set_nick("ana").await?;
    /// room.act("waves").await?;
    /// let message = room.messages(1).await?.remove(0);
    /// let line = match message.form {
    ///     Form::Action => format!("* {} {}", message.nick, message.text),
    ///     Form::Text | Form::Reply(_) => format!("<{}> {}", message.nick, message.text),
    /// };
    /// assert_eq!(line, "* ana waves");
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Room::broadcast`].
    pub async fn act(&self, text: &str) -> Result<Message, RoomError> {
        self.say_line(text, Form::Action).await
    }

    /// Says something in answer to the message at that place.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// use distchat_node::Form;
    ///
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// let question = room.broadcast("lunch?").await?;
    /// let answer = room.reply(question.key, "at noon").await?;
    /// assert_eq!(answer.form, Form::Reply(question.key));
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Room::broadcast`], but that the text can have [`crate::KEY_LEN`] bytes less.
    pub async fn reply(&self, to: Key, text: &str) -> Result<Message, RoomError> {
        self.say_line(text, Form::Reply(to)).await
    }

    /// Says what the own author thinks of the message at that place from here on: an emoji, or nothing any more.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// let message = room.broadcast("lunch?").await?;
    /// room.react(message.key, "👍").await?;
    /// assert_eq!(room.reactions(&[message.key]).await?[0].emoji, "👍");
    /// room.react(message.key, "").await?; // takes it back
    /// assert_eq!(room.reactions(&[message.key]).await?, []);
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Room::reply`], but that it may be empty.
    pub async fn react(&self, to: Key, emoji: &str) -> Result<(), RoomError> {
        self.say(Content::Reaction { to, emoji }).await.map(drop)
    }

    /// Says what the room is about from here on; nothing, if it is empty.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// room.set_topic("whales").await?;
    /// room.set_topic("whales and dolphins").await?;
    /// assert_eq!(room.topic().await?.map(|topic| topic.text), Some("whales and dolphins".into()));
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Room::broadcast`], but that it may be empty.
    pub async fn set_topic(&self, text: &str) -> Result<(), RoomError> {
        self.say(Content::Topic(text)).await.map(drop)
    }

    async fn say_line(&self, text: &str, form: Form) -> Result<Message, RoomError> {
        if text.is_empty() {
            return Err(RoomError::Empty);
        }
        let message = self
            .say(match form {
                Form::Text => Content::Text(text),
                Form::Action => Content::Action(text),
                Form::Reply(to) => Content::Reply { to, text },
            })
            .await?;
        let author = message.author();
        Ok(Message {
            id: message.id(),
            key: message.key(),
            author,
            nick: self.slot.status.borrow().own_nick.clone().unwrap_or_else(|| author.short()),
            nick_shared: false,
            seq: message.seq(),
            time: message.time(),
            form,
            text: text.to_owned(),
            own: true,
            late: false,
            delay: None,
            future: false,
        })
    }

    async fn say(&self, content: Content<'_>) -> Result<distchat_crdt::Message, RoomError> {
        let (kind, body) = (content.kind(), content.body());
        if body.len() > MAX_BODY {
            return Err(RoomError::TooLong { len: body.len(), max: MAX_BODY });
        }
        self.call(|reply| Command::Say { kind, body: body.clone(), reply }).await
    }

    /// Goes by another name in this room from here on: 1 to 32 characters, none of them a control character. Blanks around it
    /// do not count.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// room.set_nick("ana").await?;
    /// room.broadcast("hello").await?;
    /// room.set_nick("ana maria").await?;
    /// room.broadcast("it is me").await?;
    /// let nicks: Vec<String> = room.messages(2).await?.into_iter().map(|message| message.nick).collect();
    /// assert_eq!(nicks, ["ana", "ana maria"]);
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If it is not a name, or as for [`Room::broadcast`].
    pub async fn set_nick(&self, nick: &str) -> Result<(), RoomError> {
        let nick = check_nick(nick)?.to_owned();
        self.call(|reply| Command::Nick { nick: nick.clone(), reply }).await?;
        // What is said next bears it already. Should the room fail meanwhile, it goes by that name all the same.
        let _ = self.catch_up().await;
        Ok(())
    }

    /// The newest messages, at most so many, in the transcript's order.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// for text in ["one", "two", "three"] {
    ///     room.broadcast(text).await?;
    /// }
    /// let texts: Vec<String> = room.messages(2).await?.into_iter().map(|message| message.text).collect();
    /// assert_eq!(texts, ["two", "three"]);
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the room has failed or was left, or the history cannot be read.
    pub async fn messages(&self, newest: usize) -> Result<Vec<Message>, RoomError> {
        self.call(|reply| Command::Lines { lines: Lines::Newest(newest), reply }).await
    }

    /// The newest messages before that place, at most so many, in the transcript's order.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// for text in ["one", "two", "three"] {
    ///     room.broadcast(text).await?;
    /// }
    /// // Back to the beginning, page by page.
    /// let mut page = room.messages(2).await?;
    /// let mut pages = Vec::new();
    /// while let Some(first) = page.first() {
    ///     let before = first.key;
    ///     pages.push(page.iter().map(|message| message.text.clone()).collect::<Vec<_>>());
    ///     page = room.messages_before(before, 2).await?;
    /// }
    /// assert_eq!(pages, [vec!["two", "three"], vec!["one"]]);
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Room::messages`].
    pub async fn messages_before(&self, before: Key, newest: usize) -> Result<Vec<Message>, RoomError> {
        self.call(|reply| Command::Lines { lines: Lines::Before(before, newest), reply }).await
    }

    /// The oldest messages behind that place, at most so many, in the transcript's order.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// use distchat_node::Key;
    ///
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// let first = room.broadcast("one").await?;
    /// let second = room.broadcast("two").await?;
    /// assert_eq!(room.messages_after(first.key, 10).await?, [second]);
    /// assert_eq!(room.messages_after(Key::MIN, 1).await?, [first]); // from the beginning
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Room::messages`].
    pub async fn messages_after(&self, after: Key, oldest: usize) -> Result<Vec<Message>, RoomError> {
        self.call(|reply| Command::Lines { lines: Lines::After(after, oldest), reply }).await
    }

    /// What is thought now of the messages at these places, by place.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// let [here, there] = [room.broadcast("here").await?, room.broadcast("there").await?];
    /// room.react(there.key, "🎉").await?;
    /// let reactions = room.reactions(&[here.key, there.key]).await?;
    /// assert_eq!(reactions.len(), 1);
    /// assert_eq!((reactions[0].to, &*reactions[0].emoji), (there.key, "🎉"));
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Room::messages`].
    pub async fn reactions(&self, to: &[Key]) -> Result<Vec<Reaction>, RoomError> {
        self.call(|reply| Command::Reactions { to: to.to_vec(), reply }).await
    }

    /// What the room is about now, if anybody has said so.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// assert_eq!(room.topic().await?, None);
    /// room.set_topic("whales").await?;
    /// assert_eq!(room.topic().await?.map(|topic| topic.text), Some("whales".into()));
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Room::messages`].
    pub async fn topic(&self) -> Result<Option<RoomTopic>, RoomError> {
        self.call(|reply| Command::Topic { reply }).await
    }

    /// Those who wrote here, or are here, at most so many: first oneself, then those who are here, then those who wrote most.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, MAX_CARRY_PAGE, Node};
    ///
    /// # let config = Config { memory: true, offline: true, ..Config::default() };
    /// # let [here, there] = [Node::start(config.clone()).await?, Node::start(config).await?];
    /// let [out, room] = [here.open_room(&"general".parse()?).await?, there.open_room(&"general".parse()?).await?];
    /// out.set_nick("ana").await?;
    /// out.broadcast("hello").await?;
    /// room.import(out.export(None, MAX_CARRY_PAGE).await?.messages).await?;
    /// assert_eq!(room.messages(10).await?[0].nick, "ana");
    ///
    /// let members = room.members(10).await?;
    /// assert_eq!(members.len(), 2);
    /// assert!(members[0].own && members[0].online);
    /// assert_eq!((&*members[1].nick, members[1].online), ("ana", false)); // wrote here and is not there
    /// # here.shutdown().await;
    /// # there.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Room::fingerprint`].
    pub async fn members(&self, at_most: usize) -> Result<Vec<Member>, RoomError> {
        self.call(|reply| Command::Members { at_most, reply }).await
    }

    /// What the room holds on disk, in 32 bytes, and how much that is.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// let empty = room.fingerprint().await?;
    /// room.broadcast("hello").await?;
    /// let one = room.fingerprint().await?;
    /// assert_eq!((empty.messages, one.messages), (0, 1));
    /// assert_ne!(one.fingerprint, empty.fingerprint);
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the room has failed or was left.
    pub async fn fingerprint(&self) -> Result<FingerprintInfo, RoomError> {
        self.call(|reply| Command::Fingerprint { reply }).await
    }

    /// Whether some peer has answered that it holds, on its disk, every message that was said here since the node
    /// started. Asking makes the node ask its peers for the next seconds.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Node};
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
    /// assert!(!room.delivered().await?); // nobody is there
    ///
    /// bob.open_room(room.name()).await?;
    /// alice.connect(bob.listeners().remove(0)).await?;
    /// room.on_disks(message.key, 1).await?;
    /// assert!(room.delivered().await?);
    /// # alice.shutdown().await;
    /// # bob.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the room has failed or was left.
    pub async fn delivered(&self) -> Result<bool, RoomError> {
        // A room that sleeps is not woken for what is known of it.
        if self.usable().is_ok() && self.slot.bell().sleeps_delivered() {
            return Ok(true);
        }
        self.call(|reply| Command::Delivered { reply }).await
    }

    /// On whose disks, besides the own, a message is, as far as they have answered. Asking makes the node ask its peers for
    /// the next seconds; of what was said here since it started, [`crate::Event::Receipt`] tells what they say.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// use distchat_node::{Key, Receipt, RoomError};
    ///
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// let message = room.broadcast("hello").await?;
    /// assert_eq!(room.receipt(message.key).await?, Receipt { on: vec![], of: 0, said_before: false });
    /// assert_eq!(room.receipt(Key::MIN).await, Err(RoomError::NoReceipt)); // there is no such message
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the room has no such message, has failed or was left.
    pub async fn receipt(&self, key: Key) -> Result<Receipt, RoomError> {
        self.receipts(&[key]).await?.pop().flatten().ok_or(RoomError::NoReceipt)
    }

    /// The same of several messages, in their order; `None` for those that are not here. Of those that were not said since
    /// the node started, peers are asked after the first [`crate::MAX_LOOKED_UP`].
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// use distchat_node::Key;
    ///
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// let keys = [room.broadcast("one").await?.key, room.broadcast("two").await?.key, Key::MIN];
    /// let receipts = room.receipts(&keys).await?;
    /// assert_eq!(receipts.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the room has failed or was left.
    pub async fn receipts(&self, of: &[Key]) -> Result<Vec<Option<Receipt>>, RoomError> {
        self.call(|reply| Command::Receipts { of: of.to_vec(), reply }).await
    }

    /// Waits until a message is on the disks of so many others, however long that takes; they may come and go meanwhile.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Node};
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
    /// bob.open_room(room.name()).await?;
    /// alice.connect(bob.listeners().remove(0)).await?;
    ///
    /// let message = room.broadcast("keep this").await?;
    /// let receipt = room.on_disks(message.key, 1).await?;
    /// assert_eq!(receipt.on, [bob.author()]); // from here on the own disk may burn
    /// # alice.shutdown().await;
    /// # bob.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Room::receipt`].
    pub async fn on_disks(&self, key: Key, others: usize) -> Result<Receipt, RoomError> {
        let mut receipts = self.slot.receipts.subscribe();
        loop {
            let receipt = self.receipt(key).await?;
            if receipt.on.len() >= others {
                return Ok(receipt);
            }
            // Without one for a while the peers are to be asked again, those that have come among them.
            let _ = tokio::time::timeout(ASK_AGAIN, receipts.changed()).await;
        }
    }

    /// Makes the room's task panic, to see that nothing is lost. Returns before it does; of several crashes that are asked
    /// for at once some may be one. The sixth within a minute is one too many: see [`crate::restart`].
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// let said = room.broadcast("before").await?;
    /// room.crash().await?;
    /// room.broadcast("after").await?; // waits for the new task
    /// let messages = room.messages(10).await?;
    /// assert_eq!((messages.len(), &messages[0]), (2, &said));
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the room has failed already or was left.
    pub async fn crash(&self) -> Result<(), RoomError> {
        self.usable()?;
        self.slot.give(Command::Crash).await
    }

    /// Starts a failed room again, and returns once it has been. Does nothing to one that runs.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// use distchat_node::RoomError;
    ///
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// while room.broadcast("hello").await.is_ok() {
    ///     room.crash().await?; // more than five times in a minute
    /// }
    /// assert_eq!(room.broadcast("hello").await, Err(RoomError::Failed(room.name().clone())));
    /// room.restart().await?;
    /// room.broadcast("here again").await?;
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the room was left or the node has shut down.
    pub async fn restart(&self) -> Result<(), RoomError> {
        let mut state = self.slot.state.subscribe();
        match self.usable() {
            Ok(()) => Ok(()),
            Err(RoomError::Failed(_)) => {
                self.restart.send(self.slot.clone()).await.map_err(|_| RoomError::Closed)?;
                // Else what its user says next would still be refused. Whatever it changes to: it may have failed anew.
                state.changed().await.map_err(|_| RoomError::Closed)
            }
            Err(error) => Err(error),
        }
    }

    /// The room in brief, as it was a moment ago: what a call has just done may not be in it yet. [`Room::fingerprint`] waits
    /// for that. While a long history is loaded it counts no messages.
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
    /// assert_eq!(info.name, node.rooms().remove(0).name);
    /// assert_eq!((info.state, info.peers, info.sync), (RoomState::Open, 0, SyncState::Alone));
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn info(&self) -> RoomInfo {
        self.slot.info()
    }

    /// Waits until the room's task has taken up all that was asked before.
    pub(crate) async fn catch_up(&self) -> Result<(), RoomError> {
        self.call(|reply| Command::CatchUp { reply }).await
    }

    fn usable(&self) -> Result<(), RoomError> {
        match *self.slot.state.borrow() {
            RoomState::Open | RoomState::Restarted | RoomState::Paused => Ok(()),
            RoomState::Failed => Err(RoomError::Failed(self.slot.name.clone())),
            RoomState::Left => Err(RoomError::Left(self.slot.name.clone())),
        }
    }

    /// Gives the task a command and waits for the answer. An answer that was dropped means that a crash came before the
    /// command had any effect.
    async fn call<T>(
        &self,
        command: impl Fn(oneshot::Sender<Result<T, RoomError>>) -> Command,
    ) -> Result<T, RoomError> {
        for _ in 0..TRIES {
            self.usable()?;
            let (reply, answer) = oneshot::channel();
            let answered = async {
                self.slot.give(command(reply)).await?;
                Ok::<_, RoomError>(answer.await.ok())
            };
            let mut state = self.slot.state.subscribe();
            let unusable = state.wait_for(|state| matches!(state, RoomState::Failed | RoomState::Left));
            tokio::select! {
                biased;
                answer = answered => if let Some(answer) = answer? { return answer },
                _ = unusable => {}
            }
        }
        self.usable()?;
        Err(RoomError::Crashed(self.slot.name.clone()))
    }
}

/// A display name without the blanks around it.
pub(crate) fn check_nick(nick: &str) -> Result<&str, NickError> {
    let nick = nick.trim();
    let fits = (1..=MAX_NICK).contains(&nick.chars().count()) && !nick.chars().any(char::is_control);
    if fits { Ok(nick) } else { Err(NickError) }
}

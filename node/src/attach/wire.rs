//! What goes over the socket: lines of JSON.
//!
//! Whoever accepts the connection says first who it is, a [`Hello`]. From then on the other side asks, one [`Asked`] a line,
//! and gets one [`Told::Answer`] for each in whatever order they come to be, with the number that it gave the question.
//! After [`Request::Watch`] what happens on the node comes in between.
//!
//! ```text
//! < {"distchat":1,"version":"0.1.0","face":"daemon","pid":4711,"author":"c499…","profile":"default", …}
//! > {"id":1,"do":"open","room":"general"}
//! < {"id":1,"answer":"done"}
//! > {"id":2,"do":"say","room":"general","text":"hello"}
//! < {"id":2,"answer":{"message":{"id":"8a31…","text":"hello", …}}}
//! > {"id":3,"do":"say","room":"rust","text":"hello"}
//! < {"id":3,"problem":{"code":"room-not-open","message":"room `rust` is not open: join it first"}}
//! ```

use std::path::PathBuf;

use distchat_node::{
    AuthorId, Counters, Event, FingerprintInfo, Found, Imported, Key, Member, Message, Multiaddr, PeerInfo, Reaction,
    Receipt, RoomInfo, RoomName, RoomTopic, StoredRoom, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::carried::{Bytes, Exported, Seen, Step};
use super::problem::Problem;

/// The protocol's version. A change that one side would not understand makes it another one.
pub(super) const VERSION: u32 = 1;
/// The longest question, in bytes: a text of the greatest length, all of it escaped, and what is around it.
pub(super) const MAX_QUESTION: usize = 1 << 20;
/// The longest line in the other direction: so many messages of the greatest length, and as much around them.
pub(super) const MAX_ANSWER: usize = 256 << 20;
/// How many bytes of messages are carried at once. They take a third more in text.
pub(super) const EXPORT_PAGE: usize = 512 << 10;
/// How many bytes messages that are taken in together have in text, by [`Bytes::written`]: as many as an exported page has. There
/// may be very many of next to nothing, of which the text is by far the most.
pub(crate) const IMPORT_PAGE: usize = EXPORT_PAGE / 3 * 4;
/// How many messages an answer has at most. Who wants more asks again.
pub(super) const PAGE: usize = 256;
/// How many messages are found at most. Of the greatest length, and all of it escaped, they are well within [`MAX_ANSWER`].
pub(crate) const MAX_FOUND: usize = 1_000;

/// What runs the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Face {
    /// A chat, on a screen or in lines. It ends when its user leaves.
    Chat,
    /// One command, which ends soon.
    Command,
    /// Nothing else.
    Daemon,
}

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    /// The protocol's version: [`VERSION`].
    pub(super) distchat: u32,
    /// The program's.
    pub(super) version: String,
    pub(super) face: Face,
    pub(super) pid: u32,
    pub(super) author: AuthorId,
    pub(super) profile: String,
    pub(super) directory: Option<PathBuf>,
    pub(super) warnings: Vec<String>,
    pub(super) state: State,
}

/// The first line to whoever finds no place. Then nothing follows.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Full {
    pub(super) distchat: u32,
    pub(super) pid: u32,
    /// So many are attached.
    pub(super) full: usize,
}

/// Only that much of a first line every version has.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct AnyHello {
    pub(super) distchat: u32,
    #[serde(default)]
    pub(super) pid: u32,
    /// It is a [`Full`].
    pub(super) full: Option<usize>,
}

/// How everything is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) peer_id: String,
    pub(super) rooms: Vec<RoomInfo>,
    pub(super) peers: Vec<PeerInfo>,
    pub(super) listen: Vec<Multiaddr>,
}

impl State {
    /// What of it changes only when something happens.
    pub(super) fn timeless(&self) -> Self {
        let mut state = self.clone();
        state.rooms.iter_mut().for_each(|room| room.horizon = Timestamp::default());
        state.peers.iter_mut().for_each(|peer| peer.clock_offset_ms = None);
        state
    }
}

/// A question, and what its answer is to be called.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) id: u64,
    #[serde(flatten)]
    pub(super) request: Request,
}

/// What can be asked for: the calls of [`distchat_node::Node`] and [`distchat_node::Room`] of that name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(super) enum Request {
    /// Send what happens, and how everything is, from now on.
    Watch,
    Open {
        room: RoomName,
    },
    Leave {
        room: RoomName,
    },
    Say {
        room: RoomName,
        text: String,
    },
    Act {
        room: RoomName,
        text: String,
    },
    Reply {
        room: RoomName,
        to: Key,
        text: String,
    },
    React {
        room: RoomName,
        to: Key,
        emoji: String,
    },
    SetTopic {
        room: RoomName,
        text: String,
    },
    SetNick {
        room: RoomName,
        nick: String,
    },
    /// A page of at most [`PAGE`].
    Messages {
        room: RoomName,
        which: Which,
        count: usize,
    },
    Reactions {
        room: RoomName,
        to: Vec<Key>,
    },
    Topic {
        room: RoomName,
    },
    Members {
        room: RoomName,
        at_most: usize,
    },
    Fingerprint {
        room: RoomName,
    },
    Delivered {
        room: RoomName,
    },
    Receipts {
        room: RoomName,
        of: Vec<Key>,
    },
    /// The answer comes once so many others have it.
    OnDisks {
        room: RoomName,
        key: Key,
        others: usize,
    },
    Crash {
        room: RoomName,
    },
    Restart {
        room: RoomName,
    },
    /// At most [`MAX_FOUND`].
    Search {
        words: String,
        limit: usize,
    },
    Connect {
        address: Multiaddr,
    },
    Counters,
    StoredRooms,
    SeenRooms {
        at_most: usize,
    },
    /// A page of at most [`EXPORT_PAGE`] bytes, the newest first.
    Export {
        room: RoomName,
        before: Option<Key>,
    },
    /// At most [`IMPORT_PAGE`] bytes of text.
    Import {
        room: RoomName,
        messages: Vec<Bytes>,
    },
    /// Goes on judging the whole history, or begins to; at the end there is no answer in the answer.
    VerifyStep,
}

impl Request {
    /// Whether it may be asked again when nobody knows whether it was done.
    pub(super) fn may_be_repeated(&self) -> bool {
        !matches!(
            self,
            Self::Say { .. }
                | Self::Act { .. }
                | Self::Reply { .. }
                | Self::React { .. }
                | Self::SetTopic { .. }
                | Self::SetNick { .. }
                | Self::Leave { .. }
                | Self::Crash { .. }
                | Self::Restart { .. }
        )
    }

    /// Whether nothing comes of it but its answer, which nobody needs who has gone.
    pub(super) fn only_looks(&self) -> bool {
        match self {
            Self::Messages { .. }
            | Self::Reactions { .. }
            | Self::Topic { .. }
            | Self::Members { .. }
            | Self::Fingerprint { .. }
            | Self::Delivered { .. }
            | Self::Receipts { .. }
            | Self::OnDisks { .. }
            | Self::Search { .. }
            | Self::Counters
            | Self::StoredRooms
            | Self::SeenRooms { .. }
            | Self::Export { .. }
            | Self::VerifyStep => true,
            Self::Watch
            | Self::Open { .. }
            | Self::Leave { .. }
            | Self::Say { .. }
            | Self::Act { .. }
            | Self::Reply { .. }
            | Self::React { .. }
            | Self::SetTopic { .. }
            | Self::SetNick { .. }
            | Self::Crash { .. }
            | Self::Restart { .. }
            | Self::Connect { .. }
            | Self::Import { .. } => false,
        }
    }
}

/// Which messages of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Which {
    Newest,
    Before(Key),
    After(Key),
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    Done,
    Message(Message),
    Messages(Vec<Message>),
    Reactions(Vec<Reaction>),
    Topic(Option<RoomTopic>),
    Members(Vec<Member>),
    Fingerprint(FingerprintInfo),
    Delivered(bool),
    Receipts(Vec<Option<Receipt>>),
    Receipt(Receipt),
    Found(Found),
    Counters(Counters),
    StoredRooms(Vec<StoredRoom>),
    SeenRooms(Vec<Seen>),
    Exported(Exported),
    Imported(Imported),
    Verified(Option<Step>),
}

/// A line to whoever asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Told {
    Answer {
        id: u64,
        answer: Answer,
    },
    Problem {
        id: u64,
        problem: Problem,
    },
    Event {
        event: Event,
    },
    State {
        state: State,
    },
    /// The node ends. Questions behind that one were not taken up; what of the others has no answer yet will have none.
    Bye {
        bye: Option<u64>,
    },
}

//! What goes over the socket in another form than the library has it in.

use distchat_node::{ExportPage, Fingerprint, Key, MessageId, RoomName, SeenRoom, Verified};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A message as it travels between nodes: base64 (RFC 4648).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Bytes {
    /// How many bytes it takes in a list: the text, two quotes and a comma.
    pub(crate) fn written(&self) -> usize {
        data_encoding::BASE64.encode_len(self.0.len()) + 3
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&data_encoding::BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        data_encoding::BASE64.decode(text.as_bytes()).map(Self).map_err(de::Error::custom)
    }
}

/// A page of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exported {
    pub(crate) messages: Vec<Bytes>,
    pub(crate) next: Option<Key>,
}

impl From<ExportPage> for Exported {
    fn from(page: ExportPage) -> Self {
        Self { messages: page.messages.into_iter().map(Bytes).collect(), next: page.next }
    }
}

/// A room that others are in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// The first digits of what it is called on the network.
    pub(crate) topic: String,
    pub(crate) name: Option<RoomName>,
    pub(crate) peers: usize,
}

impl From<SeenRoom> for Seen {
    fn from(seen: SeenRoom) -> Self {
        Self { topic: seen.topic.short(), name: seen.name, peers: seen.peers.len() }
    }
}

/// A step in judging a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// What is wrong with the database as such.
    Store {
        problems: Vec<Wrong>,
    },
    Progress {
        room: RoomName,
        done: u64,
        of: u64,
    },
    Room(Judged),
}

/// How a room was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Judged {
    pub(crate) room: RoomName,
    pub(crate) messages: u64,
    pub(crate) fine: u64,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) problems: Vec<Wrong>,
    /// How many more there are.
    pub(crate) untold: u64,
}

/// Something that is wrong in a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wrong {
    /// For programs.
    pub(crate) code: String,
    /// For people.
    pub(crate) message: String,
    /// The message that it is about.
    pub(crate) id: Option<MessageId>,
}

impl From<distchat_node::Problem> for Wrong {
    fn from(problem: distchat_node::Problem) -> Self {
        Self { code: problem.fault.code().to_owned(), message: problem.to_string(), id: problem.at.map(|key| key.id) }
    }
}

fn wrong(problems: Vec<distchat_node::Problem>) -> Vec<Wrong> {
    problems.into_iter().map(Wrong::from).collect()
}

impl From<Verified> for Step {
    fn from(verified: Verified) -> Self {
        match verified {
            Verified::Store { problems } => Self::Store { problems: wrong(problems) },
            Verified::Progress { room, done, of } => Self::Progress { room, done, of },
            Verified::Room(report) => Self::Room(Judged {
                room: report.room,
                messages: report.messages,
                fine: report.fine,
                fingerprint: report.fingerprint,
                problems: wrong(report.problems),
                untold: report.untold,
            }),
        }
    }
}

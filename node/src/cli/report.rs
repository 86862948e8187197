//! What the session has to say, before anybody has put it into words.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use distchat_node::bundle::Tally;
use distchat_node::{
    AuthorId, Counters, Event, FingerprintInfo, Found, Imported, Member, Message, MessageId, Multiaddr, PeerInfo,
    Receipt, RoomInfo, RoomName, RoomState,
};

use super::clock;
use crate::attach::{Judged, Problem, Wrong};

/// Something to tell the user.
#[derive(Clone, Debug)]
pub(crate) enum Report {
    /// The node runs.
    Ready { author: AuthorId, peer_id: String, name: String, listen: Vec<Multiaddr> },
    /// Something happened in the library.
    Event(Event),
    /// A message that a command was asked for.
    Message { room: RoomName, message: Arc<Message> },
    /// A message that a command has said, and that is on this machine's disk.
    Said { room: RoomName, message: Message },
    /// On whose disks that is.
    OnDisks { room: RoomName, message: MessageId, receipt: Receipt },
    /// Who this is, and which process runs the node if it is another one.
    Id { author: AuthorId, profile: String, directory: Option<PathBuf>, process: Option<u32> },
    /// The rooms that there are: here, and where others are.
    Catalogue { rooms: Vec<Row> },
    /// What a file held, and what became of it.
    Imported { file: String, tally: Tally, rooms: Vec<(RoomName, Imported)> },
    /// A room was written to a file.
    Exported { room: RoomName, messages: u64, file: Option<String> },
    /// What is wrong with the database as such.
    Damaged { problems: Vec<Wrong> },
    /// A room was judged.
    Judged(Judged),
    /// The newest messages of a room.
    History { room: RoomName, messages: Vec<Message> },
    /// A room's fingerprint.
    Fingerprint { room: RoomName, info: FingerprintInfo },
    /// Who is connected, and where this node can be reached.
    Peers { peers: Vec<PeerInfo>, listen: Vec<Multiaddr> },
    /// What the network has counted.
    Counters(Counters),
    /// Who is in a room, and who was.
    Members { room: RoomName, members: Vec<Member> },
    /// What was searched for.
    Found(Found),
    /// The open rooms.
    Rooms { rooms: Vec<RoomInfo>, current: Option<RoomName> },
    /// The current room is now this one, which was open before.
    Switched(RoomInfo),
    /// How many messages of a room are known to exist and not here.
    Missing { room: RoomName, missing: u64 },
    /// What commands there are.
    Help,
    /// Something for people only.
    Notice(String),
    /// The node of another process that is used has ended.
    Gone,
    /// There is a node again.
    Back,
    /// Something went wrong.
    Error { code: Cow<'static, str>, message: String },
}

/// A room of a [`Report::Catalogue`].
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// None of one that this profile does not know.
    pub(crate) name: Option<RoomName>,
    /// The first digits of what it is called on the network.
    pub(crate) topic: Option<String>,
    pub(crate) messages: u64,
    /// How many connected peers are in it.
    pub(crate) peers: usize,
    /// `None` if it is not open.
    pub(crate) state: Option<RoomState>,
}

impl From<Problem> for Report {
    fn from(problem: Problem) -> Self {
        Self::Error { code: problem.code, message: problem.message }
    }
}

/// A line on its way to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// What was asked for: goes to stdout.
    Data(String),
    /// About what goes on: beside the data.
    Notice(String),
}

/// The word for a room's state.
pub(crate) fn state(state: &RoomState) -> &'static str {
    match state {
        RoomState::Open => "open",
        RoomState::Restarted => "restarted",
        RoomState::Paused => "paused",
        RoomState::Failed => "failed",
        RoomState::Left => "left",
    }
}

/// What to tell about the own clock.
pub(crate) fn clock_off(offset_ms: i64) -> String {
    let about = clock::about(offset_ms.unsigned_abs());
    let direction = if offset_ms < 0 { "behind" } else { "ahead of" };
    format!("this computer's clock is about {about} {direction} the others here: if it is the wrong one, set it")
}

/// What to tell about an identity written from two places.
pub(crate) fn forked(room: &RoomName, author: &str) -> String {
    format!("{author} writes to {room} from two places at once, or from a restored copy; both are shown")
}

/// What to tell about events that came too fast.
pub(crate) fn lagged(missed: u64) -> String {
    format!("{missed} events came faster than they could be shown and were left out; /history shows the messages")
}

//! Judging a profile's history anew: what there is, what is fine, and what is not.

use std::sync::Arc;

use distchat_crdt::{AuthorId, Fingerprint, Key, RoomName, Verifier};
use thiserror::Error;

use crate::store::{Audit, Store, StoreError};

/// How many problems of a room are told one by one. The others are counted.
pub const MAX_PROBLEMS: usize = 100;

/// Every message of the history is judged by the rules by which one that comes from a peer is, step by step: see
/// [`crate::Node::verify`].
///
/// Memory: that of one open room at a time. It changes nothing. With a history on disk it judges one state of it, whatever is
/// written meanwhile; until it is dropped the history's `-wal` file grows with what is.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// use distchat_node::Verified;
///
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// room.broadcast("hello").await?;
/// let mut verification = node.verify().await?;
/// let mut judged = 0;
/// while let Some(verified) = verification.step().await? {
///     if let Verified::Room(report) = verified {
///         judged += report.fine;
///     }
/// }
/// assert_eq!(judged, 1);
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Verification(Audit);

/// A step of a [`Verification`].
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// use distchat_node::Verified;
///
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// let mut verification = node.verify().await?;
/// assert_eq!(verification.step().await?, Some(Verified::Store { problems: vec![] })); // once, and first
/// while let Some(verified) = verification.step().await? {
///     match verified {
///         Verified::Store { .. } => unreachable!("once"),
///         Verified::Progress { room, done, of } => println!("{room}: {done} of {of}"),
///         Verified::Room(report) => assert_eq!(&report.room, room.name()),
///     }
/// }
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// How the database as such was found: what is wrong with it, besides the messages of its rooms. Once, and first.
    Store {
        /// What is wrong; nothing, as a rule. At most [`MAX_PROBLEMS`] are told.
        problems: Vec<Problem>,
    },
    /// How far it is with a room.
    Progress {
        /// The room.
        room: RoomName,
        /// How many messages have been judged.
        done: u64,
        /// How many there are.
        of: u64,
    },
    /// A room is done.
    Room(RoomReport),
}

/// How a room was found.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// use distchat_node::Verified;
///
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// room.broadcast("hello").await?;
/// let mut verification = node.verify().await?;
/// while let Some(verified) = verification.step().await? {
///     if let Verified::Room(report) = verified {
///         assert_eq!((report.messages, report.fine, report.untold), (1, 1, 0));
///         assert_eq!(report.fingerprint, room.fingerprint().await?.fingerprint);
///     }
/// }
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomReport {
    /// The room.
    pub room: RoomName,
    /// How many messages of all kinds there are.
    pub messages: u64,
    /// How many of them are valid and stand where they belong.
    pub fine: u64,
    /// The room's fingerprint, from the bytes of the valid messages alone.
    pub fingerprint: Fingerprint,
    /// What is wrong, at most [`MAX_PROBLEMS`] of it.
    pub problems: Vec<Problem>,
    /// How much more is wrong than is told.
    pub untold: u64,
}

impl RoomReport {
    /// Whether nothing is wrong.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// use distchat_node::Verified;
    ///
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// let mut verification = node.verify().await?;
    /// let mut all_fine = true;
    /// while let Some(verified) = verification.step().await? {
    ///     all_fine &= match verified {
    ///         Verified::Store { problems } => problems.is_empty(),
    ///         Verified::Progress { .. } => true,
    ///         Verified::Room(report) => report.is_fine(),
    ///     };
    /// }
    /// assert!(all_fine);
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_fine(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Something that is wrong in a history.
///
/// ```
/// use distchat_node::{Fault, Problem};
///
/// let problem = Problem { at: None, fault: Fault::Unread(2) };
/// assert_eq!(problem.to_string(), "2 messages cannot be read");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which message it is about, if it is about one.
    pub at: Option<Key>,
    /// What is wrong.
    pub fault: Fault,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.at {
            Some(key) => write!(f, "message {} of {} ms: {}", key.id.short(), key.time.millis(), self.fault),
            None => self.fault.fmt(f),
        }
    }
}

/// What can be wrong in a history.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::{Config, Fault, Node, Verified};
///
/// # let directory = tempfile::tempdir()?;
/// let config = Config { data_dir: Some(directory.path().into()), offline: true, ..Config::default() };
/// let node = Node::start(config.clone()).await?;
/// node.open_room(&"general".parse()?).await?.broadcast("hello").await?;
/// node.shutdown().await;
///
/// // Meanwhile somebody makes a message something else.
/// let file = config.directory()?.ok_or("on disk")?.join("history.sqlite3");
/// rusqlite::Connection::open(file)?.execute("UPDATE message SET bytes = x'00'", [])?;
///
/// let node = Node::start(config).await?;
/// let mut verification = node.verify().await?;
/// # let mut found = false;
/// while let Some(verified) = verification.step().await? {
///     if let Verified::Room(report) = verified {
///         let malformed = |fault: &Fault| matches!(fault, Fault::Malformed(_));
///         assert!(report.problems.iter().any(|problem| malformed(&problem.fault)));
///         # found = true;
///     }
/// }
/// # assert!(found);
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// SQLite finds the file itself damaged.
    #[error("the database is damaged: {0}")]
    Database(String),
    /// A row that this program could not have written.
    #[error("a row cannot be read: {0}")]
    Row(String),
    /// There are messages that could not be read.
    #[error("{0} messages cannot be read")]
    Unread(u64),
    /// A room whose name is none, so that its messages cannot be judged.
    #[error("room number {0} has a name that cannot be one: its messages are not judged")]
    RoomName(i64),
    /// A room's id is not that of its name.
    #[error("the id of room `{0}` is not that of its name")]
    RoomId(RoomName),
    /// Messages of no room.
    #[error("there are messages of room number {0}, which is not there")]
    NoRoom(i64),
    /// Bytes that are no message.
    #[error("its bytes are no message ({0})")]
    Malformed(String),
    /// A message of another room.
    #[error("it is a message of another room")]
    OtherRoom,
    /// Bytes that are not those of the message with this key.
    #[error("its bytes were changed: their hash or time is another")]
    Changed,
    /// Neither is the signature good nor does a valid message vouch for it.
    #[error("its signature is wrong, and no valid message vouches for it")]
    Unauthentic,
    /// What is kept beside a message is not what its bytes say.
    #[error("its column `{0}` is not what its bytes say")]
    Column(&'static str),
    /// A message that was here, by what is kept of others, is not.
    #[error("it was here and is missing")]
    Missing,
    /// The room shows another fingerprint than that of its valid messages.
    #[error("the fingerprint by the list of keys is {listed}, and by the messages themselves {messages}")]
    Fingerprint {
        /// As the room starts with it.
        listed: Fingerprint,
        /// Of the valid messages.
        messages: Fingerprint,
    },
    /// A key in the list of keys without a message.
    #[error("it is in the list of keys, and there is no such message")]
    Listed,
    /// A message that the list of keys has not.
    #[error("it is not in the list of keys")]
    Unlisted,
    /// Whether it is a head is not what follows from the messages.
    #[error("the list of heads is wrong about it")]
    Head,
    /// What is said to be missing is not what follows from the messages.
    #[error("it is said to be referred to and missing, which is wrong")]
    Claim,
    /// What is kept of an author's sequence numbers is not what follows from the messages.
    #[error("the sequence numbers kept of author {} are wrong", .0.short())]
    Author(AuthorId),
    /// The mark of how far a room had been shown cannot be read.
    #[error("how far the room had been shown cannot be read")]
    Frontier,
    /// A message was damaged, was set aside for a person to look at, and has not come back.
    #[error("it was damaged ({why}), was set aside, and has not come back to {room} from others")]
    SetAside {
        /// The room that it was in.
        room: RoomName,
        /// The code of what was wrong.
        why: String,
    },
    /// A message crashed the program whenever it was looked at.
    #[error("it crashed the program, and is not shown in {0}; it is kept, and passed on")]
    Withheld(RoomName),
}

impl Fault {
    /// A short name for programs.
    ///
    /// ```
    /// use distchat_node::Fault;
    ///
    /// assert_eq!(Fault::Missing.code(), "missing");
    /// assert_eq!(Fault::Unread(2).code(), "unread");
    /// ```
    pub fn code(&self) -> &'static str {
        match self {
            Self::Database(_) => "database",
            Self::Row(_) => "row",
            Self::Unread(_) => "unread",
            Self::RoomName(_) => "room-name",
            Self::RoomId(_) => "room-id",
            Self::NoRoom(_) => "no-room",
            Self::Malformed(_) => "malformed",
            Self::OtherRoom => "other-room",
            Self::Changed => "changed",
            Self::Unauthentic => "unauthentic",
            Self::Column(_) => "column",
            Self::Missing => "missing",
            Self::Fingerprint { .. } => "fingerprint",
            Self::Listed => "listed",
            Self::Unlisted => "unlisted",
            Self::Head => "head",
            Self::Claim => "claim",
            Self::Author(_) => "author",
            Self::Frontier => "frontier",
            Self::SetAside { .. } => "set-aside",
            Self::Withheld(_) => "withheld",
        }
    }
}

/// Why a history could not be judged to the end. Nothing was changed.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// use distchat_node::VerifyError;
///
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// let mut verification = node.verify().await?;
/// node.shutdown().await;
/// assert_eq!(verification.step().await, Err(VerifyError::Closed));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The node has shut down.
    #[error("the node has shut down")]
    Closed,
    /// A step was not waited for.
    #[error("the verification was interrupted: start it anew")]
    Interrupted,
    /// The history could not be read at all.
    #[error("{0}")]
    Store(String),
}

impl VerifyError {
    /// A short name for programs.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// let mut verification = node.verify().await?;
    /// node.shutdown().await;
    /// let error = verification.step().await.unwrap_err();
    /// assert_eq!(error.code(), "closed");
    /// # Ok(())
    /// # }
    /// ```
    pub fn code(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Interrupted => "interrupted",
            Self::Store(_) => "store",
        }
    }
}

impl From<StoreError> for VerifyError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Closed => Self::Closed,
            error => Self::Store(error.to_string()),
        }
    }
}

impl Verification {
    pub(crate) async fn start(store: &Store, own: AuthorId, verifier: Arc<dyn Verifier>) -> Result<Self, VerifyError> {
        Ok(Self(store.audit(own, verifier).await?))
    }

    /// Goes a step further: some thousand messages, as a rule. `None` when all is done.
    ///
    /// A step that is not waited for to its end ends the verification: the next one says that it was interrupted.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// use distchat_node::Verified;
    ///
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// let mut verification = node.verify().await?;
    /// assert!(matches!(verification.step().await?, Some(Verified::Store { .. })));
    /// assert!(matches!(verification.step().await?, Some(Verified::Room(report)) if report.is_fine()));
    /// assert_eq!(verification.step().await?, None); // there is no other room
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the history cannot be read at all, or the node has shut down. What is merely wrong in it is no error.
    pub async fn step(&mut self) -> Result<Option<Verified>, VerifyError> {
        self.0.step().await
    }
}

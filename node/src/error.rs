//! What can go wrong, told so that a person knows what to do.

use distchat_crdt::RoomName;
use thiserror::Error;

use crate::{net::NetError, profile::ProfileError, store::StoreError};

/// Why a node does not start. Nothing was changed, but for directories and a key that may have been made.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::{Config, Node};
///
/// let config = Config { profile: "../alice".into(), memory: true, offline: true, ..Config::default() };
/// let error = Node::start(config).await.unwrap_err();
/// assert!(error.to_string().starts_with("a profile name has 1 to 64 of the characters"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Error)]
#[error(transparent)]
pub struct StartError(#[from] StartErrorKind);

#[derive(Debug, Error)]
pub(crate) enum StartErrorKind {
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("{0}")]
    Nick(#[from] NickError),
    #[error("a thread to open the profile could not be started: try again")]
    Thread,
}

impl StartError {
    /// The exit code for a program that ends because of this.
    ///
    /// 1 anything unexpected, or the directory is not the user's alone, 2 a name that cannot be used, 3 the profile is in use, 4 its key cannot be used, 5 its
    /// history cannot be used, 6 an address cannot be used.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Node};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let config = Config { data_dir: Some(directory.path().into()), offline: true, ..Config::default() };
    /// let node = Node::start(config.clone()).await?;
    /// let error = Node::start(config).await.unwrap_err();
    /// assert_eq!(error.exit_code(), 3, "{error}"); // the profile is in use
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn exit_code(&self) -> u8 {
        match &self.0 {
            StartErrorKind::Profile(ProfileError::BadName(_)) | StartErrorKind::Nick(_) => 2,
            StartErrorKind::Profile(ProfileError::InUse { .. }) => 3,
            StartErrorKind::Profile(ProfileError::Key { .. } | ProfileError::KeyMalformed(_)) => 4,
            StartErrorKind::Profile(ProfileError::Unsafe { path, .. }) => match path.file_name() {
                Some(name) if name == "key" => 4,
                Some(name) if name.as_encoded_bytes().starts_with(b"history.sqlite3") => 5,
                _ => 1,
            },
            StartErrorKind::Store(_) => 5,
            StartErrorKind::Net(_) => 6,
            StartErrorKind::Profile(_) | StartErrorKind::Thread => 1,
        }
    }
}

macro_rules! start_error_from {
    ($($type:ty),*) => {$(
        impl From<$type> for StartError {
            fn from(error: $type) -> Self {
                Self(error.into())
            }
        }
    )*};
}
start_error_from!(ProfileError, StoreError, NetError, NickError);

/// Why a text is not a display name: without the blanks around it, it has not 1 to 32 characters, or a control character is
/// among them.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// use distchat_node::{NickError, RoomError};
///
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// assert_eq!(room.set_nick("  ").await, Err(RoomError::Nick(NickError)));
/// assert_eq!(room.set_nick("ana").await, Ok(()));
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a nick has 1 to {max} characters, none of them a control character: choose another", max = crate::room::MAX_NICK)]
pub struct NickError;

/// Why a room does not do what it was asked. Nothing was changed.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// use distchat_node::{MAX_BODY, RoomError};
///
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// let novel = "x".repeat(MAX_BODY + 1);
/// assert_eq!(room.broadcast(&novel).await, Err(RoomError::TooLong { len: MAX_BODY + 1, max: MAX_BODY }));
/// node.leave_room(room.name()).await?;
/// assert_eq!(room.broadcast("hello").await, Err(RoomError::Left(room.name().clone())));
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RoomError {
    /// A text longer than a message's body can be.
    #[error("the message has {len} bytes and can have {max} at most: send it in parts")]
    TooLong {
        /// The text's length in bytes.
        len: usize,
        /// The longest body.
        max: usize,
    },
    /// A text of nothing.
    #[error("the message is empty")]
    Empty,
    /// Not a display name.
    #[error(transparent)]
    Nick(#[from] NickError),
    /// More than can be imported in one go.
    #[error("these are {bytes} bytes of messages and can be {max} at most: import them in parts")]
    PageTooLong {
        /// How many bytes they are.
        bytes: usize,
        /// How many they can be.
        max: usize,
    },
    /// The room's task crashed too often.
    #[error("room `{0}` has failed: `/restart {0}` starts it again, nothing that it held is lost")]
    Failed(RoomName),
    /// The room was left.
    #[error("room `{0}` is not open: join it first")]
    Left(RoomName),
    /// The room's task crashed again and again while it did this.
    #[error("room `{0}` crashed over this: it was not done")]
    Crashed(RoomName),
    /// A receipt was wanted for a message that is not here.
    #[error("there are no receipts for a message that is not here")]
    NoReceipt,
    /// The node has shut down.
    #[error("the node has shut down")]
    Closed,
    /// The system's clock cannot be used for a message.
    #[error("this machine's clock is out of range: set it")]
    Clock,
    /// The history could not be read or written.
    #[error("{0}")]
    Store(String),
}

impl RoomError {
    /// A short name for programs.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// let error = room.set_nick("tab\tstop").await.unwrap_err();
    /// assert_eq!(error.code(), "bad-nick");
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too-long",
            Self::Empty => "empty",
            Self::Nick(_) => "bad-nick",
            Self::PageTooLong { .. } => "page-too-long",
            Self::Failed(_) => "room-failed",
            Self::Left(_) => "room-not-open",
            Self::Crashed(_) => "room-crashed",
            Self::NoReceipt => "no-receipt",
            Self::Closed => "closed",
            Self::Clock => "clock",
            Self::Store(_) => "store",
        }
    }
}

impl From<StoreError> for RoomError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Closed => Self::Closed,
            error => Self::Store(error.to_string()),
        }
    }
}

/// Why nothing could be looked for. Nothing was changed.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use distchat_node::{Config, Node};
/// use distchat_node::SearchError;
///
/// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
/// # let room = node.open_room(&"general".parse()?).await?;
/// assert_eq!(node.search("?!", 10).await, Err(SearchError::Empty));
/// assert_eq!(node.search(&"many ".repeat(33), 10).await, Err(SearchError::TooMany { max: 32 }));
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SearchError {
    /// Nothing to look for.
    #[error("there is no word to look for: give at least one with a letter or a digit in it")]
    Empty,
    /// Too much to look for.
    #[error("these are more than {max} words: look for fewer")]
    TooMany {
        /// The most words.
        max: usize,
    },
    /// The index's thread has crashed.
    #[error("the search index has crashed: start the node again; no message is lost")]
    Stopped,
    /// The node has shut down.
    #[error("the node has shut down")]
    Closed,
    /// The index or the history could not be read or written.
    #[error(
        "the search index cannot be used ({0}): check that there is space on the disk and that the files in the \
             profile's directory belong to you; if search.sqlite3 is in the way, remove it, no message is lost"
    )]
    Failed(String),
}

impl SearchError {
    /// A short name for programs.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// let error = node.search("?!", 10).await.unwrap_err();
    /// assert_eq!(error.code(), "no-words");
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "no-words",
            Self::TooMany { .. } => "too-many-words",
            Self::Stopped => "search-crashed",
            Self::Closed => "closed",
            Self::Failed(_) => "search",
        }
    }
}

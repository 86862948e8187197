//! What a node is told when it starts.

use std::path::PathBuf;

use libp2p::Multiaddr;

use crate::{error::StartError, profile};

/// How to start a [`crate::Node`].
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::{Config, Node};
///
/// // For a test: nothing on disk, and nobody is looked for.
/// let config = Config { profile: "alice".into(), memory: true, offline: true, ..Config::default() };
/// let node = Node::start(config).await?;
/// assert_eq!(node.profile(), "alice");
/// assert!(node.directory().is_none() && node.listeners().is_empty());
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// The profile: its own author key, history and default nick. Two nodes cannot use one at once. Its name has 1 to 64 of
    /// the characters `A-Z a-z 0-9 . _ -` and no dot in front.
    pub profile: String,
    /// Where the profiles are; `None` for the user's data directory.
    pub data_dir: Option<PathBuf>,
    /// Where nodes of one machine meet; `None` for the usual place.
    pub run_dir: Option<PathBuf>,
    /// Whether to meet other nodes of this machine without a network.
    pub same_machine: bool,
    /// Keep nothing on disk: a fresh author key and an empty history, both gone at the end.
    pub memory: bool,
    /// Only read and write what is on disk: neither listen nor dial, nor look for anybody. What is said is kept for a later
    /// run; `listen`, `connect`, `mdns` and `same_machine` are of no consequence.
    pub offline: bool,
    /// The display name, of 1 to 32 characters; `None` for the one used last in the room, else the profile's name, but that
    /// who has the profile `default` goes by the first digits of the key.
    pub nick: Option<String>,
    /// Where to listen; empty for TCP and QUIC on all IPv4 interfaces, at ports that the system chooses.
    pub listen: Vec<Multiaddr>,
    /// Whom to dial, and to dial again whenever the connection is lost.
    pub connect: Vec<Multiaddr>,
    /// Whether to find nodes on the LAN by multicast DNS (RFC 6762).
    pub mdns: bool,
    /// How many bytes of messages this node keeps of a room. Of one that holds as many nothing new is taken in, and it is
    /// [`crate::RoomState::Paused`]: what is there stays, and a node with a larger limit goes on. What was on its way when
    /// the limit was reached may exceed it, by a few MiB; keys and the index of words come on top and take about as much
    /// again. Others are none the wiser: they keep what they can.
    pub room_limit: u64,
}

/// How many bytes of messages a room may have if nothing is said: some four million lines of people talking.
const ROOM_LIMIT: u64 = 1 << 30;

/// The name of the profile if none is given.
pub(crate) const DEFAULT_PROFILE: &str = "default";

/// Where nodes of one user on one machine meet.
pub(crate) fn default_run_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        return PathBuf::from(dir).join("distchat");
    }
    #[cfg(unix)]
    let whose = rustix::process::getuid().as_raw().to_string();
    #[cfg(not(unix))]
    let whose = std::env::var("USERNAME").unwrap_or_default();
    std::env::temp_dir().join(format!("distchat-{whose}"))
}

impl Config {
    /// Where the profile is, or would be: [`crate::Node::directory`] of a node that is started with this. `None` in memory.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::Config;
    ///
    /// let config = Config { profile: "alice".into(), data_dir: Some("/srv/chat".into()), ..Config::default() };
    /// assert_eq!(config.directory()?, Some("/srv/chat/alice".into()));
    /// assert_eq!(Config { memory: true, ..config }.directory()?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the profile's name cannot be used, or the system tells no home directory.
    pub fn directory(&self) -> Result<Option<PathBuf>, StartError> {
        if self.memory {
            return Ok(None);
        }
        let (_, directory) = profile::directory(self.data_dir.as_deref(), &self.profile)?;
        Ok(Some(directory))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            profile: DEFAULT_PROFILE.into(),
            data_dir: None,
            run_dir: None,
            same_machine: true,
            memory: false,
            offline: false,
            nick: None,
            listen: Vec::new(),
            connect: Vec::new(),
            mdns: true,
            room_limit: ROOM_LIMIT,
        }
    }
}

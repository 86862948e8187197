//! What can be known of a profile and of a machine's nodes without starting one. Nothing here changes anything that is in
//! use.
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use distchat_node::{Config, Node, inspect};
//!
//! # let directory = tempfile::tempdir()?;
//! let config = Config { data_dir: Some(directory.path().into()), offline: true, ..Config::default() };
//! let file = config.directory()?.ok_or("on disk")?.join("history.sqlite3");
//! assert_eq!(inspect::history(&file, Duration::from_secs(5)), inspect::History::Absent);
//!
//! let node = Node::start(config).await?;
//! assert_eq!(inspect::history(&file, Duration::from_secs(5)), inspect::History::Sound);
//! # node.shutdown().await;
//! # Ok(())
//! # }
//! ```

use std::{path::Path, time::Duration};

use libp2p::{Multiaddr, PeerId};

use crate::{
    config::{Config, default_run_dir},
    net, store,
};

/// How a history is.
///
/// ```
/// use std::time::Duration;
///
/// use distchat_node::inspect::{History, history};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let file = directory.path().join("history.sqlite3");
/// std::fs::write(&file, "Dear diary, this is not a database.")?;
/// match history(&file, Duration::from_secs(5)) {
///     History::Damaged(why) => println!("{why}"),
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum History {
    /// There is none yet.
    Absent,
    /// It was checked from its beginning to its end.
    Sound,
    /// It opens, and nothing was found as long as there was time to look.
    Unfinished,
    /// It is damaged: the next start of a node moves it aside and takes over what can still be read. The text says more.
    Damaged(String),
    /// It cannot be used. The text says why and what to do.
    Unusable(String),
}

/// Looks a history through, also one that a node has open. Blocks, no longer than `patience` by much.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use distchat_node::{Config, Node, inspect::{History, history}};
///
/// # let directory = tempfile::tempdir()?;
/// let config = Config { data_dir: Some(directory.path().into()), offline: true, ..Config::default() };
/// let node = Node::start(config).await?;
/// let file = node.directory().ok_or("on disk")?.join("history.sqlite3");
/// let state = tokio::task::spawn_blocking(move || history(&file, Duration::from_secs(5))).await?;
/// assert_eq!(state, History::Sound);
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub fn history(path: &Path, patience: Duration) -> History {
    match store::check(path, patience) {
        // Not before: what is left of one that is gone may hold all of it.
        Ok(_) if !path.exists() => History::Absent,
        Ok(true) => History::Sound,
        Ok(false) => History::Unfinished,
        Err(error) if error.is_damage() => History::Damaged(error.to_string()),
        Err(error) => History::Unusable(error.to_string()),
    }
}

/// The nodes of this user on this machine, and their addresses. Blocks for a moment.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::{Config, inspect::neighbours};
///
/// # let directory = tempfile::tempdir()?;
/// let config = Config { run_dir: Some(directory.path().into()), ..Config::default() };
/// for (peer, addresses) in neighbours(&config)? {
///     println!("{peer} listens at {addresses:?}");
/// }
/// assert_eq!(neighbours(&config)?, []); // nobody has come to this directory
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the directory where they meet cannot be used; the text says where it is, why, and what to do.
pub fn neighbours(config: &Config) -> Result<Vec<(PeerId, Vec<Multiaddr>)>, String> {
    if !config.same_machine {
        return Ok(Vec::new());
    }
    let dir = config.run_dir.clone().unwrap_or_else(default_run_dir);
    match net::neighbours(&dir) {
        Ok(neighbours) => Ok(neighbours.into_iter().collect()),
        Err(why) => Err(format!("{}: {why}", dir.display())),
    }
}

//! What can be known of a profile and of a machine's nodes without starting one. Nothing here changes anything that is in
//! use.

use std::{path::Path, time::Duration};

use libp2p::{Multiaddr, PeerId};

use crate::{
    config::{Config, default_run_dir},
    net, store,
};

/// How a history is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum History {
    /// There is none yet.
    Absent,
    /// It was checked from its beginning to its end.
    Sound,
    /// It opens, and nothing was found as long as there was time to look.
    Unfinished,
    /// It cannot be used. The text says why and what to do.
    Unusable(String),
}

/// Looks a history through, also one that a node has open. Blocks, no longer than `patience` by much.
pub fn history(path: &Path, patience: Duration) -> History {
    if !path.exists() {
        return History::Absent;
    }
    match store::check(path, patience) {
        Ok(true) => History::Sound,
        Ok(false) => History::Unfinished,
        Err(error) => History::Unusable(error.to_string()),
    }
}

/// The nodes of this user on this machine, and their addresses. Blocks for a moment.
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

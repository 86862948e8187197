//! What is on the disks in the end, read from the histories themselves.

use std::{collections::HashSet, path::Path};

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};

use crate::ledger::Id;

/// How many of the lost are named.
const NAMED: usize = 20;

/// What of all that was acknowledged is not where it should be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lost {
    /// Missing messages, each counted on every host where it is missing.
    pub(crate) missing: u64,
    /// Some of them.
    pub(crate) named: Vec<String>,
    /// The histories' size on disk, in bytes, all files of all profiles.
    pub(crate) bytes: u64,
}

impl Lost {
    /// Looks for all of these in a host's history.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn look(&mut self, host: usize, profile: &Path, rooms: &[String], all: &[(Id, u8)]) -> Result<()> {
        let held = ids(&profile.join("history.sqlite3"), rooms)?;
        for (id, room) in all {
            if !held.get(usize::from(*room)).is_some_and(|held| held.contains(id)) {
                self.missing += 1;
                if self.named.len() < NAMED {
                    let id = data_encoding::HEXLOWER.encode(id);
                    self.named.push(format!("host {host}, room {}: {id}", rooms[usize::from(*room)]));
                }
            }
        }
        let files = std::fs::read_dir(profile)?.flatten().filter_map(|entry| entry.metadata().ok());
        self.bytes += files.map(|file| file.len()).sum::<u64>();
        Ok(())
    }
}

/// The ids in a history, room by room.
fn ids(path: &Path, rooms: &[String]) -> Result<Vec<HashSet<Id>>> {
    let open = || Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let history = open().with_context(|| format!("{} cannot be read", path.display()))?;
    let mut held = Vec::new();
    for room in rooms {
        let mut rows = history
            .prepare("SELECT message.id FROM room JOIN message ON message.room = room.no WHERE room.name = ?1")?;
        held.push(rows.query_map([room], |row| row.get(0))?.collect::<Result<HashSet<Id>, _>>()?);
    }
    Ok(held)
}

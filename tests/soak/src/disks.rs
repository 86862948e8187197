//! What is on the disks in the end, read from the histories themselves.

use std::{collections::HashSet, path::Path};

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};

use crate::ledger::Id;

/// What a message takes on a host's disk: the history, and the index of words.
const BYTES: u64 = 700;
/// What a profile takes besides.
const PROFILE: u64 = 20 << 20;
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

/// Sees that there is space for so many messages on so many hosts.
///
/// # Errors
/// If there is not: it would end in the middle of the run.
pub(crate) fn see_that_there_is_space(place: &Path, hosts: usize, messages: u64) -> Result<()> {
    let disk = rustix::fs::statvfs(place).with_context(|| format!("{} cannot be looked at", place.display()))?;
    let (free, needed) = (disk.f_bavail * disk.f_frsize, hosts as u64 * (messages * BYTES + PROFILE));
    anyhow::ensure!(
        needed <= free,
        "{} has {} MiB left, and {hosts} hosts with {messages} messages each need {}: name another place in TMPDIR",
        place.display(),
        free >> 20,
        needed >> 20
    );
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_history_is_lost() {
        let profile = tempfile::tempdir().unwrap();
        let history = Connection::open(profile.path().join("history.sqlite3")).unwrap();
        history.execute_batch("CREATE TABLE room (no, name); CREATE TABLE message (room, id)").unwrap();
        history.execute_batch("INSERT INTO room VALUES (1, 'a'), (2, 'b')").unwrap();
        for (room, id) in [(1, [1; 32]), (2, [2; 32])] {
            history.execute("INSERT INTO message VALUES (?1, ?2)", (room, id)).unwrap();
        }
        let mut lost = Lost::default();
        let rooms = ["a".to_owned(), "b".to_owned()];
        lost.look(7, profile.path(), &rooms, &[([1; 32], 0), ([2; 32], 1)]).unwrap();
        assert_eq!(lost.missing, 0);
        lost.look(7, profile.path(), &rooms, &[([1; 32], 1), ([3; 32], 0)]).unwrap();
        assert_eq!((lost.missing, lost.named.len()), (2, 2));
        assert!(lost.bytes > 0 && lost.named[1].starts_with("host 7, room a: 0303"), "{lost:?}");
        assert!(lost.look(7, Path::new("/nowhere"), &rooms, &[]).is_err());
    }

    #[test]
    fn a_run_that_the_disk_has_no_space_for_does_not_begin() {
        let place = std::env::temp_dir();
        assert!(see_that_there_is_space(&place, 2, 10).is_ok());
        let refused = see_that_there_is_space(&place, 200, 1 << 40).unwrap_err().to_string();
        assert!(refused.contains("TMPDIR"), "{refused}");
    }
}

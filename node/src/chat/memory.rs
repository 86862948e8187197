//! What the chat remembers from one run to the next: how far each room was read, what was being typed, whom to hide.
//!
//! It is kept in the profile's directory. It is a convenience: a file that cannot be read is told of and begun anew.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use distchat_node::{AuthorId, Key};
use serde::{Deserialize, Serialize};

const FILE: &str = "chat.cbor";
/// A larger file is none of ours.
const MOST: u64 = 16 << 20;

/// What the chat remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    /// What was typed, the oldest first.
    pub(super) typed: Vec<String>,
    /// By the room's name.
    pub(super) rooms: BTreeMap<String, RoomMemory>,
}

/// What it remembers of a room.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RoomMemory {
    /// All up to here was read.
    pub(super) read: Option<Key>,
    /// What was being typed.
    pub(super) draft: String,
    pub(super) muted: BTreeSet<AuthorId>,
}

impl Memory {
    /// Reads it from that directory. Blocks.
    ///
    /// # Errors
    /// If it is there and cannot be read; says why.
    pub(super) fn read(directory: &Path) -> Result<Self, String> {
        let path = directory.join(FILE);
        let read = || {
            let file = std::fs::File::open(&path)?;
            if file.metadata()?.len() > MOST {
                return Err(ErrorKind::FileTooLarge.into());
            }
            ciborium::from_reader(std::io::BufReader::new(file))
                .map_err(|error| std::io::Error::other(error.to_string()))
        };
        match read() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            read => read.map_err(|error| {
                format!("{} cannot be read ({error}): how far you had read is forgotten", path.display())
            }),
        }
    }

    /// Writes it there, so that either the former or this one is found, whatever happens. Blocks.
    pub(super) fn write(&self, directory: &Path) -> Result<(), String> {
        let path = directory.join(FILE);
        let temporary = directory.join(format!("{FILE}.tmp"));
        let write = || {
            let mut bytes = Vec::new();
            ciborium::into_writer(self, &mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
            let mut file = create_private(&temporary)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)
        };
        write().map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }
}

fn create_private(path: &PathBuf) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{author, message};

    #[test]
    fn what_is_remembered_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Memory::read(directory.path()), Ok(Memory::default()));
        let room = RoomMemory {
            read: Some(message(1, "ana", "x").key),
            draft: "half a".to_owned(),
            muted: [author(3)].into(),
        };
        let memory = Memory { typed: vec!["one".to_owned()], rooms: [("general".to_owned(), room)].into() };
        memory.write(directory.path()).unwrap();
        assert_eq!(Memory::read(directory.path()), Ok(memory));
        std::fs::write(directory.path().join(FILE), b"\xff").unwrap();
        assert!(Memory::read(directory.path()).unwrap_err().contains(FILE));
    }
}

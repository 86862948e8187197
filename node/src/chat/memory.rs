//! What the chat remembers from one run to the next: how far each room was read, what was being typed, whom to hide.
//!
//! It is kept in the profile's directory. It is a convenience: a file that cannot be read is told of and begun anew. Several
//! chats of one profile keep it together: each writes down what has changed with it, and leaves the rest as the others have it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use distchat_node::{AuthorId, Key};
use serde::{Deserialize, Serialize};

use super::history;

const FILE: &str = "chat.cbor";
/// Whoever changes the file holds this one.
const LOCK: &str = "chat.lock";
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

/// What the file has of it, as far as this chat has written. What could not be written is written the next time.
#[derive(Clone, Debug)]
pub(super) struct Kept(Arc<Mutex<Memory>>, Arc<AtomicBool>);

impl Kept {
    pub(super) fn new(memory: Memory) -> Self {
        Self(Arc::new(Mutex::new(memory)), Arc::default())
    }

    /// Whether the last writing has failed.
    pub(super) fn is_behind(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }

    /// Writes down what has changed since. Blocks.
    ///
    /// # Errors
    /// If that fails, and did not the last time: it is told once.
    pub(super) fn write(&self, memory: &Memory, directory: &Path) -> Result<(), String> {
        // Held while something can fail, and changed only behind that.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = memory.write(&kept, directory);
        if written.is_ok() {
            kept.clone_from(memory);
        }
        let told = self.1.swap(written.is_err(), Ordering::Relaxed);
        if told { Ok(()) } else { written }
    }
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

    /// Writes down what of it has changed since it was as `before`, so that either the former or the new file is found,
    /// whatever happens. Blocks, for as long as another chat does this.
    pub(super) fn write(&self, before: &Self, directory: &Path) -> Result<(), String> {
        let path = directory.join(FILE);
        let temporary = directory.join(format!("{FILE}.tmp"));
        let write = || {
            let lock = create_private(&directory.join(LOCK))?;
            lock.lock()?;
            // What cannot be read was told of when the chat began; all that is known is written in its place.
            let memory = Self::read(directory).map_or_else(|_| self.clone(), |kept| self.changed_since(before, kept));
            let mut bytes = Vec::new();
            ciborium::into_writer(&memory, &mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
            let written = create_private(&temporary).and_then(|mut file| {
                file.write_all(&bytes)?;
                file.sync_all()?;
                std::fs::rename(&temporary, &path)
            });
            if written.is_err() {
                // A half of it is of no use, and takes place on a disk that may have none. If it stays, it is written over.
                let _ = std::fs::remove_file(&temporary);
            }
            written
        };
        write().map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }

    /// What is kept, with the changes of this one since it was as `before`.
    fn changed_since(&self, before: &Self, mut kept: Self) -> Self {
        kept.typed.extend_from_slice(typed_since(&self.typed, &before.typed));
        let too_many = kept.typed.len().saturating_sub(history::MOST);
        kept.typed.drain(..too_many);
        let nothing = RoomMemory::default();
        for (name, room) in &self.rooms {
            let before = before.rooms.get(name).unwrap_or(&nothing);
            if room != before {
                kept.rooms.entry(name.clone()).or_default().change(before, room);
            }
        }
        kept
    }
}

impl RoomMemory {
    fn change(&mut self, before: &Self, after: &Self) {
        self.read = self.read.max(after.read);
        if after.draft != before.draft {
            self.draft.clone_from(&after.draft);
        }
        self.muted.retain(|author| after.muted.contains(author) || !before.muted.contains(author));
        self.muted.extend(after.muted.difference(&before.muted));
    }
}

/// What was typed since: the end of `now` behind what was there before, of which the first lines may have been forgotten.
fn typed_since<'a>(now: &'a [String], before: &[String]) -> &'a [String] {
    let still_there =
        (0..=before.len()).find_map(|forgotten| before.get(forgotten..).filter(|rest| now.starts_with(rest)));
    now.get(still_there.map_or(0, <[String]>::len)..).unwrap_or_default()
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
        memory.write(&Memory::default(), directory.path()).unwrap();
        assert_eq!(Memory::read(directory.path()), Ok(memory.clone()));
        std::fs::write(directory.path().join(FILE), b"\xff").unwrap();
        assert!(Memory::read(directory.path()).unwrap_err().contains(FILE));
        memory.write(&Memory::default(), directory.path()).unwrap();
        assert_eq!(Memory::read(directory.path()), Ok(memory));
    }

    #[test]
    fn what_could_not_be_written_is_written_later() {
        let directory = tempfile::tempdir().unwrap();
        let typed =
            |lines: &[&str]| Memory { typed: lines.iter().map(ToString::to_string).collect(), rooms: [].into() };
        let kept = Kept::new(Memory::default());
        let blocked = directory.path().join(format!("{FILE}.tmp"));
        std::fs::create_dir(&blocked).unwrap();
        assert!(kept.write(&typed(&["one"]), directory.path()).unwrap_err().contains(FILE));
        assert_eq!(kept.write(&typed(&["one", "two"]), directory.path()), Ok(()), "it is told once");
        assert!(kept.is_behind());
        std::fs::remove_dir(&blocked).unwrap();
        assert_eq!(kept.write(&typed(&["one", "two"]), directory.path()), Ok(()));
        assert!(!kept.is_behind());
        assert_eq!(Memory::read(directory.path()), Ok(typed(&["one", "two"])));
    }

    #[test]
    fn two_chats_of_one_profile_keep_what_both_remember() {
        let directory = tempfile::tempdir().unwrap();
        let room = |read: u8, draft: &str, muted: &[u8]| RoomMemory {
            read: Some(message(read, "ana", "x").key),
            draft: draft.to_owned(),
            muted: muted.iter().map(|number| author(*number)).collect(),
        };
        let memory = |typed: &[&str], rooms: &[(&str, RoomMemory)]| Memory {
            typed: typed.iter().map(ToString::to_string).collect(),
            rooms: rooms.iter().map(|(name, room)| (name.to_string(), room.clone())).collect(),
        };
        let both = memory(&["one"], &[("a", room(1, "", &[1, 2])), ("b", room(1, "b", &[]))]);
        both.write(&Memory::default(), directory.path()).unwrap();
        let left = memory(&["one", "left"], &[("a", room(5, "to a", &[2, 3])), ("b", room(1, "b", &[]))]);
        let right = memory(&["one", "right"], &[("a", room(3, "", &[1, 2, 4])), ("b", room(9, "to b", &[]))]);
        left.write(&both, directory.path()).unwrap();
        right.write(&both, directory.path()).unwrap();
        let expect =
            memory(&["one", "left", "right"], &[("a", room(5, "to a", &[2, 3, 4])), ("b", room(9, "to b", &[]))]);
        assert_eq!(Memory::read(directory.path()), Ok(expect));
    }

    #[test]
    fn what_was_typed_since_is_found_though_the_first_lines_are_forgotten() {
        let lines = |lines: &str| lines.chars().map(String::from).collect::<Vec<_>>();
        for (before, now, since) in
            [("", "ab", "ab"), ("ab", "ab", ""), ("ab", "abc", "c"), ("abc", "bcd", "d"), ("abc", "xyz", "xyz")]
        {
            assert_eq!(typed_since(&lines(now), &lines(before)), lines(since), "{before:?} {now:?}");
        }
    }
}

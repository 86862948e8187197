//! What there is to tell of a history, until somebody is told.
//!
//! The invariant: it is on the disk before anything is done that takes the evidence for it away, and goes when somebody was given
//! it. So whatever a start comes to, a later one tells it, and what was told and not yet forgotten is told twice at worst.
//!
//! It is a sentence a line, each once.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::is_absent;
use crate::durable;

fn note(path: &Path) -> PathBuf {
    path.with_extension("tell")
}

/// From now on this is to be told.
pub(super) fn add(path: &Path, sentence: &str) -> io::Result<()> {
    let sentence = sentence.lines().collect::<Vec<_>>().join(" ");
    let mut told = read(path);
    if told.contains(&sentence) {
        return Ok(());
    }
    told.push(sentence);
    durable::write(&note(path), (told.join("\n") + "\n").as_bytes())
}

/// What is to be told.
pub(super) fn read(path: &Path) -> Vec<String> {
    let note = note(path);
    // A disk may have failed once.
    match fs::read(&note).or_else(|_| fs::read(&note)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect(),
        Err(error) if is_absent(&error) => Vec::new(),
        Err(error) => vec![format!(
            "what an earlier start had to tell of the history {} cannot be read ({error}): what was moved aside is beside it",
            path.display()
        )],
    }
}

/// Nothing is to be told any more.
pub(super) fn clear(path: &Path) -> io::Result<()> {
    durable::remove(&note(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_told_is_there_once_until_it_was() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("history.sqlite3");
        assert_eq!(read(&path), [""; 0]);
        for sentence in ["it was\nmoved", "it was gone", "it was\nmoved"] {
            add(&path, sentence).unwrap();
        }
        for _ in 0..2 {
            assert_eq!(read(&path), ["it was moved", "it was gone"]);
        }
        clear(&path).unwrap();
        assert_eq!(read(&path), [""; 0]);
        clear(&path).unwrap();
    }

    /// Reading this process's memory at its beginning fails as a disk does.
    #[cfg(target_os = "linux")]
    #[test]
    fn that_it_cannot_be_read_is_told() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("history.sqlite3");
        std::os::unix::fs::symlink("/proc/self/mem", note(&path)).unwrap();
        add(&path, "it was gone").unwrap();
        let told = read(&path);
        assert!(told.len() == 2 && told[0].contains("cannot be read") && told[1] == "it was gone", "{told:?}");
    }
}

//! The log while the chat has the terminal: a file in the profile's directory, and the one before it.
//!
//! Together they are never much longer than twice [`MOST`]. Several chats of one profile write to the same file: whoever
//! finds it long puts it aside, and the others notice by their next line.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::cli::output::Pipe;

const NAME: &str = "distchat.log";
/// What the one before it is called.
const BEFORE: &str = "distchat.log.old";
/// How long the file becomes before it is put aside for a new one, in bytes.
const MOST: u64 = if cfg!(test) { 4096 } else { 4 << 20 };
/// How many lines wait for the disk. More are counted and left out.
const QUEUE: usize = 256;

/// The log's file.
pub(super) struct LogFile {
    pipe: Pipe,
    dropped: u64,
}

impl LogFile {
    /// Goes on with the file, or begins a new one if it is long. Blocks.
    pub(super) fn open(directory: &Path) -> std::io::Result<Self> {
        let pipe = Pipe::start("log", QUEUE, BufWriter::new(Bounded::open(directory)?))?;
        Ok(Self { pipe, dropped: 0 })
    }

    /// Writes a line, which has been through the gate.
    pub(super) fn write(&mut self, line: &str) {
        let mut text = String::new();
        if self.dropped > 0 {
            text = left_out(self.dropped);
        }
        text.push_str(line.trim_end());
        text.push('\n');
        if self.pipe.try_send(text) {
            self.dropped = 0;
        } else {
            self.dropped += 1;
        }
    }

    /// Waits until all of it is written.
    pub(super) async fn finish(&self) {
        // A disk that has failed cannot be told of on that disk.
        let _ = self.pipe.drained().await;
    }
}

fn left_out(lines: u64) -> String {
    format!("* {lines} lines were left out here, as the disk did not take them\n")
}

/// A file that is put aside when it is long. It takes whatever it is given: a log must not end because a disk was full.
struct Bounded {
    directory: PathBuf,
    file: File,
    /// How many lines could not be written.
    lost: u64,
}

impl Bounded {
    fn open(directory: &Path) -> std::io::Result<Self> {
        let mut bounded = Self { directory: directory.to_owned(), file: append(&directory.join(NAME))?, lost: 0 };
        bounded.turn()?;
        Ok(bounded)
    }

    /// Begins a new file if this one is long.
    fn turn(&mut self) -> std::io::Result<()> {
        let own = self.file.metadata()?;
        if own.len() < MOST {
            return Ok(());
        }
        let path = self.directory.join(NAME);
        if std::fs::metadata(&path).is_ok_and(|named| !is_same(&own, &named)) {
            // Another chat has done so.
            self.file = append(&path)?;
            return Ok(());
        }
        std::fs::rename(&path, self.directory.join(BEFORE))?;
        self.file = append(&path)?;
        self.file.write_all(format!("* what was before this is in {BEFORE}; before that, nothing is kept\n").as_bytes())
    }

    /// Writes some lines.
    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.turn()?;
        if self.lost > 0 {
            self.file.write_all(left_out(self.lost).as_bytes())?;
            self.lost = 0;
        }
        self.file.write_all(bytes)
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.put(bytes).is_err() {
            self.lost += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_: &Metadata, other: &Metadata) -> bool {
    // One that is short was begun by another chat.
    other.len() >= MOST
}

fn append(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_log_is_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        for (line, length) in [("one", 4), ("two", 8)] {
            let mut log = LogFile::open(directory.path()).unwrap();
            log.write(line);
            log.finish().await;
            assert_eq!(std::fs::metadata(&path).unwrap().len(), length);
        }
        std::fs::write(&path, vec![b'x'; 5000]).unwrap();
        let mut log = LogFile::open(directory.path()).unwrap();
        log.write("three\n");
        log.finish().await;
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("* what was before this is in distchat.log.old") && text.ends_with("\nthree\n"),
            "{text}"
        );
        assert_eq!(std::fs::metadata(directory.path().join(BEFORE)).unwrap().len(), 5000);
    }

    #[test]
    fn however_much_is_logged_by_how_many_two_files_hold_the_end_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut logs = [(); 3].map(|()| Bounded::open(directory.path()).unwrap());
        for number in 0..3000 {
            let line = format!("line {number}\n");
            assert_eq!(logs[number % 3].write(line.as_bytes()).unwrap(), line.len());
        }
        let text = |name| std::fs::read_to_string(directory.path().join(name)).unwrap();
        let both = text(BEFORE) + &text(NAME);
        assert!(both.len() < 2 * 4096 + 4 * 128, "{}", both.len());
        let numbers: Vec<u32> = both.lines().filter_map(|line| line.strip_prefix("line ")?.parse().ok()).collect();
        assert!(numbers.len() > 300, "{}", numbers.len());
        assert!(
            numbers.iter().rev().zip((0..3000).rev()).all(|(found, said)| *found == said),
            "without a gap: {numbers:?}"
        );
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_counted() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Bounded::open(directory.path()).unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full");
        // Linux has such a thing.
        let Ok(full) = full else { return };
        let file = std::mem::replace(&mut log.file, full);
        log.write_all(b"one\n").unwrap();
        log.write_all(b"two\n").unwrap();
        log.file = file;
        log.write_all(b"three\n").unwrap();
        let text = std::fs::read_to_string(directory.path().join(NAME)).unwrap();
        assert_eq!(text, left_out(2) + "three\n");
    }
}

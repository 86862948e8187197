//! The log while the chat has the terminal: a file in the profile's directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::cli::output::Pipe;

/// How long the file becomes before it is put aside for a new one, at the next start.
const MOST: u64 = 1 << 20;
/// How many lines wait for the disk. More are counted and left out.
const QUEUE: usize = 256;

/// The log's file.
pub(super) struct LogFile {
    pipe: Pipe,
    dropped: u64,
}

impl LogFile {
    /// Goes on with the file, or begins a new one if it is long; the one before is kept. Blocks.
    pub(super) fn open(directory: &Path) -> std::io::Result<Self> {
        let path = directory.join("distchat.log");
        if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > MOST) {
            std::fs::rename(&path, directory.join("distchat.log.old"))?;
        }
        let pipe = Pipe::start("log", QUEUE, Appending { file: append(&path)?, lost: 0 })?;
        Ok(Self { pipe, dropped: 0 })
    }

    /// Writes a line, which has been through the gate.
    pub(super) fn write(&mut self, line: &str) {
        let mut text = String::new();
        if self.dropped > 0 {
            text = format!("* {} lines were left out here, as the disk was slow\n", self.dropped);
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

/// What goes on when the disk has failed, and says how much is missing.
struct Appending<W> {
    file: W,
    lost: u64,
}

impl<W: Write> Write for Appending<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = Vec::new();
        if self.lost > 0 {
            writeln!(text, "* {} bytes are missing here, as the disk could not take them", self.lost)?;
        }
        text.extend_from_slice(bytes);
        // Part of it may be there; then the line after that begins in its middle.
        match self.file.write_all(&text) {
            Ok(()) => self.lost = 0,
            Err(_) => self.lost += bytes.len() as u64,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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

    #[test]
    fn after_a_failure_the_log_goes_on() {
        /// A disk with place for so many bytes.
        struct Small(Vec<u8>, usize);
        impl Write for Small {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if self.0.len() + bytes.len() > self.1 {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                self.0.write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut log = Appending { file: Small(Vec::new(), 8), lost: 0 };
        for line in ["one\n", "three\n", "five\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        log.file.1 = 1000;
        log.write_all(b"seven\n").unwrap();
        let expect = "one\n* 11 bytes are missing here, as the disk could not take them\nseven\n";
        assert_eq!(String::from_utf8(log.file.0).unwrap(), expect);
    }

    #[tokio::test]
    async fn a_long_log_is_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("distchat.log");
        for (line, length) in [("one", 4), ("two", 8)] {
            let mut log = LogFile::open(directory.path()).unwrap();
            log.write(line);
            log.finish().await;
            assert_eq!(std::fs::metadata(&path).unwrap().len(), length);
        }
        std::fs::write(&path, vec![b'x'; 2 << 20]).unwrap();
        let mut log = LogFile::open(directory.path()).unwrap();
        log.write("three\n");
        log.finish().await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
        assert_eq!(std::fs::metadata(directory.path().join("distchat.log.old")).unwrap().len(), 2 << 20);
    }
}

//! The log while the chat has the terminal: a file in the profile's directory.

use std::fs::{File, OpenOptions};
use std::io::BufWriter;
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
        let pipe = Pipe::start("log", QUEUE, BufWriter::new(append(&path)?))?;
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

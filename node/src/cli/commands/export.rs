//! `distchat export`: a room into a file.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use distchat_node::RoomName;
use distchat_node::bundle::Writer;

use super::Desk;
use super::progress::Progress;
use crate::attach::{Bytes, Room};
use crate::cli::Failure;
use crate::cli::report::Report;

/// Write a room into a file, to carry it where there is no network.
///
/// The messages are signed: whoever imports them takes in what their authors wrote, and nothing else.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Export {
    /// Which room
    #[arg(value_name = "ROOM", value_parser = RoomName::parse)]
    target: RoomName,

    /// Into this file instead of to stdout; one that is there is replaced once all is written
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Where it is written: a file beside the one that is wanted, or stdout.
enum To {
    File { file: BufWriter<File>, path: PathBuf, part: PathBuf },
    Stdout(BufWriter<std::io::Stdout>),
}

impl Write for To {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::File { file, .. } => file.write(bytes),
            Self::Stdout(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::File { file, .. } => file.flush(),
            Self::Stdout(stdout) => stdout.flush(),
        }
    }
}

impl To {
    fn open(path: Option<&Path>) -> std::io::Result<Self> {
        let Some(path) = path else { return Ok(Self::Stdout(BufWriter::new(std::io::stdout()))) };
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        Ok(Self::File { file: BufWriter::new(File::create(&part)?), path: path.to_owned(), part })
    }

    /// Puts the file in its place once it is on the disk.
    fn finish(self) -> std::io::Result<()> {
        match self {
            Self::File { file, path, part } => {
                file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
                std::fs::rename(part, path)
            }
            Self::Stdout(mut stdout) => stdout.flush(),
        }
    }
}

impl Export {
    pub(super) async fn run(&self, desk: &mut Desk) -> Result<(), Failure> {
        if self.output.is_none() && std::io::stdout().is_terminal() {
            return Err(Failure::usage("a bundle is nothing to read: name a file with -o FILE".to_owned()));
        }
        let room = desk.open_stored(&self.target).await?;
        let path = self.output.clone();
        let failed = |error: std::io::Error| match (&self.output, error.kind()) {
            (None, std::io::ErrorKind::BrokenPipe) => Failure::unread(),
            (None, _) => Failure::unexpected(format!("stdout cannot be written to: {error}")),
            (Some(path), _) => Failure::unexpected(format!("{} cannot be written: {error}", path.display())),
        };
        let to = blocking(move || To::open(path.as_deref())).await.map_err(failed)?;
        let messages = self.write(&room, to).await?.map_err(failed)?;
        // Whoever takes it from stdout does not want anything else there.
        let file = self.output.as_ref().map(|path| path.display().to_string());
        if file.is_some() || !desk.args.json {
            desk.say(&Report::Exported { room: self.target.clone(), messages, file }).await?;
        }
        Ok(())
    }

    /// Writes all pages, and says how many messages there were.
    async fn write(&self, room: &Room, to: To) -> Result<std::io::Result<u64>, Failure> {
        let of = room.fingerprint().await?.messages;
        let progress = Progress::new(self.target.as_str(), of);
        let (mut writer, mut before) = (Writer::new(to, self.target.clone()), None);
        loop {
            let page = room.export(before).await?;
            let written = blocking(move || {
                for Bytes(message) in &page.messages {
                    writer.push(message)?;
                }
                Ok(writer)
            });
            writer = match written.await {
                Ok(writer) => writer,
                Err(error) => return Ok(Err(error)),
            };
            progress.set(writer.messages(), of.max(writer.messages()));
            before = page.next;
            if before.is_none() {
                let messages = writer.messages();
                let finished = blocking(move || writer.finish()?.finish().map(|()| messages)).await;
                return Ok(finished);
            }
        }
    }
}

/// Waits for a disk without keeping anybody else waiting.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}

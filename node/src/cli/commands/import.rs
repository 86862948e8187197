//! `distchat import`: what others have written into files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use distchat_node::bundle::{Part, Reader, Tally};
use distchat_node::{Imported, RoomName};
use tokio::sync::mpsc;

use super::Desk;
use super::progress::Progress;
use crate::attach::{Bytes, IMPORT_PAGE, Room};
use crate::cli::Failure;
use crate::cli::report::Report;

/// How many pages wait to be taken in.
const QUEUE: usize = 4;

/// Take in rooms that were exported.
///
/// The files may be parts, damaged, in any order, and imported before: what is valid and new enters, and it is said how many
/// messages of each kind there were.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    /// The files; `-` for stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// What was read of a file.
enum Next {
    Page { room: RoomName, messages: Vec<Bytes> },
    End(Tally),
    Failed(std::io::Error),
}

type Rooms = BTreeMap<RoomName, Imported>;

impl Import {
    pub(super) async fn run(&self, desk: &mut Desk) -> Result<(), Failure> {
        let mut files: Vec<(Tally, Rooms)> = Vec::new();
        for path in &self.files {
            files.push(take_in(desk, path).await?);
        }
        // What vouches for a message may have come behind it, in another file.
        let mut again = true;
        while again && files.iter().any(|(_, rooms)| rooms.values().any(|imported| imported.unvouched > 0)) {
            again = false;
            for (path, (_, rooms)) in self.files.iter().zip(&mut files) {
                if path.as_os_str() == "-" || rooms.values().all(|imported| imported.unvouched == 0) {
                    continue;
                }
                for (room, more) in take_in(desk, path).await?.1 {
                    let imported = rooms.entry(room).or_default();
                    again |= more.new > 0;
                    // The others of it are known by now.
                    imported.new += more.new;
                    imported.unvouched = imported.unvouched.saturating_sub(more.new);
                }
            }
        }
        let mut fine = true;
        for (path, (tally, rooms)) in self.files.iter().zip(files) {
            let file = path.display().to_string();
            if tally.intact == 0 && tally.messages == 0 {
                return Err(Failure::usage(format!("{file} is no bundle: `distchat export` makes one")));
            }
            let bad = |imported: &Imported| imported.unvouched + imported.foreign + imported.malformed;
            fine &= tally.is_whole() && rooms.values().all(|imported| bad(imported) == 0);
            desk.mention(&Report::Imported { file, tally, rooms: rooms.into_iter().collect() }).await?;
        }
        if fine { Ok(()) } else { Err(Failure::damaged()) }
    }
}

/// Imports a file.
async fn take_in(desk: &mut Desk, path: &Path) -> Result<(Tally, Rooms), Failure> {
    let (pages, mut receiver) = mpsc::channel(QUEUE);
    let reading = path.to_owned();
    let reader = tokio::task::spawn_blocking(move || read(&reading, &pages));
    let progress = Progress::new(&path.display().to_string(), 0);
    let (mut rooms, mut opened, mut done) = (Rooms::new(), BTreeMap::<RoomName, Room>::new(), 0);
    let mut end = None;
    while let Some(next) = receiver.recv().await {
        match next {
            Next::Page { room: name, messages } => {
                let room = match opened.get(&name) {
                    Some(room) => room.clone(),
                    None => {
                        let room = desk.client.open_room(&name).await?;
                        opened.insert(name.clone(), room.clone());
                        room
                    }
                };
                done += messages.len() as u64;
                *rooms.entry(name).or_default() += room.import(messages).await?;
                progress.set(done, done);
            }
            Next::End(tally) => end = Some(tally),
            Next::Failed(error) => {
                return Err(Failure::unexpected(format!("{} cannot be read: {error}", path.display())));
            }
        }
    }
    reader.await.map_err(|error| Failure::unexpected(format!("reading failed: {error}; this is a fault of ours")))?;
    let tally = end.ok_or_else(|| Failure::unexpected(format!("{} was not read to its end", path.display())))?;
    Ok((tally, rooms))
}

/// Reads a file, in pages of one room each. Blocks.
fn read(path: &Path, pages: &mpsc::Sender<Next>) {
    let file: std::io::Result<Box<dyn Read>> = if path.as_os_str() == "-" {
        Ok(Box::new(std::io::stdin()))
    } else {
        File::open(path).map(|file| Box::new(file) as Box<dyn Read>)
    };
    let last = file.and_then(|file| read_pages(BufReader::new(file), pages)).map_or_else(Next::Failed, Next::End);
    // Nobody waits for it if the import has failed.
    let _ = pages.blocking_send(last);
}

fn read_pages(file: impl Read, pages: &mpsc::Sender<Next>) -> std::io::Result<Tally> {
    let mut reader = Reader::new(file);
    let (mut page, mut of, mut size) = (Vec::new(), None::<RoomName>, 0);
    let flush = |page: &mut Vec<Bytes>, of: &Option<RoomName>| {
        let messages = std::mem::take(page);
        match of {
            Some(room) if !messages.is_empty() => {
                let sent = pages.blocking_send(Next::Page { room: room.clone(), messages });
                sent.map_err(|_| std::io::Error::other("nobody takes it in"))
            }
            _ => Ok(()),
        }
    };
    while let Some(part) = reader.next_part()? {
        let Part::Messages { room, messages } = part else { continue };
        for message in messages {
            let message = Bytes(message);
            if of.as_ref() != Some(&room) || size + message.written() > IMPORT_PAGE {
                flush(&mut page, &of)?;
                (of, size) = (Some(room.clone()), 0);
            }
            size += message.written();
            page.push(message);
        }
    }
    flush(&mut page, &of)?;
    Ok(*reader.tally())
}

#[cfg(test)]
mod tests {
    use distchat_node::bundle::Writer;

    use super::*;
    use crate::cli::testing::room_name;

    #[test]
    fn a_page_of_next_to_nothing_is_no_longer_than_others() {
        for length in [1, 200, 16 << 10] {
            let count = (1 << 20) / length;
            let mut bundle = Writer::new(Vec::new(), room_name("crafted"));
            let message = vec![7; length];
            (0..count).for_each(|_| bundle.push(&message).unwrap());
            let bundle = bundle.finish().unwrap();

            let (pages, mut receiver) = mpsc::channel(QUEUE);
            let reader = std::thread::spawn(move || read_pages(&*bundle, &pages).unwrap());
            let (mut read, mut lengths) = (0, Vec::new());
            while let Some(next) = receiver.blocking_recv() {
                let Next::Page { messages, .. } = next else { panic!("nothing else is read") };
                read += messages.len();
                lengths.push(serde_json::to_string(&messages).unwrap().len());
            }
            assert_eq!((read, reader.join().unwrap().messages), (count, count as u64));
            lengths.pop();
            assert!(
                lengths.iter().all(|length| (IMPORT_PAGE - (32 << 10)..=IMPORT_PAGE + 1).contains(length)),
                "{lengths:?}"
            );
        }
    }
}

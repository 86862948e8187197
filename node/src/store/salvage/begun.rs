//! Whether a history was only begun.
//!
//! The first thing that is written into a new file is its first page, which says that there is a log. There is none yet, so SQLite
//! does that with a rollback journal: the journal is on the disk before the page is written, the page is before the journal is
//! removed, and the removal is before the log is begun (`schema.rs`, EXTRA). So a process that is killed, and a power cut, leave the file empty without a log, or
//! any part of its first page beside that journal, or all of the page. The journal says how long the file was before: that it had
//! no page is true of no other transaction. So who finds it knows that nothing in the page was ever acknowledged, and SQLite
//! empties the file when it opens it.
//!
//! Any other file that is empty or ends in its first page was cut off later, by whatever, and had held something. SQLite does not
//! mind: it throws away what is beside an empty file, or one of a single byte, also where it can only read, and has a journal
//! undo whatever file it stands beside. So this is asked before anybody opens the file. On a disk that cannot
//! have a log the first transaction has more pages; there one that was broken off counts as damage, of nothing.
//!
//! The format is that of sqlite.org/fileformat2.html, "The Rollback Journal".

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::{
    beside,
    carve::{PAGE, be32},
    is_absent, length, unreadable,
};

/// What a journal begins with once it counts.
const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
/// Where it says how many pages the file had before.
const PAGES_BEFORE: usize = 16;
/// A shorter one is none to SQLite.
const HEADER: usize = 512;

/// How far a history has come.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) enum State {
    /// There is nothing of it, or nothing but what its first transaction had written when it was broken off.
    Begun,
    /// There is something in it.
    Held,
    /// It held something, which is there no more, or would not be if it were opened.
    Lost(String),
}

/// How far the history has come.
///
/// # Errors
/// If its files are there and cannot be looked at. A journal that the disk does not give is damage.
pub(in crate::store) fn state(path: &Path) -> io::Result<State> {
    let (file, log) = (length(path)?, length(&beside(path, "-wal"))?);
    let lost = |what: &str| Ok(State::Lost(what.to_owned()));
    let pages_before = match pages_before(path) {
        Ok(pages_before) => pages_before,
        Err(error) => return unreadable(error).map(|what| State::Lost(format!("its journal: {what}"))),
    };
    match (file, pages_before) {
        (0 | 1, _) if log > 0 => lost("it is gone or empty, and its log is there"),
        (0 | 1, Some(1..)) => lost("it is gone or empty, and its journal is there"),
        (0, _) => Ok(State::Begun),
        (_, Some(0)) if file > PAGE as u64 || log > 0 => lost("the journal beside it is not its own"),
        (_, Some(0)) => Ok(State::Begun),
        _ => Ok(State::Held),
    }
}

/// How many pages the file had before the transaction of which there is a journal, if there is one.
fn pages_before(path: &Path) -> io::Result<Option<u32>> {
    let mut journal = match File::open(beside(path, "-journal")) {
        Err(error) if is_absent(&error) => return Ok(None),
        journal => journal?,
    };
    let mut header = [0; HEADER];
    match journal.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    Ok(be32(&header, PAGES_BEFORE).filter(|_| header.starts_with(&MAGIC)))
}

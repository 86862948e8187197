//! Reading messages out of a database's file without the help of the database.
//!
//! A message proves itself: its bytes begin in a way that hardly anything else does, its room's id and its signature are in
//! them, and since a room only grows, an old copy of a message is as good as the newest. So it does not matter whether a page
//! is in use, free, or of a log that was written back long ago, nor what has become of the pages that lead to it: every page is
//! looked at, every message in it is taken, and those who know the room's rules judge them later.
//!
//! Of the file format (sqlite.org/fileformat2.html) no more is needed than a cell and its overflow pages, for messages of more
//! than some 2000 bytes are not stored in one piece. If a cell cannot be read, what is in one piece is found all the same.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    path::Path,
};

use distchat_crdt::{Message, RoomId, RoomName};

/// The size of a page in all of this program's databases.
pub(super) const PAGE: usize = 8192;
/// The sizes of the headers of a log and of each page in it.
pub(super) const LOG_HEADER: u64 = 32;
pub(super) const FRAME_HEADER: usize = 24;
/// How a message begins: an array of ten, version 1, and 32 bytes, which are its room's id; 32 more are its author.
const BEGIN: [u8; 4] = [0x8a, 0x01, 0x58, 0x20];
const AUTHOR_AT: usize = 36;
/// No row of a message is longer.
const MAX_ROW: usize = 32 << 10;
/// Which columns of a message's row these are.
const ID: usize = 2;
const ARRIVED: usize = 7;
const BYTES: usize = 8;
const LATE: usize = 9;

/// Something that was found.
pub(super) enum Found {
    Message {
        message: Box<Message>,
        /// When it came here, and whether it was late. `None` if its row cannot be read: then these may be the remains of a
        /// message, partly written over.
        row: Option<(i64, bool)>,
    },
    Room(RoomName),
    /// A row of a message whose bytes are not what its key says.
    Damaged,
}

/// Goes through all pages of a database's file and of its log, but for those that the disk does not give.
///
/// # Errors
/// If the disk does not give half of them, or the files cannot be opened.
pub(super) fn carve<E: From<io::Error>>(
    path: &Path,
    log: &Path,
    take: &mut dyn FnMut(Found) -> Result<(), E>,
) -> Result<(), E> {
    let file = File::open(path)?;
    let pages = file.metadata()?.len().div_ceil(PAGE as u64);
    let mut file = Pages { file: Disk::of(file), pages, log: None };
    if let Ok(log) = File::open(log) {
        file.log = Some(Log::read(log)?);
    }
    for no in 0..pages {
        let page = file.at(no * PAGE as u64);
        scan(&mut file, &page, no == 0, take)?;
    }
    let frames = file.log.as_ref().map_or(0, |log| log.frames);
    for frame in 0..frames {
        let Some((no, page)) = file.log.as_mut().map(|log| log.frame(frame)) else { break };
        scan(&mut file, &page, no == 1, take)?;
    }
    let mut lost = file.file.lost;
    lost.extend(file.log.into_iter().flat_map(|log| log.file.lost));
    if lost.len() as u64 > (pages + frames) / 2
        && let Some((_, error)) = lost.pop_first()
    {
        // It is not the file that is damaged.
        return Err(error.into());
    }
    lost.iter().try_for_each(|_| take(Found::Damaged))
}

/// A file on a disk that may not give all of it.
struct Disk {
    file: File,
    /// What could not be read, by where it is.
    lost: BTreeMap<u64, io::Error>,
}

impl Disk {
    fn of(file: File) -> Self {
        Self { file, lost: BTreeMap::new() }
    }

    /// So many bytes from there on. Zeros stand for what the disk does not give, and for what is behind the file's end.
    fn read(&mut self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        let begun = self.file.seek(SeekFrom::Start(offset));
        let read = begun.and_then(|_| self.file.by_ref().take(length as u64).read_to_end(&mut bytes));
        if let Err(error) = read {
            tracing::warn!(offset, %error, "a part of the history cannot be read");
            self.lost.insert(offset, error);
            bytes.clear();
        }
        bytes.resize(length, 0);
        bytes
    }
}

/// A database's file and its log.
struct Pages {
    file: Disk,
    pages: u64,
    log: Option<Log>,
}

struct Log {
    file: Disk,
    frames: u64,
    /// Where the last copy of a page is.
    last: HashMap<u32, u64>,
}

impl Log {
    fn read(file: File) -> io::Result<Self> {
        let frame = (FRAME_HEADER + PAGE) as u64;
        let frames = file.metadata()?.len().saturating_sub(LOG_HEADER) / frame;
        let mut log = Self { file: Disk::of(file), frames, last: HashMap::new() };
        for n in 0..frames {
            let no = log.frame(n).0;
            log.last.insert(no, n);
        }
        Ok(log)
    }

    fn frame(&mut self, n: u64) -> (u32, Vec<u8>) {
        let length = FRAME_HEADER + PAGE;
        let mut frame = self.file.read(LOG_HEADER + n * length as u64, length);
        let page = frame.split_off(FRAME_HEADER);
        (be32(&frame, 0).unwrap_or(0), page)
    }
}

impl Pages {
    fn at(&mut self, offset: u64) -> Vec<u8> {
        self.file.read(offset, PAGE)
    }

    /// The page of that number as it was last; nothing if there is none.
    fn page(&mut self, no: u32) -> Vec<u8> {
        if let Some(log) = &mut self.log
            && let Some(frame) = log.last.get(&no).copied()
        {
            return log.frame(frame).1;
        }
        let before = u64::from(no.saturating_sub(1));
        if before < self.pages { self.at(before * PAGE as u64) } else { Vec::new() }
    }
}

fn scan<E: From<io::Error>>(
    pages: &mut Pages,
    page: &[u8],
    first: bool,
    take: &mut dyn FnMut(Found) -> Result<(), E>,
) -> Result<(), E> {
    let head = if first { 100 } else { 0 };
    if page.get(head) == Some(&TABLE_LEAF) {
        return cells(page, head).filter_map(|at| room(page.get(at..)?)).try_for_each(|name| take(Found::Room(name)));
    }
    let mut from = 0;
    while let Some(at) = next_message(page, from) {
        if let Some(found) = in_cell(pages, page, head, at) {
            take(found)?;
        } else if let Ok((message, _)) = Message::decode_first(page.get(at..).unwrap_or_default()) {
            take(Found::Message { message: Box::new(message), row: None })?;
        }
        from = at + BEGIN.len();
    }
    Ok(())
}

/// Where the next message begins.
fn next_message(page: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += page.get(at..)?.iter().position(|byte| *byte == BEGIN[0])?;
        let rest = page.get(at..)?;
        if rest.starts_with(&BEGIN) && rest.get(AUTHOR_AT..AUTHOR_AT + 2) == Some(&BEGIN[2..]) {
            return Some(at);
        }
        at += 1;
    }
}

const INDEX_INTERIOR: u8 = 0x02;
const INDEX_LEAF: u8 = 0x0a;
const TABLE_LEAF: u8 = 0x0d;

/// Where the cells of a page begin.
fn cells(page: &[u8], head: usize) -> impl Iterator<Item = usize> + '_ {
    let count = be16(page, head + 3).unwrap_or(0);
    let pointers = head + if page.get(head) == Some(&INDEX_INTERIOR) { 12 } else { 8 };
    (0..count).filter_map(move |n| be16(page, pointers + 2 * n))
}

/// The message that begins there, by the row that it is in; `None` if that is none.
fn in_cell(pages: &mut Pages, page: &[u8], head: usize, at: usize) -> Option<Found> {
    let before = match *page.get(head)? {
        INDEX_LEAF => 0,
        INDEX_INTERIOR => 4,
        _ => return None,
    };
    let cell = cells(page, head).filter(|cell| *cell <= at).max()?;
    let (length, begin) = varint(page, cell + before)?;
    let length = usize::try_from(length).ok()?;
    let local = local(length);
    if length > MAX_ROW || at >= begin + local {
        return None;
    }
    let mut row = page.get(begin..begin + local)?.to_vec();
    let mut next = be32(page, begin + local).unwrap_or(0);
    while row.len() < length && next != 0 {
        let overflow = pages.page(next);
        next = be32(&overflow, 0).unwrap_or(0);
        row.extend_from_slice(overflow.get(4..).unwrap_or_default());
    }
    row.truncate(length);
    message(&row)
}

/// The message in a row.
fn message(row: &[u8]) -> Option<Found> {
    let columns = columns(row)?;
    let bytes = row.get(columns.get(BYTES)?.1.clone())?;
    if !bytes.starts_with(&BEGIN) {
        return None;
    }
    let Ok(message) = Message::decode(bytes) else { return Some(Found::Damaged) };
    if row.get(columns.get(ID)?.1.clone()) != Some(&message.id().0) {
        return Some(Found::Damaged);
    }
    let arrived = columns.get(ARRIVED).and_then(|(kind, at)| integer(*kind, row.get(at.clone())?));
    let late = columns.get(LATE).and_then(|(kind, at)| integer(*kind, row.get(at.clone())?)) == Some(1);
    Some(Found::Message { message: Box::new(message), row: arrived.map(|arrived| (arrived, late)) })
}

/// The room whose row a cell is, if its id is that of its name.
fn room(cell: &[u8]) -> Option<RoomName> {
    let (length, at) = varint(cell, 0)?;
    let (_, at) = varint(cell, at)?;
    let row = cell.get(at..at.checked_add(usize::try_from(length).ok()?)?)?;
    let columns = columns(row)?;
    let text = std::str::from_utf8(row.get(columns.get(1)?.1.clone())?).ok()?;
    let name = RoomName::parse(text).ok().filter(|name| name.as_str() == text)?;
    (row.get(columns.get(2)?.1.clone())? == RoomId::of(&name).0).then_some(name)
}

/// How much of a row of that length is in its cell.
fn local(length: usize) -> usize {
    const MOST: usize = (PAGE - 12) * 64 / 255 - 23;
    const LEAST: usize = (PAGE - 12) * 32 / 255 - 23;
    if length <= MOST {
        return length;
    }
    let rest = LEAST + (length - LEAST) % (PAGE - 4);
    if rest <= MOST { rest } else { LEAST }
}

/// The types of a row's columns, and where they are.
fn columns(row: &[u8]) -> Option<Vec<(u64, Range<usize>)>> {
    let (header, mut at) = varint(row, 0)?;
    let header = usize::try_from(header).ok().filter(|header| *header <= row.len())?;
    let (mut columns, mut value) = (Vec::new(), header);
    while at < header {
        let (kind, next) = varint(row, at)?;
        at = next;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => (kind - 12) / 2,
        };
        let end = value.checked_add(usize::try_from(length).ok()?)?;
        columns.push((kind, value..end));
        value = end;
    }
    Some(columns)
}

fn integer(kind: u64, bytes: &[u8]) -> Option<i64> {
    match kind {
        8 => Some(0),
        9 => Some(1),
        1..=6 => {
            let sign = if bytes.first()? & 0x80 == 0 { 0 } else { -1 };
            Some(bytes.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte)))
        }
        _ => None,
    }
}

/// SQLite's variable-length integer there, and where it ends.
fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0;
    for n in 0..8 {
        let byte = *bytes.get(at + n)?;
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, at + n + 1));
        }
    }
    Some((value << 8 | u64::from(*bytes.get(at + 8)?), at + 9))
}

fn be16(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?)))
}

pub(super) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

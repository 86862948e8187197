//! Reading a bundle, whatever has become of it.
//!
//! A frame whose checksum is right is taken as it stands. Of one whose checksum is wrong, that is cut off, or whose begin
//! cannot be recognised, whatever is a well-formed message is taken all the same, up to the next mark: a message proves
//! itself, so nothing is believed that should not be, and one flipped bit costs one message.

use std::io::{self, Read};

use super::{CHECKSUM, HEAD, Head, MARK, MAX_BUNDLE_CONTENT, MAX_FRAME, VERSION, checksum, kind};
use crate::{Message, RoomId, RoomName};

/// How many bytes are read at once.
const CHUNK: usize = 64 * 1024;
/// After so many times as many bytes as the file has, no checksum is computed any more. Damage costs twice; with frames in
/// frames in frames somebody could make a file that costs thousands.
const MAX_CHECKED: u64 = 16;
/// How every message begins, and where its room is.
const MESSAGE: [u8; 4] = [0x8a, 0x01, 0x58, 0x20];
const ROOM: std::ops::Range<usize> = 4..36;
/// How many bytes of messages wait for a room at most. Further ones are lost.
const MAX_ORPHANS: usize = 8 * MAX_BUNDLE_CONTENT;

/// What is read of a bundle.
///
/// ```
/// use distchat_crdt::{RoomName, bundle::{Part, Reader, Writer}};
///
/// let general = RoomName::parse("general")?;
/// let mut writer = Writer::new(Vec::new(), general.clone());
/// writer.push(b"all the bytes of a message")?;
/// let file = writer.finish()?;
///
/// let mut reader = Reader::new(&file[..]);
/// let messages = vec![b"all the bytes of a message".to_vec()];
/// assert_eq!(reader.next_part()?, Some(Part::Messages { room: general.clone(), messages }));
/// assert_eq!(reader.next_part()?, Some(Part::End { room: general, messages: 1 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Messages of a room, or what was given out as such: by nobody checked.
    Messages {
        /// The room.
        room: RoomName,
        /// All the bytes of each: together some 64 KiB, as a rule, and never more than 512 KiB. Whoever imports them
        /// gathers some parts, for each import waits for the disk.
        messages: Vec<Vec<u8>>,
    },
    /// The end of a bundle. Another one may follow.
    End {
        /// The room.
        room: RoomName,
        /// How many messages the bundle had.
        messages: u64,
    },
}

/// How a bundle was found.
///
/// ```
/// use distchat_crdt::{RoomName, bundle::{Reader, Tally, Writer}};
///
/// let mut writer = Writer::new(Vec::new(), RoomName::parse("general")?);
/// writer.push(b"one")?;
/// let file = writer.finish()?;
///
/// let mut reader = Reader::new(&file[..]);
/// while reader.next_part()?.is_some() {}
/// // The frame of the message, and that of the end.
/// assert_eq!(*reader.tally(), Tally { intact: 2, messages: 1, stated: Some(1), ..Tally::default() });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames that are as they were written. With none, and no message, it is no bundle at all.
    pub intact: u64,
    /// Frames that were changed or cut off. What could be read of them was given out.
    pub damaged: u64,
    /// Bytes that belong to no frame, and those of damaged frames in which there is no message.
    pub lost: u64,
    /// How many messages were given out.
    pub messages: u64,
    /// How many there were when it was written, if the end was found; of several bundles in one file, all together.
    pub stated: Option<u64>,
    /// Frames that a newer program has written, which are passed over.
    pub newer: u64,
}

impl Tally {
    /// Whether this is all of what was written, unchanged.
    ///
    /// ```
    /// use distchat_crdt::bundle::Tally;
    ///
    /// let whole = Tally { intact: 2, messages: 7, stated: Some(7), ..Tally::default() };
    /// assert!(whole.is_whole());
    /// assert!(!Tally { stated: None, ..whole }.is_whole(), "the end is missing");
    /// assert!(!Tally { damaged: 1, ..whole }.is_whole());
    /// ```
    pub fn is_whole(&self) -> bool {
        (self.damaged, self.lost, self.newer) == (0, 0, 0) && self.stated == Some(self.messages)
    }
}

/// Reads a bundle. Whatever the bytes are, it never fails over them: [`Reader::tally`] says how they were found.
///
/// Memory: some 200 KiB, what is given out, and 512 KiB where the first frames are damaged.
///
/// ```
/// use distchat_crdt::{RoomName, bundle::{Part, Reader, Writer}};
///
/// let mut writer = Writer::new(Vec::new(), RoomName::parse("general")?);
/// writer.push(b"one")?;
/// let mut file = writer.finish()?;
/// // Something has come in front of it.
/// file.splice(..0, *b"junk");
///
/// let mut reader = Reader::new(&file[..]);
/// assert!(matches!(reader.next_part()?, Some(Part::Messages { messages, .. }) if messages == [b"one"]));
/// assert_eq!(reader.tally().lost, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    buffer: Vec<u8>,
    /// How much of the buffer is done with.
    at: usize,
    /// There is nothing behind the buffer.
    ended: bool,
    /// Of the last intact frame.
    room: Option<RoomName>,
    /// Messages of damaged frames in front of the first intact one, of which it is not known whose they are.
    orphans: Vec<Vec<u8>>,
    /// How many bytes these are.
    orphaned: usize,
    tally: Tally,
    /// How many bytes have been done with, and how many have been checked.
    pub(super) done: u64,
    pub(super) checked: u64,
}

impl<R: Read> Reader<R> {
    /// Reads from there, in pieces of 64 KiB.
    ///
    /// ```
    /// use distchat_crdt::bundle::Reader;
    ///
    /// let mut reader = Reader::new(std::io::empty());
    /// assert_eq!(reader.next_part()?, None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(from: R) -> Self {
        Self {
            from,
            buffer: Vec::new(),
            at: 0,
            ended: false,
            room: None,
            orphans: Vec::new(),
            orphaned: 0,
            tally: Tally::default(),
            done: 0,
            checked: 0,
        }
    }

    /// How the bundle was found so far.
    ///
    /// ```
    /// use distchat_crdt::bundle::Reader;
    ///
    /// let mut reader = Reader::new(&b"no bundle at all"[..]);
    /// assert_eq!(reader.next_part()?, None);
    /// assert_eq!((reader.tally().intact, reader.tally().lost), (0, 16));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The next part; `None` at the end.
    ///
    /// ```
    /// use distchat_crdt::{RoomName, bundle::{Part, Reader, Writer}};
    ///
    /// // Bundles may stand one behind the other.
    /// let mut file = Vec::new();
    /// for name in ["general", "whales"] {
    ///     file = Writer::new(file, RoomName::parse(name)?).finish()?;
    /// }
    /// let mut reader = Reader::new(&file[..]);
    /// let mut ended = Vec::new();
    /// while let Some(part) = reader.next_part()? {
    ///     if let Part::End { room, .. } = part {
    ///         ended.push(room.to_string());
    ///     }
    /// }
    /// assert_eq!(ended, ["general", "whales"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As the source says. It may be called again if that makes sense for the source.
    pub fn next_part(&mut self) -> io::Result<Option<Part>> {
        loop {
            self.fill(MAX_FRAME + MARK.len())?;
            if self.rest().is_empty() {
                // Nothing tells whose they are.
                self.tally.lost +=
                    std::mem::take(&mut self.orphans).iter().map(|message| message.len() as u64).sum::<u64>();
                return Ok(None);
            }
            let part = match self.check() {
                Some((_, room, _)) if !self.orphans.is_empty() => Some(self.adopt(room)),
                Some((head, room, content)) => self.intact(head, room, &content),
                None => self.damaged(),
            };
            if part.is_some() {
                return Ok(part);
            }
        }
    }

    /// The frame at the front, if there is one and it is intact: its room and content.
    fn check(&mut self) -> Option<(Head, RoomName, Vec<u8>)> {
        let head = Head::parse(self.rest())?;
        let frame = self.buffer.get(self.at..self.at + head.frame())?;
        if self.checked > MAX_CHECKED * (self.done + MAX_FRAME as u64) {
            return None;
        }
        self.checked += head.frame() as u64;
        let (body, sum) = frame.split_last_chunk::<CHECKSUM>()?;
        if *sum != checksum(body) {
            return None;
        }
        let (name, content) = body.get(HEAD..)?.split_at_checked(head.name)?;
        Some((head, room_name(name)?, content.to_vec()))
    }

    fn intact(&mut self, head: Head, room: RoomName, content: &[u8]) -> Option<Part> {
        self.skip(head.frame());
        if head.version != VERSION {
            self.tally.newer += 1;
            return None;
        }
        self.tally.intact += 1;
        self.room = Some(room.clone());
        match head.kind {
            kind::MESSAGES => {
                let (messages, rest) = split(content);
                self.tally.lost += rest as u64;
                Some(self.give(room, messages))
            }
            kind::END => {
                let messages = u64::from_be_bytes(*content.first_chunk()?);
                self.tally.stated = Some(self.tally.stated.unwrap_or(0).saturating_add(messages));
                Some(Part::End { room, messages })
            }
            // A kind that a later program may write beside these.
            _ => None,
        }
    }

    /// Takes what there is in a damaged frame, or where no frame is: up to the next mark.
    fn damaged(&mut self) -> Option<Part> {
        let rest = self.rest();
        let at_most = Head::parse(rest).map_or(MAX_FRAME, |head| head.frame()).min(rest.len());
        let mut inside = rest.windows(MARK.len()).take(at_most).skip(1);
        let end = inside.position(|window| *window == MARK).map_or(at_most, |at| at + 1);
        let piece = rest.get(..end).unwrap_or_default();
        let messages = salvage(piece);
        let is_of = |room: &RoomName| {
            let id = RoomId::of(room);
            messages.iter().any(|message| message.get(ROOM) == Some(&id.0[..]))
        };
        // Its name may be what was damaged; what is in it tells.
        let room = named(piece).filter(is_of).or_else(|| self.room.clone());

        let marked = piece.starts_with(&MARK);
        let used: usize = messages.iter().map(|message| 2 + message.len()).sum();
        let framing = if marked { HEAD + CHECKSUM } else { 0 };
        self.tally.damaged += u64::from(marked || !messages.is_empty());
        self.tally.lost += end.saturating_sub(used + framing) as u64;
        self.skip(end);
        match room {
            _ if messages.is_empty() => None,
            Some(room) => Some(self.give(room, messages)),
            None if self.orphaned + used <= MAX_ORPHANS => {
                self.orphaned += used;
                self.orphans.extend(messages);
                None
            }
            None => {
                self.tally.lost += used as u64;
                None
            }
        }
    }

    /// What was found before the first room that can be read is of that one.
    fn adopt(&mut self, room: RoomName) -> Part {
        self.orphaned = 0;
        let messages = std::mem::take(&mut self.orphans);
        self.give(room, messages)
    }

    fn give(&mut self, room: RoomName, messages: Vec<Vec<u8>>) -> Part {
        self.tally.messages += messages.len() as u64;
        Part::Messages { room, messages }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
        self.done += bytes as u64;
    }

    /// Reads until so many bytes are at hand, or the source has ended.
    fn fill(&mut self, bytes: usize) -> io::Result<()> {
        while !self.ended && self.buffer.len() - self.at < bytes {
            if self.at >= CHUNK {
                self.buffer.drain(..self.at);
                self.at = 0;
            }
            let before = self.buffer.len();
            self.buffer.resize(before + CHUNK, 0);
            let read = match self.from.read(self.buffer.get_mut(before..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    self.buffer.truncate(before);
                    continue;
                }
                read => read,
            };
            self.buffer.truncate(before + read.as_ref().copied().unwrap_or(0).min(CHUNK));
            self.ended = read? == 0;
        }
        Ok(())
    }
}

/// The name of the room in what may be a frame.
fn named(frame: &[u8]) -> Option<RoomName> {
    let (length, rest) = frame.get(10..)?.split_first_chunk::<2>()?;
    room_name(rest.get(4..)?.get(..u16::from_be_bytes(*length).into())?)
}

/// A room's name, if it is one, spelled as it is to be spelled.
fn room_name(name: &[u8]) -> Option<RoomName> {
    let name = std::str::from_utf8(name).ok()?;
    RoomName::parse(name).ok().filter(|room| room.as_str() == name)
}

/// The messages of an intact frame, and how many bytes are left that are none.
fn split(mut content: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let mut messages = Vec::new();
    while let Some((length, rest)) = content.split_first_chunk::<2>()
        && let Some((message, rest)) = rest.split_at_checked(u16::from_be_bytes(*length).into())
    {
        messages.push(message.to_vec());
        content = rest;
    }
    (messages, content.len())
}

/// Whatever is a message, as far as that can be told without its signature.
fn salvage(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some(at) = bytes.windows(MESSAGE.len()).position(|window| *window == MESSAGE) {
        let begin = bytes.get(at..).unwrap_or_default();
        bytes = match Message::decode_first(begin) {
            Ok((message, rest)) => {
                messages.push(message.bytes().to_vec());
                rest
            }
            Err(_) => begin.get(1..).unwrap_or_default(),
        };
    }
    messages
}

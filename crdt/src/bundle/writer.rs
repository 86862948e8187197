//! Writing a bundle.

use std::io::{self, Write};

use super::{HEAD, MARK, MAX_BUNDLE_CONTENT, VERSION, checksum, kind};
use crate::{MAX_MESSAGE, RoomName};

/// Writes a bundle of one room. What is not finished has no end, and is read as cut off.
///
/// Memory: one frame, some 64 KiB.
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
/// # let ana = Keypair::from_seed([1; 32]);
/// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
/// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
/// use distchat_crdt::{Message, RoomName, bundle::{Part, Reader, Writer}};
///
/// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
/// let mut writer = Writer::new(Vec::new(), RoomName::parse("general")?);
/// writer.push(message.bytes())?;
/// let file = writer.finish()?;
///
/// let Some(Part::Messages { messages, .. }) = Reader::new(&file[..]).next_part()? else { unreachable!() };
/// assert_eq!(Message::decode(&messages[0])?, message);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    room: RoomName,
    /// The content of the frame that is not full yet.
    content: Vec<u8>,
    messages: u64,
}

impl<W: Write> Writer<W> {
    /// A bundle of that room, which goes there. Frames are written whole; the caller need not buffer.
    ///
    /// ```
    /// use distchat_crdt::{RoomName, bundle::Writer};
    ///
    /// let file = Writer::new(Vec::new(), RoomName::parse("general")?).finish()?;
    /// assert!(!file.is_empty(), "a bundle of no messages still has an end");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(to: W, room: RoomName) -> Self {
        Self { to, room, content: Vec::with_capacity(MAX_BUNDLE_CONTENT), messages: 0 }
    }

    /// Adds a message, given by all its bytes. Newest first is best: then whatever is read before the file breaks off is
    /// vouched for by what was read before it.
    ///
    /// ```
    /// use distchat_crdt::{MAX_MESSAGE, RoomName, bundle::Writer};
    /// use std::io::ErrorKind;
    ///
    /// let mut writer = Writer::new(Vec::new(), RoomName::parse("general")?);
    /// writer.push(&[0; MAX_MESSAGE])?;
    /// let too_long = writer.push(&[0; MAX_MESSAGE + 1]);
    /// assert!(too_long.is_err_and(|error| error.kind() == ErrorKind::InvalidInput));
    /// assert_eq!(writer.messages(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the bytes are more than a message can have ([`io::ErrorKind::InvalidInput`]; nothing was added), or as the writer
    /// says; then the bundle is to be given up.
    pub fn push(&mut self, message: &[u8]) -> io::Result<()> {
        let length = u16::try_from(message.len()).ok().filter(|length| usize::from(*length) <= MAX_MESSAGE);
        let Some(length) = length else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "longer than a message can be"));
        };
        if self.content.len() + 2 + message.len() > MAX_BUNDLE_CONTENT {
            self.write_messages()?;
        }
        self.content.extend_from_slice(&length.to_be_bytes());
        self.content.extend_from_slice(message);
        self.messages += 1;
        Ok(())
    }

    /// How many messages have been added.
    ///
    /// ```
    /// use distchat_crdt::{RoomName, bundle::Writer};
    ///
    /// let mut writer = Writer::new(Vec::new(), RoomName::parse("general")?);
    /// writer.push(b"one")?;
    /// writer.push(b"two")?;
    /// assert_eq!(writer.messages(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Writes what is left, and the end; flushes, and gives back where it went. Whether that is on a disk is for the caller
    /// to see to.
    ///
    /// ```
    /// use distchat_crdt::{RoomName, bundle::{Reader, Writer}};
    ///
    /// let mut file = Vec::new();
    /// let mut writer = Writer::new(&mut file, RoomName::parse("general")?);
    /// writer.push(b"one")?;
    /// drop(writer); // Not finished: the message was still waiting for its frame to be full.
    /// assert!(file.is_empty());
    ///
    /// let mut writer = Writer::new(&mut file, RoomName::parse("general")?);
    /// writer.push(b"one")?;
    /// writer.finish()?;
    /// let mut reader = Reader::new(&file[..]);
    /// while reader.next_part()?.is_some() {}
    /// assert!(reader.tally().is_whole());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As the writer says.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_messages()?;
        self.to.write_all(&frame(kind::END, &self.room, &self.messages.to_be_bytes()))?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn write_messages(&mut self) -> io::Result<()> {
        if !self.content.is_empty() {
            self.to.write_all(&frame(kind::MESSAGES, &self.room, &self.content))?;
            self.content.clear();
        }
        Ok(())
    }
}

/// A frame of that kind. The content is not longer than a frame's can be.
pub(super) fn frame(kind: u8, room: &RoomName, content: &[u8]) -> Vec<u8> {
    let name = room.as_str().as_bytes();
    let mut frame = Vec::with_capacity(HEAD + name.len() + content.len() + 32);
    frame.extend_from_slice(&MARK);
    frame.extend_from_slice(&[VERSION, kind]);
    frame.extend_from_slice(&(name.len() as u16).to_be_bytes());
    frame.extend_from_slice(&(content.len() as u32).to_be_bytes());
    frame.extend_from_slice(name);
    frame.extend_from_slice(content);
    let checksum = checksum(&frame);
    frame.extend_from_slice(&checksum);
    frame
}

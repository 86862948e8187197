//! Writing a bundle.

use std::io::{self, Write};

use super::{HEAD, MARK, MAX_BUNDLE_CONTENT, VERSION, checksum, kind};
use crate::{MAX_MESSAGE, RoomName};

/// Writes a bundle of one room. What is not finished has no end, and is read as cut off.
///
/// Memory: one frame, some 64 KiB.
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
    pub fn new(to: W, room: RoomName) -> Self {
        Self { to, room, content: Vec::with_capacity(MAX_BUNDLE_CONTENT), messages: 0 }
    }

    /// Adds a message, given by all its bytes. Newest first is best: then whatever is read before the file breaks off is
    /// vouched for by what was read before it.
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
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Writes what is left, and the end; flushes, and gives back where it went. Whether that is on a disk is for the caller
    /// to see to.
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

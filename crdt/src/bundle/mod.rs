//! Bundles: a room's messages in a file, to be carried where there is no network.
//!
//! A bundle is a run of frames. Each is whole in itself: it says which room it is of, how long it is, and bears a checksum.
//! So any part of a bundle is worth what is in it, parts may come in any order and more than once, and bundles may stand one
//! behind the other. PROTOCOL.md, section 10, has it byte by byte.
//!
//! Nothing here decides what is valid: messages prove themselves, and whoever imports them judges them by the rules by which
//! it judges what peers send ([`crate::sync::Input::Import`]). The checksum is there to tell a file that was damaged from
//! messages that are not authentic. No input or output is done here but what a [`std::io::Read`] or [`std::io::Write`] does.
//!
//! ```
//! use distchat_crdt::{RoomName, bundle::{Part, Reader, Writer}};
//!
//! # let messages = [vec![1; 142], vec![2; 142]];
//! let room = RoomName::parse("general")?;
//! let mut writer = Writer::new(Vec::new(), room.clone());
//! for message in &messages {
//!     writer.push(message)?;
//! }
//! let file = writer.finish()?;
//!
//! let (mut reader, mut carried) = (Reader::new(&file[..]), Vec::new());
//! while let Some(part) = reader.next_part()? {
//!     if let Part::Messages { messages, .. } = part {
//!         carried.extend(messages);
//!     }
//! }
//! assert_eq!(carried, messages);
//! assert!(reader.tally().is_whole());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod reader;
mod writer;

pub use reader::{Part, Reader, Tally};
pub use writer::Writer;

use crate::{MAX_ROOM_NAME, id::sha256};

/// How many bytes of messages, with their lengths, a frame holds at most.
pub const MAX_BUNDLE_CONTENT: usize = 65_536;
/// The longest name of a room in UTF-8.
const MAX_NAME: usize = 4 * MAX_ROOM_NAME;
/// The version of the format.
const VERSION: u8 = 1;
/// Where a frame begins. It is no text, and does not survive what programs do to texts.
const MARK: [u8; 8] = *b"\x89dchat\r\n";
/// The mark, version, kind and lengths.
const HEAD: usize = 16;
const CHECKSUM: usize = 32;
/// The longest frame.
const MAX_FRAME: usize = HEAD + MAX_NAME + MAX_BUNDLE_CONTENT + CHECKSUM;
const TAG: &[u8] = b"distchat/1/bundle\0";

/// What a frame holds.
mod kind {
    /// Messages, each behind its length.
    pub(super) const MESSAGES: u8 = 1;
    /// How many messages the bundle has.
    pub(super) const END: u8 = 2;
}

/// The first bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    version: u8,
    kind: u8,
    name: usize,
    content: usize,
}

impl Head {
    /// Reads the head at the front, if there is one and its lengths are within the limits.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let head: &[u8; HEAD] = bytes.first_chunk()?;
        let [.., version, kind, n1, n0, c3, c2, c1, c0] = *head;
        let name = usize::from(u16::from_be_bytes([n1, n0]));
        let content = usize::try_from(u32::from_be_bytes([c3, c2, c1, c0])).ok()?;
        let fits = head.starts_with(&MARK) && (1..=MAX_NAME).contains(&name) && content <= MAX_BUNDLE_CONTENT;
        fits.then_some(Self { version, kind, name, content })
    }

    /// The frame's length.
    fn frame(&self) -> usize {
        HEAD + self.name + self.content + CHECKSUM
    }
}

/// The checksum of a frame whose other bytes are these.
fn checksum(frame: &[u8]) -> [u8; CHECKSUM] {
    sha256(&[TAG, frame])
}

#[cfg(test)]
mod tests;

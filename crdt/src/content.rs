//! What a body says, by its message's kind. The replica never looks: a body is for people, and one that cannot be read
//! is a message like any other.

use crate::{KEY_LEN, Key};

/// Kinds of messages. Others are kept and passed on, not shown.
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
/// # let ana = Keypair::from_seed([1; 32]);
/// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
/// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
/// let message = room.sign(&ana, &clock, kind::NICK, b"ana".to_vec())?;
/// assert_eq!((message.kind(), message.body()), (kind::NICK, &b"ana"[..]));
/// # Ok::<(), distchat_crdt::DecodeError>(())
/// ```
pub mod kind {
    /// The body is UTF-8 text.
    pub const TEXT: u32 = 0;
    /// The body is the author's display name from here on, in UTF-8.
    pub const NICK: u32 = 1;
    /// The body is UTF-8 text in which the author speaks of itself, as in `/me waves`.
    pub const ACTION: u32 = 2;
    /// The body is the key of the message answered, then UTF-8 text.
    pub const REPLY: u32 = 3;
    /// The body is the key of a message, then what the author thinks of it from here on: an emoji in UTF-8, or nothing.
    pub const REACTION: u32 = 4;
    /// The body is what the room is about from here on, in UTF-8.
    pub const TOPIC: u32 = 5;
}

/// What a body says, if it can be read. Texts are raw: whoever shows them escapes them.
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
/// # let ana = Keypair::from_seed([1; 32]);
/// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
/// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
/// use distchat_crdt::Content;
///
/// let hello = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
/// let like = Content::Reaction { to: hello.key(), emoji: "👍" };
/// let message = room.sign(&ana, &clock, like.kind(), like.body())?;
/// assert_eq!(Content::read(message.kind(), message.body()), Some(like));
/// # Ok::<(), distchat_crdt::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// Said to the room.
    Text(&'a str),
    /// How the author wants to be called from here on.
    Nick(&'a str),
    /// What the author does, told in the third person.
    Action(&'a str),
    /// Said in answer to a message, which may not be here.
    Reply {
        /// The message answered.
        to: Key,
        /// The answer.
        text: &'a str,
    },
    /// What the author thinks of a message. The author's last one about it in the order holds; an empty one takes back
    /// those before.
    Reaction {
        /// The message thought of, which may not be here.
        to: Key,
        /// An emoji, as a rule.
        emoji: &'a str,
    },
    /// What the room is about. The last one in the order holds.
    Topic(&'a str),
}

impl<'a> Content<'a> {
    /// Reads a body. `None` if this version does not know the kind or the body is not of its form.
    ///
    /// ```
    /// use distchat_crdt::{Content, kind};
    ///
    /// assert_eq!(Content::read(kind::TEXT, b"hello"), Some(Content::Text("hello")));
    /// assert_eq!(Content::read(kind::TEXT, b"\xff"), None, "not UTF-8");
    /// assert_eq!(Content::read(4711, b"hello"), None, "from a later version");
    /// ```
    pub fn read(kind: u32, body: &'a [u8]) -> Option<Self> {
        let about = || {
            let (key, text) = body.split_first_chunk::<KEY_LEN>()?;
            Some((Key::from_bytes(key), std::str::from_utf8(text).ok()?))
        };
        let text = || std::str::from_utf8(body).ok();
        match kind {
            kind::TEXT => text().map(Self::Text),
            kind::NICK => text().map(Self::Nick),
            kind::ACTION => text().map(Self::Action),
            kind::REPLY => about().map(|(to, text)| Self::Reply { to, text }),
            kind::REACTION => about().map(|(to, emoji)| Self::Reaction { to, emoji }),
            kind::TOPIC => text().map(Self::Topic),
            _ => None,
        }
    }

    /// The kind of a message that says this.
    ///
    /// ```
    /// use distchat_crdt::{Content, kind};
    ///
    /// assert_eq!(Content::Action("waves").kind(), kind::ACTION);
    /// ```
    pub fn kind(&self) -> u32 {
        match self {
            Self::Text(_) => kind::TEXT,
            Self::Nick(_) => kind::NICK,
            Self::Action(_) => kind::ACTION,
            Self::Reply { .. } => kind::REPLY,
            Self::Reaction { .. } => kind::REACTION,
            Self::Topic(_) => kind::TOPIC,
        }
    }

    /// The body of a message that says this.
    ///
    /// ```
    /// use distchat_crdt::{Content, KEY_LEN, Key};
    ///
    /// assert_eq!(Content::Topic("whales").body(), b"whales");
    /// let reply = Content::Reply { to: Key::MIN, text: "yes" };
    /// assert_eq!(reply.body()[KEY_LEN..], *b"yes");
    /// ```
    pub fn body(&self) -> Vec<u8> {
        match self {
            Self::Text(text) | Self::Nick(text) | Self::Action(text) | Self::Topic(text) => text.as_bytes().to_vec(),
            Self::Reply { to, text } | Self::Reaction { to, emoji: text } => {
                [to.to_bytes().as_slice(), text.as_bytes()].concat()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MessageId, Timestamp};

    const TO: Key = Key { time: Timestamp(7 << 16), id: MessageId([9; 32]) };

    #[test]
    fn what_is_written_is_read() {
        for content in [
            Content::Text("hello"),
            Content::Nick("ana"),
            Content::Action("waves"),
            Content::Reply { to: TO, text: "yes" },
            Content::Reaction { to: TO, emoji: "👍" },
            Content::Reaction { to: TO, emoji: "" },
            Content::Topic("whales"),
        ] {
            assert_eq!(Content::read(content.kind(), &content.body()), Some(content));
        }
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        for (kind, body) in [
            (kind::TEXT, &b"\xff"[..]),
            (kind::ACTION, b"\xc0\x80"),
            (kind::REPLY, b"too short for a key"),
            (kind::REACTION, &[&TO.to_bytes()[..], b"\xff"].concat()),
            (6, b"from a later version"),
        ] {
            assert_eq!(Content::read(kind, body), None, "kind {kind}");
        }
    }
}

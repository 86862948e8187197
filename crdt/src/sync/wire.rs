//! The frames of the sync protocol, as values. PROTOCOL.md gives their bytes.
//!
//! A struct is an array of its fields in order, an enum a map of one entry from the variant's name to its content.
//! Every list and byte string has a limit of its own besides the frame's, so that no frame makes its reader allocate
//! much more than its own length.

use std::{fmt, marker::PhantomData, ops::Deref};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{AuthorId, Fingerprint, Key, Signature, Timestamp, Topic, id::deserialize_array, index::Prefix};

/// The name under which peers negotiate this protocol.
pub const SYNC_PROTOCOL: &str = "/distchat/sync/1";
/// The longest page of messages in a frame, in bytes.
pub const MAX_PAGE: usize = 1024 * 1024;
/// The longest frame, in bytes: a page, and what stands around it.
pub const MAX_FRAME: usize = MAX_PAGE + 256 * 1024;
/// The longest tail in a greeting, in bytes: the tails of all its rooms fit a frame.
pub const MAX_TAIL: usize = MAX_PAGE / MAX_HELLO_ROOMS;
/// The longest run of messages in one gossip frame, in bytes.
pub const MAX_GOSSIP: usize = 64 * 1024;
/// How many rooms a hello speaks of at most.
pub const MAX_HELLO_ROOMS: usize = 16;
/// How many regions a nodes request asks about at most.
pub const MAX_NODE_ITEMS: usize = 256;
/// How many summaries a nodes answer holds at most: every child of every region asked about.
pub const MAX_SUMMARIES: usize = MAX_NODE_ITEMS * 16;
/// How many ranges or keys a fetch asks for at most.
pub const MAX_FETCH_ITEMS: usize = 1024;
/// How many keys are asked about at once at most.
pub const MAX_HAVE_KEYS: usize = 1024;
/// How many cuts tell the rest of a range at most.
pub const MAX_CUTS: usize = 64;
/// Length of a hash on the wire, in bytes.
pub const SHORT_LEN: usize = 6;
/// The longest list of short hashes, in bytes.
pub const MAX_SHORTS: usize = 64 * 1024;

/// Declares structs that travel as arrays of their fields.
macro_rules! frames {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type),+ }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                ($(&self.$field,)+).serialize(s)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let ($($field,)+) = <($($type,)+)>::deserialize(d)?;
                Ok(Self { $($field),+ })
            }
        }
    )+};
}

/// What is asked of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// May I ask about this room?
    Enter(Enter),
    /// What I have, in brief; what have you?
    Hello(Hello),
    /// Where do our sets differ?
    Nodes(Nodes),
    /// Send me these.
    Fetch(Fetch),
    /// Here is what you lack.
    Offer(Offer),
    /// Do you hold these, on your disk?
    Have(Have),
}

/// What a peer answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    /// To an enter.
    Entered(Entered),
    /// To a hello.
    Hello(Greeting),
    /// To nodes.
    Nodes(Summaries),
    /// To a fetch.
    Page(Page),
    /// To an offer: how many of its messages were new here. They are on disk.
    Offered(u32),
    /// To a have: one bit a key, the first key in the lowest bit of the first byte.
    Have(Blob<{ MAX_HAVE_KEYS / 8 }>),
    /// To anything: not now, or not to you.
    Refused(Refusal),
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refusal {
    /// The room is not open here, or the asker has not entered it.
    Unknown,
    /// The proof or the signature of an enter does not hold.
    Denied,
    /// The asker's share is used up, or the room is busy: ask again later.
    Busy,
    /// The request breaks the protocol.
    Malformed,
}

frames! {
    /// A proof that the asker knows the room and owns an author key. The answer proves the same in return.
    Enter {
        /// Which room.
        topic: Topic,
        /// What the asker calls the room in what is asked of it on this connection.
        handle: u32,
        /// See [`crate::sync::proof()`].
        proof: Proof,
        /// Who asks.
        author: AuthorId,
        /// The author's signature over the asker's peer id.
        signature: Signature,
    }
    /// The answer to an [`Enter`].
    Entered {
        /// What the answerer calls the room.
        handle: u32,
        /// See [`crate::sync::proof()`].
        proof: Proof,
        /// Who answers.
        author: AuthorId,
        /// The author's signature over the answerer's peer id.
        signature: Signature,
    }
    /// A state of several rooms in brief.
    Hello {
        /// The asker's raw clock, in milliseconds since 1970.
        clock: u64,
        /// The rooms.
        rooms: List<RoomHello, MAX_HELLO_ROOMS>,
    }
    /// The state of one room at or below a time.
    RoomHello {
        /// Which room.
        handle: u32,
        /// The session's upper end: later messages do not count.
        upper: Timestamp,
        /// How many messages the asker holds up to there.
        count: u64,
        /// Their fingerprint.
        root: Fingerprint,
    }
    /// The answer to a [`Hello`].
    Greeting {
        /// The answerer's raw clock, in milliseconds since 1970.
        clock: u64,
        /// One answer a room, in the order of the question.
        rooms: List<RoomGreeting, MAX_HELLO_ROOMS>,
    }
    /// How another state differs.
    Difference {
        /// How many messages the answerer holds up to the upper end.
        count: u64,
        /// Their fingerprint.
        root: Fingerprint,
        /// How many it holds beyond.
        later: u64,
        /// If the asker's messages are exactly the answerer's first: the rest, newest first.
        tail: Option<Tail>,
    }
    /// The newest part of a range.
    Tail {
        /// Messages in ascending order, one behind the other.
        messages: Blob<MAX_PAGE>,
        /// See [`Page::cuts`].
        cuts: List<Key, MAX_CUTS>,
    }
    /// A question where two sets differ.
    Nodes {
        /// Which room.
        handle: u32,
        /// The session's upper end.
        upper: Timestamp,
        /// The session's nonce.
        nonce: u64,
        /// Regions known to differ, and the asker's hashes there.
        items: List<Region, MAX_NODE_ITEMS>,
    }
    /// A region where the asker has an inner node.
    Region {
        /// All keys with this prefix.
        region: Prefix,
        /// What the asker has there.
        branch: Branch,
    }
    /// An inner node on the wire.
    Branch {
        /// The node's prefix.
        prefix: Prefix,
        /// Bit n is set if there is a child for digit n.
        children: u16,
        /// The children's short hashes, one behind the other.
        hashes: Blob<{ 16 * SHORT_LEN }>,
    }
    /// The answer to [`Nodes`].
    Summaries {
        /// How many of the regions were answered, from the first.
        done: u32,
        /// What the answerer has in regions that differ.
        summaries: List<Summary, MAX_SUMMARIES>,
    }
    /// A question for messages.
    Fetch {
        /// Which room.
        handle: u32,
        /// The session's upper end.
        upper: Timestamp,
        /// The session's nonce.
        nonce: u64,
        /// What is wanted, the most wanted first.
        items: List<Wanted, MAX_FETCH_ITEMS>,
    }
    /// A range of messages, and which of it.
    Range {
        /// All keys with this prefix,
        region: Prefix,
        /// and of them those at or above this,
        from: Option<Key>,
        /// and below this,
        below: Option<Key>,
        /// and of them those.
        filter: Filter,
    }
    /// The answer to a [`Fetch`].
    Page {
        /// How many items were answered in full, from the first. The next one may be answered in part.
        done: u32,
        /// Messages one behind the other; within an item ascending.
        messages: Blob<MAX_PAGE>,
        /// The rest of the item answered in part lies below the first of these keys; the others cut it into ranges
        /// of like size, descending, that may be fetched side by side.
        cuts: List<Key, MAX_CUTS>,
        /// One bit a short hash of the [`Filter::Except`] lists answered in full, one list behind the other, the first
        /// in the lowest bit of the first byte: set if the answerer has no such message.
        lacks: Blob<{ MAX_FRAME / 64 }>,
    }
    /// Messages that the other lacks.
    Offer {
        /// Which room.
        handle: u32,
        /// Messages one behind the other.
        messages: Blob<MAX_PAGE>,
    }
    /// A question for receipts.
    Have {
        /// Which room.
        handle: u32,
        /// The keys asked about.
        keys: List<Key, MAX_HAVE_KEYS>,
    }
}

/// The answer for one room of a hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoomGreeting {
    /// The same messages up to the upper end, and so many beyond.
    Equal(u64),
    /// Others.
    Differs(Difference),
    /// No answer for this room.
    Refused(Refusal),
}

/// What the answerer has in a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Summary {
    /// Few keys, perhaps none: their short hashes.
    Keys(Prefix, Blob<MAX_SHORTS>),
    /// More: an inner node.
    Branch(Prefix, Branch),
}

/// Something wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// One message.
    Key(Key),
    /// Messages of a range.
    Range(Range),
}

/// Which messages of a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// All but those with these short hashes.
    Except(Blob<MAX_SHORTS>),
    /// Only those.
    Only(Blob<MAX_SHORTS>),
}

/// A keyed hash that proves knowledge of a room id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Proof(pub [u8; 32]);

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof(..)")
    }
}

impl Serialize for Proof {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Proof {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        deserialize_array(d).map(Self)
    }
}

/// A byte string of at most `MAX` bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Blob<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> Blob<MAX> {
    /// The bytes, if they are not too many.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= MAX).then_some(Self(bytes))
    }

    /// The bytes, and none of those beyond the limit.
    pub fn cut(mut bytes: Vec<u8>) -> Self {
        bytes.truncate(MAX);
        Self(bytes)
    }

    /// The bytes themselves.
    pub fn into_inner(self) -> Vec<u8> {
        self.0
    }
}

impl<const MAX: usize> Deref for Blob<MAX> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for Blob<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<const MAX: usize> Serialize for Blob<MAX> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(&self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Blob<MAX> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor<const MAX: usize>;

        impl<const MAX: usize> de::Visitor<'_> for Visitor<MAX> {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a byte string of at most {MAX} bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                self.visit_byte_buf(bytes.to_vec())
            }

            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                if bytes.len() > MAX { Err(E::invalid_length(bytes.len(), &self)) } else { Ok(bytes) }
            }
        }
        d.deserialize_byte_buf(Visitor::<MAX>).map(Self)
    }
}

/// A list of at most `MAX` items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// The items, and none of those beyond the limit.
    pub fn cut(mut items: Vec<T>) -> Self {
        items.truncate(MAX);
        Self(items)
    }

    /// The items themselves.
    pub fn into_inner(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Serialize, const MAX: usize> Serialize for List<T, MAX> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(s)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> de::Visitor<'de> for Visitor<T, MAX> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX} items")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                // The announced length is the sender's word: what is allocated follows what is really there.
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() == MAX {
                        return Err(de::Error::invalid_length(MAX + 1, &self));
                    }
                    items.push(item);
                }
                Ok(items)
            }
        }
        d.deserialize_seq(Visitor::<T, MAX>(PhantomData)).map(Self)
    }
}

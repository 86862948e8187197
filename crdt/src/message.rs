//! The message: what one author said once, in the bytes it will have for ever.
//!
//! A message is encoded once, by its author, and from then on carried, stored, hashed and compared as those bytes.
//! PROTOCOL.md gives the encoding byte by byte.

use std::{fmt, sync::Arc};

use thiserror::Error;

use crate::{
    AuthorId, CborError, Key, MessageId, RoomId, Signature, Timestamp,
    cbor::{Reader, Writer},
    id::sha256,
    lanes::sha256_all,
    sign::Signer,
};

/// The longest body, in bytes.
pub const MAX_BODY: usize = 16 * 1024;
/// How many heads a message names besides its author's own.
pub const MAX_SEEN: usize = 8;
/// No message is longer than this, in bytes: every field at its longest.
pub const MAX_MESSAGE: usize =
    1 + 1 + 34 + 34 + 9 + 9 + REF + (1 + MAX_SEEN * REF) + 5 + (3 + MAX_BODY) + SIGNATURE_ITEM;
/// No message is shorter: every field at its shortest.
pub const MIN_MESSAGE: usize = 1 + 1 + 34 + 34 + 1 + 1 + 1 + 1 + 1 + 1 + SIGNATURE_ITEM;

/// Sequence numbers stay below this, so that one more always fits a signed 64-bit integer.
pub const SEQ_LIMIT: u64 = (1 << 63) - 1;
/// The message format this crate speaks.
pub const VERSION: u64 = 1;

/// The longest encoded reference, and the signature with its head.
const REF: usize = 1 + 9 + 34;
const SIGNATURE_ITEM: usize = 2 + 64;
/// Where the room and the author stand, in every message.
const ROOM_AT: usize = 4;
const AUTHOR_AT: usize = 38;

const FIELDS: u64 = 10;
/// How many messages of a run are hashed together.
const AT_ONCE: usize = 128;
const SIGN_TAG: &[u8] = b"distchat/1/message\0";

/// Why bytes are not a well-formed message.
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
/// # let ana = Keypair::from_seed([1; 32]);
/// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
/// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
/// use distchat_crdt::{DecodeError, MAX_BODY, Message};
///
/// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
/// assert_eq!(Message::decode(&[message.bytes(), &[0]].concat()), Err(DecodeError::Trailing(1)));
/// let too_long = room.sign(&ana, &clock, kind::TEXT, vec![0; MAX_BODY + 1]);
/// assert_eq!(too_long, Err(DecodeError::Limit("body")), "nobody signs what others would refuse");
/// # Ok::<(), distchat_crdt::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Not the canonical CBOR of a message.
    #[error("not a canonical message: {0}")]
    Cbor(#[from] CborError),
    /// Not an array of ten fields.
    #[error("a message has {FIELDS} fields, not {0}")]
    Fields(u64),
    /// Another version of the format.
    #[error("message version {0}, and this program speaks {VERSION}")]
    Version(u64),
    /// A field beyond its limit.
    #[error("{0} is beyond its limit")]
    Limit(&'static str),
    /// `prev` is there without an earlier message, or missing with one.
    #[error("prev must be null exactly when seq is 0")]
    PrevAndSeq,
    /// `seen` is not strictly ascending, or repeats `prev`.
    #[error("seen must be strictly ascending and without prev")]
    SeenOrder,
    /// A reference that is not older than the message.
    #[error("a message must be later than all it refers to")]
    TimeOfRef,
    /// Bytes behind the message.
    #[error("{0} bytes too many")]
    Trailing(usize),
}

/// A well-formed message. Whether it is authentic is another question, which [`crate::Room`] decides.
///
/// Cloning is cheap: the content is shared.
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
/// # let ana = Keypair::from_seed([1; 32]);
/// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
/// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
/// use distchat_crdt::Message;
///
/// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
/// // These bytes are all there is to it, here and wherever it goes.
/// let received = Message::decode(message.bytes())?;
/// assert_eq!(received, message);
/// assert_eq!((received.author(), received.body()), (ana.author(), &b"hello"[..]));
/// # Ok::<(), distchat_crdt::DecodeError>(())
/// ```
#[derive(Clone)]
pub struct Message(Arc<Content>);

struct Content {
    bytes: Box<[u8]>,
    key: Key,
    seq: u64,
    prev: Option<Key>,
    seen: Seen,
    kind: u32,
    body_at: usize,
}

/// The refs in `seen`. In a conversation nearly every message has one or none, which need no memory of their own.
enum Seen {
    One([Key; 1]),
    Many(Box<[Key]>),
}

impl Seen {
    fn as_slice(&self) -> &[Key] {
        match self {
            Self::One(one) => one,
            Self::Many(many) => many,
        }
    }
}

/// A message that was found well-formed, but for its id.
struct Parsed<'a> {
    bytes: &'a [u8],
    time: Timestamp,
    seq: u64,
    prev: Option<Key>,
    seen: Seen,
    kind: u32,
    body_at: usize,
}

impl<'a> Parsed<'a> {
    /// Reads the message at the front and returns what follows it.
    fn first(input: &'a [u8]) -> Result<(Self, &'a [u8]), DecodeError> {
        let mut reader = Reader::new(input);
        let fields = reader.array()?;
        if fields != FIELDS {
            return Err(DecodeError::Fields(fields));
        }
        let version = reader.uint()?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        reader.fixed::<32>()?;
        reader.fixed::<32>()?;
        let seq = reader.uint()?;
        if seq >= SEQ_LIMIT {
            return Err(DecodeError::Limit("seq"));
        }
        let time = read_time(&mut reader)?;
        let prev = if reader.null() { None } else { Some(read_ref(&mut reader)?) };
        if prev.is_none() != (seq == 0) {
            return Err(DecodeError::PrevAndSeq);
        }
        let seen = read_seen(&mut reader, prev)?;
        if prev.iter().chain(seen.as_slice()).any(|key| key.time >= time) {
            return Err(DecodeError::TimeOfRef);
        }
        let kind = u32::try_from(reader.uint()?).map_err(|_| DecodeError::Limit("kind"))?;
        let body_len = reader.bytes_len()?;
        if body_len > MAX_BODY as u64 {
            return Err(DecodeError::Limit("body"));
        }
        let body_at = reader.position();
        reader.take(usize::try_from(body_len).map_err(|_| DecodeError::Limit("body"))?)?;
        reader.fixed::<64>()?;
        let (bytes, rest) = input.split_at(reader.position());
        Ok((Self { bytes, time, seq, prev, seen, kind, body_at }, rest))
    }

    /// Reads a message that has nothing behind it.
    fn whole(input: &'a [u8]) -> Result<Self, DecodeError> {
        let (message, rest) = Self::first(input)?;
        if rest.is_empty() { Ok(message) } else { Err(DecodeError::Trailing(rest.len())) }
    }

    fn with_id(self, id: MessageId) -> Message {
        let Self { bytes, time, seq, prev, seen, kind, body_at } = self;
        Message(Arc::new(Content { bytes: bytes.into(), key: Key { time, id }, seq, prev, seen, kind, body_at }))
    }
}

impl Message {
    /// Decodes bytes that hold one message and nothing else.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// # use distchat_crdt::Message;
    /// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
    /// assert_eq!(Message::decode(message.bytes())?.id(), message.id());
    /// assert!(Message::decode(b"hello").is_err());
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// Says which rule the bytes break. Limits are checked before anything is allocated.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (message, rest) = Self::decode_first(bytes)?;
        if rest.is_empty() { Ok(message) } else { Err(DecodeError::Trailing(rest.len())) }
    }

    /// Decodes bytes that hold any number of messages, one behind the other.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// # use distchat_crdt::Message;
    /// let (commit, said) = room.say(&ana, &clock, vec![(kind::TEXT, b"one".to_vec()), (kind::TEXT, b"two".to_vec())]);
    /// said?;
    /// let run: Vec<u8> = commit.messages.iter().flat_map(|message| message.bytes()).copied().collect();
    /// assert_eq!(Message::decode_all(&run)?, commit.messages);
    /// assert_eq!(Message::decode_all(b"")?, []);
    /// assert!(Message::decode_all(&run[1..]).is_err());
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// If any of them is not well-formed: a run is made by one peer, which answers for all of it.
    pub fn decode_all(mut bytes: &[u8]) -> Result<Vec<Self>, DecodeError> {
        // Most of what decoding costs is the hash, and many are cheaper than one; but no more at once than the processor
        // keeps at hand.
        let mut messages = Vec::with_capacity(bytes.len() / 256);
        let mut parsed = Vec::with_capacity(AT_ONCE);
        while !bytes.is_empty() {
            while !bytes.is_empty() && parsed.len() < AT_ONCE {
                let (first, rest) = Parsed::first(bytes)?;
                parsed.push(first);
                bytes = rest;
            }
            let inputs: Vec<&[u8]> = parsed.iter().map(|message| message.bytes).collect();
            let ids = sha256_all(&inputs);
            messages.extend(parsed.drain(..).zip(ids).map(|(message, id)| message.with_id(MessageId(id))));
        }
        Ok(messages)
    }

    /// Decodes messages that come one by one, each as [`Message::decode`] does; in their order.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// # use distchat_crdt::Message;
    /// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
    /// let decoded = Message::decode_each(&[b"damaged", message.bytes()]);
    /// assert!(decoded[0].is_err());
    /// assert_eq!(decoded[1], Ok(message), "it does not suffer from the other");
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn decode_each<B: AsRef<[u8]>>(items: &[B]) -> Vec<Result<Self, DecodeError>> {
        let mut decoded = Vec::with_capacity(items.len());
        for group in items.chunks(AT_ONCE) {
            let parsed: Vec<_> = group.iter().map(|item| Parsed::whole(item.as_ref())).collect();
            let inputs: Vec<&[u8]> = parsed.iter().flatten().map(|message| message.bytes).collect();
            let mut ids = sha256_all(&inputs).into_iter();
            decoded.extend(parsed.into_iter().map(|message| {
                let message = message?;
                let id = ids.next().unwrap_or_else(|| sha256(&[message.bytes]));
                Ok(message.with_id(MessageId(id)))
            }));
        }
        decoded
    }

    /// Decodes the message at the front and returns what follows it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// # use distchat_crdt::Message;
    /// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
    /// let bytes = [message.bytes(), b"and more"].concat();
    /// let (first, rest) = Message::decode_first(&bytes)?;
    /// assert_eq!((first, rest), (message, &b"and more"[..]));
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Message::decode`], but for what follows.
    pub fn decode_first(input: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let (parsed, rest) = Parsed::first(input)?;
        let id = MessageId(sha256(&[parsed.bytes]));
        Ok((parsed.with_id(id), rest))
    }

    /// All the bytes, the signature included.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
    /// assert!(message.bytes().ends_with(message.signature().as_bytes()));
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The place in the order, and what others refer to.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
    /// room.merge(vec![message.clone()]);
    /// assert!(room.index().contains(&message.key()));
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn key(&self) -> Key {
        self.0.key
    }

    /// The same, where it stands.
    pub(crate) fn key_ref(&self) -> &Key {
        &self.0.key
    }

    /// SHA-256 of all the bytes.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// let one = room.sign(&ana, &clock, kind::TEXT, b"one".to_vec())?;
    /// let two = room.sign(&ana, &clock, kind::TEXT, b"two".to_vec())?;
    /// assert_ne!(one.id(), two.id());
    /// assert_eq!(one.id(), one.key().id);
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn id(&self) -> MessageId {
        self.0.key.id
    }

    /// The time its author gave it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
    /// assert_eq!(message.time().millis(), clock.stamp_ms);
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn time(&self) -> Timestamp {
        self.0.key.time
    }

    /// The room it belongs to.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
    /// assert_eq!(message.room(), room.id());
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn room(&self) -> RoomId {
        RoomId(self.field(ROOM_AT))
    }

    /// Who says to have written it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
    /// assert_eq!(message.author(), ana.author());
    /// assert!(room.verifier().verify_one(&message), "and it is true");
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn author(&self) -> AuthorId {
        AuthorId(self.field(AUTHOR_AT))
    }

    /// How many messages the author wrote here before, along the branch this one continues.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// let (commit, said) = room.say(&ana, &clock, vec![(kind::TEXT, b"one".to_vec()), (kind::TEXT, b"two".to_vec())]);
    /// said?;
    /// assert_eq!(commit.messages.iter().map(|message| message.seq()).collect::<Vec<_>>(), [0, 1]);
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn seq(&self) -> u64 {
        self.0.seq
    }

    /// The author's message before this one.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// let (commit, said) = room.say(&ana, &clock, vec![(kind::TEXT, b"one".to_vec()), (kind::TEXT, b"two".to_vec())]);
    /// said?;
    /// assert_eq!(commit.messages[0].prev(), None);
    /// assert_eq!(commit.messages[1].prev(), Some(commit.messages[0].key()));
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn prev(&self) -> Option<Key> {
        self.0.prev
    }

    /// Heads of other authors, or of the author's other branches, that the author held.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// # let bob = Keypair::from_seed([2; 32]);
    /// # let other = Room::new(room.id(), bob.author(), Arc::new(Zip215::new([9; 32])));
    /// let hello = other.sign(&bob, &clock, kind::TEXT, b"hello".to_vec())?;
    /// room.merge(vec![hello.clone()]);
    /// let answer = room.sign(&ana, &clock, kind::TEXT, b"hello bob".to_vec())?;
    /// assert_eq!(answer.seen(), [hello.key()]);
    /// assert_eq!(answer.prev(), None, "ana has said nothing before");
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn seen(&self) -> &[Key] {
        self.0.seen.as_slice()
    }

    /// All references: `prev`, then `seen`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// # let bob = Keypair::from_seed([2; 32]);
    /// # let other = Room::new(room.id(), bob.author(), Arc::new(Zip215::new([9; 32])));
    /// let own = room.sign(&ana, &clock, kind::TEXT, b"anybody here?".to_vec())?;
    /// let bobs = other.sign(&bob, &clock, kind::TEXT, b"hello".to_vec())?;
    /// room.merge(vec![own.clone(), bobs.clone()]);
    /// let answer = room.sign(&ana, &clock, kind::TEXT, b"hello bob".to_vec())?;
    /// assert_eq!(answer.refs().collect::<Vec<_>>(), [own.key(), bobs.key()]);
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn refs(&self) -> impl Iterator<Item = Key> + '_ {
        self.0.prev.into_iter().chain(self.seen().iter().copied())
    }

    /// What the body means; see [`crate::kind`].
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// let message = room.sign(&ana, &clock, kind::ACTION, b"waves".to_vec())?;
    /// assert_eq!(message.kind(), kind::ACTION);
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn kind(&self) -> u32 {
        self.0.kind
    }

    /// The content, whatever it is.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
    /// assert_eq!(std::str::from_utf8(message.body()), Ok("hello"));
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn body(&self) -> &[u8] {
        let end = self.0.bytes.len() - SIGNATURE_ITEM;
        self.0.bytes.get(self.0.body_at..end).unwrap_or_default()
    }

    /// Where the body starts in [`Message::bytes`]. It ends 66 bytes before their end.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
    /// let end = message.bytes().len() - 66;
    /// assert_eq!(&message.bytes()[message.body_at()..end], b"hello");
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn body_at(&self) -> usize {
        self.0.body_at
    }

    /// The author's signature.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
    /// assert_eq!(message.signature(), ana.sign(&message.signed_bytes()));
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn signature(&self) -> Signature {
        Signature(self.field(self.0.bytes.len() - 64))
    }

    /// What the signature covers: a domain tag, and all the bytes before the signature.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
    /// let signed = message.signed_bytes();
    /// assert!(signed.starts_with(b"distchat/1/message\0"));
    /// assert!(room.verifier().verify(&ana.author(), &signed, &message.signature()));
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn signed_bytes(&self) -> Vec<u8> {
        let end = self.0.bytes.len() - SIGNATURE_ITEM;
        signed_bytes(self.0.bytes.get(..end).unwrap_or_default())
    }

    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        // Decoding has read these places, so the field is there.
        self.0.bytes.get(at..at + N).and_then(|field| field.try_into().ok()).unwrap_or([0; N])
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Message {}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("key", &self.key())
            .field("author", &self.author())
            .field("seq", &self.seq())
            .field("prev", &self.prev())
            .field("seen", &self.seen())
            .field("kind", &self.kind())
            .field("body", &String::from_utf8_lossy(self.body()))
            .finish()
    }
}

fn signed_bytes(unsigned: &[u8]) -> Vec<u8> {
    [SIGN_TAG, unsigned].concat()
}

fn read_time(reader: &mut Reader<'_>) -> Result<Timestamp, DecodeError> {
    let time = Timestamp(reader.uint()?);
    if time.0 == 0 || time > Timestamp::MAX { Err(DecodeError::Limit("time")) } else { Ok(time) }
}

fn read_ref(reader: &mut Reader<'_>) -> Result<Key, DecodeError> {
    if reader.array()? != 2 {
        return Err(CborError::UnexpectedType.into());
    }
    Ok(Key { time: read_time(reader)?, id: MessageId(reader.fixed()?) })
}

fn read_seen(reader: &mut Reader<'_>, prev: Option<Key>) -> Result<Seen, DecodeError> {
    let count = reader.array()?;
    if count > MAX_SEEN as u64 {
        return Err(DecodeError::Limit("seen"));
    }
    if count == 1 {
        let key = read_ref(reader)?;
        return if prev == Some(key) { Err(DecodeError::SeenOrder) } else { Ok(Seen::One([key])) };
    }
    let mut seen: Vec<Key> = Vec::new();
    for _ in 0..count {
        let key = read_ref(reader)?;
        if prev == Some(key) || seen.last().is_some_and(|last| *last >= key) {
            return Err(DecodeError::SeenOrder);
        }
        seen.push(key);
    }
    Ok(Seen::Many(seen.into_boxed_slice()))
}

/// A message that is not signed yet. [`crate::Room::sign`] fills in the place in the room.
///
/// ```
/// use distchat_crdt::{DecodeError, Draft, Keypair, RoomId, Timestamp, kind};
///
/// let draft = Draft {
///     room: RoomId([7; 32]),
///     seq: 1,
///     time: Timestamp::from_millis(1_790_000_000_000),
///     prev: None,
///     seen: Vec::new(),
///     kind: kind::TEXT,
///     body: b"hello".to_vec(),
/// };
/// let refused = draft.sign(&Keypair::from_seed([1; 32]));
/// assert_eq!(refused, Err(DecodeError::PrevAndSeq), "which message did it follow?");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The room it is for.
    pub room: RoomId,
    /// See [`Message::seq`].
    pub seq: u64,
    /// See [`Message::time`].
    pub time: Timestamp,
    /// See [`Message::prev`].
    pub prev: Option<Key>,
    /// See [`Message::seen`].
    pub seen: Vec<Key>,
    /// See [`Message::kind`].
    pub kind: u32,
    /// See [`Message::body`].
    pub body: Vec<u8>,
}

impl Draft {
    /// Encodes and signs.
    ///
    /// ```
    /// # use distchat_crdt::{Draft, Keypair, RoomId, Signer, Timestamp, kind};
    /// # let (room, time, ana) = (RoomId([7; 32]), Timestamp::from_millis(5000), Keypair::from_seed([1; 32]));
    /// let body = b"hello".to_vec();
    /// let draft = Draft { room, seq: 0, time, prev: None, seen: Vec::new(), kind: kind::TEXT, body };
    /// let message = draft.sign(&ana)?;
    /// assert_eq!((message.author(), message.time()), (ana.author(), time));
    /// assert_eq!(draft.sign(&ana)?.id(), message.id(), "the same draft is the same message");
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// If the draft breaks a rule of the format, so that nobody can ever sign what others would refuse.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Message, DecodeError> {
        let mut writer = Writer(Vec::with_capacity(MIN_MESSAGE + self.body.len() + (self.seen.len() + 1) * REF + 16));
        writer.array(FIELDS as usize);
        writer.uint(VERSION);
        writer.bytes(&self.room.0);
        writer.bytes(&signer.author().0);
        writer.uint(self.seq);
        writer.uint(self.time.0);
        match &self.prev {
            Some(key) => write_ref(&mut writer, key),
            None => writer.null(),
        }
        writer.array(self.seen.len());
        for key in &self.seen {
            write_ref(&mut writer, key);
        }
        writer.uint(self.kind.into());
        writer.bytes(&self.body);
        let signature = signer.sign(&signed_bytes(&writer.0));
        writer.bytes(&signature.0);
        Message::decode(&writer.0)
    }
}

fn write_ref(writer: &mut Writer, key: &Key) {
    writer.array(2);
    writer.uint(key.time.0);
    writer.bytes(&key.id.0);
}

//! The frames of the sync protocol, as values. PROTOCOL.md gives their bytes.
//!
//! A struct is an array of its fields in order, an enum a map of one entry from the variant's name to its content.
//! Every list and byte string has a limit of its own besides the frame's, so that no frame makes its reader allocate
//! much more than its own length.

use std::{fmt, marker::PhantomData, ops::Deref};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{AuthorId, Fingerprint, Key, Signature, Timestamp, Topic, id::deserialize_array, index::Prefix};

/// The name under which peers negotiate this protocol.
pub const SYNC_PROTOCOL: &str = "/distchat/sync/2";
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
///
/// ```
/// use distchat_crdt::{Key, sync::{Have, List, Request}};
///
/// let request = Request::Have(Have { handle: 7, keys: List::cut(vec![Key::MIN]) });
/// let mut frame = Vec::new();
/// ciborium::into_writer(&request, &mut frame)?;
/// assert_eq!(ciborium::from_reader::<Request, _>(&frame[..])?, request);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use ciborium::Value;
/// use distchat_crdt::sync::Response;
///
/// // A map of one entry from the variant's name to its content.
/// let shape = Value::serialized(&Response::Offered(3))?;
/// assert_eq!(shape, Value::Map(vec![(Value::from("offered"), Value::from(3))]));
/// assert_eq!(shape.deserialized::<Response>()?, Response::Offered(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use ciborium::Value;
/// use distchat_crdt::sync::Refusal;
///
/// assert_eq!(Value::serialized(&Refusal::Busy)?, Value::from("busy"));
/// assert!(Value::from("never").deserialized::<Refusal>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    ///
    /// ```
    /// use distchat_crdt::{Keypair, RoomId, Signer, Zip215, sync::{Enter, Peer, proof, sign_peer, verify_peer}};
    ///
    /// let (room, ana, bob) = (RoomId([7; 32]), Peer::new(b"ana"), Peer::new(b"bob"));
    /// let keys = Keypair::from_seed([1; 32]);
    /// let enter = Enter {
    ///     topic: room.topic(),
    ///     handle: 1,
    ///     proof: proof(&room, &ana, &bob),
    ///     author: keys.author(),
    ///     signature: sign_peer(&keys, &ana),
    /// };
    /// // What bob's node makes of it:
    /// assert_eq!(enter.proof, proof(&room, &ana, &bob));
    /// assert!(verify_peer(&Zip215::new([9; 32]), &enter.author, &ana, &enter.signature));
    /// ```
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
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
    /// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
    /// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
    /// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
    /// # let mut replica = Replica::new(room, config, now);
    /// # let (bob, id) = (Keypair::from_seed([2; 32]), RoomId([7; 32]));
    /// # let (peer, me) = (Peer::new(b"bob"), Peer::new(b"ana"));
    /// # let (shown, signature) = (proof(&id, &peer, &me), sign_peer(&bob, &peer));
    /// # let enter = Enter { topic: id.topic(), handle: 2, proof: shown, author: bob.author(), signature };
    /// let outputs = replica.handle(now, Input::Asked { peer: peer.clone(), ticket: 1, request: Request::Enter(enter) });
    /// let Some(Output::Answer { response: Response::Entered(entered), .. }) = outputs.first() else { unreachable!() };
    /// assert_eq!(entered.author, replica.room().own_author());
    /// assert_eq!(entered.proof, proof(&id, &me, &peer), "in the other direction");
    /// ```
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
    ///
    /// ```
    /// use distchat_crdt::{Timestamp, index::Index, sync::{Hello, List, MAX_HELLO_ROOMS, RoomHello}};
    ///
    /// let empty: Index = Index::default();
    /// let room = RoomHello { handle: 7, upper: Timestamp::MAX, count: 0, root: empty.root() };
    /// let rooms = vec![room; MAX_HELLO_ROOMS + 1];
    /// let mut frame = Vec::new();
    /// ciborium::into_writer(&(1_790_000_000_000_u64, &rooms), &mut frame)?;
    /// assert!(ciborium::from_reader::<Hello, _>(&frame[..]).is_err(), "these are too many");
    /// let hello = Hello { clock: 1_790_000_000_000, rooms: List::cut(rooms) };
    /// assert_eq!(hello.rooms.len(), MAX_HELLO_ROOMS);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Hello {
        /// The asker's raw clock, in milliseconds since 1970.
        clock: u64,
        /// The rooms.
        rooms: List<RoomHello, MAX_HELLO_ROOMS>,
    }
    /// The state of one room at or below a time.
    ///
    /// ```
    /// use ciborium::Value;
    /// use distchat_crdt::{Key, MessageId, Timestamp, index::Index, sync::RoomHello};
    ///
    /// let index: Index = (1..=5).map(|time| Key { time: Timestamp(time), id: MessageId([0; 32]) }).collect();
    /// let upper = Timestamp(3);
    /// let (count, root) = index.root_to(&Key::last_of(upper));
    /// let hello = RoomHello { handle: 7, upper, count, root };
    /// let root = Value::Bytes(root.0.to_vec());
    /// assert_eq!(Value::serialized(&hello)?, Value::Array(vec![7.into(), 3.into(), 3.into(), root]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
    /// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
    /// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
    /// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
    /// # let mut replica = Replica::new(room, config, now);
    /// # use distchat_crdt::Timestamp;
    /// let room = RoomHello { handle: 1, upper: Timestamp::MAX, count: 0, root: replica.room().fingerprint() };
    /// let hello = Hello { clock: 1_790_000_000_000, rooms: List::cut(vec![room]) };
    /// let request = Request::Hello(hello);
    /// let outputs = replica.handle(now, Input::Asked { peer: Peer::new(b"stranger"), ticket: 1, request });
    /// let [Output::Answer { response: Response::Hello(greeting), .. }] = &outputs[..] else { unreachable!() };
    /// assert_eq!(greeting.rooms[..], [RoomGreeting::Refused(Refusal::Unknown)], "whoever has not entered is told nothing");
    /// ```
    Greeting {
        /// The answerer's raw clock, in milliseconds since 1970.
        clock: u64,
        /// One answer a room, in the order of the question.
        rooms: List<RoomGreeting, MAX_HELLO_ROOMS>,
    }
    /// How another state differs.
    ///
    /// ```
    /// use ciborium::Value;
    /// use distchat_crdt::{Fingerprint, sync::Difference};
    ///
    /// let difference = Difference { count: 5, root: Fingerprint([7; 32]), later: 0, tail: None };
    /// let fields = [5.into(), Value::Bytes(vec![7; 32]), 0.into(), Value::Null];
    /// assert_eq!(Value::serialized(&difference)?, Value::Array(fields.to_vec()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// use distchat_crdt::{Message, sync::{Blob, List, Tail}};
    ///
    /// let (commit, said) = room.say(&ana, &clock, vec![(kind::TEXT, b"one".to_vec()), (kind::TEXT, b"two".to_vec())]);
    /// said?;
    /// let run = commit.messages.iter().flat_map(|message| message.bytes()).copied().collect();
    /// let tail = Tail { messages: Blob::cut(run), cuts: List::default() };
    /// assert_eq!(Message::decode_all(&tail.messages)?, commit.messages);
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    Tail {
        /// Messages in ascending order, one behind the other.
        messages: Blob<MAX_PAGE>,
        /// See [`Page::cuts`].
        cuts: List<Key, MAX_CUTS>,
    }
    /// A question where two sets differ.
    ///
    /// ```
    /// use distchat_crdt::{Timestamp, index::Prefix, sync::{Blob, Branch, List, Nodes, Region, Request, SHORT_LEN}};
    ///
    /// // What stands at the root here: children for the digits 0 and 2.
    /// let branch = Branch { prefix: Prefix::EMPTY, children: 0b101, hashes: Blob::cut(vec![7; 2 * SHORT_LEN]) };
    /// let items = List::cut(vec![Region { region: Prefix::EMPTY, branch }]);
    /// let request = Request::Nodes(Nodes { handle: 1, upper: Timestamp::MAX, nonce: 4711, items });
    /// let mut frame = Vec::new();
    /// ciborium::into_writer(&request, &mut frame)?;
    /// assert!(frame.len() < 60);
    /// assert_eq!(ciborium::from_reader::<Request, _>(&frame[..])?, request);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// use distchat_crdt::{Key, Timestamp, index::{Index, Part, Prefix}, sync::{Blob, Branch, Region}};
    /// # use distchat_crdt::MessageId;
    ///
    /// let index: Index = (0..64).map(|time| Key { time: Timestamp(time), id: MessageId([0; 32]) }).collect();
    /// let part = index.part(&Prefix::EMPTY, &Key::last_of(Timestamp::MAX));
    /// let Part::Inner { prefix, children } = part else { unreachable!() };
    /// let digits = children.iter().fold(0, |bits, (digit, _)| bits | 1 << digit);
    /// // (The short hashes are left out here.)
    /// let branch = Branch { prefix, children: digits, hashes: Blob::default() };
    /// let region = Region { region: Prefix::EMPTY, branch };
    /// assert!(region.region.contains(&region.branch.prefix));
    /// assert_eq!(region.branch.children, 0b1111);
    /// ```
    Region {
        /// All keys with this prefix.
        region: Prefix,
        /// What the asker has there.
        branch: Branch,
    }
    /// An inner node on the wire.
    ///
    /// ```
    /// use distchat_crdt::{index::Prefix, sync::{Blob, Branch, SHORT_LEN}};
    ///
    /// let branch = Branch { prefix: Prefix::EMPTY, children: 1 << 0 | 1 << 0xf, hashes: Blob::cut(vec![7; 12]) };
    /// assert_eq!(branch.hashes.chunks_exact(SHORT_LEN).len(), 2, "one a child");
    /// ```
    Branch {
        /// The node's prefix.
        prefix: Prefix,
        /// Bit n is set if there is a child for digit n.
        children: u16,
        /// The children's short hashes, one behind the other.
        hashes: Blob<{ 16 * SHORT_LEN }>,
    }
    /// The answer to [`Nodes`].
    ///
    /// ```
    /// use distchat_crdt::{index::Prefix, sync::{Blob, List, Response, Summaries, Summary}};
    ///
    /// // One region was asked about, and there is nothing in it here.
    /// let summaries = List::cut(vec![Summary::Keys(Prefix::EMPTY, Blob::default())]);
    /// let response = Response::Nodes(Summaries { done: 1, summaries });
    /// let mut frame = Vec::new();
    /// ciborium::into_writer(&response, &mut frame)?;
    /// assert_eq!(ciborium::from_reader::<Response, _>(&frame[..])?, response);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Summaries {
        /// How many of the regions were answered, from the first.
        done: u32,
        /// What the answerer has in regions that differ.
        summaries: List<Summary, MAX_SUMMARIES>,
    }
    /// A question for messages.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
    /// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
    /// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
    /// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
    /// # let mut replica = Replica::new(room, config, now);
    /// # use distchat_crdt::{Key, Timestamp};
    /// # let (bob, id) = (Keypair::from_seed([2; 32]), RoomId([7; 32]));
    /// # let (peer, me) = (Peer::new(b"bob"), Peer::new(b"ana"));
    /// # let (proof, signature) = (proof(&id, &peer, &me), sign_peer(&bob, &peer));
    /// # let enter = Request::Enter(Enter { topic: id.topic(), handle: 2, proof, author: bob.author(), signature });
    /// # replica.handle(now, Input::Asked { peer, ticket: 1, request: enter });
    /// // A message that is not here is left out of the page, and the item counts as answered.
    /// let items = List::cut(vec![Wanted::Key(Key::MIN)]);
    /// let request = Request::Fetch(Fetch { handle: 1, upper: Timestamp::MAX, nonce: 4711, items });
    /// let outputs = replica.handle(now, Input::Asked { peer: Peer::new(b"bob"), ticket: 2, request });
    /// let [Output::Answer { response: Response::Page(page), .. }] = &outputs[..] else { unreachable!() };
    /// assert_eq!((page.done, page.messages.len()), (1, 0));
    /// ```
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
    ///
    /// ```
    /// use distchat_crdt::{Key, Timestamp, index::Prefix, sync::{Blob, Filter, Range, Wanted}};
    ///
    /// // All that lies before noon.
    /// let noon = Key { time: Timestamp::from_millis(43_200_000), ..Key::MIN };
    /// let all = Filter::Except(Blob::default());
    /// let wanted = Wanted::Range(Range { region: Prefix::EMPTY, from: None, below: Some(noon), filter: all });
    /// let mut bytes = Vec::new();
    /// ciborium::into_writer(&wanted, &mut bytes)?;
    /// assert_eq!(ciborium::from_reader::<Wanted, _>(&bytes[..])?, wanted);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// use distchat_crdt::{Message, sync::{Blob, List, Page}};
    ///
    /// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
    /// let messages = Blob::cut(message.bytes().to_vec());
    /// // More than fits was wanted: the rest of the first item lies below the last message of this page.
    /// let page = Page { done: 0, messages, cuts: List::cut(vec![message.key()]), lacks: Blob::default() };
    /// let received = Message::decode_all(&page.messages)?;
    /// assert!(received.iter().all(|message| message.key() >= page.cuts[0]));
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
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
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
    /// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
    /// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
    /// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
    /// # let mut replica = Replica::new(room, config, now);
    /// # use distchat_crdt::{Key, Timestamp};
    /// # let (bob, id) = (Keypair::from_seed([2; 32]), RoomId([7; 32]));
    /// # let (peer, me) = (Peer::new(b"bob"), Peer::new(b"ana"));
    /// # let (proof, signature) = (proof(&id, &peer, &me), sign_peer(&bob, &peer));
    /// # let enter = Request::Enter(Enter { topic: id.topic(), handle: 2, proof, author: bob.author(), signature });
    /// # replica.handle(now, Input::Asked { peer, ticket: 1, request: enter });
    /// let hello = replica.room().sign(&bob, &replica.clock(now), kind::TEXT, b"hello".to_vec())?;
    /// let offer = Request::Offer(Offer { handle: 1, messages: Blob::cut(hello.bytes().to_vec()) });
    /// let outputs = replica.handle(now, Input::Asked { peer: Peer::new(b"bob"), ticket: 2, request: offer });
    /// let Some(Output::Commit { number, .. }) = outputs.last() else { unreachable!() };
    /// let outputs = replica.handle(now, Input::Committed { through: *number });
    /// assert!(matches!(outputs[0], Output::Answer { ticket: 2, response: Response::Offered(1) }));
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    Offer {
        /// Which room.
        handle: u32,
        /// Messages one behind the other.
        messages: Blob<MAX_PAGE>,
    }
    /// A question for receipts.
    ///
    /// ```
    /// use distchat_crdt::{Key, sync::{Have, List, MAX_HAVE_KEYS}};
    ///
    /// let mut frame = Vec::new();
    /// ciborium::into_writer(&Have { handle: 7, keys: List::cut(vec![Key::MIN; MAX_HAVE_KEYS]) }, &mut frame)?;
    /// assert!(ciborium::from_reader::<Have, _>(&frame[..]).is_ok());
    ///
    /// let mut frame = Vec::new();
    /// ciborium::into_writer(&(7, vec![Key::MIN; MAX_HAVE_KEYS + 1]), &mut frame)?;
    /// assert!(ciborium::from_reader::<Have, _>(&frame[..]).is_err(), "one too many");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Have {
        /// Which room.
        handle: u32,
        /// The keys asked about.
        keys: List<Key, MAX_HAVE_KEYS>,
    }
}

/// The answer for one room of a hello.
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
/// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
/// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
/// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
/// # let mut replica = Replica::new(room, config, now);
/// # use distchat_crdt::{Key, Timestamp};
/// # let (bob, id) = (Keypair::from_seed([2; 32]), RoomId([7; 32]));
/// # let (peer, me) = (Peer::new(b"bob"), Peer::new(b"ana"));
/// # let (proof, signature) = (proof(&id, &peer, &me), sign_peer(&bob, &peer));
/// # let enter = Request::Enter(Enter { topic: id.topic(), handle: 2, proof, author: bob.author(), signature });
/// # replica.handle(now, Input::Asked { peer, ticket: 1, request: enter });
/// let room = RoomHello { handle: 1, upper: Timestamp::MAX, count: 0, root: replica.room().fingerprint() };
/// let request = Request::Hello(Hello { clock: 0, rooms: List::cut(vec![room]) });
/// let outputs = replica.handle(now, Input::Asked { peer: Peer::new(b"bob"), ticket: 2, request });
/// let Some(Output::Answer { response: Response::Hello(greeting), .. }) = outputs.first() else { unreachable!() };
/// assert_eq!(greeting.rooms[..], [RoomGreeting::Equal(0)], "both hold nothing");
/// ```
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
///
/// ```
/// use distchat_crdt::{index::Prefix, sync::{Blob, SHORT_LEN, Summary}};
///
/// let summary = Summary::Keys(Prefix::EMPTY, Blob::cut(vec![7; 3 * SHORT_LEN]));
/// let keys = match &summary {
///     Summary::Keys(_, shorts) => Some(shorts.len() / SHORT_LEN),
///     Summary::Branch(..) => None,
/// };
/// assert_eq!(keys, Some(3));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Summary {
    /// Few keys, perhaps none: their short hashes.
    Keys(Prefix, Blob<MAX_SHORTS>),
    /// More: an inner node.
    Branch(Prefix, Branch),
}

/// Something wanted.
///
/// ```
/// use ciborium::Value;
/// use distchat_crdt::{Key, sync::Wanted};
///
/// let wanted = Value::serialized(&Wanted::Key(Key::MIN))?;
/// let key = Value::Array(vec![0.into(), Value::Bytes(vec![0; 32])]);
/// assert_eq!(wanted, Value::Map(vec![("key".into(), key)]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// One message.
    Key(Key),
    /// Messages of a range.
    Range(Range),
}

/// Which messages of a range.
///
/// ```
/// use distchat_crdt::sync::{Blob, Filter, MAX_SHORTS, SHORT_LEN};
///
/// // Only the two whose short hashes these are.
/// let only = Filter::Only(Blob::cut(vec![7; 2 * SHORT_LEN]));
/// let mut bytes = Vec::new();
/// ciborium::into_writer(&only, &mut bytes)?;
/// assert_eq!(ciborium::from_reader::<Filter, _>(&bytes[..])?, only);
/// assert!(Blob::<MAX_SHORTS>::new(vec![0; MAX_SHORTS + 1]).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// All but those with these short hashes.
    Except(Blob<MAX_SHORTS>),
    /// Only those.
    Only(Blob<MAX_SHORTS>),
}

/// A keyed hash that proves knowledge of a room id.
///
/// ```
/// use ciborium::Value;
/// use distchat_crdt::sync::Proof;
///
/// assert_eq!(format!("{:?}", Proof([7; 32])), "Proof(..)", "it is no business of a log");
/// assert_eq!(Value::serialized(&Proof([7; 32]))?, Value::Bytes(vec![7; 32]));
/// assert!(Value::Bytes(vec![7; 31]).deserialized::<Proof>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use ciborium::Value;
/// use distchat_crdt::sync::Blob;
///
/// assert_eq!(Value::Bytes(b"four".to_vec()).deserialized::<Blob<4>>()?[..], *b"four");
/// assert!(Value::Bytes(b"fives".to_vec()).deserialized::<Blob<4>>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Blob<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> Blob<MAX> {
    /// The bytes, if they are not too many.
    ///
    /// ```
    /// use distchat_crdt::sync::Blob;
    ///
    /// assert_eq!(Blob::<4>::new(b"four".to_vec()).as_deref(), Some(&b"four"[..]));
    /// assert_eq!(Blob::<4>::new(b"fives".to_vec()), None);
    /// ```
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= MAX).then_some(Self(bytes))
    }

    /// The bytes, and none of those beyond the limit.
    ///
    /// ```
    /// use distchat_crdt::sync::Blob;
    ///
    /// assert_eq!(Blob::<4>::cut(b"fives".to_vec())[..], *b"five");
    /// ```
    pub fn cut(mut bytes: Vec<u8>) -> Self {
        bytes.truncate(MAX);
        Self(bytes)
    }

    /// The bytes themselves.
    ///
    /// ```
    /// use distchat_crdt::sync::Blob;
    ///
    /// assert_eq!(Blob::<4>::cut(b"four".to_vec()).into_inner(), b"four");
    /// ```
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
///
/// ```
/// use distchat_crdt::sync::List;
///
/// let mut bytes = Vec::new();
/// ciborium::into_writer(&[1, 2, 3], &mut bytes)?;
/// assert_eq!(ciborium::from_reader::<List<u64, 3>, _>(&bytes[..])?[..], [1, 2, 3]);
/// assert!(ciborium::from_reader::<List<u64, 2>, _>(&bytes[..]).is_err(), "one too many");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// The items, and none of those beyond the limit.
    ///
    /// ```
    /// use distchat_crdt::sync::List;
    ///
    /// assert_eq!(List::<u64, 2>::cut(vec![1, 2, 3])[..], [1, 2]);
    /// ```
    pub fn cut(mut items: Vec<T>) -> Self {
        items.truncate(MAX);
        Self(items)
    }

    /// The items themselves.
    ///
    /// ```
    /// use distchat_crdt::sync::List;
    ///
    /// assert_eq!(List::<u64, 2>::cut(vec![1, 2]).into_inner(), [1, 2]);
    /// ```
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

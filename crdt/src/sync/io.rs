//! What goes into a replica and what comes out of it.

use super::{Imported, Peer, Request, Response};
use crate::{AuthorId, Commit, DecodeError, Fingerprint, Key, Message};

/// The driver's name for something that a replica is to answer.
pub type Ticket = u64;

/// Something happened.
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
/// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
/// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
/// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
/// # let mut replica = Replica::new(room, config, now);
/// // Something happened: a connection. To be done: ask the peer whether it is in the room.
/// let outputs = replica.handle(now, Input::PeerUp(Peer::new(b"bob")));
/// let [Output::Ask { id, request: Request::Enter(_), .. }] = outputs[..] else { unreachable!() };
/// // Something happened: the connection broke before it answered. Nothing can be done.
/// let outputs = replica.handle(now, Input::Answered { peer: Peer::new(b"bob"), id, response: None });
/// assert!(outputs.is_empty());
/// ```
#[derive(Debug)]
pub enum Input {
    /// A peer that speaks the protocol is connected.
    PeerUp(Peer),
    /// It no longer is.
    PeerDown(Peer),
    /// A peer asks. [`Output::Answer`] with this ticket follows, now or later.
    Asked {
        /// Who asks.
        peer: Peer,
        /// To answer with.
        ticket: Ticket,
        /// What. A hello speaks of one room here.
        request: Request,
    },
    /// A peer answered, or it is known that it will not.
    Answered {
        /// Who.
        peer: Peer,
        /// The request's number in [`Output::Ask`].
        id: u64,
        /// What it said; `None` if nothing will come.
        response: Option<Response>,
    },
    /// A frame of gossip. [`Output::Verdict`] with this ticket follows at once.
    Frame {
        /// Who passed it on.
        peer: Peer,
        /// To judge with.
        ticket: Ticket,
        /// A run of messages.
        bytes: Vec<u8>,
    },
    /// The own author says these things, one after the other. One [`Output::Commit`] follows at once, unless nothing
    /// could be said, and [`Output::Said`] with this ticket once that is on disk.
    Say {
        /// To answer with.
        ticket: Ticket,
        /// What the body means (see [`crate::kind`]), and the body.
        said: Vec<(u32, Vec<u8>)>,
    },
    /// Messages that no peer sent: they come from a file. They are let in by the rules by which a peer's are.
    /// [`Output::Imported`] with this ticket follows at once.
    Import {
        /// To answer with.
        ticket: Ticket,
        /// Their bytes, each by itself: one that is malformed does not cost the others. At most some [`super::MAX_PAGE`]
        /// bytes at a time, and not the next before these are on disk: what is on its way there is held in memory.
        messages: Vec<Vec<u8>>,
    },
    /// What [`Output::Read`] asked for.
    Read {
        /// The number of the question.
        id: u64,
        /// Messages' bytes by key, in any order. Not all that were asked for if the limit was reached; none if they could
        /// not be read.
        bodies: Vec<(Key, Vec<u8>)>,
    },
    /// All commits up to and including this number are on disk.
    Committed {
        /// The number of the last one.
        through: u64,
    },
    /// Somebody wants to know whether messages have arrived: ask peers for receipts for some seconds.
    WatchReceipts {
        /// Of which, besides those that were said since the start. The first [`super::MAX_LOOKED_UP`] of them that are here.
        of: Vec<Key>,
    },
    /// Whether to take nothing in for now, because the store cannot: frames are ignored, offers answered as by one that has no
    /// time, and nothing is asked for; what is there is served. On going on every peer is greeted. What people say or import
    /// meanwhile is for the driver to refuse.
    Pause(bool),
    /// Time has passed.
    Tick,
}

/// Something is to be done.
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
/// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
/// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
/// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
/// # let mut replica = Replica::new(room, config, now);
/// let said = vec![(kind::TEXT, b"hello".to_vec())];
/// let outputs = replica.handle(now, Input::Say { ticket: 4711, said });
/// let [Output::Commit { number, .. }] = outputs[..] else { unreachable!() };
/// // Only when it is on disk is whoever said it told so, and only then do others hear of it.
/// let outputs = replica.handle(now, Input::Committed { through: number });
/// assert!(matches!(
///     outputs[..],
///     [Output::Said { ticket: 4711, .. }, Output::Stored { from: None, .. }, Output::Publish { .. }]
/// ));
/// ```
#[derive(Debug)]
pub enum Output {
    /// Ask a peer.
    Ask {
        /// Whom.
        peer: Peer,
        /// To answer with.
        id: u64,
        /// What.
        request: Request,
    },
    /// Answer a peer.
    Answer {
        /// The ticket of the question.
        ticket: Ticket,
        /// What.
        response: Response,
    },
    /// Read the bytes of these messages from the store.
    Read {
        /// To answer with.
        id: u64,
        /// Which, the greatest first. They are all on disk.
        keys: Vec<Key>,
        /// Stop before this many bytes are exceeded, but not before the first message.
        max_bytes: usize,
    },
    /// Judge a frame of gossip.
    Verdict {
        /// The frame's ticket.
        ticket: Ticket,
        /// The judgement.
        verdict: Verdict,
    },
    /// Write to the store. Numbers ascend; commits are written in their order.
    Commit {
        /// To answer with.
        number: u64,
        /// What.
        commit: Commit,
    },
    /// What was said is on disk, or, with no messages, cannot be said.
    Said {
        /// The ticket of what was said.
        ticket: Ticket,
        /// The messages that it became: of the first so many things, in that order.
        messages: Vec<Message>,
        /// Why the others cannot be said, if there are any.
        error: Option<DecodeError>,
    },
    /// What becomes of messages that were imported. If any were new, the [`Output::Commit`] of that number follows.
    Imported {
        /// The ticket of the import.
        ticket: Ticket,
        /// How many were of which kind.
        imported: Imported,
        /// All of those that are new or known are on disk once this commit is, and those before it. Zero: they are now.
        commit: u64,
    },
    /// These messages are on disk and part of the room, in order of acceptance.
    Stored {
        /// The messages.
        messages: Vec<Message>,
        /// Which peer they came from; `None` if they were said here, or imported.
        from: Option<Peer>,
    },
    /// Spread this run of own messages by gossip.
    Publish {
        /// The messages, one behind the other.
        frame: Vec<u8>,
    },
    /// A peer has shown to be in the room, and who its author is.
    Entered {
        /// The peer.
        peer: Peer,
        /// Its author.
        author: AuthorId,
    },
    /// This replica and the peer's hold the same messages.
    Synced {
        /// The peer.
        peer: Peer,
        /// How many messages came in the session that found so.
        received: u64,
        /// How many went.
        sent: u64,
        /// What both hold.
        fingerprint: Fingerprint,
    },
    /// An author's node has answered that what was said here since the start is on its disk, up to and including that
    /// message. It may be the own author's, at another place.
    Receipt {
        /// Whose node.
        author: AuthorId,
        /// The last message of which it said so.
        through: Key,
    },
    /// An author's node has answered that it has these on its disk, which [`Input::WatchReceipts`] named.
    Holds {
        /// Whose node.
        author: AuthorId,
        /// What it has, besides what it had said to have before.
        keys: Vec<Key>,
    },
    /// A peer broke the protocol.
    Offence {
        /// The peer.
        peer: Peer,
        /// How.
        why: &'static str,
    },
}

/// What becomes of a frame of gossip.
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
/// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
/// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
/// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
/// # let mut replica = Replica::new(room, config, now);
/// let bob = Keypair::from_seed([2; 32]);
/// let message = replica.room().sign(&bob, &replica.clock(now), kind::TEXT, b"hello".to_vec())?;
/// let mut judge = |bytes: &[u8]| {
///     let frame = Input::Frame { peer: Peer::new(b"bob"), ticket: 1, bytes: bytes.to_vec() };
///     replica.handle(now, frame).into_iter().find_map(|output| match output {
///         Output::Verdict { verdict, .. } => Some(verdict),
///         _ => None,
///     })
/// };
/// assert_eq!(judge(message.bytes()), Some(Verdict::Accept));
/// assert_eq!(judge(message.bytes()), Some(Verdict::Ignore), "nothing new");
/// assert_eq!(judge(b"hello"), Some(Verdict::Reject));
/// # Ok::<(), distchat_crdt::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It held something new: pass it on.
    Accept,
    /// Hardly anything new, or nothing authentic, or of several authors: do not pass it on, and hold it against nobody.
    Ignore,
    /// Malformed: do not pass it on, and hold it against who sent it.
    Reject,
}

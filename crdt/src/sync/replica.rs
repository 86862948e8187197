//! A replica of one room: its set, what it knows of its peers, and what it waits for.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    Input, MAX_GOSSIP, Output, Peer, Response, Ticket, Verdict,
    asking::{Asking, PeerState},
    receipts::Receipts,
    serving::Reading,
};
use crate::{
    AuthorId, Commit, DecodeError, Key, Message, Room, RoomId, Signature,
    clock::{Clock, Clocks, Now},
    plant::Bug,
    sign::Signer,
    sync::proof::sign_peer,
};

/// Accepted but not yet written messages, in bytes, beyond which nothing more is fetched.
pub(super) const MAX_UNCOMMITTED: usize = 8 * 1024 * 1024;

/// What a replica needs to know from the start.
///
/// ```
/// use distchat_crdt::{Key, Keypair, Room, RoomId, Signer, Timestamp, Zip215, clock::Now};
/// use distchat_crdt::sync::{Peer, Replica, ReplicaConfig};
/// use std::sync::Arc;
///
/// let ana = Keypair::from_seed([1; 32]);
/// let room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
/// // Said before the room's task was started anew: receipts for it still count.
/// let said = Key::last_of(Timestamp(5));
/// let config = ReplicaConfig {
///     me: Peer::new(b"ana"),
///     handle: 1,
///     signer: Arc::new(ana),
///     seed: [3; 32],
///     said: vec![said],
/// };
/// assert!(Replica::new(room, config, Now::default()).is_said(said));
/// ```
pub struct ReplicaConfig {
    /// This node's transport identity.
    pub me: Peer,
    /// What this node calls the room in what is asked of it.
    pub handle: u32,
    /// Signs in the own author's name.
    pub signer: Arc<dyn Signer>,
    /// Where randomness comes from: the choice of peers, jitter, nonces.
    pub seed: [u8; 32],
    /// What was said since the node started, by a replica that ran here before.
    pub said: Vec<Key>,
}

/// One room of one node, and its side of every exchange with its peers. See [`crate::sync`].
///
/// Memory: besides the room itself, a bounded amount for each peer, and at most 8 MiB of messages on their way to the
/// store, beyond which it stops asking for more.
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
/// # let now = Now::default();
/// # let [mut ana, mut bob] = [1, 2].map(|n| {
/// #     let (keys, verifier) = (Keypair::from_seed([n; 32]), Arc::new(Zip215::new([9; 32])));
/// #     let room = Room::new(RoomId([7; 32]), keys.author(), verifier);
/// #     let signer = Arc::new(keys);
/// #     Replica::new(room, ReplicaConfig { me: Peer::new(&[n]), handle: 1, signer, seed: [n; 32], said: Vec::new() }, now)
/// # });
/// for output in ana.handle(now, Input::Say { ticket: 1, said: vec![(kind::TEXT, b"hello".to_vec())] }) {
///     let Output::Commit { number, .. } = output else { continue };
///     // It is on ana's disk: now it is spread, and bob's node gets it.
///     for output in ana.handle(now, Input::Committed { through: number }) {
///         let Output::Publish { frame } = output else { continue };
///         bob.handle(now, Input::Frame { peer: Peer::new(&[1]), ticket: 1, bytes: frame });
///     }
/// }
/// assert_eq!(bob.room().index().len(), 1);
/// assert_eq!(bob.room().fingerprint(), ana.room().fingerprint());
/// ```
pub struct Replica {
    pub(super) room: Room,
    pub(super) me: Peer,
    pub(super) handle: u32,
    pub(super) signer: Arc<dyn Signer>,
    /// The own author's signature over `me`.
    pub(super) peer_signature: Signature,
    pub(super) clocks: Clocks,
    pub(super) rng: StdRng,
    pub(super) now: Now,
    pub(super) out: Vec<Output>,
    /// In boxes: a map has room for eleven, and most rooms one peer.
    pub(super) peers: BTreeMap<Peer, Box<PeerState>>,
    pub(super) asking: Asking,
    pub(super) reading: BTreeMap<u64, (Peer, Reading)>,
    /// Reads that wait until the commit of this number is on disk. There are no more than there are in `reading`.
    pub(super) unread: Vec<(u64, Output)>,
    pub(super) receipts: Receipts,
    /// Nothing is taken in.
    pub(super) paused: bool,
    next_number: u64,
    /// See [`Self::new_in_frame`].
    new_in_frame: usize,
    uncommitted: VecDeque<Uncommitted>,
    pub(super) uncommitted_bytes: usize,
    pub(super) uncommitted_keys: BTreeSet<Key>,
}

/// A commit on its way to the store, and who waits for it.
struct Uncommitted {
    number: u64,
    messages: Vec<Message>,
    bytes: usize,
    origin: Origin,
}

/// Where messages came from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// The own author said it, and could not say more for this reason.
    Said(Ticket, Option<DecodeError>),
    /// A peer passed it on, or was asked for it.
    Peer(Peer),
    /// A peer offered it and waits for the answer.
    Offer(Peer, Ticket),
    /// It was in a file.
    Import,
}

impl Replica {
    /// A replica of a room, with no peers yet.
    ///
    /// ```
    /// use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now};
    /// use distchat_crdt::sync::{Peer, Replica, ReplicaConfig, SyncState};
    /// use std::sync::Arc;
    ///
    /// let (ana, me) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"));
    /// let room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// let config = ReplicaConfig { me, handle: 1, signer: Arc::new(ana), seed: [3; 32], said: Vec::new() };
    /// let replica = Replica::new(room, config, Now::default());
    /// assert_eq!(replica.sync_state(), SyncState::Alone);
    /// ```
    pub fn new(room: Room, config: ReplicaConfig, now: Now) -> Self {
        let mut rng = StdRng::from_seed(config.seed);
        Self {
            room,
            peer_signature: sign_peer(config.signer.as_ref(), &config.me),
            me: config.me,
            handle: config.handle,
            signer: config.signer,
            clocks: Clocks::default(),
            now,
            out: Vec::new(),
            peers: BTreeMap::new(),
            asking: Asking::new(now, &mut rng),
            paused: false,
            // Answers to what a replica asked that ran here before must not be taken for answers to this one's questions.
            next_number: rng.random::<u64>() >> 1,
            new_in_frame: 0,
            rng,
            reading: BTreeMap::new(),
            unread: Vec::new(),
            receipts: Receipts::new(config.said),
            uncommitted: VecDeque::new(),
            uncommitted_bytes: 0,
            uncommitted_keys: BTreeSet::new(),
        }
    }

    /// Takes what happened, and says what is to be done, in that order.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
    /// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
    /// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
    /// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
    /// # let mut replica = Replica::new(room, config, now);
    /// let frame = Input::Frame { peer: Peer::new(b"bob"), ticket: 1, bytes: b"no message".to_vec() };
    /// let outputs = replica.handle(now, frame);
    /// assert!(matches!(
    ///     outputs[..],
    ///     [Output::Verdict { ticket: 1, verdict: Verdict::Reject }, Output::Offence { .. }]
    /// ));
    /// ```
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Output> {
        self.now = now;
        match input {
            Input::PeerUp(peer) => self.peer_up(peer),
            Input::PeerDown(peer) => self.peer_down(&peer),
            Input::Asked { peer, ticket, request } => self.asked(peer, ticket, request),
            Input::Answered { peer, id, response } => self.answered(&peer, id, response),
            Input::Frame { peer, ticket, bytes } => self.frame(peer, ticket, &bytes),
            Input::Say { ticket, said } => self.say(ticket, said),
            Input::Import { ticket, messages } => self.import(ticket, &messages),
            Input::Read { id, bodies } => self.read(id, bodies),
            Input::Committed { through } => self.committed(through),
            Input::WatchReceipts { of } => self.watch_receipts(&of),
            Input::Pause(paused) => self.pause(paused),
            Input::Tick => self.tick(),
        }
        std::mem::take(&mut self.out)
    }

    /// When to call [`Replica::handle`] with [`Input::Tick`] at the latest, on the clock of [`Now::mono`]. `None` if nothing
    /// is due before something else happens. It may change with every call of [`Replica::handle`].
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
    /// // A driver sleeps until then, unless something happens before.
    /// let deadline = replica.next_deadline();
    /// assert!(deadline.is_some_and(|at| at > now.mono));
    /// let later = Now { mono: deadline.unwrap_or_default(), ..now };
    /// replica.handle(later, Input::Tick);
    /// assert_ne!(replica.next_deadline(), deadline, "what was due is done");
    /// ```
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadline()
    }

    /// The set.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
    /// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
    /// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
    /// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
    /// # let mut replica = Replica::new(room, config, now);
    /// replica.handle(now, Input::Say { ticket: 1, said: vec![(kind::TEXT, b"hello".to_vec())] });
    /// assert_eq!(replica.room().index().len(), 1);
    /// ```
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// What time it is, by all that is known.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
    /// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
    /// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
    /// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
    /// # let mut replica = Replica::new(room, config, now);
    /// let now = Now { wall_ms: 1_790_000_000_000, ..now };
    /// assert_eq!(replica.clock(now).stamp_ms, now.wall_ms, "alone the own clock is the time");
    /// ```
    pub fn clock(&self, now: Now) -> Clock {
        self.clocks.read(now)
    }

    /// The peers that are in the room, and their authors.
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
    /// // Bob's node has shown that it knows the room.
    /// assert!(replica.peers().eq([(&Peer::new(b"bob"), bob.author())]));
    /// replica.handle(now, Input::PeerDown(Peer::new(b"bob")));
    /// assert_eq!(replica.peers().count(), 0);
    /// ```
    pub fn peers(&self) -> impl Iterator<Item = (&Peer, AuthorId)> + '_ {
        self.peers.iter().filter_map(|(peer, state)| Some((peer, state.entered.as_ref()?.author)))
    }

    /// How far a peer's clock is ahead of the own, in milliseconds.
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
    /// let hello = Request::Hello(Hello { clock: now.wall_ms + 1500, rooms: List::cut(vec![room]) });
    /// replica.handle(now, Input::Asked { peer: Peer::new(b"bob"), ticket: 2, request: hello });
    /// assert_eq!(replica.clock_offset_ms(now, &Peer::new(b"bob")), Some(1500));
    /// ```
    pub fn clock_offset_ms(&self, now: Now, peer: &Peer) -> Option<i64> {
        self.clocks.offset_ms(now, peer)
    }

    /// Whether some peer has answered that it has every message on disk that was said here since the start.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
    /// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
    /// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
    /// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
    /// # let mut replica = Replica::new(room, config, now);
    /// assert!(replica.delivered(), "nothing was said");
    /// replica.handle(now, Input::Say { ticket: 1, said: vec![(kind::TEXT, b"hello".to_vec())] });
    /// assert!(!replica.delivered(), "nobody else has it yet");
    /// ```
    pub fn delivered(&self) -> bool {
        self.receipts.delivered()
    }

    /// Whose nodes have answered that they have a message on disk, the own author's at another place among them; `None` if
    /// it is not here. Of what was not said here since the start only those who were asked since somebody wanted to know:
    /// see [`Input::WatchReceipts`].
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
    /// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
    /// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
    /// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
    /// # let mut replica = Replica::new(room, config, now);
    /// replica.handle(now, Input::Say { ticket: 1, said: vec![(kind::TEXT, b"hello".to_vec())] });
    /// let key = replica.room().index().select(0).ok_or("nothing was said")?;
    /// assert_eq!(replica.holders(key).map(|holders| holders.count()), Some(0), "nobody else has it yet");
    /// assert!(replica.holders(key.next()).is_none(), "there is no such message");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn holders(&self, key: Key) -> Option<impl Iterator<Item = AuthorId> + '_> {
        self.room.index().contains(&key).then(|| self.receipts.holders(key))
    }

    /// Whether it was said here since the start, and receipts are kept for it: see [`super::MAX_RECEIPTS`].
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
    /// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
    /// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
    /// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
    /// # let mut replica = Replica::new(room, config, now);
    /// # let bob = Keypair::from_seed([2; 32]);
    /// let bobs = replica.room().sign(&bob, &replica.clock(now), kind::TEXT, b"hello".to_vec())?;
    /// replica.handle(now, Input::Frame { peer: Peer::new(b"bob"), ticket: 1, bytes: bobs.bytes().to_vec() });
    /// replica.handle(now, Input::Say { ticket: 1, said: vec![(kind::TEXT, b"hello bob".to_vec())] });
    /// let key = replica.room().index().select(1).ok_or("nothing was said")?;
    /// assert!(replica.is_said(key) && !replica.is_said(bobs.key()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_said(&self, key: Key) -> bool {
        self.receipts.is_said(key)
    }

    /// Answers to this peer bear at most so many bytes of messages or of nodes from now on, but always the first that there
    /// is to bear: what does not fit is asked for anew. A driver that bounds what peers cost has answers shrink by this,
    /// rather than refuse them. Nothing comes of it if the peer is not here.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
    /// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
    /// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
    /// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
    /// # let mut replica = Replica::new(room, config, now);
    /// # use distchat_crdt::{Fingerprint, Timestamp};
    /// # let (bob, id) = (Keypair::from_seed([2; 32]), RoomId([7; 32]));
    /// # let (peer, me) = (Peer::new(b"bob"), Peer::new(b"ana"));
    /// # let (proof, signature) = (proof(&id, &peer, &me), sign_peer(&bob, &peer));
    /// # let enter = Request::Enter(Enter { topic: id.topic(), handle: 2, proof, author: bob.author(), signature });
    /// # replica.handle(now, Input::Asked { peer: peer.clone(), ticket: 1, request: enter });
    /// # replica.handle(now, Input::Say { ticket: 2, said: vec![(kind::TEXT, b"hello".to_vec())] });
    /// # let number = u64::MAX;
    /// # replica.handle(now, Input::Committed { through: number });
    /// replica.limit_answers(&peer, 16 * 1024);
    /// let room = RoomHello { handle: 1, upper: Timestamp::MAX, count: 0, root: Fingerprint([0; 32]) };
    /// let hello = Request::Hello(Hello { clock: now.wall_ms, rooms: List::cut(vec![room]) });
    /// let outputs = replica.handle(now, Input::Asked { peer, ticket: 3, request: hello });
    /// assert!(outputs.iter().all(|output| match output {
    ///     Output::Read { max_bytes, .. } => *max_bytes <= 16 * 1024,
    ///     _ => true,
    /// }));
    /// ```
    pub fn limit_answers(&mut self, peer: &Peer, bytes: usize) {
        if let Some(state) = self.peers.get_mut(peer) {
            state.answer_limit = Some(bytes);
        }
    }

    /// How many bytes of the frame that was judged last were new and authentic, whatever became of it.
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
    /// let frame = || Input::Frame { peer: Peer::new(b"bob"), ticket: 1, bytes: message.bytes().to_vec() };
    /// replica.handle(now, frame());
    /// assert_eq!(replica.new_in_frame(), message.bytes().len());
    /// replica.handle(now, frame());
    /// assert_eq!(replica.new_in_frame(), 0, "it is known by now");
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn new_in_frame(&self) -> usize {
        self.new_in_frame
    }

    pub(super) fn room_id(&self) -> RoomId {
        self.room.id()
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    pub(super) fn offence(&mut self, peer: &Peer, why: &'static str) {
        self.out.push(Output::Offence { peer: peer.clone(), why });
    }

    fn say(&mut self, ticket: Ticket, said: Vec<(u32, Vec<u8>)>) {
        let clock = self.clocks.read(self.now);
        let (commit, result) = self.room.say(self.signer.as_ref(), &clock, said);
        if commit.messages.is_empty() {
            self.out.push(Output::Said { ticket, messages: Vec::new(), error: result.err() });
            return;
        }
        for message in &commit.messages {
            self.receipts.said(message.key());
        }
        self.commit(commit, Origin::Said(ticket, result.err()));
    }

    fn frame(&mut self, peer: Peer, ticket: Ticket, bytes: &[u8]) {
        if self.paused {
            self.new_in_frame = 0;
            self.out.push(Output::Verdict { ticket, verdict: Verdict::Ignore });
            return;
        }
        let messages =
            if bytes.len() > MAX_GOSSIP { Err(DecodeError::Limit("a frame")) } else { Message::decode_all(bytes) };
        let is_run = |messages: &[Message]| messages.windows(2).all(|pair| pair[0].author() == pair[1].author());
        let (verdict, new) = match messages {
            Err(_) => (Verdict::Reject, 0),
            // Nobody publishes what others have said. It would go through the mesh in the name of the first of them.
            Ok(messages) if !is_run(&messages) => {
                let is_foreign = messages.iter().any(|message| message.room() != self.room_id());
                (if is_foreign { Verdict::Reject } else { Verdict::Ignore }, 0)
            }
            Ok(messages) => match self.merge(messages, Origin::Peer(peer.clone())) {
                Ok(Gain { messages: 0, .. }) => (Verdict::Ignore, 0),
                Ok(gain) => {
                    self.asking.heard_at = Some(self.now.mono);
                    // Or one new message would take a frame full of old ones through the whole mesh.
                    let verdict = if 2 * gain.bytes >= bytes.len() { Verdict::Accept } else { Verdict::Ignore };
                    (verdict, gain.bytes)
                }
                Err(Foreign) => (Verdict::Reject, 0),
            },
        };
        self.new_in_frame = new;
        self.out.push(Output::Verdict { ticket, verdict });
        if verdict == Verdict::Reject {
            self.offence(&peer, "a malformed frame of gossip");
        }
    }

    /// Merges messages of a peer; what was new.
    pub(super) fn merge(&mut self, messages: Vec<Message>, origin: Origin) -> Result<Gain, Foreign> {
        let merged = self.merge_any(messages, origin);
        if merged.foreign > 0 { Err(Foreign) } else { Ok(merged.gain) }
    }

    /// Merges messages: the one way by which any that were not said here come in.
    pub(super) fn merge_any(&mut self, messages: Vec<Message>, origin: Origin) -> Merged {
        let merge = self.room.merge(messages);
        let new = &merge.commit.messages;
        let bytes = new.iter().map(|message| message.bytes().len()).sum();
        let gain = Gain { messages: new.len(), bytes, unvouched: merge.unauthentic_bytes };
        if let (Origin::Peer(peer), false) = (&origin, merge.commit.claims_added.is_empty()) {
            let claims = merge.commit.claims_added.iter().map(|claim| claim.key).collect();
            self.ask_for_claims(peer.clone(), claims);
        }
        if gain.messages > 0 {
            self.commit(merge.commit, origin);
        }
        Merged { gain, duplicates: merge.duplicates, unauthentic: merge.unauthentic, foreign: merge.foreign }
    }

    /// The number of the newest commit on its way.
    pub(super) fn last_commit(&self) -> u64 {
        self.uncommitted.back().map_or(0, |commit| commit.number)
    }

    /// Hands a commit to the store.
    fn commit(&mut self, commit: Commit, origin: Origin) {
        let number = self.number();
        let bytes = commit.messages.iter().map(|message| message.bytes().len()).sum();
        self.uncommitted_bytes += bytes;
        self.uncommitted_keys.extend(commit.messages.iter().map(Message::key));
        self.asking.changed(self.now, &mut self.rng);
        self.uncommitted.push_back(Uncommitted { number, messages: commit.messages.clone(), bytes, origin });
        self.out.push(Output::Commit { number, commit });
        if Bug::AcknowledgesUnsynced.is_planted() {
            self.committed(number);
        }
    }

    /// Commits are on disk: whoever waited for them is told, and only now does anybody hear of own messages.
    fn committed(&mut self, through: u64) {
        let mut own = Vec::new();
        while let Some(commit) = self.uncommitted.pop_front_if(|commit| commit.number <= through) {
            self.uncommitted_bytes -= commit.bytes;
            for message in &commit.messages {
                self.uncommitted_keys.remove(&message.key());
            }
            let from = match commit.origin {
                Origin::Said(ticket, error) => {
                    own.extend_from_slice(&commit.messages);
                    self.receipts.stored(self.now.mono, commit.messages.len());
                    self.out.push(Output::Said { ticket, messages: commit.messages.clone(), error });
                    None
                }
                Origin::Import => None,
                Origin::Peer(peer) => Some(peer),
                Origin::Offer(peer, ticket) => {
                    let response = Response::Offered(u32::try_from(commit.messages.len()).unwrap_or(u32::MAX));
                    self.out.push(Output::Answer { ticket, response });
                    Some(peer)
                }
            };
            self.out.push(Output::Stored { messages: commit.messages, from });
        }
        self.publish(&own);
        self.release_reads(through);
        self.pump();
    }

    /// Spreads own messages in as few frames as they fit: the last one's signature answers for the others.
    fn publish(&mut self, own: &[Message]) {
        let mut frame = Vec::new();
        for message in own {
            if !frame.is_empty() && frame.len() + message.bytes().len() > MAX_GOSSIP {
                self.out.push(Output::Publish { frame: std::mem::take(&mut frame) });
            }
            frame.extend_from_slice(message.bytes());
        }
        if !frame.is_empty() {
            self.out.push(Output::Publish { frame });
        }
    }

    pub(super) fn random(&mut self) -> u64 {
        self.rng.random()
    }
}

/// How many messages were new, and of how many bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gain {
    pub(super) messages: usize,
    pub(super) bytes: usize,
    /// Of how many bytes those were that nobody had signed or vouched for.
    pub(super) unvouched: usize,
}

/// What became of messages that were merged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Merged {
    pub(super) gain: Gain,
    pub(super) duplicates: usize,
    pub(super) unauthentic: usize,
    pub(super) foreign: usize,
}

/// Messages of another room were among those merged.
#[derive(Debug)]
pub(super) struct Foreign;

//! The room: a grow-only set of messages with one total order.
//!
//! # What is state
//! The set of accepted messages is the only state. Everything else here is a function of that set, kept so that it
//! need not be computed again: the index and its fingerprint, the heads, the holes, the authors' logs. So merging is
//! set union, and replicas that accepted the same set agree on all of it, whatever the order, the repetition and the
//! batching in which the messages came.
//!
//! # What is accepted
//! The least set that satisfies: a well-formed message of this room is accepted if its signature verifies, or if an
//! accepted message of the same author names it as `prev` with a sequence number one higher. That message's author
//! has then *vouched* for exactly these bytes, under a signature that did verify.
//! Both conditions depend on bytes alone, so the accepted set is a function of the bytes received. What fails is
//! forgotten: it may come again once it is vouched for.

mod apply;
mod authenticity;
mod batch;
mod holes;
mod own;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    AuthorId, AuthorLog, Claim, Commit, DecodeError, Draft, Fingerprint, Key, MAX_SEEN, Message, RoomId, Snapshot,
    Timestamp, Verifier, clock::Clock, index::Index, plant::Bug, sign::Signer,
};
use batch::Batch;
use holes::Holes;
pub use holes::{MAX_SEEN_CLAIMS, MAX_SEEN_CLAIMS_PER_AUTHOR};
pub use own::MAX_OWN_TIPS;
use own::OwnTips;

/// A room's accepted messages, without their bodies.
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
/// # let ana = Keypair::from_seed([1; 32]);
/// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
/// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
/// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
/// // Merging is set union: once or often, the room is the same.
/// room.merge(vec![message.clone()]);
/// let fingerprint = room.fingerprint();
/// room.merge(vec![message.clone(), message]);
/// assert_eq!((room.index().len(), room.fingerprint()), (1, fingerprint));
/// # Ok::<(), distchat_crdt::DecodeError>(())
/// ```
pub struct Room {
    id: RoomId,
    index: Index,
    /// Accepted messages that no accepted message refers to.
    heads: BTreeSet<Key>,
    holes: Holes,
    authors: BTreeMap<AuthorId, AuthorLog>,
    own: OwnTips,
    verifier: Arc<dyn Verifier>,
}

/// What a merge did.
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
/// # let ana = Keypair::from_seed([1; 32]);
/// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
/// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
/// # let elsewhere = Room::new(RoomId([8; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
/// let hello = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
/// let strange = elsewhere.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
/// let merge = room.merge(vec![hello.clone(), hello, strange]);
/// assert_eq!((merge.commit.messages.len(), merge.duplicates, merge.foreign), (1, 1, 1));
/// # Ok::<(), distchat_crdt::DecodeError>(())
/// ```
#[derive(Debug, Default)]
pub struct Merge {
    /// What changed, for the store. Nothing changed if it has no messages.
    pub commit: Commit,
    /// Messages that were held already.
    pub duplicates: usize,
    /// Messages whose signature does not verify and that nobody vouched for. No fault of who passed them on.
    pub unauthentic: usize,
    /// Of how many bytes these are.
    pub unauthentic_bytes: usize,
    /// Messages of other rooms. Whoever sent them broke the protocol.
    pub foreign: usize,
}

impl Room {
    /// An empty room, seen by `own`.
    ///
    /// ```
    /// use distchat_crdt::{Keypair, Room, RoomId, RoomName, Signer, Zip215};
    /// use std::sync::Arc;
    ///
    /// let ana = Keypair::from_seed([1; 32]);
    /// let id = RoomId::of(&RoomName::parse("general")?);
    /// let room = Room::new(id, ana.author(), Arc::new(Zip215::new([9; 32])));
    /// assert!(room.index().is_empty());
    /// # Ok::<(), distchat_crdt::RoomNameError>(())
    /// ```
    pub fn new(id: RoomId, own: AuthorId, verifier: Arc<dyn Verifier>) -> Self {
        Self {
            id,
            index: Index::default(),
            heads: BTreeSet::new(),
            holes: Holes::default(),
            authors: BTreeMap::new(),
            own: OwnTips::new(own),
            verifier,
        }
    }

    /// The room as a store kept it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// use distchat_crdt::Snapshot;
    ///
    /// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
    /// room.merge(vec![message.clone()]);
    /// let key = message.key();
    /// let authors = room.authors().iter().map(|(author, log)| (*author, log.clone())).collect();
    /// let snapshot = Snapshot { keys: vec![key], heads: vec![key], authors, own: vec![(key, 0)], ..Snapshot::default() };
    /// let restored = Room::restore(room.id(), ana.author(), Arc::new(Zip215::new([9; 32])), snapshot);
    /// assert_eq!(restored.fingerprint(), room.fingerprint());
    /// assert_eq!((restored.heads(), restored.authors()), (room.heads(), room.authors()));
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn restore(id: RoomId, own: AuthorId, verifier: Arc<dyn Verifier>, mut snapshot: Snapshot) -> Self {
        let mut index = Index::default();
        index.insert_ascending(&std::mem::take(&mut snapshot.keys));
        Self::restore_indexed(id, own, verifier, index, snapshot)
    }

    /// The same, for a store that makes the index while it reads the keys. The snapshot's own list of keys is ignored.
    ///
    /// ```
    /// use distchat_crdt::{Key, Keypair, MessageId, Room, RoomId, Signer, Snapshot, Timestamp, Zip215, index::Index};
    /// use std::sync::Arc;
    ///
    /// let stored = (1..=2000).map(|time| Key { time: Timestamp(time), id: MessageId([0; 32]) });
    /// let mut index = Index::default();
    /// for page in stored.collect::<Vec<_>>().chunks(1000) {
    ///     index.insert_ascending(page);
    /// }
    /// let (ana, verifier) = (Keypair::from_seed([1; 32]).author(), Arc::new(Zip215::new([9; 32])));
    /// let room = Room::restore_indexed(RoomId([7; 32]), ana, verifier, index, Snapshot::default());
    /// assert_eq!(room.index().len(), 2000);
    /// ```
    pub fn restore_indexed(
        id: RoomId,
        own: AuthorId,
        verifier: Arc<dyn Verifier>,
        index: Index,
        snapshot: Snapshot,
    ) -> Self {
        let mut room = Self::new(id, own, verifier);
        room.index = index;
        room.heads = snapshot.heads.into_iter().collect();
        for claim in snapshot.claims {
            if !Bug::HolesNotRestored.is_planted() {
                room.holes.add(claim);
            }
        }
        room.authors = snapshot.authors.into_iter().collect();
        for (key, seq) in snapshot.own {
            if !Bug::OwnChainNotRestored.is_planted() {
                room.own.insert(key, seq);
            }
        }
        room
    }

    /// More of the keys that a store kept, in ascending order, where [`Snapshot::keys`] was only the first of them: so that
    /// not all need to be in memory at once. To be called before anything else is done with the room, and with keys that
    /// ascend strictly, as for [`Index::insert_ascending`].
    ///
    /// ```
    /// use distchat_crdt::{Key, Keypair, MessageId, Room, RoomId, Signer, Snapshot, Timestamp, Zip215};
    /// use std::sync::Arc;
    ///
    /// let keys: Vec<Key> = (1..=30).map(|time| Key { time: Timestamp(time), id: MessageId([0; 32]) }).collect();
    /// let snapshot = Snapshot { keys: keys[..10].to_vec(), ..Snapshot::default() };
    /// let (ana, verifier) = (Keypair::from_seed([1; 32]).author(), Arc::new(Zip215::new([9; 32])));
    /// let mut room = Room::restore(RoomId([7; 32]), ana, verifier, snapshot);
    /// for page in keys[10..].chunks(10) {
    ///     room.restore_keys(page);
    /// }
    /// assert_eq!(room.index().len(), 30);
    /// ```
    pub fn restore_keys(&mut self, keys: &[Key]) {
        self.index.insert_ascending(keys);
    }

    /// Takes in messages of any origin, in any order.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// # let mut other = Room::new(room.id(), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// let (commit, said) = room.say(&ana, &clock, vec![(kind::TEXT, b"one".to_vec()), (kind::TEXT, b"two".to_vec())]);
    /// said?;
    /// for message in commit.messages.into_iter().rev() {
    ///     let merge = other.merge(vec![message]);
    ///     assert_eq!((merge.commit.messages.len(), merge.unauthentic), (1, 0));
    /// }
    /// assert_eq!(other.fingerprint(), room.fingerprint());
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn merge(&mut self, messages: Vec<Message>) -> Merge {
        let given = messages.len();
        let mut candidates = messages;
        candidates.retain(|message| message.room() == self.id);
        let foreign = given - candidates.len();
        if !candidates.is_sorted_by(|a, b| a.key_ref() < b.key_ref()) {
            candidates.sort_unstable_by(|a, b| a.key_ref().cmp(b.key_ref()));
            candidates.dedup();
        }
        // What comes behind or before all that is held, as most does, need not be looked for one by one.
        let overlaps = match &candidates[..] {
            [first, .., last] => self.index.rank(first.key_ref()) < self.index.rank(&last.key_ref().next()),
            _ => true,
        };
        candidates.retain(|message| !overlaps || !self.index.contains(message.key_ref()));
        let duplicates = given - foreign - candidates.len();

        // As gossip brings them to an idle node.
        if let [message] = &candidates[..] {
            if !authenticity::is_authentic(message, &self.holes, self.verifier.as_ref()) {
                let unauthentic_bytes = message.bytes().len();
                return Merge { duplicates, unauthentic: 1, unauthentic_bytes, foreign, ..Merge::default() };
            }
            let mut commit = self.apply_one(message);
            commit.messages = candidates;
            return Merge { commit, duplicates, foreign, ..Merge::default() };
        }
        let batch = Batch::new(candidates);
        let accepted = authenticity::judge(&batch, &self.holes, self.verifier.as_ref());
        let unauthentic = batch.messages().len() - accepted.len();
        let all_bytes: usize = batch.messages().iter().map(|message| message.bytes().len()).sum();
        let mut commit = self.apply(&batch, &accepted);
        commit.messages = batch.into_order(&accepted);
        let bytes: usize = commit.messages.iter().map(|message| message.bytes().len()).sum();
        Merge { commit, duplicates, unauthentic, unauthentic_bytes: all_bytes - bytes, foreign }
    }

    /// Signs and takes in what this node's author says, one thing after the other.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// use distchat_crdt::{DecodeError, MAX_BODY};
    ///
    /// let said = vec![(kind::TEXT, b"hello".to_vec()), (kind::TEXT, vec![0; MAX_BODY + 1])];
    /// let (commit, result) = room.say(&ana, &clock, said);
    /// assert_eq!(commit.messages[0].body(), b"hello", "what was said before stands");
    /// assert_eq!(result, Err(DecodeError::Limit("body")));
    /// ```
    ///
    /// # Errors
    /// As for [`Room::sign`]. What was said before the one that failed is in the commit; the rest is not said.
    pub fn say(
        &mut self,
        signer: &dyn Signer,
        clock: &Clock,
        said: Vec<(u32, Vec<u8>)>,
    ) -> (Commit, Result<(), DecodeError>) {
        let mut changes = Commit::default();
        let mut result = Ok(());
        for (kind, body) in said {
            match self.sign(signer, clock, kind, body) {
                Ok(message) => {
                    changes.follow(self.apply_one(&message));
                    changes.messages.push(message);
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        (changes, result)
    }

    /// The next message of this node's author: it follows what is held and not future-dated.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// let first = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
    /// assert!(room.index().is_empty(), "it is not taken in");
    /// room.merge(vec![first.clone()]);
    /// let second = room.sign(&ana, &clock, kind::TEXT, b"anybody here?".to_vec())?;
    /// assert_eq!((second.seq(), second.prev()), (1, Some(first.key())));
    /// assert!(second.time() > first.time(), "even within one millisecond");
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// If the clock or the sequence number has come to its end, which honest clocks never do.
    pub fn sign(&self, signer: &dyn Signer, clock: &Clock, kind: u32, body: Vec<u8>) -> Result<Message, DecodeError> {
        let follow = Key::last_of(clock.follow);
        let prev = self.own.newest_to(&Key::last_of(clock.follow_own));
        let newest = self.index.last_to(&follow).max(prev.map(|(key, _)| key)).map_or(Timestamp(0), |key| key.time);
        let time = Timestamp::from_millis(clock.stamp_ms).max(Timestamp(newest.0 + 1));
        let mut seen: Vec<Key> = self
            .heads
            .range(..=follow)
            .rev()
            .copied()
            .filter(|key| Some(*key) != prev.map(|(key, _)| key))
            .take(MAX_SEEN)
            .collect();
        seen.reverse();
        let draft = Draft {
            room: self.id,
            seq: prev.map_or(0, |(_, seq)| seq + 1),
            time,
            prev: prev.map(|(key, _)| key),
            seen,
            kind,
            body,
        };
        draft.sign(signer)
    }

    /// The room's id.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// assert_eq!(room.id(), RoomId([7; 32]));
    /// ```
    pub fn id(&self) -> RoomId {
        self.id
    }

    /// Whose node this is.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// assert_eq!(room.own_author(), ana.author());
    /// ```
    pub fn own_author(&self) -> AuthorId {
        self.own.author()
    }

    /// How messages are judged here.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// let signature = ana.sign(b"hello");
    /// assert!(room.verifier().verify(&ana.author(), b"hello", &signature));
    /// ```
    pub fn verifier(&self) -> &dyn Verifier {
        self.verifier.as_ref()
    }

    /// All keys.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// use distchat_crdt::{Key, Timestamp};
    ///
    /// let (commit, said) = room.say(&ana, &clock, vec![(kind::TEXT, b"one".to_vec()), (kind::TEXT, b"two".to_vec())]);
    /// said?;
    /// let newest = room.index().newest(&Key::MIN, &Key::last_of(Timestamp::MAX), 1);
    /// assert_eq!(newest, [commit.messages[1].key()]);
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Equal to another replica's if and only if the transcripts are.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// let before = room.fingerprint();
    /// room.say(&ana, &clock, vec![(kind::TEXT, b"hello".to_vec())]).1?;
    /// assert_ne!(room.fingerprint(), before);
    /// assert_eq!(room.fingerprint(), room.index().root());
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn fingerprint(&self) -> Fingerprint {
        self.index.root()
    }

    /// Messages that no other refers to.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// let (commit, said) = room.say(&ana, &clock, vec![(kind::TEXT, b"one".to_vec()), (kind::TEXT, b"two".to_vec())]);
    /// said?;
    /// assert!(room.heads().iter().eq([&commit.messages[1].key()]), "the second refers to the first");
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn heads(&self) -> &BTreeSet<Key> {
        &self.heads
    }

    /// How many messages are referred to but not held.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// # let mut other = Room::new(room.id(), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// let (commit, said) = room.say(&ana, &clock, vec![(kind::TEXT, b"one".to_vec()), (kind::TEXT, b"two".to_vec())]);
    /// said?;
    /// let [one, two] = [0, 1].map(|at| commit.messages[at].clone());
    /// other.merge(vec![two]);
    /// assert_eq!(other.missing(), 1);
    /// other.merge(vec![one]);
    /// assert_eq!(other.missing(), 0);
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn missing(&self) -> u64 {
        self.holes.len() as u64
    }

    /// How many messages that author refers to which are not held.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// # let mut other = Room::new(room.id(), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// let (commit, said) = room.say(&ana, &clock, vec![(kind::TEXT, b"one".to_vec()), (kind::TEXT, b"two".to_vec())]);
    /// said?;
    /// other.merge(vec![commit.messages[1].clone()]);
    /// let bob = Keypair::from_seed([2; 32]);
    /// assert_eq!((other.missing_by(&ana.author()), other.missing_by(&bob.author())), (1, 0));
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn missing_by(&self, author: &AuthorId) -> u64 {
        self.holes.of(author) as u64
    }

    /// Whether the message is referred to but not held.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// # let mut other = Room::new(room.id(), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// let (commit, said) = room.say(&ana, &clock, vec![(kind::TEXT, b"one".to_vec()), (kind::TEXT, b"two".to_vec())]);
    /// said?;
    /// let [one, two] = [0, 1].map(|at| commit.messages[at].clone());
    /// other.merge(vec![two.clone()]);
    /// assert!(other.is_missing(&one.key()));
    /// assert!(!other.is_missing(&two.key()), "it is here");
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn is_missing(&self, key: &Key) -> bool {
        self.holes.contains(key)
    }

    /// Messages referred to but not held, ascending, with who refers to each.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// # let mut other = Room::new(room.id(), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// let (commit, said) = room.say(&ana, &clock, vec![(kind::TEXT, b"one".to_vec()), (kind::TEXT, b"two".to_vec())]);
    /// said?;
    /// let [one, two] = [0, 1].map(|at| commit.messages[at].clone());
    /// other.merge(vec![two]);
    /// let holes: Vec<_> = other.holes().map(|claim| (claim.key, claim.author)).collect();
    /// assert_eq!(holes, [(one.key(), ana.author())], "ana says that there is one");
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn holes(&self) -> impl Iterator<Item = Claim> + '_ {
        self.holes.claims()
    }

    /// How many claims were not remembered because there were too many. Zero unless somebody makes them up.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// room.say(&ana, &clock, vec![(kind::TEXT, b"hello".to_vec())]).1?;
    /// assert_eq!(room.claims_forgotten(), 0);
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn claims_forgotten(&self) -> u64 {
        self.holes.forgotten()
    }

    /// The authors and what is held of each.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// room.say(&ana, &clock, vec![(kind::TEXT, b"one".to_vec()), (kind::TEXT, b"two".to_vec())]).1?;
    /// assert_eq!(room.authors().get(&ana.author()).map(|log| log.count()), Some(2));
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    pub fn authors(&self) -> &BTreeMap<AuthorId, AuthorLog> {
        &self.authors
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room")
            .field("id", &self.id)
            .field("messages", &self.index.len())
            .field("heads", &self.heads)
            .field("missing", &self.missing())
            .finish_non_exhaustive()
    }
}

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

mod authenticity;
mod holes;
mod own;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    AuthorId, AuthorLog, Claim, Commit, DecodeError, Draft, Fingerprint, Key, MAX_SEEN, Message, RoomId, Snapshot,
    Timestamp, Verifier, clock::Clock, index::Index, sign::Signer,
};
use holes::Holes;
pub use holes::{MAX_SEEN_CLAIMS, MAX_SEEN_CLAIMS_PER_AUTHOR};
pub use own::MAX_OWN_TIPS;
use own::OwnTips;

/// A room's accepted messages, without their bodies.
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
#[derive(Debug, Default)]
pub struct Merge {
    /// What changed, for the store. Nothing changed if it has no messages.
    pub commit: Commit,
    /// Messages that were held already.
    pub duplicates: usize,
    /// Messages whose signature does not verify and that nobody vouched for. No fault of who passed them on.
    pub unauthentic: usize,
    /// Messages of other rooms. Whoever sent them broke the protocol.
    pub foreign: usize,
}

impl Room {
    /// An empty room, seen by `own`.
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
    pub fn restore(id: RoomId, own: AuthorId, verifier: Arc<dyn Verifier>, mut snapshot: Snapshot) -> Self {
        let index = std::mem::take(&mut snapshot.keys).into_iter().collect();
        Self::restore_indexed(id, own, verifier, index, snapshot)
    }

    /// The same, for a store that makes the index while it reads the keys. The snapshot's own list of keys is ignored.
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
            room.holes.add(claim);
        }
        room.authors = snapshot.authors.into_iter().collect();
        for (key, seq) in snapshot.own {
            room.own.insert(key, seq);
        }
        room
    }

    /// Takes in messages of any origin, in any order.
    pub fn merge(&mut self, messages: Vec<Message>) -> Merge {
        let mut merge = Merge::default();
        let mut candidates = messages;
        let given = candidates.len();
        candidates.retain(|message| message.room() == self.id);
        merge.foreign = given - candidates.len();
        candidates.sort_unstable_by_key(Message::key);
        candidates.dedup();
        candidates.retain(|message| !self.index.contains(&message.key()));
        merge.duplicates = given - merge.foreign - candidates.len();

        let accepted = authenticity::judge(&candidates, &self.holes, self.verifier.as_ref());
        merge.unauthentic = candidates.len() - accepted.len();
        let order = accepted.iter().filter_map(|at| candidates.get(*at).cloned()).collect();
        let mut ascending = accepted;
        ascending.sort_unstable();
        merge.commit = self.apply(ascending.iter().filter_map(|at| candidates.get(*at)));
        merge.commit.messages = order;
        merge
    }

    /// Signs and takes in what this node's author says, one thing after the other.
    ///
    /// # Errors
    /// As for [`Room::sign`]. What was said before the one that failed is in the commit; the rest is not said.
    pub fn say(
        &mut self,
        signer: &dyn Signer,
        clock: &Clock,
        said: Vec<(u32, Vec<u8>)>,
    ) -> (Commit, Result<(), DecodeError>) {
        let mut changes = Changes::default();
        let mut messages = Vec::with_capacity(said.len());
        let mut result = Ok(());
        for (kind, body) in said {
            match self.sign(signer, clock, kind, body) {
                Ok(message) => {
                    changes.take(self, &message);
                    messages.push(message);
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        let mut commit = changes.finish(self);
        commit.messages = messages;
        (commit, result)
    }

    /// Makes new, accepted messages part of all derived state. They come in ascending order, for then most of what
    /// they refer to is held, and the changes stay few.
    fn apply<'a>(&mut self, ascending: impl Iterator<Item = &'a Message>) -> Commit {
        let mut changes = Changes::default();
        for message in ascending {
            changes.take(self, message);
        }
        changes.finish(self)
    }

    /// The next message of this node's author: it follows what is held and not future-dated.
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
    pub fn id(&self) -> RoomId {
        self.id
    }

    /// Whose node this is.
    pub fn own_author(&self) -> AuthorId {
        self.own.author()
    }

    /// How messages are judged here.
    pub fn verifier(&self) -> &dyn Verifier {
        self.verifier.as_ref()
    }

    /// All keys.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Equal to another replica's if and only if the transcripts are.
    pub fn fingerprint(&self) -> Fingerprint {
        self.index.root()
    }

    /// Messages that no other refers to.
    pub fn heads(&self) -> &BTreeSet<Key> {
        &self.heads
    }

    /// How many messages are referred to but not held.
    pub fn missing(&self) -> u64 {
        self.holes.len() as u64
    }

    /// Whether the message is referred to but not held.
    pub fn is_missing(&self, key: &Key) -> bool {
        self.holes.contains(key)
    }

    /// Messages referred to but not held, ascending, with who refers to each.
    pub fn holes(&self) -> impl Iterator<Item = Claim> + '_ {
        self.holes.claims()
    }

    /// How many claims were not remembered because there were too many. Zero unless somebody makes them up.
    pub fn claims_forgotten(&self) -> u64 {
        self.holes.forgotten()
    }

    /// The authors and what is held of each.
    pub fn authors(&self) -> &BTreeMap<AuthorId, AuthorLog> {
        &self.authors
    }
}

/// What becomes different while messages are taken in.
#[derive(Default)]
struct Changes {
    commit: Commit,
    heads_added: BTreeSet<Key>,
    authors: BTreeSet<AuthorId>,
}

impl Changes {
    fn take(&mut self, room: &mut Room, message: &Message) {
        let (key, author) = (message.key(), message.author());
        room.index.insert(key);
        if room.holes.fill(&key) {
            self.commit.holes_filled.push(key);
        } else {
            room.heads.insert(key);
            self.heads_added.insert(key);
        }
        for (position, named) in message.refs().enumerate() {
            if room.heads.remove(&named) {
                if !self.heads_added.remove(&named) {
                    self.commit.heads_removed.push(named);
                }
            } else if !room.index.contains(&named) {
                let vouches = position == 0 && message.prev().is_some();
                let vouched_seq = vouches.then(|| message.seq() - 1);
                let claim = Claim { key: named, author, vouched_seq };
                if room.holes.add(claim) {
                    self.commit.claims_added.push(claim);
                }
            }
        }
        room.authors.entry(author).or_default().insert(message.seq());
        self.authors.insert(author);
        if author == room.own.author() {
            room.own.insert(key, message.seq());
        }
    }

    fn finish(self, room: &Room) -> Commit {
        let log = |author: AuthorId| Some((author, room.authors.get(&author)?.clone()));
        Commit {
            heads_added: self.heads_added.into_iter().collect(),
            authors: self.authors.into_iter().filter_map(log).collect(),
            ..self.commit
        }
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

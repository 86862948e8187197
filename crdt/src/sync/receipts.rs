//! Receipts: on whose disks, besides the own, is what was said here.
//!
//! What counts is an answer to a *have*, which is given from committed data only, and it counts for the author whose key has
//! signed the peer's id on entering the room: several processes of one author are one.
//!
//! What was said since the start is asked after in the order in which it was said, so that up to where is all there is to
//! remember of each author. Whatever else somebody wants to know of, such as what was said before, is asked after by key.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Have, List, MAX_HAVE_KEYS, Output, Peer, Replica, Request, asking::InFlight, short::bit};
use crate::{AuthorId, Key};

/// How many own messages receipts are kept for. Whoever says more in one run waits out the linger time instead.
pub const MAX_RECEIPTS: usize = 1 << 18;
/// How many other messages are asked after at a time: some screens full. The one not wanted for the longest time makes room.
pub const MAX_LOOKED_UP: usize = 256;
/// How many authors' receipts are kept. Whoever makes up more of them is not believed more.
const MAX_HOLDERS: usize = 1 << 14;
/// How many authors' receipts are kept for each message that is asked after by key.
const MAX_LOOKED_UP_HOLDERS: usize = 1 << 8;
/// How long peers are asked after somebody last wanted to know.
const WATCH: Duration = Duration::from_secs(10);
/// How long to wait before those that lacked something are asked again, the first time and at most: twice as long each time
/// that nobody has confirmed anything new.
const PATIENCE: Duration = Duration::from_millis(25);
const MAX_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Receipts {
    /// What was said since the start, in that order, which is not that of the keys: a clock may have been put right since.
    said: Vec<Key>,
    /// Where in `said` each is.
    places: BTreeMap<Key, usize>,
    /// How many of them are on the own disk. Nobody has heard of the others.
    stored: usize,
    /// More was said than is kept.
    overflowed: bool,
    /// How many of them each author's node has confirmed, from the first.
    confirmed: BTreeMap<AuthorId, usize>,
    /// What else somebody wanted to know of.
    looked_up: BTreeMap<Key, LookedUp>,
    /// How many of these each author's node has confirmed.
    looked_up_on: BTreeMap<AuthorId, usize>,
    /// How often somebody did.
    wanted: u64,
    watched_until: Duration,
    next: Duration,
    /// How often peers were asked in vain.
    in_vain: u32,
    /// Peers that have been asked and have not answered.
    asked: BTreeSet<Peer>,
}

/// A message that is asked after by key.
#[derive(Debug, Default)]
struct LookedUp {
    /// When it was last wanted.
    wanted: u64,
    /// Who has it.
    on: BTreeSet<AuthorId>,
}

impl LookedUp {
    fn is_open(&self, author: &AuthorId) -> bool {
        self.on.len() < MAX_LOOKED_UP_HOLDERS && !self.on.contains(author)
    }
}

impl Receipts {
    /// Receipts for what was said before, and for what will be.
    pub(super) fn new(said: Vec<Key>) -> Self {
        let overflowed = said.len() > MAX_RECEIPTS;
        let places = said.iter().enumerate().map(|(place, key)| (*key, place)).collect();
        Self { stored: said.len(), said, places, overflowed, ..Self::default() }
    }

    pub(super) fn said(&mut self, key: Key) {
        if self.said.len() < MAX_RECEIPTS {
            self.places.insert(key, self.said.len());
            self.said.push(key);
        } else {
            self.overflowed = true;
        }
    }

    /// So many more of what was said are on the own disk, and on their way to the peers.
    pub(super) fn stored(&mut self, now: Duration, messages: usize) {
        self.stored = (self.stored + messages).min(self.said.len());
        self.in_vain = 0;
        self.next = self.next.min(now + PATIENCE);
    }

    pub(super) fn delivered(&self) -> bool {
        let all = self.said.len();
        all == 0 || (!self.overflowed && self.confirmed.values().any(|confirmed| *confirmed == all))
    }

    /// Somebody wants to know of these.
    fn look_up(&mut self, keys: impl Iterator<Item = Key>) {
        self.wanted += 1;
        for key in keys {
            if self.is_said(key) {
                continue;
            }
            let new = !self.looked_up.contains_key(&key);
            self.looked_up.entry(key).or_default().wanted = self.wanted;
            if new && self.looked_up.len() > MAX_LOOKED_UP {
                self.make_room();
            }
            if new {
                // There is something that nobody was asked for in vain.
                self.in_vain = 0;
                self.next = Duration::ZERO;
            }
        }
    }

    /// Forgets what was not wanted for the longest time.
    fn make_room(&mut self) {
        let oldest = self.looked_up.iter().min_by_key(|(_, looked_up)| looked_up.wanted).map(|(key, _)| *key);
        let forgotten = oldest.and_then(|key| self.looked_up.remove(&key)).unwrap_or_default();
        for author in forgotten.on {
            if let Some(count) = self.looked_up_on.get_mut(&author) {
                *count -= 1;
            }
        }
        self.looked_up_on.retain(|_, count| *count > 0);
    }

    /// An author's node has these; those of them that this is news of.
    fn hold(&mut self, author: AuthorId, mut keys: Vec<Key>) -> Vec<Key> {
        keys.retain(|key| self.looked_up.get_mut(key).is_some_and(|looked_up| looked_up.on.insert(author)));
        if !keys.is_empty() {
            *self.looked_up_on.entry(author).or_default() += keys.len();
        }
        keys
    }

    /// Whether it was said since the start, and is remembered.
    pub(super) fn is_said(&self, key: Key) -> bool {
        self.places.contains_key(&key)
    }

    /// Who has confirmed to have that message, as far as somebody wanted to know.
    pub(super) fn holders(&self, key: Key) -> impl Iterator<Item = AuthorId> + '_ {
        let at = self.places.get(&key).copied();
        let of_said = at.into_iter().flat_map(|at| {
            self.confirmed.iter().filter(move |(_, confirmed)| **confirmed > at).map(|(author, _)| *author)
        });
        of_said.chain(self.looked_up.get(&key).into_iter().flat_map(|looked_up| looked_up.on.iter().copied()))
    }

    /// Whether that author could confirm more.
    fn is_open(&self, author: &AuthorId) -> bool {
        let looked_up_on = self.looked_up_on.get(author).copied().unwrap_or_default();
        self.confirmed(author) < self.stored || looked_up_on < self.looked_up.len()
    }

    fn confirmed(&self, author: &AuthorId) -> usize {
        self.confirmed.get(author).copied().unwrap_or_default()
    }
}

/// What a peer was asked to confirm.
#[derive(Clone, Debug)]
pub(super) struct AskedReceipts {
    author: AuthorId,
    /// From where on of what was said.
    from: usize,
    /// How many of that.
    count: usize,
    /// What else.
    others: Vec<Key>,
}

impl Replica {
    /// When to ask again, if somebody wants to know and somebody could tell more.
    pub(super) fn receipts_deadline(&self) -> Option<Duration> {
        let receipts = &self.receipts;
        let watched = self.now.mono < receipts.watched_until;
        (watched && self.peers().any(|(peer, author)| !receipts.asked.contains(peer) && receipts.is_open(&author)))
            .then_some(receipts.next)
    }

    pub(super) fn watch_receipts(&mut self, of: &[Key]) {
        self.receipts.watched_until = self.now.mono + WATCH;
        let index = self.room.index();
        self.receipts.look_up(of.iter().filter(|key| index.contains(key)).take(MAX_LOOKED_UP).copied());
        self.ask_receipts();
    }

    /// Asks every peer in the room for what it has not confirmed.
    pub(super) fn ask_receipts(&mut self) {
        let now = self.now.mono;
        if self.receipts_deadline().is_none_or(|next| next > now) {
            return;
        }
        self.receipts.next = now + (PATIENCE * (1 << self.receipts.in_vain.min(8))).min(MAX_PATIENCE);
        self.receipts.in_vain += 1;
        let peers: Vec<(Peer, u32, AuthorId)> = self
            .peers
            .iter()
            .filter(|(peer, _)| !self.receipts.asked.contains(peer))
            .filter_map(|(peer, state)| {
                let entered = state.entered.as_ref()?;
                Some((peer.clone(), entered.handle, entered.author))
            })
            .collect();
        for (peer, handle, author) in peers {
            let from = self.receipts.confirmed(&author);
            let waiting = self.receipts.said.iter().take(self.receipts.stored).skip(from);
            let mut keys: Vec<Key> = waiting.take(MAX_HAVE_KEYS).copied().collect();
            let count = keys.len();
            let looked_up = self.receipts.looked_up.iter().filter(|(_, looked_up)| looked_up.is_open(&author));
            let others: Vec<Key> = looked_up.map(|(key, _)| *key).take(MAX_HAVE_KEYS - count).collect();
            keys.extend_from_slice(&others);
            if keys.is_empty() {
                continue;
            }
            self.receipts.asked.insert(peer.clone());
            let asked = AskedReceipts { author, from, count, others };
            self.ask(&peer, InFlight::Have(asked), Request::Have(Have { handle, keys: List::cut(keys) }));
        }
    }

    /// A peer has answered, with one bit a key, or will not.
    pub(super) fn answered_have(&mut self, peer: &Peer, asked: AskedReceipts, bits: Option<&[u8]>) {
        self.receipts.asked.remove(peer);
        let Some(bits) = bits else { return };
        let AskedReceipts { author, from, count, others } = asked;
        let held = (0..count).take_while(|at| bit(bits, *at)).count();
        let through = from + held;
        let confirmed = &self.receipts.confirmed;
        let known = confirmed.len() < MAX_HOLDERS || confirmed.contains_key(&author);
        // Another process of that author may have said so before.
        if known
            && through > self.receipts.confirmed(&author)
            && let Some(key) = self.receipts.said.get(through - 1).copied()
        {
            self.receipts.confirmed.insert(author, through);
            self.receipts.in_vain = 0;
            self.out.push(Output::Receipt { author, through: key });
        }
        let others = others.iter().enumerate().filter(|(at, _)| bit(bits, count + at)).map(|(_, key)| *key);
        // Those that have made room for others meanwhile are forgotten.
        let keys = self.receipts.hold(author, others.collect());
        if !keys.is_empty() {
            self.receipts.in_vain = 0;
            self.out.push(Output::Holds { author, keys });
        }
        let agreed = self.peers.get(peer).and_then(|state| state.agreed);
        if held < count {
            if agreed != Some(self.room.fingerprint()) {
                // Gossip did not bring it there: do not wait for the next round. (Otherwise it waits for its disk.)
                self.meet(peer, false);
            }
        } else if count > 0 {
            // The next ones at once.
            self.receipts.next = self.now.mono;
            self.ask_receipts();
        }
    }
}

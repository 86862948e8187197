//! Receipts: whether what was said here has arrived on another disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Have, List, MAX_HAVE_KEYS, Peer, Replica, Request, asking::InFlight, short::bit};
use crate::Key;

/// How many own messages receipts are kept for. Whoever says more in one run waits out the linger time instead.
pub const MAX_RECEIPTS: usize = 1 << 18;
/// How long peers are asked after somebody last wanted to know.
const WATCH: Duration = Duration::from_secs(10);
/// How long to wait before those that lacked something are asked again, the first time and at most: twice as long each time
/// that nobody has confirmed anything new.
const PATIENCE: Duration = Duration::from_millis(25);
const MAX_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Receipts {
    /// What was said since the start, in that order.
    said: Vec<Key>,
    /// How many of them are on the own disk. Nobody has heard of the others.
    stored: usize,
    /// More was said than is kept.
    overflowed: bool,
    /// How many of them each peer has confirmed, from the first.
    confirmed: BTreeMap<Peer, usize>,
    watched_until: Duration,
    next: Duration,
    /// How often peers were asked in vain.
    in_vain: u32,
    /// Peers that have been asked and have not answered.
    asked: BTreeSet<Peer>,
}

impl Receipts {
    /// Receipts for what was said before, and for what will be.
    pub(super) fn new(said: Vec<Key>) -> Self {
        let overflowed = said.len() > MAX_RECEIPTS;
        Self { stored: said.len(), said, overflowed, ..Self::default() }
    }

    pub(super) fn said(&mut self, key: Key) {
        if self.said.len() < MAX_RECEIPTS {
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

    pub(super) fn forget(&mut self, peer: &Peer) {
        // What it confirmed stays confirmed: it is on its disk.
        if self.confirmed.get(peer) == Some(&0) {
            self.confirmed.remove(peer);
        }
    }

    /// When to ask again, if somebody wants to know.
    pub(super) fn deadline(&self, now: Duration) -> Option<Duration> {
        (now < self.watched_until && !self.delivered()).then_some(self.next)
    }
}

impl Replica {
    pub(super) fn watch_receipts(&mut self) {
        self.receipts.watched_until = self.now.mono + WATCH;
        self.ask_receipts();
    }

    /// Asks every peer in the room for what it has not confirmed.
    pub(super) fn ask_receipts(&mut self) {
        let now = self.now.mono;
        if self.receipts.deadline(now).is_none_or(|next| next > now) {
            return;
        }
        self.receipts.next = now + (PATIENCE * (1 << self.receipts.in_vain.min(8))).min(MAX_PATIENCE);
        self.receipts.in_vain += 1;
        let peers: Vec<(Peer, u32)> = self
            .peers
            .iter()
            .filter(|(peer, _)| !self.receipts.asked.contains(peer))
            .filter_map(|(peer, state)| Some((peer.clone(), state.entered.as_ref()?.handle)))
            .collect();
        for (peer, handle) in peers {
            let confirmed = self.receipts.confirmed.get(&peer).copied().unwrap_or(0);
            let waiting = self.receipts.said.iter().take(self.receipts.stored).skip(confirmed);
            let keys: Vec<Key> = waiting.take(MAX_HAVE_KEYS).copied().collect();
            let asked = keys.len();
            if asked == 0 {
                continue;
            }
            self.receipts.asked.insert(peer.clone());
            self.ask(&peer, InFlight::Have(asked), Request::Have(Have { handle, keys: List::cut(keys) }));
        }
    }

    /// A peer has answered, with one bit a key, or will not.
    pub(super) fn answered_have(&mut self, peer: &Peer, asked: usize, bits: Option<&[u8]>) {
        self.receipts.asked.remove(peer);
        let Some(bits) = bits else { return };
        let held = (0..asked).take_while(|at| bit(bits, *at)).count();
        let said = self.receipts.said.len();
        let confirmed = self.receipts.confirmed.entry(peer.clone()).or_default();
        *confirmed = (*confirmed + held).min(said);
        if held > 0 {
            self.receipts.in_vain = 0;
        }
        let agreed = self.peers.get(peer).and_then(|state| state.agreed);
        if held == asked {
            // The next ones at once.
            self.receipts.next = self.now.mono;
            self.ask_receipts();
        } else if agreed != Some(self.room.fingerprint()) {
            // Gossip did not bring it there: do not wait for the next round. (Otherwise it waits for its disk.)
            self.meet(peer, false);
        }
    }
}

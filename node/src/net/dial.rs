//! Whom to dial, and when. No I/O and no clock of its own.
//!
//! Two kinds of peers. *Found* ones were told of by mDNS or the run directory: of two that see each other the lower peer
//! id dials at once, the other one after [`WAIT`], so that a pair does not end up with two connections. They are dialled
//! again after a loss, and forgotten after [`FORGET`] without success. *Wanted* addresses were given by a person: they are
//! dialled for ever.
//!
//! Every dial is to one address. Several at once would be quicker where some are dead, but each that succeeds is a
//! connection that the other side takes note of, and all but one are dropped again at once.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    address::{Dialable, dialable},
    error::ConnectError,
};

/// How many dials are under way at most.
const MAX_IN_FLIGHT: usize = 8;
/// How many found peers are known at most.
const MAX_KNOWN: usize = 256;
/// How many addresses of a found peer are known at most.
const MAX_ADDRESSES: usize = 8;
/// How many addresses a person can give.
pub(super) const MAX_WANTED: usize = 64;
/// How long the higher peer id waits for the lower one.
const WAIT: Duration = Duration::from_secs(3);
/// The first pause and the longest one between attempts to reach a found peer.
const FOUND_PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// The same for a wanted address.
const WANTED_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// How long a found peer is tried without success.
const FORGET: Duration = Duration::from_secs(10 * 60);

/// What a dial is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A found peer.
    Found(PeerId),
    /// A wanted address, without a peer id.
    Wanted(Multiaddr),
}

/// One dial to be made now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dial {
    pub(super) target: Target,
    pub(super) peer: Option<PeerId>,
    pub(super) address: Multiaddr,
}

/// Why a dial came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody answers there, or not in time.
    Unreachable,
    /// Somebody else answers there.
    OtherPeer,
    /// It is this node itself.
    Myself,
    /// There was no need: the peer is connected or being dialled.
    Unneeded,
}

#[derive(Debug)]
struct Found {
    /// The best one first.
    addresses: VecDeque<Multiaddr>,
    /// How many of the addresses were tried in vain since the last pause.
    tried: usize,
    next: Instant,
    pause: Duration,
    seen: Instant,
    dialing: bool,
}

#[derive(Debug)]
struct Wanted {
    /// The peer id that was given with it, or the peer that was reached there.
    peer: Option<PeerId>,
    next: Instant,
    pause: Duration,
    dialing: bool,
    /// A person has been told that it does not work.
    told: bool,
}

/// The policy. `BTreeMap`s, so that the same events give the same dials.
#[derive(Debug)]
pub(super) struct Dialer {
    me: PeerId,
    found: BTreeMap<PeerId, Found>,
    wanted: BTreeMap<Multiaddr, Wanted>,
    connected: BTreeSet<PeerId>,
    refused: BTreeMap<PeerId, Instant>,
    in_flight: usize,
    random: StdRng,
    dropped: u64,
}

impl Dialer {
    pub(super) fn new(me: PeerId, seed: u64) -> Self {
        Self {
            me,
            found: BTreeMap::new(),
            wanted: BTreeMap::new(),
            connected: BTreeSet::new(),
            refused: BTreeMap::new(),
            in_flight: 0,
            random: StdRng::seed_from_u64(seed),
            dropped: 0,
        }
    }

    /// How many found peers were forgotten for want of space since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// A person wants this address to be connected, always.
    pub(super) fn want(&mut self, now: Instant, address: &Multiaddr) -> Result<(), ConnectError> {
        let Dialable { address: bare, peer } =
            dialable(address).ok_or_else(|| ConnectError::Unsupported(address.clone()))?;
        if peer == Some(self.me) {
            return Err(ConnectError::Own(address.clone()));
        }
        if !self.wanted.contains_key(&bare) && self.wanted.len() >= MAX_WANTED {
            return Err(ConnectError::TooMany(MAX_WANTED));
        }
        let fresh = Wanted { peer, next: now, pause: WANTED_PAUSE.0, dialing: false, told: false };
        let wanted = self.wanted.entry(bare).or_insert(fresh);
        wanted.next = now;
        if peer.is_some() && !wanted.dialing {
            wanted.peer = peer;
        }
        Ok(())
    }

    /// The network tells that this peer is at this address.
    pub(super) fn seen(&mut self, now: Instant, peer: PeerId, address: &Multiaddr) {
        let Some(Dialable { address, .. }) = dialable(address) else { return };
        if peer == self.me || self.is_refused(now, &peer) {
            return;
        }
        if !self.found.contains_key(&peer) && !self.make_room() {
            return;
        }
        let next = if self.me < peer { now } else { now + WAIT };
        let found = self.found.entry(peer).or_insert_with(|| Found {
            addresses: VecDeque::new(),
            tried: 0,
            next,
            pause: FOUND_PAUSE.0,
            seen: now,
            dialing: false,
        });
        found.seen = now;
        if found.addresses.contains(&address) {
            return;
        }
        if found.addresses.len() >= MAX_ADDRESSES {
            found.addresses.pop_back();
        }
        // TCP before QUIC: the kernel does more of the work.
        let at = if is_tcp(&address) {
            found.addresses.iter().take_while(|a| is_tcp(a)).count()
        } else {
            found.addresses.len()
        };
        found.addresses.insert(at, address);
        found.next = found.next.min(next);
        found.pause = FOUND_PAUSE.0;
    }

    /// The network no longer tells that this peer is at this address. A hint, not a fact: somebody may just be deaf.
    pub(super) fn unseen(&mut self, peer: &PeerId, address: &Multiaddr) {
        let Some(Dialable { address, .. }) = dialable(address) else { return };
        if self.connected.contains(peer) {
            return;
        }
        if let Some(found) = self.found.get_mut(peer) {
            found.addresses.retain(|known| *known != address);
            if found.addresses.is_empty() && !found.dialing {
                self.found.remove(peer);
            }
        }
    }

    /// Not to be dialled until then: it speaks another protocol, or has misbehaved.
    pub(super) fn refuse(&mut self, now: Instant, peer: PeerId, until: Instant) {
        self.refused.retain(|_, until| *until > now);
        if self.refused.len() >= MAX_KNOWN {
            self.refused.pop_first();
        }
        self.refused.insert(peer, until);
        self.found.remove(&peer);
        for wanted in self.wanted.values_mut().filter(|wanted| wanted.peer == Some(peer)) {
            wanted.next = until;
        }
    }

    /// A connection to this peer is there.
    pub(super) fn connected(&mut self, now: Instant, peer: PeerId) {
        self.connected.insert(peer);
        if let Some(found) = self.found.get_mut(&peer) {
            found.seen = now;
            found.pause = FOUND_PAUSE.0;
            found.tried = 0;
        }
        for wanted in self.wanted.values_mut().filter(|wanted| wanted.peer == Some(peer)) {
            wanted.pause = WANTED_PAUSE.0;
            wanted.told = false;
        }
    }

    /// The last connection to this peer is gone.
    pub(super) fn disconnected(&mut self, now: Instant, peer: PeerId) {
        self.connected.remove(&peer);
        let next = now + jittered(&mut self.random, FOUND_PAUSE.0);
        let polite = if self.me < peer { Duration::ZERO } else { WAIT };
        if let Some(found) = self.found.get_mut(&peer) {
            found.seen = now;
            found.tried = 0;
            found.next = next + polite;
        }
        for wanted in self.wanted.values_mut().filter(|wanted| wanted.peer == Some(peer)) {
            wanted.next = wanted.next.max(next);
        }
    }

    /// A dial has led to this peer. [`Dialer::connected`] is called besides.
    pub(super) fn reached(&mut self, target: &Target, peer: PeerId, address: &Multiaddr) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match target {
            Target::Found(expected) => {
                if let Some(found) = self.found.get_mut(expected) {
                    found.dialing = false;
                    // What worked is tried first the next time.
                    if let Some(Dialable { address, .. }) = dialable(address)
                        && let Some(at) = found.addresses.iter().position(|known| *known == address)
                        && let Some(address) = found.addresses.remove(at)
                    {
                        found.addresses.push_front(address);
                    }
                }
            }
            Target::Wanted(wanted) => {
                if let Some(wanted) = self.wanted.get_mut(wanted) {
                    wanted.dialing = false;
                    wanted.peer = Some(peer);
                }
            }
        }
    }

    /// A dial has come to nothing. True if a person should be told, which is once for every wanted address and loss.
    pub(super) fn failed(&mut self, now: Instant, target: &Target, address: &Multiaddr, failure: Failure) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        match target {
            Target::Found(peer) => {
                self.found_failed(now, *peer, address, failure);
                false
            }
            Target::Wanted(wanted) => self.wanted_failed(now, wanted, failure),
        }
    }

    fn found_failed(&mut self, now: Instant, peer: PeerId, address: &Multiaddr, failure: Failure) {
        let polite = if self.me < peer { Duration::ZERO } else { WAIT };
        let Some(found) = self.found.get_mut(&peer) else { return };
        found.dialing = false;
        match failure {
            Failure::OtherPeer | Failure::Myself => found.addresses.retain(|known| known != address),
            // To the end of the queue: the next one is tried first.
            Failure::Unreachable => {
                if let Some(at) = found.addresses.iter().position(|known| known == address)
                    && let Some(address) = found.addresses.remove(at)
                {
                    found.addresses.push_back(address);
                }
            }
            Failure::Unneeded => found.tried = found.addresses.len(),
        }
        if found.addresses.is_empty() {
            self.found.remove(&peer);
            return;
        }
        found.tried += 1;
        if found.tried < found.addresses.len() {
            found.next = now;
        } else {
            found.tried = 0;
            found.next = now + jittered(&mut self.random, found.pause) + polite;
            found.pause = (found.pause * 2).min(FOUND_PAUSE.1);
        }
    }

    fn wanted_failed(&mut self, now: Instant, address: &Multiaddr, failure: Failure) -> bool {
        if failure == Failure::Myself {
            return self.wanted.remove(address).is_some();
        }
        let Some(wanted) = self.wanted.get_mut(address) else { return false };
        wanted.dialing = false;
        if failure == Failure::OtherPeer {
            // Whoever is there now is as welcome: a node has another peer id after every start.
            wanted.peer = None;
            wanted.next = now;
            return false;
        }
        wanted.next = now + jittered(&mut self.random, wanted.pause);
        if failure == Failure::Unneeded {
            return false;
        }
        wanted.pause = (wanted.pause * 2).min(WANTED_PAUSE.1);
        !std::mem::replace(&mut wanted.told, true)
    }

    /// The next dial to make at this moment.
    pub(super) fn next(&mut self, now: Instant) -> Option<Dial> {
        if self.in_flight >= MAX_IN_FLIGHT {
            return None;
        }
        let Self { wanted, found, connected, .. } = self;
        let due = wanted.iter_mut().filter(|(_, wanted)| wanted.idle(connected) && wanted.next <= now);
        if let Some((address, wanted)) = due.min_by_key(|(_, wanted)| wanted.next) {
            wanted.dialing = true;
            self.in_flight += 1;
            let target = Target::Wanted(address.clone());
            return Some(Dial { target, peer: wanted.peer, address: address.clone() });
        }
        let due = found.iter_mut().filter(|(peer, found)| found.idle(peer, connected) && found.next <= now);
        let (peer, found) = due.min_by_key(|(_, found)| found.next)?;
        let address = found.addresses.front()?.clone();
        found.dialing = true;
        self.in_flight += 1;
        Some(Dial { target: Target::Found(*peer), peer: Some(*peer), address })
    }

    /// When [`Dialer::next`] may have something, if nothing else happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.in_flight >= MAX_IN_FLIGHT {
            return None;
        }
        let wanted = self.wanted.values().filter(|wanted| wanted.idle(&self.connected)).map(|wanted| wanted.next);
        let found = self.found.iter().filter(|(peer, found)| found.idle(peer, &self.connected));
        wanted.chain(found.map(|(_, found)| found.next)).min()
    }

    /// Forgets found peers that could not be reached for long and that the network no longer tells of.
    pub(super) fn forget(&mut self, now: Instant, told_of: impl Fn(&PeerId) -> bool) {
        let Self { found, connected, .. } = self;
        found.retain(|peer, found| {
            !found.idle(peer, connected) || now.saturating_duration_since(found.seen) < FORGET || told_of(peer)
        });
    }

    fn is_refused(&self, now: Instant, peer: &PeerId) -> bool {
        self.refused.get(peer).is_some_and(|until| *until > now)
    }

    /// Makes room for one more found peer; false if all that are known are connected.
    fn make_room(&mut self) -> bool {
        if self.found.len() < MAX_KNOWN {
            return true;
        }
        self.dropped += 1;
        let oldest = self
            .found
            .iter()
            .filter(|(peer, found)| found.idle(peer, &self.connected))
            .min_by_key(|(_, found)| found.seen);
        oldest.map(|(peer, _)| *peer).is_some_and(|peer| self.found.remove(&peer).is_some())
    }
}

impl Found {
    fn idle(&self, peer: &PeerId, connected: &BTreeSet<PeerId>) -> bool {
        !self.dialing && !connected.contains(peer)
    }
}

impl Wanted {
    fn idle(&self, connected: &BTreeSet<PeerId>) -> bool {
        !self.dialing && !self.peer.is_some_and(|peer| connected.contains(&peer))
    }
}

fn is_tcp(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, libp2p::multiaddr::Protocol::Tcp(_)))
}

/// Between three and five quarters of it, so that nodes that lost each other at the same moment do not go on in step.
fn jittered(random: &mut StdRng, pause: Duration) -> Duration {
    pause.mul_f64(random.random_range(0.75..1.25))
}

#[cfg(test)]
#[path = "dial_tests.rs"]
mod tests;

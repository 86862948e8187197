//! Peers of which the network or this machine has told.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use rand::rngs::StdRng;

use super::{Dial, Failure, Source, Target, doubt::Doubts, jittered};
use crate::net::address::ip;

/// How many found peers are known at most, and how many of them on one host that are not connected.
pub(super) const MAX_KNOWN: usize = 256;
pub(super) const MAX_ON_HOST: usize = 16;
/// How many addresses of a found peer are known at most.
pub(super) const MAX_ADDRESSES: usize = 8;
/// How many dials are under way at most to those whom nobody here has ever reached.
pub(super) const MAX_UNSURE: usize = 16;
/// How long the higher peer id waits for the lower one.
pub(super) const WAIT: Duration = Duration::from_secs(3);
/// The first pause and the longest one between attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// How long a peer is known of which nothing is heard, and how long somebody who was connected is taken to be where he was.
pub(super) const FORGET: Duration = Duration::from_secs(10 * 60);

/// All of them.
#[derive(Debug)]
pub(super) struct Founds {
    me: PeerId,
    peers: BTreeMap<PeerId, Found>,
    doubts: Doubts,
    /// Hosts to which a dial is under way that may be none of ours, and the dial.
    unsure: BTreeMap<IpAddr, PeerId>,
    dropped: u64,
}

#[derive(Debug)]
struct Found {
    /// The best one first.
    addresses: VecDeque<Address>,
    /// How many of the addresses were tried in vain since the last pause, and how many since it was last connected.
    tried: usize,
    vain: u32,
    next: Instant,
    pause: Duration,
    seen: Instant,
    /// When it was last connected.
    met: Option<Instant>,
    dialing: bool,
}

#[derive(Debug)]
struct Address {
    address: Multiaddr,
    source: Source,
    /// The peer was reached by it.
    reached: bool,
}

impl Founds {
    pub(super) fn new(me: PeerId) -> Self {
        Self { me, peers: BTreeMap::new(), doubts: Doubts::default(), unsure: BTreeMap::new(), dropped: 0 }
    }

    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    pub(super) fn remove(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
        self.unsure.retain(|_, dialled| dialled != peer);
    }

    pub(super) fn seen(
        &mut self,
        now: Instant,
        source: Source,
        peer: PeerId,
        address: Multiaddr,
        connected: &BTreeSet<PeerId>,
    ) {
        if !self.peers.contains_key(&peer) && !self.make_room(source, &address, connected) {
            return;
        }
        let next = now + self.politeness(&peer);
        let found = self.peers.entry(peer).or_insert_with(|| Found {
            addresses: VecDeque::new(),
            tried: 0,
            vain: 0,
            next,
            pause: PAUSE.0,
            seen: now,
            met: connected.contains(&peer).then_some(now),
            dialing: false,
        });
        found.seen = now;
        if let Some(known) = found.addresses.iter_mut().find(|known| known.address == address) {
            if source == Source::Machine {
                known.source = source;
            }
            return;
        }
        if !found.make_room() {
            return;
        }
        found.insert(Address { address, source, reached: false });
        found.next = found.next.min(next);
        found.pause = PAUSE.0;
    }

    pub(super) fn connected(&mut self, now: Instant, peer: &PeerId, address: &Multiaddr) {
        if let Some(ip) = ip(address) {
            self.doubts.host_answered(&ip);
        }
        if let Some(found) = self.peers.get_mut(peer) {
            found.seen = now;
            found.met = Some(now);
            found.pause = PAUSE.0;
            found.tried = 0;
            found.vain = 0;
        }
    }

    pub(super) fn disconnected(&mut self, now: Instant, peer: &PeerId, random: &mut StdRng) {
        let next = now + jittered(random, PAUSE.0) + self.politeness(peer);
        if let Some(found) = self.peers.get_mut(peer) {
            found.seen = now;
            found.met = Some(now);
            found.tried = 0;
            found.next = next;
        }
    }

    pub(super) fn reached(&mut self, peer: &PeerId, address: &Multiaddr) {
        self.unsure.retain(|_, dialled| dialled != peer);
        self.doubts.answered(address);
        let Some(found) = self.peers.get_mut(peer) else { return };
        found.dialing = false;
        // What worked is tried first the next time.
        if let Some(at) = found.position(address)
            && let Some(address) = found.addresses.remove(at)
        {
            found.addresses.push_front(Address { reached: true, ..address });
        }
    }

    pub(super) fn failed(
        &mut self,
        now: Instant,
        peer: &PeerId,
        address: &Multiaddr,
        failure: Failure,
        random: &mut StdRng,
    ) {
        let sure = !self.unsure.values().any(|dialled| dialled == peer);
        self.unsure.retain(|_, dialled| dialled != peer);
        if !sure && failure != Failure::Unneeded {
            self.doubts.failed(now, address, random);
        }
        let polite = self.politeness(peer);
        let Some(found) = self.peers.get_mut(peer) else { return };
        found.dialing = false;
        match failure {
            Failure::OtherPeer | Failure::Myself => found.addresses.retain(|known| known.address != *address),
            // To the end of the queue: the next one is tried first.
            Failure::Unreachable => {
                if let Some(at) = found.position(address)
                    && let Some(address) = found.addresses.remove(at)
                {
                    found.addresses.push_back(address);
                }
            }
            Failure::Unneeded => found.tried = found.addresses.len(),
        }
        if found.addresses.is_empty() {
            self.peers.remove(peer);
            return;
        }
        found.tried += 1;
        found.vain = found.vain.saturating_add(1);
        if found.tried < found.addresses.len() {
            found.next = now;
        } else {
            found.tried = 0;
            found.next = now + jittered(random, found.pause) + polite;
            found.pause = (found.pause * 2).min(PAUSE.1);
        }
    }

    /// The next dial: to somebody who was reached before, else to the host that has disappointed least.
    pub(super) fn next(&mut self, now: Instant, connected: &BTreeSet<PeerId>) -> Option<Dial> {
        let idle = self.peers.iter().filter(|(peer, found)| found.idle(peer, connected));
        let due = idle.filter_map(|(peer, found)| {
            let (at, address, sure) = self.ready(now, found)?;
            let rank = (!sure, if sure { 0 } else { self.doubts.failures(&address.address) }, at);
            (at <= now).then(|| (rank, *peer, address.address.clone(), sure))
        });
        let (_, peer, address, sure) = due.min_by_key(|(rank, ..)| *rank)?;
        if let Some(ip) = ip(&address).filter(|_| !sure) {
            self.unsure.insert(ip, peer);
        }
        self.peers.get_mut(&peer)?.dialing = true;
        Some(Dial { target: Target::Found(peer), peer: Some(peer), address })
    }

    pub(super) fn deadline(&self, now: Instant, connected: &BTreeSet<PeerId>) -> Option<Instant> {
        let idle = self.peers.iter().filter(|(peer, found)| found.idle(peer, connected));
        idle.filter_map(|(_, found)| Some(self.ready(now, found)?.0)).min()
    }

    /// By which address a peer can be dialled first, when, and whether it is sure to be one of ours.
    fn ready<'a>(&self, now: Instant, found: &'a Found) -> Option<(Instant, &'a Address, bool)> {
        let ready = found.addresses.iter().filter_map(|address| {
            if found.is_sure(now, address) {
                return Some((found.next, address, true));
            }
            let busy = ip(&address.address).is_some_and(|ip| self.unsure.contains_key(&ip));
            if busy || self.unsure.len() >= MAX_UNSURE {
                return None;
            }
            Some((
                self.doubts.until(&address.address).map_or(found.next, |until| until.max(found.next)),
                address,
                false,
            ))
        });
        // The first of those that come soonest.
        ready.min_by_key(|(at, ..)| *at)
    }

    pub(super) fn forget(&mut self, now: Instant, connected: &BTreeSet<PeerId>) {
        self.peers
            .retain(|peer, found| !found.idle(peer, connected) || now.saturating_duration_since(found.seen) < FORGET);
        self.doubts.forget(now);
    }

    /// How long this node waits for the other one to dial.
    fn politeness(&self, peer: &PeerId) -> Duration {
        if self.me < *peer { Duration::ZERO } else { WAIT }
    }

    /// Makes room for one more peer at that address; false if there is none. Whoever is connected stays, and whoever this
    /// machine tells of. Of the others those make way first who never were connected, of these those who are on the host
    /// with most of them, of these who was tried most in vain, and of these who was not told of for longest.
    fn make_room(&mut self, source: Source, address: &Multiaddr, connected: &BTreeSet<PeerId>) -> bool {
        let mut on_host: BTreeMap<IpAddr, usize> = BTreeMap::new();
        let told = |found: &Found| found.addresses.front().filter(|first| first.source == Source::Network)?.ip();
        let idle = || self.peers.iter().filter(|(peer, found)| found.idle(peer, connected));
        for host in idle().filter_map(|(_, found)| told(found)) {
            *on_host.entry(host).or_default() += 1;
        }
        let host = ip(address).filter(|_| source == Source::Network);
        let full = host.filter(|host| on_host.get(host).is_some_and(|count| *count >= MAX_ON_HOST));
        if full.is_none() && self.peers.len() < MAX_KNOWN {
            return true;
        }
        let evictable = idle().filter_map(|(peer, found)| Some((peer, found, told(found)?)));
        let evictable = evictable.filter(|(.., host)| full.is_none_or(|full| full == *host));
        let crowd = |host: &IpAddr| on_host.get(host).copied().unwrap_or_default();
        let evicted = evictable
            .max_by_key(|(_, found, host)| (found.met.is_none(), crowd(host), found.vain, Reverse(found.seen)));
        let evicted = evicted.map(|(peer, ..)| *peer);
        self.dropped += 1;
        evicted.is_some_and(|peer| self.peers.remove(&peer).is_some())
    }

    #[cfg(test)]
    pub(super) fn addresses(&self, peer: &PeerId) -> Option<Vec<Multiaddr>> {
        Some(self.peers.get(peer)?.addresses.iter().map(|known| known.address.clone()).collect())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }
}

impl Found {
    fn idle(&self, peer: &PeerId, connected: &BTreeSet<PeerId>) -> bool {
        !self.dialing && !connected.contains(peer)
    }

    /// Whether the peer is at this address as far as this node can know by itself.
    fn is_sure(&self, now: Instant, address: &Address) -> bool {
        let lately = self.met.is_some_and(|met| now.saturating_duration_since(met) < FORGET);
        address.source == Source::Machine || (address.reached && lately)
    }

    fn position(&self, address: &Multiaddr) -> Option<usize> {
        self.addresses.iter().position(|known| known.address == *address)
    }

    /// Makes room for one more address; false if all are better.
    fn make_room(&mut self) -> bool {
        if self.addresses.len() < MAX_ADDRESSES {
            return true;
        }
        let worst = self.addresses.iter().rposition(|known| !known.reached && known.source == Source::Network);
        worst.is_some_and(|at| self.addresses.remove(at).is_some())
    }

    /// Behind those that were reached, and TCP before QUIC: the kernel does more of the work.
    fn insert(&mut self, new: Address) {
        let before = |known: &Address| known.reached || (is_tcp(&new.address) && is_tcp(&known.address));
        let at = if is_tcp(&new.address) {
            self.addresses.iter().take_while(|a| before(a)).count()
        } else {
            self.addresses.len()
        };
        self.addresses.insert(at, new);
    }
}

impl Address {
    fn ip(&self) -> Option<IpAddr> {
        ip(&self.address)
    }
}

fn is_tcp(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::Tcp(_)))
}

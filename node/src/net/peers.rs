//! Who is connected, and by which connections.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};

use super::{address::ip, allowance::Allowance, budget::Bucket, route::Merged};

/// How long a peer may take to say what it speaks.
const INTRODUCTION: Duration = Duration::from_secs(10);
/// How long somebody may stay who only asks about the network.
const VISIT: Duration = Duration::from_secs(60);
/// How long a connection lasts that was not just the loser of a race.
const SETTLED: Duration = Duration::from_secs(3);

/// The connected peers.
#[derive(Debug, Default)]
pub(super) struct Peers(BTreeMap<PeerId, Peer>);

/// One of them.
#[derive(Debug)]
pub(super) struct Peer {
    connections: BTreeMap<ConnectionId, Connection>,
    /// It has shown that it speaks the protocol.
    pub(super) ready: bool,
    /// It does not, and has come to ask about the network.
    guest: bool,
    /// What its answers may cost.
    pub(super) bucket: Bucket,
    /// How long they may be.
    pub(super) allowance: Allowance,
    /// Requests of its own without an answer, and how many of them bear messages.
    pub(super) asked: usize,
    pub(super) offers: usize,
    /// Requests to it without an answer.
    pub(super) in_flight: usize,
    /// Requests that wait for others to be answered first.
    pub(super) waiting: VecDeque<Merged>,
}

#[derive(Debug)]
struct Connection {
    address: Multiaddr,
    since: Instant,
}

/// What the end of a connection means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Others remain.
    Remains,
    /// Others remain that are younger, and must go too: gossip tells a peer its topics on the first connection only. One
    /// side may have missed the end of the older one that the other side has seen, and then never hears the topics again.
    Reset,
    /// It was the last one.
    Last {
        /// The peer had shown that it speaks the protocol.
        ready: bool,
        /// Where it was.
        address: Multiaddr,
        /// What it has not been asked yet.
        unsent: VecDeque<Merged>,
    },
}

impl Peers {
    pub(super) fn get(&mut self, peer: &PeerId) -> Option<&mut Peer> {
        self.0.get_mut(peer)
    }

    pub(super) fn contains(&self, peer: &PeerId) -> bool {
        self.0.contains_key(peer)
    }

    /// Peers that speak the protocol, and where they are.
    pub(super) fn ready(&self) -> impl Iterator<Item = (PeerId, Multiaddr)> + '_ {
        self.0.iter().filter(|(_, peer)| peer.ready).filter_map(|(id, peer)| Some((*id, peer.address()?)))
    }

    /// Everybody who is connected.
    pub(super) fn all(&self) -> impl Iterator<Item = &PeerId> {
        self.0.keys()
    }

    /// Notes a new connection. True if it is the peer's first.
    pub(super) fn opened(&mut self, now: Instant, id: PeerId, connection: ConnectionId, address: Multiaddr) -> bool {
        let first = !self.0.contains_key(&id);
        let peer = self.0.entry(id).or_insert_with(|| Peer {
            connections: BTreeMap::new(),
            ready: false,
            guest: false,
            bucket: Bucket::new(now),
            allowance: Allowance::new(now, 0),
            asked: 0,
            offers: 0,
            in_flight: 0,
            waiting: VecDeque::new(),
        });
        peer.connections.insert(connection, Connection { address, since: now });
        first
    }

    /// Where a peer was that now has come from this address: two settle on one connection at once, so who opens another one
    /// later, and from another host, is there no longer, or not able to hear it.
    pub(super) fn left(&self, now: Instant, id: &PeerId, address: &Multiaddr) -> impl Iterator<Item = Multiaddr> {
        let settled = |connection: &&Connection| now.saturating_duration_since(connection.since) >= SETTLED;
        let connections = self.0.get(id).into_iter().flat_map(|peer| peer.connections.values());
        let left = connections.filter(settled).filter(|connection| ip(&connection.address) != ip(address));
        left.map(|connection| connection.address.clone()).collect::<Vec<_>>().into_iter()
    }

    /// Notes the end of a connection.
    pub(super) fn closed(&mut self, now: Instant, id: &PeerId, connection: ConnectionId) -> End {
        let Some(peer) = self.0.get_mut(id) else { return End::Remains };
        let Some(gone) = peer.connections.remove(&connection) else { return End::Remains };
        if peer.connections.is_empty() {
            let (ready, unsent) = (peer.ready, std::mem::take(&mut peer.waiting));
            self.0.remove(id);
            return End::Last { ready, address: gone.address, unsent };
        }
        let settled = now.saturating_duration_since(gone.since) >= SETTLED;
        let oldest = peer.connections.values().all(|remaining| remaining.since >= gone.since);
        if settled && oldest { End::Reset } else { End::Remains }
    }

    /// Notes that somebody only asks about the network.
    pub(super) fn welcome(&mut self, id: &PeerId) {
        if let Some(peer) = self.0.get_mut(id) {
            peer.guest = true;
        }
    }

    /// Whether it has said that it speaks this protocol.
    pub(super) fn is_ready(&self, id: &PeerId) -> bool {
        self.0.get(id).is_some_and(|peer| peer.ready)
    }

    /// The far end of a connection.
    pub(super) fn far_end(&self, id: &PeerId, connection: ConnectionId) -> Option<&Multiaddr> {
        self.0.get(id)?.connections.get(&connection).map(|connection| &connection.address)
    }

    /// Peers that have not said in time what they speak.
    pub(super) fn strangers(&self, now: Instant) -> Vec<PeerId> {
        let late = |peer: &Peer| {
            let since = peer.connections.values().map(|connection| connection.since).min();
            let limit = if peer.guest { VISIT } else { INTRODUCTION };
            !peer.ready && since.is_some_and(|since| now.saturating_duration_since(since) >= limit)
        };
        self.0.iter().filter(|(_, peer)| late(peer)).map(|(id, _)| *id).collect()
    }
}

impl Peer {
    /// Where it is: the far end of the oldest connection.
    pub(super) fn address(&self) -> Option<Multiaddr> {
        self.connections.values().min_by_key(|connection| connection.since).map(|connection| connection.address.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Multiaddr {
        "/ip4/10.0.0.1/tcp/1".parse().unwrap()
    }

    fn connection(n: usize) -> ConnectionId {
        ConnectionId::new_unchecked(n)
    }

    #[test]
    fn the_last_connection_takes_the_peer_with_it() {
        let (mut peers, now, peer) = (Peers::default(), Instant::now(), PeerId::random());
        assert!(peers.opened(now, peer, connection(1), address()));
        assert!(!peers.opened(now, peer, connection(2), address()));
        peers.get(&peer).unwrap().ready = true;
        assert_eq!(peers.ready().count(), 1);
        assert_eq!(peers.closed(now, &peer, connection(1)), End::Remains, "it lost a race");
        assert_eq!(peers.closed(now, &peer, connection(1)), End::Remains, "it is not there");
        assert_eq!(
            peers.closed(now, &peer, connection(2)),
            End::Last { ready: true, address: address(), unsent: VecDeque::new() }
        );
        assert_eq!(peers.ready().count(), 0);
    }

    #[test]
    fn younger_connections_go_with_a_settled_one() {
        let (mut peers, now, peer) = (Peers::default(), Instant::now(), PeerId::random());
        let later = now + 100 * SETTLED;
        peers.opened(now, peer, connection(1), address());
        peers.opened(later, peer, connection(2), address());
        peers.opened(later, peer, connection(3), address());
        assert_eq!(peers.closed(later + SETTLED, &peer, connection(3)), End::Remains, "the older one is still there");
        assert_eq!(peers.closed(later + SETTLED, &peer, connection(1)), End::Reset);
    }

    #[test]
    fn who_comes_from_elsewhere_has_left_where_it_was() {
        let (mut peers, now, peer) = (Peers::default(), Instant::now(), PeerId::random());
        let elsewhere: Multiaddr = "/ip4/10.0.0.2/tcp/1".parse().unwrap();
        peers.opened(now, peer, connection(1), address());
        assert_eq!(peers.left(now, &peer, &elsewhere).count(), 0, "both are just coming");
        assert_eq!(peers.left(now + SETTLED, &peer, &elsewhere).collect::<Vec<_>>(), [address()]);
        assert_eq!(peers.left(now + SETTLED, &peer, &address()).count(), 0, "from the same host");
        assert_eq!(peers.left(now + SETTLED, &PeerId::random(), &elsewhere).count(), 0, "somebody else");
    }

    #[test]
    fn a_stranger_is_one_who_does_not_introduce_himself() {
        let (mut peers, now, peer) = (Peers::default(), Instant::now(), PeerId::random());
        peers.opened(now, peer, connection(1), address());
        assert_eq!(peers.strangers(now), []);
        assert_eq!(peers.strangers(now + INTRODUCTION), [peer]);
        peers.welcome(&peer);
        assert_eq!(peers.strangers(now + INTRODUCTION), [], "a guest may stay for a while");
        assert_eq!(peers.strangers(now + VISIT), [peer]);
        peers.get(&peer).unwrap().ready = true;
        assert_eq!(peers.strangers(now + VISIT), []);
    }
}

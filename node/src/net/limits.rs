//! How many connections there may be with one peer, and how many a node opens itself.
//!
//! libp2p has a behaviour for this, which remembers everybody who was ever connected (connection-limits 0.7): a stranger with
//! ever new keys would fill the memory, if slowly.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandlerInEvent,
        THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished, dummy,
    },
};
use thiserror::Error;

use super::counters::Counting;

/// How many connections a node opens itself. [`super::admission`] bounds those that others open.
const MAX_DIALLED: usize = 64;
/// How many there may be with one peer, whoever has opened them.
const MAX_WITH_ONE: usize = 4;

/// Why a connection is not wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
enum Denied {
    #[error("there are enough connections with this peer")]
    WithOne,
    #[error("this node has opened enough connections")]
    Dialled,
}

/// Decides about connections by how many there are. It must come before the behaviours that take note of connections.
#[derive(Debug)]
pub(super) struct Limits {
    counting: Arc<Counting>,
    with: BTreeMap<PeerId, usize>,
    dialled: BTreeSet<ConnectionId>,
}

impl Limits {
    pub(super) fn new(counting: Arc<Counting>) -> Self {
        Self { counting, with: BTreeMap::new(), dialled: BTreeSet::new() }
    }

    fn may(&self, peer: &PeerId) -> Result<(), Denied> {
        if self.with.get(peer).is_some_and(|count| *count >= MAX_WITH_ONE) { Err(Denied::WithOne) } else { Ok(()) }
    }
}

impl NetworkBehaviour for Limits {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        self.may(&peer).map_err(|why| {
            self.counting.not_admitted.add();
            ConnectionDenied::new(why)
        })?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        self.may(&peer).map_err(ConnectionDenied::new)?;
        if self.dialled.len() >= MAX_DIALLED {
            return Err(ConnectionDenied::new(Denied::Dialled));
        }
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, endpoint, .. }) => {
                *self.with.entry(peer_id).or_default() += 1;
                if endpoint.is_dialer() {
                    self.dialled.insert(connection_id);
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, remaining_established, .. }) => {
                self.dialled.remove(&connection_id);
                if remaining_established == 0 {
                    self.with.remove(&peer_id);
                } else {
                    self.with.insert(peer_id, remaining_established);
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use libp2p::core::ConnectedPoint;

    use super::*;

    /// A node that is connected to others, and the number of the next connection.
    struct House(Limits, usize);

    impl House {
        fn empty() -> Self {
            Self(Limits::new(Arc::default()), 0)
        }

        /// Opens a connection, or has it opened; its id, if it is wanted.
        fn meets(&mut self, peer: PeerId, dials: bool) -> Option<ConnectionId> {
            let id = ConnectionId::new_unchecked(self.1);
            self.1 += 1;
            let address = || "/ip4/10.0.0.1/tcp/1".parse::<Multiaddr>().unwrap();
            let (role_override, port_use) = (Endpoint::Dialer, PortUse::New);
            let endpoint = if dials {
                let asked =
                    self.0.handle_established_outbound_connection(id, peer, &address(), role_override, port_use);
                asked.ok()?;
                ConnectedPoint::Dialer { address: address(), role_override, port_use }
            } else {
                self.0.handle_established_inbound_connection(id, peer, &address(), &address()).ok()?;
                ConnectedPoint::Listener { local_addr: address(), send_back_addr: address() }
            };
            let other_established = self.0.with.get(&peer).copied().unwrap_or(0);
            self.0.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id: peer,
                connection_id: id,
                endpoint: &endpoint,
                failed_addresses: &[],
                other_established,
            }));
            Some(id)
        }

        fn parts(&mut self, peer: PeerId, id: ConnectionId) {
            let address: Multiaddr = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
            let endpoint = ConnectedPoint::Listener { local_addr: address.clone(), send_back_addr: address };
            let remaining_established = self.0.with.get(&peer).map_or(0, |count| count - 1);
            self.0.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id: peer,
                connection_id: id,
                endpoint: &endpoint,
                cause: None,
                remaining_established,
            }));
        }
    }

    #[test]
    fn a_peer_has_four_connections_whoever_opens_them() {
        let (mut house, peer) = (House::empty(), PeerId::random());
        let ids: Vec<_> = (0..10).filter_map(|n| house.meets(peer, n % 2 == 0)).collect();
        assert_eq!(ids.len(), MAX_WITH_ONE);
        assert!(house.meets(PeerId::random(), false).is_some(), "that is no concern of others");
        house.parts(peer, ids[0]);
        assert_eq!((0..10).filter_map(|_| house.meets(peer, false)).count(), 1);
    }

    #[test]
    fn a_node_opens_so_many_itself() {
        let mut house = House::empty();
        let dialled: Vec<_> = (0..100)
            .filter_map(|_| {
                let peer = PeerId::random();
                house.meets(peer, true).map(|id| (peer, id))
            })
            .collect();
        assert_eq!(dialled.len(), MAX_DIALLED);
        assert!(house.meets(PeerId::random(), false).is_some(), "others may come");
        house.parts(dialled[0].0, dialled[0].1);
        assert!(house.meets(PeerId::random(), true).is_some());
    }

    #[test]
    fn who_has_gone_is_forgotten() {
        let mut house = House::empty();
        for n in 0..1000 {
            let peer = PeerId::random();
            let id = house.meets(peer, n % 2 == 0).unwrap();
            house.parts(peer, id);
        }
        assert!(house.0.with.is_empty() && house.0.dialled.is_empty());
    }
}

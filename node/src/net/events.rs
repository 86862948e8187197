//! What the task does with what libp2p tells it.

use std::{io, time::Instant};

use distchat_crdt::{Topic, sync::SYNC_PROTOCOL};
use libp2p::{
    Multiaddr, PeerId, TransportError, gossipsub, identify, ping,
    swarm::{ConnectionId, DialError, SwarmEvent},
};
use tracing::debug;

use super::{
    NetEvent, NetInput,
    address::{dialable, ip, tcp},
    allowance::Allowance,
    behaviour::BehaviourEvent,
    budget::Offence,
    dial::{Dial, Failure, Target},
    error::{RequestError, io_cause},
    gossip::{GossipTicket, Taken, room_topic},
    origin::Origin,
    peers::End,
    probed::is_guest,
    swarm::Task,
};

impl Task {
    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.opened(peer_id, connection_id, endpoint.get_remote_address().clone());
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                debug!(peer = %peer_id, ?cause, "connection closed");
                self.closed(peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                if let Some(dial) = self.dialing.remove(&connection_id) {
                    self.dial_failed(dial, &error);
                }
            }
            SwarmEvent::IncomingConnectionError { error, .. } => debug!(%error, "no incoming connection"),
            SwarmEvent::NewListenAddr { listener_id, address } => {
                self.kept.tells(listener_id, &address);
                self.listening.push((listener_id, address));
                self.listeners_changed();
            }
            SwarmEvent::ExpiredListenAddr { listener_id, address } => {
                self.listening.retain(|known| *known != (listener_id, address.clone()));
                let remaining = self.listening.iter().any(|(_, other)| ip(other) == ip(&address));
                if let Some(gone) = ip(&address).filter(|_| !remaining) {
                    self.ends.cut_from(gone);
                }
                self.listeners_changed();
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                self.listening.retain(|(id, _)| *id != listener_id);
                self.listeners_changed();
                let why = reason.err().map_or("closed".to_owned(), |error| io_cause(&error));
                let places: Vec<String> = addresses.iter().map(Multiaddr::to_string).collect();
                self.out.warn("listener-closed", format!("no longer listening on {}: {why}", places.join(", ")));
            }
            SwarmEvent::ListenerError { error, .. } => debug!(%error, "a listener's trouble"),
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                let as_whom = self.rooms.entered.author(&propagation_source);
                let gossip = &mut self.swarm.behaviour_mut().gossip;
                match gossip.take(propagation_source, as_whom, message_id, &message) {
                    Taken::ForRoom { topic, ticket, frame } => self.on_gossip(&topic, ticket, frame),
                    Taken::Left => self.out.counting.gossip_left.add(),
                    Taken::Foreign => self.out.counting.gossip_foreign.add(),
                    Taken::Unreadable => {
                        self.out.counting.gossip_unreadable.add();
                        // Who has not said what it speaks may be of another version, which says other things in its rooms.
                        if self.peers.is_ready(&propagation_source) {
                            self.charge(propagation_source, Offence::Gossip);
                        }
                    }
                }
            }
            BehaviourEvent::Gossip(gossipsub::Event::SlowPeer { peer_id, .. }) => debug!(peer = %peer_id, "slow"),
            BehaviourEvent::Gossip(gossipsub::Event::Subscribed { topic, .. }) => {
                if let Some(topic) = room_topic(&topic) {
                    self.rooms.met(&topic);
                }
            }
            BehaviourEvent::Gossip(_) => {}
            BehaviourEvent::Sync(event) => self.on_sync(event),
            BehaviourEvent::Probe(event) => self.on_probe(event),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                if is_guest(&info) {
                    self.peers.welcome(&peer_id);
                    return;
                }
                let speaks = info.protocols.iter().any(|protocol| protocol.as_ref() == SYNC_PROTOCOL);
                self.introduced(peer_id, speaks, &info);
            }
            BehaviourEvent::Identify(_) => {}
            // Pings are there to be heard: the transport ends a connection that is silent. A late answer to one is no
            // reason to, on a slow network there may be a lot in front of it.
            BehaviourEvent::Ping(ping::Event { peer, result, .. }) => {
                if let Err(error) = result {
                    debug!(%peer, %error, "no answer to a ping");
                }
            }
            BehaviourEvent::Admission(never) | BehaviourEvent::Limits(never) | BehaviourEvent::Refused(never) => {
                match never {}
            }
        }
    }

    fn opened(&mut self, peer: PeerId, connection: ConnectionId, address: Multiaddr) {
        let now = Instant::now();
        if let Some(dial) = self.dialing.remove(&connection) {
            self.dialer.reached(&dial.target, peer, &address);
        }
        // On the dialling side it ends in the peer id, which says nothing new.
        let address = dialable(&address).map_or(address, |dialable| dialable.address);
        for left in self.peers.left(now, &peer, &address).filter_map(|address| tcp(&address)) {
            self.ends.cut_to(left);
        }
        let origin = Origin::of(&address);
        if self.peers.opened(now, peer, connection, address.clone()) {
            let start = self.funds.start(now, origin);
            if let Some(known) = self.peers.get(&peer) {
                known.allowance = Allowance::new(now, start);
            }
        }
        self.dialer.connected(now, peer, &address);
    }

    fn closed(&mut self, peer: PeerId, connection: ConnectionId) {
        let now = Instant::now();
        match self.peers.closed(now, &peer, connection) {
            End::Remains => {}
            End::Reset => {
                // Fails if it has gone by itself.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            End::Last { ready, address, unsent } => {
                self.dialer.disconnected(now, peer);
                for merged in unsent {
                    self.give_up(peer, merged.parts, RequestError::Gone);
                }
                // Before rooms are told, for one that is just woken sees for itself who is there.
                if ready {
                    self.peers_changed();
                }
                // Rooms may know it from what it asked before it said what it speaks; of a stranger they know nothing.
                if self.rooms.entered.gone(&peer) || ready {
                    self.rooms.deliver_all(|| NetInput::PeerDown { peer });
                }
                if ready {
                    self.out.event(NetEvent::Disconnected { peer, address });
                }
            }
        }
    }

    /// A peer has said what it speaks.
    fn introduced(&mut self, peer: PeerId, speaks: bool, info: &identify::Info) {
        if !speaks {
            let agent = &info.agent_version;
            debug!(%peer, agent, "another kind of program");
            self.out.counting.foreign.add();
            let place = self.peers.get(&peer).and_then(|known| known.address());
            let place = place.as_ref().and_then(ip).map_or("?".to_owned(), |ip| ip.to_string());
            if let Some(words) = self.foreign.told(Instant::now(), &place, agent, &info.protocols) {
                self.out.warn("other-version", words);
            }
            self.refuse(peer);
            return;
        }
        let Some(known) = self.peers.get(&peer) else { return };
        if std::mem::replace(&mut known.ready, true) {
            return;
        }
        let address = known.address();
        self.peers_changed();
        self.rooms.deliver_all(|| NetInput::PeerUp { peer });
        if let Some(address) = address {
            self.out.event(NetEvent::Connected { peer, address });
        }
    }

    fn peers_changed(&self) {
        self.out.peers.send_replace(self.peers.ready().collect());
    }

    fn listeners_changed(&mut self) {
        let me = *self.swarm.local_peer_id();
        let addresses = self.listening.iter().map(|(_, address)| address.clone());
        self.out.listeners.send_replace(addresses.filter_map(|address| address.with_p2p(me).ok()).collect());
        if self.started {
            self.out.event(NetEvent::ListenersChanged);
        }
    }

    fn on_gossip(&mut self, topic: &Topic, ticket: GossipTicket, frame: Vec<u8>) {
        if let Some(handle) = self.rooms.of_topic(topic) {
            let from = ticket.from;
            let input = NetInput::Gossip { from, ticket: ticket.clone(), frame };
            if self.rooms.offer_gossip(handle, from, input) {
                return;
            }
            self.out.counting.gossip_dropped.add();
        }
        self.swarm.behaviour_mut().gossip.leave(&ticket);
    }

    pub(super) fn dial_failed(&mut self, dial: Dial, error: &DialError) {
        debug!(target = %dial.target, address = %dial.address, %error, "a dial failed");
        let failure = dial_failure(&dial, error);
        let tell = self.dialer.failed(Instant::now(), &dial.target, &dial.address, failure);
        if !tell {
            return;
        }
        let address = &dial.address;
        match failure {
            Failure::Myself => self.out.warn("address-own", format!("{address} is this node itself and is left out")),
            _ => {
                let why = dial_cause(error);
                self.out.warn(
                    "unreachable",
                    format!("nobody answers at {address} ({why}); trying again until somebody does"),
                );
            }
        }
    }
}

fn dial_failure(dial: &Dial, error: &DialError) -> Failure {
    match error {
        DialError::LocalPeerId { .. } => Failure::Myself,
        DialError::WrongPeerId { .. } => Failure::OtherPeer,
        DialError::DialPeerConditionFalse(_) => Failure::Unneeded,
        // By this node itself: there are too many already.
        DialError::Denied { .. } if matches!(dial.target, Target::Found(_)) => Failure::Unneeded,
        // The swarm leaves out addresses that it listens on itself.
        DialError::NoAddresses => match dial.target {
            Target::Wanted(_) => Failure::Myself,
            Target::Found(_) => Failure::OtherPeer,
        },
        DialError::Aborted | DialError::Denied { .. } | DialError::Transport(_) => Failure::Unreachable,
    }
}

/// Why a dial failed, in few words.
fn dial_cause(error: &DialError) -> String {
    let DialError::Transport(errors) = error else { return error.to_string() };
    let innermost = errors.iter().map(|(_, error)| match error {
        TransportError::Other(error) => innermost(error),
        TransportError::MultiaddrNotSupported(_) => "not an address to dial".to_owned(),
    });
    innermost.last().unwrap_or_else(|| error.to_string())
}

fn innermost(error: &io::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    if let Some(inner) = error.get_ref() {
        source = inner;
    }
    while let Some(inner) = source.source() {
        source = inner;
    }
    source.to_string()
}

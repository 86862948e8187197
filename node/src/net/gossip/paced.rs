//! gossipsub, read at a pace.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use distchat_crdt::{
    AuthorId, Topic,
    sync::{GossipKey, Verdict},
};
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    gossipsub::{self, Message, MessageAcceptance, MessageId, PublishError},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::ConnectionEvent,
    },
};
use tokio::time::{Sleep, sleep};
use tracing::debug;

use super::{
    GossipTicket, Gossipsub, acceptance, gossip_topic, gossipsub,
    pace::{COST, Pace, Strangers, USELESS},
    portions::{Portions, size},
    room_topic,
    shares::{OwnWords, Shares, author_of},
    topics,
};

/// How many times as much a frame costs besides, if its author is who sent it, and says more than any node publishes.
const OVER_ITS_SHARE: u64 = 4;

/// What becomes of a frame that has come.
pub(in crate::net) enum Taken {
    /// It is for a room to judge.
    ForRoom { topic: Topic, ticket: GossipTicket, frame: Vec<u8> },
    /// It is left to anti-entropy.
    Left,
    /// Its room was left meanwhile.
    Foreign,
    /// It was not sealed by anybody who knows the room.
    Unreadable,
}

/// Gossip in the topics of this node's rooms.
///
/// gossipsub itself takes whatever comes as fast as it comes, and has no way to hold somebody back: what it has taken in it
/// works through before the swarm's task gets to do anything else. So its connections are read at a pace instead, each at its
/// own (see [`Pace`]).
pub(in crate::net) struct Gossip {
    inner: Gossipsub,
    own: topics::Own,
    /// The keys of these rooms.
    keys: BTreeMap<Topic, GossipKey>,
    noted: topics::Noted,
    portions: Portions,
    strangers: Strangers,
    shares: Shares,
    paces: BTreeMap<ConnectionId, (PeerId, Arc<Pace>)>,
    /// Those who have entered a room, and what each says of its own.
    members: BTreeMap<PeerId, OwnWords>,
}

impl Gossip {
    /// # Errors
    /// If gossipsub does not like its settings.
    pub(in crate::net) fn new() -> Result<Self, String> {
        let own = topics::Own::default();
        let noted = topics::Noted::new(own.clone());
        Ok(Self {
            inner: gossipsub(own.clone(), noted.clone())?,
            own,
            keys: BTreeMap::new(),
            noted,
            portions: Portions::default(),
            strangers: Strangers::new(Instant::now()),
            shares: Shares::new(Instant::now()),
            paces: BTreeMap::new(),
            members: BTreeMap::new(),
        })
    }

    /// Takes part in a topic, where what is said is sealed under this key.
    pub(in crate::net) fn subscribe(&mut self, topic: Topic, key: GossipKey) {
        self.own.add(topic);
        self.keys.insert(topic, key);
        if let Err(error) = self.inner.subscribe(&gossip_topic(&topic)) {
            debug!(%error, "cannot subscribe");
        }
    }

    /// Takes part no more.
    pub(in crate::net) fn unsubscribe(&mut self, topic: &Topic) {
        self.own.remove(topic);
        self.keys.remove(topic);
        self.inner.unsubscribe(&gossip_topic(topic));
    }

    /// How long it is until others would take more of the own author's, if they would not now.
    pub(in crate::net) fn publishes_in(&mut self, now: Instant) -> Option<Duration> {
        self.shares.publishes_in(now)
    }

    /// Sends a sealed frame of the own author's to those who take part.
    ///
    /// # Errors
    /// If there is nobody, or no place in their queues.
    pub(in crate::net) fn publish(&mut self, topic: &Topic, sealed: Vec<u8>) -> Result<(), PublishError> {
        let bytes = sealed.len();
        let published = self.inner.publish(gossip_topic(topic), sealed);
        // What nobody has got takes nobody's time; but where queues are full it is no help to fill them faster.
        if matches!(published, Ok(_) | Err(PublishError::AllQueuesFull(_))) {
            self.shares.spend_own(Instant::now(), bytes);
        }
        published.map(drop)
    }

    /// Opens a frame and takes it to be judged, from a peer that has entered as this author. If the frame's author has
    /// said too much lately it is left to anti-entropy, and that costs who sent it. How much is too much depends on whom this
    /// node hears, which who sent it need not know; but there is a limit that nobody exceeds by mistake.
    pub(in crate::net) fn take(
        &mut self,
        from: PeerId,
        as_whom: Option<AuthorId>,
        id: MessageId,
        message: &Message,
    ) -> Taken {
        let now = Instant::now();
        let key = room_topic(&message.topic).and_then(|topic| Some((topic, self.keys.get(&topic)?)));
        let Some((topic, key)) = key else {
            self.inner.report_message_validation_result(&id, &from, MessageAcceptance::Ignore);
            return Taken::Foreign;
        };
        let Some(frame) = key.open(&message.data) else {
            self.charge(&from, now, USELESS);
            self.inner.report_message_validation_result(&id, &from, MessageAcceptance::Reject);
            return Taken::Unreadable;
        };
        let bytes = frame.len();
        // What is too short to have an author is too short to be a message, which is for the room to say.
        let author = author_of(&frame).unwrap_or(AuthorId([0; 32]));
        let own = self.members.get_mut(&from).filter(|_| as_whom == Some(author));
        let floods = own.is_some_and(|own| own.are_too_many(now, bytes));
        if self.shares.may(now, &author) {
            return Taken::ForRoom { topic, ticket: GossipTicket { id, from, author, bytes }, frame };
        }
        let times = if floods { OVER_ITS_SHARE } else { 1 };
        self.charge(&from, now, times * (COST + bytes as u64));
        self.inner.report_message_validation_result(&id, &from, MessageAcceptance::Ignore);
        Taken::Left
    }

    /// What becomes of a frame that nobody has looked at.
    pub(in crate::net) fn leave(&mut self, ticket: &GossipTicket) {
        self.inner.report_message_validation_result(&ticket.id, &ticket.from, MessageAcceptance::Ignore);
    }

    /// A room's verdict on a frame of which so many bytes were new.
    pub(in crate::net) fn judge(&mut self, ticket: &GossipTicket, verdict: Verdict, new: usize) {
        let now = Instant::now();
        if new > 0 {
            self.shares.spend(now, ticket.author, new);
        }
        if verdict != Verdict::Accept {
            self.charge(&ticket.from, now, USELESS);
        }
        self.inner.report_message_validation_result(&ticket.id, &ticket.from, acceptance(verdict));
    }

    fn charge(&self, peer: &PeerId, now: Instant, bytes: u64) {
        for (_, pace) in self.paces.values().filter(|(of, _)| of == peer) {
            pace.spend(now, bytes);
        }
    }

    /// These are the authors of the peers that are connected.
    pub(in crate::net) fn are_here(&mut self, authors: BTreeSet<AuthorId>) {
        self.shares.are_here(authors);
    }

    /// Whether peers are known that take part in a topic of this node's.
    pub(in crate::net) fn is_shared(&self, topic: &Topic) -> bool {
        self.inner.mesh_peers(&gossip_topic(topic).hash()).next().is_some()
    }

    /// Connected peers and the topics that they take part in, as far as these may be rooms.
    pub(in crate::net) fn subscribers(&self) -> impl Iterator<Item = (&PeerId, Topic)> {
        self.inner
            .all_peers()
            .flat_map(|(peer, topics)| topics.into_iter().filter_map(room_topic).map(move |topic| (peer, topic)))
    }

    /// A peer has entered a room: it is read at the pace of a member.
    pub(in crate::net) fn entered(&mut self, peer: PeerId) {
        if let Entry::Vacant(vacant) = self.members.entry(peer) {
            let now = Instant::now();
            vacant.insert(OwnWords::new(now));
            for (_, pace) in self.paces.values().filter(|(of, _)| *of == peer) {
                pace.is_member(now);
            }
        }
    }

    /// Those who do not stop sending as much as they can.
    pub(in crate::net) fn flooding(&self, now: Instant) -> BTreeSet<PeerId> {
        self.paces.values().filter(|(_, pace)| pace.floods(now)).map(|(peer, _)| *peer).collect()
    }

    /// How many messages in own topics came since this was asked last, those that had come before included.
    pub(in crate::net) fn take_received(&self) -> u64 {
        self.own.take_received()
    }

    /// How many messages in topics of nobody here were dropped since this was asked last.
    pub(in crate::net) fn take_foreign(&self) -> u64 {
        self.own.take_foreign()
    }

    fn paced(&mut self, connection: ConnectionId, peer: PeerId, inner: Handler) -> PacedHandler {
        let now = Instant::now();
        let pace = Arc::new(Pace::new(now, self.strangers.clone()));
        if self.members.contains_key(&peer) {
            pace.is_member(now);
        }
        self.paces.insert(connection, (peer, pace.clone()));
        PacedHandler { inner, pace, waiting: None }
    }
}

type Handler = THandler<Gossipsub>;

/// What gossipsub's handlers bring.
pub(super) type FromHandler = THandlerOutEvent<Gossipsub>;

impl NetworkBehaviour for Gossip {
    type ConnectionHandler = PacedHandler;
    type ToSwarm = gossipsub::Event;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<PacedHandler, ConnectionDenied> {
        let handler = self.inner.handle_established_inbound_connection(id, peer, local, remote)?;
        Ok(self.paced(id, peer, handler))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<PacedHandler, ConnectionDenied> {
        let handler = self.inner.handle_established_outbound_connection(id, peer, address, role, port)?;
        Ok(self.paced(id, peer, handler))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match &event {
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, remaining_established, .. }) => {
                self.paces.remove(connection_id);
                self.portions.closed(*connection_id);
                if *remaining_established == 0 {
                    self.members.remove(peer_id);
                    self.noted.gone(peer_id);
                }
            }
            // A behaviour behind this one has denied it, so it will never be closed.
            FromSwarm::ListenFailure(failed) => drop(self.paces.remove(&failed.connection_id)),
            FromSwarm::DialFailure(failed) => drop(self.paces.remove(&failed.connection_id)),
            _ => {}
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        if let Some((_, pace)) = self.paces.get(&id) {
            let bytes = if let FromHandler::Message { rpc, .. } = &event { size(rpc) } else { 0 };
            pace.spend(Instant::now(), bytes);
        }
        if let Some(event) = self.portions.take(peer, id, event) {
            self.noted.read(peer);
            self.inner.on_connection_handler_event(peer, id, event);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<gossipsub::Event, THandlerInEvent<Self>>> {
        if let Some((peer, id, event)) = self.portions.next() {
            self.noted.read(peer);
            self.inner.on_connection_handler_event(peer, id, event);
            // For the next one, when everything else has had its turn.
            cx.waker().wake_by_ref();
        }
        self.inner.poll(cx)
    }
}

/// gossipsub's handler of a connection, which is asked for what has come when that is due.
///
/// What goes out waits with it: who is read slowly sends more than anybody can read.
pub(in crate::net) struct PacedHandler {
    inner: Handler,
    pace: Arc<Pace>,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl ConnectionHandler for PacedHandler {
    type FromBehaviour = <Handler as ConnectionHandler>::FromBehaviour;
    type ToBehaviour = <Handler as ConnectionHandler>::ToBehaviour;
    type InboundProtocol = <Handler as ConnectionHandler>::InboundProtocol;
    type OutboundProtocol = <Handler as ConnectionHandler>::OutboundProtocol;
    type InboundOpenInfo = <Handler as ConnectionHandler>::InboundOpenInfo;
    type OutboundOpenInfo = <Handler as ConnectionHandler>::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        self.inner.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.connection_keep_alive()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        while let Some(wait) = self.pace.wait(Instant::now()) {
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(wait)));
            ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
        }
        self.waiting = None;
        self.inner.poll(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.inner.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.inner.on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        self.inner.on_connection_event(event);
    }
}

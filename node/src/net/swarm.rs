//! The task that owns the swarm. It waits for nobody: not for a room, not for a person, not for a disk.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use distchat_crdt::Topic;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::ListenerId,
    gossipsub::PublishError,
    multiaddr::Protocol,
    request_response::{InboundRequestId, OutboundRequestId},
    swarm::{
        ConnectionId,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    Command, Judged, NetEvent,
    allowance::Funds,
    behaviour::Behaviour,
    budget::{Offence, Offences, REFUSED},
    counters::{Counters, Counting},
    deaf::Deaf,
    dial::{Dial, Dialer, Source, Target},
    ends::Ends,
    foreign::Foreign,
    gossip::QUEUE,
    kept::Kept,
    leaving::Leaving,
    mdns::Found,
    own::{Publication, Publications},
    peers::Peers,
    probed::Probed,
    requests::Answer,
    route::{Part, Rooms},
    rundir::Told,
};

/// How many commands are taken from a queue at a time.
const BATCH: usize = 256;
/// How many frames are published at a time. After them the connections have their turn: for more than wait for one peer
/// ([`QUEUE`]) there is no place.
const PUBLISHED: usize = QUEUE / 4;
/// How often the task looks after things.
const TICK: Duration = Duration::from_secs(1);
/// After how many of these the counters go to the log, if they have changed.
const LOG_COUNTERS: u64 = 60;
/// How soon a room without space is tried again.
const RETRY: Duration = Duration::from_millis(2);
/// How often rooms are woken that are due.
const WAKE: Duration = Duration::from_millis(50);

/// The task's state.
pub(super) struct Task {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) rooms: Rooms,
    pub(super) peers: Peers,
    pub(super) dialer: Dialer,
    /// Dials under way.
    pub(super) dialing: BTreeMap<ConnectionId, Dial>,
    /// Requests under way.
    pub(super) sent: BTreeMap<OutboundRequestId, (PeerId, Vec<Part>)>,
    /// Requests of others that rooms think about.
    pub(super) answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// How many of them bear messages.
    pub(super) offers: usize,
    /// Answers that peers have not taken yet.
    pub(super) leaving: Leaving<InboundRequestId>,
    /// What those who come have to begin with.
    pub(super) funds: Funds,
    pub(super) offences: Offences,
    pub(super) foreign: Foreign,
    pub(super) probed: Probed,
    pub(super) listening: Vec<(ListenerId, Multiaddr)>,
    /// Where it does not listen yet.
    pub(super) deaf: Vec<Deaf>,
    pub(super) ends: Ends,
    /// The first addresses are known. Others are news.
    pub(super) started: bool,
    /// When something was last published here.
    pub(super) published: Option<Instant>,
    pub(super) kept: Arc<Kept>,
    pub(super) out: Outputs,
}

/// Where the task's facts and events go.
#[derive(Clone)]
pub(super) struct Outputs {
    pub(super) events: mpsc::Sender<NetEvent>,
    pub(super) listeners: watch::Sender<Vec<Multiaddr>>,
    pub(super) peers: watch::Sender<Vec<(PeerId, Multiaddr)>>,
    pub(super) counting: Arc<Counting>,
}

/// What the task listens to.
pub(super) struct Inputs {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) judged: mpsc::Receiver<Judged>,
    pub(super) publications: Publications,
    pub(super) told: mpsc::Receiver<Told>,
    pub(super) found: mpsc::Receiver<Vec<Found>>,
    pub(super) shutdown: CancellationToken,
}

impl Outputs {
    pub(super) fn event(&self, event: NetEvent) {
        if self.events.try_send(event).is_err() {
            self.counting.events_dropped.add();
        }
    }

    fn log_counters(&self, logged: &mut Counters) {
        let now = self.counting.snapshot();
        if now != std::mem::replace(logged, now) {
            debug!(counters = ?now, "so far");
        }
    }

    pub(super) fn warn(&self, code: &'static str, message: String) {
        self.event(NetEvent::Warning { code, message });
    }
}

impl Task {
    /// Runs until cancelled, or until nobody holds a [`super::Network`] any more.
    pub(super) async fn run(mut self, inputs: &mut Inputs) {
        let mut commands = Vec::with_capacity(BATCH);
        let mut judged = Vec::with_capacity(BATCH);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks = 0_u64;
        let mut logged = Counters::default();
        let mut retry = interval(RETRY);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wake = interval(WAKE);
        wake.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.dial_due();
            let dial_at = self.dialer.deadline(Instant::now());
            let publish_at = self.publish_at();
            tokio::select! {
                () = inputs.shutdown.cancelled() => break,
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                count = inputs.commands.recv_many(&mut commands, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    self.on_commands(commands.drain(..));
                }
                _ = inputs.judged.recv_many(&mut judged, BATCH) => self.judge(judged.drain(..)),
                Some(first) = inputs.publications.recv(), if publish_at.is_none() => {
                    self.publish(first);
                    self.publish_due(&mut inputs.publications).await;
                }
                () = sleep_until(publish_at.unwrap_or_else(Instant::now).into()), if publish_at.is_some() => {
                    self.publish_due(&mut inputs.publications).await;
                }
                Some(answer) = self.answers.next(), if !self.answers.is_empty() => self.send_answer(answer),
                Some(done) = self.probed.next() => self.answer_probe(done),
                _ = retry.tick(), if self.rooms.waiting() => self.rooms.flush(),
                _ = wake.tick(), if self.rooms.are_due() => self.rooms.wake_due(),
                Some(told) = inputs.told.recv() => self.on_told(told),
                Some(found) = inputs.found.recv() => {
                    for Found { peer, address } in found {
                        self.dialer.seen(Instant::now(), Source::Network, peer, &address);
                    }
                }
                () = sleep_until(dial_at.unwrap_or_else(Instant::now).into()), if dial_at.is_some() => {}
                _ = tick.tick() => {
                    self.look_after(Instant::now());
                    self.listen_again(Instant::now()).await;
                    ticks += 1;
                    if ticks.is_multiple_of(LOG_COUNTERS) {
                        self.out.log_counters(&mut logged);
                    }
                }
            }
        }
        self.out.log_counters(&mut logged);
        self.publish_the_rest(inputs).await;
        self.part().await;
    }

    fn on_commands(&mut self, commands: impl Iterator<Item = Command>) {
        let mut requests = Vec::new();
        for command in commands {
            match command {
                Command::Request(request) => requests.push(request),
                Command::Charge { peer, offence } => self.charge(peer, offence),
                Command::Connect { address, done } => {
                    let wanted = self.dialer.want(Instant::now(), &address);
                    if wanted.is_ok() {
                        self.kept.wanted(address);
                    }
                    // Here and below: whoever does not wait for the answer any more does not need it.
                    let _ = done.send(wanted);
                }
                Command::Join { topic, key, inbox, joined } => {
                    self.swarm.behaviour_mut().gossip.subscribe(topic, key.clone());
                    let handle = self.rooms.join(topic, inbox.clone(), self.peers.ready().map(|(peer, _)| peer));
                    self.kept.joined(handle, topic, key, inbox);
                    if self.swarm.behaviour().gossip.is_shared(&topic) {
                        self.rooms.met(&topic);
                    }
                    let _ = joined.send(handle);
                }
                Command::Leave { handle } => self.leave(handle),
                Command::Subscribers { done } => {
                    let _ = done.send(self.subscribers());
                }
                #[cfg(test)]
                Command::Crash => panic!("the network was asked to crash"),
            }
        }
        self.send_requests(requests);
    }

    /// The topics of rooms that connected peers subscribe to. gossipsub bounds how many a peer may have.
    fn subscribers(&self) -> Vec<(Topic, Vec<PeerId>)> {
        let mut of: BTreeMap<Topic, Vec<PeerId>> = BTreeMap::new();
        for (peer, topic) in self.swarm.behaviour().gossip.subscribers() {
            of.entry(topic).or_default().push(*peer);
        }
        of.into_iter().collect()
    }

    fn leave(&mut self, handle: u32) {
        self.kept.left(handle);
        if let Some(topic) = self.rooms.leave(handle) {
            self.swarm.behaviour_mut().gossip.unsubscribe(&topic);
        }
    }

    pub(super) fn judge(&mut self, judged: impl Iterator<Item = Judged>) {
        for Judged { ticket, verdict, new } in judged {
            self.swarm.behaviour_mut().gossip.judge(&ticket, verdict, new);
        }
    }

    /// When the next frame may be published, if not now.
    fn publish_at(&mut self) -> Option<Instant> {
        let now = Instant::now();
        self.swarm.behaviour_mut().gossip.publishes_in(now).map(|wait| now + wait)
    }

    /// Publishes what waits, as far as others would take it now.
    async fn publish_due(&mut self, publications: &mut Publications) {
        for _ in 0..PUBLISHED {
            if self.publish_next(publications).is_none() {
                return;
            }
        }
        tokio::task::yield_now().await;
    }

    /// Publishes the next frame, if there is one and others would take it now. How long it was.
    pub(super) fn publish_next(&mut self, publications: &mut Publications) -> Option<usize> {
        if self.publish_at().is_some() {
            return None;
        }
        let next = publications.try_recv().ok()?;
        let bytes = next.sealed.len();
        self.publish(next);
        Some(bytes)
    }

    fn publish(&mut self, Publication { topic, sealed, .. }: Publication) {
        self.published = Some(Instant::now());
        match self.swarm.behaviour_mut().gossip.publish(&topic, sealed) {
            Ok(()) | Err(PublishError::Duplicate) => {}
            Err(PublishError::NoPeersSubscribedToTopic) => self.out.counting.publish_alone.add(),
            Err(error) => {
                debug!(%error, "a frame was not published");
                self.out.counting.publish_dropped.add();
            }
        }
    }

    /// Charges a peer, and refuses it if that was once too often.
    pub(super) fn charge(&mut self, peer: PeerId, offence: Offence) {
        debug!(%peer, %offence, "charged");
        self.out.counting.charged.add();
        if self.offences.charge(Instant::now(), peer) {
            self.out.counting.refused.add();
            let message = format!(
                "peer {peer} is refused for {} minutes: it sends {offence} over and over",
                REFUSED.as_secs() / 60
            );
            self.out.warn("peer-refused", message);
            self.refuse(peer);
        }
    }

    /// Ends all connections with a peer and has no others for a while.
    pub(super) fn refuse(&mut self, peer: PeerId) {
        let now = Instant::now();
        if let Some(released) = self.offences.refuse(now, peer) {
            self.swarm.behaviour_mut().refused.unblock_peer(released);
        }
        self.swarm.behaviour_mut().refused.block_peer(peer);
        self.dialer.refuse(now, peer, now + REFUSED);
    }

    fn dial_due(&mut self) {
        let now = Instant::now();
        while let Some(dial) = self.dialer.next(now) {
            let opts = match dial.peer {
                Some(peer) => {
                    let opts = DialOpts::peer_id(peer).addresses(vec![dial.address.clone()]);
                    let opts = opts.condition(PeerCondition::DisconnectedAndNotDialing);
                    // From a port of its own: from the listening port a dial to a host that still keeps an old connection
                    // between the same two ports, or that dials back at the same moment, goes wrong.
                    if is_tcp(&dial.address) { opts.allocate_new_port().build() } else { opts.build() }
                }
                None => {
                    let opts = DialOpts::unknown_peer_id().address(dial.address.clone());
                    if is_tcp(&dial.address) { opts.allocate_new_port().build() } else { opts.build() }
                }
            };
            let connection = opts.connection_id();
            match self.swarm.dial(opts) {
                Ok(()) => {
                    self.dialing.insert(connection, dial);
                }
                Err(error) => self.dial_failed(dial, &error),
            }
        }
    }

    fn on_told(&mut self, told: Told) {
        match told {
            Told::Unusable(why) => self.out.warn("run-dir-unusable", why),
            Told::Neighbours(neighbours) => {
                let now = Instant::now();
                let own: Vec<_> =
                    self.listening.iter().filter_map(|(_, address)| super::address::ip(address)).collect();
                for (peer, addresses) in neighbours {
                    // Only what leads back to this machine. Loopback does without any network, so it goes first.
                    let loopback = addresses.iter().any(is_loopback);
                    for address in &addresses {
                        let ours = super::address::ip(address).is_some_and(|ip| own.contains(&ip));
                        if is_loopback(address) || (!loopback && ours) {
                            self.dialer.seen(now, Source::Machine, peer, address);
                        }
                    }
                }
            }
        }
    }

    fn look_after(&mut self, now: Instant) {
        for peer in self.peers.strangers(now) {
            // Fails if it has gone by itself.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        self.rooms.entered.keep(|peer| self.peers.contains(peer));
        for peer in self.rooms.entered.members() {
            self.swarm.behaviour_mut().gossip.entered(peer);
        }
        let here = self.rooms.entered.authors();
        self.swarm.behaviour_mut().gossip.are_here(here);
        let flooding = self.swarm.behaviour().gossip.flooding(now);
        for peer in flooding {
            self.out.counting.refused.add();
            // What a member has said up to here comes from others, who are asked for it at leisure.
            let what = if self.rooms.entered.any(&peer) { "sends more than can be read" } else { "entered no room" };
            let message = format!(
                "peer {peer} is refused for {} minutes: it {what} and sends without end",
                REFUSED.as_secs() / 60
            );
            self.out.warn("peer-refused", message);
            self.refuse(peer);
        }
        let received = self.swarm.behaviour().gossip.take_received();
        self.out.counting.gossip_received.add_all(received);
        let foreign = self.swarm.behaviour().gossip.take_foreign();
        self.out.counting.gossip_foreign.add_all(foreign);
        let displaced = self.rooms.take_displaced();
        self.out.counting.gossip_dropped.add_all(displaced);
        for peer in self.offences.pardon(now) {
            self.swarm.behaviour_mut().refused.unblock_peer(peer);
        }
        for handle in self.rooms.abandoned() {
            self.leave(handle);
        }
        self.dialer.forget(now);
        for _ in 0..self.dialer.take_dropped() {
            self.out.counting.known_dropped.add();
        }
    }
}

fn is_tcp(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::Tcp(_)))
}

fn is_loopback(address: &Multiaddr) -> bool {
    super::address::ip(address).is_some_and(|ip| ip.is_loopback())
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Found(peer) => peer.fmt(f),
            Self::Wanted(address) => address.fmt(f),
        }
    }
}

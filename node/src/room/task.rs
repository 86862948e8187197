//! The task that runs a room: it takes what happens to the replica, and does what the replica says.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use distchat_crdt::{
    AuthorId, Fingerprint, Key, Room, Signer, Verifier,
    clock::Now,
    kind,
    sync::{Input, Peer, Replica, ReplicaConfig, Request, Response, RoomGreeting, Ticket},
};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

use super::{
    bell::{Parked, Resumed, Wakes},
    carry::{ExportPage, Imports},
    opening,
    perform::Waiting,
    slot::{Command, Mailbox, Reply, RoomPeer, Slot},
    view::View,
};
use crate::{
    error::RoomError,
    event::{EventHub, FingerprintInfo, Receipt},
    net::{GossipTicket, NetInput, Network, RequestError},
    store::{Frontier, Loaded, Store, StoreError},
};

/// How many inputs are handled before people and peers are told of what came of them.
const AT_ONCE: usize = 256;

/// How long a room stays awake after something was said in it, and after somebody has only looked into it, or another peer was
/// found to hold the same.
const PARKED_AFTER: Duration = if cfg!(test) { Duration::from_millis(3) } else { Duration::from_secs(60) };
const PARKED_AFTER_LOOK: Duration = if cfg!(test) { Duration::from_millis(2) } else { Duration::from_secs(3) };

/// What all rooms of a node share.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) network: Network,
    pub(crate) events: EventHub,
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) verifier: Arc<dyn Verifier>,
    /// The rooms that are to be woken.
    pub(crate) wakes: Arc<Wakes>,
    /// The moment that monotonic time is counted from.
    pub(crate) epoch: Instant,
    /// How far the clock was off when the user was last told.
    pub(crate) told_clock: Mutex<Option<i64>>,
    /// The authors of the connected peers, as far as proven in any room.
    pub(crate) proven: Mutex<BTreeMap<libp2p::PeerId, AuthorId>>,
    /// The name to go by: as told at the start, and as it follows from the profile.
    pub(crate) nick: Option<String>,
    pub(crate) default_nick: Option<String>,
    /// How many bytes of messages a room may hold.
    pub(crate) room_limit: u64,
}

impl Shared {
    /// A peer has proven who its author is; whether that was not known.
    pub(super) fn first_proof(&self, peer: libp2p::PeerId, author: AuthorId) -> bool {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, author) != Some(author)
    }

    /// A peer is gone; who its author was.
    pub(crate) fn forget_proof(&self, peer: &libp2p::PeerId) -> Option<AuthorId> {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner).remove(peer)
    }

    /// The name that the own author goes by in a room, or will once it says something.
    pub(super) fn own_nick<'a>(&'a self, slot: &Slot, view: &'a View) -> Option<&'a str> {
        let told = self.nick.as_deref().filter(|_| !slot.is_introduced());
        told.or(view.own_nick()).or(self.default_nick.as_deref())
    }

    pub(crate) fn now(&self) -> Now {
        Now { mono: self.epoch.elapsed(), wall_ms: wall_ms() }
    }
}

/// This computer's clock, in milliseconds since 1970.
pub(super) fn wall_ms() -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)
}

/// Why a room's task ended by itself. It is started again from the store, as after a crash.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoomFailure {
    #[error("the history could not be read or written: {0}")]
    Store(#[from] StoreError),
    #[error("the room could not be loaded: {0}")]
    Loading(StoreError),
}

impl RoomFailure {
    fn while_loading(self) -> Self {
        match self {
            Self::Store(error) | Self::Loading(error) => Self::Loading(error),
        }
    }

    /// Whether it is the disk that has failed. Nobody crashed, then.
    pub(crate) fn is_of_disk(&self) -> bool {
        let (Self::Store(error) | Self::Loading(error)) = self;
        error.is_of_disk()
    }

    /// Whether another start of the task would meet the same.
    pub(crate) fn is_beyond_help(&self) -> bool {
        let (Self::Store(error) | Self::Loading(error)) = self;
        matches!(error, StoreError::Damaged { .. })
    }
}

/// How far the store has come with this task's commits.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    pub(super) through: u64,
    pub(super) failed: Option<StoreError>,
}

pub(super) struct Task {
    pub(super) slot: Arc<Slot>,
    pub(super) shared: Arc<Shared>,
    pub(super) replica: Replica,
    pub(super) view: View,
    /// What had been here before whatever comes now.
    pub(super) frontier: Frontier,
    /// Peers that wait for an answer.
    pub(super) answers: BTreeMap<Ticket, oneshot::Sender<Response>>,
    /// Frames of gossip that wait for a verdict. It comes with the same outputs, so there is never more than one.
    pub(super) frames: BTreeMap<Ticket, GossipTicket>,
    pub(super) next_ticket: Ticket,
    pub(super) reads: FuturesUnordered<BoxFuture<'static, Input>>,
    pub(super) written: watch::Sender<Written>,
    /// What each peer was last found to hold, too.
    pub(super) synced: BTreeMap<Peer, Fingerprint>,
    /// Authors whose fork people have been told of.
    pub(super) forks_told: BTreeSet<AuthorId>,
    /// What is to be said next, and who waits for it.
    to_say: Vec<((u32, Vec<u8>), Waiting)>,
    /// By what name the own author goes is among what this task has said.
    introducing: bool,
    /// The last commit handed to the store, to know when all are there.
    pub(super) last_commit: u64,
    /// Fingerprints that were asked for and tell of messages up to a commit that is not on disk yet: whoever knows one
    /// can read the transcript that it stands for.
    pub(super) settling: VecDeque<(u64, FingerprintInfo, Reply<FingerprintInfo>)>,
    pub(super) imports: Imports,
    /// When something was last said here, and when anything last happened.
    pub(super) used: Option<Instant>,
    heard: Instant,
    /// When somebody last wanted to know who has what was said here.
    watched: Option<Instant>,
    /// Why the disk takes no writes.
    pub(super) disk: watch::Receiver<Option<StoreError>>,
    /// How many bytes of messages the room holds, those on their way to the disk among them.
    pub(super) size: u64,
    /// Nothing is taken in.
    pub(super) paused: bool,
}

/// Runs the room until it is stopped, or parked because nothing happens in it. On a panic or an error nothing is lost: whatever was acknowledged is in the store,
/// and what waits in the mailbox stays there.
pub(crate) async fn run(slot: Arc<Slot>, shared: Arc<Shared>) -> Result<(), RoomFailure> {
    let mut mailbox = slot.mailbox.lock().await;
    let mailbox = &mut *mailbox;
    if slot.bell().is_closed() {
        return Ok(());
    }
    let opened = opening::open(slot.clone(), shared, mailbox).await;
    let (mut task, early) = opened.map_err(RoomFailure::while_loading)?;
    task.size = task.shared.store.size(slot.number).await.map_err(RoomFailure::Loading)?;
    let mut written = task.written.subscribe();
    task.tell_unannounced().await?;
    for (peer, _) in task.shared.network.peers() {
        task.handle(Input::PeerUp(peer_of(&peer))).await?;
    }
    task.show_status();
    if task.slot.opened() {
        task.shared.events.emit(task.slot.event());
    }
    task.look_at_pause().await?;
    for command in early {
        task.command(command).await?;
    }
    task.say().await?;
    task.show_status();
    let store = task.shared.store.clone();
    let doubted = store.doubted(task.slot.number, task.shared.signer.author());
    tokio::pin!(doubted);
    loop {
        let deadline = task.replica.next_deadline().map(|at| task.shared.epoch + at);
        let rests_at = task.rests_at();
        tokio::select! {
            () = slot.stop.cancelled() => break,
            changed = written.changed() => {
                if changed.is_ok() {
                    let written = written.borrow_and_update().clone();
                    task.written(&written).await?;
                }
            }
            _ = task.disk.changed() => {}
            Some(read) = task.reads.next() => task.handle(read).await?,
            Some(command) = mailbox.commands.recv() => task.command(command).await?,
            Some(input) = mailbox.inputs.recv(), if !task.replica.is_behind() => task.input(input).await?,
            () = sleep_until(deadline) => task.handle(Input::Tick).await?,
            () = sleep_until(rests_at) => if task.park(mailbox) {
                return Ok(());
            },
            doubt = &mut doubted => return Err(doubt.into()),
        }
        task.look_at_pause().await?;
        task.drain(mailbox).await?;
        task.show_status();
    }
    // In a box: it is large, and would be a part of every task that is far from its end.
    Box::pin(task.finish(mailbox, &mut written)).await
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// A peer as the replica knows it.
pub(super) fn peer_of(peer: &libp2p::PeerId) -> Peer {
    Peer::new(&peer.to_bytes())
}

impl Task {
    /// A task that begins with what the store holds. `view` knows the names.
    pub(super) fn new(slot: Arc<Slot>, shared: Arc<Shared>, loaded: Loaded, mut view: View) -> Self {
        let Loaded { index, snapshot, frontier, .. } = loaded;
        let disk = shared.store.disk();
        let author = shared.signer.author();
        let room = Room::restore_indexed(slot.id, author, shared.verifier.clone(), index, snapshot);
        let forked = room.authors().iter().filter(|(_, log)| log.is_forked()).map(|(author, _)| *author);
        let forks_told = forked.collect();
        let config = ReplicaConfig {
            me: peer_of(&shared.network.peer_id()),
            handle: slot.handle(),
            signer: shared.signer.clone(),
            seed: rand::random(),
            said: slot.said_so_far(),
        };
        let mut replica = Replica::new(room, config, shared.now());
        let Resumed { mut clocks, synced, frontier: resumed } = slot.bell().resumed().unwrap_or_default();
        let there: BTreeSet<Peer> = shared.network.peers().iter().map(|(peer, _)| peer_of(peer)).collect();
        clocks.keep(|peer| there.contains(peer));
        replica.remember_clocks(clocks);
        let horizon = Key::last_of(replica.clock(shared.now()).horizon);
        view.newest_shown = replica.room().index().last_to(&horizon).unwrap_or(Key::MIN);
        let stored = Frontier { key: frontier.unwrap_or(view.newest_shown), unfinished: frontier.is_some() };
        let frontier = resumed.unwrap_or(stored);
        Self {
            slot,
            shared,
            replica,
            view,
            frontier,
            answers: BTreeMap::new(),
            frames: BTreeMap::new(),
            next_ticket: 0,
            reads: FuturesUnordered::new(),
            written: watch::Sender::new(Written::default()),
            synced: synced.into_iter().filter(|(peer, _)| there.contains(peer)).collect(),
            forks_told,
            to_say: Vec::new(),
            introducing: false,
            last_commit: 0,
            settling: VecDeque::new(),
            imports: Imports::default(),
            used: None,
            heard: Instant::now(),
            watched: None,
            disk,
            size: 0,
            paused: false,
        }
    }

    /// When the room is to be parked, unless something happens before.
    fn rests_at(&self) -> Option<Instant> {
        let nobody_waits = self.answers.is_empty()
            && self.reads.is_empty()
            && self.to_say.is_empty()
            && self.settling.is_empty()
            && self.imports.are_none();
        let rests = nobody_waits && self.shared.wakes.are_many_awake() && self.replica.is_settled();
        let looked = if self.shared.wakes.are_too_many_awake() { PARKED_AFTER_LOOK / 16 } else { PARKED_AFTER_LOOK };
        let used = self.used.map(|used| used + PARKED_AFTER);
        let watched = self.watched.filter(|_| !self.replica.delivered()).map(|watched| watched + PARKED_AFTER);
        rests.then(|| (self.heard + looked).max(used.max(watched).unwrap_or(self.heard)))
    }

    /// Lets the room sleep until something is put into its mailbox. False if something is in it.
    fn park(&self, mailbox: &Mailbox) -> bool {
        let clocks = self.replica.clocks().clone();
        let resumed = Resumed { clocks, synced: self.synced.clone(), frontier: Some(self.frontier) };
        self.slot.bell().park(mailbox, Parked::of(self.replica.room(), self.replica.delivered(), resumed))
    }

    /// Handles what else is waiting, so that people and the store get it in one go.
    async fn drain(&mut self, mailbox: &mut Mailbox) -> Result<(), RoomFailure> {
        for _ in 0..AT_ONCE {
            if let Ok(command) = mailbox.commands.try_recv() {
                self.command(command).await?;
            } else if !self.replica.is_behind()
                && let Ok(input) = mailbox.inputs.try_recv()
            {
                self.input(input).await?;
            } else {
                break;
            }
        }
        self.say().await
    }

    /// Takes up what was said before the end, and waits until it is on disk.
    async fn finish(
        mut self,
        mailbox: &mut Mailbox,
        written: &mut watch::Receiver<Written>,
    ) -> Result<(), RoomFailure> {
        while let Ok(command) = mailbox.commands.try_recv() {
            self.command(command).await?;
        }
        self.say().await?;
        let last = self.last_commit;
        let settled = written.wait_for(|written| written.through >= last || written.failed.is_some()).await;
        let settled = settled.map(|written| written.clone()).unwrap_or_default();
        self.written(&settled).await
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// Tells the replica and does what it says.
    pub(super) async fn handle(&mut self, input: Input) -> Result<(), RoomFailure> {
        let outputs = self.replica.handle(self.shared.now(), input);
        self.perform(outputs, Vec::new()).await
    }

    async fn input(&mut self, input: NetInput) -> Result<(), RoomFailure> {
        self.heard = Instant::now();
        self.look_at_pause().await?;
        let input = match input {
            NetInput::PeerUp { peer } => Input::PeerUp(peer_of(&peer)),
            NetInput::PeerDown { peer } => self.gone(&peer),
            NetInput::Gossip { from, ticket, frame } => {
                let number = self.ticket();
                self.frames.insert(number, ticket);
                Input::Frame { peer: peer_of(&from), ticket: number, bytes: frame }
            }
            NetInput::Request { peer, request, room_for, reply } => {
                self.replica.limit_answers(&peer_of(&peer), room_for);
                // Of a stranger's nothing is taken.
                let entered = || self.replica.peers().any(|(entered, _)| *entered == peer_of(&peer));
                self.frontier.unfinished |= matches!(request, Request::Offer(_)) && !self.paused && entered();
                let ticket = self.ticket();
                self.answers.insert(ticket, reply);
                Input::Asked { peer: peer_of(&peer), ticket, request }
            }
            // Who enters and goes at once may have gone before this room knew it, and the network told of nobody.
            NetInput::Response { peer, response: Err(RequestError::Gone), .. } => self.gone(&peer),
            NetInput::Response { peer, id, response } => {
                self.frontier.unfinished |= brings_messages(&response) && !self.paused;
                Input::Answered { peer: peer_of(&peer), id, response: response.ok() }
            }
        };
        self.handle(input).await
    }

    fn gone(&mut self, peer: &libp2p::PeerId) -> Input {
        // It may have been noted as entered after it had gone.
        self.shared.network.left(self.slot.handle(), peer);
        self.synced.remove(&peer_of(peer));
        Input::PeerDown(peer_of(peer))
    }

    pub(super) async fn command(&mut self, command: Command) -> Result<(), RoomFailure> {
        self.heard = Instant::now();
        self.look_at_pause().await?;
        if command.adds()
            && let Some(why) = self.why_paused()
        {
            command.refuse(why);
            return Ok(());
        }
        match command {
            Command::Say { kind, body, reply } => {
                self.introduce();
                self.to_say.push(((kind, body), Some(reply)));
                return Ok(());
            }
            Command::Nick { nick, reply } => {
                self.introducing = true;
                self.to_say.push(((kind::NICK, nick.into_bytes()), Some(reply)));
                return Ok(());
            }
            _ => {}
        }
        // Whoever asks about the room after saying something asks about a room in which it was said.
        self.say().await?;
        match command {
            Command::Say { .. } | Command::Nick { .. } => {}
            Command::Lines { lines, reply } => {
                self.catch_up().await?;
                let lines = self.shared.store.lines(self.slot.number, lines).await;
                let horizon = self.replica.clock(self.shared.now()).horizon;
                let shown =
                    |messages: Vec<_>| messages.iter().map(|message| self.view.stored(message, horizon)).collect();
                reply.send(lines.map(shown).map_err(RoomError::from)).ok();
            }
            Command::Reactions { to, reply } => {
                let horizon = self.replica.clock(self.shared.now()).horizon;
                let reactions = self.shared.store.reactions(self.slot.number, to, horizon).await;
                reply.send(reactions.map_err(RoomError::from)).ok();
            }
            Command::Topic { reply } => {
                let horizon = self.replica.clock(self.shared.now()).horizon;
                let topic = self.shared.store.topic(self.slot.number, horizon).await;
                reply.send(topic.map_err(RoomError::from)).ok();
            }
            Command::Members { at_most, reply } => {
                self.catch_up().await?;
                reply.send(Ok(self.members(at_most))).ok();
            }
            Command::Fingerprint { reply } => {
                let room = self.replica.room();
                let info = FingerprintInfo {
                    messages: room.index().len(),
                    fingerprint: room.fingerprint(),
                    missing: room.missing(),
                };
                self.settling.push_back((self.last_commit, info, reply));
                self.catch_up().await?;
            }
            // To be answered once the status tells of all that was written before.
            Command::CatchUp { reply } => {
                self.catch_up().await?;
                self.show_status();
                reply.send(Ok(())).ok();
            }
            Command::Delivered { reply } => {
                self.watched = Some(Instant::now());
                self.handle(Input::WatchReceipts { of: Vec::new() }).await?;
                reply.send(Ok(self.replica.delivered())).ok();
            }
            Command::Receipts { of, reply } => {
                self.handle(Input::WatchReceipts { of: of.clone() }).await?;
                reply.send(Ok(of.into_iter().map(|key| self.receipt_of(key)).collect())).ok();
            }
            Command::Export { before, max_bytes, reply } => {
                let page = self.shared.store.page_down(self.slot.number, before, max_bytes).await;
                reply.send(page.map(ExportPage::new).map_err(RoomError::from)).ok();
            }
            Command::Import { messages, reply } => self.import(&messages, reply).await?,
            #[expect(clippy::panic, reason = "this is what was asked for")]
            Command::Crash => panic!("room `{}` was asked to crash", self.slot.name),
        }
        Ok(())
    }

    /// Takes up all that the store has written. It tells whoever said something itself, and that may be before this task
    /// heard of it: what they ask next must already know of it, and of the name it was said under.
    async fn catch_up(&mut self) -> Result<(), RoomFailure> {
        let written = self.written.borrow().clone();
        self.written(&written).await
    }

    /// Who has that message on disk, of all who could.
    fn receipt_of(&self, key: Key) -> Option<Receipt> {
        let own = self.shared.signer.author();
        let holders = self.replica.holders(key)?;
        let on: Vec<AuthorId> = holders.filter(|author| *author != own).collect();
        let here = self.replica.peers().map(|(_, author)| author).filter(|author| *author != own);
        let of = here.chain(on.iter().copied()).collect::<BTreeSet<_>>().len();
        Some(Receipt { on, of, said_before: !self.replica.is_said(key) })
    }

    /// The name that the own author goes by, or will once it says something.
    pub(super) fn own_nick(&self) -> Option<&str> {
        self.shared.own_nick(&self.slot, &self.view)
    }

    /// Before its first text here, an author says by what name it goes, if that is not known yet.
    fn introduce(&mut self) {
        if self.slot.is_introduced() || std::mem::replace(&mut self.introducing, true) {
            return;
        }
        let wanted = self.own_nick().filter(|wanted| self.view.own_nick() != Some(*wanted)).map(str::to_owned);
        if let Some(nick) = wanted {
            self.to_say.push(((kind::NICK, nick.into_bytes()), None));
        }
    }

    /// Says what is waiting to be said, all at once: it is one commit, and one signature check for each peer.
    async fn say(&mut self) -> Result<(), RoomFailure> {
        if self.to_say.is_empty() {
            return Ok(());
        }
        let (said, waiting) = std::mem::take(&mut self.to_say).into_iter().unzip();
        let ticket = self.ticket();
        let outputs = self.replica.handle(self.shared.now(), Input::Say { ticket, said });
        self.perform(outputs, waiting).await
    }

    /// Brings the status that others see up to date.
    pub(super) fn show_status(&mut self) {
        let now = self.shared.now();
        let room = self.replica.room();
        let root = room.fingerprint();
        let peers: Vec<RoomPeer> = self
            .replica
            .peers()
            .filter_map(|(peer, author)| {
                let clock_offset_ms = self.replica.clock_offset_ms(now, peer);
                let peer = libp2p::PeerId::from_bytes(peer.as_bytes()).ok()?;
                Some(RoomPeer { peer, author, clock_offset_ms })
            })
            .collect();
        let messages = room.index().len();
        let own_nick = self.own_nick().map(str::to_owned);
        let (sync, missing) = (self.replica.sync_state(), room.missing());
        let horizon = self.replica.clock(now).horizon.millis();
        let horizon_ms = i64::try_from(i128::from(horizon) - i128::from(now.wall_ms)).unwrap_or(0);
        self.slot.status.send_modify(|status| {
            status.messages = messages;
            status.fingerprint = root;
            status.sync = sync;
            status.missing = missing;
            status.horizon_ms = horizon_ms;
            status.peers = peers;
            status.own_nick = own_nick;
        });
        self.tell_clock(now);
    }
}

/// Whether an answer brings messages that others have had for a while.
fn brings_messages(response: &Result<Response, impl Sized>) -> bool {
    match response {
        Ok(Response::Page(page)) => !page.messages.is_empty(),
        Ok(Response::Hello(greeting)) => greeting.rooms.iter().any(|room| match room {
            RoomGreeting::Differs(difference) => difference.tail.as_ref().is_some_and(|tail| !tail.messages.is_empty()),
            _ => false,
        }),
        _ => false,
    }
}

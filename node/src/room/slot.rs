//! What stays of a room while its task comes and goes: its mailbox, its state, and what is on its way to the disk.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use distchat_crdt::{
    AuthorId, Commit, Fingerprint, Key, Message, RoomId, RoomName, Timestamp,
    sync::{Imported, MAX_RECEIPTS, SyncState},
};
use libp2p::PeerId;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    bell::{Bell, Parked, Wakes},
    carry::ExportPage,
    task::wall_ms,
};
use crate::{
    boxed,
    disk::Patience,
    error::RoomError,
    event::{self, FingerprintInfo, RoomInfo, RoomState},
    net::{self, Doorbell, Inbox, InputSender, Inputs},
    restart::{Decision, Intensity},
    store::{Frontier, Lines, RoomNo},
};

/// How many commands wait for a room before whoever gives them waits, too.
const COMMANDS: usize = 256;
/// How far ahead of the clock messages are not future-dated yet, in milliseconds.
const MAX_AHEAD_MS: i64 = 2 * 60 * 1000;
/// How many inputs from the network wait here for a room. More wait where they come from, in a queue for each peer, so what
/// stands in this one is all that somebody else's crowd can put before them.
const INPUTS: usize = 16;

/// A room as the rest of the node knows it. It outlives the crashes of the task that runs it.
pub(crate) struct Slot {
    pub(crate) name: RoomName,
    pub(crate) id: RoomId,
    /// The room's number in the store.
    pub(crate) number: RoomNo,
    commands: mpsc::Sender<Box<Command>>,
    /// Whose turn it is to give a command.
    turn: tokio::sync::Mutex<()>,
    /// Whose turn it is to import: one page at a time is in memory.
    pub(super) importing: tokio::sync::Mutex<()>,
    inputs: InputSender,
    bell: Arc<Bell>,
    /// The receiving ends. The task holds the lock while it runs; what it has not taken when it crashes, the next one
    /// takes.
    pub(crate) mailbox: tokio::sync::Mutex<Mailbox>,
    pub(crate) status: watch::Sender<Status>,
    /// Apart from the status, which changes all the time: whoever waits for an answer watches this, and must not be woken
    /// by every message.
    pub(crate) state: watch::Sender<RoomState>,
    /// How many receipts have come, for whoever waits for them.
    pub(crate) receipts: watch::Sender<u64>,
    /// Ends the task for good.
    pub(crate) stop: CancellationToken,
    /// How often its task has crashed lately: also while it slept in between.
    intensity: Mutex<Intensity>,
    /// How long to leave a disk alone that has failed to give the history.
    patience: Mutex<Patience>,
    /// What the network calls the room; another number each time it joins.
    handle: AtomicU32,
    /// Whether it is on disk by what name the own author goes since the node started.
    introduced: AtomicBool,
    /// Whether people have been told that it is open.
    opened: AtomicBool,
    /// Its task has crashed again and again: the next one looks at each message before it opens the room.
    suspect: AtomicBool,
    /// What made it crash was found, so its crashes do not count any more.
    pardoned: AtomicBool,
    kept: Mutex<Kept>,
}

pub(crate) struct Mailbox {
    pub(crate) commands: boxed::Receiver<Command>,
    pub(crate) inputs: Inputs,
}

/// What a restarted task needs to know of the one before it.
struct Kept {
    unannounced: VecDeque<Arc<Unannounced>>,
    newest_shown: Key,
    /// What was said here since the node started, and is on disk.
    said: Vec<Key>,
}

/// A commit that people have not been told of. Should the task crash between the disk and the telling, the next one
/// tells.
pub(crate) struct Unannounced {
    pub(crate) commit: Arc<Commit>,
    /// When it came here, and what had been here before.
    pub(crate) arrived_ms: u64,
    pub(crate) frontier: Frontier,
    pub(crate) durable: AtomicBool,
}

/// A room in brief, for whoever asks without waiting.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub(crate) messages: u64,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) sync: SyncState,
    pub(crate) missing: u64,
    /// How far the horizon is ahead of this computer's clock.
    pub(crate) horizon_ms: i64,
    pub(crate) own_nick: Option<String>,
    pub(crate) peers: Vec<RoomPeer>,
}

/// A peer that is in the room.
#[derive(Clone, Debug)]
pub(crate) struct RoomPeer {
    pub(crate) peer: PeerId,
    pub(crate) author: AuthorId,
    pub(crate) clock_offset_ms: Option<i64>,
}

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, RoomError>>;

/// What a room's users ask of its task.
pub(crate) enum Command {
    Say { kind: u32, body: Vec<u8>, reply: Reply<Message> },
    Nick { nick: String, reply: Reply<Message> },
    Lines { lines: Lines, reply: Reply<Vec<event::Message>> },
    Reactions { to: Vec<Key>, reply: Reply<Vec<event::Reaction>> },
    Topic { reply: Reply<Option<event::RoomTopic>> },
    Members { at_most: usize, reply: Reply<Vec<event::Member>> },
    Fingerprint { reply: Reply<FingerprintInfo> },
    Delivered { reply: Reply<bool> },
    Receipts { of: Vec<Key>, reply: Reply<Vec<Option<event::Receipt>>> },
    Export { before: Option<Key>, max_bytes: usize, reply: Reply<ExportPage> },
    Import { messages: Arc<Vec<Vec<u8>>>, reply: Reply<Imported> },
    CatchUp { reply: Reply<()> },
    Crash,
}

impl Mailbox {
    /// Whether nothing waits in it.
    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.inputs.is_empty()
    }
}

impl Slot {
    /// A room that is being opened. `me` is what the node is called on the network.
    pub(crate) fn new(
        name: RoomName,
        number: RoomNo,
        stop: CancellationToken,
        me: &PeerId,
        wakes: Arc<Wakes>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|slot| Self::ringing(name, number, stop, me, wakes, slot.clone()))
    }

    fn ringing(
        name: RoomName,
        number: RoomNo,
        stop: CancellationToken,
        me: &PeerId,
        wakes: Arc<Wakes>,
        slot: Weak<Self>,
    ) -> Self {
        let (commands, command_receiver) = boxed::channel(COMMANDS);
        let (inputs, input_receiver) = net::inputs(INPUTS);
        let status = Status {
            messages: 0,
            fingerprint: Fingerprint([0; 32]),
            sync: SyncState::Alone,
            missing: 0,
            horizon_ms: MAX_AHEAD_MS,
            own_nick: None,
            peers: Vec::new(),
        };
        let id = RoomId::of(&name);
        Self {
            id,
            bell: Arc::new(Bell::new(me, id, slot, wakes)),
            name,
            number,
            commands,
            turn: tokio::sync::Mutex::new(()),
            importing: tokio::sync::Mutex::new(()),
            inputs,
            mailbox: tokio::sync::Mutex::new(Mailbox { commands: command_receiver, inputs: input_receiver }),
            status: watch::Sender::new(status),
            state: watch::Sender::new(RoomState::Open),
            receipts: watch::Sender::new(0),
            stop,
            intensity: Mutex::default(),
            patience: Mutex::default(),
            handle: AtomicU32::new(0),
            introduced: AtomicBool::new(false),
            opened: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
            pardoned: AtomicBool::new(false),
            kept: Mutex::new(Kept { unannounced: VecDeque::new(), newest_shown: Key::MIN, said: Vec::new() }),
        }
    }

    /// Gives the task a command, after those whose givers were first polled before.
    ///
    /// # Errors
    /// If there will be no task.
    pub(crate) async fn give(&self, command: Command) -> Result<(), RoomError> {
        // The channel alone gives a place that falls free to whoever comes just then, before those who wait for one and
        // are about to be woken. And tokio's cooperative budget may turn away a first poll.
        tokio::task::unconstrained(async {
            let _turn = self.turn.lock().await;
            self.commands.send(Box::new(command)).await.map_err(|_| RoomError::Closed)?;
            self.bell.ring();
            Ok(())
        })
        .await
    }

    /// Where the network puts what it has for the room.
    pub(crate) fn inbox(&self) -> Inbox {
        Inbox::new(self.inputs.clone(), self.bell.clone())
    }

    /// What tells the room that there is something for it.
    pub(super) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// The room is about to get its first task.
    pub(crate) fn start(&self) {
        self.bell.awake();
    }

    /// Whether it has a task, or is about to get one.
    pub(crate) fn is_awake(&self) -> bool {
        self.bell.is_awake()
    }

    /// The room is left: nothing that is put into its mailbox from now on has any effect.
    pub(crate) fn close(&self) {
        self.bell.close();
    }

    /// Lets a room that has no task yet sleep until something happens in it. False if something has.
    pub(crate) async fn rest(&self, parked: Parked) -> bool {
        self.bell.park(&*self.mailbox.lock().await, parked)
    }

    /// A peer is gone. An awake room hears of it itself.
    pub(crate) fn peer_gone(&self, peer: &PeerId) {
        if !self.bell.is_awake() {
            self.status.send_if_modified(|status| {
                let before = status.peers.len();
                status.peers.retain(|known| known.peer != *peer);
                if status.peers.is_empty() {
                    status.sync = SyncState::Alone;
                }
                status.peers.len() != before
            });
        }
    }

    /// The history could not be loaded; how long to wait before the disk is tried again.
    pub(crate) fn failed_by_disk(&self, now: Instant) -> Duration {
        self.patience.lock().unwrap_or_else(PoisonError::into_inner).failed(now)
    }

    /// The task has crashed; what to do about it.
    pub(crate) fn crashed(&self, now: Instant) -> Decision {
        self.intensity.lock().unwrap_or_else(PoisonError::into_inner).crashed(now)
    }

    /// The task is started by hand, with a clean record.
    pub(crate) fn forgive_crashes(&self) {
        *self.intensity.lock().unwrap_or_else(PoisonError::into_inner) = Intensity::default();
    }

    /// What the network calls the room now.
    pub(crate) fn handle(&self) -> u32 {
        self.handle.load(Ordering::Relaxed)
    }

    /// The network has been joined, and calls the room this.
    pub(crate) fn joined(&self, handle: u32) {
        self.handle.store(handle, Ordering::Relaxed);
    }

    pub(crate) fn info(&self) -> RoomInfo {
        let status = self.status.borrow();
        RoomInfo {
            name: self.name.clone(),
            messages: status.messages,
            peers: status.peers.len(),
            state: *self.state.borrow(),
            fingerprint: status.fingerprint,
            nick: status.own_nick.clone(),
            sync: status.sync,
            missing: status.missing,
            horizon: Timestamp::from_millis(wall_ms().saturating_add_signed(status.horizon_ms)),
        }
    }

    /// The room in its state now, as people are told.
    pub(crate) fn event(&self) -> event::Event {
        let info = self.info();
        event::Event::Room {
            room: info.name,
            messages: info.messages,
            fingerprint: info.fingerprint,
            state: info.state,
        }
    }

    pub(crate) fn set_state(&self, state: RoomState) {
        if matches!(state, RoomState::Failed | RoomState::Left) {
            self.status.send_modify(|status| {
                status.peers.clear();
                status.sync = SyncState::Alone;
            });
        }
        self.state.send_replace(state);
    }

    /// Whether it is on disk by what name the own author goes.
    pub(crate) fn is_introduced(&self) -> bool {
        self.introduced.load(Ordering::Acquire)
    }

    /// A message may be what makes the task crash.
    pub(crate) fn suspect(&self) {
        self.suspect.store(true, Ordering::Relaxed);
    }

    pub(super) fn take_suspicion(&self) -> bool {
        self.suspect.swap(false, Ordering::Relaxed)
    }

    pub(super) fn pardon(&self) {
        self.pardoned.store(true, Ordering::Relaxed);
    }

    /// Whether what made it crash was found since this was last asked.
    pub(crate) fn take_pardon(&self) -> bool {
        self.pardoned.swap(false, Ordering::Relaxed)
    }

    /// The history is loaded; whether that is so for the first time.
    pub(crate) fn opened(&self) -> bool {
        !self.opened.swap(true, Ordering::Relaxed)
    }

    /// The lock is held for moments and never while something can fail, so a poisoned one holds whole data.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what was said and is on disk, for the receipts of a task to come. No more than are kept receipts for.
    pub(crate) fn said(&self, messages: &[Message]) {
        // The name comes before all else, in the same commit or an earlier one.
        self.introduced.store(true, Ordering::Release);
        let mut kept = self.kept();
        if kept.said.len() <= MAX_RECEIPTS {
            kept.said.extend(messages.iter().map(Message::key));
        }
    }

    /// What was said since the node started.
    pub(crate) fn said_so_far(&self) -> Vec<Key> {
        self.kept().said.clone()
    }

    /// Remembers that a commit is on its way to the disk.
    pub(crate) fn committing(&self, commit: Arc<Commit>, arrived_ms: u64, frontier: Frontier) -> Arc<Unannounced> {
        let unannounced = Arc::new(Unannounced { commit, arrived_ms, frontier, durable: AtomicBool::new(false) });
        self.kept().unannounced.push_back(unannounced.clone());
        unannounced
    }

    /// The oldest commit that people have not been told of.
    pub(crate) fn to_announce(&self) -> Option<Arc<Unannounced>> {
        self.kept().unannounced.front().cloned()
    }

    /// People have been told of the oldest commit.
    pub(crate) fn announced(&self, newest_shown: Key) {
        let mut kept = self.kept();
        kept.unannounced.pop_front();
        kept.newest_shown = newest_shown;
    }

    /// What a crashed task left: the commits that are on disk and that nobody was told of, and how far the transcript had
    /// been shown. Called when no commit is on its way any more.
    pub(crate) fn take_unannounced(&self) -> (Vec<Arc<Unannounced>>, Key) {
        let mut kept = self.kept();
        let commits = kept.unannounced.drain(..).filter(|commit| commit.durable.load(Ordering::Acquire)).collect();
        (commits, kept.newest_shown)
    }

    /// Throws away what waits in the mailbox: whoever waits for an answer learns that there will be none.
    pub(crate) async fn clear_mailbox(&self) {
        let mut mailbox = self.mailbox.lock().await;
        while mailbox.commands.try_recv().is_ok() {}
        while mailbox.inputs.try_recv().is_ok() {}
    }
}

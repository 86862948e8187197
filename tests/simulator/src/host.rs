//! A host: a disk, a clock, an author, and a process that may or may not run.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use distchat_crdt::{
    Key, Room, RoomId, RoomName, Signer,
    clock::Now,
    sync::{Input, Peer, Replica, ReplicaConfig},
};
use distchat_node::restart::Intensity;

use crate::{
    cheap::{Author, Cheap},
    disk::{Disk, Durable},
    liar::Liar,
    plan::HostPlan,
};

/// 2026, more or less, in milliseconds since 1970.
pub(crate) const START_MS: u64 = 1_790_000_000_000;

/// A computer and who sits at it.
pub(crate) struct Host {
    /// Its number.
    pub(crate) number: usize,
    /// Who writes here.
    pub(crate) author: Author,
    /// Its disk.
    pub(crate) disk: Disk,
    /// Copies of the disk, put aside.
    pub(crate) copies: Vec<Durable>,
    /// The process, while one runs.
    pub(crate) process: Option<Process>,
    /// How many processes have run here.
    pub(crate) incarnation: u32,
    /// How many tasks have run here, in all processes.
    pub(crate) tasks: u32,
    /// It has gone for good.
    pub(crate) left: bool,
    /// It takes part now or would if it were not down.
    pub(crate) present: bool,
    /// Its disk was once replaced by an older copy.
    pub(crate) restored: bool,
    /// It lies, and how.
    pub(crate) liar: Option<Liar>,
    /// The disk is slow until then.
    pub(crate) slow_until: Duration,
    /// How far the clock is ahead at time zero, in milliseconds, and how much it gains in 1,000 seconds.
    pub(crate) clock_ms: i64,
    drift: i64,
}

/// What runs on a host, and dies with it.
pub(crate) struct Process {
    /// When it started: its monotonic clock counts from there.
    pub(crate) started: Duration,
    /// The room's task; `None` while it is down after a crash.
    pub(crate) replica: Option<Replica>,
    /// The supervisor's memory of its crashes.
    pub(crate) intensity: Intensity,
    /// The supervisor has given up on the task.
    pub(crate) failed: bool,
    /// What came while the task was down.
    pub(crate) mailbox: VecDeque<Input>,
    /// The processes it is connected to: host and incarnation.
    pub(crate) connected: BTreeMap<usize, u32>,
    /// How often each process broke the protocol.
    pub(crate) offences: BTreeMap<(usize, u32), u32>,
    /// Hosts that are no longer talked to.
    pub(crate) dropped: BTreeSet<usize>,
    /// Frames of gossip that have passed here.
    pub(crate) heard: BTreeSet<u64>,
    /// What was said and is on disk.
    pub(crate) said: Vec<Key>,
    /// When the next tick is due, if one is on its way.
    pub(crate) tick_at: Option<Duration>,
    /// Whether it is known that what was said here has arrived elsewhere.
    pub(crate) delivered: bool,
    /// How many hellos it has sent.
    pub(crate) hellos: u64,
}

/// The room of all runs.
pub(crate) fn room_id() -> RoomId {
    static ROOM: std::sync::LazyLock<RoomId> =
        std::sync::LazyLock::new(|| RoomId::of(&RoomName::parse("general").unwrap_or_else(|_| unreachable!())));
    *ROOM
}

/// The transport identity of a process: fresh for each.
pub(crate) fn peer_of(host: usize, incarnation: u32) -> Peer {
    let [a, b] = (host as u16).to_be_bytes();
    let [c, d, e, f] = incarnation.to_be_bytes();
    Peer::new(&[a, b, c, d, e, f])
}

/// Whose identity that is.
pub(crate) fn process_of(peer: &Peer) -> Option<(usize, u32)> {
    let [a, b, c, d, e, f] = *peer.as_bytes() else { return None };
    Some((usize::from(u16::from_be_bytes([a, b])), u32::from_be_bytes([c, d, e, f])))
}

impl Host {
    /// A host that is not running yet.
    pub(crate) fn new(number: usize, plan: &HostPlan, liar: Option<Liar>) -> Self {
        Self {
            number,
            author: Author(number as u16),
            disk: Disk::default(),
            copies: Vec::new(),
            process: None,
            incarnation: 0,
            tasks: 0,
            left: false,
            present: plan.present,
            restored: false,
            liar,
            slow_until: Duration::ZERO,
            clock_ms: plan.clock_ms,
            drift: plan.drift,
        }
    }

    /// Its name in a story.
    pub(crate) fn name(&self) -> String {
        format!("{}{}", if self.liar.is_some() { "liar" } else { "h" }, self.number)
    }

    /// How far its clock is ahead, in milliseconds.
    pub(crate) fn ahead_ms(&self, now: Duration) -> i64 {
        self.clock_ms + now.as_secs() as i64 * self.drift / 1000
    }

    /// What its clocks say.
    pub(crate) fn clock(&self, now: Duration) -> Now {
        let started = self.process.as_ref().map_or(Duration::ZERO, |process| process.started);
        let wall_ms = (START_MS + now.as_millis() as u64).saturating_add_signed(self.ahead_ms(now));
        Now { mono: now.saturating_sub(started), wall_ms }
    }

    /// Starts a process. It knows nobody yet.
    pub(crate) fn start(&mut self, now: Duration, seed: [u8; 32]) {
        self.incarnation += 1;
        self.process = Some(Process {
            started: now,
            replica: None,
            intensity: Intensity::default(),
            failed: false,
            mailbox: VecDeque::new(),
            connected: BTreeMap::new(),
            offences: BTreeMap::new(),
            dropped: BTreeSet::new(),
            heard: BTreeSet::new(),
            said: Vec::new(),
            tick_at: None,
            delivered: true,
            hellos: 0,
        });
        self.start_task(now, seed);
    }

    /// Starts the room's task, from what is on disk.
    pub(crate) fn start_task(&mut self, now: Duration, seed: [u8; 32]) {
        let clock = self.clock(now);
        let me = peer_of(self.number, self.incarnation);
        let Some(process) = &mut self.process else { return };
        self.tasks += 1;
        process.failed = false;
        let own = self.author.author();
        let room = Room::restore(room_id(), own, Arc::new(Cheap), self.disk.durable.snapshot());
        let config = ReplicaConfig {
            me,
            handle: 100 + self.number as u32,
            signer: Arc::new(self.author),
            seed,
            said: process.said.clone(),
        };
        process.replica = Some(Replica::new(room, config, clock));
    }

    /// The room, while its task runs.
    pub(crate) fn room(&self) -> Option<&Room> {
        Some(self.process.as_ref()?.replica.as_ref()?.room())
    }
}

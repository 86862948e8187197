//! Rooms that sleep while nothing happens in them.
//!
//! A room is *awake* while it has a task, and *parked* while it has none: then there is no index, no timer, and nothing to be
//! told of peers, but the mailbox stays where it is. The invariant: a room is parked only while its mailbox is empty, and
//! whoever puts something into it rings afterwards. Parking looks into the mailbox with the lock held that ringing takes. So
//! either it sees what has been put in, and the room stays awake, or the bell is heard, and the room gets a task; nothing
//! waits in a mailbox for nobody.
//!
//! Nobody else misses a parked room, for it is parked only when every peer that is in it was found to hold the same, and
//! whoever comes to hold something else says hello, and goes on doing so until both agree. While its peer holds the same, a
//! hello is answered from what was known at last, which cannot have changed.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use distchat_crdt::{
    Fingerprint, Key, Room, RoomId, Timestamp,
    clock::Clocks,
    sync::{Greeting, List, Peer, Refusal, Request, Response, RoomGreeting, proof},
};
use libp2p::PeerId;
use tokio::sync::Notify;

use super::{
    slot::{Mailbox, Slot},
    task::{peer_of, wall_ms},
};
use crate::{net::Doorbell, store::Frontier};

/// How many rooms may be awake before any is parked. With so few it does not pay.
pub(crate) const KEPT_AWAKE: usize = 64;

/// What is known of a parked room.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(super) count: u64,
    pub(super) root: Fingerprint,
    /// The time of the newest message.
    pub(super) newest: Timestamp,
    /// What its next task would not find in the store.
    pub(super) resumed: Resumed,
}

impl Parked {
    /// What is to be known of a room that sleeps as it is.
    pub(super) fn of(room: &Room, resumed: Resumed) -> Self {
        let index = room.index();
        let newest = index.last_to(&Key::last_of(Timestamp::MAX)).map_or(Timestamp(0), |key| key.time);
        Self { count: index.len(), root: room.fingerprint(), newest, resumed }
    }
}

/// What a task knew when its room was parked, and the next one is to know again.
#[derive(Debug, Default)]
pub(crate) struct Resumed {
    pub(super) clocks: Clocks,
    /// What each peer was last found to hold, too.
    pub(super) synced: BTreeMap<Peer, Fingerprint>,
    pub(super) frontier: Option<Frontier>,
}

/// Tells a room that there is something for it.
#[derive(Debug)]
pub(crate) struct Bell {
    me: Peer,
    room: RoomId,
    slot: Weak<Slot>,
    wakes: Arc<Wakes>,
    phase: Mutex<Phase>,
}

#[derive(Debug)]
enum Phase {
    /// Not open yet. Whoever opens it looks into the mailbox.
    Opening,
    Awake(Option<Resumed>),
    Parked(Parked),
}

impl Bell {
    pub(super) fn new(me: &PeerId, room: RoomId, slot: Weak<Slot>, wakes: Arc<Wakes>) -> Self {
        Self { me: peer_of(me), room, slot, wakes, phase: Mutex::new(Phase::Opening) }
    }

    /// The lock is held for moments and never while something can fail, so a poisoned one holds whole data.
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The room is about to get its first task.
    pub(super) fn awake(&self) {
        *self.phase() = Phase::Awake(None);
    }

    /// Lets the room sleep. False if something is in its mailbox.
    pub(super) fn park(&self, mailbox: &Mailbox, parked: Parked) -> bool {
        let mut phase = self.phase();
        let empty = mailbox.is_empty();
        if empty {
            *phase = Phase::Parked(parked);
        }
        empty
    }

    /// What the task before knew, if it parked the room.
    pub(super) fn resumed(&self) -> Option<Resumed> {
        match &mut *self.phase() {
            Phase::Awake(resumed) => resumed.take(),
            Phase::Opening | Phase::Parked(_) => None,
        }
    }
}

impl Doorbell for Bell {
    fn is_awake(&self) -> bool {
        matches!(*self.phase(), Phase::Awake(_))
    }

    fn ring(&self) -> bool {
        let mut phase = self.phase();
        match &mut *phase {
            Phase::Opening => false,
            Phase::Awake(_) => true,
            Phase::Parked(parked) => {
                *phase = Phase::Awake(Some(std::mem::take(&mut parked.resumed)));
                // A room that is gone has nobody to wake.
                if let Some(slot) = self.slot.upgrade() {
                    self.wakes.add(slot);
                }
                true
            }
        }
    }

    fn answer(&self, asker: &PeerId, request: &Request) -> Option<Response> {
        let phase = self.phase();
        let Phase::Parked(parked) = &*phase else { return None };
        match request {
            Request::Hello(hello) => {
                let [room] = &*hello.rooms else { return None };
                let same = (room.count, room.root) == (parked.count, parked.root) && room.upper >= parked.newest;
                let rooms = List::cut(vec![RoomGreeting::Equal(0)]);
                same.then(|| Response::Hello(Greeting { clock: wall_ms(), rooms }))
            }
            // Topics are no secret: who only knows that is not let in, and does not wake anybody.
            Request::Enter(enter) => (enter.proof != proof(&self.room, &peer_of(asker), &self.me))
                .then_some(Response::Refused(Refusal::Denied)),
            _ => None,
        }
    }
}

/// The rooms that wait for a task. Each is in it at most once, for it is awake from then on.
#[derive(Default)]
pub(crate) struct Wakes {
    rung: Mutex<VecDeque<Arc<Slot>>>,
    heard: Notify,
    awake: AtomicUsize,
}

impl std::fmt::Debug for Wakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wakes").field("awake", &self.awake).finish_non_exhaustive()
    }
}

impl Wakes {
    fn add(&self, slot: Arc<Slot>) {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner).push_back(slot);
        self.heard.notify_one();
    }

    /// Waits until some room is to be woken.
    pub(crate) async fn heard(&self) {
        self.heard.notified().await;
    }

    /// The rooms to be woken.
    pub(crate) fn take(&self) -> VecDeque<Arc<Slot>> {
        std::mem::take(&mut *self.rung.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// So many rooms have tasks.
    pub(crate) fn set_awake(&self, awake: usize) {
        self.awake.store(awake, Ordering::Relaxed);
    }

    /// Whether so many rooms are awake that others had better sleep.
    pub(crate) fn are_many_awake(&self) -> bool {
        self.awake.load(Ordering::Relaxed) >= KEPT_AWAKE
    }
}

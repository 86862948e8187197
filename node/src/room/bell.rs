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
const KEPT_AWAKE: usize = 64;
/// How many may be awake before those in which nothing was said are parked almost at once. Whoever comes and is in thousands of
/// rooms wakes them all, one after the other; what they took together the process would not give back.
const CROWD: usize = 512;

/// What is known of a parked room.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(super) count: u64,
    pub(super) root: Fingerprint,
    /// The time of the newest message.
    pub(super) newest: Timestamp,
    /// Some peer is known to have what was said here since the start.
    pub(super) delivered: bool,
    /// What its next task would not find in the store.
    pub(super) resumed: Resumed,
}

impl Parked {
    /// What is to be known of a room that sleeps as it is.
    pub(super) fn of(room: &Room, delivered: bool, resumed: Resumed) -> Self {
        let index = room.index();
        let newest = index.last_to(&Key::last_of(Timestamp::MAX)).map_or(Timestamp(0), |key| key.time);
        Self { count: index.len(), root: room.fingerprint(), newest, delivered, resumed }
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
    /// Left: it is not to have a task any more.
    Closed,
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

    /// The room is left: nothing that is put into its mailbox from now on has any effect.
    pub(super) fn close(&self) {
        *self.phase() = Phase::Closed;
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.phase(), Phase::Closed)
    }

    /// Whether the room sleeps, and some peer was known to have what was said here.
    pub(super) fn sleeps_delivered(&self) -> bool {
        matches!(&*self.phase(), Phase::Parked(Parked { delivered: true, .. }))
    }

    /// What the task before knew, if it parked the room.
    pub(super) fn resumed(&self) -> Option<Resumed> {
        match &mut *self.phase() {
            Phase::Awake(resumed) => resumed.take(),
            Phase::Opening | Phase::Parked(_) | Phase::Closed => None,
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
            Phase::Awake(_) | Phase::Closed => true,
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
pub(crate) struct Wakes {
    rung: Mutex<VecDeque<Arc<Slot>>>,
    heard: Notify,
    awake: AtomicUsize,
    kept_awake: AtomicUsize,
    /// How often a room was woken.
    #[cfg(test)]
    count: AtomicUsize,
}

impl Default for Wakes {
    fn default() -> Self {
        Self {
            rung: Mutex::default(),
            heard: Notify::new(),
            awake: AtomicUsize::new(0),
            kept_awake: AtomicUsize::new(KEPT_AWAKE),
            #[cfg(test)]
            count: AtomicUsize::new(0),
        }
    }
}

impl std::fmt::Debug for Wakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wakes").field("awake", &self.awake).finish_non_exhaustive()
    }
}

impl Wakes {
    fn add(&self, slot: Arc<Slot>) {
        #[cfg(test)]
        self.count.fetch_add(1, Ordering::Relaxed);
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
        self.awake.load(Ordering::Relaxed) >= self.kept_awake.load(Ordering::Relaxed)
    }

    /// Whether so many are awake that no room had better stay so in case something happens in it.
    pub(crate) fn are_too_many_awake(&self) -> bool {
        self.awake.load(Ordering::Relaxed) >= CROWD
    }

    /// Lets rooms sleep as soon as they can, however few they are.
    #[cfg(test)]
    pub(crate) fn let_all_sleep(&self) {
        self.kept_awake.store(0, Ordering::Relaxed);
    }

    /// How often rooms were woken so far.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicBool, thread};

    use distchat_crdt::{
        RoomName,
        sync::{Enter, Hello, RoomHello},
    };
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        net::{Inbox, NetInput},
        store::{RoomNo, Store},
    };

    async fn slot(wakes: &Arc<Wakes>) -> (PeerId, Arc<Slot>) {
        let (me, name) = (PeerId::random(), RoomName::parse("general").unwrap());
        let store = Store::open(None).unwrap();
        let number: RoomNo = store.room(&name).await.unwrap();
        store.close().await;
        (me, Slot::new(name, number, CancellationToken::new(), &me, wakes.clone()))
    }

    fn parked(count: u64, newest: u64) -> Parked {
        Parked {
            count,
            root: Fingerprint([7; 32]),
            newest: Timestamp(newest),
            delivered: true,
            resumed: Resumed::default(),
        }
    }

    /// Puts so many inputs into the inbox. One that is full is tried again.
    fn give(inbox: &Inbox, count: usize) {
        for _ in 0..count {
            let place = loop {
                match inbox.place() {
                    Ok(place) => break place,
                    Err(_) => thread::yield_now(),
                }
            };
            place.put(NetInput::PeerUp { peer: PeerId::random() });
        }
    }

    #[tokio::test]
    async fn what_is_put_in_while_a_room_falls_asleep_is_taken_out() {
        const GIVERS: usize = 3;
        const EACH: usize = 20_000;
        let wakes = Arc::new(Wakes::default());
        let (_, slot) = slot(&wakes).await;
        assert!(slot.rest(parked(0, 0)).await);
        let given = AtomicBool::new(false);
        let taken = thread::scope(|scope| {
            // What the supervisor and the room's tasks do, one after the other: taking what is there, and falling asleep.
            let taking = scope.spawn(|| {
                let (mut taken, mut last) = (0, false);
                loop {
                    for slot in wakes.take() {
                        let mut mailbox = slot.mailbox.try_lock().expect("one task at a time");
                        loop {
                            while mailbox.inputs.try_recv().is_ok() {
                                taken += 1;
                            }
                            if slot.bell().park(&mailbox, parked(0, 0)) {
                                break;
                            }
                        }
                    }
                    if std::mem::replace(&mut last, given.load(Ordering::SeqCst)) {
                        return taken;
                    }
                }
            });
            let givers: Vec<_> = (0..GIVERS).map(|_| scope.spawn(|| give(&slot.inbox(), EACH))).collect();
            givers.into_iter().for_each(|giver| giver.join().unwrap());
            given.store(true, Ordering::SeqCst);
            taking.join().unwrap()
        });
        assert_eq!(taken, GIVERS * EACH, "woken {} times", wakes.count());
        assert!(wakes.count() > 1);
    }

    #[tokio::test]
    async fn only_what_cannot_have_changed_is_answered_asleep() {
        let wakes = Arc::new(Wakes::default());
        let (me, slot) = slot(&wakes).await;
        let (bell, asker) = (slot.bell(), PeerId::random());
        let hello = |upper, count, root| {
            let room = RoomHello { handle: 1, upper: Timestamp(upper), count, root: Fingerprint([root; 32]) };
            bell.answer(&asker, &Request::Hello(Hello { clock: 5, rooms: List::cut(vec![room]) }))
        };
        let enter = |proof| {
            let (topic, author) = (slot.id.topic(), distchat_crdt::AuthorId([1; 32]));
            let signature = distchat_crdt::Signature([2; 64]);
            bell.answer(&asker, &Request::Enter(Enter { topic, handle: 3, proof, author, signature }))
        };
        let proven = proof(&slot.id, &peer_of(&asker), &peer_of(&me));
        assert_eq!((hello(10, 4, 7), bell.ring()), (None, false), "it is only being opened");
        assert!(slot.rest(parked(4, 10)).await);
        assert!(
            matches!(hello(10, 4, 7), Some(Response::Hello(greeting)) if *greeting.rooms == [RoomGreeting::Equal(0)])
        );
        assert_eq!([hello(9, 4, 7), hello(10, 3, 7), hello(10, 4, 8)], [None, None, None]);
        assert_eq!(enter(proven), None);
        assert_eq!(enter(proof(&slot.id, &peer_of(&me), &peer_of(&me))), Some(Response::Refused(Refusal::Denied)));
        assert!(bell.ring() && bell.is_awake());
        assert_eq!(hello(10, 4, 7), None, "awake, it is asked itself");
        assert_eq!(wakes.take().len(), 1);
        assert!(bell.ring());
        assert!(wakes.take().is_empty(), "it is woken once");
    }
}

//! The supervisor of the room tasks: OTP's one-for-one strategy.
//!
//! Each room runs in a task of its own. One that panics, or fails, is started again from the store, while the others
//! do not notice; one that does so too often stays down, visibly, until somebody starts it by hand.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::{Id, JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    event::{Event, RoomState},
    restart::Decision,
    room::{self, RoomFailure, Shared, Slot},
    store::StoreError,
};

/// What the supervisor is told.
pub(crate) enum Order {
    /// Run this room.
    Start(Arc<Slot>),
}

/// What happens before a room's task runs.
enum Before {
    Nothing,
    Pause(Duration),
    /// Whoever asks something of the room is told that it could not be loaded.
    StandIn(StoreError, Duration),
}

/// How a room's task ended.
type Ended = Result<(Id, Result<(), RoomFailure>), JoinError>;

pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    tasks: JoinSet<Result<(), RoomFailure>>,
    children: HashMap<Id, Arc<Slot>>,
}

impl Supervisor {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, tasks: JoinSet::new(), children: HashMap::new() }
    }

    /// Runs until it is stopped and all rooms have ended. Rooms are stopped by their own tokens, which are children of
    /// this one.
    pub(crate) async fn run(
        mut self,
        mut starts: mpsc::Receiver<Order>,
        mut restarts: mpsc::Receiver<Arc<Slot>>,
        stop: CancellationToken,
    ) {
        loop {
            tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended).await,
                Some(Order::Start(slot)) = starts.recv() => self.start(slot, Before::Nothing),
                Some(slot) = restarts.recv() => self.restart_failed(slot).await,
                () = self.shared.wakes.heard() => self.wake(),
                () = stop.cancelled() => break,
            }
        }
        // What was said in a room that slept is taken up, too.
        self.wake();
        while let Some(ended) = self.tasks.join_next_with_id().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a room crashed while it was stopped");
            }
        }
    }

    /// Gives tasks to the rooms in which something happens.
    fn wake(&mut self) {
        for slot in self.shared.wakes.take() {
            self.start(slot, Before::Nothing);
        }
    }

    fn start(&mut self, slot: Arc<Slot>, before: Before) {
        let (child, shared) = (slot.clone(), self.shared.clone());
        // In a box, which goes with the room's end. The task's own memory stays for as long as the mailbox of a room that sleeps
        // remembers whom it had to wake.
        let task = self.tasks.spawn(Box::pin(async move {
            match before {
                Before::Nothing => {}
                Before::Pause(pause) => tokio::time::sleep(pause).await,
                Before::StandIn(error, pause) => room::stand_in(&slot, &shared, &error, pause).await,
            }
            room::run(slot, shared).await
        }));
        self.children.insert(task.id(), child);
        self.shared.wakes.set_awake(self.children.len());
    }

    async fn ended(&mut self, ended: Ended) {
        let (id, failure, panicked, beyond_help) = match ended {
            Ok((id, Ok(()))) => {
                self.children.remove(&id);
                self.shared.wakes.set_awake(self.children.len());
                return;
            }
            // What a failing disk gives to read may look like damage, and is none.
            Ok((id, Err(failure))) if failure.is_of_disk() || self.disk_fails() => {
                return self.failed_by_disk(id, failure);
            }
            Ok((id, Err(failure))) => (id, failure.to_string(), false, failure.is_beyond_help()),
            Err(error) => (error.id(), error.to_string(), error.is_panic(), false),
        };
        let Some(slot) = self.children.remove(&id) else { return };
        self.shared.wakes.set_awake(self.children.len());
        if slot.stop.is_cancelled() {
            tracing::error!(room = %slot.name, failure, "the room crashed while it was stopped");
            return;
        }
        if slot.take_pardon() {
            slot.forgive_crashes();
        }
        let decision = if beyond_help { Decision::GiveUp } else { slot.crashed(Instant::now()) };
        if beyond_help {
            let message = format!("{} cannot be used for now: {failure}", slot.name);
            self.shared.events.emit(Event::Warning { code: "history-damaged".into(), message });
        }
        match decision {
            Decision::Restart(pause) => {
                // The first restart is at once: after a second crash in a row it may be that a message makes it crash.
                if panicked && !pause.is_zero() {
                    slot.suspect();
                }
                tracing::warn!(room = %slot.name, failure, ?pause, "the room crashed and is started again");
                slot.set_state(RoomState::Restarted);
                self.shared.events.emit(slot.event());
                self.start(slot, Before::Pause(pause));
            }
            Decision::GiveUp => {
                tracing::error!(room = %slot.name, failure, "the room crashed too often and stays down");
                // What was handed to the store before the crash may yet be on disk, and the store itself tells who waits
                // for it. Only after that is it true of everybody else that nothing was said.
                self.shared.store.settle().await.ok();
                slot.set_state(RoomState::Failed);
                self.shared.network.leave(slot.handle()).await;
                slot.clear_mailbox().await;
                self.shared.events.emit(slot.event());
            }
        }
    }

    fn disk_fails(&self) -> bool {
        self.shared.store.disk().borrow().is_some()
    }

    /// The disk has failed a room, which is no crash: it is loaded again, and takes nothing in until the disk works.
    fn failed_by_disk(&mut self, id: Id, failure: RoomFailure) {
        let Some(slot) = self.children.remove(&id) else { return };
        self.shared.wakes.set_awake(self.children.len());
        tracing::warn!(room = %slot.name, %failure, "the disk has failed the room");
        if slot.stop.is_cancelled() {
            return;
        }
        if slot.set_paused(true) {
            self.shared.events.emit(slot.event());
        }
        let before = match failure {
            RoomFailure::Store(error) if error.is_of_disk() => Before::Nothing,
            // The next task would meet the same.
            RoomFailure::Store(error) | RoomFailure::Loading(error) => {
                Before::StandIn(error, slot.failed_by_disk(Instant::now()))
            }
        };
        self.start(slot, before);
    }

    /// Starts a failed room again, with a clean record.
    async fn restart_failed(&mut self, slot: Arc<Slot>) {
        if slot.info().state != RoomState::Failed || slot.stop.is_cancelled() {
            return;
        }
        slot.clear_mailbox().await;
        if let Ok(handle) = self.shared.network.join(&slot.id, slot.inbox()).await {
            slot.joined(handle);
            if slot.stop.is_cancelled() {
                // It was left meanwhile.
                return self.shared.network.leave(handle).await;
            }
        }
        slot.set_state(RoomState::Restarted);
        self.shared.events.emit(slot.event());
        slot.forgive_crashes();
        self.start(slot, Before::Nothing);
    }
}

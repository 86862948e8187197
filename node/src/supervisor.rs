//! The supervisor of the room tasks: OTP's one-for-one strategy.
//!
//! Each room runs in a task of its own. One that panics, or fails, is started again from the store, while the others
//! do not notice; one that does so too often stays down, visibly, until somebody starts it by hand.

use std::{collections::HashMap, sync::Arc};

use tokio::{
    sync::mpsc,
    task::{Id, JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    event::{Event, RoomState},
    restart::{Decision, Intensity},
    room::{self, RoomFailure, Shared, Slot},
};

/// What the supervisor is told.
pub(crate) enum Order {
    /// Run this room.
    Start(Arc<Slot>),
}

/// A room under supervision.
struct Child {
    slot: Arc<Slot>,
    intensity: Intensity,
}

/// How a room's task ended.
type Ended = Result<(Id, Result<(), RoomFailure>), JoinError>;

pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    tasks: JoinSet<Result<(), RoomFailure>>,
    children: HashMap<Id, Child>,
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
                Some(Order::Start(slot)) = starts.recv() => self.start(Child { slot, intensity: Intensity::default() }, None),
                Some(slot) = restarts.recv() => self.restart_failed(slot).await,
                () = stop.cancelled() => break,
            }
        }
        while let Some(ended) = self.tasks.join_next_with_id().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a room crashed while it was stopped");
            }
        }
    }

    fn start(&mut self, child: Child, pause: Option<std::time::Duration>) {
        let (slot, shared) = (child.slot.clone(), self.shared.clone());
        let task = self.tasks.spawn(async move {
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            room::run(slot, shared).await
        });
        self.children.insert(task.id(), child);
    }

    async fn ended(&mut self, ended: Ended) {
        let (id, failure, panicked, beyond_help) = match ended {
            Ok((id, Ok(()))) => {
                self.children.remove(&id);
                return;
            }
            Ok((id, Err(failure))) => (id, failure.to_string(), false, failure.is_beyond_help()),
            Err(error) => (error.id(), error.to_string(), error.is_panic(), false),
        };
        let Some(mut child) = self.children.remove(&id) else { return };
        if child.slot.stop.is_cancelled() {
            tracing::error!(room = %child.slot.name, failure, "the room crashed while it was stopped");
            return;
        }
        if child.slot.take_pardon() {
            child.intensity = Intensity::default();
        }
        let decision = if beyond_help { Decision::GiveUp } else { child.intensity.crashed(Instant::now()) };
        if beyond_help {
            let message = format!("{} cannot be used for now: {failure}", child.slot.name);
            self.shared.events.emit(Event::Warning { code: "history-damaged".into(), message });
        }
        match decision {
            Decision::Restart(pause) => {
                // The first restart is at once: after a second crash in a row it may be that a message makes it crash.
                if panicked && !pause.is_zero() {
                    child.slot.suspect();
                }
                tracing::warn!(room = %child.slot.name, failure, ?pause, "the room crashed and is started again");
                child.slot.set_state(RoomState::Restarted);
                self.shared.events.emit(child.slot.event());
                self.start(child, Some(pause));
            }
            Decision::GiveUp => {
                tracing::error!(room = %child.slot.name, failure, "the room crashed too often and stays down");
                let slot = child.slot;
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

    /// Starts a failed room again, with a clean record.
    async fn restart_failed(&mut self, slot: Arc<Slot>) {
        if slot.info().state != RoomState::Failed || slot.stop.is_cancelled() {
            return;
        }
        slot.clear_mailbox().await;
        if let Ok(handle) = self.shared.network.join(slot.id.topic(), slot.inputs.clone()).await {
            slot.joined(handle);
            if slot.stop.is_cancelled() {
                // It was left meanwhile.
                return self.shared.network.leave(handle).await;
            }
        }
        slot.set_state(RoomState::Restarted);
        self.shared.events.emit(slot.event());
        self.start(Child { slot, intensity: Intensity::default() }, None);
    }
}

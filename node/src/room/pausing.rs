//! A room that takes nothing in: because the disk takes no writes, or because it holds as much as it may.
//!
//! Nothing is lost by it, and nothing has to be done twice: what people say meanwhile is refused with the reason, what peers
//! have is theirs until the room goes on and asks for it. Reading and serving go on, from what is on disk.

use std::time::Duration;

use distchat_crdt::sync::{Input, Verdict};
use tokio::time::sleep;

use super::{
    slot::{Command, Reply, Slot},
    task::{RoomFailure, Shared, Task},
};
use crate::{
    error::RoomError,
    event::{Event, RoomState},
    net::NetInput,
    store::StoreError,
};

impl Slot {
    /// The room is paused, or no longer; whether that is news.
    pub(crate) fn set_paused(&self, paused: bool) -> bool {
        let before = *self.state.borrow();
        let news = paused != (before == RoomState::Paused);
        if news {
            self.set_state(if paused { RoomState::Paused } else { RoomState::Open });
        }
        news
    }

    /// What the store says of a change of this room, as its users are told.
    pub(super) fn refused(&self, error: StoreError) -> RoomError {
        if error.is_of_disk() { self.paused(format!("{error}; it goes on by itself then")) } else { error.into() }
    }

    fn paused(&self, why: String) -> RoomError {
        RoomError::Paused { room: self.name.clone(), why }
    }
}

impl Task {
    /// Whether anything may be taken in now; if that has changed, the replica and people are told.
    pub(super) async fn look_at_pause(&mut self) -> Result<(), RoomFailure> {
        let paused = self.is_full() || self.disk.borrow().is_some();
        if paused != self.paused {
            self.paused = paused;
            let outputs = self.replica.handle(self.shared.now(), Input::Pause(paused));
            self.perform(outputs, Vec::new()).await?;
            if self.is_full()
                && let Some(why) = self.why_paused()
            {
                // Of the disk people are told once, for all rooms.
                self.shared.events.emit(Event::Warning { code: "room-limit".into(), message: why.to_string() });
            }
        }
        if self.slot.set_paused(paused) {
            self.show_status();
            self.shared.events.emit(self.slot.event());
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.size >= self.shared.room_limit
    }

    /// Why nothing is taken in, if it is not.
    pub(super) fn why_paused(&self) -> Option<RoomError> {
        if !self.paused {
            return None;
        }
        if self.is_full() {
            let limit = in_units(self.shared.room_limit);
            let why = format!(
                "it holds as many bytes of messages as a room may on this node, {limit}; what is there stays, and with a \
                 larger --room-limit it goes on"
            );
            return Some(self.slot.paused(why));
        }
        let failing = self.disk.borrow().clone();
        failing.map(|error| self.slot.refused(error))
    }
}

/// A number of bytes as people write it.
fn in_units(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB"];
    let whole = |step: &u32| {
        let counted = bytes >> (10 * step);
        counted > 0 && counted.is_multiple_of(1 << 10)
    };
    let steps = (0..3).take_while(whole).count();
    format!("{} {}", bytes >> (10 * steps), units.get(steps).unwrap_or(&"bytes"))
}

impl Command {
    /// Whether it adds to what the room holds.
    pub(super) fn adds(&self) -> bool {
        matches!(self, Self::Say { .. } | Self::Nick { .. } | Self::Import { .. })
    }

    /// Tells whoever gave the command why it is not done.
    pub(super) fn refuse(self, why: RoomError) {
        match self {
            Self::Say { reply, .. } | Self::Nick { reply, .. } => tell(reply, why),
            Self::Lines { reply, .. } => tell(reply, why),
            Self::Reactions { reply, .. } => tell(reply, why),
            Self::Topic { reply } => tell(reply, why),
            Self::Members { reply, .. } => tell(reply, why),
            Self::Fingerprint { reply } => tell(reply, why),
            Self::Delivered { reply } => tell(reply, why),
            Self::Receipts { reply, .. } => tell(reply, why),
            Self::Export { reply, .. } => tell(reply, why),
            Self::Import { reply, .. } => tell(reply, why),
            Self::CatchUp { reply } => tell(reply, why),
            // There is nothing to crash.
            Self::Crash => {}
        }
    }
}

fn tell<T>(reply: Reply<T>, why: RoomError) {
    // Whoever asked may be gone by now.
    reply.send(Err(why)).ok();
}

/// Stands in for the task of a room that could not be loaded, for so long: whoever asks it something is told why.
pub(crate) async fn stand_in(slot: &Slot, shared: &Shared, error: &StoreError, pause: Duration) {
    let mut mailbox = slot.mailbox.lock().await;
    let mailbox = &mut *mailbox;
    let end = sleep(pause);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            () = slot.stop.cancelled() => return,
            Some(command) = mailbox.commands.recv() => command.refuse(slot.refused(error.clone())),
            Some(input) = mailbox.inputs.recv() => {
                // The next task asks who is there. Requests that nobody answers are answered as by one that has no time.
                if let NetInput::Gossip { ticket, .. } = input {
                    shared.network.verdict(ticket, Verdict::Ignore, 0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_round_numbers() {
        for (bytes, told) in [
            (0, "0 bytes"),
            (1000, "1000 bytes"),
            (1 << 10, "1 KiB"),
            (1500 << 10, "1500 KiB"),
            (500 << 20, "500 MiB"),
            (1 << 30, "1 GiB"),
            (2 << 40, "2048 GiB"),
        ] {
            assert_eq!(in_units(bytes), told);
        }
    }
}

//! Opening a room: what can be told of it while its history is loaded.

use std::{collections::VecDeque, sync::Arc};

use distchat_crdt::{Key, Room, RoomName, clock::Clocks};

use super::{
    bell::{Parked, Resumed},
    closely,
    slot::{Command, Mailbox, Slot},
    task::{RoomFailure, Shared, Task},
    view::View,
};
use crate::{
    error::RoomError,
    event::Event,
    store::{Loaded, Mended, StoreError},
};

/// How many commands are put aside until the room is loaded. Further ones stay in the mailbox.
const ASIDE: usize = 256;

/// Looks at what is stored of a room that is to sleep until something happens in it.
pub(crate) async fn glance(slot: &Slot, shared: &Shared) -> Result<Parked, StoreError> {
    let own = shared.signer.author();
    let withheld = shared.store.withheld(slot.number).await?;
    let view = View::without(withheld, own, shared.store.nicks(slot.number).await?, Key::MIN);
    let Loaded { index, snapshot, mended, .. } = shared.store.load(slot.number, own).await?;
    tell(&slot.name, mended.as_ref(), shared);
    let room = Room::restore_indexed(slot.id, own, shared.verifier.clone(), index, snapshot);
    slot.status.send_modify(|status| {
        status.messages = room.index().len();
        status.fingerprint = room.fingerprint();
        status.missing = room.missing();
        status.own_nick = shared.own_nick(slot, &view).map(str::to_owned);
    });
    Ok(Parked::of(&room, slot.said_so_far().is_empty(), Resumed::default()))
}

/// Loads the room. Meanwhile its newest messages are read from the store for whoever asks; all other commands are given
/// back, in their order, for the task that comes of it.
pub(super) async fn open(
    slot: Arc<Slot>,
    shared: Arc<Shared>,
    mailbox: &mut Mailbox,
) -> Result<(Task, VecDeque<Command>), RoomFailure> {
    // All commits that were on their way are done after this, so what was kept of them is settled, and whoever was told
    // that something is on disk reads it, with its author's name.
    shared.store.reload(slot.number).await?;
    if slot.take_suspicion() {
        closely::look(&slot, &shared).await?;
    }
    let own = shared.signer.author();
    let withheld = shared.store.withheld(slot.number).await?;
    let view = View::without(withheld, own, shared.store.nicks(slot.number).await?, Key::MIN);
    let mut aside = VecDeque::new();
    let load = shared.store.load(slot.number, own);
    tokio::pin!(load);
    let loaded = loop {
        tokio::select! {
            loaded = &mut load => break loaded?,
            Some(command) = mailbox.commands.recv(), if aside.len() < ASIDE => match command {
                Command::Lines { lines, reply } => {
                    let lines = shared.store.lines(slot.number, lines).await;
                    let horizon = Clocks::default().read(shared.now()).horizon;
                    let shown = |messages: Vec<_>| messages.iter().map(|message| view.stored(message, horizon)).collect();
                    // Whoever asked may be gone by now.
                    reply.send(lines.map(shown).map_err(RoomError::from)).ok();
                }
                command => aside.push_back(command),
            },
        }
    };
    tell(&slot.name, loaded.mended.as_ref(), &shared);
    Ok((Task::new(slot.clone(), shared.clone(), loaded, view), aside))
}

/// Tells what was set right while the room was loaded, if anything was.
fn tell(room: &RoomName, mended: Option<&Mended>, shared: &Shared) {
    if let Some(mended) = mended {
        shared.events.emit(Event::Warning { code: "history-mended".into(), message: told(room, mended) });
    }
}

/// What was wrong with a room's history, for a person.
fn told(room: &RoomName, mended: &Mended) -> String {
    match mended.aside {
        0 => format!("what was kept of {room} beside its messages was damaged on disk, and was made anew from them"),
        aside => {
            let messages = if aside == 1 { "a message".to_owned() } else { format!("{aside} messages") };
            let mut ids: Vec<String> = mended.named.iter().map(|id| id.short()).collect();
            if aside > ids.len() as u64 {
                ids.push("...".to_owned());
            }
            let ids = ids.join(", ");
            format!(
                "{messages} of {room} had been damaged on disk and cannot be used any more ({ids}): what others hold comes back \
                 from them, and what is left is kept in the table set_aside of the history"
            )
        }
    }
}

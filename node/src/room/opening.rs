//! Opening a room: what can be told of it while its history is loaded.

use std::{collections::VecDeque, sync::Arc};

use distchat_crdt::{Key, Room, clock::Clocks};

use super::{
    bell::{Parked, Resumed},
    slot::{Command, Mailbox, Slot},
    task::{RoomFailure, Shared, Task},
    view::View,
};
use crate::{
    error::RoomError,
    store::{Loaded, StoreError},
};

/// How many commands are put aside until the room is loaded. Further ones stay in the mailbox.
const ASIDE: usize = 256;

/// Looks at what is stored of a room that is to sleep until something happens in it.
pub(crate) async fn glance(slot: &Slot, shared: &Shared) -> Result<Parked, StoreError> {
    let own = shared.signer.author();
    let view = View::new(own, shared.store.nicks(slot.number).await?, Key::MIN);
    let Loaded { index, snapshot, .. } = shared.store.load(slot.number, own).await?;
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
    let own = shared.signer.author();
    let view = View::new(own, shared.store.nicks(slot.number).await?, Key::MIN);
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
    Ok((Task::new(slot.clone(), shared.clone(), loaded, view), aside))
}

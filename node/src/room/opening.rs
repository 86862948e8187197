//! Opening a room: what can be told of it while its history is loaded.

use std::{collections::VecDeque, sync::Arc};

use distchat_crdt::{Key, clock::Clocks};

use super::{
    slot::{Command, Mailbox, Slot},
    task::{RoomFailure, Shared, Task},
    view::View,
};
use crate::error::RoomError;

/// How many commands are put aside until the room is loaded. Further ones stay in the mailbox.
const ASIDE: usize = 256;

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

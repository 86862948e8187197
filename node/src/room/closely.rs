//! Finding the message that makes a room crash.
//!
//! A room whose task panics twice in a row may be panicking over one message, each time it looks at it. So before the next task
//! opens the room, everything that is done with a message in order to show it is done with each one alone, where a panic ends
//! nothing but that. A message that panics is withheld from then on: people are not shown it. It stays in the set, with all
//! that follows from it, and peers get it, since a replica that left out what others hold would ask for it for ever.

use std::panic::{AssertUnwindSafe, catch_unwind};

use distchat_crdt::{AuthorId, Key, Message, Timestamp, sync::MAX_PAGE};

use super::{slot::Slot, task::Shared, view::View};
use crate::{
    event::Event,
    store::{Frontier, StoreError, StoredMessage},
};

/// Looks at each message alone, withholds those that crash, and says which.
pub(super) async fn look(slot: &Slot, shared: &Shared) -> Result<(), StoreError> {
    let own = shared.signer.author();
    let mut before = None;
    loop {
        let (page, next) = shared.store.page_down(slot.number, before, MAX_PAGE).await?;
        let looked = tokio::task::spawn_blocking(move || {
            page.iter().filter_map(|bytes| crashes(own, &Message::decode(bytes).ok()?)).collect::<Vec<_>>()
        });
        for key in looked.await.unwrap_or_default() {
            shared.store.withhold(slot.number, key).await?;
            slot.pardon();
            let message = format!(
                "the message {} of {} crashed the program whenever it was looked at: it is not shown any more, but kept and \
                 passed on",
                key.id, slot.name
            );
            tracing::error!(%message);
            shared.events.emit(Event::Warning { code: "message-withheld".into(), message });
        }
        match next {
            Some(next) => before = Some(next),
            None => return Ok(()),
        }
    }
}

/// The key of a message that cannot be looked at without a panic.
fn crashes(own: AuthorId, message: &Message) -> Option<Key> {
    let look = || {
        let mut view = View::new(own, Vec::new(), Key::MIN);
        let nothing = Frontier { key: Key::MIN, unfinished: false };
        let stored = StoredMessage {
            key: message.key(),
            author: message.author(),
            seq: message.seq(),
            kind: message.kind(),
            arrived_ms: 0,
            late: false,
            body: message.body().to_vec(),
        };
        (view.arrived(message, Timestamp::MAX, 0, nothing), view.stored(&stored, Timestamp::MAX))
    };
    catch_unwind(AssertUnwindSafe(look)).is_err().then(|| message.key())
}

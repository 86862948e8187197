//! Where a room hears of the network, and how it is woken to listen.
//!
//! A room in which nothing happens is *parked*: it has no task, and its inbox stays. Whatever is put into the inbox of a parked
//! room wakes it. What it would only answer with what it said last it need not be woken for.

use std::{fmt::Debug, sync::Arc};

use distchat_crdt::sync::{Request, Response};
use libp2p::PeerId;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::NetInput;

/// What stands between the network and a room that may be asleep.
pub(crate) trait Doorbell: Debug + Send + Sync {
    /// Whether the room has a task, or is about to get one. It learns by itself which peers there are when it begins.
    fn is_awake(&self) -> bool;

    /// Wakes the room if it is parked. False if it is only being opened.
    fn ring(&self) -> bool;

    /// What a parked room answers to that without being woken, if anything.
    fn answer(&self, asker: &PeerId, request: &Request) -> Option<Response>;
}

/// The sending end of a room's inputs.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    sender: mpsc::Sender<Box<NetInput>>,
    bell: Arc<dyn Doorbell>,
}

impl Inbox {
    pub(crate) fn new(sender: mpsc::Sender<Box<NetInput>>, bell: Arc<dyn Doorbell>) -> Self {
        Self { sender, bell }
    }

    /// Whether nobody will ever take anything out of it.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(super) fn bell(&self) -> &dyn Doorbell {
        &*self.bell
    }

    /// Puts something in, if there is a place for it.
    pub(crate) fn try_send(&self, input: Box<NetInput>) -> Result<(), TrySendError<Box<NetInput>>> {
        let sent = self.sender.try_send(input);
        // In this order: a room that is just being parked either sees what is in its inbox, or hears the bell.
        if sent.is_ok() {
            self.bell.ring();
        }
        sent
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::boxed;

    /// A room that never sleeps.
    #[derive(Debug)]
    struct Awake;

    impl Doorbell for Awake {
        fn is_awake(&self) -> bool {
            true
        }

        fn ring(&self) -> bool {
            true
        }

        fn answer(&self, _: &PeerId, _: &Request) -> Option<Response> {
            None
        }
    }

    /// The inbox of one.
    pub(in crate::net) fn inbox(places: usize) -> (Inbox, boxed::Receiver<NetInput>) {
        let (sender, inputs) = boxed::channel(places);
        (Inbox::new(sender, Arc::new(Awake)), inputs)
    }
}

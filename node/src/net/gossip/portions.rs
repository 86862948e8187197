//! Frames that name thousands of topics, in portions.
//!
//! A node in thousands of rooms names them all to a new peer in one frame. gossipsub compares, for a peer that it meets in n
//! topics at once, each with each; the swarm's task would stand still meanwhile. So such a frame is handed to it in portions,
//! between which everything else has its turn.

use std::{collections::VecDeque, hash::Hash};

use libp2p::{PeerId, swarm::ConnectionId};

use super::paced::FromHandler;

/// How many topics are named in a portion.
const PORTION: usize = 256;

/// What is still to be handed over, in order.
#[derive(Debug, Default)]
pub(super) struct Portions(VecDeque<(PeerId, ConnectionId, FromHandler)>);

impl Portions {
    /// Takes what a connection brings, and returns what of it is to be handed over at once.
    pub(super) fn take(&mut self, peer: PeerId, id: ConnectionId, event: FromHandler) -> Option<FromHandler> {
        let FromHandler::Message { mut rpc, invalid_messages } = event else { return Some(event) };
        // Of one connection nothing overtakes anything.
        let behind = self.0.iter().any(|(_, before, _)| *before == id);
        if !behind && rpc.subscriptions.len() <= PORTION {
            return Some(FromHandler::Message { rpc, invalid_messages });
        }
        let mut subscriptions = std::mem::take(&mut rpc.subscriptions);
        // What else is in the frame comes last: it may be about any of its topics.
        let mut nothing = rpc.clone();
        nothing.messages.clear();
        nothing.control_msgs.clear();
        while subscriptions.len() > PORTION {
            let rest = subscriptions.split_off(PORTION);
            let mut portion = nothing.clone();
            portion.subscriptions = std::mem::replace(&mut subscriptions, rest);
            self.0.push_back((peer, id, FromHandler::Message { rpc: portion, invalid_messages: Vec::new() }));
        }
        rpc.subscriptions = subscriptions;
        self.0.push_back((peer, id, FromHandler::Message { rpc, invalid_messages }));
        None
    }

    /// The next portion.
    pub(super) fn next(&mut self) -> Option<(PeerId, ConnectionId, FromHandler)> {
        self.0.pop_front()
    }

    /// A connection is closed.
    pub(super) fn closed(&mut self, id: ConnectionId) {
        self.0.retain(|(_, of, _)| *of != id);
    }
}

/// About how many bytes a frame has, whatever is in it.
pub(super) fn size(rpc: &impl Hash) -> u64 {
    /// Counts what it is given to hash.
    struct Count(u64);

    impl std::hash::Hasher for Count {
        fn write(&mut self, bytes: &[u8]) {
            self.0 += bytes.len() as u64;
        }

        fn finish(&self) -> u64 {
            self.0
        }
    }

    let mut count = Count(0);
    rpc.hash(&mut count);
    count.0
}

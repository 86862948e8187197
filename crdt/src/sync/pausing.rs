//! A replica that takes nothing in for a while, because its store cannot.
//!
//! While it is paused nothing becomes a part of the room, so there is nothing to commit; what is there is served as always.
//! Frames are neither taken nor passed on: whoever relays a message answers for it with a copy. Offers are answered as by one
//! that has no time. It asks for nothing, since it would have to throw away what comes. Whatever it misses meanwhile it is
//! found to lack when it goes on, for then it greets everybody.

use super::{Peer, Replica, asking::InFlight};

impl Replica {
    pub(super) fn pause(&mut self, paused: bool) {
        if std::mem::replace(&mut self.paused, paused) == paused {
            return;
        }
        let entered = self.peers.iter().filter(|(_, state)| state.entered.is_some());
        let peers: Vec<Peer> = entered.map(|(peer, _)| peer.clone()).collect();
        if paused {
            for peer in &peers {
                self.end_session(peer);
            }
            self.asking.hole_asks.clear();
            self.asking.in_flight.retain(|_, (_, _, what)| !matches!(what, InFlight::Claims(_)));
        } else {
            for peer in &peers {
                self.meet(peer, true);
            }
        }
    }
}

//! Peers come and go, and show each other that they are in the room.

use super::{
    Enter, Output, Peer, Refusal, Replica, Request, Response,
    asking::{EnteredPeer, InFlight},
    proof,
    schedule::SOON,
    verify_peer,
};
use crate::AuthorId;

/// The longest wait before a peer that does not answer an enter is asked again, in units of [`SOON`].
const MAX_ENTER_WAIT: u32 = 30;

impl Replica {
    pub(super) fn peer_up(&mut self, peer: Peer) {
        if !self.peers.contains_key(&peer) {
            self.peers.insert(peer.clone(), Box::default());
            self.enter(&peer);
        }
    }

    pub(super) fn peer_down(&mut self, peer: &Peer) {
        self.peers.remove(peer);
        self.end_session(peer);
        self.pump();
        self.clocks.forget(peer);
        self.asking.hole_asks.retain(|(_, asked, _)| asked != peer);
        let gone: Vec<u64> =
            self.asking.in_flight.iter().filter(|(_, (asked, ..))| asked == peer).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some((_, _, InFlight::Have(asked))) = self.asking.in_flight.remove(&id) {
                self.answered_have(peer, asked, None);
            }
        }
    }

    pub(super) fn enter(&mut self, peer: &Peer) {
        let room = self.room_id();
        let enter = Enter {
            topic: room.topic(),
            handle: self.handle,
            proof: proof(&room, &self.me, peer),
            author: self.signer.author(),
            signature: self.peer_signature,
        };
        self.ask(peer, InFlight::Enter, Request::Enter(enter));
    }

    /// The peer has proven to be in the room: as asker or as answerer, which is the same.
    pub(super) fn entered(&mut self, peer: &Peer, handle: u32, author: AuthorId) {
        let state = self.peers.entry(peer.clone()).or_default();
        let new = state.entered.as_ref().is_none_or(|entered| (entered.handle, entered.author) != (handle, author));
        if state.entered.is_none() {
            (state.since, state.greeted_at, state.turn_at) = (self.now.mono, self.now.mono, self.now.mono);
        }
        state.entered = Some(EnteredPeer { handle, author });
        if new {
            self.out.push(Output::Entered { peer: peer.clone(), author });
            self.meet(peer, true);
        }
    }

    pub(super) fn answered_enter(&mut self, peer: &Peer, response: Option<Response>) {
        match response {
            Some(Response::Entered(answer)) => {
                let proven = answer.proof == proof(&self.room_id(), peer, &self.me)
                    && verify_peer(self.room.verifier(), &answer.author, peer, &answer.signature);
                if proven {
                    let forgot = self.peers.get_mut(peer).is_some_and(|state| std::mem::take(&mut state.forgot));
                    self.entered(peer, answer.handle, answer.author);
                    if forgot {
                        self.meet(peer, true);
                    }
                } else {
                    self.offence(peer, "an answer to an enter without proof");
                }
            }
            // It is not in the room. Once it is, it will enter itself.
            Some(Response::Refused(Refusal::Unknown)) => {}
            None | Some(Response::Refused(_)) => {
                let Some(state) = self.peers.get_mut(peer) else { return };
                state.refused = state.refused.saturating_add(1);
                let wait = SOON * state.refused.min(MAX_ENTER_WAIT);
                self.meet_later(peer, wait);
            }
            Some(_) => self.offence(peer, "an answer of another kind than the question"),
        }
    }

    /// The peer has forgotten that this node entered: its room was started anew. What it has proven itself still holds;
    /// were that forgotten in return, two that were both started anew would go on forgetting each other.
    pub(super) fn not_entered(&mut self, peer: &Peer) {
        self.end_session(peer);
        let Some(state) = self.peers.get_mut(peer) else { return };
        state.forgot = true;
        state.refused = state.refused.saturating_add(1);
        match state.refused {
            0..=2 => self.enter(peer),
            refused => self.meet_later(peer, SOON * refused.min(MAX_ENTER_WAIT)),
        }
    }
}

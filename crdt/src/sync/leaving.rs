//! When a peer is left, for how long, and what it owes by then.

use std::time::Duration;

use super::{
    Peer, Replica,
    asking::{InFlight, PeerState},
    schedule::SOON,
    session::{self, Abort, Asked, Session},
    transfer::Transfer,
};

/// How long a peer that led nowhere or lied is left alone.
const LATER: Duration = Duration::from_secs(60);

/// How many bytes of what a peer owes are forgiven in a millisecond: in a minute about as many as it may owe.
const FORGIVEN_A_MILLISECOND: usize = 26;

impl PeerState {
    /// What it owes by now, for a session to go on counting.
    pub(super) fn take_bill(&mut self, now: Duration) -> usize {
        let forgiven = FORGIVEN_A_MILLISECOND.saturating_mul(now.saturating_sub(self.owed_at).as_millis() as usize);
        std::mem::take(&mut self.owed).saturating_sub(forgiven)
    }

    pub(super) fn owe(&mut self, now: Duration, bytes: usize) {
        self.owed = self.take_bill(now).saturating_add(bytes);
        self.owed_at = now;
    }

    /// How much of what it owes may be as it is because of the order in which it was asked: what is in good order comes
    /// behind what vouches for it. That is for once, or a liar would owe nothing.
    fn excusable(&self, abort: Abort) -> usize {
        let session = self.session.as_ref().filter(|session| abort == Abort::Fruitless && !session.careful);
        let excusable = session.filter(|session| {
            let otherwise = session.fruitless.saturating_sub(session.unvouched);
            session::is_too_much(session.fruitless) && !session::is_too_much(otherwise)
        });
        excusable.map_or(0, |session| session.unvouched)
    }

    /// Ends the session. What the peer owes is not forgotten with it.
    fn take_session(&mut self, now: Duration) -> Option<Session> {
        let session = self.session.take()?;
        self.owe(now, session.fruitless);
        Some(session)
    }

    /// It has cost too much: it is left alone, and that is that.
    pub(super) fn paid(&mut self, now: Duration) {
        self.owed = 0;
        self.nowhere = self.nowhere.saturating_add(1);
        self.avoid_until = now + LATER;
    }
}

impl Replica {
    /// A peer has no time, or does not answer: it is greeted again, after others that wait for their turn.
    pub(super) fn put_off(&mut self, peer: &Peer) {
        let led = self.asking.transfer.as_ref().is_some_and(|transfer| transfer.leader == *peer);
        let waiting = if led { self.waiting() } else { Vec::new() };
        self.end_session(peer);
        if let Some(state) = self.peers.get_mut(peer) {
            state.no_help_until = state.no_help_until.max(self.now.mono + SOON);
        }
        self.meet_later(peer, SOON);
        if self.asking.transfer.is_none() && !waiting.is_empty() {
            self.pass_turn(std::slice::from_ref(peer), waiting);
        }
    }

    pub(super) fn abort(&mut self, peer: &Peer, abort: Abort) {
        if abort == Abort::Nowhere {
            self.led_nowhere(peer);
            return self.pump();
        }
        let now = self.now.mono;
        let leads = self.asking.transfer.as_ref().is_none_or(|transfer| transfer.leader == *peer);
        let unvouched = self.peers.get(peer).map_or(0, |state| state.excusable(abort));
        self.end_turn(peer);
        if let Some(state) = self.peers.get_mut(peer) {
            state.no_help_until = now + LATER;
            if unvouched > 0 {
                state.owed = state.owed.saturating_sub(unvouched);
                state.careful_until = now + LATER;
                self.meet_later(peer, SOON);
            // Of a helper that merely has none of what was asked for nothing worse is thought.
            } else if leads || matches!(abort, Abort::Offence(_)) || session::is_too_much(state.owed) {
                state.paid(now);
            }
        }
        if let Abort::Offence(why) = abort {
            self.offence(peer, why);
        }
        self.pump();
    }

    pub(super) fn end_session(&mut self, peer: &Peer) {
        let session = self.peers.get_mut(peer).and_then(|state| state.take_session(self.now.mono));
        let of_it = |asked: &Peer, what: &InFlight| asked == peer && matches!(what, InFlight::Session(_));
        let mut unfinished = Vec::new();
        self.asking.in_flight.retain(|_, (asked, _, what)| {
            if let (true, InFlight::Session(Asked::Piece(piece, held))) = (of_it(asked, what), &*what) {
                unfinished.push((*piece, *held));
            }
            !of_it(asked, what)
        });
        self.leave_transfer(peer, session.map_or(0, |session| session.received), unfinished);
    }

    /// All known differences are dealt with: ask whether there are others.
    pub(super) fn finish_round(&mut self, peer: &Peer) {
        let horizon = self.clocks.read(self.now).horizon;
        let helped = self.asking.transfer.as_mut().is_some_and(Transfer::was_helped);
        let Some(state) = self.peers.get_mut(peer) else { return };
        let Some(session) = &mut state.session else { return };
        let (exchanged, unwanted) = (helped || session.exchanged(), session.offers.unwanted);
        let upper = session.upper.max(horizon);
        if exchanged && !unwanted {
            state.nowhere = 0;
            return self.say_hello(peer, upper);
        }
        self.backs_off(peer, exchanged);
    }

    /// A peer's tree has cost what it may, and nothing new has come of it.
    fn led_nowhere(&mut self, peer: &Peer) {
        let helped = self.asking.transfer.as_mut().is_some_and(Transfer::was_helped);
        let session = self.peers.get(peer).and_then(|state| state.session.as_ref());
        let exchanged = helped || session.is_some_and(Session::exchanged);
        self.backs_off(peer, exchanged);
    }

    /// It said that something differs and showed nothing that does, or somebody else is bringing it the same.
    fn backs_off(&mut self, peer: &Peer, exchanged: bool) {
        let Some(state) = self.peers.get_mut(peer) else { return };
        let before = if exchanged { 0 } else { state.nowhere.saturating_add(1) };
        let wait = (SOON * (1 << before.min(6))).min(LATER);
        // What is not wanted may lack a voucher from the future.
        state.nowhere = before.max(1);
        state.avoid_until = self.now.mono + wait;
        self.end_session(peer);
        self.meet_later(peer, wait);
    }
}

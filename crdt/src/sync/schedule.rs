//! When a replica asks, and whom.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use rand::{RngExt, rngs::StdRng};

use super::{
    Fetch, Hello, List, MAX_FETCH_ITEMS, Peer, Replica, Request, Wanted,
    asking::{Asking, InFlight, PeerState},
    replica::MAX_UNCOMMITTED,
    session::{Asked, Session},
};
use crate::{Key, Timestamp, clock::Now, plant::Bug};

/// How often a random peer is asked while the room changes, and while it does not.
const BUSY_ROUND: Duration = Duration::from_secs(2);
const QUIET_ROUND: Duration = Duration::from_secs(30);
/// Of how many peers that may hold something else one is greeted in a round.
pub(super) const PEERS_A_ROUND: usize = 8;
/// How many of those who have been in the room longest have turns of their own where there are more than
/// [`PEERS_A_ROUND`] that may hold something else.
const LONGEST_HERE: usize = 8;
/// How long a peer that was busy, failed or is asking itself is left alone.
pub(super) const SOON: Duration = Duration::from_secs(1);
/// How long a hole may be filled by what is on its way anyway.
const HOLE_PATIENCE: Duration = Duration::from_millis(300);
/// How often what was referred to waits to be asked for, and how often with one peer. Anti-entropy finds the others.
const MAX_HOLE_ASKS: usize = 64;
const MAX_HOLE_ASKS_OF_ONE: usize = 16;

/// Between 3/4 and 5/4 of a time, so that nodes do not fall into step.
pub(super) fn jittered(time: Duration, rng: &mut StdRng) -> Duration {
    time * rng.random_range(75..125) / 100
}

impl Asking {
    pub(super) fn new(now: Now, rng: &mut StdRng) -> Self {
        Self {
            in_flight: BTreeMap::new(),
            transfer: None,
            dirty: true,
            next_round: now.mono + jittered(BUSY_ROUND, rng),
            longest_had_it: false,
            heard_at: None,
            hole_asks: VecDeque::new(),
        }
    }

    /// Nothing is asked, and nothing waits to be.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.transfer.is_none() && self.hole_asks.is_empty()
    }

    /// The room has changed.
    pub(super) fn changed(&mut self, now: Now, rng: &mut StdRng) {
        if !self.dirty {
            self.dirty = true;
            self.next_round = self.next_round.min(now.mono + jittered(BUSY_ROUND, rng));
        }
    }
}

impl Replica {
    /// Says hello to a peer, now or as soon as the session under way has ended.
    pub(super) fn meet(&mut self, peer: &Peer, first: bool) {
        if let Some(state) = self.peers.get_mut(peer) {
            state.meeting |= first;
            state.meet_at = Some(self.now.mono);
        }
        self.meet_due();
    }

    pub(super) fn meet_later(&mut self, peer: &Peer, wait: Duration) {
        let at = self.now.mono + jittered(wait, &mut self.rng);
        if let Some(state) = self.peers.get_mut(peer) {
            state.meet_at = Some(state.meet_at.map_or(at, |due| due.min(at)));
        }
    }

    fn meet_due(&mut self) {
        let now = self.now.mono;
        let due: Vec<Peer> = self
            .peers
            .iter()
            .filter(|(_, state)| state.meets_at().is_some_and(|at| at <= now))
            .map(|(peer, _)| peer.clone())
            .collect();
        for peer in due {
            self.start_session(&peer);
        }
    }

    pub(super) fn start_session(&mut self, peer: &Peer) {
        let nonce = self.random();
        let horizon = self.clocks.read(self.now).horizon;
        let Some(state) = self.peers.get_mut(peer) else { return };
        state.meet_at = None;
        state.greeted_at = self.now.mono;
        // Messages from the future come last, unless that leads nowhere: they may vouch for others.
        let careful = state.careful_until > self.now.mono;
        let upper = if (state.nowhere > 0 || careful) && !Bug::OnlyToTheHorizon.is_planted() {
            Timestamp::MAX
        } else {
            horizon
        };
        let handle = state.entered.as_ref().filter(|_| !state.forgot).map(|entered| entered.handle);
        let Some(handle) = handle else { return self.enter(peer) };
        if self.paused {
            return;
        }
        let meeting = std::mem::take(&mut state.meeting);
        let owed = state.take_bill(self.now.mono);
        let mut session = Session::new(handle, nonce, upper, owed, self.now.mono);
        (session.meeting, session.careful) = (meeting, careful);
        state.session = Some(session);
        self.say_hello(peer, upper);
    }

    pub(super) fn say_hello(&mut self, peer: &Peer, upper: Timestamp) {
        let Some(session) = self.peers.get_mut(peer).and_then(|state| state.session.as_mut()) else { return };
        match session.hello(&self.room, upper) {
            None => self.end_session(peer),
            Some(hello) => {
                session.in_flight += 1;
                let request = Request::Hello(Hello { clock: self.now.wall_ms, rooms: List::cut(vec![hello]) });
                self.ask(peer, InFlight::Session(Asked::Hello), request);
            }
        }
    }

    /// The peer is in the middle of a session of its own.
    pub(super) fn is_asking(&mut self, peer: &Peer) {
        if let Some(state) = self.peers.get_mut(peer) {
            state.asking_at = Some(self.now.mono);
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let round = (!self.peers.is_empty()).then_some(self.asking.next_round);
        let meetings = self.peers.values().filter_map(|state| state.meets_at());
        let answers = self.asking.in_flight.values().map(|(_, until, _)| *until);
        let holes = self.asking.hole_asks.front().map(|(at, ..)| *at);
        let receipts = self.receipts_deadline();
        meetings.chain(answers).chain(round).chain(holes).chain(receipts).min()
    }

    pub(super) fn tick(&mut self) {
        let now = self.now.mono;
        let overdue: Vec<(u64, Peer)> = self
            .asking
            .in_flight
            .iter()
            .filter(|(_, (_, until, _))| *until <= now)
            .map(|(id, (peer, ..))| (*id, peer.clone()))
            .collect();
        for (id, peer) in overdue {
            self.answered(&peer, id, None);
        }
        self.leave_stuck();
        self.take_turns();
        self.ask_for_holes();
        if self.asking.next_round <= now {
            self.start_round();
        }
        self.meet_due();
        self.ask_receipts();
    }

    /// Says hello to one peer at random: one that is not known to hold the same, and if there are many of those, to several.
    ///
    /// Many may be one with many names. So of many the first is one of those who have been here longest, and the others are
    /// those who have waited longest, so that everybody is greeted within a bounded time, however many there are.
    fn start_round(&mut self) {
        let now = self.now.mono;
        let root = self.room.fingerprint();
        let (mut able, mut settled): (Vec<Peer>, Vec<Peer>) = (Vec::new(), Vec::new());
        for (peer, state) in &self.peers {
            if state.entered.is_some() && state.session.is_none() && state.avoid_until <= now {
                let agreed = state.agreed == Some(root) || (Bug::AgreedForEver.is_planted() && state.agreed.is_some());
                let list = if agreed { &mut settled } else { &mut able };
                list.push(peer.clone());
            }
        }
        let was_dirty = std::mem::replace(&mut self.asking.dirty, !able.is_empty());
        let mut greeted = able.len().div_ceil(PEERS_A_ROUND);
        if able.is_empty() && !was_dirty {
            greeted = settled.len().min(1);
            able = settled;
        }
        let round = if self.asking.dirty { BUSY_ROUND } else { QUIET_ROUND };
        self.asking.next_round = now + jittered(round, &mut self.rng);
        for n in 0..greeted {
            let waited = |state: &PeerState| state.greeted_at;
            let at = if greeted == 1 { self.any(&able) } else { self.next_of(&able, n == 0, waited) };
            let peer = able.swap_remove(at);
            self.start_session(&peer);
        }
    }

    fn any(&mut self, peers: &[Peer]) -> usize {
        self.rng.random_range(0..peers.len())
    }

    /// Whose turn it is, of several: whoever has waited longest, be it of all or of those who have been here longest. Of
    /// equals any.
    pub(super) fn next_of(&mut self, peers: &[Peer], longest: bool, waited: impl Fn(&PeerState) -> Duration) -> usize {
        let chance = self.any(peers);
        let mut places: Vec<usize> = (0..peers.len()).collect();
        let state = |at: &usize| peers.get(*at).and_then(|peer| self.peers.get(peer));
        if longest {
            // Always the same ones: of those who came at one time, too.
            places.sort_by_key(|at| state(at).map(|state| (state.since, peers.get(*at))));
            places.truncate(LONGEST_HERE);
        }
        let start = chance % places.len().max(1);
        places.rotate_left(start);
        places.into_iter().min_by_key(|at| state(at).map(|state| waited(state))).unwrap_or_default()
    }

    /// Remembers to ask for messages that a peer's messages refer to, should they not come by themselves.
    pub(super) fn ask_for_claims(&mut self, peer: Peer, mut keys: Vec<Key>) {
        // In a session the older messages are on their way.
        let in_session = self.peers.get(&peer).is_none_or(|state| state.session.is_some() || state.entered.is_none());
        let of_it = self.asking.hole_asks.iter().filter(|(_, asked, _)| *asked == peer).count();
        let room = self.asking.hole_asks.len() < MAX_HOLE_ASKS && of_it < MAX_HOLE_ASKS_OF_ONE;
        if !in_session && !Bug::HoleNeverAsked.is_planted() && room {
            keys.truncate(MAX_FETCH_ITEMS);
            self.asking.hole_asks.push_back((self.now.mono + HOLE_PATIENCE, peer, keys));
        }
    }

    fn ask_for_holes(&mut self) {
        while let Some((_, peer, keys)) = self.asking.hole_asks.pop_front_if(|(at, ..)| *at <= self.now.mono) {
            let Some(state) = self.peers.get(&peer).filter(|state| state.avoid_until <= self.now.mono) else {
                continue;
            };
            let Some(entered) = &state.entered else { continue };
            let handle = entered.handle;
            let asked = |(to, _, what): &(Peer, Duration, InFlight)| *to == peer && matches!(what, InFlight::Claims(_));
            let busy = self.asking.in_flight.values().any(asked) || self.uncommitted_bytes >= MAX_UNCOMMITTED;
            if busy {
                self.asking.hole_asks.push_back((self.now.mono + HOLE_PATIENCE, peer, keys));
                continue;
            }
            let mut keys = keys;
            keys.sort_unstable_by(|a, b| b.cmp(a));
            keys.retain(|key| self.room.is_missing(key));
            if !keys.is_empty() {
                let items = List::cut(keys.iter().copied().map(Wanted::Key).collect());
                let fetch = Fetch { handle, upper: Timestamp::MAX, nonce: 0, items };
                self.ask(&peer, InFlight::Claims(keys), Request::Fetch(fetch));
            }
        }
    }
}

//! When a replica asks, whom, and what it does with the answers.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use rand::{RngExt, rngs::StdRng};

use super::{
    Blob, Enter, Fetch, Greeting, Hello, List, MAX_FETCH_ITEMS, Offer, Output, Page, Peer, Refusal, Replica, Request,
    Response, RoomGreeting, Wanted, proof,
    replica::{Foreign, MAX_UNCOMMITTED, Origin},
    session::{Abort, Asked, Met, Session, WINDOW},
    verify_peer,
};
use crate::{AuthorId, Key, Message, Timestamp, clock::Now};

/// How often a random peer is asked while the room changes, and while it does not.
const BUSY_ROUND: Duration = Duration::from_secs(2);
const QUIET_ROUND: Duration = Duration::from_secs(30);
/// How long an answer may take. The transport gives up earlier.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// How long a peer that was busy, failed or is asking itself is left alone.
const SOON: Duration = Duration::from_secs(1);
/// How long a peer that led nowhere or lied is left alone.
const LATER: Duration = Duration::from_secs(60);
/// How long a hole may be filled by what is on its way anyway.
const HOLE_PATIENCE: Duration = Duration::from_millis(300);
/// How many holes wait to be asked about. Anti-entropy finds the others.
const MAX_HOLE_ASKS: usize = 64;
/// The longest wait before a peer that does not answer an enter is asked again, in units of [`SOON`].
const MAX_ENTER_WAIT: u32 = 30;

/// What is known of a connected peer.
#[derive(Debug, Default)]
pub(super) struct PeerState {
    /// Set once it has proven to be in the room.
    pub(super) entered: Option<EnteredPeer>,
    /// It does not know that this node is in the room, or no longer: its room was started anew.
    forgot: bool,
    /// How often that was so, or it did not answer an enter, since it last answered a hello.
    refused: u32,
    session: Option<Session>,
    /// When to say hello next, besides the rounds.
    meet_at: Option<Duration>,
    /// Whether that is the first hello.
    meeting: bool,
    /// It led nowhere: no rounds with it before this.
    avoid_until: Duration,
    /// When it last said hello, and when it last asked for nodes or messages.
    hello_at: Option<Duration>,
    asking_at: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct EnteredPeer {
    /// What it calls the room.
    pub(super) handle: u32,
    pub(super) author: AuthorId,
}

/// A request on its way.
#[derive(Debug)]
pub(super) enum InFlight {
    Enter,
    Session(Asked),
    Claims,
    Have(usize),
}

/// The asking side's state besides that of each peer.
pub(super) struct Asking {
    in_flight: BTreeMap<u64, (Peer, Duration, InFlight)>,
    /// The one peer with which messages go to and fro: with two at once each would bring the same.
    transfer: Option<Peer>,
    /// The room changed since it was last found equal to a peer's.
    dirty: bool,
    next_round: Duration,
    hole_asks: VecDeque<(Duration, Peer, Vec<Key>)>,
}

/// Between 3/4 and 5/4 of a time, so that nodes do not fall into step.
fn jittered(time: Duration, rng: &mut StdRng) -> Duration {
    time * rng.random_range(75..125) / 100
}

impl Asking {
    pub(super) fn new(now: Now, rng: &mut StdRng) -> Self {
        Self {
            in_flight: BTreeMap::new(),
            transfer: None,
            dirty: true,
            next_round: now.mono + jittered(BUSY_ROUND, rng),
            hole_asks: VecDeque::new(),
        }
    }

    /// The room has changed.
    pub(super) fn changed(&mut self, now: Now, rng: &mut StdRng) {
        if !self.dirty {
            self.dirty = true;
            self.next_round = self.next_round.min(now.mono + jittered(BUSY_ROUND, rng));
        }
    }
}

// Connections and entering.
impl Replica {
    pub(super) fn peer_up(&mut self, peer: Peer) {
        if !self.peers.contains_key(&peer) {
            self.peers.insert(peer.clone(), PeerState::default());
            self.enter(&peer);
        }
    }

    pub(super) fn peer_down(&mut self, peer: &Peer) {
        self.end_session(peer);
        self.peers.remove(peer);
        self.clocks.forget(peer);
        self.receipts.forget(peer);
        self.asking.hole_asks.retain(|(_, asked, _)| asked != peer);
        let gone: Vec<u64> =
            self.asking.in_flight.iter().filter(|(_, (asked, ..))| asked == peer).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some((_, _, InFlight::Have(asked))) = self.asking.in_flight.remove(&id) {
                self.answered_have(peer, asked, None);
            }
        }
    }

    fn enter(&mut self, peer: &Peer) {
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
        state.entered = Some(EnteredPeer { handle, author });
        if new {
            self.out.push(Output::Entered { peer: peer.clone(), author });
            self.meet(peer, true);
        }
    }

    fn answered_enter(&mut self, peer: &Peer, response: Option<Response>) {
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
}

// When to ask.
impl Replica {
    /// Says hello to a peer, now or as soon as the session under way has ended.
    pub(super) fn meet(&mut self, peer: &Peer, first: bool) {
        if let Some(state) = self.peers.get_mut(peer) {
            state.meeting |= first;
            state.meet_at = Some(self.now.mono);
        }
        self.meet_due();
    }

    fn meet_later(&mut self, peer: &Peer, wait: Duration) {
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
            .filter(|(_, state)| state.session.is_none() && state.meet_at.is_some_and(|at| at <= now))
            .map(|(peer, _)| peer.clone())
            .collect();
        for peer in due {
            self.start_session(&peer);
        }
    }

    fn start_session(&mut self, peer: &Peer) {
        let nonce = self.random();
        let upper = self.clocks.read(self.now).horizon;
        let Some(state) = self.peers.get_mut(peer) else { return };
        state.meet_at = None;
        let Some(entered) = state.entered.as_ref().filter(|_| !state.forgot) else { return self.enter(peer) };
        let meeting = std::mem::take(&mut state.meeting);
        state.session = Some(Session::new(entered.handle, nonce, upper, meeting, self.now.mono));
        self.say_hello(peer, upper);
    }

    fn say_hello(&mut self, peer: &Peer, upper: Timestamp) {
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

    /// The peer has said hello.
    pub(super) fn said_hello(&mut self, peer: &Peer) {
        if let Some(state) = self.peers.get_mut(peer) {
            state.hello_at = Some(self.now.mono);
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
        let meetings = self.peers.values().filter(|state| state.session.is_none()).filter_map(|state| state.meet_at);
        let answers = self.asking.in_flight.values().map(|(_, until, _)| *until);
        let holes = self.asking.hole_asks.front().map(|(at, ..)| *at);
        let receipts = self.receipts.deadline(self.now.mono);
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
        self.ask_for_holes();
        if self.asking.next_round <= now {
            let round = if self.asking.dirty { BUSY_ROUND } else { QUIET_ROUND };
            self.asking.next_round = now + jittered(round, &mut self.rng);
            self.start_round();
        }
        self.meet_due();
        self.ask_receipts();
    }

    /// Leaves the peer of a transfer that does not move, so that others get their turn.
    fn leave_stuck(&mut self) {
        let Some(peer) = self.asking.transfer.clone() else { return };
        let session = self.peers.get(&peer).and_then(|state| state.session.as_ref());
        // While the own disk is behind, it is not the peer that does not move.
        let waiting = self.uncommitted_bytes < MAX_UNCOMMITTED;
        if waiting && session.is_none_or(|session| session.is_stuck(self.now.mono)) {
            self.abort(&peer, Abort::Fruitless);
        }
    }

    /// Says hello to one peer, at random.
    fn start_round(&mut self) {
        let now = self.now.mono;
        let able: Vec<Peer> = self
            .peers
            .iter()
            .filter(|(_, state)| state.entered.is_some() && state.session.is_none() && state.avoid_until <= now)
            .map(|(peer, _)| peer.clone())
            .collect();
        if !able.is_empty()
            && let Some(peer) = able.get(self.rng.random_range(0..able.len()))
        {
            self.start_session(peer);
        }
    }

    /// Remembers to ask for messages that a peer's messages refer to, should they not come by themselves.
    pub(super) fn ask_for_claims(&mut self, peer: Peer, keys: Vec<Key>) {
        // In a session the older messages are on their way.
        let in_session = self.peers.get(&peer).is_none_or(|state| state.session.is_some() || state.entered.is_none());
        if !in_session && self.asking.hole_asks.len() < MAX_HOLE_ASKS {
            self.asking.hole_asks.push_back((self.now.mono + HOLE_PATIENCE, peer, keys));
        }
    }

    fn ask_for_holes(&mut self) {
        while let Some((_, peer, keys)) = self.asking.hole_asks.pop_front_if(|(at, ..)| *at <= self.now.mono) {
            let Some(entered) = self.peers.get(&peer).and_then(|state| state.entered.as_ref()) else { continue };
            let handle = entered.handle;
            let mut keys = keys;
            keys.sort_unstable_by(|a, b| b.cmp(a));
            let missing = keys.into_iter().filter(|key| self.room.is_missing(key));
            let items: Vec<Wanted> = missing.take(MAX_FETCH_ITEMS).map(Wanted::Key).collect();
            if !items.is_empty() {
                let fetch = Fetch { handle, upper: Timestamp::MAX, nonce: 0, items: List::cut(items) };
                self.ask(&peer, InFlight::Claims, Request::Fetch(fetch));
            }
        }
    }
}

// Asking and the answers.
impl Replica {
    pub(super) fn ask(&mut self, peer: &Peer, what: InFlight, request: Request) {
        let id = self.number();
        self.asking.in_flight.insert(id, (peer.clone(), self.now.mono + ANSWER_TIME, what));
        self.out.push(Output::Ask { peer: peer.clone(), id, request });
    }

    pub(super) fn answered(&mut self, peer: &Peer, id: u64, response: Option<Response>) {
        // Later than the time it had, or from somebody else: nobody waits for it.
        if self.asking.in_flight.get(&id).is_none_or(|(asked, ..)| asked != peer) {
            return;
        }
        let Some((_, _, what)) = self.asking.in_flight.remove(&id) else { return };
        let asked = match what {
            InFlight::Enter => return self.answered_enter(peer, response),
            InFlight::Claims => {
                if let Some(Response::Page(page)) = response
                    && self.take(peer, &page.messages).is_err()
                {
                    self.offence(peer, "a page of malformed messages");
                }
                return;
            }
            InFlight::Have(asked) => {
                let bits = if let Some(Response::Have(bits)) = &response { Some(&**bits) } else { None };
                return self.answered_have(peer, asked, bits);
            }
            InFlight::Session(asked) => asked,
        };
        if let Some(session) = self.peers.get_mut(peer).and_then(|state| state.session.as_mut()) {
            session.in_flight -= 1;
        } else {
            return;
        }
        let now = self.now.mono;
        let taken = match (asked, response) {
            (Asked::Hello, Some(Response::Hello(greeting))) => self.greeted(peer, greeting),
            (Asked::Nodes(regions), Some(Response::Nodes(answer))) => {
                self.with_session(peer, |session, room| session.summarized(room, regions, &answer))
            }
            (Asked::Fetch(wants), Some(Response::Page(page))) => self.paged(peer, wants, &page),
            (Asked::Offer, Some(Response::Offered(taken))) => self.with_session(peer, |session, _| {
                session.gave(now, taken.into());
                Ok(())
            }),
            (_, None | Some(Response::Refused(Refusal::Busy))) => {
                self.end_session(peer);
                return self.meet_later(peer, SOON);
            }
            (_, Some(Response::Refused(Refusal::Unknown))) => return self.not_entered(peer),
            (_, Some(_)) => Err(Abort::Offence("an answer of another kind than the question")),
        };
        match taken {
            Ok(()) => self.pump(),
            Err(abort) => self.abort(peer, abort),
        }
    }

    fn with_session(
        &mut self,
        peer: &Peer,
        f: impl FnOnce(&mut Session, &crate::Room) -> Result<(), Abort>,
    ) -> Result<(), Abort> {
        match self.peers.get_mut(peer).and_then(|state| state.session.as_mut()) {
            Some(session) => f(session, &self.room),
            None => Ok(()),
        }
    }

    /// The peer has forgotten that this node entered: its room was started anew. What it has proven itself still holds;
    /// were that forgotten in return, two that were both started anew would go on forgetting each other.
    fn not_entered(&mut self, peer: &Peer) {
        self.end_session(peer);
        let Some(state) = self.peers.get_mut(peer) else { return };
        state.forgot = true;
        state.refused = state.refused.saturating_add(1);
        match state.refused {
            0..=2 => self.enter(peer),
            refused => self.meet_later(peer, SOON * refused.min(MAX_ENTER_WAIT)),
        }
    }

    fn abort(&mut self, peer: &Peer, abort: Abort) {
        self.end_session(peer);
        if let Some(state) = self.peers.get_mut(peer) {
            state.avoid_until = self.now.mono + LATER;
        }
        if let Abort::Offence(why) = abort {
            self.offence(peer, why);
        }
    }

    fn greeted(&mut self, peer: &Peer, greeting: Greeting) -> Result<(), Abort> {
        self.clocks.heard(self.now, peer, greeting.clock);
        let [greeting] = &*greeting.rooms else { return Err(Abort::Offence("a greeting for other rooms")) };
        match greeting {
            RoomGreeting::Refused(Refusal::Unknown) => {
                self.not_entered(peer);
                return Ok(());
            }
            RoomGreeting::Refused(_) => {
                self.end_session(peer);
                self.meet_later(peer, SOON);
                return Ok(());
            }
            RoomGreeting::Equal(_) | RoomGreeting::Differs(_) => {}
        }
        if let Some(state) = self.peers.get_mut(peer) {
            state.refused = 0;
        }
        let free = self.asking.transfer.as_ref().is_none_or(|other| other == peer);
        let now = self.now.mono;
        let Some(state) = self.peers.get_mut(peer) else { return Ok(()) };
        // Two that find out at once that they differ would do the same work twice: the lower peer id goes first.
        let theirs = state.asking_at.is_some_and(|at| now < at + SOON) && *peer < self.me;
        let Some(session) = state.session.as_mut() else { return Ok(()) };
        let met = session.greeted(&self.room, greeting)?;
        if let RoomGreeting::Differs(difference) = greeting
            && let Some(tail) = &difference.tail
        {
            let new = self.take(peer, &tail.messages)?;
            self.gained(peer, new);
        }
        match met {
            Met::Equal => self.synced(peer),
            Met::Again => self.say_hello(peer, Timestamp::MAX),
            Met::Leave => {
                self.end_session(peer);
                self.meet_later(peer, SOON);
            }
            Met::Differs if free && !theirs => self.asking.transfer = Some(peer.clone()),
            Met::Differs => {
                self.end_session(peer);
                self.meet_later(peer, SOON);
            }
        }
        Ok(())
    }

    fn paged(&mut self, peer: &Peer, wants: Vec<super::session::Want>, page: &Page) -> Result<(), Abort> {
        self.with_session(peer, |session, _| session.paged(wants, page))?;
        let new = self.take(peer, &page.messages)?;
        self.gained(peer, new);
        Ok(())
    }

    /// Takes messages that were asked for; how many were new.
    fn take(&mut self, peer: &Peer, bytes: &[u8]) -> Result<usize, Abort> {
        let messages = Message::decode_all(bytes).map_err(|_| Abort::Offence("a page of malformed messages"))?;
        self.merge(messages, Origin::Peer(peer.clone()))
            .map_err(|Foreign| Abort::Offence("a page of another room's messages"))
    }

    fn gained(&mut self, peer: &Peer, messages: usize) {
        if let Some(session) = self.peers.get_mut(peer).and_then(|state| state.session.as_mut()) {
            session.gained(self.now.mono, messages);
        }
    }

    /// Both hold the same.
    fn synced(&mut self, peer: &Peer) {
        if let Some(session) = self.peers.get_mut(peer).and_then(|state| state.session.as_ref()) {
            let (fingerprint, unchanged) = session.agreed(&self.room);
            if unchanged {
                self.asking.dirty = false;
            }
            let (received, sent) = (session.received, session.sent);
            self.out.push(Output::Synced { peer: peer.clone(), received, sent, fingerprint });
        }
        self.end_session(peer);
    }

    fn end_session(&mut self, peer: &Peer) {
        if let Some(state) = self.peers.get_mut(peer) {
            state.session = None;
        }
        if self.asking.transfer.as_ref() == Some(peer) {
            self.asking.transfer = None;
        }
        let late: Vec<u64> = self
            .asking
            .in_flight
            .iter()
            .filter(|(_, (asked, _, what))| asked == peer && matches!(what, InFlight::Session(_)))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.asking.in_flight.remove(&id);
        }
    }

    /// Keeps the transfer's requests flowing, as far as the store keeps up.
    pub(super) fn pump(&mut self) {
        let Some(peer) = self.asking.transfer.clone() else { return };
        while self.uncommitted_bytes < MAX_UNCOMMITTED {
            let Some(session) = self.peers.get_mut(&peer).and_then(|state| state.session.as_mut()) else { return };
            if session.in_flight >= WINDOW {
                return;
            }
            if let Some((asked, request)) = session.next_fetch() {
                session.in_flight += 1;
                self.ask(&peer, InFlight::Session(asked), request);
            } else if session.has_offers() {
                let keys = session.next_offer(&self.room);
                if !keys.is_empty() {
                    session.in_flight += 1;
                    let nonce = session.nonce();
                    self.read_offer(&peer, nonce, keys);
                }
            } else if let Some((asked, request)) = session.next_nodes(&self.room) {
                session.in_flight += 1;
                self.ask(&peer, InFlight::Session(asked), request);
            } else if session.is_done() {
                return self.finish_round(&peer);
            } else if session.in_flight > 0 {
                return;
            }
        }
    }

    /// All known differences are dealt with: ask whether there are others.
    fn finish_round(&mut self, peer: &Peer) {
        let upper = self.clocks.read(self.now).horizon;
        let exchanged = self.peers.get(peer).and_then(|state| state.session.as_ref()).is_some_and(Session::exchanged);
        if exchanged {
            self.say_hello(peer, upper);
        } else {
            self.end_session(peer);
        }
    }

    /// Messages to offer have been read: as many as fit a page.
    pub(super) fn offer_read(&mut self, peer: &Peer, nonce: u64, keys: &[Key], bodies: Vec<Vec<u8>>) {
        let session = self.peers.get_mut(peer).and_then(|state| state.session.as_mut());
        // The session that wanted them may be over, and another one begun.
        let Some(session) = session.filter(|session| session.nonce() == nonce) else { return };
        let handle = session.handle;
        let (fit, rest) = keys.split_at(bodies.len().min(keys.len()));
        if fit.is_empty() {
            self.end_session(peer);
            return self.meet_later(peer, SOON);
        }
        session.offer_again(rest);
        let messages = Blob::cut(bodies.into_iter().rev().flatten().collect());
        let request = Request::Offer(Offer { handle, messages });
        self.ask(peer, InFlight::Session(Asked::Offer), request);
    }
}

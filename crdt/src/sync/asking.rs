//! What a replica knows of its peers, and what it does with their answers.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{
    Blob, Greeting, Offer, Output, Page, Peer, Refusal, Replica, Request, Response, RoomGreeting,
    receipts::AskedReceipts,
    replica::{Foreign, Gain, Origin},
    schedule::SOON,
    session::{self, Abort, Asked, Met, Session},
    transfer::Transfer,
    want::{self, Want},
};
use crate::{AuthorId, Fingerprint, Key, Message, Timestamp};

/// How long an answer may take. The transport gives up earlier.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// How long a peer that led nowhere or lied is left alone.
const LATER: Duration = Duration::from_secs(60);

/// How many bytes of what a peer owes are forgiven in a millisecond: in a minute about as many as it may owe.
const FORGIVEN_A_MILLISECOND: usize = 26;

/// What is known of a connected peer.
#[derive(Debug, Default)]
pub(super) struct PeerState {
    /// Set once it has proven to be in the room.
    pub(super) entered: Option<EnteredPeer>,
    /// It does not know that this node is in the room, or no longer: its room was started anew.
    pub(super) forgot: bool,
    /// How often that was so, or it did not answer an enter, since it last answered a hello.
    pub(super) refused: u32,
    pub(super) session: Option<Session>,
    /// When to say hello next, besides the rounds.
    pub(super) meet_at: Option<Duration>,
    /// Whether that is the first hello.
    pub(super) meeting: bool,
    /// It led nowhere: no rounds with it before this.
    pub(super) avoid_until: Duration,
    /// How often in a row it led nowhere.
    pub(super) nowhere: u32,
    /// It was of no help with a transfer: it is not asked again before this.
    pub(super) no_help_until: Duration,
    /// How many messages it said to hold.
    pub(super) count: u64,
    /// What both were last found to hold.
    pub(super) agreed: Option<Fingerprint>,
    /// When it last asked for nodes or messages of a session of its own.
    pub(super) asking_at: Option<Duration>,
    /// Since when it is in the room, when it was last greeted, and when it last had the turn to move messages.
    pub(super) since: Duration,
    pub(super) greeted_at: Duration,
    pub(super) turn_at: Duration,
    /// How long answers to it may be.
    pub(super) answer_limit: Option<usize>,
    /// How many bytes it had cost without anything new at that time, as far as no session under way counts them.
    owed: usize,
    owed_at: Duration,
}

impl PeerState {
    /// When it is to be greeted next, besides the rounds: not while it is avoided, whatever it does to be greeted.
    pub(super) fn meets_at(&self) -> Option<Duration> {
        let at = self.meet_at.filter(|_| self.session.is_none())?;
        Some(if self.entered.is_some() { at.max(self.avoid_until) } else { at })
    }

    /// What it owes by now, for a session to go on counting.
    pub(super) fn take_bill(&mut self, now: Duration) -> usize {
        let forgiven = FORGIVEN_A_MILLISECOND.saturating_mul(now.saturating_sub(self.owed_at).as_millis() as usize);
        std::mem::take(&mut self.owed).saturating_sub(forgiven)
    }

    fn owe(&mut self, now: Duration, bytes: usize) {
        self.owed = self.take_bill(now).saturating_add(bytes);
        self.owed_at = now;
    }

    /// Ends the session. What the peer owes is not forgotten with it.
    fn take_session(&mut self, now: Duration) -> Option<Session> {
        let session = self.session.take()?;
        self.owe(now, session.fruitless);
        Some(session)
    }

    /// It has cost too much: it is left alone, and that is that.
    fn paid(&mut self, now: Duration) {
        self.owed = 0;
        self.nowhere = self.nowhere.saturating_add(1);
        self.avoid_until = now + LATER;
    }
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
    /// Messages that others refer to, the greatest key first.
    Claims(Vec<Key>),
    Have(AskedReceipts),
}

/// The asking side's state besides that of each peer.
pub(super) struct Asking {
    pub(super) in_flight: BTreeMap<u64, (Peer, Duration, InFlight)>,
    /// The one exchange of messages under way: with two at once each would bring the same.
    pub(super) transfer: Option<Transfer>,
    /// Some peer may not hold the same.
    pub(super) dirty: bool,
    pub(super) next_round: Duration,
    /// The last turn of many was that of one of those who have been here longest.
    pub(super) longest_had_it: bool,
    /// When gossip last brought something new.
    pub(super) heard_at: Option<Duration>,
    pub(super) hole_asks: VecDeque<(Duration, Peer, Vec<Key>)>,
}

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
            InFlight::Claims(asked) => {
                if let Some(Response::Page(page)) = response {
                    self.took_claims(peer, &asked, &page);
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
        if let (Asked::Piece(piece, held), false) = (&asked, matches!(response, Some(Response::Page(_))))
            && let Some(transfer) = &mut self.asking.transfer
        {
            transfer.add(*piece, *held);
        }
        let taken = match (asked, response) {
            (Asked::Hello, Some(Response::Hello(greeting))) => self.greeted(peer, greeting),
            (Asked::Nodes(regions), Some(Response::Nodes(answer))) => {
                self.with_session(peer, |session, room| session.summarized(room, regions, &answer))
            }
            (Asked::Fetch(wants, held), Some(Response::Page(page))) => self.paged(peer, wants, held, &page),
            (Asked::Piece(piece, held), Some(Response::Page(page))) => self.took_piece(peer, piece, held, &page),
            (Asked::Offer(offered), Some(Response::Offered(taken))) => {
                self.with_session(peer, |session, _| session.gave(now, offered, taken))
            }
            (_, None | Some(Response::Refused(Refusal::Busy))) => {
                self.put_off(peer);
                return self.pump();
            }
            (_, Some(Response::Refused(Refusal::Unknown))) => return self.not_entered(peer),
            (_, Some(_)) => Err(Abort::Offence("an answer of another kind than the question")),
        };
        match taken {
            Ok(()) => self.pump(),
            Err(abort) => self.abort(peer, abort),
        }
    }

    /// A peer has no time, or does not answer: it is greeted again, after others that wait for their turn.
    fn put_off(&mut self, peer: &Peer) {
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

    pub(super) fn abort(&mut self, peer: &Peer, abort: Abort) {
        let leads = self.asking.transfer.as_ref().is_none_or(|transfer| transfer.leader == *peer);
        self.end_turn(peer);
        if let Some(state) = self.peers.get_mut(peer) {
            state.no_help_until = self.now.mono + LATER;
            // Of a helper that merely has none of what was asked for nothing worse is thought.
            if leads || matches!(abort, Abort::Offence(_)) || session::is_too_much(state.owed) {
                state.paid(self.now.mono);
            }
        }
        if let Abort::Offence(why) = abort {
            self.offence(peer, why);
        }
        self.pump();
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
                self.put_off(peer);
                return Ok(());
            }
            RoomGreeting::Equal(_) | RoomGreeting::Differs(_) => {}
        }
        let held = self.room.index().len();
        let free = self.asking.transfer.as_ref().is_none_or(|transfer| transfer.leader == *peer);
        let now = self.now.mono;
        let Some(state) = self.peers.get_mut(peer) else { return Ok(()) };
        state.refused = 0;
        state.count = if let RoomGreeting::Differs(difference) = greeting { difference.count } else { held };
        // Two that find out at once that they differ would do the same work twice: whoever has begun goes on, or else who
        // holds less goes first. But who is only behind is the only one with something to do.
        let asking = state.asking_at.is_some_and(|at| now < at + SOON);
        let behind = matches!(greeting, RoomGreeting::Differs(difference) if difference.tail.is_some());
        let less = (state.count, peer) < (held, &self.me);
        let Some(session) = state.session.as_mut() else { return Ok(()) };
        let theirs = if asking { session.is_new() || *peer < self.me } else { session.meeting && !behind && less };
        let met = session.greeted(&self.room, greeting)?;
        if let RoomGreeting::Differs(difference) = greeting
            && let Some(tail) = &difference.tail
        {
            let new = self.take(peer, decode(&tail.messages)?)?;
            self.gained(peer, new);
        }
        match met {
            Met::Equal => self.synced(peer),
            Met::Again => self.say_hello(peer, Timestamp::MAX),
            Met::Leave => {
                self.end_session(peer);
                self.meet_later(peer, SOON);
            }
            Met::Differs if free && !theirs => self.start_transfer(peer),
            Met::Differs if free => {
                self.end_session(peer);
                self.meet_later(peer, SOON);
            }
            // The rounds come to it when the transfer under way is over.
            Met::Differs => self.end_session(peer),
        }
        Ok(())
    }

    fn paged(&mut self, peer: &Peer, wants: Vec<Want>, held: u64, page: &Page) -> Result<(), Abort> {
        let session = self.peers.get(peer).and_then(|state| state.session.as_ref());
        let held_now = session.map_or(0, |session| want::held(&self.room, &wants, session.upper));
        let others_brought = held_now.saturating_sub(held);
        self.with_session(peer, |session, _| session.paged(wants, page))?;
        self.collect_pieces(peer);
        self.take_page(peer, &page.messages, others_brought)
    }

    /// Takes a page's messages; what it brought pays for what it cost. So many of what was asked for have come from others
    /// meanwhile: that it brings them as well is not its fault.
    pub(super) fn take_page(&mut self, peer: &Peer, bytes: &[u8], others_brought: u64) -> Result<(), Abort> {
        let messages = decode(bytes)?;
        let mut excused = BTreeMap::new();
        if others_brought > 0 {
            let known = messages.iter().filter(|message| self.room.index().contains(&message.key()));
            let sizes = known.map(|message| (message.key(), message.bytes().len()));
            excused.extend(sizes.take(usize::try_from(others_brought).unwrap_or(usize::MAX)));
        }
        let gain = self.take(peer, messages)?;
        let excused_bytes: usize = excused.into_values().sum();
        let now = self.now.mono;
        if excused_bytes > 0 {
            self.overtaken();
        }
        self.with_session(peer, |session, _| {
            if excused_bytes > 0 {
                session.waited(now);
            }
            session.brought(now, bytes.len().saturating_sub(excused_bytes), gain)
        })
    }

    /// Takes messages that others refer to. It is no session that ends, so what is of no use is charged at once.
    fn took_claims(&mut self, peer: &Peer, asked: &[Key], page: &Page) {
        let Ok(mut messages) = Message::decode_all(&page.messages) else {
            return self.offence(peer, "a page of malformed messages");
        };
        messages.retain(|message| asked.binary_search_by(|key| message.key().cmp(key)).is_ok());
        let came: BTreeMap<Key, usize> =
            messages.iter().map(|message| (message.key(), message.bytes().len())).collect();
        if self.merge(messages, Origin::Peer(peer.clone())).is_err() {
            return self.offence(peer, "a page of another room's messages");
        }
        // That it has none of them is not its fault, nor that they have come from elsewhere by now.
        let of_use: usize =
            came.iter().filter(|(key, _)| self.room.index().contains(key)).map(|(_, bytes)| *bytes).sum();
        let wasted = page.messages.len().saturating_sub(of_use);
        let now = self.now.mono;
        if let Some(state) = self.peers.get_mut(peer).filter(|_| wasted > 0) {
            state.owe(now, wasted + session::ANSWER_COST);
            if session::is_too_much(state.owed) {
                state.paid(now);
            }
        }
    }

    /// Takes messages that were asked for; what was new.
    fn take(&mut self, peer: &Peer, messages: Vec<Message>) -> Result<Gain, Abort> {
        self.merge(messages, Origin::Peer(peer.clone()))
            .map_err(|Foreign| Abort::Offence("a page of another room's messages"))
    }

    pub(super) fn gained(&mut self, peer: &Peer, gain: Gain) {
        if let Some(session) = self.peers.get_mut(peer).and_then(|state| state.session.as_mut()) {
            session.gained(self.now.mono, gain);
        }
    }

    /// Both hold the same.
    fn synced(&mut self, peer: &Peer) {
        let root = self.room.fingerprint();
        let helped = self.asking.transfer.as_ref().filter(|transfer| transfer.leader == *peer);
        let helped = helped.map_or(0, |transfer| transfer.helped);
        if let Some(state) = self.peers.get_mut(peer) {
            state.nowhere = 0;
            if let Some(session) = &state.session {
                let (fingerprint, unchanged) = session.agreed(&self.room);
                if unchanged {
                    state.agreed = Some(root);
                }
                let (received, sent) = (session.received + helped, session.offers.taken);
                self.out.push(Output::Synced { peer: peer.clone(), received, sent, fingerprint });
            }
        }
        self.end_turn(peer);
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
        // It said that something differs and showed nothing that does, or somebody else is bringing it the same.
        let before = if exchanged { 0 } else { state.nowhere.saturating_add(1) };
        let wait = (SOON * (1 << before.min(6))).min(LATER);
        // What is not wanted may lack a voucher from the future.
        state.nowhere = before.max(1);
        state.avoid_until = self.now.mono + wait;
        self.end_session(peer);
        self.meet_later(peer, wait);
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
        session.offers.again(rest);
        let offered = Gain { messages: fit.len(), bytes: bodies.iter().map(Vec::len).sum() };
        let messages = Blob::cut(bodies.into_iter().rev().collect::<Vec<_>>().concat());
        let request = Request::Offer(Offer { handle, messages });
        self.ask(peer, InFlight::Session(Asked::Offer(offered)), request);
    }
}

fn decode(page: &[u8]) -> Result<Vec<Message>, Abort> {
    Message::decode_all(page).map_err(|_| Abort::Offence("a page of malformed messages"))
}

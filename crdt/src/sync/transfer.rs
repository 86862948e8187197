//! Messages on their way here, from several peers at once.
//!
//! One peer *leads* a transfer: the session with it finds out what differs, and offers what it lacks. What is then
//! still to be fetched in pages is cut into pieces, and these are anybody's: other peers in the room that are known to
//! hold about as much *help* with them, each one page after the other. A helper that dies, or has nothing there, gives
//! its piece back; if the leader dies, a helper takes over. When no piece is left the leader is asked whether anything
//! still differs, so nothing depends on what helpers say.
//!
//! What is held in memory is bounded: so many pages in flight, over all peers, and so many bytes on their way to the
//! store, beyond which no more is asked for.
//!
//! *Whoever talks goes first.* A message that gossip brings is stored behind what came before. So while gossip brings
//! anything, one page is asked for at a time, and not before the one before it is on disk: a room that fills faster than
//! anybody can read is caught up with all the same, and what others say meanwhile waits for a page at most.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Blob, Fetch, Filter, List, Page, Peer, Range, Replica, Request, Wanted,
    asking::InFlight,
    replica::MAX_UNCOMMITTED,
    schedule::PEERS_A_ROUND,
    session::{Abort, Asked, Session, last_key},
};
use crate::{Key, Room, Timestamp, index::Prefix};

/// Requests in flight at once, over all peers: with pages of 1 MiB, that is what a transfer holds in memory.
const WINDOW: usize = 6;
/// How many of them go to one peer.
const WINDOW_ALONE: usize = 4;
const WINDOW_AMONG_OTHERS: usize = 2;
/// How many peers help.
const MAX_HELPERS: usize = 2;
/// How long a transfer goes on while others wait that may hold something else, and how long those who took part are left
/// alone then: whoever brings little at a time must not keep the others away.
const TURN: Duration = Duration::from_secs(20);
const REST: Duration = Duration::from_secs(4);
/// How long all turns take together where more than [`PEERS_A_ROUND`] wait, but for the shortest turn that there is.
const OF_MANY: Duration = Duration::from_secs(80);
const SHORT_TURN: Duration = Duration::from_secs(2);
/// So long after gossip brought something new people are talking: what is caught up with waits behind that.
const TALKING: Duration = Duration::from_secs(1);
/// How much may be on its way to the store then. What is said next stands behind it.
const UNCOMMITTED_WHILE_TALKING: usize = 128 * 1024;
const OFFERED_WHILE_TALKING: usize = 2 * 1024 * 1024;

/// A range of which others have brought so many messages since it was found is not fetched as a whole.
pub(super) const OVERTAKEN: u64 = 64;

/// A range of messages to fetch, all of it: about a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) from: Key,
    pub(super) below: Key,
}

impl Piece {
    /// How many of its messages are held.
    pub(super) fn held(&self, room: &Room) -> u64 {
        room.index().rank(&self.below).saturating_sub(room.index().rank(&self.from))
    }
}

/// The transfer under way.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) leader: Peer,
    helpers: BTreeSet<Peer>,
    since: Duration,
    /// The upper end of the leader's session.
    upper: Timestamp,
    /// What nobody was asked for yet, by where it begins: where it ends, and how much of it was held when it was found.
    pieces: BTreeMap<Key, (Key, u64)>,
    /// How many messages helpers that are done have brought.
    pub(super) helped: u64,
    /// How many that were at the last hello.
    helped_before: u64,
}

impl Transfer {
    fn new(leader: Peer, upper: Timestamp, since: Duration) -> Self {
        let (helpers, pieces) = (BTreeSet::new(), BTreeMap::new());
        Self { leader, helpers, since, upper, pieces, helped: 0, helped_before: 0 }
    }

    pub(super) fn includes(&self, peer: &Peer) -> bool {
        self.leader == *peer || self.helpers.contains(peer)
    }

    pub(super) fn peers(&self) -> Vec<Peer> {
        std::iter::once(&self.leader).chain(&self.helpers).cloned().collect()
    }

    /// So many of the piece's messages were held when it was found.
    pub(super) fn add(&mut self, piece: Piece, held: u64) {
        let (below, before) = self.pieces.entry(piece.from).or_insert((piece.below, held));
        (*below, *before) = (piece.below.max(*below), held.min(*before));
    }

    /// Whether helpers have brought anything since this was last asked.
    pub(super) fn was_helped(&mut self) -> bool {
        std::mem::replace(&mut self.helped_before, self.helped) < self.helped
    }

    /// The newest piece, and how much of it was held when it was found.
    fn take(&mut self) -> Option<(Piece, u64)> {
        self.pieces.pop_last().map(|(from, (below, held))| (Piece { from, below }, held))
    }
}

impl Replica {
    /// A peer leads a transfer from now on.
    pub(super) fn start_transfer(&mut self, leader: &Peer) {
        let session = self.peers.get(leader).and_then(|state| state.session.as_ref());
        let upper = session.map_or(Timestamp::MAX, |session| session.upper);
        match &mut self.asking.transfer {
            // It goes on after another hello.
            Some(transfer) if transfer.leader == *leader => transfer.upper = upper,
            transfer => {
                *transfer = Some(Transfer::new(leader.clone(), upper, self.now.mono));
                if let Some(state) = self.peers.get_mut(leader) {
                    state.turn_at = self.now.mono;
                }
            }
        }
        self.collect_pieces(leader);
    }

    /// What the session has found to be fetched in pages is anybody's.
    pub(super) fn collect_pieces(&mut self, peer: &Peer) {
        let Some(session) = self.peers.get_mut(peer).and_then(|state| state.session.as_mut()) else { return };
        if let Some(transfer) = self.asking.transfer.as_mut().filter(|transfer| transfer.leader == *peer) {
            for piece in session.pieces.drain(..) {
                transfer.add(piece, piece.held(&self.room));
            }
        }
    }

    /// A page of a piece has come; what remains of the piece is anybody's.
    pub(super) fn took_piece(&mut self, peer: &Peer, piece: Piece, held: u64, page: &Page) -> Result<(), Abort> {
        let others_brought = piece.held(&self.room).saturating_sub(held);
        let leads = self.asking.transfer.as_ref().is_some_and(|transfer| transfer.leader == *peer);
        let Some(session) = self.peers.get_mut(peer).and_then(|state| state.session.as_mut()) else { return Ok(()) };
        let rest = session.took_piece(piece, page, leads);
        let taken = match &rest {
            Ok(_) => self.take_page(peer, &page.messages, others_brought),
            Err(abort) => Err(*abort),
        };
        if let Some(transfer) = &mut self.asking.transfer {
            for piece in rest.unwrap_or_else(|_| vec![piece]) {
                transfer.add(piece, piece.held(&self.room));
            }
        }
        taken
    }

    /// Keeps the transfer's requests flowing, as far as the store keeps up.
    pub(super) fn pump(&mut self) {
        let Some(transfer) = &self.asking.transfer else { return };
        let leader = transfer.leader.clone();
        self.pump_leader(&leader);
        self.recruit();
        let Some(transfer) = &self.asking.transfer else { return };
        for helper in transfer.helpers.clone() {
            self.pump_helper(&helper);
        }
        self.finish_transfer();
    }

    /// How many requests sessions have in flight: with that peer, and with all.
    fn flying(&self, peer: &Peer) -> (usize, usize) {
        let of = |peer: &Peer| {
            let session = self.peers.get(peer).and_then(|state| state.session.as_ref());
            session.map_or(0, |session| session.in_flight)
        };
        let all = self.asking.transfer.as_ref().map_or(0, |transfer| transfer.peers().iter().map(of).sum());
        (of(peer), all)
    }

    /// Whether one more page may be asked for, of that peer.
    fn may_ask(&self, peer: &Peer) -> bool {
        let alone = self.asking.transfer.as_ref().is_none_or(|transfer| transfer.helpers.is_empty());
        let (here, all) = self.flying(peer);
        let (window, of_all) = match (self.is_talked(), alone) {
            (true, _) => (1, 1),
            (false, true) if self.is_careful(peer) => (1, WINDOW),
            (false, true) => (WINDOW_ALONE, WINDOW),
            (false, false) => (WINDOW_AMONG_OTHERS, WINDOW),
        };
        here < window && all < of_all && self.uncommitted_bytes < self.most_uncommitted()
    }

    /// Whether gossip brings what is said here.
    fn is_talked(&self) -> bool {
        self.asking.heard_at.is_some_and(|at| self.now.mono < at + TALKING)
    }

    /// How much may be on its way to the store before offers are refused.
    pub(super) fn most_offered(&self) -> usize {
        if self.is_talked() { OFFERED_WHILE_TALKING } else { MAX_UNCOMMITTED }
    }

    /// Whether so much of what came in is not on disk yet that more had better wait where it is: there the messages of others
    /// can overtake it, and behind it they cannot. What is said here is taken in at any time.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, sync::{Peer, Replica, ReplicaConfig}};
    ///
    /// let ana = Keypair::from_seed([1; 32]);
    /// let room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// let config = ReplicaConfig { me: Peer::new(b"ana"), handle: 1, signer: Arc::new(ana), seed: [1; 32], said: Vec::new() };
    /// assert!(!Replica::new(room, config, Now::default()).is_behind());
    /// ```
    pub fn is_behind(&self) -> bool {
        self.uncommitted_bytes >= self.most_uncommitted()
    }

    /// How much may be on its way to the store before nothing more is asked for.
    fn most_uncommitted(&self) -> usize {
        if self.is_talked() { UNCOMMITTED_WHILE_TALKING } else { MAX_UNCOMMITTED }
    }

    /// Whether that peer is asked one thing after the other, and nobody else with it.
    fn is_careful(&self, peer: &Peer) -> bool {
        let session = self.peers.get(peer).and_then(|state| state.session.as_ref());
        session.is_some_and(|session| session.careful)
    }

    fn pump_leader(&mut self, peer: &Peer) {
        while self.may_ask(peer) {
            let Some(session) = self.peers.get_mut(peer).and_then(|state| state.session.as_mut()) else { return };
            let newest_piece = self
                .asking
                .transfer
                .as_ref()
                .and_then(|transfer| transfer.pieces.last_key_value())
                .map(|(from, _)| *from);
            let first_search = session.careful && session.is_newest_a_region(newest_piece);
            if first_search && let Some((asked, request)) = session.next_nodes(&self.room) {
                session.in_flight += 1;
                self.ask(peer, InFlight::Session(asked), request);
            } else if newest_piece > session.newest_want() {
                self.ask_piece(peer);
            } else if let Some((asked, request)) = session.next_fetch(&self.room) {
                session.in_flight += 1;
                self.ask(peer, InFlight::Session(asked), request);
            } else if session.offers.may_go() {
                let keys = session.offers.next(&self.room);
                if !keys.is_empty() {
                    session.in_flight += 1;
                    let nonce = session.nonce();
                    self.read_offer(peer, nonce, keys);
                }
            } else if let Some((asked, request)) = session.next_nodes(&self.room) {
                session.in_flight += 1;
                self.ask(peer, InFlight::Session(asked), request);
            } else if session.newest_want().is_none() {
                // Otherwise the question was answered on this side, by what to fetch.
                return;
            }
        }
    }

    fn pump_helper(&mut self, peer: &Peer) {
        while self.may_ask(peer) && self.asking.transfer.as_ref().is_some_and(|transfer| !transfer.pieces.is_empty()) {
            self.ask_piece(peer);
        }
        if self.flying(peer).0 == 0 && self.uncommitted_bytes < MAX_UNCOMMITTED {
            // Nothing is left to do for it.
            self.end_session(peer);
        }
    }

    fn ask_piece(&mut self, peer: &Peer) {
        let Some(transfer) = &mut self.asking.transfer else { return };
        let Some((piece, held)) = transfer.take() else { return };
        // Nothing of it was held when it was first found. The next hello finds out what is still lacking then.
        if piece.held(&self.room) >= OVERTAKEN {
            return self.overtaken();
        }
        let Some(session) = self.peers.get_mut(peer).and_then(|state| state.session.as_mut()) else { return };
        session.in_flight += 1;
        let (from, below) = (Some(piece.from), Some(piece.below));
        let range = Range { region: Prefix::EMPTY, from, below, filter: Filter::Except(Blob::default()) };
        let items = List::cut(vec![Wanted::Range(range)]);
        let fetch = Fetch { handle: session.handle, upper: transfer.upper, nonce: session.nonce(), items };
        self.ask(peer, InFlight::Session(Asked::Piece(piece, held)), Request::Fetch(fetch));
    }

    /// Others have brought some of what the transfer is about: that it was not the leader is not its fault.
    pub(super) fn overtaken(&mut self) {
        let leader = self.asking.transfer.as_ref().map(|transfer| &transfer.leader);
        let leader = leader.and_then(|leader| self.peers.get_mut(leader));
        if let Some(session) = leader.and_then(|state| state.session.as_mut()) {
            session.overtaken = true;
        }
    }

    /// Asks others to help, while there is enough to do for them.
    fn recruit(&mut self) {
        loop {
            let Some(transfer) = &self.asking.transfer else { return };
            let busy = transfer.helpers.len();
            let one_by_one = self.is_talked() || self.is_careful(&transfer.leader);
            if busy >= MAX_HELPERS || transfer.pieces.len() < WINDOW_AMONG_OTHERS || one_by_one {
                return;
            }
            let now = self.now.mono;
            let enough = self.peers.get(&transfer.leader).map_or(0, |state| state.count / 16 * 15);
            let able: Vec<Peer> = self
                .peers
                .iter()
                .filter(|(_, state)| state.entered.is_some() && !state.forgot && state.session.is_none())
                .filter(|(_, state)| state.count >= enough && state.avoid_until <= now && state.no_help_until <= now)
                .map(|(peer, _)| peer.clone())
                .collect();
            let chosen = self.random() as usize % able.len().max(1);
            let Some(helper) = able.get(chosen).cloned() else { return };
            let nonce = self.random();
            let upper = self.asking.transfer.as_ref().map_or(Timestamp::MAX, |transfer| transfer.upper);
            if let Some(state) = self.peers.get_mut(&helper)
                && let Some(handle) = state.entered.as_ref().map(|entered| entered.handle)
                && let Some(transfer) = &mut self.asking.transfer
            {
                let owed = state.take_bill(now);
                state.session = Some(Session::new(handle, nonce, upper, owed, now));
                transfer.helpers.insert(helper);
            }
        }
    }

    /// If all known differences are dealt with, asks the leader whether there are others.
    fn finish_transfer(&mut self) {
        let Some(transfer) = &self.asking.transfer else { return };
        if !transfer.pieces.is_empty() || !transfer.helpers.is_empty() {
            return;
        }
        let leader = transfer.leader.clone();
        let session = self.peers.get(&leader).and_then(|state| state.session.as_ref());
        if session.is_some_and(Session::is_done) {
            self.finish_round(&leader);
        }
    }

    /// A session is over, with these pieces still asked for: somebody else is asked for them.
    pub(super) fn leave_transfer(&mut self, peer: &Peer, received: u64, unfinished: Vec<(Piece, u64)>) {
        let Some(transfer) = &mut self.asking.transfer else { return };
        if !transfer.includes(peer) {
            return;
        }
        for (piece, held) in unfinished {
            transfer.add(piece, held);
        }
        if transfer.helpers.remove(peer) {
            transfer.helped += received;
            return;
        }
        match transfer.helpers.pop_first() {
            Some(helper) => transfer.leader = helper,
            None => self.asking.transfer = None,
        }
    }

    /// Ends a transfer that has had its turn, if others wait for theirs. Nothing is lost: all progress is in the set.
    pub(super) fn take_turns(&mut self) {
        let now = self.now.mono;
        let transfer = self.asking.transfer.as_ref().filter(|transfer| transfer.since + SHORT_TURN <= now);
        let Some((since, peers)) = transfer.map(|transfer| (transfer.since, transfer.peers())) else { return };
        let waiting = self.waiting();
        let many = waiting.len() > PEERS_A_ROUND;
        let turn = if many { (OF_MANY / waiting.len() as u32).max(SHORT_TURN) } else { TURN };
        if waiting.is_empty() || now < since + turn {
            return;
        }
        for peer in &peers {
            self.end_session(peer);
        }
        self.pass_turn(&peers, waiting);
    }

    /// Who may hold something else, and has no session.
    pub(super) fn waiting(&self) -> Vec<Peer> {
        let (now, root) = (self.now.mono, self.room.fingerprint());
        let able = self.peers.iter().filter(|(_, state)| {
            state.entered.is_some() && !state.forgot && state.session.is_none() && state.avoid_until <= now
        });
        able.filter(|(_, state)| state.agreed != Some(root)).map(|(peer, _)| peer.clone()).collect()
    }

    /// After those that have had their turn one of those that wait has its own.
    pub(super) fn pass_turn(&mut self, had: &[Peer], mut waiting: Vec<Peer>) {
        let until = self.now.mono + REST;
        for peer in had {
            if let Some(state) = self.peers.get_mut(peer) {
                state.avoid_until = state.avoid_until.max(until);
            }
        }
        let next = if waiting.len() > PEERS_A_ROUND {
            // Every other turn is that of one of those who have been here longest: the many may all be one.
            self.asking.longest_had_it = !self.asking.longest_had_it;
            let longest = self.asking.longest_had_it;
            self.next_of(&waiting, longest, |state| state.turn_at)
        } else {
            self.random() as usize % waiting.len()
        };
        let next = waiting.swap_remove(next);
        if let Some(state) = self.peers.get_mut(&next) {
            state.turn_at = self.now.mono;
        }
        self.start_session(&next);
    }

    /// Ends a session. If it had the turn, and many wait for theirs, one of them has the next, or it would be whoever
    /// answers first.
    pub(super) fn end_turn(&mut self, peer: &Peer) {
        let had = self.asking.transfer.as_ref().is_some_and(|transfer| transfer.leader == *peer);
        self.end_session(peer);
        if had && self.asking.transfer.is_none() {
            let mut waiting = self.waiting();
            waiting.retain(|other| other != peer);
            if waiting.len() > PEERS_A_ROUND {
                self.pass_turn(&[], waiting);
            }
        }
    }

    /// Leaves the peers of a transfer that does not move, so that others get their turn.
    pub(super) fn leave_stuck(&mut self) {
        let peers = self.asking.transfer.as_ref().map(Transfer::peers).unwrap_or_default();
        // While the own disk is behind, it is not the peers that do not move.
        if self.uncommitted_bytes >= self.most_uncommitted() {
            for peer in peers {
                if let Some(session) = self.peers.get_mut(&peer).and_then(|state| state.session.as_mut()) {
                    session.waited(self.now.mono);
                }
            }
            return;
        }
        for peer in peers {
            let session = self.peers.get(&peer).and_then(|state| state.session.as_ref());
            if session.is_none_or(|session| session.is_stuck(self.now.mono)) {
                self.abort(&peer, Abort::Fruitless);
            }
        }
    }
}

impl Session {
    /// Takes a page of a piece, but for its messages; what remains of the piece.
    fn took_piece(&mut self, piece: Piece, page: &Page, leads: bool) -> Result<Vec<Piece>, Abort> {
        if page.messages.is_empty() {
            // Somebody said that there are messages, and this peer has none of them. A helper is of no help; but one that
            // leads in another's stead is not to blame for what that one said, and at the end it is asked itself.
            return if leads { Ok(Vec::new()) } else { Err(Abort::Fruitless) };
        }
        match page.done {
            0 if page.cuts.is_empty() => Ok(vec![piece]),
            0 => pieces(piece, &page.cuts),
            1 => Ok(Vec::new()),
            _ => Err(Abort::Offence("a page of more than was asked")),
        }
    }
}

/// What remains of a range below its cuts, in pieces.
pub(super) fn pieces(whole: Piece, cuts: &[Key]) -> Result<Vec<Piece>, Abort> {
    let mut above = whole.below;
    let mut pieces = Vec::new();
    for (n, cut) in cuts.iter().enumerate() {
        if *cut > above || (n > 0 && *cut == above) {
            return Err(Abort::Offence("cuts that do not descend"));
        }
        above = *cut;
        let from = cuts.get(n + 1).copied().unwrap_or(whole.from).max(whole.from);
        if from < *cut {
            pieces.push(Piece { from, below: *cut });
        }
    }
    Ok(pieces)
}

/// The piece that a range is, up to a session's end, if all of it is wanted.
pub(super) fn whole(range: &Range, upper: Timestamp) -> Option<Piece> {
    let (from, below) = range.bounds(last_key(upper));
    let plain = matches!(&range.filter, Filter::Except(list) if list.is_empty());
    plain.then_some(Piece { from, below })
}

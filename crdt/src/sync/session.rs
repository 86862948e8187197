//! The asking side: one session with one peer, from a hello to equal sets.
//!
//! # How it ends
//! A session holds three kinds of work: ranges to fetch, messages to offer, and regions known to differ. Handling a
//! region replaces it by strictly smaller ones, by ranges and by offers; a range is replaced by smaller ones or done.
//! The upper end is fixed, so what comes into being meanwhile does not add work. An answer that replaces nothing ends
//! the session, and so does a peer that keeps it busy without anything new: a liar costs a bounded number of bytes.
//!
//! # In which order
//! Newest first, and messages before hashes: a screen fills at once, and the older messages that follow are vouched
//! for by what is already here.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub(super) use super::answer::last_key;
use super::{
    Blob, Branch, Fetch, Filter, List, MAX_FETCH_ITEMS, MAX_NODE_ITEMS, MAX_SHORTS, Nodes, Page, Range, Region,
    Request, RoomGreeting, RoomHello, SHORT_LEN, Summaries, Summary, Wanted,
    answer::{self, lacking},
    offers::Offers,
    replica::Gain,
    short::{Short, Shortener, shorts},
    transfer::{self, Piece},
    want::{Want, held},
};
use crate::{
    Fingerprint, Key, Room, Timestamp,
    index::{LEAF_KEYS, Part, Prefix},
    plant::Bug,
};

/// How many bytes a peer may cost without anything new, counting [`ANSWER_COST`] for each answer besides its length.
const MAX_FRUITLESS: usize = 512 * 1024;
pub(super) const ANSWER_COST: usize = 1024;
/// How many bytes of nodes a peer may cost before anything new has come of it, counted like the others, and how many it may
/// have earned by what did. Until then few regions are asked about at once, the newest first, so that a correct peer's
/// tree has led to a message by then: two levels of it cost a fifth of this, however much differs there.
const MAX_SEARCH: usize = 64 * 1024;
const MAX_SEARCH_EARNED: usize = 1024 * 1024;
const REGIONS_ON_TRUST: usize = 4;
/// What a `keys` and a branch count in an answer, and so what asking about a region costs at most.
const KEYS_COST: usize = 48;
const BRANCH_COST: usize = 192;
const REGION_COST: usize = 16 * BRANCH_COST;
/// How many bytes each byte of a new message makes good. Finding one message in a million takes some 1,500 bytes; a peer
/// that brings now and then something new among much that is known is left all the same.
const CREDIT: usize = 8;
/// How long a session may go on without anything new either way: a slow peer is worth waiting for, a silent one is not.
const PATIENCE: Duration = Duration::from_secs(15);
/// How many small ranges, and how many regions, go into one request. More would make the first answer come later.
const RANGES_AT_ONCE: usize = 256;
const REGIONS_AT_ONCE: usize = 64;
/// Where this side has at most so many keys it lists them and asks for all others, instead of asking where they differ.
/// A list costs 6 bytes a key and no round trip; measured, 48 cost least where much differs (`difference` in the
/// benches), and where little differs the round trip that more would save is worth more than their bytes.
const FEW_KEYS: u64 = 48;
const FEW_KEYS_OF_A_LONE_REGION: u64 = 128;
/// Up to so many regions are lone.
const LONE_REGIONS: usize = 4;
/// How many hellos a session says before it leaves the rest to the next one.
const MAX_ROUNDS: u32 = 4;
/// What a peer owes after another answer of so many bytes, which brought so much.
fn owes(before: usize, bytes: usize, gain: Gain) -> usize {
    (before + bytes + ANSWER_COST).saturating_sub(gain.bytes.saturating_mul(CREDIT))
}

pub(super) fn is_too_much(owed: usize) -> bool {
    owed > MAX_FRUITLESS + super::MAX_PAGE && !Bug::LiarNeverLeft.is_planted()
}

/// A session must end: the peer broke the protocol, or leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abort {
    /// For this reason.
    Offence(&'static str),
    /// Nothing new came for too long.
    Fruitless,
    /// Its tree goes on and on, and nothing new has come of it.
    Nowhere,
}

/// What a greeting means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// Both hold the same.
    Equal,
    /// There is work to do.
    Differs,
    /// Another hello is needed, up to a later end.
    Again,
    /// The peer lacks messages but asks for them itself.
    Leave,
}

/// A request under way, and what it was about.
#[derive(Debug)]
pub(super) enum Asked {
    Hello,
    Nodes(Vec<Prefix>),
    /// And how many messages of it were held.
    Fetch(Vec<Want>, u64),
    /// And how much of it was held when it was found.
    Piece(Piece, u64),
    Offer(Gain),
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) handle: u32,
    short: Shortener,
    pub(super) upper: Timestamp,
    /// What this side said to hold in the last hello, and the last of it.
    told: (u64, Fingerprint),
    told_last: Option<Key>,
    round: u32,
    /// The peers have only just met, so the other is about to ask, too.
    pub(super) meeting: bool,
    /// What was found to be fetched page by page, from this peer or another.
    pub(super) pieces: Vec<Piece>,
    wants: BTreeMap<(Key, u64), Want>,
    wanted: u64,
    pub(super) offers: Offers,
    regions: BTreeMap<Key, Prefix>,
    pub(super) in_flight: usize,
    pub(super) received: u64,
    /// How many messages had gone either way at the last hello.
    before: u64,
    /// Since then others have brought some of what was to be fetched.
    pub(super) overtaken: bool,
    /// How many bytes the peer has cost without anything new, less what new ones were worth.
    pub(super) fruitless: usize,
    /// How much of that were messages whose signatures are not good, and that nobody had vouched for when they came.
    pub(super) unvouched: usize,
    /// One thing after the other, newest first, so that whatever is vouched for comes behind what vouches for it.
    pub(super) careful: bool,
    /// How many bytes of nodes it may yet cost, and about how many regions it has been asked.
    search: usize,
    searching: usize,
    /// When something new last came or went, or the session began.
    progress: Duration,
}

impl Session {
    /// A session with a peer that owes so much from former ones.
    pub(super) fn new(handle: u32, nonce: u64, upper: Timestamp, owed: usize, now: Duration) -> Self {
        Self {
            handle,
            short: Shortener { nonce },
            upper,
            told: (0, Fingerprint([0; 32])),
            told_last: None,
            round: 0,
            meeting: false,
            pieces: Vec::new(),
            wants: BTreeMap::new(),
            wanted: 0,
            offers: Offers::default(),
            regions: BTreeMap::new(),
            in_flight: 0,
            received: 0,
            before: 0,
            overtaken: false,
            fruitless: owed,
            unvouched: 0,
            careful: false,
            search: MAX_SEARCH,
            searching: 0,
            progress: now,
        }
    }

    /// Which session this is.
    pub(super) fn nonce(&self) -> u64 {
        self.short.nonce
    }

    /// The hello of the next round, up to `upper`; `None` if there were enough.
    pub(super) fn hello(&mut self, room: &Room, upper: Timestamp) -> Option<RoomHello> {
        self.round += 1;
        self.upper = upper;
        self.before = self.received + self.offers.taken;
        self.overtaken = false;
        let (count, root) = room.index().root_to(&last_key(upper));
        self.told = (count, root);
        self.told_last = room.index().last_to(&last_key(upper));
        (self.round <= MAX_ROUNDS).then_some(RoomHello { handle: self.handle, upper, count, root })
    }

    /// Whether nothing but the first hello was said in it.
    pub(super) fn is_new(&self) -> bool {
        self.round == 1
    }

    /// Whether all that was known to do is done.
    pub(super) fn is_done(&self) -> bool {
        self.in_flight == 0 && self.wants.is_empty() && self.offers.is_empty() && self.regions.is_empty()
    }

    /// Takes the answer to a hello, but for the messages of its tail.
    pub(super) fn greeted(&mut self, room: &Room, greeting: &RoomGreeting) -> Result<Met, Abort> {
        let last = last_key(self.upper);
        let (own_count, own_root) = room.index().root_to(&last);
        let difference = match greeting {
            RoomGreeting::Equal(later) => {
                let own_later = room.index().len() - own_count;
                let beyond = *later > 0 || own_later > 0;
                return Ok(if beyond && self.upper < Timestamp::MAX { Met::Again } else { Met::Equal });
            }
            RoomGreeting::Refused(_) => return Ok(Met::Leave),
            RoomGreeting::Differs(difference) => difference,
        };
        if let Some(tail) = &difference.tail {
            // Behind what was held at the hello: gossip may have brought newer ones meanwhile.
            let from = self.told_last.map_or(Key::MIN, |key| key.next());
            self.pieces = transfer::pieces(Piece { from, below: last.next() }, &tail.cuts)?;
            return Ok(Met::Differs);
        }
        if (difference.count, difference.root) == (own_count, own_root) {
            // It was so when the hello was said, and is not any more. What comes later was not told of.
            self.told = (own_count, own_root);
            return Ok(if self.upper < Timestamp::MAX { Met::Again } else { Met::Equal });
        }
        let holds_prefix =
            difference.count < own_count && room.index().root_of_first(difference.count) == difference.root;
        if !holds_prefix {
            self.regions.insert(Key::MIN, Prefix::EMPTY);
            return Ok(Met::Differs);
        }
        if self.meeting {
            return Ok(Met::Leave);
        }
        let from = room.index().select(difference.count).unwrap_or(last);
        self.offer(from, last.next());
        Ok(Met::Differs)
    }

    /// Wants what remains of a range below its cuts.
    fn want_rest(&mut self, want: Want, cuts: &[Key]) -> Result<(), Abort> {
        let (from, below) = want.range.bounds(last_key(self.upper));
        for piece in transfer::pieces(Piece { from, below }, cuts)? {
            let mut excepted = want.excepted.clone();
            excepted.retain(|key| (piece.from..piece.below).contains(key));
            let filter = match &want.range.filter {
                Filter::Except(_) => Filter::Except(Blob::cut(self.short.keys(&excepted))),
                only @ Filter::Only(_) => only.clone(),
            };
            let range = Range { region: want.range.region, from: Some(piece.from), below: Some(piece.below), filter };
            match transfer::whole(&range, self.upper) {
                Some(piece) => self.pieces.push(piece),
                None => self.want(Want { range, excepted }),
            }
        }
        Ok(())
    }

    fn want(&mut self, want: Want) {
        let (from, _) = want.range.bounds(last_key(self.upper));
        self.wanted += 1;
        self.wants.insert((from, self.wanted), want);
    }

    /// Where the newest wanted range begins.
    pub(super) fn newest_want(&self) -> Option<Key> {
        self.wants.last_key_value().map(|((from, _), _)| *from)
    }

    /// Whether what is newest of all that is not known yet is a region to ask about.
    pub(super) fn is_newest_a_region(&self, piece: Option<Key>) -> bool {
        self.regions.last_key_value().map(|(from, _)| *from) > self.newest_want().max(piece)
    }

    fn want_region(&mut self, region: Prefix, filter: Filter, excepted: Vec<Key>) {
        self.want(Want { range: Range { region, from: None, below: None, filter }, excepted });
    }

    fn offer(&mut self, from: Key, below: Key) {
        self.offers.add(from, below.min(last_key(self.upper).next()));
    }

    /// The next request for messages.
    pub(super) fn next_fetch(&mut self, room: &Room) -> Option<(Asked, Request)> {
        let mut asked: Vec<Want> = Vec::new();
        let mut shorts = 0;
        while let Some((place, want)) = self.wants.pop_last() {
            if want.is_overtaken(room, self.upper) {
                self.overtaken = true;
                continue;
            }
            let (Filter::Except(list) | Filter::Only(list)) = &want.range.filter;
            let fits = shorts + list.len() <= MAX_SHORTS && asked.len() < RANGES_AT_ONCE.min(MAX_FETCH_ITEMS);
            if !asked.is_empty() && !fits {
                self.wants.insert(place, want);
                break;
            }
            shorts += list.len();
            asked.push(want);
        }
        if asked.is_empty() {
            return None;
        }
        let items = asked.iter().map(|want| Wanted::Range(want.range.clone())).collect();
        let (handle, upper, nonce) = (self.handle, self.upper, self.short.nonce);
        let request = Request::Fetch(Fetch { handle, upper, nonce, items: List::cut(items) });
        let held = held(room, &asked, self.upper);
        Some((Asked::Fetch(asked, held), request))
    }

    /// The next question where the sets differ. Where this side has few keys it needs no question: it asks for all but
    /// those.
    pub(super) fn next_nodes(&mut self, room: &Room) -> Option<(Asked, Request)> {
        let few = if self.regions.len() <= LONE_REGIONS { FEW_KEYS_OF_A_LONE_REGION } else { FEW_KEYS };
        let last = last_key(self.upper);
        // Besides those on trust as many as are paid for.
        let paid = self.search.saturating_sub(MAX_SEARCH) / REGION_COST;
        let borne = (REGIONS_ON_TRUST + paid).saturating_sub(self.searching);
        let mut items = Vec::new();
        while items.len() < REGIONS_AT_ONCE.min(MAX_NODE_ITEMS).min(borne) {
            let Some((_, region)) = self.regions.pop_last() else { break };
            let count = room.index().region(&region, &last).map_or(0, |(count, _)| count);
            match room.index().part(&region, &last) {
                Part::Inner { prefix, children } if count > few => {
                    items.push(Region { region, branch: answer::branch(self.short, prefix, &children) });
                }
                _ => {
                    let (from, below) = self.bounds(&region);
                    self.want_except(region, room.index().newest(&from, &below, usize::MAX));
                }
            }
        }
        if items.is_empty() {
            return None;
        }
        self.searching += items.len();
        let asked = Asked::Nodes(items.iter().map(|item| item.region).collect());
        let (handle, upper, nonce) = (self.handle, self.upper, self.short.nonce);
        Some((asked, Request::Nodes(Nodes { handle, upper, nonce, items: List::cut(items) })))
    }

    fn want_except(&mut self, region: Prefix, keys: Vec<Key>) {
        let filter = Filter::Except(Blob::cut(self.short.keys(&keys)));
        self.want_region(region, filter, keys);
    }

    /// Takes the answer to a question where the sets differ.
    pub(super) fn summarized(&mut self, room: &Room, asked: Vec<Prefix>, answer: &Summaries) -> Result<(), Abort> {
        let done = usize::try_from(answer.done).unwrap_or(usize::MAX);
        self.searching = self.searching.saturating_sub(asked.len());
        if done == 0 || done > asked.len() {
            return Err(Abort::Offence("an answer to nothing that was asked"));
        }
        for region in asked.iter().skip(done) {
            self.regions.insert(region.first(), *region);
        }
        let mut regions = BTreeMap::new();
        for summary in answer.summaries.iter() {
            let (Summary::Keys(region, _) | Summary::Branch(region, _)) = summary;
            let expected = asked.iter().take(done).any(|asked| asked.contains(region));
            if !expected {
                return Err(Abort::Offence("a region that was not asked about"));
            }
            regions.insert((region.first(), region.digits::<4>()), *region);
        }
        // Regions that overlap would make this side do the work of one for each.
        let apart = regions.values().zip(regions.values().skip(1)).all(|(one, next)| !one.contains(next));
        if !apart || regions.len() < answer.summaries.len() {
            return Err(Abort::Offence("a region told twice"));
        }
        for summary in answer.summaries.iter() {
            match summary {
                Summary::Keys(region, list) => self.compare_keys(room, region, list)?,
                Summary::Branch(region, branch) => self.compare_branch(room, region, branch)?,
            }
        }
        let bytes = answer.summaries.iter().map(|summary| match summary {
            Summary::Keys(_, list) => list.len() + KEYS_COST,
            Summary::Branch(..) => BRANCH_COST,
        });
        self.searched(bytes.sum())
    }

    fn compare_keys(&mut self, room: &Room, region: &Prefix, list: &[u8]) -> Result<(), Abort> {
        if !list.len().is_multiple_of(SHORT_LEN) || list.len() > LEAF_KEYS * SHORT_LEN {
            return Err(Abort::Offence("a list that is no leaf's"));
        }
        let (from, below) = self.bounds(region);
        if list.is_empty() {
            self.offer(from, below);
            return Ok(());
        }
        let theirs: BTreeSet<Short> = shorts(list).collect();
        let mut unknown = theirs.clone();
        // The peer has few keys here, so what it lacks is few runs, however many keys there are on this side.
        let mut below_run = below;
        let mut run_start = None;
        room.index().descend(&from, &below, &mut |key| {
            let short = self.short.key(&key);
            if theirs.contains(&short) {
                unknown.remove(&short);
                if let Some(from) = run_start.take() {
                    self.offers.add(from, below_run);
                }
                below_run = key;
            } else {
                run_start = Some(key);
            }
            true
        });
        if let Some(from) = run_start {
            self.offers.add(from, below_run);
        }
        if !unknown.is_empty() {
            self.want_region(*region, Filter::Only(Blob::cut(unknown.into_iter().flatten().collect())), Vec::new());
        }
        Ok(())
    }

    fn compare_branch(&mut self, room: &Room, region: &Prefix, branch: &Branch) -> Result<(), Abort> {
        let theirs = answer::children(branch).map_err(|_| Abort::Offence("a node with missing hashes"))?;
        // The smallest node stands below the region, or this would go on for ever.
        if theirs.len() < 2 || !region.contains(&branch.prefix) {
            return Err(Abort::Offence("a node where none can be"));
        }
        let last = last_key(self.upper);
        let (from, below) = self.bounds(region);
        let (inner_from, inner_below) = self.bounds(&branch.prefix);
        self.offer(from, inner_from);
        self.offer(inner_below, below);
        for digit in 0..16 {
            let child = branch.prefix.child::<4>(digit);
            let other = theirs.iter().find(|(at, _)| *at == digit).map(|(_, hash)| *hash);
            match (room.index().region(&child, &last), other) {
                (None, None) => {}
                (None, Some(_)) => self.want_region(child, all(), Vec::new()),
                (Some(_), None) => {
                    let (from, below) = self.bounds(&child);
                    self.offer(from, below);
                }
                (Some((_, mine)), Some(other)) if self.short.hash(&mine) == other => {}
                (Some(_), Some(_)) => {
                    self.regions.insert(child.first(), child);
                }
            }
        }
        Ok(())
    }

    fn bounds(&self, region: &Prefix) -> (Key, Key) {
        Range { region: *region, from: None, below: None, filter: all() }.bounds(last_key(self.upper))
    }

    /// Takes a page, but for its messages.
    pub(super) fn paged(&mut self, asked: Vec<Want>, page: &Page) -> Result<(), Abort> {
        let done = usize::try_from(page.done).unwrap_or(usize::MAX);
        if done > asked.len() || (done == 0 && page.messages.is_empty()) {
            return Err(Abort::Offence("a page of nothing that was asked"));
        }
        let excepted: Vec<Key> = asked.iter().take(done).flat_map(|want| want.excepted.iter().copied()).collect();
        for key in lacking(page, &excepted) {
            self.offers.add(key, key.next());
        }
        let mut rest = asked.into_iter().skip(done);
        if !page.cuts.is_empty() {
            let partial = rest.next().ok_or(Abort::Offence("cuts of nothing"))?;
            self.want_rest(partial, &page.cuts)?;
        }
        for want in rest {
            self.want(want);
        }
        Ok(())
    }

    /// Counts what an answer cost that told where the sets differ.
    fn searched(&mut self, bytes: usize) -> Result<(), Abort> {
        self.fruitless = owes(self.fruitless, bytes, Gain::default());
        let borne = self.search.checked_sub(bytes + ANSWER_COST);
        self.search = borne.unwrap_or(0);
        match borne {
            _ if is_too_much(self.fruitless) => Err(Abort::Fruitless),
            None if !Bug::LiarNeverLeft.is_planted() => Err(Abort::Nowhere),
            _ => Ok(()),
        }
    }

    /// Whether nothing new has come or gone for so long that the peer is not worth waiting for.
    pub(super) fn is_stuck(&self, now: Duration) -> bool {
        now > self.progress + PATIENCE
    }

    /// It was not the peer that nothing moved until now.
    pub(super) fn waited(&mut self, now: Duration) {
        self.progress = now;
    }

    /// A page of so many bytes came, of which so much was new.
    pub(super) fn brought(&mut self, now: Duration, bytes: usize, gain: Gain) -> Result<(), Abort> {
        self.fruitless = owes(self.fruitless, bytes, gain);
        self.unvouched += gain.unvouched;
        self.earned(gain);
        self.gained(now, Gain { bytes: 0, ..gain });
        if is_too_much(self.fruitless) { Err(Abort::Fruitless) } else { Ok(()) }
    }

    /// This came, and was new.
    pub(super) fn gained(&mut self, now: Duration, gain: Gain) {
        self.received += gain.messages as u64;
        self.moved(now, gain);
    }

    /// Of so much that was offered the peer took so many messages that were new to it, if that can be believed.
    pub(super) fn gave(&mut self, now: Duration, offered: Gain, taken: u32, credible: bool) -> Result<(), Abort> {
        let gain = self.offers.answered(offered, taken, credible)?;
        self.moved(now, gain);
        Ok(())
    }

    /// What is new pays for further searching.
    fn earned(&mut self, gain: Gain) {
        self.search = self.search.saturating_add(gain.bytes * CREDIT).min(MAX_SEARCH_EARNED);
    }

    /// What is new pays for what it took to find it.
    fn moved(&mut self, now: Duration, gain: Gain) {
        if gain.messages > 0 {
            self.progress = now;
        }
        self.fruitless = self.fruitless.saturating_sub(gain.bytes * CREDIT);
        self.earned(gain);
    }

    /// Whether anything went either way since the last hello.
    pub(super) fn exchanged(&self) -> bool {
        self.overtaken || self.received + self.offers.taken > self.before
    }

    /// What both held at the last hello, if the greeting said so, and whether this side still does.
    pub(super) fn agreed(&self, room: &Room) -> (Fingerprint, bool) {
        (self.told.1, room.index().root_to(&last_key(self.upper)) == self.told)
    }
}

fn all() -> Filter {
    Filter::Except(Blob::default())
}

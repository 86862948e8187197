//! Messages that are referred to but not held.

use std::collections::{BTreeMap, BTreeSet};

use crate::{AuthorId, Claim, Key, Message, plant::Bug};

/// How many claims by `seen` are remembered in a room. Claims by `prev` are at most one a message, and all needed.
pub const MAX_SEEN_CLAIMS: usize = 65_536;
/// How many of them of one author.
pub const MAX_SEEN_CLAIMS_PER_AUTHOR: usize = 4_096;

/// The holes of a room.
///
/// Claims by `prev` are never forgotten: whether a message is accepted may depend on them. Claims by `seen` only serve
/// to show what is missing and to leave named messages out of the heads, and an author can make up eight in each
/// message, so their number is bounded.
#[derive(Debug, Default)]
pub(super) struct Holes {
    /// Sorted by what is claimed: a stranger can claim one message as often as it likes, and each claim must stay cheap.
    claims: BTreeSet<Entry>,
    /// How many messages are claimed.
    keys: usize,
    seen_claims: usize,
    forgotten: u64,
    claimants: Vec<Claimant>,
    numbers: BTreeMap<AuthorId, u32>,
}

/// A claim in 56 bytes: there can be one for each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    key: Key,
    /// Whose it is: the place among the claimants.
    claimant: u32,
    /// The sequence number that is vouched for, or [`BY_SEEN`].
    seq: u64,
}

/// No sequence number.
const BY_SEEN: u64 = u64::MAX;

/// One who claims, or once did, and what.
#[derive(Debug)]
struct Claimant {
    author: AuthorId,
    /// How many messages.
    keys: usize,
    /// How many claims by `seen` these are.
    seen: usize,
}

impl Holes {
    pub(super) fn len(&self) -> usize {
        self.keys
    }

    /// How many messages that author claims.
    pub(super) fn of(&self, author: &AuthorId) -> usize {
        self.numbers.get(author).and_then(|number| self.claimant(*number)).map_or(0, |claimant| claimant.keys)
    }

    fn claimant(&self, number: u32) -> Option<&Claimant> {
        self.claimants.get(number as usize)
    }

    /// The number of a claimant, who may be a new one.
    fn number(&mut self, author: AuthorId) -> u32 {
        // There are not as many messages as these could count.
        let next = u32::try_from(self.claimants.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(author).or_insert(next);
        if number == next {
            self.claimants.push(Claimant { author, keys: 0, seen: 0 });
        }
        number
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.claims_of(key).next().is_some()
    }

    fn claims_of(&self, key: &Key) -> impl Iterator<Item = &Entry> {
        let first = Entry { key: *key, claimant: 0, seq: 0 };
        self.claims.range(first..).take_while(move |claim| claim.key == first.key)
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Sorted, so that the same claims look the same whatever the order in which they came.
    pub(super) fn claims(&self) -> impl Iterator<Item = Claim> + '_ {
        let mut entries = self.claims.iter().peekable();
        let of_next_key = move || {
            let key = entries.peek()?.key;
            let of_key = std::iter::from_fn(|| entries.next_if(|entry| entry.key == key));
            // Claimants have their numbers by the order in which they came.
            let mut claims: Vec<Claim> = of_key.filter_map(|entry| self.claim(entry)).collect();
            claims.sort_unstable();
            Some(claims)
        };
        std::iter::from_fn(of_next_key).flatten()
    }

    fn claim(&self, entry: &Entry) -> Option<Claim> {
        let author = self.claimant(entry.claimant)?.author;
        Some(Claim { key: entry.key, author, vouched_seq: (entry.seq != BY_SEEN).then_some(entry.seq) })
    }

    /// Remembers a claim; whether it is new and was remembered.
    pub(super) fn add(&mut self, claim: Claim) -> bool {
        let by_seen = claim.vouched_seq.is_none();
        let number = self.number(claim.author);
        let entry = Entry { key: claim.key, claimant: number, seq: claim.vouched_seq.unwrap_or(BY_SEEN) };
        if self.claims.contains(&entry) {
            return false;
        }
        let seen = self.claimant(number).map_or(0, |claimant| claimant.seen);
        if by_seen && (self.seen_claims >= MAX_SEEN_CLAIMS || seen >= MAX_SEEN_CLAIMS_PER_AUTHOR) {
            self.forgotten += 1;
            return false;
        }
        self.seen_claims += usize::from(by_seen);
        self.keys += usize::from(!self.contains(&claim.key));
        // An author can name one message by several of its own.
        let first = Entry { seq: 0, ..entry };
        let again = self.claims.range(first..=Entry { seq: BY_SEEN, ..entry }).next().is_some();
        if let Some(claimant) = self.claimants.get_mut(number as usize) {
            claimant.seen += usize::from(by_seen);
            claimant.keys += usize::from(!again);
        }
        self.claims.insert(entry)
    }

    /// Forgets a hole that is filled now; whether there was one.
    pub(super) fn fill(&mut self, key: &Key) -> bool {
        let filled: Vec<Entry> = self.claims_of(key).copied().collect();
        if filled.is_empty() {
            return false;
        }
        self.keys -= 1;
        // They are sorted, so a claimant's stand together.
        for claims in filled.chunk_by(|a, b| a.claimant == b.claimant) {
            let seen = claims.iter().filter(|claim| claim.seq == BY_SEEN).count();
            self.seen_claims -= seen;
            if let Some(claimant) = claims.first().and_then(|claim| self.claimants.get_mut(claim.claimant as usize)) {
                claimant.seen -= seen;
                claimant.keys -= 1;
            }
        }
        for claim in filled {
            self.claims.remove(&claim);
        }
        true
    }

    /// Whether an accepted message vouches for this one.
    pub(super) fn vouch_for(&self, message: &Message) -> bool {
        let (key, seq) = (message.key(), message.seq());
        if Bug::AnybodyVouches.is_planted() {
            return self.claims_of(&key).any(|claim| claim.seq == seq);
        }
        let claimant = self.numbers.get(&message.author());
        claimant.is_some_and(|claimant| self.claims.contains(&Entry { key, claimant: *claimant, seq }))
    }
}

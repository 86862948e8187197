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
    claims: BTreeSet<Claim>,
    /// How many messages are claimed.
    keys: usize,
    seen_by: BTreeMap<AuthorId, usize>,
    seen_claims: usize,
    forgotten: u64,
}

impl Holes {
    pub(super) fn len(&self) -> usize {
        self.keys
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.claims_of(key).next().is_some()
    }

    fn claims_of(&self, key: &Key) -> impl Iterator<Item = &Claim> {
        let first = Claim { key: *key, author: AuthorId([0; 32]), vouched_seq: None };
        self.claims.range(first..).take_while(move |claim| claim.key == first.key)
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Sorted, so that the same claims look the same whatever the order in which they came.
    pub(super) fn claims(&self) -> impl Iterator<Item = Claim> + '_ {
        self.claims.iter().copied()
    }

    /// Remembers a claim; whether it is new and was remembered.
    pub(super) fn add(&mut self, claim: Claim) -> bool {
        if self.claims.contains(&claim) {
            return false;
        }
        if claim.vouched_seq.is_none() {
            let of_author = self.seen_by.get(&claim.author).copied().unwrap_or(0);
            if self.seen_claims >= MAX_SEEN_CLAIMS || of_author >= MAX_SEEN_CLAIMS_PER_AUTHOR {
                self.forgotten += 1;
                return false;
            }
            self.seen_claims += 1;
            self.seen_by.insert(claim.author, of_author + 1);
        }
        self.keys += usize::from(!self.contains(&claim.key));
        self.claims.insert(claim)
    }

    /// Forgets a hole that is filled now; whether there was one.
    pub(super) fn fill(&mut self, key: &Key) -> bool {
        let filled: Vec<Claim> = self.claims_of(key).copied().collect();
        if filled.is_empty() {
            return false;
        }
        self.keys -= 1;
        for claim in filled {
            self.claims.remove(&claim);
            if claim.vouched_seq.is_some() {
                continue;
            }
            self.seen_claims -= 1;
            if let Some(of_author) = self.seen_by.get_mut(&claim.author) {
                *of_author -= 1;
                if *of_author == 0 {
                    self.seen_by.remove(&claim.author);
                }
            }
        }
        true
    }

    /// Whether an accepted message vouches for this one.
    pub(super) fn vouch_for(&self, message: &Message) -> bool {
        let vouched_seq = Some(message.seq());
        if Bug::AnybodyVouches.is_planted() {
            return self.claims_of(&message.key()).any(|claim| claim.vouched_seq == vouched_seq);
        }
        self.claims.contains(&Claim { key: message.key(), author: message.author(), vouched_seq })
    }
}

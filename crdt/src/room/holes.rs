//! Messages that are referred to but not held.

use std::collections::BTreeMap;

use crate::{AuthorId, Claim, Key, Message};

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
    claims: BTreeMap<Key, Vec<(AuthorId, Option<u64>)>>,
    seen_by: BTreeMap<AuthorId, usize>,
    seen_claims: usize,
    forgotten: u64,
}

impl Holes {
    pub(super) fn len(&self) -> usize {
        self.claims.len()
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.claims.contains_key(key)
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(super) fn claims(&self) -> impl Iterator<Item = Claim> + '_ {
        self.claims.iter().flat_map(|(key, by)| {
            by.iter().map(|(author, vouched_seq)| Claim { key: *key, author: *author, vouched_seq: *vouched_seq })
        })
    }

    /// Remembers a claim; whether it is new and was remembered.
    pub(super) fn add(&mut self, claim: Claim) -> bool {
        let by = (claim.author, claim.vouched_seq);
        if self.claims.get(&claim.key).is_some_and(|known| known.contains(&by)) {
            return false;
        }
        if claim.vouched_seq.is_none() {
            let of_author = self.seen_by.entry(claim.author).or_default();
            if self.seen_claims >= MAX_SEEN_CLAIMS || *of_author >= MAX_SEEN_CLAIMS_PER_AUTHOR {
                self.forgotten += 1;
                return false;
            }
            self.seen_claims += 1;
            *of_author += 1;
        }
        // Sorted, so that the same claims look the same whatever their order.
        let known = self.claims.entry(claim.key).or_default();
        let at = known.partition_point(|held| *held < by);
        known.insert(at, by);
        true
    }

    /// Forgets a hole that is filled now; whether there was one.
    pub(super) fn fill(&mut self, key: &Key) -> bool {
        let Some(claims) = self.claims.remove(key) else { return false };
        for (author, _) in claims.iter().filter(|(_, vouched)| vouched.is_none()) {
            self.seen_claims -= 1;
            if let Some(of_author) = self.seen_by.get_mut(author) {
                *of_author -= 1;
                if *of_author == 0 {
                    self.seen_by.remove(author);
                }
            }
        }
        true
    }

    /// Whether an accepted message vouches for this one.
    pub(super) fn vouch_for(&self, message: &Message) -> bool {
        let voucher = (message.author(), Some(message.seq()));
        self.claims.get(&message.key()).is_some_and(|claims| claims.contains(&voucher))
    }
}

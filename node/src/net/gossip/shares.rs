//! How much of what is said comes by gossip, of each author and of all.
//!
//! Gossip is for what people say to each other. Somebody who says more than anybody can read is not refused: what exceeds his
//! share is left to anti-entropy, which takes it behind everybody else's messages, from whoever has it. It is not passed on
//! either, so it costs the mesh no more than one node. What an author has said counts wherever it comes from, and only what
//! was found to be his, so nobody can use up another's share.
//!
//! How much an author's share is depends on what the others say (see [`super::loudness`]).
//!
//! A node keeps to that itself, as far as it knows whom others hear: what its own author says beyond that waits.
//! Whoever sends more than any node publishes knows better ([`OwnWords`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    time::{Duration, Instant},
};

use distchat_crdt::AuthorId;

use super::{
    loudness::{AUTHOR, Loudness, Speaker},
    pace::{Rate, Share},
};

/// What a frame costs besides its bytes.
const COST: u64 = 512;
/// What comes of all authors together.
const ALL: Rate = Rate { bytes: 12 * 1024 * 1024, burst: 4 * 1024 * 1024 };
/// What is published of the own author's, in eighths: less than others take, for their clocks are not this one's.
const OWN: u64 = 7;
/// When many talk each has an equal part of what all have, this many times: not all talk at once.
const EQUAL_PARTS: u64 = 2;
/// How many authors are remembered.
pub(super) const MAX_AUTHORS: usize = 1024;
/// Where the author stands in a message, and so in a frame (PROTOCOL.md, section 3).
const AUTHOR_AT: Range<usize> = 38..70;

/// What has come lately.
#[derive(Debug)]
pub(super) struct Shares {
    authors: BTreeMap<AuthorId, Share>,
    all: Share,
    own: Share,
    /// The authors of connected peers.
    here: BTreeSet<AuthorId>,
    loudness: Loudness,
}

impl Shares {
    pub(super) fn new(now: Instant) -> Self {
        let (authors, here) = (BTreeMap::new(), BTreeSet::new());
        Self { authors, all: Share::full(ALL, now), own: Share::full(AUTHOR, now), here, loudness: Loudness::new(now) }
    }

    /// These are the authors of the peers that are connected.
    pub(super) fn are_here(&mut self, authors: BTreeSet<AuthorId>) {
        self.here = authors;
    }

    /// Whether a frame may be looked at. When all have used up what they have together, only those may be heard who are here
    /// themselves and have said little: authors come by the thousand, connections do not.
    pub(super) fn may(&mut self, now: Instant, author: &AuthorId) -> bool {
        let all_spent = self.all.wait(now).is_some();
        let rate = self.rate(now, Some(*author));
        match self.authors.get_mut(author) {
            None => !all_spent || self.here.contains(author),
            Some(share) => {
                share.rate = rate;
                share.wait(now).is_none() && (!all_spent || (self.here.contains(author) && share.is_hardly_used()))
            }
        }
    }

    /// A frame of that author's brought something new.
    pub(super) fn spend(&mut self, now: Instant, author: AuthorId, bytes: usize) {
        let cost = bytes as u64 + COST;
        self.all.spend(now, cost);
        if self.authors.len() >= MAX_AUTHORS && !self.authors.contains_key(&author) {
            // Whoever has the most left loses the least by being forgotten.
            let left = self.authors.iter_mut().map(|(author, share)| (share.left(now), *author));
            let fullest = left.max();
            fullest.map(|(_, fullest)| self.authors.remove(&fullest));
        }
        self.loudness.count(now, Some(author), cost);
        let rate = self.rate(now, Some(author));
        self.authors.entry(author).or_insert_with(|| Share::full(rate, now)).spend(now, cost);
    }

    /// How long it is until a frame of the own author's may be published, if none may be now.
    pub(super) fn publishes_in(&mut self, now: Instant) -> Option<Duration> {
        let Rate { bytes, burst } = self.rate(now, None);
        self.own.rate = Rate { bytes: bytes * OWN / 8, burst: burst * OWN / 8 };
        self.own.wait(now)
    }

    /// A frame of the own author's was published.
    pub(super) fn spend_own(&mut self, now: Instant, bytes: usize) {
        let cost = bytes as u64 + COST;
        self.loudness.count(now, None, cost);
        self.own.spend(now, cost);
    }

    fn rate(&mut self, now: Instant, speaker: Speaker) -> Rate {
        let part = EQUAL_PARTS * ALL.bytes / (self.here.len() as u64).max(1);
        let Rate { bytes, burst } = self.loudness.rate(now, speaker);
        Rate { bytes: part.min(bytes), burst }
    }
}

/// What a peer says of its own, against what a node ever publishes of its author's: less than who talks alone may say.
#[derive(Debug)]
pub(super) struct OwnWords(Share);

impl OwnWords {
    pub(super) fn new(now: Instant) -> Self {
        Self(Share::full(AUTHOR, now))
    }

    /// It says something of so many bytes. Whether it had said more than any node publishes.
    pub(super) fn are_too_many(&mut self, now: Instant, bytes: usize) -> bool {
        let too_many = self.0.wait(now).is_some();
        self.0.spend(now, bytes as u64 + COST);
        too_many
    }
}

/// Who says to have written a frame.
pub(super) fn author_of(frame: &[u8]) -> Option<AuthorId> {
    frame.get(AUTHOR_AT)?.try_into().ok().map(AuthorId)
}

#[cfg(test)]
mod tests {
    use distchat_crdt::{Draft, Keypair, RoomId, Signer, Timestamp};

    use super::*;
    use crate::net::gossip::loudness::{AMONG_OTHERS, LOUDER};

    const SECOND: Duration = Duration::from_secs(1);
    const FRAME: usize = 64 * 1024;

    fn author(n: u16) -> AuthorId {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        AuthorId(id)
    }

    /// How many frames of an author's are heard in a second, of as many as it likes.
    fn heard(shares: &mut Shares, now: Instant, author: AuthorId) -> usize {
        (0..100_000)
            .take_while(|_| shares.may(now, &author).then(|| shares.spend(now, author, FRAME)).is_some())
            .count()
    }

    #[test]
    fn the_author_of_a_frame_is_where_it_is_looked_for() {
        let keys = Keypair::from_seed([1; 32]);
        let (room, time) = (RoomId([7; 32]), Timestamp(5));
        let draft = Draft { room, seq: 0, time, prev: None, seen: Vec::new(), kind: 0, body: b"hello".to_vec() };
        assert_eq!(author_of(draft.sign(&keys).unwrap().bytes()), Some(keys.author()));
        assert_eq!(author_of(b"short"), None);
    }

    #[test]
    fn who_says_too_much_waits_and_others_do_not() {
        let now = Instant::now();
        let mut shares = Shares::new(now);
        let burst = heard(&mut shares, now, author(1));
        assert_eq!(burst, 16);
        assert!(!shares.may(now, &author(1)));
        assert!(shares.may(now, &author(2)));
        let later = heard(&mut shares, now + SECOND, author(1));
        assert!((16..=17).contains(&later), "it goes on, and never more at once: {later}");
    }

    /// How much an author gets through in ten seconds while another says so much in each hundredth of a second.
    fn said_in_ten_seconds(other: usize) -> u64 {
        let start = Instant::now();
        let mut shares = Shares::new(start);
        let mut said = 0;
        for now in (0..1000).map(|n| start + SECOND * n / 100) {
            if other > 0 {
                shares.spend(now, author(2), other);
            }
            said += heard(&mut shares, now, author(1));
        }
        (said * FRAME) as u64
    }

    #[test]
    fn nobody_is_much_louder_than_the_next_one() {
        for (other, rate) in [(0, AUTHOR.bytes), (100, AMONG_OTHERS), (10_000, LOUDER * 100 * (10_000 + COST))] {
            let said = said_in_ten_seconds(other);
            assert!(said.abs_diff(10 * rate) < 3 * AUTHOR.burst, "{other}: {said} and not {}", 10 * rate);
        }
    }

    #[test]
    fn a_thousand_authors_do_not_keep_out_one_who_is_here() {
        let now = Instant::now();
        let mut shares = Shares::new(now);
        shares.are_here(BTreeSet::from([author(5000)]));
        let heard: usize = (0..1000).map(|n| heard(&mut shares, now, author(n))).sum();
        assert!(heard as u64 * FRAME as u64 <= ALL.burst + FRAME as u64, "{heard}");
        assert!(!shares.may(now, &author(4000)), "nobody else is heard");
        assert!(shares.may(now, &author(5000)));
        for n in 0..200 {
            let at = now + SECOND * n / 200;
            assert!(shares.may(at, &author(5000)));
            shares.spend(at, author(5000), 300);
        }
        for n in 0..3000 {
            shares.spend(now + SECOND, author(n), 100);
        }
        assert!(shares.authors.len() <= MAX_AUTHORS);
    }

    /// One in a room where nobody else talks, whom this node hears less of, since it hears others elsewhere.
    #[test]
    fn who_cannot_know_that_it_says_too_much_does_not_flood() {
        let start = Instant::now();
        let (mut theirs, mut ours, mut words) = (Shares::new(start), Shares::new(start), OwnWords::new(start));
        let (mut said, mut heard) = (0, 0);
        for now in (0..6000).map(|n| start + SECOND * n / 100) {
            ours.spend(now, author(2), 200);
            while theirs.publishes_in(now).is_none() {
                theirs.spend_own(now, FRAME);
                said += 1;
                assert!(!words.are_too_many(now, FRAME), "after {said} frames");
                if ours.may(now, &author(1)) {
                    ours.spend(now, author(1), FRAME);
                    heard += 1;
                }
            }
        }
        assert!(heard < said / 2, "{heard} of {said}");
        let end = start + 60 * SECOND;
        assert!((0..100).any(|_| words.are_too_many(end, FRAME)), "and who does flood is found out");
    }

    #[test]
    fn a_node_publishes_less_than_others_take() {
        let now = Instant::now();
        let (mut shares, mut others) = (Shares::new(now), Shares::new(now));
        for n in 0..60 {
            let at = now + SECOND * n;
            for _ in 0..1000 {
                if shares.publishes_in(at).is_some() {
                    break;
                }
                shares.spend_own(at, FRAME);
                assert!(others.may(at, &author(1)));
                others.spend(at, author(1), FRAME);
            }
        }
    }
}

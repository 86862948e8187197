//! What a room ought to be, by definition and without any cleverness, and a store as simple as can be.

use std::collections::{BTreeMap, BTreeSet};

use distchat_crdt::{
    AuthorId, AuthorLog, Claim, Commit, Fingerprint, Key, MAX_OWN_TIPS, Merge, Message, Room, Snapshot, Verifier,
    index::Index,
};

use super::history::CheapVerifier;

/// Everything of a room that can be seen, but for what its author would sign next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// In order.
    pub keys: Vec<Key>,
    pub fingerprint: Fingerprint,
    pub heads: BTreeSet<Key>,
    pub holes: Vec<Claim>,
    pub missing: u64,
    pub authors: BTreeMap<AuthorId, AuthorLog>,
}

pub fn keys(room: &Room) -> Vec<Key> {
    let mut keys = room.index().newest(&Key::MIN, &Key::last_of(distchat_crdt::Timestamp(u64::MAX)), usize::MAX);
    keys.reverse();
    keys
}

pub fn seen(room: &Room) -> Seen {
    let keys = keys(room);
    assert_eq!(room.index().len(), keys.len() as u64);
    assert!(room.holes().all(|claim| room.is_missing(&claim.key)));
    let mut claimed: BTreeMap<AuthorId, BTreeSet<Key>> = BTreeMap::new();
    for claim in room.holes() {
        claimed.entry(claim.author).or_default().insert(claim.key);
    }
    for author in room.authors().keys() {
        assert_eq!(room.missing_by(author), claimed.get(author).map_or(0, BTreeSet::len) as u64);
    }
    Seen {
        keys,
        fingerprint: room.fingerprint(),
        heads: room.heads().clone(),
        holes: room.holes().collect(),
        missing: room.missing(),
        authors: room.authors().clone(),
    }
}

/// What a room that accepted exactly these shows.
pub fn by_definition(accepted: &[Message]) -> Seen {
    let keys: BTreeSet<Key> = accepted.iter().map(Message::key).collect();
    let messages: BTreeMap<Key, &Message> = accepted.iter().map(|message| (message.key(), message)).collect();
    let referred: BTreeSet<Key> = accepted.iter().flat_map(|message| message.refs().collect::<Vec<_>>()).collect();
    let holes: BTreeSet<Claim> = accepted.iter().flat_map(claims).filter(|claim| !keys.contains(&claim.key)).collect();
    let mut numbers: BTreeMap<AuthorId, Vec<u64>> = BTreeMap::new();
    for message in messages.values() {
        numbers.entry(message.author()).or_default().push(message.seq());
    }
    Seen {
        fingerprint: keys.iter().copied().collect::<Index>().root(),
        heads: keys.difference(&referred).copied().collect(),
        missing: referred.difference(&keys).count() as u64,
        holes: holes.into_iter().collect(),
        authors: numbers.into_iter().map(|(author, numbers)| (author, log(&numbers))).collect(),
        keys: keys.into_iter().collect(),
    }
}

fn claims(message: &Message) -> Vec<Claim> {
    let author = message.author();
    let vouched = message.prev().map(|key| Claim { key, author, vouched_seq: Some(message.seq() - 1) });
    let seen = message.seen().iter().map(|key| Claim { key: *key, author, vouched_seq: None });
    vouched.into_iter().chain(seen).collect()
}

fn log(numbers: &[u64]) -> AuthorLog {
    let held: BTreeSet<u64> = numbers.iter().copied().collect();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in &held {
        match ranges.last_mut() {
            Some((_, high)) if *high + 1 == *number => *high = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    AuthorLog::from_parts(ranges, held.len() < numbers.len(), numbers.len() as u64).unwrap()
}

/// Whether the one vouches for the other.
pub fn vouches(voucher: &Message, named: &Message) -> bool {
    voucher.room() == named.room()
        && voucher.author() == named.author()
        && voucher.prev() == Some(named.key())
        && voucher.seq() == named.seq() + 1
}

/// The least set that holds `accepted`, and of `arriving` all that is well signed or vouched for by one of the set.
pub fn fixpoint(accepted: &[Message], arriving: &[Message]) -> Vec<Message> {
    let mut set = accepted.to_vec();
    loop {
        let found = arriving.iter().find(|message| {
            !set.contains(message)
                && (CheapVerifier.verify_one(message) || set.iter().any(|voucher| vouches(voucher, message)))
        });
        match found {
            Some(message) => set.push(message.clone()),
            None => return set,
        }
    }
}

/// A store that holds every commit to what it says: that something changed means that it was otherwise before.
#[derive(Clone, Debug, Default)]
pub struct Store {
    messages: BTreeMap<Key, Message>,
    heads: BTreeSet<Key>,
    claims: BTreeSet<Claim>,
    authors: BTreeMap<AuthorId, AuthorLog>,
}

impl Store {
    #[track_caller]
    pub fn write(&mut self, commit: &Commit) {
        for message in &commit.messages {
            let vouched = || self.messages.values().any(|voucher| vouches(voucher, message));
            assert!(CheapVerifier.verify_one(message) || vouched(), "written before what vouches for it: {message:?}");
            assert!(self.messages.insert(message.key(), message.clone()).is_none(), "written twice: {message:?}");
        }
        for key in &commit.heads_removed {
            assert!(self.heads.remove(key), "was no head: {key:?}");
        }
        for key in &commit.heads_added {
            assert!(self.heads.insert(*key), "was a head before: {key:?}");
        }
        for key in &commit.holes_filled {
            let before = self.claims.len();
            self.claims.retain(|claim| claim.key != *key);
            assert!(self.claims.len() < before, "was no hole: {key:?}");
        }
        for claim in &commit.claims_added {
            assert!(self.claims.insert(*claim), "was claimed before: {claim:?}");
        }
        let touched: BTreeSet<AuthorId> = commit.messages.iter().map(Message::author).collect();
        assert!(commit.authors.iter().map(|(author, _)| author).eq(&touched), "other authors' logs");
        self.authors.extend(commit.authors.iter().cloned());
    }

    /// What a room is restored from.
    pub fn snapshot(&self, own: AuthorId) -> Snapshot {
        let mine = self.messages.values().rev().filter(|message| message.author() == own);
        Snapshot {
            keys: self.messages.keys().copied().collect(),
            heads: self.heads.iter().copied().collect(),
            claims: self.claims.iter().copied().collect(),
            authors: self.authors.clone().into_iter().collect(),
            own: mine.take(MAX_OWN_TIPS).map(|message| (message.key(), message.seq())).collect(),
        }
    }

    pub fn messages(&self) -> Vec<Message> {
        self.messages.values().cloned().collect()
    }
}

/// A merge's numbers add up, and one that accepted nothing changed nothing.
#[track_caller]
pub fn check_merge(merge: &Merge, given: usize) {
    let Merge { commit, duplicates, unauthentic, unauthentic_bytes, foreign } = merge;
    assert_eq!(*unauthentic == 0, *unauthentic_bytes == 0);
    assert_eq!(commit.messages.len() + duplicates + unauthentic + foreign, given);
    let Commit { messages, heads_added, heads_removed, claims_added, holes_filled, authors } = commit;
    if messages.is_empty() {
        let keys = heads_added.len() + heads_removed.len() + holes_filled.len();
        assert_eq!(keys + claims_added.len() + authors.len(), 0, "nothing came and something changed");
    }
}

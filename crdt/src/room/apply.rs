//! What becomes different when messages are accepted.

use super::{Batch, Room};
use crate::{AuthorId, Claim, Commit, Key, Message};

impl Room {
    /// Makes accepted messages part of all derived state; what changed, but for the messages themselves.
    pub(super) fn apply(&mut self, batch: &Batch, accepted: &[usize]) -> Commit {
        let mut ascending = accepted.to_vec();
        ascending.sort_unstable();
        let mut taken = vec![ascending.len() == batch.messages().len(); batch.messages().len()];
        if ascending.len() == taken.len() {
            self.index.insert_ascending(batch.keys());
        } else {
            ascending.iter().for_each(|at| taken[*at] = true);
            let keys: Vec<Key> = ascending.iter().map(|at| batch.keys()[*at]).collect();
            self.index.insert_ascending(&keys);
        }

        let mut commit = Commit::default();
        let mut authors: Vec<AuthorId> = Vec::new();
        // What nothing refers to that is held.
        let mut unnamed = taken.clone();
        for at in ascending {
            let message = &batch.messages()[at];
            let (key, author) = (message.key(), message.author());
            if self.holes.fill(&key) {
                commit.holes_filled.push(key);
                unnamed[at] = false;
            }
            for (position, named) in message.refs().enumerate() {
                let is_prev = position == 0 && message.prev().is_some();
                let within = if is_prev { batch.prev_of(at) } else { batch.find(at, &named) };
                match within.filter(|at| taken[*at]) {
                    Some(at) => unnamed[at] = false,
                    None => self.name(message, named, is_prev, &mut commit),
                }
            }
            self.authors.entry(author).or_default().insert(message.seq());
            if author == self.own.author() {
                self.own.insert(key, message.seq());
            }
            // Whoever continues itself here has been noted with the message that is continued.
            let noted = batch.vouched_by(at).is_some_and(|before| taken[before]);
            if !noted {
                authors.push(author);
            }
        }
        commit.heads_added = batch.keys().iter().zip(unnamed).filter(|(_, head)| *head).map(|(key, _)| *key).collect();
        self.heads.extend(&commit.heads_added);
        authors.sort_unstable();
        authors.dedup();
        let log = |author: AuthorId| Some((author, self.authors.get(&author)?.clone()));
        commit.authors = authors.into_iter().filter_map(log).collect();
        commit
    }

    /// Makes one accepted message part of all derived state; what changed, but for the message itself.
    pub(super) fn apply_one(&mut self, message: &Message) -> Commit {
        let mut commit = Commit::default();
        let (key, author) = (message.key(), message.author());
        self.index.insert(key);
        if self.holes.fill(&key) {
            commit.holes_filled.push(key);
        } else {
            self.heads.insert(key);
            commit.heads_added.push(key);
        }
        for (position, named) in message.refs().enumerate() {
            self.name(message, named, position == 0 && message.prev().is_some(), &mut commit);
        }
        let log = self.authors.entry(author).or_default();
        log.insert(message.seq());
        commit.authors.push((author, log.clone()));
        if author == self.own.author() {
            self.own.insert(key, message.seq());
        }
        commit
    }

    /// An accepted message names one that is not among those taken in with it.
    fn name(&mut self, message: &Message, named: Key, is_prev: bool, commit: &mut Commit) {
        if self.heads.remove(&named) {
            commit.heads_removed.push(named);
        } else if !self.index.contains(&named) {
            let vouched_seq = is_prev.then(|| message.seq() - 1);
            let claim = Claim { key: named, author: message.author(), vouched_seq };
            if self.holes.add(claim) {
                commit.claims_added.push(claim);
            }
        }
    }
}

impl Commit {
    /// Adds what changed right after this, but for the messages.
    pub(super) fn follow(&mut self, next: Commit) {
        for removed in next.heads_removed {
            // What came and went in between never was a head for the store.
            match self.heads_added.iter().position(|added| *added == removed) {
                Some(at) => drop(self.heads_added.swap_remove(at)),
                None => self.heads_removed.push(removed),
            }
        }
        self.heads_added.extend(next.heads_added);
        self.claims_added.extend(next.claims_added);
        self.holes_filled.extend(next.holes_filled);
        for (author, log) in next.authors {
            self.authors.retain(|(known, _)| *known != author);
            self.authors.push((author, log));
        }
    }
}

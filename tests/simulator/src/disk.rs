//! A host's disk: what a store keeps of a room, what is on its way there, and copies of it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use distchat_crdt::{AuthorId, AuthorLog, Claim, Commit, Key, MAX_OWN_TIPS, Snapshot};

/// What survives everything but the loss of the disk itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durable {
    /// Messages' bytes.
    pub(crate) bodies: BTreeMap<Key, Vec<u8>>,
    heads: BTreeSet<Key>,
    claims: BTreeSet<Claim>,
    authors: BTreeMap<AuthorId, AuthorLog>,
    own: BTreeMap<Key, u64>,
}

impl Durable {
    /// Writes a commit, all of it.
    fn write(&mut self, own: AuthorId, commit: &Commit) {
        for message in &commit.messages {
            self.bodies.insert(message.key(), message.bytes().to_vec());
            if message.author() == own {
                self.own.insert(message.key(), message.seq());
            }
        }
        for key in &commit.heads_removed {
            self.heads.remove(key);
        }
        self.heads.extend(&commit.heads_added);
        self.claims.retain(|claim| !commit.holes_filled.contains(&claim.key));
        self.claims.extend(&commit.claims_added);
        self.authors.extend(commit.authors.iter().cloned());
    }

    /// What a room is restored from.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            keys: self.bodies.keys().copied().collect(),
            heads: self.heads.iter().copied().collect(),
            claims: self.claims.iter().copied().collect(),
            authors: self.authors.iter().map(|(author, log)| (*author, log.clone())).collect(),
            own: self.own.iter().rev().take(MAX_OWN_TIPS).map(|(key, seq)| (*key, *seq)).collect(),
        }
    }
}

/// A commit that the disk has not finished.
#[derive(Debug)]
pub(crate) struct Writing {
    /// The replica's number for it.
    pub(crate) number: u64,
    /// Which task of the room wants to hear of it.
    pub(crate) task: u32,
    /// Whether it is what the own author said, who waits to be told.
    pub(crate) said: bool,
    /// What it is.
    pub(crate) commit: Commit,
}

/// A disk that writes commits in their order, each in one piece, some time after it was told to.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// What is safe.
    pub(crate) durable: Durable,
    writing: VecDeque<Writing>,
    /// When the last commit on its way will be safe.
    busy_until: Duration,
}

impl Disk {
    /// Takes a commit; when it will be safe.
    pub(crate) fn submit(&mut self, now: Duration, takes: Duration, writing: Writing) -> Duration {
        self.busy_until = self.busy_until.max(now) + takes;
        self.writing.push_back(writing);
        self.busy_until
    }

    /// When all that was submitted will be safe.
    pub(crate) fn idle_at(&self) -> Duration {
        self.busy_until
    }

    /// The oldest commit on its way is safe now.
    pub(crate) fn finish(&mut self, own: AuthorId) -> Option<Writing> {
        let writing = self.writing.pop_front()?;
        self.durable.write(own, &writing.commit);
        Some(writing)
    }

    /// The power is cut: the first `kept` commits on their way are safe, though nobody will be told. What is lost.
    pub(crate) fn cut(&mut self, now: Duration, own: AuthorId, kept: usize) -> Vec<Writing> {
        let lost = self.writing.split_off(kept.min(self.writing.len()));
        for writing in std::mem::take(&mut self.writing) {
            self.durable.write(own, &writing.commit);
        }
        self.busy_until = now;
        lost.into()
    }

    /// How many commits are on their way.
    pub(crate) fn backlog(&self) -> usize {
        self.writing.len()
    }
}

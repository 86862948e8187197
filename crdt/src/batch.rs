//! What goes to the store and comes back from it.

use crate::{AuthorId, Key, Message, author::AuthorLog};

/// What one merge changed. A store writes it in one transaction, all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// New messages, in the order of acceptance: a message stands behind what vouched for it.
    pub messages: Vec<Message>,
    /// Keys that are heads now.
    pub heads_added: Vec<Key>,
    /// Keys that are heads no longer.
    pub heads_removed: Vec<Key>,
    /// New claims that a message exists which is not held.
    pub claims_added: Vec<Claim>,
    /// Holes that were filled: all claims of these keys go.
    pub holes_filled: Vec<Key>,
    /// The logs of all authors of these messages, as they are now.
    pub authors: Vec<(AuthorId, AuthorLog)>,
}

/// One author's word that a message exists: a reference to a message that is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// The message referred to.
    pub key: Key,
    /// Who refers to it.
    pub author: AuthorId,
    /// If as `prev`: the sequence number that the message must have to be vouched for.
    pub vouched_seq: Option<u64>,
}

/// A room's state as a store keeps it.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// All keys, ascending.
    pub keys: Vec<Key>,
    /// All heads.
    pub heads: Vec<Key>,
    /// All claims.
    pub claims: Vec<Claim>,
    /// All authors' logs.
    pub authors: Vec<(AuthorId, AuthorLog)>,
    /// The node's own newest messages (at most [`crate::MAX_OWN_TIPS`]) with their sequence numbers, in any order.
    pub own: Vec<(Key, u64)>,
}

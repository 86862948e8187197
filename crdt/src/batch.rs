//! What goes to the store and comes back from it.

use crate::{AuthorId, Key, Message, author::AuthorLog};

/// What one merge changed. A store writes it in one transaction, all of it or nothing.
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
/// # let ana = Keypair::from_seed([1; 32]);
/// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
/// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
/// let (first, said) = room.say(&ana, &clock, vec![(kind::TEXT, b"one".to_vec())]);
/// said?;
/// let (second, said) = room.say(&ana, &clock, vec![(kind::TEXT, b"two".to_vec())]);
/// said?;
/// assert_eq!(second.messages.len(), 1);
/// assert_eq!(second.heads_added, [second.messages[0].key()]);
/// assert_eq!(second.heads_removed, [first.messages[0].key()], "the second message follows it");
/// # Ok::<(), distchat_crdt::DecodeError>(())
/// ```
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
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
/// # let ana = Keypair::from_seed([1; 32]);
/// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
/// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
/// use distchat_crdt::Claim;
///
/// let one = room.sign(&ana, &clock, kind::TEXT, b"one".to_vec())?;
/// room.merge(vec![one.clone()]);
/// let two = room.sign(&ana, &clock, kind::TEXT, b"two".to_vec())?;
/// # let mut other = Room::new(room.id(), ana.author(), Arc::new(Zip215::new([9; 32])));
/// // Elsewhere the second message comes without the first.
/// let merge = other.merge(vec![two]);
/// let claim = Claim { key: one.key(), author: ana.author(), vouched_seq: Some(0) };
/// assert_eq!(merge.commit.claims_added, [claim]);
/// # Ok::<(), distchat_crdt::DecodeError>(())
/// ```
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
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
/// # let ana = Keypair::from_seed([1; 32]);
/// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
/// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
/// use distchat_crdt::Snapshot;
///
/// let (commit, said) = room.say(&ana, &clock, vec![(kind::TEXT, b"hello".to_vec())]);
/// said?;
/// // A store has written the commit, and gives back what it has written.
/// let snapshot = Snapshot {
///     keys: commit.messages.iter().map(|message| message.key()).collect(),
///     heads: commit.heads_added,
///     claims: commit.claims_added,
///     authors: commit.authors,
///     own: commit.messages.iter().map(|message| (message.key(), message.seq())).collect(),
/// };
/// let restored = Room::restore(room.id(), ana.author(), Arc::new(Zip215::new([9; 32])), snapshot);
/// assert_eq!(restored.sign(&ana, &clock, kind::TEXT, b"more".to_vec())?.seq(), 1, "the chain goes on");
/// # Ok::<(), distchat_crdt::DecodeError>(())
/// ```
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

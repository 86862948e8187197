//! Who has entered which room.
//!
//! A room decides that; here it is known to the swarm's task, too, so that whoever has entered nothing takes no place in a
//! room's inbox and none among the requests that are being thought about. The room notes it before it answers, so that the
//! peer's next request finds it noted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use distchat_crdt::AuthorId;
use libp2p::PeerId;

/// The rooms that each peer has entered, by handle, and as whom it last did. As large as connections and rooms make it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entered(Arc<RwLock<Members>>);

type Members = BTreeMap<PeerId, (BTreeSet<u32>, AuthorId)>;

impl Entered {
    pub(super) fn note(&self, peer: PeerId, room: u32, author: AuthorId) {
        let mut members = self.write();
        let (rooms, as_whom) = members.entry(peer).or_insert_with(|| (BTreeSet::new(), author));
        rooms.insert(room);
        *as_whom = author;
    }

    /// Whether a peer has entered a room.
    pub(super) fn has(&self, peer: &PeerId, room: u32) -> bool {
        self.read().get(peer).is_some_and(|(rooms, _)| rooms.contains(&room))
    }

    /// Whether a peer has entered any room.
    pub(super) fn any(&self, peer: &PeerId) -> bool {
        self.read().contains_key(peer)
    }

    /// Forgets a peer. True if it had entered any room.
    pub(super) fn gone(&self, peer: &PeerId) -> bool {
        self.write().remove(peer).is_some()
    }

    /// Forgets that a peer has entered a room.
    pub(super) fn take_out(&self, peer: &PeerId, room: u32) {
        let mut members = self.write();
        if let Some((rooms, _)) = members.get_mut(peer) {
            rooms.remove(&room);
            if rooms.is_empty() {
                members.remove(peer);
            }
        }
    }

    /// Who has entered any.
    pub(super) fn members(&self) -> Vec<PeerId> {
        self.read().keys().copied().collect()
    }

    /// As whom a peer has entered.
    pub(super) fn author(&self, peer: &PeerId) -> Option<AuthorId> {
        self.read().get(peer).map(|(_, author)| *author)
    }

    /// As whom all have.
    pub(super) fn authors(&self) -> BTreeSet<AuthorId> {
        self.read().values().map(|(_, author)| *author).collect()
    }

    /// Forgets peers that are not connected any more. A room may note one that has gone meanwhile.
    pub(super) fn keep(&self, connected: impl Fn(&PeerId) -> bool) {
        self.write().retain(|peer, _| connected(peer));
    }

    /// Forgets a room that is not there any more.
    pub(super) fn left(&self, room: u32) {
        self.write().retain(|_, (rooms, _)| {
            rooms.remove(&room);
            !rooms.is_empty()
        });
    }

    // A map of sets is right at any time, so it does not matter if somebody panicked with the lock in his hands.
    fn read(&self) -> RwLockReadGuard<'_, Members> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Members> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

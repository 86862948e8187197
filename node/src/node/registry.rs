//! The rooms that are open, by name, in the order in which they were opened.

use std::{collections::BTreeMap, sync::Arc};

use distchat_crdt::RoomName;

use crate::room::Slot;

/// How many rooms one node may have open. All their topics go into the first frame of gossip to each peer.
pub(super) const MAX_ROOMS: usize = crate::net::MAX_TOPICS;

#[derive(Default)]
pub(super) struct Registry {
    slots: BTreeMap<u64, Arc<Slot>>,
    by_name: BTreeMap<RoomName, u64>,
    next: u64,
}

impl Registry {
    pub(super) fn get(&self, name: &RoomName) -> Option<&Arc<Slot>> {
        self.slots.get(self.by_name.get(name)?)
    }

    pub(super) fn add(&mut self, slot: Arc<Slot>) {
        self.add_as(slot.name.clone(), slot);
    }

    pub(super) fn add_as(&mut self, name: RoomName, slot: Arc<Slot>) {
        self.by_name.insert(name, self.next);
        self.slots.insert(self.next, slot);
        self.next += 1;
    }

    pub(super) fn remove(&mut self, name: &RoomName) -> Option<Arc<Slot>> {
        self.slots.remove(&self.by_name.remove(name)?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.slots.values()
    }

    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= MAX_ROOMS
    }
}

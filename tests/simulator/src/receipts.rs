//! Wanting to know where messages are, and what receipts have to be: true.

use distchat_crdt::{AuthorId, Key, Signer, sync::Input};

use crate::{faults::Fault, world::World};

impl World {
    /// Somebody wants to know where what was said is, at times of earlier messages too.
    pub(crate) fn watch_receipts(&mut self, host: usize) {
        let here: Vec<Key> = self.hosts[host].disk.durable.bodies.keys().copied().collect();
        let wanted = self.random.below(4);
        let of = (0..wanted).filter_map(|_| self.random.pick(&here).copied()).collect();
        self.input(host, Input::WatchReceipts { of });
    }

    /// A receipt is true: what is said to have arrived is on another disk.
    pub(crate) fn check_receipts(&mut self, host: usize) {
        let nobody_lies = self.plan.correct() == self.hosts.len();
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(replica) = &process.replica else { return };
        let before = std::mem::replace(&mut process.delivered, replica.delivered());
        if before || !process.delivered || !nobody_lies {
            return;
        }
        // A disk that is gone since may have confirmed it.
        let disks_last = self.hits.of(Fault::Restored) + self.hits.of(Fault::Left) == 0;
        let said = process.said.clone();
        let arrived = self
            .hosts
            .iter()
            .any(|other| other.number != host && said.iter().all(|key| other.disk.durable.bodies.contains_key(key)));
        self.demand(arrived || !disks_last, || format!("h{host} has a receipt for what is on no other disk"));
    }

    /// A receipt names its author: what was said up to there is on the disk of a node of theirs.
    pub(crate) fn check_receipt(&mut self, host: usize, author: AuthorId, through: Key) {
        if !self.receipts_last() {
            return;
        }
        let Some(process) = &self.hosts[host].process else { return };
        // In the order in which it was said, which a clock that was put right has made another one than that of the keys.
        let Some(last) = process.said.iter().position(|key| *key == through) else { return };
        let said: Vec<Key> = process.said.iter().take(last + 1).copied().collect();
        let held = self.holds(host, author, &said);
        self.demand(held, || format!("h{host} has a receipt of {} for what is not on their disk", author.short()));
        let known =
            self.hosts[host].process.as_ref().and_then(|process| process.replica.as_ref()).is_some_and(|replica| {
                said.iter()
                    .all(|key| replica.holders(*key).is_some_and(|mut holders| holders.any(|holder| holder == author)))
            });
        self.demand(known, || format!("h{host} does not know of the receipt that {} gave", author.short()));
    }

    /// The same of messages that were asked after by key.
    pub(crate) fn check_holds(&mut self, host: usize, author: AuthorId, keys: &[Key]) {
        if !self.receipts_last() {
            return;
        }
        let held = self.holds(host, author, keys);
        self.demand(held, || format!("h{host} was told that {} has what is not on their disk", author.short()));
        let replica = self.hosts[host].process.as_ref().and_then(|process| process.replica.as_ref());
        let known = replica.is_some_and(|replica| {
            keys.iter().all(|key| replica.holders(*key).is_some_and(|mut holders| holders.any(|one| one == author)))
        });
        self.demand(known, || format!("h{host} does not know what {} said to have", author.short()));
    }

    /// Whether nobody lies about what they have, and nobody's disk is lost.
    fn receipts_last(&self) -> bool {
        self.plan.correct() == self.hosts.len() && self.hits.of(Fault::Restored) + self.hits.of(Fault::Left) == 0
    }

    /// Whether another host of that author has all of them on disk.
    fn holds(&self, host: usize, author: AuthorId, keys: &[Key]) -> bool {
        self.hosts.iter().any(|other| {
            other.number != host
                && other.author.author() == author
                && keys.iter().all(|key| other.disk.durable.bodies.contains_key(key))
        })
    }
}

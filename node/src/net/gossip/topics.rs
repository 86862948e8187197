//! Which topics are anybody's business here.
//!
//! gossipsub remembers every message for two minutes, whatever its topic, and asks last whether that topic is one of its
//! own. A stranger could fill its memory with messages of eight bytes in topics that nobody has. So what is in a foreign
//! topic is dropped before anything else looks at it, and who subscribes to what is only noted of topics that may be rooms.
//!
//! Topics of this node's rooms are always noted, and those are as many as it has rooms. Others' must be, too, for the node may
//! join such a room, and nobody says again that he takes part; but they are bounded: some of each peer, and more of them from
//! a pool for all. Of whom not all are noted, gossip in a room that is joined later takes a way round, by those of whom they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use distchat_crdt::Topic;
use libp2p::{
    PeerId,
    gossipsub::{DataTransform, Message, RawMessage, TopicHash, TopicSubscriptionFilter},
};

use super::{MAX_TOPICS, room_topic};

/// The topics of this node's rooms, and what has come so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    topics: RwLock<BTreeSet<Topic>>,
    /// Messages in topics that are this node's, each as often as it came.
    received: AtomicU64,
    /// Messages in topics that are not this node's.
    foreign: AtomicU64,
}

impl Own {
    pub(super) fn add(&self, topic: Topic) {
        self.0.topics.write().unwrap_or_else(PoisonError::into_inner).insert(topic);
    }

    pub(super) fn remove(&self, topic: &Topic) {
        self.0.topics.write().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }

    /// How many messages were in own topics since this was asked last.
    pub(super) fn take_received(&self) -> u64 {
        self.0.received.swap(0, Ordering::Relaxed)
    }

    /// How many messages were in foreign topics since this was asked last.
    pub(super) fn take_foreign(&self) -> u64 {
        self.0.foreign.swap(0, Ordering::Relaxed)
    }

    fn has(&self, hash: &TopicHash) -> bool {
        room_topic(hash)
            .is_some_and(|topic| self.0.topics.read().unwrap_or_else(PoisonError::into_inner).contains(&topic))
    }
}

impl DataTransform for Own {
    fn inbound_transform(&self, raw: RawMessage) -> io::Result<Message> {
        if !self.has(&raw.topic) {
            self.0.foreign.fetch_add(1, Ordering::Relaxed);
            return Err(io::Error::other("a topic that is no room's here"));
        }
        // Before gossipsub looks whether it has come already.
        self.0.received.fetch_add(1, Ordering::Relaxed);
        let RawMessage { source, data, sequence_number, topic, .. } = raw;
        Ok(Message { source, data, sequence_number, topic })
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> io::Result<Vec<u8>> {
        Ok(data)
    }
}

/// How many foreign topics are noted of a peer in any case, and how many more of all peers together. Each takes some 120 bytes.
const FOREIGN_OF_ONE: usize = 1024;
const FOREIGN_POOL: usize = 128 * 1024;

/// Decides which subscriptions of peers are noted.
#[derive(Clone, Debug)]
pub(crate) struct Noted {
    own: Own,
    foreign: Arc<Mutex<Foreign>>,
}

/// How many subscriptions to foreign topics were noted of the peers that are connected. Never less than are kept of them: that
/// one was taken back is not counted.
#[derive(Debug, Default)]
struct Foreign {
    of: BTreeMap<PeerId, usize>,
    from_pool: usize,
    /// Whose subscriptions are being read.
    reading: Option<PeerId>,
}

impl Noted {
    pub(super) fn new(own: Own) -> Self {
        Self { own, foreign: Arc::default() }
    }

    /// The lock is held for moments and never while something can fail, so a poisoned one holds whole data.
    fn foreign(&self) -> MutexGuard<'_, Foreign> {
        self.foreign.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes next is this peer's.
    pub(super) fn read(&self, peer: PeerId) {
        self.foreign().reading = Some(peer);
    }

    /// A peer is gone, and with it what was noted of it.
    pub(super) fn gone(&self, peer: &PeerId) {
        let mut foreign = self.foreign();
        let of_it = foreign.of.remove(peer).unwrap_or(0);
        foreign.from_pool -= of_it.saturating_sub(FOREIGN_OF_ONE);
    }
}

impl TopicSubscriptionFilter for Noted {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        if self.own.has(topic) {
            return true;
        }
        if room_topic(topic).is_none() {
            return false;
        }
        let mut foreign = self.foreign();
        let Some(peer) = foreign.reading else { return false };
        let Foreign { of, from_pool, .. } = &mut *foreign;
        let of_it = of.entry(peer).or_default();
        if *of_it >= FOREIGN_OF_ONE {
            if *from_pool >= FOREIGN_POOL || *of_it >= 2 * MAX_TOPICS {
                return false;
            }
            *from_pool += 1;
        }
        *of_it += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::gossip::gossip_topic;

    fn topic(n: u64) -> Topic {
        let mut topic = [0; 32];
        topic[..8].copy_from_slice(&n.to_be_bytes());
        Topic(topic)
    }

    /// How many of these a peer's subscriptions are noted of.
    fn noted(noted: &mut Noted, peer: PeerId, topics: std::ops::Range<u64>) -> usize {
        noted.read(peer);
        topics.filter(|n| noted.can_subscribe(&gossip_topic(&topic(*n)).hash())).count()
    }

    #[test]
    fn own_topics_are_always_noted_and_foreign_ones_as_long_as_there_is_space() {
        let own = Own::default();
        (0..100).for_each(|n| own.add(topic(n)));
        let mut filter = Noted::new(own);
        assert!(!filter.can_subscribe(&TopicHash::from_raw("lobby")));
        let all = MAX_TOPICS as u64;
        let mut peers = Vec::new();
        loop {
            let peer = PeerId::random();
            peers.push(peer);
            let count = noted(&mut filter, peer, 100..all + 100);
            if count < MAX_TOPICS {
                assert!(count >= FOREIGN_OF_ONE);
                break;
            }
        }
        assert!(peers.len() > FOREIGN_POOL / MAX_TOPICS);
        let late = PeerId::random();
        assert_eq!(noted(&mut filter, late, 0..all), 100 + FOREIGN_OF_ONE, "the pool is empty");
        filter.gone(&peers[0]);
        assert!(
            noted(&mut filter, PeerId::random(), 100..all + 100) > MAX_TOPICS - FOREIGN_OF_ONE,
            "what was his is free"
        );
        peers.iter().chain([&late]).for_each(|peer| filter.gone(peer));
        assert!(filter.foreign().from_pool <= MAX_TOPICS);
    }

    #[test]
    fn whoever_subscribes_without_end_is_not_noted_without_end() {
        let mut filter = Noted::new(Own::default());
        let peer = PeerId::random();
        let asked = 3 * MAX_TOPICS;
        assert_eq!((0..asked).map(|_| noted(&mut filter, peer, 7..8)).sum::<usize>(), 2 * MAX_TOPICS);
    }
}

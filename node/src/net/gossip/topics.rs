//! Which topics are anybody's business here.
//!
//! gossipsub remembers every message for two minutes, whatever its topic, and asks last whether that topic is one of its
//! own. A stranger could fill its memory with messages of eight bytes in topics that nobody has. So what is in a foreign
//! topic is dropped before anything else looks at it, and who subscribes to what is only noted of topics that may be rooms.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use distchat_crdt::Topic;
use libp2p::gossipsub::{DataTransform, Message, RawMessage, TopicHash, TopicSubscriptionFilter};

use super::room_topic;

/// The topics of this node's rooms, and what has come so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    topics: RwLock<BTreeSet<Topic>>,
    /// Bytes of all messages that came.
    bytes: AtomicU64,
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

    /// How many bytes of messages have come since this was asked last.
    pub(super) fn take_bytes(&self) -> u64 {
        self.0.bytes.swap(0, Ordering::Relaxed)
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
        self.0.bytes.fetch_add(raw.data.len() as u64, Ordering::Relaxed);
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

/// Lets peers subscribe to topics that may be rooms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rooms;

impl TopicSubscriptionFilter for Rooms {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        room_topic(topic).is_some()
    }
}

//! Gossip: one topic a room, frames that the room has already signed.

use std::time::Duration;

use distchat_crdt::{
    AuthorId, Topic,
    sync::{MAX_GOSSIP, Verdict},
};
use libp2p::{
    PeerId,
    gossipsub::{
        Behaviour, Config, ConfigBuilder, IdentTopic, MaxCountSubscriptionFilter, Message, MessageAcceptance,
        MessageAuthenticity, MessageId, TopicHash, ValidationMode,
    },
};
use ring::digest;

mod pace;
mod paced;
mod shares;
mod topics;

pub(super) use paced::Gossip;

/// How many topics a peer may subscribe to.
pub(super) const MAX_TOPICS: usize = 1024;
/// The longest gossipsub frame. The decoder compares it with all that has been read, which may be one message and the
/// beginning of the next; with no more than a message's length here, two long ones in a row would end the stream.
const MAX_TRANSMIT: usize = 2 * MAX_GOSSIP;
/// The longest control part of a frame. The first one to a new peer names every topic, 70 bytes each.
const MAX_CONTROL: usize = 96 * 1024;
/// How many frames one of gossipsub's may bear. Its own bear one each.
const MAX_FRAMES: usize = 16;
/// How many message ids are told at once. 22 bytes each must stay below [`MAX_CONTROL`].
const MAX_IDS: usize = 3000;
/// How many frames wait for one peer.
const QUEUE: usize = 256;
/// Length of a message id.
const ID_LEN: usize = 20;

type Gossipsub = Behaviour<topics::Own, MaxCountSubscriptionFilter<topics::Rooms>>;

/// What a room needs to give its verdict on a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GossipTicket {
    pub(super) id: MessageId,
    pub(super) from: PeerId,
    /// Who says to have written it, and how long it is.
    author: AuthorId,
    bytes: usize,
}

/// A room's verdict in gossipsub's words.
fn acceptance(verdict: Verdict) -> MessageAcceptance {
    match verdict {
        Verdict::Accept => MessageAcceptance::Accept,
        Verdict::Ignore => MessageAcceptance::Ignore,
        Verdict::Reject => MessageAcceptance::Reject,
    }
}

/// The gossip topic of a room.
fn gossip_topic(topic: &Topic) -> IdentTopic {
    IdentTopic::new(topic.to_string())
}

/// The room of a gossip topic, if it is one.
pub(super) fn room_topic(hash: &TopicHash) -> Option<Topic> {
    Topic::from_hex(hash.as_str())
}

fn gossipsub(own: topics::Own) -> Result<Gossipsub, String> {
    let filter = MaxCountSubscriptionFilter {
        filter: topics::Rooms,
        max_subscribed_topics: MAX_TOPICS,
        max_subscriptions_per_request: MAX_TOPICS,
    };
    let config = config().map_err(|e| e.to_string())?;
    Behaviour::new_with_subscription_filter_and_transform(MessageAuthenticity::Anonymous, config, filter, own)
        .map_err(str::to_owned)
}

fn config() -> Result<Config, libp2p::gossipsub::ConfigBuilderError> {
    ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(message_id)
        .max_transmit_size(MAX_TRANSMIT)
        .max_control_message_size(MAX_CONTROL)
        .max_control_messages_sent(MAX_IDS)
        .max_publish_messages(MAX_FRAMES)
        .connection_handler_queue_len(QUEUE)
        .flood_publish(true)
        .mesh_n(6)
        .mesh_n_low(5)
        .mesh_n_high(12)
        .heartbeat_initial_delay(Duration::from_millis(100))
        .heartbeat_interval(Duration::from_secs(1))
        .duplicate_cache_time(Duration::from_secs(120))
        .build()
}

/// Covers the topic and the payload: the same bytes in two rooms are two frames.
///
/// By `ring`, which libp2p brings along: where the processor has no instructions for SHA-256 it takes half the time of
/// `sha2`, and every frame is hashed as often as it comes.
fn message_id(message: &Message) -> MessageId {
    let mut hasher = digest::Context::new(&digest::SHA256);
    hasher.update(message.topic.as_str().as_bytes());
    hasher.update(&message.data);
    MessageId::new(hasher.finish().as_ref().get(..ID_LEN).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn a_topic_has_one_name() {
        let topic = Topic([0xab; 32]);
        assert_eq!(room_topic(&gossip_topic(&topic).hash()), Some(topic));
        assert_eq!(room_topic(&TopicHash::from_raw("lobby")), None);
    }

    #[test]
    fn an_id_covers_topic_and_payload() {
        let id = |topic: u8, data: &[u8]| {
            let topic = gossip_topic(&Topic([topic; 32])).hash();
            message_id(&Message { source: None, data: data.to_vec(), sequence_number: None, topic })
        };
        assert_eq!(id(1, b"ok"), id(1, b"ok"));
        assert_ne!(id(1, b"ok"), id(2, b"ok"));
        assert_ne!(id(1, b"ok"), id(1, b"no"));
        assert_eq!(id(1, b"ok").0.len(), ID_LEN);
        let mut sha256 = Sha256::new_with_prefix("01".repeat(32));
        sha256.update(b"ok");
        assert_eq!(id(1, b"ok").0, sha256.finalize()[..ID_LEN]);
    }

    #[test]
    fn the_settings_are_accepted() {
        assert!(gossipsub(topics::Own::default()).is_ok());
        const { assert!(MAX_TOPICS * 80 < MAX_CONTROL && MAX_IDS * 24 + 100 < MAX_CONTROL && MAX_CONTROL < MAX_TRANSMIT) };
    }
}

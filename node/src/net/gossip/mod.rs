//! Gossip: one topic a room, sealed frames of what the room has already signed.

use std::time::Duration;

use distchat_crdt::{
    AuthorId, Topic,
    sync::{MAX_GOSSIP, Verdict},
};
use libp2p::{
    PeerId,
    gossipsub::{
        Behaviour, Config, ConfigBuilder, IdentTopic, Message, MessageAcceptance, MessageAuthenticity, MessageId,
        TopicHash, ValidationMode,
    },
};
use ring::digest;

mod loudness;
mod pace;
mod paced;
mod portions;
mod shares;
mod topics;

pub(super) use paced::{Gossip, Taken};

/// How many topics a node may subscribe to. gossipsub names them all to a new peer, in one frame and nowhere else: a peer that
/// refused that frame would hear nothing of any room.
pub(crate) const MAX_TOPICS: usize = 12 * 1024;
/// How many bytes of that frame a topic takes.
const TOPIC_BYTES: usize = 74;
/// The longest control part of a frame.
const MAX_CONTROL: usize = MAX_TOPICS * TOPIC_BYTES;
/// The longest gossipsub frame. The decoder compares it with all that has been read, which may be one frame and the
/// beginning of the next; with no more than a frame's length here, two long ones in a row would end the stream.
const MAX_TRANSMIT: usize = MAX_CONTROL + MAX_GOSSIP;
/// How many frames one of gossipsub's may bear. Its own bear one each.
const MAX_FRAMES: usize = 16;
/// How many message ids are told at once. 22 bytes each must stay below [`MAX_CONTROL`].
const MAX_IDS: usize = 3000;
/// How many frames wait for one peer.
pub(super) const QUEUE: usize = 256;
/// Length of a message id.
const ID_LEN: usize = 20;

type Gossipsub = Behaviour<topics::Own, topics::Noted>;

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

fn gossipsub(own: topics::Own, noted: topics::Noted) -> Result<Gossipsub, String> {
    let config = config().map_err(|e| e.to_string())?;
    Behaviour::new_with_subscription_filter_and_transform(MessageAuthenticity::Anonymous, config, noted, own)
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

/// Covers the topic and the sealed frame: the same bytes in two topics are two frames.
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
    use distchat_crdt::sync::SEAL_LEN;
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
        let own = topics::Own::default();
        assert!(gossipsub(own.clone(), topics::Noted::new(own)).is_ok());
        // A sealed payload with its topic and what else is in its frame.
        const FRAME: usize = MAX_GOSSIP + SEAL_LEN + 100;
        const { assert!(MAX_IDS * 24 + 100 < MAX_CONTROL && 2 * FRAME < MAX_TRANSMIT && MAX_TRANSMIT <= 1024 * 1024) };
    }
}

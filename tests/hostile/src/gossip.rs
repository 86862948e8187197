//! Frames of gossipsub, as its protocol buffers have them.

use distchat_crdt::{RoomId, sync::GossipKey};

use crate::varint::{field, fields, number, take_with_length, with_length};

/// A frame, to be filled with whatever a test wants.
#[derive(Clone, Debug, Default)]
pub struct Rpc(Vec<u8>);

impl Rpc {
    /// Subscribes to a topic.
    #[must_use]
    pub fn subscribe(mut self, topic: &str) -> Self {
        let mut subscription = Vec::new();
        number(&mut subscription, 1, 1);
        field(&mut subscription, 2, topic.as_bytes());
        field(&mut self.0, 1, &subscription);
        self
    }

    /// Publishes something in a topic.
    #[must_use]
    pub fn publish(mut self, topic: &str, data: &[u8]) -> Self {
        let mut message = Vec::new();
        field(&mut message, 2, data);
        field(&mut message, 4, topic.as_bytes());
        field(&mut self.0, 2, &message);
        self
    }

    /// Publishes something in a room, as those do who know it.
    #[must_use]
    pub fn say(self, room: &RoomId, frame: &[u8]) -> Self {
        let sealed = GossipKey::of(room).seal(frame).expect("it is not too long");
        self.publish(&room.topic().to_string(), &sealed)
    }

    /// Joins the mesh of a topic.
    #[must_use]
    pub fn graft(mut self, topic: &str) -> Self {
        let (mut graft, mut control) = (Vec::new(), Vec::new());
        field(&mut graft, 1, topic.as_bytes());
        field(&mut control, 3, &graft);
        field(&mut self.0, 3, &control);
        self
    }

    /// Says to have a message of that id in a topic. A node that takes part in the topic and lacks it asks for it.
    #[must_use]
    pub fn have(mut self, topic: &str, id: &[u8]) -> Self {
        let (mut have, mut control) = (Vec::new(), Vec::new());
        field(&mut have, 1, topic.as_bytes());
        field(&mut have, 2, id);
        field(&mut control, 1, &have);
        field(&mut self.0, 3, &control);
        self
    }

    /// The frame behind its length, as it goes on a stream of `/meshsub/1.1.0`.
    pub fn bytes(&self) -> Vec<u8> {
        with_length(&self.0)
    }
}

/// What has come on a stream of gossip.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// The topics that somebody takes part in.
    pub topics: Vec<String>,
    /// What was published, with its topic.
    pub published: Vec<(String, Vec<u8>)>,
}

impl Heard {
    /// Reads frames, each behind its length, as far as they are all there.
    pub(crate) fn read(mut bytes: &[u8]) -> Self {
        let mut heard = Self::default();
        while let Some(rpc) = take_with_length(&mut bytes) {
            for (number, field) in fields(rpc) {
                let of =
                    |wanted| fields(field).into_iter().find(|(number, _)| *number == wanted).map(|(_, bytes)| bytes);
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                match number {
                    1 => heard.topics.extend(of(2).map(text)),
                    2 => heard.published.extend(of(4).map(text).zip(of(2).map(<[u8]>::to_vec))),
                    _ => {}
                }
            }
        }
        heard
    }
}

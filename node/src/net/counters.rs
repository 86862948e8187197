//! How much gossip came, and what was dropped, refused or wrong, as numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// What came by gossip since the start, and what the network dropped, refused or found wrong.
        ///
        /// ```
        /// # #[tokio::main]
        /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// # use distchat_node::{Config, Node};
        /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
        /// let before = node.counters();
        /// let general = node.open_room(&"general".parse()?).await?;
        /// general.broadcast("hello").await?;
        /// let after = node.counters();
        /// assert_eq!(after.malformed, before.malformed); // nobody broke the protocol meanwhile
        /// # node.shutdown().await;
        /// # Ok(())
        /// # }
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        #[non_exhaustive]
        pub struct Counters { $($(#[$doc])* pub $name: u64),+ }

        /// The counters as they count. Each stands alone, so no order among them is promised.
        #[derive(Debug, Default)]
        pub(super) struct Counting { $(pub(super) $name: Count),+ }

        impl Counting {
            pub(super) fn snapshot(&self) -> Counters {
                Counters { $($name: self.$name.0.load(Ordering::Relaxed)),+ }
            }
        }
    };
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self) {
        self.add_all(1);
    }

    pub(super) fn add_all(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
}

counters! {
    /// Gossip frames that came in topics of rooms that are open here, each as often as it came.
    gossip_received,
    /// Gossip frames that a room had no space for. Anti-entropy brings them later.
    gossip_dropped,
    /// Gossip in topics of rooms that nobody has open here.
    gossip_foreign,
    /// Gossip frames that were not encrypted by anybody who knows the room.
    gossip_unreadable,
    /// Gossip frames of authors who said too much for all of it to be taken from gossip. Anti-entropy brings them later.
    gossip_left,
    /// Own gossip frames that were not published, for others would not take so many. Anti-entropy brings them later.
    publish_left,
    /// Own gossip frames that were too long, or for which no peer had a place. Anti-entropy brings them later.
    publish_dropped,
    /// Own gossip frames for which there was nobody to send them to.
    publish_alone,
    /// Verdicts that could not be queued: the frame is not passed on from here.
    verdicts_dropped,
    /// Own requests that could not be queued. Nobody heard of them.
    requests_dropped,
    /// Requests of others answered with "busy".
    busy,
    /// Frames of others that break the protocol.
    malformed,
    /// Connections that were ended because what came on their streams breaks the rules: more behind an end, or too much.
    bad_streams,
    /// Connections of others that were not let in: too many at once, from one address, or in all.
    not_admitted,
    /// Connections that were ended to make way for others.
    evicted,
    /// Requests of others that took too long to come.
    too_slow,
    /// Long requests of others that were put off, for others were being read.
    crowded,
    /// Offences charged to peers, malformed frames included.
    charged,
    /// Offences that could not be queued.
    charges_dropped,
    /// Peers disconnected for their offences.
    refused,
    /// Peers disconnected because they speak another protocol.
    foreign,
    /// Known peers forgotten for want of space.
    known_dropped,
    /// Events for people that nobody took in time.
    events_dropped,
    /// Times that sockets of mDNS were opened anew.
    mdns_renewed,
    /// Packets of mDNS that were not looked at: too many at once, or not from the network by which they came.
    mdns_ignored,
    /// Own packets of mDNS that could not be sent.
    mdns_unsent,
    /// Finds of mDNS that could not be queued. What is still there is told again.
    mdns_dropped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_shows_what_was_counted() {
        let counting = Counting::default();
        counting.busy.add();
        counting.busy.add();
        assert_eq!(counting.snapshot(), Counters { busy: 2, ..Counters::default() });
    }
}

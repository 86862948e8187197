//! A DistributedChat node as a library: rooms that replicate between peers, without a server.
//!
//! Start a [`Node`], open a [`Room`], say something, read what others say:
//!
//! ```
//! use distchat_node::{Config, Event, Node};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     # // As it reads it would look for others, keep what is said, and never end. So this line is only compiled here.
//!     # async fn _as_it_reads() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = Node::start(Config { profile: "alice".into(), ..Config::default() }).await?;
//!     # node.shutdown().await;
//!     # Ok(())
//!     # }
//!     # let config = Config { memory: true, offline: true, ..Config::default() };
//!     # let node = Node::start(Config { profile: "alice".into(), ..config }).await?;
//!     let mut events = node.events();
//!     let room = node.open_room(&"general".parse()?).await?;
//!     room.broadcast("hello").await?;
//!     while let Some(event) = events.next().await {
//!         if let Event::Message { message, .. } = event {
//!             println!("<{}> {}", message.nick, message.text);
//!             # assert_eq!((&*message.nick, &*message.text), ("alice", "hello"));
//!             # node.shutdown().await;
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! What is where: [`Node`] is the registry and owns everything; each room runs in a task of its own under a supervisor;
//! one task owns the network and one thread writes the history. ARCHITECTURE.md has the picture.
//!
//! [`Multiaddr`] and [`PeerId`] are libp2p's, and part of this interface on purpose: they are how everybody who speaks libp2p
//! writes down where and who a peer is. They are re-exported here, so whoever embeds the library need not depend on libp2p.

mod boxed;
mod config;
mod disk;
mod durable;
mod error;
mod event;
pub mod inspect;
mod look;
mod net;
mod node;
mod private;
mod profile;
pub mod restart;
mod room;
mod search;
mod serial;
mod store;
mod supervisor;
mod verify;

pub use config::Config;
pub use distchat_crdt::{
    AuthorId, Fingerprint, KEY_LEN, Key, MAX_BODY, MessageId, RoomId, RoomName, RoomNameError, Timestamp, Topic,
    bundle,
    sync::{Imported, MAX_LOOKED_UP, SyncState},
};
pub use error::{NickError, RoomError, SearchError, StartError};
pub use event::{
    Event, Events, FingerprintInfo, Form, Member, Message, PeerInfo, Reaction, Receipt, RoomInfo, RoomState, RoomTopic,
};
pub use libp2p::{Multiaddr, PeerId};
pub use look::look;
pub use net::{ConnectError, Counters, probe};
pub use node::{Node, SeenRoom, StoredRoom};
pub use room::{ExportPage, MAX_CARRY_PAGE, Room};
pub use search::{Found, Hit, Indexing};
pub use verify::{Fault, MAX_PROBLEMS, Problem, RoomReport, Verification, Verified, VerifyError};

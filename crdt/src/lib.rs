//! A chat room as a data structure: a grow-only, totally ordered set of signed messages (a state-based CRDT), and the
//! anti-entropy that makes replicas of it equal.
//!
//! No I/O, no async, no clock, no global randomness: everything is told, so everything can be replayed. A node drives
//! this crate with sockets and a database, a simulator with virtual time and faults.
//!
//! | Part | What it is |
//! | --- | --- |
//! | [`Message`], [`Key`] | what one author said once, and its place in the order |
//! | [`Room`] | the set, what is accepted into it, and all that follows from it |
//! | [`index::Index`] | the Merkle radix tree over the keys: the fingerprint, and the way to a difference |
//! | [`clock`] | the hybrid clock, and how far others' clocks are followed |
//! | [`sync::Replica`] | a room and its side of every exchange with peers |
//! | [`Commit`], [`Snapshot`] | what goes to a store and comes back |
//! | [`bundle`] | a room in a file |
//!
//! ```
//! use std::sync::Arc;
//! use distchat_crdt::{Key, Keypair, Room, RoomId, RoomName, Signer, Timestamp, Zip215, clock::{Clocks, Now}, kind};
//!
//! let (ana, bob) = (Keypair::from_seed([1; 32]), Keypair::from_seed([2; 32]));
//! let general = RoomId::of(&RoomName::parse("general")?);
//! let mut here = Room::new(general, ana.author(), Arc::new(Zip215::new([3; 32])));
//! let mut there = Room::new(general, bob.author(), Arc::new(Zip215::new([4; 32])));
//!
//! let clock = Clocks::default().read(Now { wall_ms: 1_790_000_000_000, ..Now::default() });
//! let (from_ana, said) = here.say(&ana, &clock, vec![(kind::TEXT, b"hello".to_vec())]);
//! said?;
//! let (from_bob, said) = there.say(&bob, &clock, vec![(kind::TEXT, b"good morning".to_vec())]);
//! said?;
//!
//! here.merge(from_bob.messages);
//! there.merge(from_ana.messages);
//! assert_eq!(here.fingerprint(), there.fingerprint());
//! let transcript = |room: &Room| room.index().newest(&Key::MIN, &Key::last_of(Timestamp::MAX), 10);
//! assert_eq!(transcript(&here), transcript(&there), "the same messages in the same order");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! PROTOCOL.md fixes the formats byte by byte.

mod author;
mod batch;
pub mod bundle;
mod cbor;
pub mod clock;
mod content;
mod id;
pub mod index;
mod key;
mod lanes;
mod message;
mod name;
#[cfg(planted)]
pub mod plant;
#[cfg(not(planted))]
mod plant;
mod ranges;
mod room;
mod sign;
pub mod sync;

pub use author::AuthorLog;
pub use batch::{Claim, Commit, Snapshot};
pub use cbor::CborError;
pub use content::{Content, kind};
pub use id::{AuthorId, Fingerprint, MessageId, RoomId, Signature, Topic};
pub use key::{KEY_LEN, Key, Timestamp};
pub use message::{DecodeError, Draft, MAX_BODY, MAX_MESSAGE, MAX_SEEN, MIN_MESSAGE, Message, SEQ_LIMIT, VERSION};
pub use name::{MAX_ROOM_NAME, RoomName, RoomNameError};
pub use room::{MAX_OWN_TIPS, MAX_SEEN_CLAIMS, MAX_SEEN_CLAIMS_PER_AUTHOR, Merge, Room};
pub use sign::{Keypair, Signer, Verifier, Zip215};

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

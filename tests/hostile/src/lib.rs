//! A client that speaks the protocol as badly as a test wants it to.
//!
//! It is no node: it has connections, streams on them, and bytes. What a library would prevent (frames that never end, a
//! thousand streams, signatures of nobody) is a few lines here. It knows enough of the protocol to be taken for a peer,
//! [`Connection`], to enter a room, [`Member`], and to be asked about it, [`Answers`], so that what follows is looked at and
//! not turned away at the door; and to be found, [`Awaiting`]. Below streams there is [`ByHand`].

#![allow(clippy::expect_used, clippy::panic, reason = "it is for tests, which are to fail where it cannot do its work")]

mod awaiting;
mod by_hand;
mod connection;
mod dialler;
mod discovery;
mod gossip;
mod identity;
mod member;
mod serving;
mod varint;

pub use awaiting::Awaiting;
pub use by_hand::{ByHand, WINDOW};
pub use connection::{Connection, Stream};
pub use discovery::Forger;
pub use gossip::{Heard, Rpc};
pub use member::Member;
pub use serving::{Answers, page, quiet};

//! Anti-entropy: how two replicas of a room come to hold the same, at the cost of the difference.
//!
//! Pull-driven, with a stateless responder. The asker names what it wants and shows its own hashes; the answer is
//! computed from the set and forgotten. All state of a session is on the asking side ([`Replica`]).
//!
//! 1. *Enter*: the asker proves that it knows the room and owns an author key.
//! 2. *Hello*: fingerprints of what lies up to an upper end. Equal: done. If the asker holds exactly the first part of
//!    what the answerer holds, the answer brings the rest at once, the newest of it first: the *tail*.
//! 3. *Nodes*: down the Merkle tree where the two differ, two levels a round trip.
//! 4. *Fetch* what is lacking, in pages; *offer* what the other lacks.
//! 5. *Have*: receipts, from what is on disk.
//!
//! The state machine does no I/O: [`Replica::handle`] takes what happened and returns what is to be done. A node and a
//! simulator drive the same code.

mod answer;
mod asking;
mod entering;
mod importing;
mod io;
mod offers;
mod peer;
mod proof;
mod receipts;
mod replica;
mod schedule;
mod serving;
mod session;
mod short;
mod state;
mod transfer;
mod want;
mod wire;

pub use importing::Imported;
pub use io::{Input, Output, Ticket, Verdict};
pub use peer::Peer;
pub use proof::{proof, sign_peer, verify_peer};
pub use receipts::{MAX_LOOKED_UP, MAX_RECEIPTS};
pub use replica::{Replica, ReplicaConfig};
pub use state::SyncState;
pub use wire::*;

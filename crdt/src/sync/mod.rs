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
//!
//! The smallest driver, with a network and disks that never fail:
//!
//! ```
//! use std::{collections::{BTreeMap, VecDeque}, sync::Arc};
//! use distchat_crdt::{Key, Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind};
//! use distchat_crdt::sync::{Input, Output, Peer, Replica, ReplicaConfig};
//!
//! let (now, peers) = (Now { wall_ms: 1_790_000_000_000, ..Now::default() }, [b"ana", b"bob"].map(|id| Peer::new(id)));
//! let mut replicas = [1, 2].map(|n| {
//!     let (keys, me) = (Keypair::from_seed([n; 32]), peers[usize::from(n) - 1].clone());
//!     let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
//!     Replica::new(room, ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [n; 32], said: Vec::new() }, now)
//! });
//! let mut disks = [const { BTreeMap::<Key, Vec<u8>>::new() }; 2];
//!
//! // What has happened, and to which of the two: one has said something, and then they are connected.
//! let mut events = VecDeque::from([(0, Input::Say { ticket: 0, said: vec![(kind::TEXT, b"hello".to_vec())] })]);
//! events.extend([(0, Input::PeerUp(peers[1].clone())), (1, Input::PeerUp(peers[0].clone()))]);
//! while let Some((at, input)) = events.pop_front() {
//!     let (peer, other) = (peers[at].clone(), 1 - at);
//!     for output in replicas[at].handle(now, input) {
//!         events.push_back(match output {
//!             // The number of the question serves as the ticket with which the answer comes back.
//!             Output::Ask { id, request, .. } => (other, Input::Asked { peer: peer.clone(), ticket: id, request }),
//!             Output::Answer { ticket, response } => {
//!                 (other, Input::Answered { peer: peer.clone(), id: ticket, response: Some(response) })
//!             }
//!             Output::Commit { number, commit } => {
//!                 let messages = commit.messages.iter().map(|message| (message.key(), message.bytes().to_vec()));
//!                 disks[at].extend(messages);
//!                 (at, Input::Committed { through: number })
//!             }
//!             // (A store keeps to `max_bytes`. Here is less.)
//!             Output::Read { id, keys, .. } => {
//!                 let bodies = keys.iter().map(|key| (*key, disks[at][key].clone())).collect();
//!                 (at, Input::Read { id, bodies })
//!             }
//!             _ => continue,
//!         });
//!     }
//! }
//! assert_eq!(replicas[1].room().index().len(), 1);
//! assert_eq!(replicas[1].room().fingerprint(), replicas[0].room().fingerprint());
//! assert_eq!(disks[1], disks[0]);
//! ```

mod answer;
mod asking;
mod entering;
mod importing;
mod io;
mod leaving;
mod offers;
mod pausing;
mod peer;
mod proof;
mod receipts;
mod replica;
mod schedule;
mod seal;
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
pub use seal::{GossipKey, SEAL_LEN};
pub use state::SyncState;
pub use wire::*;

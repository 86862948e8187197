//! Many replicas of a room in one thread, in virtual time, under every fault at once.
//!
//! A run is drawn from its seed ([`Plan`]), so a run that fails can be run again and again. Replicas are the very ones
//! that nodes run ([`distchat_crdt::sync::Replica`] over [`distchat_crdt::Room`]), started again by the policy that the
//! node's supervisor has ([`distchat_node::restart`]); what is simulated is everything around them: network, disks,
//! clocks, power, people, and peers who lie.
//!
//! After a time of trouble everything is repaired, except that liars go on lying and clocks stay wrong. Then it is
//! demanded that
//!
//! * nothing is lost that an author's node had acknowledged, unless the only disks that held it are gone;
//! * all correct replicas hold the same transcript, byte for byte, with the same fingerprint, heads, holes and forks;
//! * that took a bounded time and a bounded number of hellos;
//! * nobody is made to have said what they did not say;
//! * no correct replica took another for a liar, and a liar cost each correct replica a bounded number of bytes.
//!
//! [`run`] runs one seed, [`Batch`] many.

mod act;
pub mod batch;
mod cheap;
mod check;
mod disk;
mod drive;
mod faults;
mod forge;
mod host;
mod liar;
mod network;
mod plan;
mod random;
mod receipts;
mod trace;
mod world;

pub use batch::Batch;
pub use faults::{Fault, Hits};
pub use plan::{Action, HostPlan, Plan, Weather};
pub use trace::Trace;
pub use world::{Failure, Report, run};

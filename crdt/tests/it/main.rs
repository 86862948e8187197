//! The data structure as its users see it.
//!
//! - `exchange`: replicas that talk to each other until they are equal, and what that costs
//! - `importing`: what somebody brings in a file is let in as if a peer had sent it
//! - `receipts`: on whose disks messages are
//! - `vectors`: the test vectors and limits that PROTOCOL.md states
//! - `laws`: what holds of every room, message and frame, by property tests
//! - `oracle`: another implementation of set reconciliation finds the same differences
//! - `besieged`: one among many that are all one is heard
//! - `relaying`: which frames of gossip are passed on
//! - `liars`: single lies, and what they do not do
//! - `schedules`: every order in which two that meet may do what they do
//! - `world`: the network and the disks for `exchange`, `schedules` and `oracle`

#![allow(missing_docs, unreachable_pub, clippy::print_stdout, clippy::unwrap_used)]

mod besieged;
mod exchange;
mod importing;
mod laws;
mod liars;
mod oracle;
mod receipts;
mod relaying;
mod schedules;
mod vectors;
mod world;

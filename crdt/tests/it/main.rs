//! The data structure as its users see it.
//!
//! - `exchange`: replicas that talk to each other until they are equal, and what that costs
//! - `vectors`: the test vectors and limits that PROTOCOL.md states
//! - `laws`: what holds of every room, message and frame, by property tests
//! - `world`: the network and the disks for `exchange`

#![allow(missing_docs, unreachable_pub, clippy::print_stdout, clippy::unwrap_used)]

mod exchange;
mod laws;
mod vectors;
mod world;

//! What the benches of the crdt share: real chat lines, a room's history made of them, two replicas that talk, and
//! tables with the target beside the figure.
//!
//! Each bench says in its own first lines what it shows and the command that prints it. The peers it is held against
//! (yrs, loro, automerge, negentropy, ed25519-zebra alone) run in the same process, for machines are noisy and a ratio
//! within one run is worth more than two figures of two days.

// What cannot be measured ends the bench with its reason.
#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic)]

pub mod exchange;
pub mod history;
pub mod lines;
pub mod table;

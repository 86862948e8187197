//! The tests that drive the real program, and those of the parts that no one crate owns. One binary, so that it is
//! linked once. What is where:
//!
//! | module | what it shows |
//! | --- | --- |
//! | `lan_itself` | the virtual LAN does what the others believe of it |
//! | `lan_chat` | two who meet without being told of each other: on a LAN, on a computer without one, by address |
//! | `lan_faults` | cables pulled, power cut, the LAN split, while everybody writes: one history in the end |
//! | `rooms` | rooms do not notice each other; a crash loses nothing; too many of them leave a room failed |
//! | `clocks` | a clock that is a year off neither reorders answers nor blocks anybody |
//! | `identity` | one key on two computers, a restored backup: both branches are kept, everywhere |
//! | `input` | what bad input gets: lines, bytes, names |
//! | `configuring` | options from the environment and from a file, and which of them counts |
//! | `terminal` | what is on the screen of a terminal, what is not, and that it is given back as it was |
//! | `refusals` | what keeps the program from starting, what it says then, and its exit code |
//! | `leaving` | the end of input, signals, and what is safe when the program has ended |
//! | `library` | what those who embed the library may rely on |
//! | `layering` | dependencies point one way |
//!
//! `common` is what several of them need. Tests that need a network make one (see [`distchat_tests::Lan`]), and say
//! so and pass where they may not; with `CI=true` they fail there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

mod clocks;
mod common;
mod configuring;
mod identity;
mod input;
mod lan_chat;
mod lan_faults;
mod lan_itself;
mod layering;
mod leaving;
mod library;
mod refusals;
mod rooms;
mod terminal;

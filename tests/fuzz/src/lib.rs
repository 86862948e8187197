//! Fuzzing: arbitrary bytes into everything that takes bytes from elsewhere. What is found in there must be what was put in
//! there by somebody who may, or nothing; it must not crash, hang, or take more memory than it was given.
//!
//! `.ci/fuzz SECONDS` looks for new inputs, guided by what the code does with the former ones; what is in `corpus/` was found
//! so, or stands in PROTOCOL.md, and is run again by every `cargo test`.
//!
//! The program's own modules are here as they are in `node/src/main.rs`, which no other crate can depend on.
// The modules' own tests run where the modules are at home.
#![cfg(not(test))]
#![allow(dead_code, unreachable_pub, reason = "the program's modules are not all used here")]
#![allow(clippy::duplicate_mod, reason = "a target that needs what is private to a module is beside it")]

#[path = "../../../node/src/attach/mod.rs"]
mod attach;
#[path = "../../../node/src/chat/mod.rs"]
mod chat;
#[path = "../../../node/src/cli/mod.rs"]
mod cli;
#[path = "../../../node/src/net/codec.rs"]
mod codec;
#[path = "../../../node/src/doctor/mod.rs"]
mod doctor;
mod targets;

pub use targets::{Target, target};

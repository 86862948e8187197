//! The harness that drives the real `distchat` binary, as a person or a script would: lines in, events out.
//!
//! Nothing here looks inside a node. What a test knows it has read from the program's standard output (`--json`),
//! its standard error, its exit code and its files, which are the contracts that users rely on.
//!
//! * [`binary`] builds the program under test and finds it;
//! * [`Machine`] is a place to run it: a directory of its own and, maybe, a network namespace;
//! * [`Launch`] is a command line, [`Chat`] is the running program;
//! * [`Terminal`] is the program on a terminal of its own, with keys to press and a [`Screen`] to read;
//! * [`escapes`] and [`tame`] look at every byte that a program says to its terminal;
//! * [`picture`] makes a picture of a screen;
//! * [`Lan`] is a network of machines whose cables can be pulled, [`Link`] a line that can be stopped half-way;
//! * [`SmallDisk`] is a disk that can be filled, [`faults`] has one that fails, and what a power cut leaves of it;
//! * [`converge`] waits until several chats show one and the same history;
//! * [`transcript`] has lines that people really typed;
//! * [`skip`] decides what happens where this machine cannot run a test.
//!
//! ```no_run
//! use distchat_tests::{Machine, PATIENCE};
//!
//! let machine = Machine::loopback();
//! let mut ann = machine.chat("ann").room("general").start();
//! let mut bob = machine.chat("bob").room("general").start();
//! let said = ann.say_and_wait("hello");
//! bob.wait_for("ann's hello", PATIENCE, |event| event["id"] == said.id.as_str());
//! ```
//!
//! Outside a namespace a node speaks to the loopback interface only; [`Launch`] sees to that, not the test.
#![warn(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a harness reports by panicking")]

pub mod binary;
pub mod clock;
pub mod converge;
mod disk;
mod emulator;
pub mod escapes;
mod event;
pub mod faults;
pub mod gauge;
pub mod keys;
mod lan;
mod launch;
mod link;
mod log;
mod machine;
mod packets;
pub mod picture;
mod process;
mod pty;
mod screen;
pub mod skip;
pub mod tame;
mod terminal;
pub mod transcript;

pub use disk::SmallDisk;
pub use event::{Fingerprint, Message, is, is_message, is_room};
pub use keys::{Key, Modifier, Mouse};
pub use lan::Lan;
pub use launch::{Finished, Launch};
pub use link::Link;
pub use log::Mark;
pub use machine::Machine;
pub use packets::Packets;
pub use process::Chat;
pub use screen::Screen;
pub use terminal::{Signal, Terminal};
/// What a [`Screen`]'s cells are coloured with.
pub use vt100::Color;

/// How long a test waits for what should happen at once, before it gives up: an upper bound for a busy machine,
/// not an expectation.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

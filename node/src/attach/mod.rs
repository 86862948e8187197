//! One node a profile, however many programs use it.
//!
//! A [`Client`] is what every face of the program talks to. Behind it is the node of the profile: this process's own, or
//! that of another process which got there first, reached through a [`socket`] in the profile's directory. Both do what is
//! asked for by [`perform`], so it makes no difference which. When the other process ends, its node is waited for if it is a
//! service, and else started here: a face goes on whatever becomes of the others.
//!
//! [`wire`] is what goes over the socket, [`server`], [`connection`] and [`questions`] are its one end, [`remote`] the other.

mod carried;
mod client;
mod connection;
mod events;
mod perform;
mod problem;
mod questions;
mod remote;
mod room;
mod server;
#[cfg(unix)]
mod socket;
#[cfg(not(unix))]
#[path = "elsewhere.rs"]
mod socket;
mod wire;

pub(crate) use carried::{Bytes, Judged, Step, Wrong};
pub(crate) use client::{Client, OpenError};
pub(crate) use events::{Events, Told};
pub(crate) use problem::Problem;
pub(crate) use room::Room;
pub(crate) use wire::{Face, IMPORT_PAGE, MAX_FOUND};

#[cfg(test)]
#[cfg(unix)]
mod tests;

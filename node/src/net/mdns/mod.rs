//! How nodes of a LAN find each other: multicast DNS, as libp2p specifies it.
//!
//! Everybody on a network can send anything here, in anybody's name. So this is built the other way round than discovery
//! usually is: what may it cost, and whom may it be turned against?
//!
//! * A packet costs a bounded time and memory, and packets are looked at at a pace ([`heard`]).
//! * What it says is believed only of the host that has sent it ([`core`]).
//! * What it leads to is at most a dial, and [`dial`](super::dial) remembers whom dials did not find.
//! * Answers go to everybody, once a second at most ([`voice`]): there is nobody to whom they could be turned.
//! * Nothing waits for it: what is found goes to the swarm's task through a queue that drops what it cannot hold.
//!
//! [`core`] puts the parts together and does no I/O; [`wire`] are the packets; [`driver`] is the task with the sockets, and
//! [`renewal`] tells it when to open them anew.

mod core;
mod driver;
mod heard;
mod renewal;
mod voice;
mod wire;

use libp2p::{Multiaddr, PeerId};

pub(super) use driver::{Surroundings, run};

/// Somebody says that this peer is at this address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) peer: PeerId,
    pub(super) address: Multiaddr,
}

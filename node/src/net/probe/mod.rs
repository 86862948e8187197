//! How two nodes find out what is between them: the protocol `/distchat/probe/1`, and both of its sides.
//!
//! # The question
//! Two machines on one LAN do not see each other. Either may have a firewall, and either may send its multicasts into a
//! tunnel. From one side alone "nobody is there" and "nobody gets through" look the same, and so does which way it fails.
//!
//! # The idea
//! A connection is the way to talk, and multicast is what is tested. Whoever asks (a doctor, [`Prober`]) gets a connection
//! to any node, by what discovery still brings or by an address that a person gives, and asks three things:
//!
//! * **who**: what time is it there, on which interface do you see me, do you use mDNS at all;
//! * **multicast**: both send a few mDNS packets with a nonce on the interface where they see each other, and both listen on
//!   all of theirs for two seconds. Each side also listens for its own packets, which the system loops back through its
//!   own firewall. So of each direction it is known whether it works; if it does not, a refused `send` blames the sender's
//!   firewall, a missing echo that of the one who should hear, and if both are well something between them;
//! * **dial**: connect by TCP to this port of mine, or send a UDP packet there.
//!
//! The multicast packets are questions of RFC 6762 to 224.0.0.251, port 5353, about a name below `_distchat-probe._udp.local`,
//! sent from the interface's address and a port that the system chooses, with a time to live of 1: the same as what the mDNS of
//! libp2p sends, which older nodes use, so that whatever treats those in some way treats these in the same. Nobody answers them.
//!
//! # What a helper cannot be made to do
//! It keeps no socket open and no state between two requests but the count of them. It answers on the connection only, so to
//! nobody who has not shown to have the address. What it sends elsewhere are at most [`CALLS`] packets of 61 bytes to a
//! link-local group, or one TCP connection or [`CALLS`] datagrams of 8 bytes to the address of the asker, and no port below
//! 1024: less than what was sent to ask for it, so there is nothing to amplify or to reflect. It helps those only that are
//! on a network of one of its own interfaces, `PER_MINUTE` times a minute for each address, a few at once.
//! What it tells is its clock, the name of one interface, and what the network would have told anyway.
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use distchat_node::{Config, Node, probe::{Answer, Prober, Request}};
//!
//! # let config = |profile: &str| Config {
//! #     profile: profile.into(),
//! #     memory: true,
//! #     mdns: false,
//! #     same_machine: false,
//! #     listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
//! #     ..Config::default()
//! # };
//! let node = Node::start(config("alice")).await?;
//! let mut prober = Prober::new()?;
//! let met = prober.meet(&node.listeners()[0]).await?;
//! assert!(met.speaks && met.helps);
//! let Answer::Who(who) = prober.ask(Request::Who).await? else { return Err("another answer".into()) };
//! assert!(!who.mdns); // so it is no wonder that nobody finds it
//! # node.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod codec;
pub(super) mod helper;
mod multicast;
mod prober;
mod rate;
mod wire;

pub(super) use codec::{ProbeCodec, protocol};
pub use distchat_crdt::sync::SYNC_PROTOCOL;
pub use multicast::{CALLS, Link, PERIOD, call, links, listen, nonce_of, packet, route};
pub(super) use multicast::{GROUP, PORT, working_links};
pub use prober::{AskError, Met, Prober, Unmet};
pub(super) use rate::Rates;
pub use wire::{Answer, Heard, Outcome, PROBE_PROTOCOL, Refusal, Request, Via, Who};

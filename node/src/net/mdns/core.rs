//! mDNS without I/O: packets and time go in, packets and what was found come out.
//!
//! What is found is no more than a claim, and it is held to this: the address is the host's own that has sent the packet,
//! it is on the link by which the packet came in, and it is not of this machine's loopback interface. A host with several
//! interfaces tells of itself on each. So no packet leads to anybody but who it says it comes from; that a sender can forge,
//! and whoever dials is prepared for it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::Instant,
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use rand::{RngExt, SeedableRng, distr::Alphanumeric, rngs::StdRng};

use super::{
    heard::Heard,
    voice::{Say, Voice},
    wire::{self, Said},
};

/// How long the name is by which a node's answers hang together. It says nothing about the node.
const NAME: usize = 32;

/// What comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// To be sent to everybody on the link of this address, from it.
    Send(Ipv4Addr, Vec<u8>),
    /// Somebody says that this peer is there.
    Found(PeerId, Multiaddr),
}

/// A node's mDNS. Links are called by this machine's addresses on them.
#[derive(Debug)]
pub(super) struct Core {
    me: PeerId,
    name: String,
    links: BTreeMap<Ipv4Addr, Link>,
    listening: Vec<Multiaddr>,
    alone: bool,
    /// The id of the last question, by which it is known when it comes back.
    asked: u16,
    heard: Heard,
    random: StdRng,
}

#[derive(Debug)]
struct Link {
    voice: Voice,
    /// Where this node can be reached on it.
    own: Vec<Multiaddr>,
}

impl Core {
    pub(super) fn new(now: Instant, me: PeerId, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let name = (&mut random).sample_iter(Alphanumeric).take(NAME).map(|byte| char::from(byte).to_ascii_lowercase());
        Self {
            me,
            name: name.collect(),
            links: BTreeMap::new(),
            listening: Vec::new(),
            alone: true,
            asked: 0,
            heard: Heard::new(now),
            random,
        }
    }

    /// These are the links from now on.
    pub(super) fn links(&mut self, now: Instant, addresses: &[Ipv4Addr]) {
        self.links.retain(|address, _| addresses.contains(address));
        for address in addresses {
            if !self.links.contains_key(address) {
                let own = own(&self.listening, *address);
                let voice = Voice::new(now, &mut self.random);
                self.links.insert(*address, Link { voice, own });
            }
        }
    }

    /// This node listens there from now on. Addresses that are on no link are told nobody.
    pub(super) fn listening(&mut self, now: Instant, addresses: Vec<Multiaddr>) {
        self.listening = addresses;
        for (address, link) in &mut self.links {
            let own = own(&self.listening, *address);
            if link.own != own {
                link.own = own;
                link.voice.tell(now, &mut self.random);
            }
        }
    }

    /// Whether there is nobody. Who has just been left alone asks anew.
    pub(super) fn alone(&mut self, now: Instant, alone: bool) {
        if alone && !self.alone {
            self.begin(now);
        }
        self.alone = alone;
    }

    /// Begins anew on all links, and tells again who is found.
    pub(super) fn begin(&mut self, now: Instant) {
        self.heard.forget_passed_on();
        for link in self.links.values_mut() {
            link.voice.begin(now, &mut self.random);
        }
    }

    /// A packet has come in by a link, from a host on it. False if it was too much to look at.
    pub(super) fn hears(&mut self, now: Instant, on: Ipv4Addr, from: Ipv4Addr, packet: &[u8]) -> bool {
        let Some(link) = self.links.get_mut(&on) else { return true };
        if !wire::is_about_nodes(packet) {
            return true;
        }
        let host = IpAddr::V4(from);
        if !self.heard.admits(now, host) {
            return false;
        }
        match wire::understand(packet) {
            Some(Said::Asks(id)) if from == on && id == self.asked => {}
            Some(Said::Asks(_)) => link.voice.heard_question(now, self.alone, &mut self.random),
            Some(Said::Tells(told)) => {
                for (peer, address) in told {
                    if peer != self.me && !from.is_loopback() && ip4(&address) == Some(from) {
                        self.heard.tells(now, host, peer, address);
                    }
                }
            }
            None => {}
        }
        true
    }

    /// The next thing to do at this moment.
    pub(super) fn next(&mut self, now: Instant) -> Option<Output> {
        for (address, link) in &mut self.links {
            while let Some(say) = link.voice.next(now, self.alone, &mut self.random) {
                let packet = match say {
                    Say::Question => {
                        self.asked = self.random.random();
                        self.heard.forget(now);
                        Some(wire::question(self.asked))
                    }
                    Say::Answer => wire::answer(&self.name, self.me, &link.own),
                };
                if let Some(packet) = packet {
                    return Some(Output::Send(*address, packet));
                }
            }
        }
        self.heard.next(now).map(|(peer, address)| Output::Found(peer, address))
    }

    /// When [`Self::next`] may have something, if nothing else happens before.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.links.values().map(|link| link.voice.deadline()).chain(self.heard.deadline(now)).min()
    }
}

/// Those of the addresses that are on the link of this one.
fn own(listening: &[Multiaddr], link: Ipv4Addr) -> Vec<Multiaddr> {
    listening.iter().filter(|address| ip4(address) == Some(link)).cloned().collect()
}

fn ip4(address: &Multiaddr) -> Option<Ipv4Addr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip),
        _ => None,
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;

//! What can be found out about multicast without anybody's help, and who is there.
//!
//! On every interface a few packets are sent, which the system loops back: what does not come back was dropped by this
//! machine itself. And the question of the mDNS of libp2p is asked, which every node of a LAN answers to everybody.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use distchat_node::{
    Multiaddr, PeerId,
    probe::{Link, PERIOD, Prober, call, nonce_of, packet},
};
use hickory_proto::{op::Message, rr::RData};
use libp2p::multiaddr::Protocol;
use tokio::time::Instant;

use super::{
    ears::{Ears, one_each},
    observed::Ear,
};

/// What nodes ask and answer about.
const SERVICE: &str = "_p2p._udp.local.";
/// The question, as a packet: no id, one question; a pointer, of the Internet.
const QUESTION: &[u8] = b"\0\0\0\0\0\x01\0\0\0\0\0\0\x04_p2p\x04_udp\x05local\0\0\x0c\0\x01";
/// How long to listen at first.
const FIRST: Duration = Duration::from_millis(2500);
/// How long if nobody answers: every node asks once in half a minute, and that can be heard even if it hears nothing.
const LONG: Duration = Duration::from_secs(33);
/// How many nodes are taken note of, and how many addresses of each.
const MAX_FOUND: usize = 64;
const MAX_ADDRESSES: usize = 8;

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Listened {
    pub(super) ears: Vec<Ear>,
    pub(super) found: BTreeMap<PeerId, Found>,
    /// Hosts that ask for nodes, and where that was heard.
    pub(super) callers: BTreeSet<(IpAddr, String)>,
}

/// A node that has answered.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) ip: IpAddr,
    pub(super) interface: String,
    pub(super) addresses: Vec<Multiaddr>,
}

/// Calls and listens; for long, if nobody answers and `alone` says that there is no other way to find anybody.
pub(super) async fn look(links: &[Link], alone: bool, progress: &mut (dyn FnMut(&str) + Send)) -> Listened {
    let each = one_each(links);
    let own: BTreeSet<IpAddr> = links.iter().map(|link| IpAddr::V4(link.address)).collect();
    let mut ears = Ears::open(&each);
    let mut heard = Hearing { own, ..Hearing::default() };
    let calls = each.iter().map(|link| {
        let nonce = rand::random::<u64>();
        heard.nonces.insert(nonce, link.name.clone());
        async move {
            // Either may be refused, for the same reason.
            let (called, asked) = futures::join!(async { call(link, &packet(nonce)).await }, call(link, QUESTION));
            (link.name.clone(), called.and(asked).err().map(|error| error.to_string()))
        }
    });
    let calling = futures::future::join_all(calls.collect::<Vec<_>>());
    let (mutes, ()) = futures::join!(calling, heard.listen(&mut ears, Instant::now() + FIRST.max(PERIOD)));
    if alone && heard.found.is_empty() && !each.is_empty() {
        progress("nobody has answered yet; listening for half a minute for those who ask");
        let until = Instant::now() + LONG;
        while heard.found.is_empty() && heard.callers.is_empty() && Instant::now() < until {
            heard.listen(&mut ears, until.min(Instant::now() + Duration::from_secs(1))).await;
        }
    }
    let ears = mutes.into_iter().map(|(interface, mute)| Ear {
        deaf: ears.deaf.get(&interface).cloned(),
        mute,
        echo: heard.echoes.contains(&interface),
        others: heard.others.contains(&interface),
        interface,
    });
    Listened { ears: ears.collect(), found: heard.found, callers: heard.callers }
}

#[derive(Default)]
struct Hearing {
    own: BTreeSet<IpAddr>,
    nonces: BTreeMap<u64, String>,
    echoes: BTreeSet<String>,
    others: BTreeSet<String>,
    found: BTreeMap<PeerId, Found>,
    callers: BTreeSet<(IpAddr, String)>,
}

impl Hearing {
    async fn listen(&mut self, ears: &mut Ears, until: Instant) {
        while let Some(packet) = ears.next(until).await {
            if let Some(interface) = nonce_of(&packet.bytes).and_then(|nonce| self.nonces.get(&nonce)) {
                if *interface == packet.interface {
                    self.echoes.insert(packet.interface);
                }
                continue;
            }
            if self.own.contains(&packet.from) {
                continue;
            }
            self.others.insert(packet.interface.clone());
            match understand(&packet.bytes) {
                Some(Said::Asks) if self.callers.len() < MAX_FOUND => {
                    self.callers.insert((packet.from, packet.interface));
                }
                Some(Said::Answers(answers)) => self.answered(packet.from, &packet.interface, answers),
                _ => {}
            }
        }
    }

    /// Takes note of a node. Only of addresses on the host that has sent them: a packet is not to lead elsewhere.
    fn answered(&mut self, from: IpAddr, interface: &str, answers: Vec<(PeerId, Multiaddr)>) {
        for (peer, address) in answers {
            let its_own = Prober::destination(&address).is_some_and(|(ip, _)| ip == from);
            if !its_own || (self.found.len() >= MAX_FOUND && !self.found.contains_key(&peer)) {
                continue;
            }
            let new = || Found { ip: from, interface: interface.to_owned(), addresses: Vec::new() };
            let found = self.found.entry(peer).or_insert_with(new);
            if !found.addresses.contains(&address) && found.addresses.len() < MAX_ADDRESSES {
                found.addresses.push(address);
            }
        }
    }
}

/// What a packet of mDNS says about nodes.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Asks,
    Answers(Vec<(PeerId, Multiaddr)>),
}

fn understand(bytes: &[u8]) -> Option<Said> {
    let message = Message::from_vec(bytes).ok()?;
    if message.queries.iter().any(|query| query.name().to_utf8() == SERVICE) {
        return Some(Said::Asks);
    }
    if !message.answers.iter().any(|record| record.name.to_utf8() == SERVICE) {
        return None;
    }
    let texts = message.additionals.iter().filter_map(|record| match &record.data {
        RData::TXT(text) => Some(&text.txt_data),
        _ => None,
    });
    let addresses = texts.flatten().filter_map(|text| {
        let text = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
        let address: Multiaddr = std::str::from_utf8(text.strip_prefix(b"dnsaddr=")?).ok()?.parse().ok()?;
        let Some(Protocol::P2p(peer)) = address.iter().last() else { return None };
        Some((peer, address))
    });
    Some(Said::Answers(addresses.take(MAX_FOUND).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_are_told_apart() {
        assert_eq!(understand(QUESTION), Some(Said::Asks));
        assert_eq!(understand(&packet(1)), None);
        assert_eq!(understand(b""), None);
        assert_eq!(understand(&[0xff; 100]), None);
    }

    #[test]
    fn a_node_cannot_lead_elsewhere() {
        let mut heard = Hearing::default();
        let peer = PeerId::random();
        let address = |ip: &str| format!("/ip4/{ip}/tcp/4001/p2p/{peer}").parse::<Multiaddr>().unwrap();
        let answers = ["10.0.0.1", "10.0.0.2", "203.0.113.9"].map(|ip| (peer, address(ip))).to_vec();
        heard.answered("10.0.0.1".parse().unwrap(), "eth0", answers);
        assert_eq!(heard.found[&peer].addresses, [address("10.0.0.1")]);
        for _ in 0..2 * MAX_FOUND {
            let peer = PeerId::random();
            heard.answered("10.0.0.1".parse().unwrap(), "eth0", vec![(peer, address("10.0.0.1"))]);
        }
        assert_eq!(heard.found.len(), MAX_FOUND);
    }
}

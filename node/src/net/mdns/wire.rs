//! The packets of mDNS that are about nodes: the service of libp2p's specification, in the format of RFC 6762.

use std::collections::BTreeSet;

use hickory_proto::{
    op::{Message, MessageType, OpCode},
    rr::{Name, RData, Record, rdata},
};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// What all programs that speak libp2p ask for.
const SERVICE: &str = "_p2p._udp.local.";
/// The same as it stands in a packet. One without it is not about nodes, and is not taken apart.
const LABELS: &[u8] = b"\x04_p2p\x04_udp\x05local\0";
/// What stands before an address.
const DNSADDR: &str = "dnsaddr=";
/// The longest packet, in bytes: mDNS allows no longer one.
pub(super) const MAX_PACKET: usize = 9000;
/// How many addresses of a packet are looked at, and how many are told in one.
pub(super) const MAX_ADDRESSES: usize = 32;
const MAX_TOLD: usize = 8;
/// How long an answer is to be remembered, in seconds.
const TTL: u32 = 6 * 60;
/// The shortest question and the shortest record, in bytes.
const LEAST: (usize, usize) = (5, 11);

/// What a packet says about nodes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Who is there? With the packet's id.
    Asks(u16),
    /// These are, at these addresses.
    Tells(Vec<(PeerId, Multiaddr)>),
}

/// Whether a packet may say something about nodes. Most are about printers and the like.
pub(super) fn is_about_nodes(packet: &[u8]) -> bool {
    packet.windows(LABELS.len()).any(|window| window == LABELS)
}

/// Takes a packet apart; `None` if it says nothing about nodes.
pub(super) fn understand(packet: &[u8]) -> Option<Said> {
    if packet.len() > MAX_PACKET || !is_about_nodes(packet) || !could_hold_what_it_counts(packet) {
        return None;
    }
    let message = Message::from_vec(packet).ok()?;
    if message.metadata.op_code != OpCode::Query {
        return None;
    }
    match message.metadata.message_type {
        MessageType::Query => {
            let asks = message.queries.iter().any(|query| query.name().to_utf8() == SERVICE);
            asks.then_some(Said::Asks(message.metadata.id))
        }
        MessageType::Response => {
            let told = told(&message);
            (!told.is_empty()).then_some(Said::Tells(told))
        }
    }
}

/// Whether a packet is long enough for as many records as its header counts: what it does not hold is not made room for.
fn could_hold_what_it_counts(packet: &[u8]) -> bool {
    let Some((header, rest)) = packet.split_first_chunk::<12>() else { return false };
    let count = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
    count(4) * LEAST.0 + (count(6) + count(8) + count(10)) * LEAST.1 <= rest.len()
}

/// The nodes of an answer. One that is taken back, with a time to live of zero, is not told: whoever says so is not to be
/// believed about others, and is itself found to be gone.
fn told(message: &Message) -> Vec<(PeerId, Multiaddr)> {
    let instances: BTreeSet<&Name> = message
        .answers
        .iter()
        .filter(|record| record.ttl > 0)
        .filter_map(|record| match &record.data {
            RData::PTR(pointer) if record.name.to_utf8() == SERVICE => Some(&pointer.0),
            _ => None,
        })
        .take(MAX_ADDRESSES)
        .collect();
    let records = message.answers.iter().chain(&message.additionals);
    let texts = records.filter(|record| record.ttl > 0 && instances.contains(&record.name));
    let texts = texts.filter_map(|record| match &record.data {
        RData::TXT(text) => Some(&text.txt_data),
        _ => None,
    });
    texts.flatten().take(MAX_ADDRESSES).filter_map(|text| address(text)).collect()
}

/// The peer and the address that a text bears.
fn address(text: &[u8]) -> Option<(PeerId, Multiaddr)> {
    // Old programs put some texts in quotes.
    let text = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
    let mut address: Multiaddr = std::str::from_utf8(text).ok()?.strip_prefix(DNSADDR)?.parse().ok()?;
    let Some(Protocol::P2p(peer)) = address.pop() else { return None };
    Some((peer, address))
}

/// The question who is there.
pub(super) fn question(id: u16) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    // A query, one question; and the question: a pointer, of the Internet.
    packet.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    packet.extend_from_slice(LABELS);
    packet.extend_from_slice(&[0, 12, 0, 1]);
    packet
}

/// The answer of a node that calls itself `name`, which is one label; `None` if there is nothing to tell.
pub(super) fn answer(name: &str, me: PeerId, addresses: &[Multiaddr]) -> Option<Vec<u8>> {
    if addresses.is_empty() {
        return None;
    }
    let service = Name::from_ascii(SERVICE).ok()?;
    let instance = service.prepend_label(name).ok()?;
    let mut message = Message::new(0, MessageType::Response, OpCode::Query);
    message.metadata.authoritative = true;
    message.add_answer(Record::from_rdata(service, TTL, RData::PTR(rdata::PTR(instance.clone()))));
    for address in addresses.iter().take(MAX_TOLD) {
        let text = rdata::TXT::new(vec![format!("{DNSADDR}{address}/p2p/{me}")]);
        let mut record = Record::from_rdata(instance.clone(), TTL, RData::TXT(text));
        // Nobody else tells of this instance.
        record.mdns_cache_flush = true;
        message.add_additional(record);
    }
    message.to_vec().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_told_is_understood() {
        let me = PeerId::random();
        let addresses = [addr("/ip4/10.0.0.1/tcp/4001"), addr("/ip4/10.0.0.1/udp/4001/quic-v1")];
        let packet = answer("a-name", me, &addresses).unwrap();
        assert_eq!(understand(&packet), Some(Said::Tells(addresses.map(|address| (me, address)).to_vec())));
        assert_eq!(understand(&question(7)), Some(Said::Asks(7)));
        assert_eq!(answer("a-name", me, &[]), None);
    }

    /// As the mDNS of libp2p 0.57 writes it: an instance of one label, no compression.
    #[test]
    fn older_programs_are_understood() {
        let peer = PeerId::random();
        let name = b"\x20abcdefghijklmnopqrstuvwxyz012345\0";
        let mut packet =
            b"\x12\x34\x84\0\0\0\0\x01\0\0\0\x01\x04_p2p\x04_udp\x05local\0\0\x0c\0\x01\0\0\x01\x68".to_vec();
        packet.extend_from_slice(&(name.len() as u16).to_be_bytes());
        packet.extend_from_slice(name);
        packet.extend_from_slice(name);
        packet.extend_from_slice(b"\0\x10\x80\x01\0\0\x01\x68");
        let text = format!("dnsaddr=/ip4/10.0.0.1/tcp/4001/p2p/{peer}");
        packet.extend_from_slice(&(text.len() as u16 + 1).to_be_bytes());
        packet.push(text.len() as u8);
        packet.extend_from_slice(text.as_bytes());
        assert_eq!(understand(&packet), Some(Said::Tells(vec![(peer, addr("/ip4/10.0.0.1/tcp/4001"))])));
        for n in 0..packet.len() {
            assert_eq!(understand(&packet[..n]), None, "the first {n} bytes of it");
        }
        // Taken back.
        let ttl = packet.windows(4).position(|bytes| bytes == b"\0\0\x01\x68").unwrap();
        packet[ttl..ttl + 4].fill(0);
        assert_eq!(understand(&packet), None);
    }

    #[test]
    fn other_packets_say_nothing() {
        let printer = b"\0\0\0\0\0\x01\0\0\0\0\0\0\x04_ipp\x04_tcp\x05local\0\0\x0c\0\x01";
        for packet in [&b""[..], &[0; 12], &[0xff; 100], printer] {
            assert_eq!(understand(packet), None);
        }
        let mut counts_too_many = question(7);
        counts_too_many[10..12].fill(0xff);
        assert_eq!(understand(&counts_too_many), None);
        let mut too_long = question(7);
        too_long.resize(MAX_PACKET + 1, 0);
        assert_eq!(understand(&too_long), None);
    }

    #[test]
    fn of_a_packet_that_tells_of_a_crowd_a_few_are_looked_at() {
        let mut message = Message::new(0, MessageType::Response, OpCode::Query);
        let service = Name::from_ascii(SERVICE).unwrap();
        for n in 0..24 {
            let instance = service.prepend_label(n.to_string()).unwrap();
            let pointer = RData::PTR(rdata::PTR(instance.clone()));
            message.add_answer(Record::from_rdata(service.clone(), u32::MAX, pointer));
            let text = format!("dnsaddr=/ip4/10.0.0.1/tcp/{}/p2p/{}", n + 1, PeerId::random());
            let text = RData::TXT(rdata::TXT::new(vec![text; 4]));
            message.add_additional(Record::from_rdata(instance, u32::MAX, text));
        }
        let Some(Said::Tells(told)) = understand(&message.to_vec().unwrap()) else { panic!("not understood") };
        assert_eq!(told.len(), MAX_ADDRESSES);
    }
}

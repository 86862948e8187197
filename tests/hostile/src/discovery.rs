//! Multicast DNS in other hosts' names.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
};

use libp2p::{Multiaddr, PeerId};
use socket2::{Domain, Protocol, Socket, Type};

/// Where mDNS is spoken.
const GROUP: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);
/// How long what is told is to be believed: as long as can be said.
const TTL: [u8; 4] = [0x7f, 0xff, 0xff, 0xff];
const SERVICE: &[u8] = b"\x04_p2p\x04_udp\x05local\0";
/// The service's place in a packet, to point at.
const SERVICE_AT: u16 = 12;

/// A mouth that speaks in the name of some host.
#[derive(Debug)]
pub struct Forger(UdpSocket);

impl Forger {
    /// Speaks as the host with the first address, by the interface that has the second.
    ///
    /// # Errors
    /// If this process may not: it needs the right to administer its network.
    pub fn of(host: Ipv4Addr, by: Ipv4Addr) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_ip_transparent_v4(true)?;
        socket.bind(&SocketAddr::from((host, 0)).into())?;
        socket.set_multicast_if_v4(&by)?;
        Ok(Self(socket.into()))
    }

    /// Tells everybody that these peers are at these addresses, in one packet.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub fn tell(&self, peers: &[(PeerId, Multiaddr)]) -> io::Result<()> {
        self.0.send_to(&packet(peers), GROUP).map(drop)
    }
}

/// A pointer and a text for each of them.
fn packet(peers: &[(PeerId, Multiaddr)]) -> Vec<u8> {
    let count = (peers.len() as u16).to_be_bytes();
    let mut packet = [&[0, 0, 0x84, 0, 0, 0][..], &count, &[0, 0], &count].concat();
    let name = |n: usize| [&[8][..], format!("{n:08x}").as_bytes(), &[0]].concat();
    for n in 0..peers.len() {
        let service = if n == 0 { SERVICE.to_vec() } else { (0xc000 | SERVICE_AT).to_be_bytes().to_vec() };
        record(&mut packet, &service, [0, 12, 0, 1], &name(n));
    }
    for (n, (peer, address)) in peers.iter().enumerate() {
        let text = format!("dnsaddr={address}/p2p/{peer}");
        let text = [&[text.len() as u8][..], text.as_bytes()].concat();
        record(&mut packet, &name(n), [0, 16, 0x80, 1], &text);
    }
    packet
}

fn record(packet: &mut Vec<u8>, name: &[u8], kind_and_class: [u8; 4], data: &[u8]) {
    packet.extend_from_slice(name);
    packet.extend_from_slice(&kind_and_class);
    packet.extend_from_slice(&TTL);
    packet.extend_from_slice(&(data.len() as u16).to_be_bytes());
    packet.extend_from_slice(data);
}

//! Addresses: which of them can be dialled, and from where.

use std::net::{IpAddr, SocketAddr};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// An address that can be dialled, without its peer id, and the peer id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dialable {
    pub(super) address: Multiaddr,
    pub(super) peer: Option<PeerId>,
}

/// Takes apart an address; `None` unless it is one IP address with a TCP port or with a UDP port and QUIC, and maybe a
/// peer id. What the network tells may be anything, and is to lead nowhere else.
pub(super) fn dialable(address: &Multiaddr) -> Option<Dialable> {
    let mut parts = address.iter();
    let host = parts.next()?;
    let ip = match host {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    if ip.is_unspecified() || ip.is_multicast() {
        return None;
    }
    let mut bare = Multiaddr::empty().with(host);
    match parts.next()? {
        Protocol::Tcp(port) if port != 0 => bare.push(Protocol::Tcp(port)),
        Protocol::Udp(port) if port != 0 => {
            if parts.next()? != Protocol::QuicV1 {
                return None;
            }
            bare.push(Protocol::Udp(port));
            bare.push(Protocol::QuicV1);
        }
        _ => return None,
    }
    let peer = match parts.next() {
        None => None,
        Some(Protocol::P2p(peer)) => Some(peer),
        Some(_) => return None,
    };
    parts.next().is_none().then_some(Dialable { address: bare, peer })
}

/// The IP address at the front.
pub(super) fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
        _ => None,
    }
}

/// The TCP socket that it is of.
pub(super) fn tcp(address: &Multiaddr) -> Option<SocketAddr> {
    match address.iter().nth(1)? {
        Protocol::Tcp(port) => Some((ip(address)?, port).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, expect: Option<&str>) {
        let bare = dialable(&address.parse().unwrap()).map(|dialable| dialable.address.to_string());
        assert_eq!(bare.as_deref(), expect, "{address}");
    }

    #[test]
    fn only_tcp_and_quic_on_one_host_can_be_dialled() {
        let peer = PeerId::random();
        check("/ip4/10.0.0.1/tcp/4001", Some("/ip4/10.0.0.1/tcp/4001"));
        check(&format!("/ip4/10.0.0.1/tcp/4001/p2p/{peer}"), Some("/ip4/10.0.0.1/tcp/4001"));
        check("/ip6/::1/udp/7/quic-v1", Some("/ip6/::1/udp/7/quic-v1"));
        for wrong in [
            "/ip4/10.0.0.1",
            "/ip4/10.0.0.1/tcp/0",
            "/ip4/0.0.0.0/tcp/4001",
            "/ip4/224.0.0.251/tcp/4001",
            "/ip4/10.0.0.1/udp/4001",
            "/ip4/10.0.0.1/udp/4001/quic",
            "/ip4/10.0.0.1/tcp/4001/ws",
            "/dns4/example.org/tcp/4001",
            "/memory/7",
        ] {
            check(wrong, None);
        }
        check(&format!("/ip4/10.0.0.1/tcp/4001/p2p/{peer}/p2p-circuit/p2p/{peer}"), None);
    }
}

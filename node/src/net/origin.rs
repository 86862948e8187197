//! Where somebody comes from.

use std::net::IpAddr;

use libp2p::Multiaddr;

use super::address::ip;

/// An address, and of IPv6 the network, for of these anybody has as many as he likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin(pub(super) IpAddr);

impl Origin {
    pub(super) fn of(address: &Multiaddr) -> Option<Self> {
        Some(Self(match ip(address)? {
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
            v4 => v4,
        }))
    }
}

//! Packets of mDNS, which anybody on the network can send.

#[path = "../../../../node/src/net/mdns/wire.rs"]
mod wire;

use wire::Said;

/// What is understood of a packet is bounded, and what it tells of a peer is understood as the same when it is told again.
pub(super) fn run(bytes: &[u8]) {
    match wire::understand(bytes) {
        Some(Said::Asks(id)) => assert_eq!(wire::understand(&wire::question(id)), Some(Said::Asks(id))),
        Some(Said::Tells(told)) => {
            assert!(!told.is_empty() && told.len() <= wire::MAX_ADDRESSES);
            for (peer, address) in told {
                // What bears a peer id within, or is too long for one text, is nothing to dial.
                let Some(packet) = wire::answer("name", peer, std::slice::from_ref(&address)) else { continue };
                if let Some(Said::Tells(again)) = wire::understand(&packet) {
                    assert_eq!(again, [(peer, address)]);
                }
            }
        }
        None => {}
    }
}

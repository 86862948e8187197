//! What a client says of itself.

use libp2p::identity::PublicKey;

use crate::varint::{field, with_length};

/// The answer to `/ipfs/id/1.0.0` of a program that speaks these protocols.
pub(crate) fn identify(key: &PublicKey, agent: &str, protocols: &[String]) -> Vec<u8> {
    let mut message = Vec::new();
    field(&mut message, 1, &key.encode_protobuf());
    for protocol in protocols {
        field(&mut message, 3, protocol.as_bytes());
    }
    field(&mut message, 5, b"/distchat/1");
    field(&mut message, 6, agent.as_bytes());
    with_length(&message)
}

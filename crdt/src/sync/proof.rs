//! What entering a room takes: knowing its id, and owning an author key.

use super::{Peer, Proof};
use crate::{AuthorId, RoomId, Signature, Verifier, id::sha256, sign::Signer};

/// Shows `to` that `from` knows the room id, and tells nobody the id: SHA-256 over a tag, the id, and both peer ids, each
/// behind its length in one byte. It is of no use to anybody else, nor in the other direction.
pub fn proof(room: &RoomId, from: &Peer, to: &Peer) -> Proof {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let length = |bytes: &[u8]| [u8::try_from(bytes.len()).unwrap_or(u8::MAX)];
    Proof(sha256(&[b"distchat/1/enter\0", room.as_bytes(), &length(from), from, &length(to), to]))
}

fn signed_peer(peer: &Peer) -> Vec<u8> {
    [b"distchat/1/peer\0", peer.as_bytes()].concat()
}

/// The author's word that this peer id is its own.
pub fn sign_peer(signer: &dyn Signer, peer: &Peer) -> Signature {
    signer.sign(&signed_peer(peer))
}

/// Whether it is the author's word.
pub fn verify_peer(verifier: &dyn Verifier, author: &AuthorId, peer: &Peer, signature: &Signature) -> bool {
    verifier.verify(author, &signed_peer(peer), signature)
}

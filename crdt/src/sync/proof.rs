//! What entering a room takes: knowing its id, and owning an author key.

use super::{Peer, Proof};
use crate::{AuthorId, RoomId, Signature, Verifier, id::sha256, sign::Signer};

/// Shows `to` that `from` knows the room id, and tells nobody the id: SHA-256 over a tag, the id, and both peer ids, each
/// behind its length in one byte. It is of no use to anybody else, nor in the other direction.
///
/// ```
/// use distchat_crdt::{RoomId, sync::{Peer, proof}};
///
/// let (room, ana, bob) = (RoomId([7; 32]), Peer::new(b"ana"), Peer::new(b"bob"));
/// // Ana sends it, and bob, who knows the room, computes the same.
/// let sent = proof(&room, &ana, &bob);
/// assert_eq!(sent, proof(&room, &ana, &bob));
/// assert_ne!(sent, proof(&room, &bob, &ana), "bob cannot send it back");
/// assert_ne!(sent, proof(&RoomId([8; 32]), &ana, &bob));
/// ```
pub fn proof(room: &RoomId, from: &Peer, to: &Peer) -> Proof {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let length = |bytes: &[u8]| [u8::try_from(bytes.len()).unwrap_or(u8::MAX)];
    Proof(sha256(&[b"distchat/1/enter\0", room.as_bytes(), &length(from), from, &length(to), to]))
}

fn signed_peer(peer: &Peer) -> Vec<u8> {
    [b"distchat/1/peer\0", peer.as_bytes()].concat()
}

/// The author's word that this peer id is its own.
///
/// ```
/// use distchat_crdt::{Keypair, sync::{Peer, sign_peer}};
///
/// let ana = Keypair::from_seed([1; 32]);
/// let [this_run, next_run] = [b"peer 1", b"peer 2"].map(|id| Peer::new(id));
/// assert_ne!(sign_peer(&ana, &this_run), sign_peer(&ana, &next_run), "it is worth nothing to another peer");
/// ```
pub fn sign_peer(signer: &dyn Signer, peer: &Peer) -> Signature {
    signer.sign(&signed_peer(peer))
}

/// Whether it is the author's word.
///
/// ```
/// use distchat_crdt::{Keypair, Signer, Zip215, sync::{Peer, sign_peer, verify_peer}};
///
/// let (ana, verifier) = (Keypair::from_seed([1; 32]), Zip215::new([9; 32]));
/// let signature = sign_peer(&ana, &Peer::new(b"ana"));
/// assert!(verify_peer(&verifier, &ana.author(), &Peer::new(b"ana"), &signature));
/// assert!(!verify_peer(&verifier, &ana.author(), &Peer::new(b"mallory"), &signature));
/// ```
pub fn verify_peer(verifier: &dyn Verifier, author: &AuthorId, peer: &Peer, signature: &Signature) -> bool {
    verifier.verify(author, &signed_peer(peer), signature)
}

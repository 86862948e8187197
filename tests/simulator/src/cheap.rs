//! Signatures that cost next to nothing, behind the traits of the real ones: a run checks thousands of them, and what is
//! under test is what replicas make of a verdict, not the curve.

use distchat_crdt::{AuthorId, Signature, Signer, Verifier};

/// An author by number. Its key is no secret: whoever knows the number can sign, so nobody in a run forges on purpose
/// what it says it cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Author(pub(crate) u16);

impl Signer for Author {
    fn author(&self) -> AuthorId {
        let [high, low] = self.0.to_be_bytes();
        let mut id = [high ^ low; 32];
        (id[0], id[1]) = (high, low);
        AuthorId(id)
    }

    fn sign(&self, bytes: &[u8]) -> Signature {
        Signature(digest(&self.author(), bytes))
    }
}

/// Accepts what [`Author::sign`] made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cheap;

impl Verifier for Cheap {
    fn verify(&self, author: &AuthorId, bytes: &[u8], signature: &Signature) -> bool {
        signature.0 == digest(author, bytes)
    }
}

/// A hash that nobody attacks here: 8 bytes at a time through a multiplication and a rotation.
fn digest(author: &AuthorId, bytes: &[u8]) -> [u8; 64] {
    let mut state = u64::from_be_bytes([author.0[0], author.0[1], 0, 0, 0, 0, 0, 1]);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = (state ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    let mut signature = [0; 64];
    for part in signature.chunks_mut(8) {
        state = state.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ state >> 31;
        part.copy_from_slice(&state.to_be_bytes());
    }
    signature
}

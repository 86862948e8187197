//! Gossip that only those can read who know the room.
//!
//! Whoever is connected can have what is said in any topic sent to him: gossipsub tells everybody the topics that a node takes
//! part in, and asks nothing of those who want to hear. So what goes out is encrypted, under a key that follows from the room's
//! id. Those who know the room's name have it, which is all that it takes to be in the room.

use std::fmt;

use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce, aead::Aead};

use super::MAX_GOSSIP;
use crate::{RoomId, id::sha256};

/// Length of the nonce in front, in bytes.
const NONCE_LEN: usize = 24;
/// How many bytes longer a frame of gossip is once it is sealed: the nonce in front, and the tag behind.
pub const SEAL_LEN: usize = NONCE_LEN + 16;

/// The key under which what is said in a room goes through gossip: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03, RFC 8439).
///
/// ```
/// use distchat_crdt::{RoomId, sync::GossipKey};
///
/// let [whales, birds] = [7, 8].map(|n| GossipKey::of(&RoomId([n; 32])));
/// let sealed = whales.seal(b"hello").unwrap();
/// assert_eq!(whales.open(&sealed).as_deref(), Some(&b"hello"[..]));
/// assert_eq!(birds.open(&sealed), None);
/// ```
#[derive(Clone)]
pub struct GossipKey([u8; 32]);

impl GossipKey {
    /// The key of a room.
    ///
    /// ```
    /// use distchat_crdt::{RoomId, sync::GossipKey};
    ///
    /// let [here, there] = [(); 2].map(|()| GossipKey::of(&RoomId([7; 32])));
    /// assert!(there.open(&here.seal(b"hello").unwrap()).is_some(), "it follows from the room");
    /// ```
    pub fn of(room: &RoomId) -> Self {
        Self(sha256(&[b"distchat/1/gossip\0", room.as_bytes()]))
    }

    /// Seals a frame, which becomes [`SEAL_LEN`] bytes longer. `None` if it has more than [`MAX_GOSSIP`] bytes.
    ///
    /// The nonce follows from the frame: the same frame is sealed to the same bytes, and no two others share a nonce, whatever
    /// random numbers a machine has, were it a copy of another one.
    ///
    /// ```
    /// use distchat_crdt::{RoomId, sync::{GossipKey, MAX_GOSSIP, SEAL_LEN}};
    ///
    /// let key = GossipKey::of(&RoomId([7; 32]));
    /// assert_eq!(key.seal(b"hello"), key.seal(b"hello"));
    /// assert_eq!(key.seal(&[1; MAX_GOSSIP]).unwrap().len(), MAX_GOSSIP + SEAL_LEN);
    /// assert_eq!(key.seal(&[1; MAX_GOSSIP + 1]), None);
    /// ```
    pub fn seal(&self, frame: &[u8]) -> Option<Vec<u8>> {
        if frame.len() > MAX_GOSSIP {
            return None;
        }
        let hash = sha256(&[b"distchat/1/nonce\0", &self.0, frame]);
        let (nonce, _) = hash.split_first_chunk::<NONCE_LEN>()?;
        // It fails for lengths only that are far beyond the limit.
        let encrypted = self.cipher().encrypt(&XNonce::from(*nonce), frame).ok()?;
        Some([nonce, encrypted.as_slice()].concat())
    }

    /// Opens what was sealed. `None` if it was not sealed under this key, or has more than [`MAX_GOSSIP`] bytes in it.
    ///
    /// ```
    /// use distchat_crdt::{RoomId, sync::GossipKey};
    ///
    /// let key = GossipKey::of(&RoomId([7; 32]));
    /// let mut sealed = key.seal(b"hello").unwrap();
    /// *sealed.last_mut().unwrap() ^= 1;
    /// assert_eq!(key.open(&sealed), None);
    /// ```
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        if sealed.len() > MAX_GOSSIP + SEAL_LEN {
            return None;
        }
        let (nonce, encrypted) = sealed.split_first_chunk::<NONCE_LEN>()?;
        self.cipher().decrypt(&XNonce::from(*nonce), encrypted).ok()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(self.0))
    }
}

/// Without the key itself, which may end in a log.
impl fmt::Debug for GossipKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GossipKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(room: u8) -> GossipKey {
        GossipKey::of(&RoomId([room; 32]))
    }

    #[test]
    fn whatever_is_sealed_is_opened_by_its_room_and_by_no_other() {
        for length in [0, 1, 15, 16, 17, 300, 4097, MAX_GOSSIP] {
            let frame: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let sealed = key(1).seal(&frame).unwrap();
            assert_eq!(sealed.len(), length + SEAL_LEN);
            assert_eq!(key(1).open(&sealed), Some(frame));
            assert_eq!(key(2).open(&sealed), None);
        }
    }

    #[test]
    fn a_changed_bit_or_a_cut_is_noticed_wherever_it_is() {
        let sealed = key(1).seal(b"what was said").unwrap();
        for bit in 0..8 * sealed.len() {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key(1).open(&changed), None, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(key(1).open(&sealed[..length]), None, "cut to {length}");
        }
        assert_eq!(key(1).open(&[sealed, vec![0]].concat()), None);
    }

    #[test]
    fn what_is_too_long_is_not_opened() {
        let (nonce, frame) = (XNonce::from([3; NONCE_LEN]), vec![1; MAX_GOSSIP + 1]);
        let encrypted = key(1).cipher().encrypt(&nonce, frame.as_slice()).unwrap();
        assert_eq!(key(1).open(&[nonce.as_slice(), &encrypted].concat()), None);
    }

    #[test]
    fn no_two_frames_and_no_two_rooms_share_a_nonce() {
        let nonces = [(1, &b"one"[..]), (1, b"two"), (2, b"one")]
            .map(|(room, frame)| key(room).seal(frame).unwrap()[..NONCE_LEN].to_vec());
        assert!(nonces[0] != nonces[1] && nonces[0] != nonces[2]);
    }

    #[test]
    fn the_key_is_not_shown() {
        assert_eq!(format!("{:?}", key(1)), "GossipKey(..)");
    }
}

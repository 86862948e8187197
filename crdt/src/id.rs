//! The fixed-size names of things: rooms, topics, authors and messages.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::RoomName;

/// SHA-256 over the parts, one after the other. Callers put a domain tag first, so that no two uses share inputs.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Two digits a byte, in lower case. Every message on a screen has some, so it is not left to the formatting machinery.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    text.extend(digits.filter_map(|digit| char::from_digit(digit.into(), 16)));
    text
}

/// Parses exactly `N` bytes of hex, of either case.
fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(*pair.first()?).to_digit(16)?;
        let low = char::from(*pair.last()?).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(bytes)
}

struct BytesVisitor<const N: usize>;

impl<'de, const N: usize> de::Visitor<'de> for BytesVisitor<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a byte string of {N} bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
    }
}

/// Reads a byte string of exactly `N` bytes. The format's own buffer bounds what is allocated.
pub(crate) fn deserialize_array<'de, const N: usize, D: Deserializer<'de>>(d: D) -> Result<[u8; N], D::Error> {
    d.deserialize_bytes(BytesVisitor::<N>)
}

/// In formats for people these are hex digits, in others byte strings.
macro_rules! fixed_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// The bytes themselves.
            ///
            /// ```
            #[doc = concat!(" use distchat_crdt::", stringify!($name), ";")]
            ///
            #[doc = concat!(" let bytes = [7; ", stringify!($len), "];")]
            #[doc = concat!(" assert_eq!(", stringify!($name), "(bytes).as_bytes(), &bytes);")]
            /// ```
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Parses the hex form that `Display` writes, in either case; `None` for anything else.
            ///
            /// ```
            #[doc = concat!(" use distchat_crdt::", stringify!($name), ";")]
            ///
            #[doc = concat!(" let sevens = ", stringify!($name), "([0x77; ", stringify!($len), "]);")]
            #[doc = concat!(" assert_eq!(", stringify!($name), "::from_hex(&sevens.to_string()), Some(sevens));")]
            #[doc = concat!(" assert_eq!(", stringify!($name), "::from_hex(\"77\"), None, \"too short\");")]
            /// ```
            pub fn from_hex(text: &str) -> Option<Self> {
                parse_hex(text).map(Self)
            }

            /// The first 8 hex digits: enough to tell a handful of them apart, and no more.
            ///
            /// ```
            #[doc = concat!(" use distchat_crdt::", stringify!($name), ";")]
            ///
            #[doc = concat!(" assert_eq!(", stringify!($name), "([0xab; ", stringify!($len), "]).short(), \"abababab\");")]
            /// ```
            pub fn short(&self) -> String {
                let [a, b, c, d, ..] = self.0;
                hex(&[a, b, c, d])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                if s.is_human_readable() { s.collect_str(self) } else { s.serialize_bytes(&self.0) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                if !d.is_human_readable() {
                    return deserialize_array(d).map(Self);
                }
                let text = String::deserialize(d)?;
                let wrong = || de::Error::invalid_value(de::Unexpected::Str(&text), &"hex digits, two a byte");
                Self::from_hex(&text).ok_or_else(wrong)
            }
        }
    };
}

fixed_bytes!(
    /// A room: SHA-256 over a domain tag and the normalised name. Whoever knows the name knows the room.
    ///
    /// ```
    /// use distchat_crdt::{RoomId, RoomName};
    ///
    /// assert_eq!(RoomId::of(&RoomName::parse("General ")?), RoomId::of(&RoomName::parse("general")?));
    /// assert_ne!(RoomId::of(&RoomName::parse("whales")?), RoomId::of(&RoomName::parse("general")?));
    /// # Ok::<(), distchat_crdt::RoomNameError>(())
    /// ```
    RoomId,
    32
);
fixed_bytes!(
    /// What a room is called on the network: a hash of its id, so that hearing the topic does not tell the id.
    ///
    /// ```
    /// use distchat_crdt::{RoomId, Topic};
    ///
    /// // As the gossip of the room is called: its hex digits.
    /// let called = RoomId([7; 32]).topic().to_string();
    /// assert_eq!(Topic::from_hex(&called), Some(RoomId([7; 32]).topic()));
    /// ```
    Topic,
    32
);
fixed_bytes!(
    /// An author: an Ed25519 public key (RFC 8032), unchecked bytes until a signature is verified against it.
    ///
    /// ```
    /// use distchat_crdt::{AuthorId, Keypair, Signer, Verifier, Zip215};
    ///
    /// let ana = Keypair::from_seed([1; 32]);
    /// let signature = ana.sign(b"hello");
    /// let verifier = Zip215::new([9; 32]);
    /// assert!(verifier.verify(&ana.author(), b"hello", &signature));
    /// assert!(!verifier.verify(&AuthorId([7; 32]), b"hello", &signature));
    /// ```
    AuthorId,
    32
);
fixed_bytes!(
    /// A message: SHA-256 over all its bytes, the signature included.
    ///
    /// ```
    /// # use distchat_crdt::{Draft, Keypair, MessageId, RoomId, Timestamp};
    /// # let draft = Draft {
    /// #     room: RoomId([7; 32]), seq: 0, time: Timestamp(1), prev: None, seen: Vec::new(), kind: 0, body: Vec::new(),
    /// # };
    /// use sha2::{Digest, Sha256};
    ///
    /// let message = draft.sign(&Keypair::from_seed([1; 32]))?;
    /// assert_eq!(message.id(), MessageId(Sha256::digest(message.bytes()).into()));
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    MessageId,
    32
);
fixed_bytes!(
    /// A room's whole transcript in 32 bytes: equal if and only if the transcripts are.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let [mut here, mut there] =
    /// #     [(); 2].map(|()| Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32]))));
    /// # let clock = Clocks::default().read(Now::default());
    /// let (commit, said) = here.say(&ana, &clock, vec![(kind::TEXT, b"hello".to_vec())]);
    /// said?;
    /// assert_ne!(here.fingerprint(), there.fingerprint());
    /// there.merge(commit.messages);
    /// assert_eq!(here.fingerprint(), there.fingerprint());
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    Fingerprint,
    32
);
fixed_bytes!(
    /// An Ed25519 signature (RFC 8032), judged by ZIP 215.
    ///
    /// ```
    /// use distchat_crdt::{Keypair, Signature, Signer};
    ///
    /// let signature = Keypair::from_seed([1; 32]).sign(b"hello");
    /// assert_eq!(signature.as_bytes().len(), 64);
    /// assert_ne!(signature, Signature([0; 64]));
    /// ```
    Signature,
    64
);

impl RoomId {
    /// The id of the room of that name.
    ///
    /// ```
    /// use distchat_crdt::{RoomId, RoomName};
    ///
    /// let general = RoomId::of(&RoomName::parse("general")?);
    /// assert_eq!(general.short(), "d863366c");
    /// # Ok::<(), distchat_crdt::RoomNameError>(())
    /// ```
    pub fn of(name: &RoomName) -> Self {
        Self(sha256(&[b"distchat/1/room\0", name.as_str().as_bytes()]))
    }

    /// What this room is called on the network.
    ///
    /// ```
    /// use distchat_crdt::RoomId;
    ///
    /// let room = RoomId([7; 32]);
    /// assert_ne!(room.topic().as_bytes(), room.as_bytes());
    /// assert_eq!(room.topic(), RoomId([7; 32]).topic());
    /// ```
    pub fn topic(&self) -> Topic {
        Topic(sha256(&[b"distchat/1/topic\0", &self.0]))
    }
}

impl Fingerprint {
    /// The first 16 hex digits in groups of four, for people to read to each other.
    ///
    /// ```
    /// use distchat_crdt::Fingerprint;
    ///
    /// assert_eq!(Fingerprint([0xab; 32]).grouped(), "abab abab abab abab");
    /// ```
    pub fn grouped(&self) -> String {
        let groups: Vec<String> =
            self.0.chunks(2).take(4).map(|pair| pair.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
        groups.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_there_and_back() {
        let id = MessageId(std::array::from_fn(|i| i as u8 * 7));
        assert_eq!(MessageId::from_hex(&id.to_string()), Some(id));
        assert_eq!(id.short(), id.to_string()[..8]);
        for wrong in ["", "00", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(MessageId::from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_fingerprint_is_grouped_for_people() {
        assert_eq!(Fingerprint([0xab; 32]).grouped(), "abab abab abab abab");
    }
}

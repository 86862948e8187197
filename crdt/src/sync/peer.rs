//! Who is at the other end of a connection.

use std::{fmt, sync::Arc};

/// A peer's transport identity, as bytes that the transport has authenticated: at most 255 of them, for [`super::proof()`]
/// writes their length in one byte.
///
/// ```
/// use distchat_crdt::sync::Peer;
///
/// let peers = std::collections::BTreeSet::from([Peer::new(b"bob"), Peer::new(b"ana"), Peer::new(b"bob")]);
/// assert_eq!(peers.len(), 2, "a peer is who its bytes say");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(Arc<[u8]>);

impl Peer {
    /// A peer of that identity.
    ///
    /// ```
    /// use distchat_crdt::sync::Peer;
    ///
    /// // As a rule the bytes are long, and begin alike: the last ones are shown.
    /// assert_eq!(format!("{:?}", Peer::new(&[1, 2, 3, 4, 5])), "Peer(05040302)");
    /// ```
    pub fn new(id: &[u8]) -> Self {
        Self(id.into())
    }

    /// The identity's bytes.
    ///
    /// ```
    /// use distchat_crdt::sync::Peer;
    ///
    /// assert_eq!(Peer::new(b"bob").as_bytes(), b"bob");
    /// ```
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peer(")?;
        self.0.iter().rev().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

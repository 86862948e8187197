//! Who is at the other end of a connection.

use std::{fmt, sync::Arc};

/// A peer's transport identity, as bytes that the transport has authenticated. At most 255 count.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(Arc<[u8]>);

impl Peer {
    /// A peer of that identity.
    pub fn new(id: &[u8]) -> Self {
        Self(id.into())
    }

    /// The identity's bytes.
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

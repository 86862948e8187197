//! Sockets where the system has none that only one user can reach: nobody can be attached to.

use std::io;
use std::path::Path;

/// A connection. There are none.
pub(super) type Stream = tokio::io::DuplexStream;

/// A socket that nobody connects to.
#[derive(Debug)]
pub(super) struct Socket;

impl Socket {
    pub(super) fn listen(_directory: &Path) -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        std::future::pending().await
    }
}

pub(super) async fn connect(_directory: &Path) -> io::Result<Option<Stream>> {
    Ok(None)
}

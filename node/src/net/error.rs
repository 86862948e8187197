//! What can go wrong, in words that say what to do.

use std::io;

use libp2p::{Multiaddr, TransportError};
use thiserror::Error;

/// Why the network part cannot start.
#[derive(Debug, Error)]
pub(crate) enum NetError {
    /// An address that was asked for cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address as it was given.
        address: Multiaddr,
        /// What is wrong with it, and what to do.
        cause: String,
    },
    /// Too many addresses to connect to.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Something of the machine that a node cannot do without.
    #[error("cannot set up the network: {0}")]
    Setup(String),
}

/// Why an address is not dialled.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::{Config, ConnectError, Multiaddr, Node};
///
/// # let config = |profile: &str| Config {
/// #     profile: profile.into(),
/// #     memory: true,
/// #     mdns: false,
/// #     same_machine: false,
/// #     listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
/// #     ..Config::default()
/// # };
/// let node = Node::start(config("alice")).await?;
/// let named: Multiaddr = "/dns4/example.org/tcp/4001".parse()?;
/// assert_eq!(node.connect(named.clone()).await, Err(ConnectError::Unsupported(named)));
/// let own = node.listeners().remove(0);
/// assert_eq!(node.connect(own.clone()).await, Err(ConnectError::Own(own)));
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// Not a TCP or QUIC address.
    #[error(
        "cannot connect to {0}: give an address such as /ip4/192.168.1.7/tcp/4001 or /ip4/192.168.1.7/udp/4001/quic-v1"
    )]
    Unsupported(Multiaddr),
    /// The address bears this node's own peer id.
    #[error("{0} is this node itself: give the address of another one")]
    Own(Multiaddr),
    /// The limit on addresses that are kept is reached.
    #[error("{0} addresses are being dialled already, which is the limit: leave out those that are not needed")]
    TooMany(usize),
    /// The node was started without a network.
    #[error("this node was started offline, for what is on disk: start it without that to connect to others")]
    Offline,
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Closed,
}

impl ConnectError {
    /// A short name for programs.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Node};
    ///
    /// # let config = Config { memory: true, offline: true, ..Config::default() };
    /// let node = Node::start(config).await?;
    /// let error = node.connect("/ip4/192.0.2.1/tcp/4001".parse()?).await.unwrap_err();
    /// assert_eq!(error.code(), "offline");
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsupported(_) => "address-unsupported",
            Self::Own(_) => "address-own",
            Self::TooMany(_) => "too-many-addresses",
            Self::Offline => "offline",
            Self::Closed => "closed",
        }
    }
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum RequestError {
    /// It was not sent: the peer has not said yet what it speaks, or has too many requests open. It knows nothing of it.
    #[error("not sent")]
    Unsent,
    /// It was not sent, for the peer is not connected.
    #[error("the peer is not there")]
    Gone,
    /// No answer in time. The peer may have acted on it.
    #[error("no answer in time")]
    Timeout,
    /// The connection was lost. The peer may have acted on it.
    #[error("the connection was lost")]
    Disconnected,
    /// The answer breaks the protocol. The peer has been charged.
    #[error("a malformed answer")]
    Malformed,
}

/// The network part has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the network part has ended")]
pub(crate) struct Closed;

/// What a failed attempt to listen means to the one who gave the address.
pub(super) fn listen_error(address: &Multiaddr, error: &TransportError<io::Error>) -> NetError {
    let cause = match error {
        TransportError::MultiaddrNotSupported(_) => {
            "not an address to listen on: give one such as /ip4/0.0.0.0/tcp/4001 or /ip4/0.0.0.0/udp/4001/quic-v1"
                .to_owned()
        }
        TransportError::Other(error) => io_cause(error),
    };
    NetError::Listen { address: address.clone(), cause }
}

/// The same for what the system said.
pub(super) fn io_cause(error: &io::Error) -> String {
    match root_kind(error) {
        io::ErrorKind::AddrInUse => {
            "port already in use: stop the program that uses it, or choose another port (0 takes any free one)"
                .to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: give one of its own, or 0.0.0.0 for all of them".to_owned()
        }
        io::ErrorKind::PermissionDenied => "not permitted: choose a port above 1023".to_owned(),
        _ => error.to_string(),
    }
}

/// The kind of the innermost I/O error: transports wrap the system's error into their own.
fn root_kind(error: &io::Error) -> io::ErrorKind {
    let mut source = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(inner) = source {
        if let Some(inner) = inner.downcast_ref::<io::Error>() {
            return root_kind(inner);
        }
        source = inner.source();
    }
    error.kind()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_error_is_understood() {
        let inner = io::Error::from(io::ErrorKind::AddrInUse);
        let wrapped = io::Error::other(io::Error::other(inner));
        assert!(io_cause(&wrapped).starts_with("port already in use"));
        assert_eq!(io_cause(&io::Error::other("boom")), "boom");
    }
}

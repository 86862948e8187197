//! A program that others find and dial.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use distchat_crdt::sync::Peer;
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, ListenerId, TransportEvent},
        upgrade,
    },
    identity::{Keypair, PublicKey},
    multiaddr::Protocol,
    noise, tcp, yamux,
};
use tokio::task::JoinSet;

use crate::{
    connection::{Known, hold},
    identity::identify,
};

/// Waits at an address for those who dial it, says what it is, and takes everything else without a word.
pub struct Awaiting {
    key: PublicKey,
    transport: Boxed<(PeerId, StreamMuxerBox)>,
    address: Multiaddr,
}

impl Awaiting {
    /// Listens for TCP.
    ///
    /// # Errors
    /// If it cannot listen there.
    pub fn at(own: SocketAddr) -> io::Result<Self> {
        let keypair = Keypair::generate_ed25519();
        let noise = noise::Config::new(&keypair).map_err(io::Error::other)?;
        let mut transport = tcp::tokio::Transport::new(tcp::Config::default())
            .upgrade(upgrade::Version::V1Lazy)
            .authenticate(noise)
            .multiplex(yamux::Config::default())
            .boxed();
        let address = Multiaddr::from(own.ip()).with(Protocol::Tcp(own.port()));
        transport.listen_on(ListenerId::next(), address.clone()).map_err(io::Error::other)?;
        Ok(Self { key: keypair.public(), transport, address })
    }

    /// Who waits, and where.
    pub fn place(&self) -> (PeerId, Multiaddr) {
        (self.key.to_peer_id(), self.address.clone())
    }

    /// Takes whoever comes, as a program of that name which speaks these protocols, and counts the connections.
    pub async fn take(mut self, agent: &str, protocols: &[String], came: &AtomicUsize) {
        let mut taken = JoinSet::new();
        loop {
            let TransportEvent::Incoming { upgrade, .. } = self.transport.select_next_some().await else { continue };
            // It is between two hosts that do nothing else.
            let Ok((peer, muxer)) = upgrade.await else { continue };
            came.fetch_add(1, Ordering::Relaxed);
            let known = Known {
                identity: Some(identify(&self.key, agent, protocols)),
                me: Peer::new(&self.key.to_peer_id().to_bytes()),
                node: Peer::new(&peer.to_bytes()),
                answers: None,
                heard: Arc::default(),
            };
            taken.spawn(hold(muxer, known));
            while taken.try_join_next().is_some() {}
        }
    }
}

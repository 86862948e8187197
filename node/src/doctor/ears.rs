//! Listening on several interfaces at once.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
};

use distchat_node::probe::{Link, listen};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{net::UdpSocket, time::Instant};

/// The longest packet that is looked at, in bytes: what fits into an Ethernet frame of the larger kind, as mDNS allows.
const MAX_PACKET: usize = 9000;

/// A packet that came in.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) interface: String,
    pub(super) from: IpAddr,
    pub(super) bytes: Vec<u8>,
}

/// Open sockets, one for each interface that can be listened on.
pub(super) struct Ears {
    waiting: FuturesUnordered<BoxFuture<'static, Heard>>,
    /// Why the others cannot.
    pub(super) deaf: BTreeMap<String, String>,
}

/// An ear, and what it has heard.
type Heard = (Ear, io::Result<(SocketAddr, Vec<u8>)>);

struct Ear {
    interface: String,
    socket: UdpSocket,
}

impl Ear {
    async fn hear(self) -> Heard {
        let mut bytes = vec![0; MAX_PACKET];
        let heard = self.socket.recv_from(&mut bytes).await;
        let heard = heard.map(|(length, from)| {
            bytes.truncate(length);
            (from, bytes)
        });
        (self, heard)
    }
}

/// One link of each interface on which others can be.
pub(super) fn one_each(links: &[Link]) -> Vec<Link> {
    let mut one: BTreeMap<&str, &Link> = BTreeMap::new();
    for link in links.iter().filter(|link| !link.address.is_loopback()) {
        one.entry(&link.name).or_insert(link);
    }
    one.into_values().cloned().collect()
}

impl Ears {
    pub(super) fn open(links: &[Link]) -> Self {
        let mut ears = Self { waiting: FuturesUnordered::new(), deaf: BTreeMap::new() };
        for link in links {
            match listen(link) {
                Ok(socket) => ears.wait(Ear { interface: link.name.clone(), socket }),
                Err(error) => drop(ears.deaf.insert(link.name.clone(), error.to_string())),
            }
        }
        ears
    }

    fn wait(&mut self, ear: Ear) {
        self.waiting.push(Box::pin(ear.hear()));
    }

    /// The next packet; `None` when it is time.
    pub(super) async fn next(&mut self, until: Instant) -> Option<Packet> {
        loop {
            let next = tokio::select! {
                Some(next) = self.waiting.next() => next,
                () = tokio::time::sleep_until(until) => return None,
            };
            match next {
                (ear, Ok((from, bytes))) => {
                    let packet = Packet { interface: ear.interface.clone(), from: from.ip(), bytes };
                    self.wait(ear);
                    return Some(packet);
                }
                (ear, Err(error)) => drop(self.deaf.insert(ear.interface, error.to_string())),
            }
        }
    }
}

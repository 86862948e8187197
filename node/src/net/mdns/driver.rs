//! What carries packets between [`Core`] and the interfaces. It decides nothing but which sockets there are.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    task::Poll,
    time::{Duration, Instant, SystemTime},
};

use libp2p::{Multiaddr, PeerId};
use socket2::SockRef;
use tokio::{
    io::ReadBuf,
    net::UdpSocket,
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::{
    Found,
    core::{Core, Output},
    renewal::{Due, Renewal},
    wire::MAX_PACKET,
};
use crate::{
    net::{
        NetEvent,
        address::{dialable, ip},
        counters::Counting,
        probe::{GROUP, Link, PORT, listen, working_links},
    },
    restart::{Decision, Intensity},
};

/// How often the machine's interfaces are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How many of them are served.
const MAX_LINKS: usize = 32;
/// How many packets are taken from a socket before something else has its turn.
const BATCH: usize = 32;
/// That of RFC 6762. No router passes packets to this group on, whatever it is.
const TIME_TO_LIVE: u32 = 255;

/// What is known elsewhere, and where what is found goes.
#[derive(Clone)]
pub(in crate::net) struct Surroundings {
    pub(in crate::net) me: PeerId,
    pub(in crate::net) listeners: watch::Receiver<Vec<Multiaddr>>,
    pub(in crate::net) peers: watch::Receiver<Vec<(PeerId, Multiaddr)>>,
    pub(in crate::net) found: mpsc::Sender<Vec<Found>>,
    pub(in crate::net) events: mpsc::Sender<NetEvent>,
    pub(in crate::net) counting: Arc<Counting>,
    pub(in crate::net) shutdown: CancellationToken,
}

/// Looks for others until cancelled. Panics are caught, and the work goes on.
pub(in crate::net) async fn run(surroundings: Surroundings) {
    let mut intensity = Intensity::default();
    loop {
        let failure = match tokio::spawn(Driver::new(surroundings.clone()).run()).await {
            Ok(()) => return,
            Err(failure) => failure,
        };
        match intensity.crashed(tokio::time::Instant::now()) {
            Decision::Restart(pause) => {
                error!(%failure, ?pause, "mDNS crashed and is started again");
                tokio::time::sleep(pause).await;
            }
            Decision::GiveUp => {
                surroundings.warn("it has crashed too often");
                return;
            }
        }
    }
}

impl Surroundings {
    /// Tells a person that it does not work.
    fn warn(&self, why: &str) {
        let message =
            format!("others on this network are not found by themselves, give their addresses with --connect: {why}");
        if self.events.try_send(NetEvent::Warning { code: "mdns-off", message }).is_err() {
            self.counting.events_dropped.add();
        }
    }
}

struct Driver {
    around: Surroundings,
    core: Core,
    ports: Vec<Port>,
    /// Which of them has its turn.
    turn: usize,
    /// What the system tells of the interfaces that work, but for loopback.
    links: Vec<Link>,
    /// Those of them that cannot be used.
    failed: Vec<Link>,
    renewal: Renewal,
    /// A person has been told that nothing can be heard.
    told: bool,
}

/// An interface's socket, and the links on it.
struct Port {
    links: Vec<Link>,
    socket: UdpSocket,
}

impl Driver {
    fn new(around: Surroundings) -> Self {
        let now = Instant::now();
        Self {
            core: Core::new(now, around.me, rand::random()),
            around,
            ports: Vec::new(),
            turn: 0,
            links: Vec::new(),
            failed: Vec::new(),
            renewal: Renewal::new(now, SystemTime::now()),
            told: false,
        }
    }

    async fn run(mut self) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shutdown = self.around.shutdown.clone();
        let mut buffer = vec![0; MAX_PACKET];
        loop {
            let deadline = self.core.deadline(Instant::now());
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = look.tick() => self.look().await,
                changed = self.around.listeners.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.look().await;
                }
                changed = self.around.peers.changed() => if changed.is_err() { return },
                (port, heard) = hear(&self.ports, &mut self.turn, &mut buffer) => self.heard(port, heard, &mut buffer),
                () = sleep_until(deadline.unwrap_or_else(Instant::now).into()), if deadline.is_some() => {}
            }
            let alone = self.around.peers.borrow_and_update().is_empty();
            self.core.alone(Instant::now(), alone);
            self.perform();
        }
    }

    /// Looks at the interfaces, and serves those that there are.
    async fn look(&mut self) {
        match spawn_blocking(working_links).await.map_err(io::Error::other).flatten() {
            Ok(mut links) => {
                links.retain(|link| !link.address.is_loopback());
                links.truncate(MAX_LINKS);
                self.links = links;
            }
            Err(error) => debug!(%error, "the system does not tell its interfaces"),
        }
        let alone = self.around.peers.borrow().is_empty();
        let ailing = self.missing().next().is_some();
        let due = self.renewal.due(Instant::now(), SystemTime::now(), alone, ailing);
        if due != Due::Nothing {
            self.around.counting.mdns_renewed.add();
        }
        if due == Due::Renew {
            self.ports.clear();
            self.core.begin(Instant::now());
        }
        self.serve(due != Due::Nothing);
    }

    /// The links that are not served.
    fn missing(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| !self.ports.iter().any(|port| port.links.contains(link)))
    }

    /// Closes the sockets of interfaces that are no longer as they were, and opens those of new ones; of such as could not
    /// be opened before only if it is time to try `again`.
    fn serve(&mut self, again: bool) {
        let Self { ports, links, .. } = self;
        ports.retain(|port| port.links.first().is_some_and(|link| beside(links, link) == port.links));
        let mut failure = None;
        for link in self.links.clone() {
            let served = self.ports.iter().any(|port| port.links.contains(&link));
            if served || (!again && self.failed.contains(&link)) {
                continue;
            }
            match Port::open(beside(&self.links, &link)) {
                Ok(port) => self.ports.push(port),
                Err(error) => {
                    debug!(%error, interface = link.name, "mDNS cannot use an interface");
                    failure = Some(error);
                }
            }
        }
        self.failed = self.missing().cloned().collect();
        if let Some(error) = failure
            && self.ports.is_empty()
            && !std::mem::replace(&mut self.told, true)
        {
            self.around.warn(&error.to_string());
        }
        let now = Instant::now();
        let addresses: Vec<Ipv4Addr> =
            self.ports.iter().flat_map(|port| port.links.iter().map(|link| link.address)).collect();
        let listening = self.around.listeners.borrow_and_update().clone();
        let own = listening.iter().filter_map(|address| Some(dialable(address)?.address));
        self.core.listening(now, own.filter(|address| ip(address).is_some_and(|ip| !ip.is_loopback())).collect());
        self.core.links(now, &addresses);
    }

    /// Takes what has come in by a port, and what else waits there.
    fn heard(&mut self, at: usize, first: io::Result<(usize, SocketAddr)>, buffer: &mut [u8]) {
        let mut next = Some(first);
        let mut more = 1..BATCH;
        while let Some(heard) = next.take() {
            let port = &self.ports[at];
            match heard {
                Ok((length, from)) => {
                    let from = from.ip();
                    let link = port.links.iter().find(|link| link.holds(from));
                    // What comes from elsewhere was not sent to this network, whatever its sender says.
                    let looked_at = match (link, from) {
                        (Some(link), IpAddr::V4(from)) => {
                            self.core.hears(Instant::now(), link.address, from, &buffer[..length])
                        }
                        _ => false,
                    };
                    if !looked_at {
                        self.around.counting.mdns_ignored.add();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    debug!(%error, interface = port.name(), "mDNS cannot hear any more");
                    self.failed.extend(self.ports.remove(at).links);
                    return self.serve(false);
                }
            }
            next = more.next().map(|_| self.ports[at].socket.try_recv_from(buffer));
        }
    }

    /// Does what is due. What was found goes on together, so that of a peer's addresses the best can be chosen.
    fn perform(&mut self) {
        let mut found = Vec::new();
        while let Some(output) = self.core.next(Instant::now()) {
            match output {
                Output::Send(from, packet) => self.send(from, &packet),
                Output::Found(peer, address) => found.push(Found { peer, address }),
            }
        }
        let count = found.len() as u64;
        if count > 0 && self.around.found.try_send(found).is_err() {
            self.around.counting.mdns_dropped.add_all(count);
        }
    }
    fn send(&self, from: Ipv4Addr, packet: &[u8]) {
        let Some(port) = self.ports.iter().find(|port| port.links.iter().any(|link| link.address == from)) else {
            return;
        };
        if let Err(error) = port.send(from, packet) {
            // A firewall, or an interface that is just going.
            debug!(%error, interface = port.name(), "mDNS cannot send");
            self.around.counting.mdns_unsent.add();
        }
    }
}

impl Port {
    fn open(links: Vec<Link>) -> io::Result<Self> {
        let link = links.first().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let socket = listen(link)?;
        socket.set_multicast_loop_v4(true)?;
        SockRef::from(&socket).set_multicast_ttl_v4(TIME_TO_LIVE)?;
        Ok(Self { links, socket })
    }

    fn name(&self) -> &str {
        self.links.first().map_or("?", |link| &link.name)
    }

    /// Sends without waiting: it is a packet of a few hundred bytes, and one that is lost is sent again.
    fn send(&self, from: Ipv4Addr, packet: &[u8]) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        socket.set_multicast_if_v4(&from)?;
        socket.send_to(packet, &SocketAddr::from((GROUP, PORT)).into())?;
        Ok(())
    }
}

/// The next packet of any port, and of which. The one behind it has its `turn` next, so a flood of one keeps no other waiting.
async fn hear(ports: &[Port], turn: &mut usize, buffer: &mut [u8]) -> (usize, io::Result<(usize, SocketAddr)>) {
    poll_fn(|cx| {
        for (at, port) in ports.iter().enumerate().cycle().skip(*turn).take(ports.len()) {
            let mut into = ReadBuf::new(buffer);
            if let Poll::Ready(from) = port.socket.poll_recv_from(cx, &mut into) {
                let length = into.filled().len();
                *turn = (at + 1) % ports.len();
                return Poll::Ready((at, from.map(|from| (length, from))));
            }
        }
        Poll::Pending
    })
    .await
}

/// What a link is on.
fn interface(link: &Link) -> (&str, Option<u32>) {
    (&link.name, link.index)
}

/// All the links on the interface of this one.
fn beside(links: &[Link], link: &Link) -> Vec<Link> {
    links.iter().filter(|other| interface(other) == interface(link)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flood_of_one_port_keeps_no_other_waiting() {
        const PORTS: usize = 3;
        let (sender, mut buffer, mut turn) = (UdpSocket::bind(("127.0.0.1", 0)).await.unwrap(), vec![0; 100], 0);
        // Two are flooded, whichever; the one in between or behind them is not.
        for quiet in 0..PORTS {
            let mut ports = Vec::new();
            for _ in 0..PORTS {
                ports.push(Port { links: Vec::new(), socket: UdpSocket::bind(("127.0.0.1", 0)).await.unwrap() });
            }
            let send = async |at: usize, count: usize| {
                for _ in 0..count {
                    sender.send_to(&[at as u8], ports[at].socket.local_addr().unwrap()).await.unwrap();
                }
            };
            for flooded in (0..PORTS).filter(|at| *at != quiet) {
                send(flooded, 50).await;
            }
            send(quiet, 1).await;
            let mut heard = Vec::new();
            for _ in 0..PORTS {
                let (at, length) = hear(&ports, &mut turn, &mut buffer).await;
                assert_eq!(&buffer[..length.unwrap().0], &[at as u8]);
                heard.push(at);
            }
            assert!(heard.contains(&quiet), "{heard:?}");
        }
    }
}

//! mDNS, in a runtime of its own.
//!
//! The library's behaviour spawns a task and two sockets for every interface and stops them when the interface goes. It
//! does not stop them when the behaviour itself is dropped, and it does not start them again after a socket error. Both
//! are needed here: the behaviour is renewed when interfaces change, when a task has died and when nobody was found. So
//! all it spawns goes into a small runtime, whose end is theirs, and which can tell how many of its tasks are alive.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    io,
    task::{Context, Poll, Waker},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::ListenerId, transport::PortUse},
    mdns,
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NewListenAddr, THandlerInEvent, THandlerOutEvent,
        ToSwarm, behaviour::ExpiredListenAddr, dummy,
    },
};
use tokio::runtime::{Builder, Runtime};

/// How often every node asks who is there. One lost packet must not hide a peer for long.
const QUERY_INTERVAL: Duration = Duration::from_secs(30);
/// How long an answer stays true. Many questions fit in.
const TTL: Duration = Duration::from_secs(6 * 60);
/// With more addresses than this the list of what was found is thrown away: whoever is there will be found again.
const MAX_FOUND: usize = 4096;

/// The mDNS behaviour; or nothing, if it is off or cannot run.
pub(super) struct Discovery {
    me: PeerId,
    wanted: bool,
    running: Option<Running>,
    listening: BTreeSet<Multiaddr>,
    waker: Option<Waker>,
}

struct Running {
    mdns: mdns::tokio::Behaviour,
    runtime: Option<Runtime>,
}

impl Running {
    fn start(me: PeerId, listening: &BTreeSet<Multiaddr>) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("mdns").enable_all().build()?;
        let config = mdns::Config { ttl: TTL, query_interval: QUERY_INTERVAL, enable_ipv6: false };
        let started = {
            let _inside = runtime.enter();
            mdns::tokio::Behaviour::new(config, me)
        };
        let mut running = match started {
            Ok(mdns) => Self { mdns, runtime: Some(runtime) },
            Err(error) => {
                runtime.shutdown_background();
                return Err(error);
            }
        };
        for addr in listening {
            let listener_id = ListenerId::next();
            running.mdns.on_swarm_event(FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr }));
        }
        Ok(running)
    }

    fn tasks(&self) -> usize {
        self.runtime.as_ref().map_or(0, |runtime| runtime.metrics().num_alive_tasks())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A plain drop would wait for the runtime's threads, which an async task must not.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Discovery {
    pub(super) fn new(me: PeerId, wanted: bool) -> Self {
        Self { me, wanted, running: None, listening: BTreeSet::new(), waker: None }
    }

    /// Starts anew. What is known on the network is found again, and told again.
    pub(super) fn renew(&mut self) -> io::Result<()> {
        self.running = None;
        if self.wanted {
            self.running = Some(Running::start(self.me, &self.listening)?);
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    /// Whether fewer interfaces are served than there are.
    pub(super) fn ailing(&self) -> bool {
        if !self.wanted {
            return false;
        }
        let addresses: BTreeSet<_> = self.listening.iter().filter_map(outside_ip4).collect();
        let Some(running) = &self.running else { return true };
        running.tasks() < addresses.len() || running.mdns.discovered_nodes().len() > MAX_FOUND
    }

    /// Whether the network still tells of this peer.
    pub(super) fn knows(&self, peer: &PeerId) -> bool {
        self.running.as_ref().is_some_and(|running| running.mdns.discovered_nodes().any(|known| known == peer))
    }
}

/// The IPv4 address of a listener that mDNS serves.
fn outside_ip4(address: &Multiaddr) -> Option<std::net::Ipv4Addr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) if !ip.is_loopback() => Some(ip),
        _ => None,
    }
}

impl NetworkBehaviour for Discovery {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = mdns::Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::NewListenAddr(NewListenAddr { addr, .. }) => {
                self.listening.insert(addr.clone());
            }
            FromSwarm::ExpiredListenAddr(ExpiredListenAddr { addr, .. }) => {
                self.listening.remove(addr);
            }
            _ => {}
        }
        if let Some(running) = &mut self.running {
            running.mdns.on_swarm_event(event);
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<mdns::Event, THandlerInEvent<Self>>> {
        if let Some(running) = &mut self.running
            && let Some(runtime) = &running.runtime
        {
            let _inside = runtime.enter();
            if let Poll::Ready(event) = running.mdns.poll(cx) {
                return Poll::Ready(event.map_in(|never: Infallible| match never {}));
            }
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

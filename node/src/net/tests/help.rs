//! Nodes, rooms and waiting for things to happen.

use std::time::Duration;

use distchat_crdt::RoomId;
use libp2p::{Multiaddr, PeerId};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::net::{Inputs, NetConfig, NetEvent, NetInput, Network, inbox::tests::inbox, start};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(in crate::net) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Looks again and again until it is so.
pub(super) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    soon(what, async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub(super) fn room(n: u8) -> RoomId {
    RoomId([n; 32])
}

/// TCP on the loopback interface, and nobody to find.
pub(super) fn quiet() -> NetConfig {
    NetConfig { listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()], ..NetConfig::default() }
}

pub(super) struct Node {
    pub(super) net: Network,
    pub(super) events: mpsc::Receiver<NetEvent>,
    pub(super) task: JoinHandle<()>,
    pub(super) stop: CancellationToken,
}

impl Node {
    pub(super) async fn start(config: NetConfig) -> Self {
        let (events_in, events) = mpsc::channel(100);
        let stop = CancellationToken::new();
        let (net, task) = start(config, events_in, stop.clone()).await.unwrap();
        Self { net, events, task, stop }
    }

    /// A quiet one that connects to these.
    pub(super) async fn to(others: &[&Node]) -> Self {
        Self::start(NetConfig { connect: others.iter().map(|node| node.address()).collect(), ..quiet() }).await
    }

    pub(super) fn id(&self) -> PeerId {
        self.net.peer_id()
    }

    pub(super) fn address(&self) -> Multiaddr {
        self.net.listeners().first().unwrap().clone()
    }

    pub(super) async fn join(&self, n: u8) -> Room {
        self.join_with(n, 64).await
    }

    pub(super) async fn join_with(&self, n: u8, space: usize) -> Room {
        let (inbox, inputs) = inbox(space);
        let handle = self.net.join(&room(n), inbox).await.unwrap();
        Room { handle, inputs }
    }

    pub(super) async fn event(&mut self) -> NetEvent {
        soon("an event", self.events.recv()).await.unwrap()
    }

    /// The next warning's code and text.
    pub(super) async fn warning(&mut self) -> (&'static str, String) {
        loop {
            if let NetEvent::Warning { code, message } = self.event().await {
                return (code, message);
            }
        }
    }

    pub(super) async fn shut_down(self) {
        self.stop.cancel();
        soon("the end", self.task).await.unwrap();
    }
}

pub(super) struct Room {
    pub(super) handle: u32,
    pub(super) inputs: Inputs,
}

impl Room {
    pub(super) async fn next(&mut self) -> NetInput {
        soon("an input", self.inputs.recv()).await.unwrap()
    }

    pub(super) async fn up(&mut self) -> PeerId {
        match self.next().await {
            NetInput::PeerUp { peer } => peer,
            other => panic!("not a peer: {other:?}"),
        }
    }

    pub(super) async fn down(&mut self) -> PeerId {
        match self.next().await {
            NetInput::PeerDown { peer } => peer,
            other => panic!("not the loss of a peer: {other:?}"),
        }
    }
}

//! Where a task that was made anew cannot listen yet, and how it comes to.
//!
//! A port of QUIC is given back when the last of its connections has drained, which takes some round trips after they have
//! ended (RFC 9000, section 10.2). So after a crash the ports of before may still be taken, by nobody else than this process.

use std::{
    mem::{replace, take},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use tracing::info;

use super::{start::listen_on, swarm::Task};

/// How long the port of before is waited for. Whoever has it after that is somebody else.
const PATIENCE: Duration = Duration::from_secs(15);

/// An address at which nobody is heard yet.
pub(super) struct Deaf {
    address: Multiaddr,
    /// Which of the addresses it is at which the node listens.
    nth: usize,
    since: Instant,
    /// A person knows.
    told: bool,
}

impl Deaf {
    pub(super) fn new(now: Instant, nth: usize, address: Multiaddr) -> Self {
        Self { address, nth, since: now, told: false }
    }
}

/// Whether a port may be taken for a while by connections that have ended.
pub(super) fn drains(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::Udp(_)))
}

impl Task {
    /// Tries again to listen where it did not work so far: at the port of before, later at the one that was asked for.
    pub(super) async fn listen_again(&mut self, now: Instant) {
        for mut deaf in take(&mut self.deaf) {
            let late = now.saturating_duration_since(deaf.since) >= PATIENCE;
            if late && let Some(first) = self.kept.listen_first().into_iter().nth(deaf.nth) {
                deaf.address = first;
            }
            match listen_on(self, &deaf.address, true).await {
                Ok(listener) => {
                    info!(address = %deaf.address, "listening again");
                    self.kept.listens(deaf.nth, deaf.address, listener);
                }
                Err(error) => {
                    if late && !replace(&mut deaf.told, true) {
                        self.out.warn("listen-failed", format!("{error}; it is tried again every second"));
                    }
                    self.deaf.push(deaf);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, sync::Arc};

    use futures::StreamExt;
    use libp2p::identity::Keypair;
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::net::{
        NetConfig, NetEvent, counters::Counting, entered::Entered, kept::Kept, start, swarm::Outputs, tests::help::soon,
    };

    /// A task made anew where somebody else has the port, of a node that was told to listen there at first.
    async fn deaf(first: &Multiaddr, taken: &Multiaddr) -> (Box<Task>, mpsc::Receiver<NetEvent>) {
        let (events, heard) = mpsc::channel(100);
        let counting = Arc::<Counting>::default();
        let out =
            Outputs { events, listeners: watch::channel(Vec::new()).0, peers: watch::channel(Vec::new()).0, counting };
        let config = NetConfig { listen: vec![first.clone()], ..NetConfig::default() };
        let kept = Arc::new(Kept::new(Keypair::generate_ed25519(), config, out, Entered::default()));
        let mut task = start::task(&kept, vec![taken.clone()], true).await.unwrap();
        task.listen_again(Instant::now()).await;
        assert!(task.listening.is_empty());
        (task, heard)
    }

    /// Where it listens, as soon as it does.
    async fn listens(task: &mut Task) -> Multiaddr {
        while task.listening.is_empty() {
            let event = soon("an address", task.swarm.select_next_some()).await;
            task.on_swarm_event(event);
        }
        task.listening[0].1.clone()
    }

    fn taken() -> (UdpSocket, Multiaddr) {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        (socket, format!("/ip4/127.0.0.1/udp/{port}/quic-v1").parse().unwrap())
    }

    #[tokio::test]
    async fn a_port_that_stays_taken_is_told_of_once_and_used_when_it_is_free() {
        let (socket, address) = taken();
        let (mut task, mut heard) = deaf(&address, &address).await;
        assert!(heard.try_recv().is_err(), "it may be a moment");
        for _ in 0..3 {
            task.listen_again(Instant::now() + PATIENCE).await;
        }
        let Ok(NetEvent::Warning { code, message }) = heard.try_recv() else { panic!("nothing is told") };
        assert_eq!(code, "listen-failed");
        assert!(message.starts_with(&format!("cannot listen on {address}: port already in use")), "{message}");
        assert!(heard.try_recv().is_err(), "it is told once");
        drop(socket);
        task.listen_again(Instant::now()).await;
        assert_eq!(listens(&mut task).await, address);
        assert!(task.deaf.is_empty());
    }

    #[tokio::test]
    async fn where_any_port_will_do_another_one_is_taken() {
        let (_socket, address) = taken();
        let (mut task, mut heard) = deaf(&"/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap(), &address).await;
        task.listen_again(Instant::now() + PATIENCE).await;
        let chosen = listens(&mut task).await;
        assert_ne!(chosen, address);
        assert_eq!(task.kept.listened(), [chosen], "after the next crash it is to be found there");
        let warned = std::iter::from_fn(|| heard.try_recv().ok());
        assert!(!warned.into_iter().any(|event| matches!(event, NetEvent::Warning { .. })));
    }
}

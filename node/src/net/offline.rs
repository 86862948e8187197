//! No network at all, for those who only want what is on disk: a task that takes what rooms ask of a network, and has nobody
//! to ask it of. There is no swarm, so nothing listens, dials or looks for anybody.

use std::sync::Arc;

use libp2p::identity::Keypair;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{Command, ConnectError, Network, counters::Counting, entered::Entered, own};

/// How many commands may wait: they are taken at once.
const QUEUE: usize = 64;

/// Starts the task. It ends when `shutdown` is cancelled, or nobody holds the [`Network`] any more.
pub(crate) fn offline(shutdown: CancellationToken) -> (Network, JoinHandle<()>) {
    let me = Keypair::generate_ed25519().public().to_peer_id();
    let (commands, mut command_queue) = mpsc::channel(QUEUE);
    let (publisher, mut publications) = own::queue();
    // Nothing comes that could be judged.
    let (judged, _) = mpsc::channel(1);
    // Nobody ever changes these.
    let (listeners, peers) = (watch::channel(Vec::new()).1, watch::channel(Vec::new()).1);
    let counting = Arc::new(Counting::default());
    let counted = counting.clone();
    let task = tokio::spawn(async move {
        let mut last = 0;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                command = command_queue.recv() => match command {
                    Some(command) => take(command, &mut last),
                    None => return,
                },
                Some(_) = publications.recv() => counted.publish_alone.add(),
            }
        }
    });
    (Network { me, commands, judged, publisher, listeners, peers, counting, entered: Entered::default() }, task)
}

fn take(command: Command, last: &mut u32) {
    // Here and below: whoever does not wait for the answer any more does not need it.
    match command {
        Command::Connect { done, .. } => {
            let _ = done.send(Err(ConnectError::Offline));
        }
        Command::Join { joined, .. } => {
            *last = last.wrapping_add(1).max(1);
            let _ = joined.send(*last);
        }
        Command::Subscribers { done } => {
            let _ = done.send(Vec::new());
        }
        // There are no peers, so these are about none.
        Command::Leave { .. } | Command::Request(_) | Command::Charge { .. } => {}
        #[cfg(test)]
        Command::Crash => panic!("the network was asked to crash"),
    }
}

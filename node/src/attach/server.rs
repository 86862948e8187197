//! Letting others use the node that this program runs.

use std::sync::Arc;
use std::time::Duration;

use distchat_node::Node;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::connection::{self, Host};
use super::socket::{Socket, Stream};
use super::wire::{Face, Full, VERSION};

/// How many may be attached at once.
const MAX_ATTACHED: usize = 64;
/// How many more are let in to wait for a place. Of further ones nothing is known: the system has them wait.
const MAX_WAITING: usize = 64;
/// How long they wait before they are told that there is none, which is before they lose patience.
const WAIT: Duration = Duration::from_secs(5);
/// How long those who are attached may take to hear the last answers, and what they asked for to be done. They know that what
/// has no answer by then may not have been.
const PARTING: Duration = Duration::from_secs(2);
/// The pause after a failure to accept, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The socket of a running node, until it is stopped.
#[derive(Debug)]
pub(super) struct Server {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens in the directory of the node's profile. `None` in memory, where nobody would look.
    pub(super) fn start(node: &Node, face: Face) -> std::io::Result<Option<Self>> {
        let Some(directory) = node.directory() else { return Ok(None) };
        let socket = Socket::listen(directory)?;
        let stop = CancellationToken::new();
        let host = Host { node: node.clone(), face, stop: stop.clone() };
        Ok(Some(Self { task: tokio::spawn(accept(socket, host, WAIT)), stop }))
    }

    /// Takes nothing more in, and answers what was. The node must still run.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        if self.task.await.is_err() {
            tracing::error!("the task of the socket crashed");
        }
    }
}

async fn accept(socket: Socket, host: Host, wait: Duration) {
    let (host, places) = (Arc::new(host), Arc::new(Semaphore::new(MAX_ATTACHED)));
    let mut attached = JoinSet::new();
    loop {
        tokio::select! {
            () = host.stop.cancelled() => break,
            accepted = socket.accept(), if attached.len() < MAX_ATTACHED + MAX_WAITING => match accepted {
                Ok(stream) => {
                    attached.spawn(receive(stream, Arc::clone(&host), Arc::clone(&places), wait));
                }
                Err(error) => {
                    tracing::warn!(%error, "the socket of this node cannot be connected to");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(ended) = attached.join_next() => log(ended),
        }
    }
    // Nobody else is to come before those who are here have left.
    drop(socket);
    let parting = async {
        while let Some(ended) = attached.join_next().await {
            log(ended);
        }
    };
    if tokio::time::timeout(PARTING, parting).await.is_err() {
        tracing::warn!(
            "somebody who is attached does not listen, or what they asked for takes long: that is not waited for"
        );
    }
}

/// Attends to one who has come, once there is a place for them.
async fn receive(stream: Stream, host: Arc<Host>, places: Arc<Semaphore>, wait: Duration) {
    let place = tokio::select! {
        // The socket's end tells as much.
        () = host.stop.cancelled() => return,
        place = tokio::time::timeout(wait, places.acquire()) => place,
    };
    match place {
        Ok(_place) => connection::attend(stream, host).await,
        Err(_) => turn_away(stream).await,
    }
}

/// Tells one for whom there is no place that all are taken.
async fn turn_away(mut stream: Stream) {
    let full = Full { distchat: VERSION, pid: std::process::id(), full: MAX_ATTACHED };
    let told = match serde_json::to_string(&full) {
        Ok(line) => stream.write_all((line + "\n").as_bytes()).await,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = told {
        tracing::debug!(%error, "somebody for whom there is no place is gone");
    }
}

fn log(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the task of somebody who was attached crashed");
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use distchat_node::Config;

    use super::*;
    use crate::attach::remote;

    #[tokio::test]
    async fn one_who_is_too_many_is_told_so_and_comes_in_when_another_has_left() {
        let directory = tempfile::tempdir().unwrap();
        let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await.unwrap();
        let stop = CancellationToken::new();
        let host = Host { node: node.clone(), face: Face::Daemon, stop: stop.clone() };
        let socket = Socket::listen(directory.path()).unwrap();
        let serving = tokio::spawn(accept(socket, host, Duration::from_millis(50)));

        let mut others = Vec::new();
        for _ in 0..MAX_ATTACHED {
            others.push(remote::attach(directory.path().to_owned()).await.unwrap().unwrap());
        }
        let problem = remote::attach(directory.path().to_owned()).await.unwrap_err();
        assert!(problem.message.contains("64 programs use it already"), "{problem}");
        others.pop();
        assert!(remote::attach(directory.path().to_owned()).await.unwrap().is_some());

        drop(others);
        stop.cancel();
        serving.await.unwrap();
        node.shutdown().await;
    }
}

//! Letting others use the node that this program runs.

use std::sync::Arc;
use std::time::Duration;

use distchat_node::Node;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::connection::{self, Host};
use super::socket::Socket;
use super::wire::Face;

/// How many may be attached at once. Further ones wait.
const MAX_ATTACHED: usize = 64;
/// How long those who are attached may take to hear the last answers, and what they asked for to be done. They know that what has no
/// answer by then may not have been.
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
        Ok(Some(Self { task: tokio::spawn(accept(socket, host, stop.clone())), stop }))
    }

    /// Takes nothing more in, and answers what was. The node must still run.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        if self.task.await.is_err() {
            tracing::error!("the task of the socket crashed");
        }
    }
}

async fn accept(socket: Socket, host: Host, stop: CancellationToken) {
    let host = Arc::new(host);
    let mut attached = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = socket.accept(), if attached.len() < MAX_ATTACHED => match accepted {
                Ok(stream) => {
                    attached.spawn(connection::attend(stream, Arc::clone(&host)));
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

fn log(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the task of somebody who was attached crashed");
    }
}

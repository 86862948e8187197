//! Leaving: waiting until somebody has what was written, stopping the node, and showing what is left to show.

use std::time::Duration;

use distchat_node::Event;
use futures::FutureExt;
use futures::stream::FuturesOrdered;
use tokio::time::Instant;

use super::{Session, Stop, maybe};
use crate::attach::{Client, Told};
use crate::cli::Failure;
use crate::cli::output::Closed;
use crate::cli::report::Report;

/// How often to ask whether what was written has arrived somewhere.
const DELIVERY: Duration = Duration::from_millis(50);
/// How long the node may take to stop, without anything happening.
const NODE: Duration = Duration::from_secs(10);
/// How long a reader who does not read is waited for when somebody else wants the program to end.
const READER: Duration = Duration::from_secs(3);

impl Session {
    /// Stops the node, and shows what is left to show.
    pub(super) async fn finish(mut self, stop: Stop) -> Result<(), Failure> {
        let hurried = matches!(stop, Stop::Asked);
        let mut result = Ok(());
        let mut readable = true;
        match stop {
            Stop::Done | Stop::Asked => {}
            Stop::Closed(closed) => {
                readable = false;
                result = ended_by(closed);
            }
            Stop::Failed(message) => result = Err(Failure::unexpected(message)),
            Stop::NodeGone => result = Err(Failure::unexpected("the node has stopped by itself".to_owned())),
        }
        // Lines on their way that were not acknowledged are no longer waited for.
        self.running = None;
        self.in_flight = FuturesOrdered::new();
        let node = self.node.clone();
        let mut shutdown = Some(async move { node.shutdown().await }.boxed());
        let mut events = true;
        while shutdown.is_some() || events || (readable && self.front.stdout.is_pending()) {
            let until = Instant::now() + if shutdown.is_some() { NODE } else { READER };
            let pending = readable && self.front.stdout.is_pending();
            tokio::select! {
                () = maybe(&mut shutdown) => {}
                sent = self.front.stdout.send(), if pending => if let Err(closed) = sent {
                    readable = false;
                    result = result.and(ended_by(closed));
                },
                event = self.events.next(), if events && !pending => match event {
                    // That the rooms are left is no news to a person who leaves.
                    Some(Told::Event(Event::Room { .. })) if self.front.is_text() => {}
                    Some(Told::Event(event)) if readable => self.front.say(&Report::Event(event)),
                    Some(_) => {}
                    None => events = false,
                },
                () = self.signals.recv() => {
                    readable = false;
                    break;
                }
                () = tokio::time::sleep_until(until), if hurried || !pending => {
                    readable &= !pending;
                    break;
                }
            }
        }
        if shutdown.is_some() {
            result =
                result.and(Err(Failure::unexpected("the node was not waited for until it had stopped".to_owned())));
        }
        if readable {
            tokio::select! {
                finished = self.front.stdout.finish() => if let Err(closed) = finished {
                    result = result.and(ended_by(closed));
                },
                () = self.signals.recv() => {}
                () = tokio::time::sleep(READER), if hurried => {}
            }
        }
        result
    }
}

/// What it means for the exit that nobody can be written to.
fn ended_by(closed: Closed) -> Result<(), Failure> {
    match closed {
        Closed::ByReader => Ok(()),
        Closed::Failed(error) => Err(Failure::unexpected(format!("stdout cannot be written to: {error}"))),
    }
}

/// Waits until somebody holds all that was written here.
pub(crate) async fn delivered(node: Client) {
    loop {
        let mut all = true;
        for info in node.rooms() {
            if let Some(room) = node.room(&info.name) {
                // A room that cannot tell may come back.
                all &= room.delivered().await.unwrap_or(false);
            }
        }
        if all {
            return;
        }
        tokio::time::sleep(DELIVERY).await;
    }
}

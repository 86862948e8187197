//! Finding out on whose disks is what was said here.

use std::convert::Infallible;
use std::time::Duration;

use crate::attach::Client;

/// How often the rooms are told that somebody still wants to know. They ask their peers for longer than that.
const RENEWED: Duration = Duration::from_secs(5);

/// Has the peers asked for receipts, for as long as this is polled. What they say comes as events.
pub(super) async fn watch(node: Client) -> Infallible {
    loop {
        for info in node.rooms() {
            if let Some(room) = node.room(&info.name) {
                // A room that has failed says so itself.
                let _ = room.delivered().await;
            }
        }
        tokio::time::sleep(RENEWED).await;
    }
}

//! How the task ends: what was said last goes out, then everybody is left.

use std::time::Duration;

use distchat_crdt::sync::{Have, List, Request};
use futures::StreamExt;
use libp2p::PeerId;
use tokio::time::timeout;
use tracing::debug;

use super::swarm::{Inputs, Task};

/// How long each of the two parts of shutting down may take: the last words, and the parting.
const FAREWELL: Duration = Duration::from_millis(700);
/// What was published longer ago than this has gone out.
const LATELY: Duration = Duration::from_secs(2);

impl Task {
    /// Publishes what was said before the end, and waits until it has gone out. A frame waits in the connection for its
    /// turn, and a connection that is closed throws it away; so every peer is asked something, for its answer shows that
    /// all that stood before the question is there.
    pub(super) async fn publish_the_rest(&mut self, inputs: &mut Inputs) {
        while let Ok(judged) = inputs.judged.try_recv() {
            self.judge(std::iter::once(judged));
        }
        inputs.publications.close();
        while self.publish_due(&mut inputs.publications) {}
        // What others would not take now they get by anti-entropy.
        while inputs.publications.try_recv().is_ok() {
            self.out.counting.publish_left.add();
        }
        if self.published.is_none_or(|at| at.elapsed() > LATELY) {
            return;
        }
        let peers: Vec<PeerId> = self.peers.ready().map(|(peer, _)| peer).collect();
        let mut asked = Vec::with_capacity(peers.len());
        for peer in peers {
            // No room has this handle, so nobody need think about it.
            let nothing = Request::Have(Have { handle: 0, keys: List::default() });
            let id = self.swarm.behaviour_mut().sync.send_request(&peer, Ok(nothing));
            self.sent.insert(id, (peer, Vec::new()));
            asked.push(id);
        }
        let answered = timeout(FAREWELL, async {
            while asked.iter().any(|id| self.sent.contains_key(id)) {
                let event = self.swarm.select_next_some().await;
                self.on_swarm_event(event);
            }
        });
        if answered.await.is_err() {
            debug!("what was said last may not have reached everybody by gossip");
        }
    }

    /// Leaves everything and waits a moment for the others to hear of it.
    pub(super) async fn part(mut self) {
        // That topics are left need not be told: the end of a connection says it of all of them.
        let peers: Vec<PeerId> = self.peers.all().copied().collect();
        for peer in peers {
            // Fails if it has gone by itself.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        // Whoever takes longer than that notices by itself that this node has gone.
        let _ = timeout(FAREWELL, async {
            while self.peers.all().next().is_some() {
                let event = self.swarm.select_next_some().await;
                self.on_swarm_event(event);
            }
        })
        .await;
    }
}

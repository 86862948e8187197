//! How the task ends: what was said last goes out, then everybody is left.

use std::{collections::HashSet, time::Duration};

use distchat_crdt::sync::{Have, List, Request};
use futures::StreamExt;
use libp2p::{PeerId, request_response::OutboundRequestId};
use tokio::time::timeout;
use tracing::debug;

use super::{
    own::Publications,
    swarm::{Inputs, Task},
};

/// How long each of the two parts of shutting down may take: the last words, and the parting.
const FAREWELL: Duration = Duration::from_millis(700);
/// What was published longer ago than this has gone out.
const LATELY: Duration = Duration::from_secs(2);
/// How long the others wait for one who does not answer before more is published.
const NOTICED: Duration = Duration::from_millis(100);
/// How many frames are published before it is asked whether they have arrived, and of how many bytes. A stream of yamux takes ten
/// pieces of 16 KiB at once; what it does not take a question on another stream overtakes.
const FEW: usize = 8;
const SHORT: usize = 64 * 1024;

impl Task {
    /// Publishes what was said before the end, as far as others take it, and waits until it has gone out.
    pub(super) async fn publish_the_rest(&mut self, inputs: &mut Inputs) {
        while let Ok(judged) = inputs.judged.try_recv() {
            self.judge(std::iter::once(judged));
        }
        inputs.publications.close();
        let all = timeout(FAREWELL, async {
            let mut slow = HashSet::new();
            loop {
                let asked = self.ask_what_has_arrived(&slow);
                if timeout(NOTICED, self.answered(&asked)).await.is_err() {
                    let unanswered = asked.iter().filter_map(|id| self.sent.get(id));
                    slow.extend(unanswered.map(|(peer, _)| *peer));
                }
                if !self.publish_a_few(&mut inputs.publications) {
                    break;
                }
            }
            let asked = self.ask_what_has_arrived(&HashSet::new());
            self.answered(&asked).await;
        });
        if all.await.is_err() {
            debug!("what was said last may not have reached everybody by gossip");
        }
        // What others would not take now they get by anti-entropy.
        while inputs.publications.try_recv().is_ok() {
            self.out.counting.publish_left.add();
        }
    }

    /// Publishes no more than goes before a question that is asked after it. Whether there may be more.
    fn publish_a_few(&mut self, publications: &mut Publications) -> bool {
        let mut bytes = 0;
        for _ in 0..FEW {
            match self.publish_next(publications) {
                Some(length) => bytes += length,
                None => return false,
            }
            if bytes >= SHORT {
                break;
            }
        }
        true
    }

    /// A frame waits in the connection for its turn, and a connection that is closed throws it away; so every peer but these is
    /// asked something, for its answer shows that the few that were published before the question have arrived.
    fn ask_what_has_arrived(&mut self, except: &HashSet<PeerId>) -> Vec<OutboundRequestId> {
        if self.published.is_none_or(|at| at.elapsed() > LATELY) {
            return Vec::new();
        }
        let peers: Vec<PeerId> =
            self.peers.ready().map(|(peer, _)| peer).filter(|peer| !except.contains(peer)).collect();
        peers
            .into_iter()
            .map(|peer| {
                // No room has this handle, so nobody need think about it.
                let nothing = Request::Have(Have { handle: 0, keys: List::default() });
                let id = self.swarm.behaviour_mut().sync.send_request(&peer, Ok(nothing));
                self.sent.insert(id, (peer, Vec::new()));
                id
            })
            .collect()
    }

    async fn answered(&mut self, asked: &[OutboundRequestId]) {
        while asked.iter().any(|id| self.sent.contains_key(id)) {
            let event = self.swarm.select_next_some().await;
            self.on_swarm_event(event);
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

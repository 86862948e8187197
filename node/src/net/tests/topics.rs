//! Nodes in as many rooms as there can be.

use std::time::Duration;

use distchat_crdt::{AuthorId, RoomId};

use super::help::{Node, quiet, soon};
use crate::net::{Inputs, MAX_TOPICS, NetInput, inbox::tests::inbox};

fn room(n: usize) -> RoomId {
    let mut room = [0; 32];
    room[..8].copy_from_slice(&(n as u64).to_be_bytes());
    RoomId(room)
}

/// Joins all of these, and returns their handles and inputs.
async fn join_all(node: &Node, topics: std::ops::Range<usize>) -> Vec<(u32, Inputs)> {
    let mut rooms = Vec::new();
    for n in topics {
        let (inbox, inputs) = inbox(8);
        rooms.push((node.net.join(&room(n), inbox).await.unwrap(), inputs));
    }
    rooms
}

/// Publishes in a topic until it is heard there.
async fn heard(from: &Node, to: &mut Inputs, n: usize) {
    let speak = async {
        for frame in 0_u64.. {
            from.net.publish(&room(n), &frame.to_be_bytes());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let listen = async { while !matches!(to.recv().await, Some(NetInput::Gossip { .. })) {} };
    tokio::select! {
        () = soon("gossip in one of very many topics", listen) => {}
        () = speak => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gossip_is_heard_in_all_topics_that_there_can_be() {
    let [a, b] = [Node::start(quiet()).await, Node::start(quiet()).await];
    // The last one is joined only when they have met: that the other is in it was said long before.
    let mut at_a = join_all(&a, 0..MAX_TOPICS - 1).await;
    let mut at_b = join_all(&b, 0..MAX_TOPICS).await;
    b.net.connect(a.address()).await.unwrap();
    let up = async { while !matches!(at_b[0].1.recv().await, Some(NetInput::PeerUp { .. })) {} };
    soon("the other", up).await;
    a.net.entered(at_a[0].0, b.id(), AuthorId([2; 32]));
    b.net.entered(at_b[0].0, a.id(), AuthorId([1; 32]));
    for n in [0, 1, 1023, 1024, MAX_TOPICS / 2, MAX_TOPICS - 2] {
        heard(&a, &mut at_b[n].1, n).await;
        heard(&b, &mut at_a[n].1, n).await;
    }
    let last = MAX_TOPICS - 1;
    let mut joined = join_all(&a, last..MAX_TOPICS).await;
    heard(&a, &mut at_b[last].1, last).await;
    heard(&b, &mut joined[0].1, last).await;
    a.shut_down().await;
    b.shut_down().await;
}

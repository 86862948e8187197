//! Frames of yamux that no library writes: pings that are answered late.

use std::{
    future::pending,
    io,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use distchat_crdt::{RoomId, RoomName};
use distchat_hostile::{ByHand, Rpc, WINDOW};
use tokio::time::sleep;

use crate::hostile::{GROWTH, Scene, meanwhile, talk, wait_counted};

fn general() -> RoomId {
    RoomId::of(&RoomName::parse("general").unwrap())
}

#[test]
fn who_answers_pings_late_gets_no_larger_windows() {
    /// More than is read of a member at once.
    const IN_ALL: usize = 96 * 1024 * 1024;
    let Scene { _alone, _machine, ann, bob, node, memory } = Scene::begin();
    let (sent, widest) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
    let flood = async {
        // It ends when the node has enough of it.
        let _ = far_away(node, IN_ALL, sent, widest).await;
        pending().await
    };
    meanwhile(flood, || {
        wait_counted("bytes were sent", sent, IN_ALL);
        talk(&bob, &ann, "meanwhile", 100);
    });
    memory.has_not_grown_by(GROWTH);
    let widest = widest.load(Ordering::Relaxed);
    assert!(widest <= WINDOW, "{widest} bytes might come at once on a stream");
}

/// A member who seems to be far away, and sends so much gossip of a room that nobody has, as fast as the node will take it.
async fn far_away(node: SocketAddr, in_all: usize, sent: &AtomicUsize, widest: &AtomicUsize) -> io::Result<()> {
    let mut member = ByHand::to(node).await?;
    member.enter(general()).await?;
    while !member.is_pinged() {
        member.next().await?;
    }
    sleep(Duration::from_secs(5)).await;
    member.pong().await?;
    let stream = member.begin("/meshsub/1.1.0", &[], false).await?;
    let rpc = Rpc::default().publish("x", &[0x8a; 60_000]).bytes();
    let mut rest = &rpc[..];
    while sent.load(Ordering::Relaxed) < in_all {
        let open = member.open(stream);
        widest.fetch_max(open, Ordering::Relaxed);
        if open == 0 {
            member.next().await?;
            continue;
        }
        let (part, behind) = rest.split_at(rest.len().min(open));
        member.say(stream, part).await?;
        sent.fetch_add(part.len(), Ordering::Relaxed);
        rest = if behind.is_empty() { &rpc } else { behind };
    }
    Ok(())
}

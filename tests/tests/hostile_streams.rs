//! Frames of yamux that no library writes: pings that are answered late, and more behind the end of a stream.

use std::{
    collections::BTreeMap,
    future::pending,
    io,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use distchat_crdt::{RoomId, RoomName, sync::SYNC_PROTOCOL};
use distchat_hostile::{ByHand, Rpc, WINDOW};
use futures::future::join_all;
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

#[test]
fn what_is_behind_the_end_of_a_stream_ends_the_connection() {
    const CONNECTIONS: usize = 20;
    let Scene { _alone, _machine, ann, bob, node, memory } = Scene::begin();
    let ended = &AtomicUsize::new(0);
    let flood = async {
        join_all((0..CONNECTIONS).map(|n| async move {
            if behind_the_end(node, n % 2 == 0).await.is_err() {
                ended.fetch_add(1, Ordering::Relaxed);
            }
        }))
        .await;
        pending().await
    };
    meanwhile(flood, || {
        wait_counted("connections were ended", ended, CONNECTIONS);
        talk(&bob, &ann, "meanwhile", 100);
    });
    let counters = ann.ask("/counters", "counters");
    assert_eq!(counters["bad_streams"], CONNECTIONS, "{counters}");
    memory.has_not_grown_by(GROWTH);
}

/// Asks in good order on many streams, and behind that sends as much on each as a stream may bring, at once or when all are
/// answered. A node waits for no end that it has seen, and it has ended these streams itself by then.
async fn behind_the_end(node: SocketAddr, waits: bool) -> io::Result<()> {
    /// A few less than are taken.
    const STREAMS: usize = 60;
    let mut connection = ByHand::to(node).await?;
    let mut asked = BTreeMap::new();
    for _ in 0..STREAMS {
        let stream = connection.begin(SYNC_PROTOCOL, b"\0\0\0\x09\xa1\x64have\x82\x01\x80", true).await?;
        asked.insert(stream, Vec::new());
    }
    let refused = |answer: &Vec<u8>| answer.windows(9).any(|part| part == b"\xa1\x67refused");
    while waits && !asked.values().all(refused) {
        if let Some((stream, bytes)) = connection.next().await? {
            asked.entry(stream).or_default().extend(bytes);
        }
    }
    for stream in asked.into_keys() {
        connection.say(stream, &vec![0; connection.open(stream)]).await?;
    }
    loop {
        connection.next().await?;
    }
}

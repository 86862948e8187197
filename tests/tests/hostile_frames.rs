//! Frames that are no frames: too long, too deep, lies about their length, broken off, and never coming to an end.

use std::time::Duration;

use distchat_crdt::sync::SYNC_PROTOCOL;
use distchat_hostile::{Connection, Stream};
use distchat_tests::PATIENCE;
use futures::{AsyncReadExt, AsyncWriteExt, future::join_all};
use tokio::time::{sleep, timeout};

use crate::hostile::{GROWTH, Scene, meanwhile, run, talk};

fn with_length(length: u32, body: &[u8]) -> Vec<u8> {
    [&length.to_be_bytes(), body].concat()
}

/// Sends bytes on a stream of sync, on a connection of its own, until the node has had enough of them.
async fn refused(node: std::net::SocketAddr, bytes: &[u8]) {
    let connection = Connection::to(node).await.unwrap();
    let (mut from, mut to) = connection.speaking(SYNC_PROTOCOL).await.unwrap().split();
    let send = async {
        // It may end the stream before it has all of it, or just take no more.
        let _ = to.write_all(bytes).await;
        let _ = to.flush().await;
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    let read = tokio::select! {
        () = send => unreachable!("it goes on until there is an answer"),
        read = timeout(Duration::from_secs(30), from.read_to_end(&mut answer)) => read.expect("it waits for more"),
    };
    let refusal = answer.get(4..).is_some_and(|frame| frame.starts_with(b"\xa1\x67refused"));
    assert!(read.is_err() || answer.is_empty() || refusal, "answered by {answer:02x?}");
}

#[test]
fn bad_frames_are_refused_and_cost_nothing() {
    let Scene { _alone, _machine, ann, bob, node, memory } = Scene::begin();
    run(async {
        // 64 MiB, announced and then sent, as far as anybody wants it.
        refused(node, &with_length(64 << 20, &vec![0; 64 << 20])).await;
        // An offer of as much as an offer may bear, whose bytes are no messages.
        let offer = [&b"\xa1\x65offer\x82\x01\x5a\x00\x0f\xff\xf0"[..], &vec![0xff; 0xf_fff0]].concat();
        refused(node, &with_length(offer.len() as u32, &offer)).await;
        // Nested ten thousand deep.
        for opener in [0x81_u8, 0x9f, 0xa1, 0xbf, 0xc0] {
            let deep = [b"\xa1\x64have".as_slice(), &vec![opener; 10_000]].concat();
            refused(node, &with_length(deep.len() as u32, &deep)).await;
        }
        // Lists and strings that claim to be endless.
        for bomb in [
            &b"\xa1\x65offer\x82\x00\x5b\x7f\xff\xff\xff\xff\xff\xff\xff"[..],
            b"\xa1\x64have\x82\x00\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xa1\x65hello\x82\x00\x9b\x00\x00\x00\xff\xff\xff\xff\xff",
            b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            refused(node, &with_length(bomb.len() as u32, bomb)).await;
        }
        // Broken off: the length is a lie, and the stream ends.
        let connection = Connection::to(node).await.unwrap();
        for cut in 0..=6 {
            let mut stream = connection.speaking(SYNC_PROTOCOL).await.unwrap();
            stream.write_all(&with_length(1000, b"\xa1\x64")[..cut]).await.unwrap();
            stream.close().await.unwrap();
        }
    });
    memory.has_not_grown_by(GROWTH);
    talk(&bob, &ann, "afterwards", 100);
}

#[test]
fn five_hundred_streams_that_drip_keep_nobody_out() {
    let Scene { _alone, _machine, ann, mut bob, node, memory } = Scene::begin();
    let drip = async move {
        let connections = join_all((0..10).map(|_| Connection::to(node))).await;
        let connections: Vec<_> = connections.into_iter().map(Result::unwrap).collect();
        let streams = connections.iter().flat_map(|connection| (0..50).map(move |_| drip(connection)));
        join_all(streams).await;
        sleep(PATIENCE).await;
    };
    meanwhile(drip, || {
        // He was away, and has much to bring: offers of a mebibyte, the kind that the drips pretend to be.
        bob.stop();
        bob.restart();
        let long = "x".repeat(10_000);
        for n in 0..300 {
            bob.say(&format!("{n} {long}"));
        }
        ann.wait_from(distchat_tests::Mark::START, "all of it", PATIENCE, |event| {
            event["text"].as_str().is_some_and(|text| text.starts_with("299 "))
        });
    });
    memory.has_not_grown_by(2 * GROWTH);
    let _ = bob.fingerprint();
}

/// A byte a second of what begins as a long offer.
async fn drip(connection: &Connection) {
    let Ok(mut stream) = connection.speaking(SYNC_PROTOCOL).await else { return };
    let begun = with_length(1 << 20, b"\xa1\x65offer\x82\x01\x5a\x00\x0f\xff\xf0");
    for byte in begun.iter().chain(std::iter::repeat(&0)) {
        if send(&mut stream, *byte).await.is_err() {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn send(stream: &mut Stream, byte: u8) -> std::io::Result<()> {
    stream.write_all(&[byte]).await?;
    stream.flush().await
}

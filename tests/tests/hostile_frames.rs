//! Frames that are no frames: too long, too deep, lies about their length, broken off, and never coming to an end.

use std::{
    future::pending,
    io,
    iter::repeat,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use distchat_crdt::sync::SYNC_PROTOCOL;
use distchat_hostile::{Connection, Stream};
use distchat_tests::{Chat, Mark, PATIENCE};
use futures::{AsyncReadExt, AsyncWrite, AsyncWriteExt, future::join_all};
use tokio::time::{sleep, timeout};

use crate::hostile::{GROWTH, Scene, meanwhile, run, talk, wait_counted, wait_counter};

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
        let _ = to.close().await;
        pending::<()>().await;
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

/// Streams that drip at once: so many connections, half of which do not even come to the end of a request's length, and so
/// many on each.
const CONNECTIONS: usize = 10;
const OF_EACH: usize = 50;
/// How long the node waits for a request of a mebibyte whose length came at once, and for a length.
const LIMITS: [Duration; 2] = [Duration::from_secs(14), Duration::from_secs(3)];
/// A computer that is busy is not punctual.
const LATE: Duration = Duration::from_secs(10);

/// What became of the streams of one kind.
#[derive(Default)]
struct Drips {
    established: AtomicUsize,
    ended: AtomicUsize,
    /// How long the one lived that lived longest.
    longest: Mutex<Duration>,
}

#[test]
fn five_hundred_streams_that_drip_keep_nobody_out() {
    let Scene { _alone, _machine, ann, mut bob, node, memory } = Scene::begin();
    let drips = [Drips::default(), Drips::default()];
    let again = AtomicBool::new(false);
    let dripping = async {
        let (drips, again) = (&drips, &again);
        join_all((0..CONNECTIONS).map(|n| async move {
            // Whoever is sent away for it comes again by another name, once it is known what the first time has cost.
            loop {
                match Connection::to(node).await {
                    Ok(connection) => {
                        drop(join_all((0..OF_EACH).map(|_| drip(&connection, n % 2, &drips[n % 2]))).await)
                    }
                    Err(_) => sleep(Duration::from_millis(100)).await,
                }
                while !again.load(Ordering::Relaxed) {
                    sleep(Duration::from_millis(10)).await;
                }
            }
        }))
        .await;
    };
    meanwhile(dripping, || {
        let half = CONNECTIONS / 2 * OF_EACH;
        drips.iter().for_each(|drips| wait_counted("streams were established", &drips.established, half));
        // The node ends all of them, and nothing else does.
        drips.iter().for_each(|drips| wait_counted("streams were ended", &drips.ended, half));
        for (drips, limit) in drips.iter().zip(LIMITS) {
            let longest = *drips.longest.lock().unwrap();
            eprintln!("{:?} of {:?} have ended after up to {longest:?}", drips.ended, drips.established);
            assert!(longest < limit + LATE, "it lived for {longest:?}");
        }
        memory.has_not_grown_by(GROWTH);
        again.store(true, Ordering::Relaxed);
        drips.iter().for_each(|drips| wait_counted("streams were established", &drips.established, 2 * half));
        bring_much(&mut bob, &ann);
    });
    // What he brings takes as much by itself as two of these, for a moment.
    memory.has_not_grown_by(4 * GROWTH);
    memory.is_not_larger_by(2 * GROWTH);
    let _ = bob.fingerprint();
}

/// One was away, and has much to bring: offers of a mebibyte, the kind that the drips pretend to be.
fn bring_much(from: &mut Chat, to: &Chat) {
    from.stop();
    from.restart();
    let long = "x".repeat(10_000);
    for n in 0..300 {
        from.say(&format!("{n} {long}"));
    }
    to.wait_from(Mark::START, "all of it", PATIENCE, |event| {
        event["text"].as_str().is_some_and(|text| text.starts_with("299 "))
    });
}

/// Drips on a stream until that ends.
async fn drip(connection: &Connection, kind: usize, drips: &Drips) {
    let Ok(stream) = connection.speaking(SYNC_PROTOCOL).await else { return };
    drips.established.fetch_add(1, Ordering::Relaxed);
    let began = Instant::now();
    drip_on(stream, kind).await;
    let mut longest = drips.longest.lock().unwrap();
    *longest = longest.max(began.elapsed());
    drips.ended.fetch_add(1, Ordering::Relaxed);
}

/// A byte a second of what begins as a long offer, or before that its length at once, until the node has enough of it.
async fn drip_on(stream: Stream, kind: usize) {
    let begun = with_length(1 << 20, b"\xa1\x65offer\x82\x01\x5a\x00\x0f\xff\xf0");
    let (mut from, mut to) = stream.split();
    let drip = async {
        let at_once = [begun.len(), 0][kind];
        let _ = send(&mut to, &begun[..at_once]).await;
        for byte in begun[at_once..].iter().chain(repeat(&0)) {
            if send(&mut to, &[*byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_secs(1)).await;
        }
        pending::<()>().await;
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = drip => unreachable!("it goes on until there is an answer"),
        // A refusal, or nothing at all.
        _ = from.read_to_end(&mut answer) => {}
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

#[test]
fn hundreds_of_long_requests_at_once_are_put_off() {
    let Scene { _alone, _machine, ann, bob, node, memory } = Scene::begin();
    let flood = async {
        let connections = join_all((0..40).map(|_| Connection::to(node))).await;
        let connections: Vec<_> = connections.into_iter().map(Result::unwrap).collect();
        join_all(connections.iter().flat_map(|connection| (0..12).map(|n| without_end(connection, n % 2)))).await;
        std::future::pending().await
    };
    meanwhile(flood, || {
        wait_counter(&ann, "crowded", 100);
        talk(&bob, &ann, "meanwhile", 100);
    });
    // 16 MiB that are being read, in buffers that grow by doubling, what waits in the connections, and these themselves.
    memory.has_not_grown_by(6 * GROWTH);
}

#[test]
fn offers_that_lack_only_their_end_are_held_once() {
    /// In all as many MiB as may be read at once, but for some; of each connection fewer than it is sent away for.
    const CONNECTIONS: usize = 3;
    const OF_EACH: usize = 4;
    let Scene { _alone, _machine, ann, bob, node, memory } = Scene::begin();
    let offers = async {
        join_all((0..CONNECTIONS).map(|_| async {
            let connection = Connection::to(node).await.unwrap();
            join_all((0..OF_EACH).map(|_| without_end(&connection, 0))).await;
        }))
        .await;
    };
    meanwhile(offers, || {
        let too_slow = wait_counter(&ann, "too_slow", CONNECTIONS * OF_EACH);
        assert_eq!(too_slow, (CONNECTIONS * OF_EACH) as u64, "each once");
        talk(&bob, &ann, "meanwhile", 100);
    });
    memory.has_not_grown_by(2 * GROWTH);
}

#[test]
fn what_is_behind_a_request_is_refused_and_costs_nothing() {
    const CONNECTIONS: usize = 40;
    /// A few less than are taken.
    const STREAMS: usize = 60;
    let Scene { _alone, _machine, ann, bob, node, memory } = Scene::begin();
    let flood = async {
        join_all((0..CONNECTIONS).map(|_| async {
            let mut connection = Connection::to(node).await.unwrap();
            join_all((0..STREAMS).map(|_| with_more_behind(&connection))).await;
            // Whoever does that over and over is sent away.
            connection.ended().await;
        }))
        .await;
    };
    meanwhile(flood, || {
        // Of each eight are borne.
        wait_counter(&ann, "malformed", 8 * CONNECTIONS);
        talk(&bob, &ann, "meanwhile", 100);
    });
    memory.has_not_grown_by(2 * GROWTH);
}

/// A question in good order, and behind it as much as a stream may bring unasked, and no end.
async fn with_more_behind(connection: &Connection) {
    let Ok(mut stream) = connection.speaking(SYNC_PROTOCOL).await else { return };
    let mut bytes = with_length(9, b"\xa1\x64have\x82\x01\x80");
    bytes.resize(256 * 1024, 0);
    // Whatever it says to that.
    if stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok() {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

/// A mebibyte that is an offer and lacks so many bytes, or only its end.
async fn without_end(connection: &Connection, lacks: usize) {
    let Ok(mut stream) = connection.speaking(SYNC_PROTOCOL).await else { return };
    let head = b"\xa1\x65offer\x82\x01\x5a\x00\x0f\xff\xf0";
    let length = head.len() + 0xf_fff0;
    let mut offer = with_length(length as u32, head);
    offer.resize(4 + length - lacks, 0);
    // Whatever it says to that: it takes more, puts it off, or ends it.
    if stream.write_all(&offer).await.is_ok() && stream.flush().await.is_ok() {
        std::future::pending::<()>().await;
    }
}

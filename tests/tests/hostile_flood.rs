//! Strangers and members who send as much as they can: the others go on talking, and the node does not grow.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use distchat_hostile::{Connection, Rpc};
use distchat_tests::{Chat, Machine, PATIENCE, gauge, is};
use futures::AsyncWriteExt;

use crate::common::{heavy, pair};

/// How much a node may grow, whatever others send.
const GROWTH: u64 = 10 * 1024 * 1024;

/// Where a node listens for TCP.
fn tcp(chat: &Chat) -> SocketAddr {
    let listen = chat.ready("listen");
    let addresses = listen.as_array().unwrap().iter().filter_map(|address| address.as_str());
    let parts = |address: &str| {
        let mut parts = address.split('/').skip(2);
        let (ip, protocol, port) = (parts.next()?, parts.next()?, parts.next()?);
        (protocol == "tcp").then(|| format!("{ip}:{port}").parse().ok()).flatten()
    };
    addresses.filter_map(parts).next().expect("it listens for TCP")
}

/// Runs what others do to a node, on threads of its own, for as long as `work` takes.
fn meanwhile<T>(hostile: impl Future<Output = ()> + Send, work: impl FnOnce() -> T) -> T {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = hostile => {}
                    _ = stopped => {}
                }
            });
        });
        let done = work();
        drop(stop);
        done
    })
}

/// How long messages take from one to the other, 200 a second; sorted.
fn latencies(from: &Chat, to: &Chat, count: usize) -> Vec<Duration> {
    let mark = to.mark();
    let run = format!("{:?}", Instant::now());
    let start = Instant::now();
    let due = |n: usize| start + Duration::from_millis(5) * n as u32;
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..count {
                thread::sleep(due(n).saturating_duration_since(Instant::now()));
                from.say(&format!("{run} {n}"));
            }
        });
        let mut taken = Vec::with_capacity(count);
        let prefix = format!("{run} ");
        to.wait_from(mark, "all that is said", PATIENCE, |event| {
            if is(event, "message")
                && let Some(n) = event["text"].as_str().and_then(|text| text.strip_prefix(&prefix)?.parse().ok())
            {
                taken.push(due(n).elapsed());
            }
            taken.len() == count
        });
        taken.sort_unstable();
        taken
    })
}

#[test]
fn a_stranger_publishes_in_topics_that_nobody_has() {
    let _alone = heavy();
    let machine = Machine::loopback();
    let (ann, bob) = pair(&machine, &["general"]);
    let node = tcp(&ann);
    latencies(&bob, &ann, 100);
    let before = gauge::rss(ann.pid());
    let flood = async move {
        let connection = Connection::to(node).await.unwrap();
        let mut gossip = connection.speaking("/meshsub/1.1.0").await.unwrap();
        for n in 0_u64.. {
            let mut rpc = Rpc::default();
            for m in 0..16 {
                rpc = rpc.publish("x", &(16 * n + m).to_be_bytes());
            }
            if gossip.write_all(&rpc.bytes()).await.is_err() {
                return;
            }
        }
    };
    let taken = meanwhile(flood, || latencies(&bob, &ann, 2000));
    let grown = gauge::rss(ann.pid()).saturating_sub(before);
    let (p50, p99) = (taken[taken.len() / 2], taken[taken.len() * 99 / 100]);
    eprintln!("p50 {p50:?}, p99 {p99:?}, grown by {} KiB", grown / 1024);
    assert!(grown < GROWTH, "it grew by {grown} bytes");
}

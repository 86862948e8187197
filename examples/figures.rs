//! What it costs: the latency of one message, the broadcasts a second, and how fast a joiner catches up.
//!
//! Five nodes in one process, each with its own swarm, its own threads' share, and its own history on disk, talk over
//! loopback TCP. Everything is signed, verified and on every node's disk.
//!
//! Run with `cargo run --release --example figures`. Options: `--messages N` (for the joiner, 100,000 unless said).

#![allow(clippy::print_stdout, reason = "it prints figures")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use distchat_examples::{connect, local};
use distchat_node::{Config, Event, Events, Node, Room};
use futures::{StreamExt, stream::FuturesOrdered};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How many nodes hear of a broadcast, besides the one that makes it.
const OTHERS: usize = 4;
/// How many messages one node has on their way to its disk at most.
const PIPELINE: usize = 512;

#[tokio::main]
async fn main() -> Result<()> {
    let messages = std::env::args().skip_while(|arg| arg != "--messages").nth(1);
    let messages: usize = messages.map_or(Ok(100_000), |count| count.parse()).context("--messages takes a number")?;
    let disk = tempfile::tempdir()?;

    let nodes = cluster(disk.path()).await?;
    latency(&nodes, 500).await?;
    let took = throughput(&nodes, 20_000).await?;
    println!("sustained broadcasts to 5 nodes, on disk everywhere: {:.0}/s", 20_000.0 / took.as_secs_f64());
    for (node, _, _) in nodes {
        node.shutdown().await;
    }

    joiner(disk.path(), messages).await
}

/// A node, its room, and its events.
type Member = (Node, Room, Events);

async fn member(disk: &Path, name: &str) -> Result<Member> {
    let config = Config { data_dir: Some(disk.to_owned()), ..local(name)? };
    let node = Node::start(config).await?;
    let room = node.open_room(&"general".parse()?).await?;
    let events = node.events();
    Ok((node, room, events))
}

async fn cluster(disk: &Path) -> Result<Vec<Member>> {
    let mut nodes: Vec<Member> = Vec::new();
    for n in 0..=OTHERS {
        let new = member(disk, &format!("node{n}")).await?;
        for (other, ..) in &nodes {
            connect(&new.0, other).await?;
        }
        nodes.push(new);
    }
    // Until everybody has entered the room with everybody.
    for (node, room, events) in &mut nodes {
        while node.rooms().iter().any(|room| room.peers < OTHERS) {
            let event = tokio::time::timeout(Duration::from_secs(20), events.next()).await;
            event.with_context(|| format!("{} does not meet the others", room.name()))?;
        }
    }
    Ok(nodes)
}

/// From the call to the event on each other node, one message at a time on an idle network.
async fn latency(nodes: &[Member], count: usize) -> Result<()> {
    let mut readers: Vec<Events> = nodes.iter().skip(1).map(|(node, ..)| node.events()).collect();
    let (_, room, _) = nodes.first().context("no nodes")?;
    let (mut to_last, mut own) = (Vec::new(), Vec::new());
    for n in 0..count + 20 {
        let text = format!("latency {n}");
        let start = Instant::now();
        let arrivals = futures::future::join_all(readers.iter_mut().map(|events| arrival(events, &text)));
        let (said, arrivals) = futures::join!(async { room.broadcast(&text).await.map(|_| start.elapsed()) }, arrivals);
        let said = said?;
        let last = arrivals.into_iter().collect::<Option<Vec<Instant>>>().context("a node has shut down")?;
        let last = last.into_iter().max().context("no nodes")?;
        // The first ones warm caches up.
        if n >= 20 {
            own.push(said);
            to_last.push(last - start);
        }
    }
    println!(
        "on the own disk:                       p50 {:?}, p99 {:?}",
        percentile(&mut own, 50),
        percentile(&mut own, 99)
    );
    println!(
        "broadcast to the events on {OTHERS} other nodes: p50 {:?}, p99 {:?}",
        percentile(&mut to_last, 50),
        percentile(&mut to_last, 99)
    );
    Ok(())
}

async fn arrival(events: &mut Events, text: &str) -> Option<Instant> {
    while let Some(event) = events.next().await {
        if matches!(&event, Event::Message { message, .. } if message.text == text) {
            return Some(Instant::now());
        }
    }
    None
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times.get(times.len() * percent / 100).copied().unwrap_or_default()
}

/// All nodes talk at once; the time until every node has every message on disk.
async fn throughput(nodes: &[Member], count: usize) -> Result<Duration> {
    let each = count / nodes.len();
    let before = nodes.first().context("no nodes")?.1.fingerprint().await?.messages;
    let start = Instant::now();
    let talk = nodes.iter().enumerate().map(|(n, (_, room, _))| say(room, n, each));
    for said in futures::future::join_all(talk).await {
        said?;
    }
    let expect = before + (each * nodes.len()) as u64;
    println!("  said after {:?}", start.elapsed());
    wait_for(nodes, expect).await?;
    Ok(start.elapsed())
}

async fn say(room: &Room, who: usize, count: usize) -> Result<()> {
    let mut pending = FuturesOrdered::new();
    for n in 0..count {
        if pending.len() >= PIPELINE {
            pending.next().await.transpose()?;
        }
        pending.push_back(async move {
            room.broadcast(&format!("line {n} from {who}, about as long as lines are in a chat")).await
        });
    }
    while let Some(said) = pending.next().await {
        said?;
    }
    Ok(())
}

async fn wait_for(nodes: &[Member], messages: u64) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(120);
    for (node, room, _) in nodes {
        // An author's name is a message, too, so there may be more.
        while room.info().messages < messages {
            ensure!(Instant::now() < until, "{} has {} of {messages} messages", node.profile(), room.info().messages);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    Ok(())
}

/// A node with an empty history meets one with a long one. Beside it, the same bytes over a bare TCP connection.
async fn joiner(disk: &Path, messages: usize) -> Result<()> {
    let (old, room, _) = member(disk, "old").await?;
    let start = Instant::now();
    say(&room, 0, messages).await?;
    println!("{messages} messages said on one node in {:?}", start.elapsed());
    let (new, joined, mut events) = member(disk, "new").await?;
    let expect = room.info().messages;

    let start = Instant::now();
    connect(&new, &old).await?;
    let connected = start.elapsed();
    let mut first = None;
    while joined.info().messages < expect {
        let event =
            tokio::time::timeout(Duration::from_secs(120), events.next()).await.context("the joiner got stuck")?;
        if matches!(event, Some(Event::Message { .. })) && first.is_none() {
            first = Some(start.elapsed());
        }
    }
    let took = start.elapsed();
    ensure!(joined.fingerprint().await? == room.fingerprint().await?, "the joiner has something else");
    println!(
        "joiner, {messages} messages: connected after {connected:?}, first message after {:?}, all on disk after {took:?}",
        first.unwrap_or_default()
    );
    new.shutdown().await;
    old.shutdown().await;

    // What a message of this length has with its signature and references, a little rounded up.
    let bytes = messages * 300;
    let raw = raw_copy(bytes).await?;
    println!(
        "a bare TCP copy of {} MB: {raw:?}, a ratio of {:.1}",
        bytes / 1_000_000,
        took.as_secs_f64() / raw.as_secs_f64()
    );
    Ok(())
}

async fn raw_copy(bytes: usize) -> Result<Duration> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let sender = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let chunk = vec![7; 64 * 1024];
        let mut left = bytes;
        while left > 0 {
            let part = left.min(chunk.len());
            stream.write_all(chunk.get(..part).unwrap_or_default()).await?;
            left -= part;
        }
        stream.shutdown().await
    });
    let start = Instant::now();
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let mut buffer = vec![0; 64 * 1024];
    while stream.read(&mut buffer).await? > 0 {}
    let took = start.elapsed();
    sender.await??;
    Ok(took)
}

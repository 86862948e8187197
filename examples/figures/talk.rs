//! Five nodes that talk: the latency of one message, and how many a second they can have.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use distchat_examples::{connect, local};
use distchat_node::{Config, Event, Events, Node, Room};
use futures::{StreamExt, stream::FuturesOrdered};

use crate::{
    least,
    machine::{self, percentile},
};

/// How many nodes there are.
const NODES: usize = 5;
/// How many broadcasts are measured at once.
const BROADCASTS: usize = 40_000;
/// How many messages one node has on their way to its disk at most.
const PIPELINE: usize = 512;

/// A node, its room, and its events.
pub(crate) type Member = (Node, Room, Events);

/// Starts a node whose history is in `disk`, in the room that all of them are in.
pub(crate) async fn member(disk: &Path, name: &str) -> Result<Member> {
    let config = Config { data_dir: Some(disk.to_owned()), ..local(name)? };
    let node = Node::start(config).await?;
    let room = node.open_room(&"general".parse()?).await?;
    let events = node.events();
    Ok((node, room, events))
}

/// Nodes that have all met in the room.
pub(crate) async fn cluster(disk: &Path, count: usize) -> Result<Vec<Member>> {
    let mut nodes: Vec<Member> = Vec::new();
    for n in 0..count {
        let new = member(disk, &format!("node{n}")).await?;
        for (other, ..) in &nodes {
            connect(&new.0, other).await?;
        }
        nodes.push(new);
    }
    for (node, room, events) in &mut nodes {
        while room.info().peers + 1 < count {
            let event = tokio::time::timeout(Duration::from_secs(20), events.next()).await;
            event.with_context(|| format!("{} does not meet the others", node.profile()))?;
        }
    }
    Ok(nodes)
}

/// From the call to the event on each other node, one message at a time on an idle network.
pub(crate) async fn latency(disk: &Path) -> Result<()> {
    const WARM: usize = 50;
    const COUNT: usize = 500;
    let nodes = cluster(disk, NODES).await?;
    let mut readers: Vec<Events> = nodes.iter().skip(1).map(|(node, ..)| node.events()).collect();
    let (_, room, _) = nodes.first().context("no nodes")?;
    let (mut own, mut all, mut last, mut after) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for n in 0..WARM + COUNT {
        let text = format!("latency {n}");
        let start = Instant::now();
        let arrivals = futures::future::join_all(readers.iter_mut().map(|events| arrival(events, &text)));
        let (said, arrivals) = futures::join!(async { room.broadcast(&text).await.map(|_| start.elapsed()) }, arrivals);
        let said = said?;
        let arrivals = arrivals.into_iter().collect::<Option<Vec<Instant>>>().context("a node has shut down")?;
        if n >= WARM {
            own.push(said);
            all.extend(arrivals.iter().map(|at| *at - start));
            after.extend(arrivals.iter().map(|at| (*at - start).saturating_sub(said)));
            last.push(arrivals.iter().map(|at| *at - start).max().unwrap_or_default());
        }
    }
    let (fsync, raw) = (machine::fsync(disk, COUNT)?, machine::tcp_round_trip(COUNT).await?);
    for (what, mut times) in [
        ("a file's fsync, the least that being on disk costs", fsync),
        ("a TCP round trip of 300 bytes", raw),
        ("on the own disk", own),
        ("from there to the event on another node", after),
        ("in all", all),
        ("in all, to the last of the four", last),
    ] {
        println!("  {what}: p50 {:.2?}, p99 {:.2?}", percentile(&mut times, 50), percentile(&mut times, 99));
    }
    close(nodes).await;
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

/// All nodes talk at once; the time until every node has every message on disk.
pub(crate) async fn broadcasts(disk: &Path) -> Result<()> {
    let nodes = cluster(disk, NODES).await?;
    talk(&nodes, BROADCASTS / 4).await?;
    let (cpu, start) = (machine::cpu(), Instant::now());
    talk(&nodes, BROADCASTS).await?;
    let took = start.elapsed();
    let cpu = machine::cpu().saturating_sub(cpu);
    close(nodes).await;
    let least = least::of_broadcasts(&disk.join("node0/history.sqlite3"), NODES)?;
    println!(
        "  {:.0}/s; {:.1} us of CPU for each, of which signing, hashing, decoding and inserting everywhere would be {:.1} us",
        BROADCASTS as f64 / took.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / BROADCASTS as f64,
        least.as_secs_f64() * 1e6,
    );
    Ok(())
}

/// Every node says its part of so many lines, and all of them have everything on disk.
pub(crate) async fn talk(nodes: &[Member], count: usize) -> Result<()> {
    let each = count / nodes.len();
    let before = nodes.first().context("no nodes")?.1.fingerprint().await?.messages;
    for said in futures::future::join_all(nodes.iter().map(|(_, room, _)| say(room, each))).await {
        said?;
    }
    let expect = before + (each * nodes.len()) as u64;
    let until = Instant::now() + Duration::from_secs(300);
    for (node, room, _) in nodes {
        // An author's name is a message, too, so there may be more.
        while room.info().messages < expect {
            ensure!(Instant::now() < until, "{} has {} of {expect} messages", node.profile(), room.info().messages);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        room.fingerprint().await?;
    }
    Ok(())
}

/// What is said, with its number.
pub(crate) fn line(number: usize) -> String {
    format!("line {number}, and it goes on to be about as long as lines are in a chat")
}

async fn say(room: &Room, count: usize) -> Result<()> {
    let mut pending = FuturesOrdered::new();
    for n in 0..count {
        if pending.len() >= PIPELINE {
            pending.next().await.transpose()?;
        }
        pending.push_back(async move { room.broadcast(&line(n)).await });
    }
    while let Some(said) = pending.next().await {
        said?;
    }
    Ok(())
}

/// Shuts them all down.
pub(crate) async fn close(nodes: Vec<Member>) {
    futures::future::join_all(nodes.iter().map(|(node, ..)| node.shutdown())).await;
}

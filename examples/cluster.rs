//! Nodes connect, and each can list the others.
//!
//! In the Elixir original: `iex --sname node1`, `Node.connect(:node2@host)`, `Node.list()`. On a LAN nobody needs to: nodes
//! find each other by mDNS, and on one machine without any network.
//!
//! Run with `cargo run --example cluster`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use distchat_examples::{connect, local, start, wait};
use distchat_node::{Config, Event, Node};

#[tokio::main]
async fn main() -> Result<()> {
    let [one, two, three] = [start("node1").await?, start("node2").await?, start("node3").await?];
    connect(&one, &two).await?;
    connect(&one, &three).await?;
    connect(&two, &three).await?;
    for node in [&one, &two, &three] {
        let peers: BTreeSet<_> = node.peers().into_iter().map(|peer| peer.peer_id).collect();
        println!("{} is connected to {} nodes", node.profile(), peers.len());
        for peer in node.peers() {
            println!("  {} at {}", peer.peer_id, peer.address);
        }
        ensure!(peers.len() == 2, "everybody is connected to everybody");
    }

    println!("two more, which nobody connects: they meet by a directory of this machine");
    let meeting_place = tempfile::tempdir()?;
    let run_dir = Some(meeting_place.path().to_owned());
    let near = |name: &str| -> Result<Config> {
        Ok(Config { memory: true, same_machine: true, run_dir: run_dir.clone(), ..local(name)? })
    };
    let four = Node::start(near("node4")?).await?;
    let mut events = four.events();
    let five = Node::start(near("node5")?).await?;
    let met = wait(&mut events, |event| matches!(event, Event::Peer { connected: true, .. })).await?;
    let Event::Peer { peer_id, .. } = met else { return Err(anyhow::anyhow!("not a peer")) };
    ensure!(peer_id == five.peer_id(), "node4 met somebody else");
    println!("node4 met {}", four.peers().first().context("nobody")?.peer_id);

    for node in [one, two, three, four, five] {
        node.shutdown().await;
    }
    Ok(())
}

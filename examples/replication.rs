//! What is said on one node is on all of them, in the same order, whoever says it and when.
//!
//! In the Elixir original: a cast to every connected node, and a list in order of arrival, different on each. Here the
//! transcript is a CRDT: the same messages in the same order everywhere, and 32 bytes that prove it.
//!
//! Run with `cargo run --example replication`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::{Result, ensure};
use distchat_examples::{connect, start, wait_for_agreement, wait_for_messages};
use futures::future::join_all;

#[tokio::main]
async fn main() -> Result<()> {
    let nodes = [start("alice").await?, start("bob").await?, start("carol").await?];
    let mut rooms = Vec::new();
    for node in &nodes {
        rooms.push(node.open_room(&"general".parse()?).await?);
    }
    // A chain: alice and carol know each other only through bob.
    connect(&nodes[0], &nodes[1]).await?;
    connect(&nodes[1], &nodes[2]).await?;

    // All three talk at once.
    let talk = rooms.iter().zip(&nodes).map(|(room, node)| async move {
        for n in 1..=5 {
            room.broadcast(&format!("line {n} from {}", node.profile())).await?;
        }
        Ok::<(), distchat_node::RoomError>(())
    });
    for talked in join_all(talk).await {
        talked?;
    }

    wait_for_messages(&nodes[0], &rooms[0], 15).await?;
    for pair in [[0, 1], [1, 2]] {
        wait_for_agreement(pair.map(|n| &nodes[n]), pair.map(|n| &rooms[n])).await?;
    }
    let mut transcripts = Vec::new();
    for (room, node) in rooms.iter().zip(&nodes) {
        let transcript = wait_for_messages(node, room, 15).await?;
        let fingerprint = room.fingerprint().await?.fingerprint;
        println!("{:6} has {} messages, fingerprint {}", node.profile(), transcript.len(), fingerprint.grouped());
        transcripts.push((transcript, fingerprint));
    }
    ensure!(transcripts.windows(2).all(|pair| pair[0] == pair[1]), "the transcripts differ");
    println!("the transcript, everywhere:");
    for line in &transcripts[0].0 {
        println!("  {line}");
    }
    for node in nodes {
        node.shutdown().await;
    }
    Ok(())
}

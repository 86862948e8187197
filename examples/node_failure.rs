//! A node is away, misses messages, and their author leaves before it is back: it catches up from a third.
//!
//! In the Elixir original a node that starts asks the first node for everything, and what is said while it is away and not
//! held by that node is lost to it. Here any peer will do, at any time, and only the difference travels.
//!
//! Run with `cargo run --example node_failure`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::{Result, ensure};
use distchat_examples::{connect, local, start, wait_for_agreement, wait_for_messages};
use distchat_node::{Config, Node};

#[tokio::main]
async fn main() -> Result<()> {
    let disk = tempfile::tempdir()?;
    // Carol's history is on disk, for she comes back as another process would.
    let carol_config =
        || -> Result<Config> { Ok(Config { data_dir: Some(disk.path().to_owned()), ..local("carol")? }) };
    let name = "general".parse()?;

    let alice = start("alice").await?;
    let bob = start("bob").await?;
    let carol = Node::start(carol_config()?).await?;
    connect(&alice, &bob).await?;
    connect(&carol, &alice).await?;
    let at_alice = alice.open_room(&name).await?;
    let at_bob = bob.open_room(&name).await?;
    let at_carol = carol.open_room(&name).await?;
    at_alice.broadcast("everybody here?").await?;
    wait_for_agreement([&alice, &bob], [&at_alice, &at_bob]).await?;
    wait_for_agreement([&alice, &carol], [&at_alice, &at_carol]).await?;
    println!("carol has {:?}", wait_for_messages(&carol, &at_carol, 1).await?);

    carol.shutdown().await;
    println!("carol is gone");
    for text in ["carol does not hear this", "nor this"] {
        at_alice.broadcast(text).await?;
    }
    wait_for_agreement([&alice, &bob], [&at_alice, &at_bob]).await?;
    alice.shutdown().await;
    println!("alice, who said it, is gone, too; bob wrote nothing and holds it all");

    let carol = Node::start(carol_config()?).await?;
    let at_carol = carol.open_room(&name).await?;
    let before = at_carol.messages(50).await?.len();
    ensure!(before == 1, "carol's own disk has what she had, and that is {before} messages");
    connect(&carol, &bob).await?;
    wait_for_agreement([&bob, &carol], [&at_bob, &at_carol]).await?;
    let caught_up = wait_for_messages(&carol, &at_carol, 3).await?;
    println!("carol is back and has caught up from bob:");
    for line in &caught_up {
        println!("  {line}");
    }
    ensure!(caught_up.last().is_some_and(|line| line == "<alice> nor this"), "something is missing");
    ensure!(at_carol.fingerprint().await? == at_bob.fingerprint().await?, "the transcripts differ");
    carol.shutdown().await;
    bob.shutdown().await;
    Ok(())
}

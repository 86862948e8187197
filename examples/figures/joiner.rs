//! A node with an empty history meets others with a long one.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use distchat_node::Event;

use crate::{
    least, machine,
    talk::{Member, member},
};

/// How many messages fill a screen.
const SCREEN: usize = 200;

/// Joins so many of the nodes in `history`, with an empty history in `empty`. The first of them, which is the one asked
/// first, may go away half-way.
pub(crate) async fn run(history: &Path, empty: &Path, peers: usize, death: bool) -> Result<()> {
    let mut old: Vec<Member> = Vec::new();
    for n in 0..peers {
        old.push(member(history, &format!("node{n}")).await?);
    }
    machine::at_rest(std::process::id()).await?;
    let expect = old.first().context("no peers")?.1.fingerprint().await?;
    let (new, joined, mut events) = member(empty, "new").await?;

    let (cpu, start) = (machine::cpu(), Instant::now());
    for (node, ..) in &old {
        new.connect(node.listeners().into_iter().next().context("it does not listen")?).await?;
    }
    let (mut connected, mut screen, mut seen) = (None, None, 0);
    let full = SCREEN.min(expect.messages as usize / 2);
    while screen.is_none() {
        let event =
            tokio::time::timeout(Duration::from_secs(20), events.next()).await.context("the joiner is stuck")?;
        match event.context("the joiner has shut down")? {
            Event::Peer { connected: true, .. } => connected = connected.or(Some(start.elapsed())),
            Event::Message { .. } => {
                seen += 1;
                screen = (seen == full).then(|| start.elapsed());
            }
            _ => {}
        }
    }
    // Reading a million events would cost as much as a node.
    drop(events);
    let until = Instant::now() + Duration::from_secs(120);
    while joined.info().messages < expect.messages {
        ensure!(Instant::now() < until, "the joiner has {} messages after two minutes", joined.info().messages);
        if death && old.len() == peers && joined.info().messages > expect.messages / 2 {
            let (dying, ..) = old.remove(0);
            dying.shutdown().await;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let print = joined.fingerprint().await?;
    let (took, cpu) = (start.elapsed(), machine::cpu().saturating_sub(cpu));
    ensure!(print == expect, "the joiner has something else");
    println!(
        "  {} messages from {peers}: {took:.2?}, {:.2?} of CPU on both sides; connected after {:.1?}, a screen after {:.1?}",
        expect.messages,
        cpu,
        connected.unwrap_or_default(),
        screen.unwrap_or_default(),
    );
    new.shutdown().await;
    for (node, ..) in old {
        node.shutdown().await;
    }

    let least = least::of_joining(&empty.join("new/history.sqlite3"))?;
    let raw = machine::raw_copy(least.bytes).await?;
    println!(
        "  a bare TCP copy of these {} MB: {raw:.2?}, a ratio of {:.1}; hashing and decoding them {:.2?}, inserting them {:.2?}: a ratio of {:.2}",
        least.bytes / 1_000_000,
        took.as_secs_f64() / raw.as_secs_f64(),
        least.decoding,
        least.inserting,
        took.as_secs_f64() / (least.decoding + least.inserting).as_secs_f64(),
    );
    Ok(())
}

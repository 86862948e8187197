//! A node is started on a long history: when there is something to read, when its fingerprint is known, and what it takes
//! in memory. In a process of its own, for memory.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use distchat_examples::local;
use distchat_node::{Config, Node};

use crate::machine;

/// The first argument of the process that opens it.
pub(crate) const CHILD: &str = "--opening";
/// How many messages fill a screen.
const SCREEN: usize = 200;
/// How long a node is left alone before its memory counts as that of an idle one.
const IDLE: Duration = Duration::from_secs(5);

/// Starts the process that opens it, and reads the file beside it.
pub(crate) async fn run(history: &Path) -> Result<()> {
    let (this, dir) = (std::env::current_exe()?, history.to_owned());
    let child = tokio::task::spawn_blocking(move || std::process::Command::new(this).arg(CHILD).arg(dir).status());
    ensure!(child.await??.success(), "the process that opens it has failed");

    let path = history.join("node0/history.sqlite3");
    println!("{}", tokio::task::spawn_blocking(move || beside(&path)).await??);
    Ok(())
}

/// What can be had without a node.
fn beside(path: &Path) -> Result<String> {
    let start = Instant::now();
    let bytes = std::fs::read(path)?.len();
    let read = start.elapsed();
    let start = Instant::now();
    let conn = rusqlite::Connection::open(path)?;
    let count: i64 = conn.query_row("SELECT count(id) FROM message", [], |row| row.get(0))?;
    let counted = start.elapsed();
    Ok(format!(
        "  reading the file of {} MB: {read:.2?}; `SELECT count(id) FROM message`: {counted:.2?} ({count} rows)",
        bytes / 1_000_000,
    ))
}

/// Opens it and says what that took.
pub(crate) async fn child(history: &Path) -> Result<()> {
    let base = machine::resident();
    let (cpu, start) = (machine::cpu(), Instant::now());
    let node = Node::start(Config { data_dir: Some(history.to_owned()), ..local("node0")? }).await?;
    let started = start.elapsed();
    let start = Instant::now();
    let room = node.open_room(&"general".parse()?).await?;
    let messages = room.messages(SCREEN).await?;
    let screen = start.elapsed();
    let print = room.fingerprint().await?;
    let fingerprint = start.elapsed();
    let cpu = machine::cpu().saturating_sub(cpu);
    ensure!(messages.len() == SCREEN.min(messages.len()), "the screen is not full");
    let last = messages.last().context("an empty screen")?;
    ensure!(!last.text.is_empty(), "an empty text");
    let loaded = machine::resident();
    tokio::time::sleep(IDLE).await;
    println!(
        "  {} messages: node started in {started:.1?}, first screen {screen:.1?} after opening, fingerprint {fingerprint:.1?}, {cpu:.2?} of CPU",
        print.messages,
    );
    println!(
        "  memory: {} MB, {} MB before the node, {} MB when just opened",
        machine::resident() / 1_000_000,
        base / 1_000_000,
        loaded / 1_000_000
    );
    node.shutdown().await;
    Ok(())
}

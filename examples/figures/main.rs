//! What a node costs, each row beside a peer that was measured in the same run.
//!
//! `cargo run --release --example figures -- ROW... [--messages N] [--keep DIR] [--times N]` prints the rows that are
//! named, or all of them. Everything is signed, verified and on disk, talks over loopback TCP only, finds nobody by itself,
//! and stops by itself. Data is in a temporary directory; with `--keep` the histories that rows begin with are kept there,
//! for the next run.
//!
//! | row | what |
//! | --- | --- |
//! | `latency` | one message on an idle network of five nodes |
//! | `broadcasts` | five nodes talk at once: broadcasts a second, on disk everywhere |
//! | `joiner` | a node with an empty history meets one with `--messages` (100,000 unless said) |
//! | `joiner-three` | the same from three peers at once |
//! | `joiner-death` | the same, and the first of the three goes away when half is there |
//! | `opening` | a node is started on a room of `--messages`: first screen, fingerprint, memory |
//! | `echo` | the program on a terminal, joining a node with `--messages` and then hearing 5,000 a second: from a key to its echo |
//! | `idle` | 25 nodes in 10 rooms: CPU and bytes a second for each. Loopback's counters are the machine's, so run it with nothing else on it, or in a network namespace |

#![allow(clippy::print_stdout, reason = "it prints figures")]

mod cores;
mod echo;
mod history;
mod idle;
mod joiner;
mod least;
mod machine;
mod opening;
mod talk;
mod typist;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

const ROWS: [&str; 8] = ["latency", "broadcasts", "joiner", "joiner-three", "joiner-death", "opening", "echo", "idle"];

/// What the command line says.
struct Options {
    rows: Vec<String>,
    /// How many messages the histories have that rows begin with.
    messages: usize,
    /// How often a row is measured.
    times: usize,
    keep: Option<PathBuf>,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self { rows: Vec::new(), messages: 100_000, times: 1, keep: None };
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} wants a value"));
            match &*arg {
                "--messages" => options.messages = value()?.parse().context("--messages takes a number")?,
                "--times" => options.times = value()?.parse().context("--times takes a number")?,
                "--keep" => options.keep = Some(value()?.into()),
                row if ROWS.contains(&row) => options.rows.push(arg),
                other => bail!("{other} is no row: there are {}", ROWS.join(", ")),
            }
        }
        if options.rows.is_empty() {
            options.rows = ROWS.map(str::to_owned).to_vec();
        }
        Ok(options)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if(|arg| arg == opening::CHILD).is_some() {
        let dir = args.next().context("no directory")?;
        return opening::child(Path::new(&dir)).await;
    }
    let options = Options::parse(args)?;
    let scratch = tempfile::tempdir()?;
    let kept = options.keep.as_deref().unwrap_or(scratch.path());
    for row in &options.rows {
        println!("{row}");
        for n in 0..options.times {
            let empty = scratch.path().join(format!("{row}{n}"));
            std::fs::create_dir(&empty)?;
            match &**row {
                "latency" => talk::latency(&empty).await?,
                "broadcasts" => talk::broadcasts(&empty).await?,
                "joiner" => joiner::run(&history::of(kept, options.messages).await?, &empty, 1, false).await?,
                "joiner-three" => joiner::run(&history::of(kept, options.messages).await?, &empty, 3, false).await?,
                "joiner-death" => joiner::run(&history::of(kept, options.messages).await?, &empty, 3, true).await?,
                "opening" => opening::run(&history::of(kept, options.messages).await?).await?,
                "echo" => echo::run(&history::of(kept, options.messages).await?, &empty).await?,
                _ => idle::run().await?,
            }
            std::fs::remove_dir_all(&empty)?;
        }
    }
    Ok(())
}

//! Replicas under every fault at once, in virtual time.
//!
//! Run many: `cargo run --release --example simulate -- --seeds 10000 --from 0`; read one: `-- --seed 42 --trace`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    sync::Mutex,
    thread::available_parallelism,
    time::Instant,
};

use anyhow::{Result, ensure};
use clap::Parser;
use distchat_simulator::{Batch, Fault, Plan, Trace, run};

/// Runs replicas under every fault at once, and demands that they keep all promises.
#[derive(Parser)]
struct Arguments {
    /// How many runs.
    #[arg(long, default_value_t = 1000, conflicts_with = "seed")]
    seeds: u64,
    /// The first one's seed.
    #[arg(long, default_value_t = 0, conflicts_with = "seed")]
    from: u64,
    /// One run only, with that seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Tell its story.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// How many runs at once [default: as many as there are cores].
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.seed {
        Some(seed) => one(seed, arguments.trace),
        None => many(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn one(seed: u64, trace: bool) -> Result<()> {
    let plan = Plan::draw(seed);
    if trace {
        println!(
            "seed {seed}: {} hosts, of whom {} lie; {:?}",
            plan.hosts.len(),
            plan.hosts.len() - plan.correct(),
            plan.weather
        );
    }
    let trace = if trace { Trace::to(|line| println!("{line}")) } else { Trace::silent() };
    let report = run(plan, trace)?;
    println!("{} messages, equal {:?} after the repair", report.messages, report.healed_in);
    Ok(())
}

fn many(arguments: &Arguments) -> Result<()> {
    let threads = arguments.threads.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
    let seeds = arguments.from..arguments.from + arguments.seeds;
    let total = arguments.seeds;
    let start = Instant::now();
    let shown = Mutex::new(Instant::now());
    let terminal = std::io::stderr().is_terminal();
    let progress = |done: u64| {
        let Ok(mut shown) = shown.try_lock() else { return };
        if terminal && (shown.elapsed().as_millis() > 200 || done == total) {
            *shown = Instant::now();
            let bar: String = (0..40).map(|n| if n * total < done * 40 { '#' } else { '.' }).collect();
            let rate = done as f64 / start.elapsed().as_secs_f64();
            eprint!("\r[{bar}] {done}/{total}, {rate:.0} runs/s ");
            // A bar that is not shown is no reason to stop.
            let _ = std::io::stderr().flush();
        }
    };
    let batch = Batch::run(seeds.clone(), threads, &progress)?;
    if terminal {
        eprintln!();
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{} runs kept every promise: seeds {} to {}", batch.runs, seeds.start, seeds.end - 1);
    println!(
        "  {:.0} runs/s on {threads} threads, {} inputs, {} messages",
        batch.runs as f64 / seconds,
        batch.steps,
        batch.messages
    );
    println!(
        "  equal {:.1} s after the repair on average, {:.1} s at most (seed {}), with at most {} hellos a replica",
        batch.healing.as_secs_f64() / batch.runs as f64,
        batch.slowest.as_secs_f64(),
        batch.slowest_seed,
        batch.hellos
    );
    println!("  a liar cost a replica at most {} bytes", batch.liar_bytes);
    println!("hits:");
    for fault in Fault::ALL {
        println!("  {fault:28} {}", batch.hits.of(*fault));
    }
    ensure!(batch.missed().is_empty(), "faults that never hit: {:?}", batch.missed());
    Ok(())
}

//! The soak: the real program on many hosts for a long time, while everybody talks and everything breaks, and a report.
//!
//! Nothing here looks inside a node. Hosts are network namespaces, on each of which `distchat --json` runs; what is known
//! of it is what it says, what the kernel tells of its process, and what is on its disk in the end.
//!
//! * [`plan`] draws the faults from the seed, [`storm`] plays them, [`intruder`] is the hostile one among them;
//! * [`host`] runs the program and [`heard`] reads what it says, [`talk`] has something said on it;
//! * [`ledger`] knows all that was said, acknowledged and seen, [`sample`] how everything is from time to time;
//! * [`run`] is the course of it, [`disks`] the last look;
//! * [`figures`] judges, [`report`] and [`plot`] show.

mod args;
mod disks;
mod figures;
mod heard;
mod host;
mod intruder;
mod ledger;
mod plan;
mod plot;
mod proc;
mod report;
mod run;
mod sample;
mod storm;
mod talk;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context, Result};
use clap::Parser;
use distchat_tests::{binary, skip};
use tokio::{runtime::Builder, signal::unix::SignalKind};

use crate::{args::Args, figures::Figures};

fn main() -> ExitCode {
    match soak(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs it and writes the report; whether everything holds.
fn soak(args: &Args) -> Result<bool> {
    skip::namespaces_available().map_err(anyhow::Error::msg)?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("{} cannot be made", args.out.display()))?;
    disks::see_that_there_is_space(&std::env::temp_dir(), args.hosts, args.messages)?;
    let stop = Arc::new(AtomicBool::new(false));
    listen_for_signals(&stop)?;
    eprintln!("soak: {}", binary::distchat().display());
    let outcome = run::run(args, &args.out, &stop)?;
    let figures = Figures::of(args, &outcome);
    report::write(&args.out, args, &outcome, &figures)?;
    for bar in &figures.bars {
        eprintln!("soak: {:?}: {}: {}", bar.verdict, bar.name, bar.found);
    }
    eprintln!("soak: {}", args.out.join("report.md").display());
    Ok(figures.hold())
}

/// Has the run end, and clean up, when somebody asks for that.
fn listen_for_signals(stop: &Arc<AtomicBool>) -> Result<()> {
    let stop = Arc::clone(stop);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (tokio::signal::unix::signal(SignalKind::interrupt())?, tokio::signal::unix::signal(SignalKind::terminate())?)
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                eprintln!("soak: ending, and cleaning up");
                stop.store(true, Ordering::Relaxed);
            }
        });
    })?;
    Ok(())
}

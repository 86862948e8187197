//! The fixed seeds that every change has to survive.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use std::thread::available_parallelism;

use distchat_simulator::Batch;

#[test]
fn a_thousand_runs_keep_every_promise_and_every_fault_hits() {
    let threads = available_parallelism().map_or(1, usize::from);
    let batch = Batch::run(0..1000, threads, &|_| {}).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(batch.runs, 1000);
    assert_eq!(batch.missed(), [], "a fault that never hit has proven nothing");
}

//! Opening a room of a million messages from what a store keeps: the index from its keys in order, and the fingerprint.
//!
//! `cargo bench -p distchat-bench --bench opening`
//!
//! A node opens its store and shows a first screen besides; all of it together is to take less than a second.

#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, Throughput};
use distchat_bench::{
    history::{Cheap, Yes, history, restored, room, room_id, snapshot},
    lines::lines,
};
use distchat_crdt::{Room, Signer, index::Index};

const MANY: usize = 1_000_000;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let kept = snapshot(&room(history(&lines(MANY), |speaker| Cheap(speaker as u64))));
    let mut group = criterion.benchmark_group("a room of 1,000,000");
    group.throughput(Throughput::Elements(MANY as u64));
    group.bench_function("restore", |b| {
        b.iter_batched(
            || kept.clone(),
            |kept| Room::restore(room_id(), Cheap(0).author(), Arc::new(Yes), kept),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("restore and fingerprint", |b| {
        b.iter_batched(|| kept.clone(), restored, BatchSize::PerIteration);
    });
    group.bench_function("index, key by key", |b| {
        b.iter(|| {
            let mut index: Index = Index::default();
            kept.keys.iter().for_each(|key| {
                black_box(index.insert(*key));
            });
            index
        });
    });
    group.finish();
    criterion.final_summary();
}

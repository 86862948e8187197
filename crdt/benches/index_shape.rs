//! What the index costs at several shapes, on a million keys: the measurement behind the protocol's fan-out and leaf
//! bound. Run with `cargo bench -p distchat-crdt --bench index_shape`.

#![allow(clippy::print_stdout, missing_docs)]

use std::{hint::black_box, process::Command, time::Instant};

use distchat_crdt::{
    Key, MessageId, Timestamp,
    index::{Index, Part, Prefix},
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};

const KEYS: usize = 1_000_000;
const SHORT: u64 = 6;
/// What stands around a region on the wire: its prefix, a bitmap, lengths.
const AROUND: u64 = 16;

fn main() {
    // Each shape in a process of its own, or what one left in the allocator would be counted for the next.
    let Some(chosen) = std::env::args().skip_while(|arg| arg != "--shape").nth(1) else {
        println!(
            "bits leaf | insert/s asc   random | rebuild ms | insert+root us | B/key | bytes: 1 missing, 10k scattered"
        );
        for shape in ["2/16", "4/8", "4/16", "4/32", "4/64", "8/16", "8/64"] {
            let run = std::env::current_exe().and_then(|this| Command::new(this).args(["--shape", shape]).status());
            if !run.is_ok_and(|status| status.success()) {
                println!("{shape} could not be measured");
            }
        }
        return;
    };
    let mut rng = StdRng::seed_from_u64(1);
    // A message every second or so, in bursts: the times of people talking.
    let mut time = 1_700_000_000_000_u64;
    let keys: Vec<Key> = (0..KEYS)
        .map(|_| {
            time += if rng.random_bool(0.7) { rng.random_range(1..400) } else { rng.random_range(400..5000) };
            Key { time: Timestamp(time << 16), id: MessageId(rng.random()) }
        })
        .collect();
    match chosen.as_str() {
        "2/16" => measure::<2, 16>(&keys),
        "4/8" => measure::<4, 8>(&keys),
        "4/16" => measure::<4, 16>(&keys),
        "4/32" => measure::<4, 32>(&keys),
        "4/64" => measure::<4, 64>(&keys),
        "8/16" => measure::<8, 16>(&keys),
        "8/64" => measure::<8, 64>(&keys),
        other => println!("{other} is not among the shapes"),
    }
}

fn measure<const BITS: usize, const LEAF: usize>(keys: &[Key]) {
    let mut rng = StdRng::seed_from_u64(2);
    let before = resident();
    let start = Instant::now();
    let mut index: Index<BITS, LEAF> = one_by_one(keys);
    let ascending = KEYS as f64 / start.elapsed().as_secs_f64();
    let memory = resident().saturating_sub(before) as f64 / KEYS as f64;

    let start = Instant::now();
    black_box(index.root());
    let rebuild = start.elapsed().as_secs_f64() * 1e3;

    let last = keys.last().map_or(0, |key| key.time.0);
    let start = Instant::now();
    for n in 0..10_000 {
        index.insert(Key { time: Timestamp(last + (n << 24)), id: MessageId(rng.random()) });
        black_box(index.root());
    }
    let update = start.elapsed().as_secs_f64() * 1e6 / 1e4;

    let mut shuffled = keys.to_vec();
    shuffled.shuffle(&mut rng);
    let start = Instant::now();
    let whole: Index<BITS, LEAF> = one_by_one(&shuffled);
    let random = KEYS as f64 / start.elapsed().as_secs_f64();

    let lacking = |missing: &[Key]| {
        let missing: std::collections::BTreeSet<Key> = missing.iter().copied().collect();
        keys.iter().copied().filter(|key| !missing.contains(key)).collect::<Index<BITS, LEAF>>()
    };
    let one = descent(&whole, &lacking(&keys[KEYS / 2..=KEYS / 2]));
    let many = descent(&whole, &lacking(&shuffled[..10_000]));
    println!(
        "{BITS:4} {LEAF:4} | {ascending:9.0} {random:9.0} | {rebuild:10.1} | {update:14.2} | {memory:5.1} | {one:16} {many:14}"
    );
}

/// As messages come; many at once would be put in as a run.
fn one_by_one<const BITS: usize, const LEAF: usize>(keys: &[Key]) -> Index<BITS, LEAF> {
    let mut index = Index::default();
    for key in keys {
        index.insert(*key);
    }
    index
}

/// The bytes of a descent from the root to every difference, besides the messages.
fn descent<const BITS: usize, const LEAF: usize>(a: &Index<BITS, LEAF>, b: &Index<BITS, LEAF>) -> u64 {
    let last = Key::last_of(Timestamp(u64::MAX));
    let mut bytes = 0;
    let mut regions = vec![Prefix::EMPTY];
    while let Some(region) = regions.pop() {
        bytes += AROUND;
        match a.part(&region, &last) {
            Part::Leaf(keys) => bytes += SHORT * keys.len() as u64,
            Part::Inner { prefix, children } => {
                bytes += SHORT * children.len() as u64;
                for (digit, hash) in children {
                    let child = prefix.child::<BITS>(digit);
                    if b.region(&child, &last).is_none_or(|(_, other)| other != hash) {
                        regions.push(child);
                    }
                }
            }
        }
    }
    bytes
}

/// Resident memory of this process in bytes, where the system tells.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}

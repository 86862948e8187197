//! What it costs two replicas of a million messages to find out where they differ: bytes, round trips, and the time both
//! compute; beside the negentropy crate on the same keys.
//!
//! `cargo bench -p distchat-bench --bench difference`
//!
//! Ours goes on until both hold the same and have told each other so, through the very frames of a node; the messages
//! themselves are not counted. Negentropy only finds the ids: the fetch of the messages by those comes on top of it.

#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

use std::{collections::BTreeSet, time::Duration};

use distchat_bench::{
    exchange::{Cost, reconcile},
    history::{Cheap, history, restored, room, snapshot},
    lines::lines,
    table::{median, thousands, time},
};
use distchat_crdt::{Message, Snapshot};
use negentropy::{Id, Negentropy, NegentropyStorageVector};
use rand::{SeedableRng, rngs::StdRng, seq::index::sample};

const MANY: usize = 1_000_000;
const SOME: usize = 10_000;
const ROUNDS: usize = 5;

fn main() {
    let messages = history(&lines(MANY), |speaker| Cheap(speaker as u64));
    let all: BTreeSet<usize> = BTreeSet::new();
    row(&messages, "two equal replicas", "100 B each way, 1 round trip, 50 us", [&all, &all]);
    row(&messages, "one missing in the middle", "1,600 B, 4 round trips, 1 ms", [&BTreeSet::from([MANY / 2]), &all]);
    let tail: BTreeSet<usize> = (MANY - 10..MANY).collect();
    row(&messages, "a tail of 10 missing", "300 B, 1 round trip", [&tail, &all]);
    let scattered: BTreeSet<usize> = sample(&mut StdRng::seed_from_u64(3), MANY, SOME).into_iter().collect();
    row(&messages, "10,000 scattered missing", "2 MB", [&scattered, &all]);

    // After a partition both sides have written as much, under the same clock.
    let interleaved: [BTreeSet<usize>; 2] =
        [0, 1].map(|side| (MANY - 2 * SOME..MANY).filter(|at| at % 2 == side).collect());
    row(&messages, "10,000 + 10,000, interleaved in time", "200 KB", [&interleaved[0], &interleaved[1]]);
    let clean = [(MANY - SOME..MANY).collect(), (MANY - 2 * SOME..MANY - SOME).collect()];
    row(&messages, "10,000 + 10,000, one after the other", "10 KB", [&clean[0], &clean[1]]);
}

/// One row: what each side lacks of the messages.
fn row(messages: &[Message], name: &str, reach: &str, lacks: [&BTreeSet<usize>; 2]) {
    let held = |lacks: &BTreeSet<usize>| -> Vec<Message> {
        messages.iter().enumerate().filter(|(at, _)| !lacks.contains(at)).map(|(_, message)| message.clone()).collect()
    };
    let sides = lacks.map(held);
    let kept: [Snapshot; 2] = [0, 1].map(|side: usize| snapshot(&room(sides[side].iter().cloned())));
    let costs: Vec<Cost> = (0..ROUNDS)
        .map(|_| {
            let [a, b] = &kept;
            reconcile([restored(a.clone()), restored(b.clone())], messages)
        })
        .collect();
    let cost = &costs[0];
    let mut times: Vec<Duration> = costs.iter().map(|cost| cost.cpu).collect();
    println!("{name}");
    let kinds: Vec<String> = cost.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    println!(
        "  distchat    {:>11} B asked {:>11} B answered; besides messages {:>11} B; {} round trips ({}); {:?}",
        thousands(cost.asked as f64),
        thousands(cost.answered as f64),
        thousands(cost.besides() as f64),
        cost.round_trips,
        kinds.join(", "),
        median(&mut times),
    );
    println!("  to reach    {reach}");
    negentropy(&sides);
}

fn negentropy(sides: &[Vec<Message>; 2]) {
    let [a, b] = [0, 1].map(|side: usize| {
        let mut storage = NegentropyStorageVector::with_capacity(sides[side].len());
        for message in &sides[side] {
            storage.insert(message.time().0, Id::from_byte_array(message.id().0)).unwrap();
        }
        storage.seal().unwrap();
        storage
    });
    let mut times = Vec::new();
    let mut told = None;
    for _ in 0..ROUNDS {
        let (spent, found) = time(|| {
            let mut asker = Negentropy::borrowed(&a, 0).unwrap();
            let mut answerer = Negentropy::borrowed(&b, 0).unwrap();
            let (mut have, mut need) = (Vec::new(), Vec::new());
            let (mut asked, mut answered, mut round_trips) = (0, 0, 0);
            let mut question = Some(asker.initiate().unwrap());
            while let Some(bytes) = question {
                asked += bytes.len();
                let answer = answerer.reconcile(&bytes).unwrap();
                answered += answer.len();
                round_trips += 1;
                question = asker.reconcile_with_ids(&answer, &mut have, &mut need).unwrap();
            }
            (asked, answered, round_trips, have.len(), need.len())
        });
        times.push(spent);
        told = Some(found);
    }
    let Some((asked, answered, round_trips, have, need)) = told else { return };
    println!(
        "  negentropy  {:>11} B asked {:>11} B answered;                 {:>11} B; {round_trips} round trips; {:?}; then to send {have}, to fetch {need}",
        thousands(asked as f64),
        thousands(answered as f64),
        thousands((asked + answered) as f64),
        median(&mut times),
    );
}

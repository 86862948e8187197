//! Memory of a room for each message, counted at the allocator; beside yrs, which keeps the texts in it.
//!
//! `cargo bench -p distchat-bench --bench memory`
//!
//! To reach: 80 bytes without text. Bodies stay in the store.

#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

use distchat_bench::{
    history::{Cheap, history, restored, room, snapshot},
    lines::lines,
};
use distchat_crdt::index::Index;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const LINES: usize = 100_000;
const MANY: usize = 1_000_000;

fn main() {
    for count in [LINES, MANY] {
        let messages = history(&lines(count), |speaker| Cheap(speaker as u64));
        let (merged, held) = grown(|| room(messages.iter().cloned()));
        held.fingerprint();
        print("a room, merged in order", count, merged);
        let snapshot = snapshot(&held);
        let (backwards, other) = grown(|| {
            let mut room = distchat_bench::history::empty(std::sync::Arc::new(distchat_bench::history::Yes));
            for page in messages.rchunks(3_500) {
                room.merge(page.to_vec());
            }
            room
        });
        other.fingerprint();
        print("a room, merged newest first", count, backwards);
        let keys = snapshot.keys.clone();
        let (bytes, index) = grown(|| keys.iter().copied().collect::<Index>());
        index.root();
        print("its index alone, from its keys in order", count, bytes);
        let (bytes, index) = grown(|| {
            let mut keys = keys.clone();
            keys.sort_unstable_by_key(|key| key.id);
            keys.into_iter().collect::<Index>()
        });
        index.root();
        print("its index alone, from its keys in no order", count, bytes);
        // What the snapshot holds is given to the room.
        let before = ALLOCATED.current_usage();
        let peak_before = {
            ALLOCATED.reset_peak_usage();
            before
        };
        let restored = restored(snapshot);
        let peak = ALLOCATED.peak_usage() - peak_before;
        println!(
            "  opening it from its snapshot takes {:.1} bytes a message more at its peak",
            peak as f64 / count as f64
        );
        drop(restored);
    }
    let (bytes, _doc) = grown(|| {
        use yrs::{Array, Doc, Transact};
        let doc = Doc::new();
        let array = doc.get_or_insert_array("lines");
        for line in lines(LINES) {
            array.push_back(&mut doc.transact_mut(), format!("{}: {}", line.speaker, line.text));
        }
        doc
    });
    print("yrs, with text", LINES, bytes);
}

fn grown<T>(make: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATED.current_usage();
    let made = make();
    (ALLOCATED.current_usage().saturating_sub(before), made)
}

fn print(what: &str, count: usize, bytes: usize) {
    println!("{count:>9} messages, {what:<45} {:>6.1} bytes a message", bytes as f64 / count as f64);
}

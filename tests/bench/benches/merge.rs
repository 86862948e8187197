//! Merging one message at a time, authenticity aside, beside the merges of general CRDTs: one list of lines each.
//!
//! `cargo bench -p distchat-bench --bench merge`
//!
//! Of ours there are three figures. *Bytes, one at a time* decodes, hashes and merges each message by itself, as gossip
//! brings it to an idle node. *Pages, merged one at a time* decodes a page at once and merges each message by itself.
//! *Decoded* is the merge alone. The peers get each line as the bytes of an update of its own. Automerge gets fewer lines,
//! for it would take minutes.

#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, Throughput};
use distchat_bench::{
    history::{Cheap, Yes, empty, history},
    lines::{Line, lines},
};
use distchat_crdt::Message;

const LINES: usize = 100_000;
const FEW: usize = 2_000;
/// Messages in a page of about a mebibyte.
const PAGE: usize = 3_500;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let lines = lines(LINES);
    let messages = history(&lines, |speaker| Cheap(speaker as u64));
    let bytes: usize = messages.iter().map(|message| message.bytes().len()).sum();
    println!("{LINES} messages of {} bytes on average", bytes / LINES);

    let mut group = criterion.benchmark_group("merge one by one");
    group.throughput(Throughput::Elements(LINES as u64));
    group.bench_function("distchat, bytes, one at a time", |b| {
        b.iter(|| {
            let mut room = empty(Arc::new(Yes));
            for message in &messages {
                black_box(room.merge(vec![Message::decode(message.bytes()).unwrap()]));
            }
            assert_eq!(room.index().len(), LINES as u64);
        });
    });
    let pages: Vec<Vec<u8>> =
        messages.chunks(PAGE).map(|page| page.iter().flat_map(Message::bytes).copied().collect()).collect();
    group.bench_function("distchat, pages, merged one at a time", |b| {
        b.iter(|| {
            let mut room = empty(Arc::new(Yes));
            for message in pages.iter().flat_map(|page| Message::decode_all(page).unwrap()) {
                black_box(room.merge(vec![message]));
            }
            assert_eq!(room.index().len(), LINES as u64);
        });
    });
    group.bench_function("distchat, decoded", |b| {
        b.iter_batched(
            || messages.clone(),
            |messages| {
                let mut room = empty(Arc::new(Yes));
                for message in messages {
                    black_box(room.merge(vec![message]));
                }
                room
            },
            BatchSize::PerIteration,
        );
    });
    let updates = yrs_updates(&lines);
    group.bench_function("yrs", |b| b.iter(|| yrs_merge(&updates)));
    let updates = loro_updates(&lines);
    group.bench_function("loro", |b| b.iter(|| loro_merge(&updates)));
    group.throughput(Throughput::Elements(FEW as u64));
    let updates = automerge_updates(&lines[..FEW]);
    group.bench_function("automerge", |b| b.iter(|| automerge_merge(&updates)));
    group.finish();
    criterion.final_summary();
}

fn said(line: &Line) -> String {
    format!("{}: {}", line.speaker, line.text)
}

fn yrs_updates(lines: &[Line]) -> Vec<Vec<u8>> {
    use yrs::{Array, Doc, ReadTxn, Transact};
    let doc = Doc::new();
    let array = doc.get_or_insert_array("lines");
    lines
        .iter()
        .map(|line| {
            let before = doc.transact().state_vector();
            array.push_back(&mut doc.transact_mut(), said(line));
            doc.transact().encode_diff_v1(&before)
        })
        .collect()
}

fn yrs_merge(updates: &[Vec<u8>]) {
    use yrs::{Array, Doc, Transact, Update, updates::decoder::Decode};
    let doc = Doc::new();
    let array = doc.get_or_insert_array("lines");
    for update in updates {
        doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
    }
    assert_eq!(array.len(&doc.transact()) as usize, updates.len());
}

fn loro_updates(lines: &[Line]) -> Vec<Vec<u8>> {
    use loro::{ExportMode, LoroDoc};
    let doc = LoroDoc::new();
    let list = doc.get_list("lines");
    lines
        .iter()
        .map(|line| {
            let before = doc.oplog_vv();
            list.push(said(line)).unwrap();
            doc.commit();
            doc.export(ExportMode::updates(&before)).unwrap()
        })
        .collect()
}

fn loro_merge(updates: &[Vec<u8>]) {
    use loro::LoroDoc;
    let doc = LoroDoc::new();
    for update in updates {
        doc.import(update).unwrap();
    }
    assert_eq!(doc.get_list("lines").len(), updates.len());
}

fn automerge_updates(lines: &[Line]) -> Vec<Vec<u8>> {
    use automerge::{AutoCommit, ObjType, ROOT, transaction::Transactable};
    let mut doc = AutoCommit::new();
    let list = doc.put_object(ROOT, "lines", ObjType::List).unwrap();
    doc.commit();
    doc.save_incremental();
    let mut updates = Vec::new();
    // The list itself travels with the first line.
    for (at, line) in lines.iter().enumerate() {
        doc.insert(&list, at, said(line)).unwrap();
        doc.commit();
        updates.push(if at == 0 { doc.save() } else { doc.save_incremental() });
    }
    updates
}

fn automerge_merge(updates: &[Vec<u8>]) {
    use automerge::{AutoCommit, ROOT, ReadDoc};
    let mut doc = AutoCommit::new();
    for update in updates {
        doc.load_incremental(update).unwrap();
    }
    let (_, list) = doc.get(ROOT, "lines").unwrap().unwrap();
    assert_eq!(doc.length(list), updates.len());
}

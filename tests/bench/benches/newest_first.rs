//! Merging a history newest first, in pages, as anti-entropy delivers it: nearly every message is vouched for when it
//! comes, and costs a hash instead of a signature. Everything is done that a node does before it writes: decode, hash,
//! judge, merge.
//!
//! `cargo bench -p distchat-bench --bench newest_first`
//!
//! To reach: 700,000 a second. The last line is the least this can cost: one SHA-256 a message, eight at once.

#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

use std::{hint::black_box, sync::Arc};

use distchat_bench::{
    history::{empty, history},
    lines::lines,
    table::{side_by_side, time},
};
use distchat_crdt::{Keypair, Message, Zip215};
use sha2::{Digest, Sha256};

const LINES: usize = 100_000;
/// Bytes in a page, as in a frame.
const PAGE: usize = 1024 * 1024;

fn main() {
    let messages = history(&lines(LINES), |speaker| {
        Keypair::from_seed(std::array::from_fn(|at| (speaker >> (8 * (at % 2))) as u8 ^ at as u8))
    });
    let mut pages: Vec<Vec<u8>> = Vec::new();
    let mut rest = &messages[..];
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().rev().take_while(|message| {
            bytes += message.bytes().len();
            bytes <= PAGE
        });
        let (before, page) = rest.split_at(rest.len() - fits.count());
        pages.push(page.iter().flat_map(Message::bytes).copied().collect());
        rest = before;
    }
    let verifier = Arc::new(Zip215::new([9; 32]));
    let mut whole = || {
        time(|| {
            let mut room = empty(verifier.clone());
            for page in &pages {
                black_box(room.merge(Message::decode_all(page).unwrap()));
            }
            assert_eq!((room.index().len(), room.missing()), (LINES as u64, 0));
        })
        .0
    };
    let mut decode = || {
        time(|| {
            for page in &pages {
                black_box(Message::decode_all(page).unwrap());
            }
        })
        .0
    };
    let mut merge = || {
        let pages: Vec<Vec<Message>> = pages.iter().map(|page| Message::decode_all(page).unwrap()).collect();
        time(|| {
            let mut room = empty(verifier.clone());
            for page in pages {
                black_box(room.merge(page));
            }
        })
        .0
    };
    let mut hash = || {
        time(|| {
            for message in &messages {
                black_box(Sha256::digest(message.bytes()));
            }
        })
        .0
    };
    side_by_side(
        "newest first, in pages of a mebibyte",
        LINES,
        9,
        &mut [
            ("distchat, decode and merge", &mut whole),
            ("distchat, decode", &mut decode),
            ("distchat, merge", &mut merge),
            ("SHA-256 of each message by itself (sha2)", &mut hash),
        ],
    );
}

//! Merging messages of which none vouches for another, with real signatures, in batches; beside ed25519-zebra's batch
//! verifier alone with the same messages in the same batches.
//!
//! `cargo bench -p distchat-bench --bench signatures`
//!
//! The ratio is to be 0.9 or more. The fewer authors there are, the less the verifier has to do for each signature;
//! batches beyond 256 would gain it a tenth, and are not made, for one bad signature spoils its batch.

#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

use std::{hint::black_box, sync::Arc};

use distchat_bench::{
    history::{empty, unvouched},
    lines::{Line, lines},
    table::{side_by_side, time},
};
use distchat_crdt::{Keypair, Message, Zip215};
use ed25519_zebra::{VerificationKeyBytes, batch};
use rand::{SeedableRng, rngs::StdRng};

const LINES: usize = 16_384;

fn main() {
    let lines = lines(LINES);
    for authors in [16, 1024] {
        let lines: Vec<Line> =
            lines.iter().enumerate().map(|(n, line)| Line { speaker: n % authors, ..line.clone() }).collect();
        measure(&lines, authors);
    }
}

fn measure(lines: &[Line], authors: usize) {
    let messages = unvouched(lines, |speaker| {
        Keypair::from_seed(std::array::from_fn(|at| (speaker >> (8 * (at % 2))) as u8 ^ at as u8))
    });
    for size in [64, 256] {
        let batches: Vec<&[Message]> = messages.chunks(size).collect();
        let pages: Vec<Vec<u8>> =
            batches.iter().map(|batch| batch.iter().flat_map(Message::bytes).copied().collect()).collect();
        let signed: Vec<Vec<(VerificationKeyBytes, ed25519_zebra::Signature, Vec<u8>)>> = batches
            .iter()
            .map(|batch| {
                batch.iter().map(|m| (m.author().0.into(), m.signature().0.into(), m.signed_bytes())).collect()
            })
            .collect();
        let verifier = Arc::new(Zip215::new([9; 32]));
        let mut decoded = || {
            let batches: Vec<Vec<Message>> = batches.iter().map(|batch| batch.to_vec()).collect();
            time(|| {
                let mut room = empty(verifier.clone());
                for batch in batches {
                    black_box(room.merge(batch));
                }
                assert_eq!(room.index().len(), LINES as u64);
            })
            .0
        };
        let mut bytes = || {
            time(|| {
                let mut room = empty(verifier.clone());
                for page in &pages {
                    black_box(room.merge(Message::decode_all(page).unwrap()));
                }
                assert_eq!(room.index().len(), LINES as u64);
            })
            .0
        };
        let mut rng = StdRng::seed_from_u64(1);
        let mut alone = || {
            time(|| {
                for batch in &signed {
                    let mut verifier = batch::Verifier::new();
                    for (key, signature, bytes) in batch {
                        verifier.queue((*key, *signature, bytes));
                    }
                    assert!(verifier.verify(&mut rng).is_ok());
                }
            })
            .0
        };
        side_by_side(
            &format!("{authors} authors, signatures in batches of {size}"),
            LINES,
            9,
            &mut [
                ("distchat, decode and merge", &mut bytes),
                ("distchat, merge", &mut decoded),
                ("ed25519-zebra alone", &mut alone),
            ],
        );
    }
}

//! The laws of the room, held against definitions without cleverness.
//!
//! - `merging`: any order, repetition and batching of the same messages make the same room; what is committed restores
//!   it; fingerprints are equal exactly when sets are; branches converge
//! - `authenticity`: what is accepted is the least fixpoint of signatures and vouching
//! - `zip215`: how signatures are judged
//! - `encoding`: one message has one encoding, and any other bytes are another message or none
//! - `malformed`: the CBOR that RFC 8949 calls not well-formed, or not deterministic, is refused wherever it stands
//! - `writing`: what a correct writer signs, under whatever clock
//! - `wire`: frames survive the wire, and no bytes are more than an error
//! - `history` and `model`: what the laws are tried on, and the definitions

use proptest::test_runner::Config;

mod authenticity;
mod encoding;
mod history;
mod malformed;
mod merging;
mod model;
mod wire;
mod writing;
mod zip215;

/// So many cases. What failed is printed; nothing is written beside the sources.
pub fn cases(cases: u32) -> Config {
    Config { failure_persistence: None, ..Config::with_cases(cases) }
}

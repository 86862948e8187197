//! The test vectors of PROTOCOL.md: each is computed anew, by the crate and where there is a rule in words also by that
//! rule, and must stand in the document exactly so.
//!
//! A vector is a fenced block ` ```vector NAME ` of lines `key = value`. Values are hex, decimal numbers or words; a line
//! that begins with two blanks continues the value before it, one that begins with `#` is for people.

#![allow(clippy::panic)]

mod bundles;
mod frames;
mod index;
mod malformed;
mod messages;
mod rules;

use std::{collections::BTreeMap, fs};

use distchat_crdt::{self as crdt, sync};

/// How many hex digits stand in a line.
const WIDTH: usize = 112;

/// A vector: its name, and the lines in the block.
pub struct Vector {
    name: String,
    lines: Vec<String>,
}

impl Vector {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), lines: Vec::new() }
    }

    /// A remark for people.
    pub fn note(mut self, text: &str) -> Self {
        self.lines.push(format!("# {text}"));
        self
    }

    pub fn word(mut self, key: &str, value: impl ToString) -> Self {
        self.lines.push(format!("{key} = {}", value.to_string()));
        self
    }

    pub fn hex(mut self, key: &str, bytes: &[u8]) -> Self {
        let digits = rules::hex(bytes);
        if (1..=WIDTH).contains(&digits.len()) {
            return self.word(key, digits);
        }
        self.lines.push(format!("{key} ="));
        let mut rest = digits.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(WIDTH.min(rest.len()));
            self.lines.push(format!("  {line}"));
            rest = after;
        }
        self
    }
}

fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../PROTOCOL.md");
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The vectors of the document, by name.
fn written(document: &str) -> BTreeMap<String, String> {
    let mut written = BTreeMap::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("```vector ") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            assert!(written.insert(name.to_owned(), block.join("\n")).is_none(), "`{name}` stands there twice");
        }
    }
    written
}

#[test]
fn every_vector_of_the_document_is_true_and_none_is_missing() {
    let mut written = written(&document());
    let mut wrong = String::new();
    for Vector { name, lines } in
        [messages::all(), malformed::all(), index::all(), frames::all(), bundles::all()].into_iter().flatten()
    {
        let computed = lines.join("\n");
        if written.remove(&name).as_ref() != Some(&computed) {
            wrong += &format!("```vector {name}\n{computed}\n```\n");
        }
    }
    assert!(wrong.is_empty(), "PROTOCOL.md says otherwise, or nothing, where this was computed:\n\n{wrong}");
    let unknown: Vec<String> = written.into_keys().collect();
    assert!(unknown.is_empty(), "nothing computes these vectors of PROTOCOL.md: {unknown:?}");
}

/// Rows of the form "| `NAME` | number | ..." in the document state constants of the crate.
#[test]
fn the_document_states_the_limits_as_they_are() {
    let limits: &[(&str, u64)] = &[
        ("MAX_BODY", crdt::MAX_BODY as u64),
        ("MAX_SEEN", crdt::MAX_SEEN as u64),
        ("MIN_MESSAGE", crdt::MIN_MESSAGE as u64),
        ("MAX_MESSAGE", crdt::MAX_MESSAGE as u64),
        ("SEQ_LIMIT", crdt::SEQ_LIMIT),
        ("TIME_MAX", crdt::Timestamp::MAX.0),
        ("VERSION", crdt::VERSION),
        ("KIND_TEXT", crdt::kind::TEXT.into()),
        ("KIND_NICK", crdt::kind::NICK.into()),
        ("KEY_LEN", crdt::KEY_LEN as u64),
        ("MAX_ROOM_NAME", crdt::MAX_ROOM_NAME as u64),
        ("MAX_OWN_TIPS", crdt::MAX_OWN_TIPS as u64),
        ("MAX_SEEN_CLAIMS", crdt::MAX_SEEN_CLAIMS as u64),
        ("MAX_SEEN_CLAIMS_PER_AUTHOR", crdt::MAX_SEEN_CLAIMS_PER_AUTHOR as u64),
        ("FUTURE_LIMIT_MS", crdt::clock::FUTURE_LIMIT_MS),
        ("CLOCK_OFF_MS", crdt::clock::CLOCK_OFF_MS),
        ("MAX_FRAME", sync::MAX_FRAME as u64),
        ("MAX_PAGE", sync::MAX_PAGE as u64),
        ("MAX_TAIL", sync::MAX_TAIL as u64),
        ("MAX_GOSSIP", sync::MAX_GOSSIP as u64),
        ("SEAL_LEN", sync::SEAL_LEN as u64),
        ("MAX_HELLO_ROOMS", sync::MAX_HELLO_ROOMS as u64),
        ("MAX_NODE_ITEMS", sync::MAX_NODE_ITEMS as u64),
        ("MAX_SUMMARIES", sync::MAX_SUMMARIES as u64),
        ("MAX_FETCH_ITEMS", sync::MAX_FETCH_ITEMS as u64),
        ("MAX_HAVE_KEYS", sync::MAX_HAVE_KEYS as u64),
        ("MAX_CUTS", sync::MAX_CUTS as u64),
        ("MAX_SHORTS", sync::MAX_SHORTS as u64),
        ("SHORT_LEN", sync::SHORT_LEN as u64),
        ("MAX_BUNDLE_CONTENT", crdt::bundle::MAX_BUNDLE_CONTENT as u64),
    ];
    let document = document();
    let rows: BTreeMap<&str, &str> = document.lines().filter_map(row).collect();
    for (name, value) in limits {
        let stated = rows.get(name).map(|cell| cell.replace(',', ""));
        assert_eq!(stated, Some(value.to_string()), "{name}");
    }
    assert!(document.contains(&format!("`{}`", sync::SYNC_PROTOCOL)));
}

/// The first two cells of a table row whose first one is a name in capitals.
fn row(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
    let capitals = name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    capitals.then_some((name, rest.split(" | ").next()?))
}

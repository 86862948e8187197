//! The least that some work can cost: the operations that cannot be left out, one after the other on one core.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use distchat_crdt::{Draft, Keypair, Message};
use rusqlite::{Connection, params};

/// How many messages of a history are looked at.
const SAMPLE: usize = 20_000;
/// How many are decoded at once.
const PAGE: usize = 3_500;
/// How many rows are inserted in one transaction: what one page and the next hold.
const GROUP: usize = 14_000;

/// What a joiner cannot do without.
pub(crate) struct Joining {
    /// All messages together.
    pub(crate) bytes: usize,
    pub(crate) decoding: Duration,
    pub(crate) inserting: Duration,
}

/// Of all the messages of a history: hashing and decoding them, and inserting them into a table by time and id.
pub(crate) fn of_joining(history: &Path) -> Result<Joining> {
    let blobs = bodies(history, usize::MAX)?;
    let (decoding, messages) = decode(&blobs)?;
    Ok(Joining { bytes: blobs.iter().map(Vec::len).sum(), decoding, inserting: insert(history, &messages)? })
}

/// Of one broadcast to so many nodes: one signature, the decoding on all others, the inserting on all.
pub(crate) fn of_broadcasts(history: &Path, nodes: usize) -> Result<Duration> {
    let (decoding, messages) = decode(&bodies(history, SAMPLE)?)?;
    let inserting = insert(history, &messages)?;
    let keypair = Keypair::from_seed([7; 32]);
    let start = Instant::now();
    for message in &messages {
        let draft = Draft {
            room: message.room(),
            seq: message.seq(),
            time: message.time(),
            prev: message.prev(),
            seen: message.seen().to_vec(),
            kind: message.kind(),
            body: message.body().to_vec(),
        };
        draft.sign(&keypair)?;
    }
    let signing = start.elapsed();
    let nodes = u32::try_from(nodes)?;
    Ok((signing + decoding * (nodes - 1) + inserting * nodes) / u32::try_from(messages.len().max(1))?)
}

fn bodies(history: &Path, limit: usize) -> Result<Vec<Vec<u8>>> {
    let conn = Connection::open(history)?;
    let mut statement = conn.prepare("SELECT bytes FROM message ORDER BY room, time, id LIMIT ?")?;
    let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Page by page, as they come.
fn decode(blobs: &[Vec<u8>]) -> Result<(Duration, Vec<Message>)> {
    let pages: Vec<Vec<u8>> = blobs.chunks(PAGE).map(<[Vec<u8>]>::concat).collect();
    let start = Instant::now();
    let mut messages = Vec::with_capacity(blobs.len());
    for page in &pages {
        messages.extend(Message::decode_all(page)?);
    }
    let took = start.elapsed();
    ensure!(!messages.is_empty(), "an empty history");
    Ok((took, messages))
}

/// Into a table with nothing but the key and the bytes, newest first as they come.
fn insert(beside: &Path, messages: &[Message]) -> Result<Duration> {
    let path = beside.with_extension("least");
    let mut conn = Connection::open(&path)?;
    conn.execute_batch(
        "PRAGMA page_size = 8192;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 2048;
         CREATE TABLE message (time INTEGER, id BLOB, bytes BLOB, PRIMARY KEY (time, id)) WITHOUT ROWID;",
    )?;
    let start = Instant::now();
    for group in messages.rchunks(GROUP) {
        let tx = conn.transaction()?;
        let mut insert = tx.prepare_cached("INSERT INTO message VALUES (?, ?, ?)")?;
        for message in group {
            insert.execute(params![message.time().0.cast_signed(), message.id().0, message.bytes()])?;
        }
        drop(insert);
        tx.commit()?;
    }
    let took = start.elapsed();
    drop(conn);
    for suffix in ["least", "least-wal", "least-shm"] {
        // The last two go with the connection, as a rule.
        let _ = std::fs::remove_file(beside.with_extension(suffix));
    }
    Ok(took)
}

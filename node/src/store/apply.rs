//! Commits as changes of the tables.

use std::collections::{BTreeMap, BTreeSet};

use distchat_crdt::{AuthorId, AuthorLog, Claim, Key, Message};
use rusqlite::{Connection, params};

use super::{
    CommitJob, Frontier, RoomNo, authors,
    error::StoreError,
    keys, size,
    sums::{self, Change, Sums},
};

/// A message with where it goes and what its job says about it.
struct Row<'a> {
    room: RoomNo,
    message: &'a Message,
    own: bool,
    arrived_ms: u64,
    late: bool,
}

/// What a claim says besides its key: who, and for which sequence number.
type Word = (AuthorId, Option<u64>);

/// Several commits made into one, so that what comes and goes between them is never written, and rows are inserted in
/// the tables' order: descending runs cost twice the space.
#[derive(Default)]
struct Merged<'a> {
    rows: Vec<Row<'a>>,
    /// Whether the key is a head in the end.
    heads: BTreeMap<(RoomNo, Key), bool>,
    filled: BTreeSet<(RoomNo, Key)>,
    claims: BTreeMap<(RoomNo, Key), BTreeSet<Word>>,
    authors: BTreeMap<(RoomNo, AuthorId), &'a AuthorLog>,
    frontiers: BTreeMap<RoomNo, Frontier>,
}

impl<'a> Merged<'a> {
    fn take(&mut self, job: &'a CommitJob) {
        let CommitJob { room, own, commit, arrived_ms, frontier, .. } = job;
        let room = *room;
        self.rows.extend(commit.messages.iter().map(|message| Row {
            room,
            message,
            own: message.author() == *own,
            arrived_ms: *arrived_ms,
            late: message.key() < frontier.key,
        }));
        self.frontiers.insert(room, *frontier);
        // Within one commit what goes comes after what came, for a message that is held stays held.
        self.heads.extend(commit.heads_added.iter().map(|key| ((room, *key), true)));
        self.heads.extend(commit.heads_removed.iter().map(|key| ((room, *key), false)));
        for claim in &commit.claims_added {
            self.claims.entry((room, claim.key)).or_default().insert((claim.author, claim.vouched_seq));
        }
        for key in &commit.holes_filled {
            self.claims.remove(&(room, *key));
            self.filled.insert((room, *key));
        }
        self.authors.extend(commit.authors.iter().map(|(author, log)| ((room, *author), log)));
    }

    /// The numbers of the messages of those authors whose ranges are many.
    fn new_numbers(&self) -> BTreeMap<(RoomNo, AuthorId), Vec<u64>> {
        let many = self.authors.iter().filter(|(_, log)| log.range_count() > authors::FEW);
        let mut new: BTreeMap<_, _> = many.map(|(of, _)| (*of, Vec::new())).collect();
        if !new.is_empty() {
            for row in &self.rows {
                if let Some(numbers) = new.get_mut(&(row.room, row.message.author())) {
                    numbers.push(row.message.seq());
                }
            }
        }
        new
    }
}

/// Writes the jobs in the order given. The caller wraps it in a transaction.
pub(super) fn apply<'a>(conn: &Connection, jobs: impl Iterator<Item = &'a CommitJob>) -> Result<(), StoreError> {
    let mut merged = Merged::default();
    jobs.for_each(|job| merged.take(job));
    // Stable: of a message that came twice, the first arrival counts.
    merged.rows.sort_by_key(|row| (row.room, row.message.key()));
    let mut changes: BTreeMap<RoomNo, Sums> = BTreeMap::new();

    let mut insert = conn.prepare_cached("INSERT OR IGNORE INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    let mut grown: BTreeMap<(RoomNo, AuthorId), usize> = BTreeMap::new();
    for Row { room, message, own, arrived_ms, late } in &merged.rows {
        let Key { time, id } = message.key();
        let new = insert.execute(params![
            room.0,
            time.0.cast_signed(),
            id.0,
            message.kind(),
            message.seq().cast_signed(),
            message.body_at() as i64,
            own,
            arrived_ms.cast_signed(),
            message.bytes(),
            late,
        ])?;
        if new > 0 {
            changes.entry(*room).or_default().message(&message.key());
        }
        *grown.entry((*room, message.author())).or_default() += new * message.bytes().len();
    }

    for rows in merged.rows.chunk_by(|a, b| a.room == b.room) {
        if let Some(Row { room, .. }) = rows.first() {
            let new: Vec<Key> = rows.iter().map(|row| row.message.key()).collect();
            keys::insert(conn, *room, &new)?;
        }
    }

    let mut update = conn.prepare_cached("UPDATE room SET frontier = ?1 WHERE no = ?2 AND frontier IS NOT ?1")?;
    for (room, Frontier { key, unfinished }) in &merged.frontiers {
        update.execute(params![unfinished.then(|| key.to_bytes()), room.0])?;
    }

    let mut insert = conn.prepare_cached("INSERT OR IGNORE INTO head VALUES (?, ?, ?)")?;
    let mut delete = conn.prepare_cached("DELETE FROM head WHERE room = ? AND time = ? AND id = ?")?;
    for ((room, key), is_head) in &merged.heads {
        let (statement, change) = if *is_head { (&mut insert, Change::Added) } else { (&mut delete, Change::Removed) };
        if statement.execute(params![room.0, key.time.0.cast_signed(), key.id.0])? > 0 {
            changes.entry(*room).or_default().head(change, key);
        }
    }

    let mut delete =
        conn.prepare_cached("DELETE FROM claim WHERE room = ? AND time = ? AND id = ? RETURNING author, vouched_seq")?;
    for (room, key) in &merged.filled {
        let mut rows = delete.query(params![room.0, key.time.0.cast_signed(), key.id.0])?;
        while let Some(row) = rows.next()? {
            let vouched_seq = u64::try_from(row.get::<_, i64>(1)?).ok();
            let claim = Claim { key: *key, author: AuthorId(row.get(0)?), vouched_seq };
            changes.entry(*room).or_default().claim(Change::Removed, &claim);
        }
    }
    let mut insert = conn.prepare_cached("INSERT OR IGNORE INTO claim VALUES (?, ?, ?, ?, ?)")?;
    for ((room, key), claims) in &merged.claims {
        for (author, vouched_seq) in claims {
            let seq = vouched_seq.map_or(-1, u64::cast_signed);
            if insert.execute(params![room.0, key.time.0.cast_signed(), key.id.0, author.0, seq])? > 0 {
                let claim = Claim { key: *key, author: *author, vouched_seq: *vouched_seq };
                changes.entry(*room).or_default().claim(Change::Added, &claim);
            }
        }
    }

    let mut new = merged.new_numbers();
    for ((room, author), log) in &merged.authors {
        let (sums, new) = (changes.entry(*room).or_default(), new.remove(&(*room, *author)).unwrap_or_default());
        authors::write(conn, *room, author, log, &new, sums)?;
    }
    size::grow(conn, &grown)?;
    sums::add(conn, changes)
}

//! The index as a database: which messages it has taken in, and which words are in them.
//!
//! A message is taken in with all that is to be known of it in one transaction: its entry, its words, and its room's tally.
//! So however it ends, the tally says what the entries are, and no message is taken in twice or by half. Messages in which
//! people say nothing are taken in, too, without words: otherwise nobody would know whether they had been looked at.

use std::{fs, io, path::Path, time::Duration};

use distchat_crdt::{Key, MessageId, Timestamp};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{places::Runs, words::Question};
use crate::store::{RoomNo, schema};

/// Marks the file as an index of this program ("DChs").
const APPLICATION: i64 = 0x4443_6873;
/// An index of any other version is made anew.
pub(super) const VERSION: i64 = 1;

/// An entry's time is null if it is its place; so the index `moved` has only those that were moved. The text itself is in
/// the history, and nobody asks for the best match, so FTS5 keeps neither texts nor their lengths. Where a word stands in
/// a text is kept: `don't` are two words side by side.
const SCHEMA: &str = "
CREATE TABLE room (
    no INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    count INTEGER NOT NULL,
    sum INTEGER NOT NULL
);
CREATE TABLE entry (
    place INTEGER PRIMARY KEY,
    room INTEGER NOT NULL,
    time INTEGER,
    id BLOB NOT NULL
);
CREATE UNIQUE INDEX moved ON entry (room, time, id) WHERE time IS NOT NULL;
CREATE VIRTUAL TABLE line USING fts5(
    text, content = '', columnsize = 0, tokenize = 'unicode61 remove_diacritics 2'
);
";

/// The newest entries with these words, from a place down. FTS5 goes down its rows by itself, so nothing is sorted.
pub(super) const FIND: &str = "SELECT entry.place, entry.room, coalesce(entry.time, entry.place), entry.id
    FROM line CROSS JOIN entry ON entry.place = line.rowid
    WHERE line MATCH ? AND line.rowid <= ? ORDER BY line.rowid DESC LIMIT ?";
const AT: &str = "SELECT room, time, id FROM entry WHERE place = ?";
pub(super) const MOVED: &str = "SELECT 1 FROM entry INDEXED BY moved WHERE room = ? AND time = ? AND id = ?";

/// How many messages of a room, and which: those of another set of as many have another sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) count: u64,
    sum: u64,
}

impl Tally {
    pub(super) fn add(&mut self, id: &MessageId) {
        self.count += 1;
        let part = id.0.first_chunk().map_or(0, |part| u64::from_le_bytes(*part));
        self.sum = self.sum.wrapping_add(part);
    }
}

/// A message that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) place: i64,
    pub(super) room: RoomNo,
    pub(super) key: Key,
}

/// The open index.
#[derive(Debug)]
pub(super) struct Index {
    conn: Connection,
    runs: Runs,
}

impl Index {
    /// Opens the index, or makes it; one that cannot be used is thrown away. `None`: in memory.
    pub(super) fn open(path: Option<&Path>) -> rusqlite::Result<Self> {
        let conn = match path {
            None => {
                let conn = Connection::open_in_memory()?;
                prepare(&conn)?;
                conn
            }
            Some(path) => match open_file(path) {
                Ok(conn) => conn,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "the search index cannot be used: it is made anew");
                    remove(path);
                    open_file(path)?
                }
            },
        };
        Ok(Self { conn, runs: Runs::default() })
    }

    #[cfg(test)]
    pub(super) fn sql(&self, script: &str) {
        self.conn.execute_batch(script).unwrap();
    }

    /// What is taken in of each room, and how the room is called.
    pub(super) fn rooms(&self) -> rusqlite::Result<Vec<(RoomNo, String, Tally)>> {
        let mut statement = self.conn.prepare_cached("SELECT no, name, count, sum FROM room")?;
        let rows = statement.query_map([], |row| {
            let tally = Tally { count: unsigned(row.get(2)?), sum: unsigned(row.get(3)?) };
            Ok((RoomNo(row.get(0)?), row.get(1)?, tally))
        })?;
        rows.collect()
    }

    /// Those of the keys that are not taken in, in the same order.
    pub(super) fn missing(&self, room: RoomNo, keys: impl IntoIterator<Item = Key>) -> rusqlite::Result<Vec<Key>> {
        let mut at = self.conn.prepare_cached(AT)?;
        let mut moved = self.conn.prepare_cached(MOVED)?;
        let mut missing = Vec::new();
        for key in keys {
            let time = key.time.0.cast_signed();
            let holder = at
                .query_row([time], |row| {
                    let moved_there = row.get_ref(1)? != rusqlite::types::ValueRef::Null;
                    Ok((row.get(0)?, moved_there, row.get(2)?))
                })
                .optional()?;
            let taken_in = match holder {
                None => false,
                Some(holder) if holder == (room.0, false, key.id.0) => true,
                Some(_) => moved.exists(params![room.0, time, key.id.0])?,
            };
            if !taken_in {
                missing.push(key);
            }
        }
        Ok(missing)
    }

    /// Takes in messages that are missing, ascending, each with what is said in it. Returns the room's new tally.
    pub(super) fn take_in(
        &mut self,
        room: RoomNo,
        name: &str,
        messages: &[(Key, Option<String>)],
    ) -> rusqlite::Result<Tally> {
        let tx = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate)?;
        let mut tally = Tally::default();
        let read = "SELECT count, sum FROM room WHERE no = ?";
        if let Some((count, sum)) =
            tx.prepare_cached(read)?.query_row([room.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?
        {
            tally = Tally { count: unsigned(count), sum: unsigned(sum) };
        }

        let mut lines = Vec::with_capacity(messages.len());
        let mut here = tx.prepare_cached("INSERT OR IGNORE INTO entry VALUES (?, ?, NULL, ?)")?;
        let mut elsewhere = tx.prepare_cached("INSERT INTO entry VALUES (?, ?, ?, ?)")?;
        for (Key { time, id }, text) in messages {
            let mut place = time.0.cast_signed();
            if here.execute(params![place, room.0, id.0])? == 0 {
                place = self.runs.take(&tx, place)?;
                elsewhere.execute(params![place, room.0, time.0.cast_signed(), id.0])?;
            }
            tally.add(id);
            lines.extend(text.as_ref().map(|text| (place, text)));
        }
        drop((here, elsewhere));

        // FTS5 gathers rows in memory as long as they ascend.
        lines.sort_unstable();
        let mut insert = tx.prepare_cached("INSERT INTO line (rowid, text) VALUES (?, ?)")?;
        for (place, text) in lines {
            insert.execute(params![place, text])?;
        }
        drop(insert);
        let room = params![room.0, name, tally.count.cast_signed(), tally.sum.cast_signed()];
        tx.prepare_cached("INSERT OR REPLACE INTO room VALUES (?, ?, ?, ?)")?.execute(room)?;
        tx.commit()?;
        Ok(tally)
    }

    /// The newest entries that answer the question, from a place down.
    pub(super) fn find(&self, question: &Question, from: i64, limit: usize) -> rusqlite::Result<Vec<Entry>> {
        let mut statement = self.conn.prepare_cached(FIND)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![question.as_str(), from, limit], |row| {
            let key = Key { time: Timestamp(unsigned(row.get(2)?)), id: MessageId(row.get(3)?) };
            Ok(Entry { place: row.get(0)?, room: RoomNo(row.get(1)?), key })
        })?;
        rows.collect()
    }
}

fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}

/// Throws the index's files away. What cannot be removed shows when it is opened.
pub(super) fn remove(path: &Path) {
    for end in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(end);
        if let Err(error) = fs::remove_file(&file)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(?file, %error, "a file of the search index cannot be removed");
        }
    }
}

fn open_file(path: &Path) -> rusqlite::Result<Connection> {
    schema::create_private(path).map_err(|error| failure(rusqlite::ffi::SQLITE_CANTOPEN, &error.to_string()))?;
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(Duration::from_secs(10))?;
    // A power cut may take back the last transactions, never a part of one: what is missing is found by counting. So
    // the disk is not waited for but when the log is written back.
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 16777216;",
    )?;
    prepare(&conn)?;
    Ok(conn)
}

/// Makes the tables of a new index. Of one that is there, makes sure that they are as this program makes them.
fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch("PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;")?;
    conn.set_prepared_statement_cache_capacity(32);
    let number = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let marks = (number("application_id")?, number("user_version")?);
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        let tx = conn.unchecked_transaction()?;
        tx.execute_batch(SCHEMA)?;
        tx.pragma_update(None, "application_id", APPLICATION)?;
        tx.pragma_update(None, "user_version", VERSION)?;
        tx.commit()
    } else if marks == (APPLICATION, VERSION) {
        // An error if one of the tables is not there.
        conn.prepare("SELECT 1 FROM room, entry INDEXED BY moved, line WHERE entry.time = 1 AND entry.room = 1")
            .map(drop)
    } else {
        Err(failure(rusqlite::ffi::SQLITE_NOTADB, "it is of another version or another program"))
    }
}

fn failure(code: i32, detail: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some(detail.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A word that everybody says is found as quickly as one that nobody does.
    #[test]
    fn nothing_is_sorted() {
        let index = Index::open(None).unwrap();
        for (query, expect) in [(FIND, "VIRTUAL TABLE INDEX"), (FIND, "USING INTEGER PRIMARY KEY"), (MOVED, "moved")] {
            let mut statement = index.conn.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
            let parameters = vec!["1"; statement.parameter_count()];
            let plan = statement.query_map(rusqlite::params_from_iter(parameters), |row| row.get(3));
            let plan: Vec<String> = plan.unwrap().map(Result::unwrap).collect();
            assert!(plan.iter().any(|step| step.contains(expect)), "{plan:?} for {query}");
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?} for {query}");
        }
    }
}

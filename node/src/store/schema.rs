//! Opening a history: settings of the connections, the tables, and their versions.

use std::{collections::BTreeMap, fs::OpenOptions, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, TransactionBehavior, config::DbConfig};

use super::error::StoreError;
use crate::private;

/// Marks the file as a history of this program ("DCht"), for `file` and for ourselves.
const APPLICATION: i64 = 0x4443_6874;

/// One script a version, in order. What a release has written is never edited, only added to.
pub(super) const VERSIONS: [&str; 6] = [V1, V2, V3, V4, V5, V6];

/// Measured with 1 M rows of 300 B that arrive newest first, in pages of 3500 (2 cores, ext4). In 8 KiB pages WITHOUT
/// ROWID wrote 173,000 rows/s, read a page of 3500 in 3.1 ms and 3500 single rows in 68 ms; with a rowid and an index
/// it was 188,000 rows/s, 9.2 ms and 231 ms. Only the list of all keys, read once at a start, is slower (1.0 s, not
/// 0.8 s). Pages of 4 KiB wrote 100,000 to 130,000 rows/s; 16 KiB gained little, and a single message's commit writes
/// twice the bytes.
///
/// The author of a message is at a fixed place in its bytes, the body ends 66 bytes before their end. An author's
/// ranges are kept as in `ranges.rs`; `vouched_seq` is -1 where there is none.
const V1: &str = "
CREATE TABLE room (
    no INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    id BLOB NOT NULL
);
CREATE TABLE message (
    room INTEGER NOT NULL,
    time INTEGER NOT NULL,
    id BLOB NOT NULL,
    kind INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    body_at INTEGER NOT NULL,
    own INTEGER NOT NULL,
    arrived INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (room, time, id)
) WITHOUT ROWID;
CREATE INDEX message_own ON message (room, own, substr(bytes, 39, 32), time, id, seq) WHERE own = 1;
CREATE INDEX message_nick ON message (room, substr(bytes, 39, 32), time, id) WHERE kind = 1;
CREATE TABLE head (
    room INTEGER NOT NULL,
    time INTEGER NOT NULL,
    id BLOB NOT NULL,
    PRIMARY KEY (room, time, id)
) WITHOUT ROWID;
CREATE TABLE claim (
    room INTEGER NOT NULL,
    time INTEGER NOT NULL,
    id BLOB NOT NULL,
    author BLOB NOT NULL,
    vouched_seq INTEGER NOT NULL,
    PRIMARY KEY (room, time, id, author, vouched_seq)
) WITHOUT ROWID;
CREATE TABLE author (
    room INTEGER NOT NULL,
    author BLOB NOT NULL,
    forked INTEGER NOT NULL,
    count INTEGER NOT NULL,
    ranges BLOB NOT NULL,
    PRIMARY KEY (room, author)
) WITHOUT ROWID;
CREATE VIEW chat AS
SELECT
    room.name AS room,
    strftime('%Y-%m-%dT%H:%M:%fZ', (m.time >> 16) / 1000.0, 'unixepoch') AS time,
    lower(hex(substr(m.bytes, 39, 4))) AS author,
    (
        SELECT CAST(substr(n.bytes, n.body_at + 1, length(n.bytes) - 66 - n.body_at) AS TEXT)
        FROM message AS n INDEXED BY message_nick
        WHERE n.kind = 1 AND n.room = m.room AND substr(n.bytes, 39, 32) = substr(m.bytes, 39, 32)
            AND (n.time, n.id) < (m.time, m.id)
        ORDER BY n.time DESC, n.id DESC
        LIMIT 1
    ) AS nick,
    CAST(substr(m.bytes, m.body_at + 1, length(m.bytes) - 66 - m.body_at) AS TEXT) AS text
FROM message AS m JOIN room ON room.no = m.room
WHERE m.kind = 0
ORDER BY m.room, m.time, m.id;
";

/// The keys in pages, see `keys.rs`. A room that has none yet gets them when it is next opened.
///
/// Measured with 1 M rows of 300 B on the same machine: a list of all keys by a scan of `message` takes 0.5 s when the file
/// is in memory and reads all of it when it is not; from an index over (room, kind, time, id), 56 MB, it takes 0.3 s and
/// every insertion costs 30 % more; from these pages, 45 MB, it takes 0.03 s.
const V2: &str = "
CREATE TABLE key_page (
    room INTEGER NOT NULL,
    time INTEGER NOT NULL,
    id BLOB NOT NULL,
    keys BLOB NOT NULL,
    PRIMARY KEY (room, time, id)
) WITHOUT ROWID;
CREATE TRIGGER message_removed AFTER DELETE ON message BEGIN
    DELETE FROM key_page WHERE room = OLD.room;
END;
CREATE TRIGGER message_moved AFTER UPDATE OF room, time, id ON message BEGIN
    DELETE FROM key_page WHERE room IN (OLD.room, NEW.room);
END;
";

/// What people are shown besides texts, and which messages came late. A room's `frontier` is null unless a catching up with
/// others was broken off: then it is the newest key that had been here before.
const V3: &str = "
ALTER TABLE message ADD COLUMN late INTEGER NOT NULL DEFAULT 0;
ALTER TABLE room ADD COLUMN frontier BLOB;
CREATE INDEX message_reaction ON message (room, substr(bytes, body_at + 1, 40), time, id) WHERE kind = 4;
CREATE INDEX message_topic ON message (room, time, id) WHERE kind = 5;
DROP VIEW chat;
CREATE VIEW chat AS
SELECT
    room.name AS room,
    strftime('%Y-%m-%dT%H:%M:%fZ', (m.time >> 16) / 1000.0, 'unixepoch') AS time,
    lower(hex(substr(m.bytes, 39, 4))) AS author,
    (
        SELECT CAST(substr(n.bytes, n.body_at + 1, length(n.bytes) - 66 - n.body_at) AS TEXT)
        FROM message AS n INDEXED BY message_nick
        WHERE n.kind = 1 AND n.room = m.room AND substr(n.bytes, 39, 32) = substr(m.bytes, 39, 32)
            AND (n.time, n.id) < (m.time, m.id)
        ORDER BY n.time DESC, n.id DESC
        LIMIT 1
    ) AS nick,
    CAST(substr(m.bytes, m.body_at + 1 + 40 * (m.kind = 3), length(m.bytes) - 66 - m.body_at - 40 * (m.kind = 3)) AS TEXT) AS text,
    CASE m.kind WHEN 0 THEN 'text' WHEN 2 THEN 'action' ELSE 'reply' END AS kind
FROM message AS m JOIN room ON room.no = m.room
WHERE m.kind IN (0, 2, 3)
ORDER BY m.room, m.time, m.id;
";

/// The ranges of an author who leaves out numbers, in pages, see `authors.rs`. Of whom nothing is in pages yet, all stand in
/// its row.
const V4: &str = "
CREATE TABLE author_page (
    room INTEGER NOT NULL,
    author BLOB NOT NULL,
    first INTEGER NOT NULL,
    ranges BLOB NOT NULL,
    PRIMARY KEY (room, author, first)
) WITHOUT ROWID;
";

/// How many bytes of messages are held of each author, see `size.rs`; null if that is not known.
const V5: &str = "
ALTER TABLE author ADD COLUMN bytes INTEGER DEFAULT 0;
UPDATE author SET bytes = NULL;
CREATE TRIGGER message_shrunk AFTER DELETE ON message BEGIN
    UPDATE author SET bytes = NULL WHERE room = OLD.room AND author = substr(OLD.bytes, 39, 32);
END;
CREATE TRIGGER message_changed AFTER UPDATE OF room, bytes ON message BEGIN
    UPDATE author SET bytes = NULL WHERE room IN (OLD.room, NEW.room)
        AND author IN (substr(OLD.bytes, 39, 32), substr(NEW.bytes, 39, 32));
END;
";

/// How damage is noticed, and what becomes of it. A room's `sums` are of its keys and of what follows from its messages, see
/// `sums.rs`; a room that has none is judged anew when it is next opened. Whoever takes messages out throws them away with the
/// pages of keys. `set_aside` keeps what was found not to be what its key says, for a person; `withheld` are messages that are
/// held and passed on, but that nobody is shown, for they crash the program. The `owner` is whose history it is.
const V6: &str = "
CREATE TABLE sums (
    room INTEGER PRIMARY KEY,
    messages INTEGER NOT NULL,
    keys INTEGER NOT NULL,
    heads INTEGER NOT NULL,
    claims INTEGER NOT NULL,
    authors INTEGER NOT NULL
);
CREATE TABLE set_aside (
    room INTEGER NOT NULL,
    time INTEGER,
    id BLOB,
    bytes BLOB,
    why TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE TABLE withheld (
    room INTEGER NOT NULL,
    time INTEGER NOT NULL,
    id BLOB NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (room, time, id)
) WITHOUT ROWID;
CREATE TABLE owner (author BLOB NOT NULL);
CREATE INDEX room_id ON room (id);
DROP TRIGGER message_removed;
DROP TRIGGER message_moved;
CREATE TRIGGER message_removed AFTER DELETE ON message BEGIN
    DELETE FROM key_page WHERE room = OLD.room;
    DELETE FROM sums WHERE room = OLD.room;
END;
CREATE TRIGGER message_moved AFTER UPDATE OF room, time, id ON message BEGIN
    DELETE FROM key_page WHERE room IN (OLD.room, NEW.room);
    DELETE FROM sums WHERE room IN (OLD.room, NEW.room);
END;
";

/// Opens the writing connection, and creates or migrates the tables. `None` opens one in memory.
pub(super) fn open_writer(path: Option<&Path>) -> Result<Connection, StoreError> {
    let mut conn = match path {
        Some(path) => {
            create_private(path).map_err(|error| StoreError::io(path, &error))?;
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?
        }
        None => Connection::open_in_memory()?,
    };
    // Before anything is changed: a file of a newer program or of somebody else is left as it is.
    let version = version_of(&conn, path)?;
    if version > 0 && !is_as_made(&conn, version)? {
        return Err(StoreError::damaged("its tables are not those of its version"));
    }
    // People may look at their history with another program, which may hold it for a moment.
    conn.busy_timeout(Duration::from_secs(10))?;
    conn.execute_batch(
        "PRAGMA page_size = 8192;
         PRAGMA cache_size = -16384;
         PRAGMA temp_store = MEMORY;
         PRAGMA cell_size_check = ON;
         PRAGMA trusted_schema = OFF;",
    )?;
    if path.is_some() {
        // Before anything is written, so that each commit outlasts a power cut. With a log FULL would do; with a rollback journal,
        // as at the very beginning and where the disk cannot have a log, a commit counts once the journal is gone for good, which
        // EXTRA waits for. On macOS only fullfsync waits for the disk.
        conn.execute_batch("PRAGMA synchronous = EXTRA; PRAGMA fullfsync = ON;")?;
        let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            tracing::warn!(mode, "the disk does not support a write-ahead log, saving will be slower");
        }
        // The log is written back every 16 MiB, and shortened if it was far longer once.
        conn.execute_batch(
            "PRAGMA checkpoint_fullfsync = ON;
             PRAGMA wal_autocheckpoint = 2048;
             PRAGMA journal_size_limit = 67108864;",
        )?;
    }
    for (script, version) in VERSIONS.iter().zip(1_u32..).skip(version) {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(script)?;
        tx.pragma_update(None, "application_id", APPLICATION)?;
        tx.pragma_update(None, "user_version", version)?;
        tx.commit()?;
    }
    settle_plans(&conn)?;
    Ok(conn)
}

/// Opens a connection that can only read. The writer must be open.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(Duration::from_secs(10))?;
    conn.execute_batch(
        "PRAGMA query_only = ON;
         PRAGMA cache_size = -8192;
         PRAGMA temp_store = MEMORY;
         PRAGMA cell_size_check = ON;
         PRAGMA trusted_schema = OFF;",
    )?;
    settle_plans(&conn)?;
    Ok(conn)
}

/// Statements are prepared once. Without the guarantee a range of (time, id) is planned anew whenever its ends are bound:
/// that took a third of a lookup's time.
fn settle_plans(conn: &Connection) -> Result<(), StoreError> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// How many of the version scripts the file has seen.
pub(super) fn version_of(conn: &Connection, path: Option<&Path>) -> Result<usize, StoreError> {
    let number = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if (application, version, tables) == (0, 0, 0) {
        return Ok(0);
    }
    if application != APPLICATION {
        return Err(StoreError::damaged("it is a database of another program"));
    }
    match usize::try_from(version) {
        Ok(0) | Err(_) => Err(StoreError::damaged("its version is missing")),
        Ok(version) if version <= VERSIONS.len() => Ok(version),
        Ok(_) => Err(StoreError::Newer {
            path: path.map(Path::to_owned).unwrap_or_default(),
            found: version,
            known: VERSIONS.len() as i64,
        }),
    }
}

/// Whether all tables, indexes, triggers and views are as the scripts up to that version make them. People may add others.
fn is_as_made(conn: &Connection, version: usize) -> Result<bool, StoreError> {
    let made = Connection::open_in_memory()?;
    for script in VERSIONS.iter().take(version) {
        made.execute_batch(script)?;
    }
    let here = objects(conn)?;
    Ok(objects(&made)?.into_iter().all(|(name, made)| here.get(&name) == Some(&made)))
}

/// All that a database consists of, by name.
fn objects(conn: &Connection) -> Result<BTreeMap<String, (String, Option<String>)>, StoreError> {
    let mut statement = conn.prepare("SELECT name, type, sql FROM sqlite_schema")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Creates the file if it is not there, for the user's eyes only. SQLite gives its other files the same mode.
pub(super) fn create_private(path: &Path) -> std::io::Result<()> {
    private::open(OpenOptions::new().write(true).create(true).truncate(false), path).map(drop)
}

//! What is read from the tables.

use distchat_crdt::{AuthorId, AuthorLog, Claim, Key, MAX_OWN_TIPS, MessageId, RoomId, RoomName, Snapshot, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Loaded, RoomNo, StoredMessage, error::StoreError, keys, ranges};

/// How many rows that nobody asked for are stepped over before it is cheaper to look the next key up. Measured: a
/// step costs 0.6 us, a lookup 3 to 9 us.
const MAX_STEPS: usize = 8;

/// The greatest key that a message can have. A stranger may ask for greater ones, which the tables cannot express.
const MAX_KEY: Key = Key { time: Timestamp::MAX, id: MessageId([0xff; 32]) };

/// The node's own newest messages. Left to choose, SQLite walks down the whole room for them.
pub(super) const OWN: &str = "SELECT time, id, seq FROM message INDEXED BY message_own
    WHERE room = ? AND own = 1 AND substr(bytes, 39, 32) = ? ORDER BY time DESC, id DESC LIMIT ?";
/// Everything from a key down.
pub(super) const DOWN: &str = "SELECT time, id, bytes FROM message
    WHERE room = ? AND (time, id) <= (?, ?) ORDER BY time DESC, id DESC";
/// All messages in which somebody gave a name.
pub(super) const NICKS: &str =
    "SELECT time, id, substr(bytes, 39, 32), substr(bytes, body_at + 1, length(bytes) - 66 - body_at)
    FROM message INDEXED BY message_nick WHERE room = ? AND kind = 1 ORDER BY substr(bytes, 39, 32), time, id";

fn read_key(row: &Row<'_>) -> rusqlite::Result<Key> {
    Ok(Key { time: Timestamp(row.get::<_, i64>(0)?.cast_unsigned()), id: MessageId(row.get(1)?) })
}

/// The number of the room; it is entered if it is new.
pub(super) fn room(conn: &Connection, name: &RoomName) -> Result<RoomNo, StoreError> {
    let find = "SELECT no FROM room WHERE name = ?";
    if let Some(no) = conn.query_row(find, [name.as_str()], |row| row.get(0)).optional()? {
        return Ok(RoomNo(no));
    }
    conn.execute("INSERT INTO room (name, id) VALUES (?, ?)", params![name.as_str(), RoomId::of(name).0])?;
    Ok(RoomNo(conn.last_insert_rowid()))
}

/// All that a room starts from; `None` if its keys must be put into pages first.
pub(super) fn load(conn: &Connection, room: RoomNo, own: AuthorId) -> Result<Option<Loaded>, StoreError> {
    // One transaction: one state of all tables.
    let tx = conn.unchecked_transaction()?;
    let Some(index) = keys::load(&tx, room)? else { return Ok(None) };
    let mut snapshot = Snapshot::default();

    let mut statement = tx.prepare_cached("SELECT time, id FROM head WHERE room = ?")?;
    snapshot.heads = statement.query_map([room.0], read_key)?.collect::<Result<_, _>>()?;

    let mut statement = tx.prepare_cached("SELECT time, id, author, vouched_seq FROM claim WHERE room = ?")?;
    let claims = statement.query_map([room.0], |row| {
        let vouched_seq = u64::try_from(row.get::<_, i64>(3)?).ok();
        Ok(Claim { key: read_key(row)?, author: AuthorId(row.get(2)?), vouched_seq })
    })?;
    snapshot.claims = claims.collect::<Result<_, _>>()?;

    let mut statement = tx.prepare_cached("SELECT author, forked, count, ranges FROM author WHERE room = ?")?;
    let mut rows = statement.query([room.0])?;
    while let Some(row) = rows.next()? {
        let author = AuthorId(row.get(0)?);
        let (forked, count) = (row.get(1)?, row.get::<_, i64>(2)?.cast_unsigned());
        let log = ranges::decode(row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?)
            .and_then(|ranges| AuthorLog::from_parts(ranges, forked, count))
            .ok_or_else(|| StoreError::damaged("an author's ranges cannot be read"))?;
        snapshot.authors.push((author, log));
    }

    let mut statement = tx.prepare_cached(OWN)?;
    let own = statement.query_map(params![room.0, own.0, MAX_OWN_TIPS as i64], |row| {
        Ok((read_key(row)?, row.get::<_, i64>(2)?.cast_unsigned()))
    })?;
    snapshot.own = own.collect::<Result<_, _>>()?;
    Ok(Some(Loaded { index, snapshot }))
}

/// Whether messages of that author are held that are not marked as the node's own: the store was written under another
/// key, and this one put back since.
pub(super) fn misses_own(snapshot: &Snapshot, own: AuthorId) -> bool {
    let held = snapshot.authors.iter().find(|(author, _)| *author == own).map_or(0, |(_, log)| log.count());
    (snapshot.own.len() as u64) < held.min(MAX_OWN_TIPS as u64)
}

/// Brings up to date what older programs, other keys and people with tools have left behind: marks all messages of that
/// author as the node's own, and puts the keys of all messages into pages.
pub(super) fn mend(conn: &Connection, room: RoomNo, own: AuthorId) -> Result<(), StoreError> {
    let tx = conn.unchecked_transaction()?;
    let mark = "UPDATE message SET own = 1 WHERE room = ? AND own = 0 AND substr(bytes, 39, 32) = ?";
    tx.execute(mark, params![room.0, own.0])?;
    keys::rebuild(&tx, room)?;
    Ok(tx.commit()?)
}

/// The bytes of those of these messages that are held, until they would be more than `max_bytes`; at least one. The
/// keys descend, and so do the answers.
pub(super) fn read(
    conn: &Connection,
    room: RoomNo,
    keys: &[Key],
    max_bytes: usize,
) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
    let mut statement = conn.prepare_cached(DOWN)?;
    let mut found = Vec::new();
    let mut bytes_left = max_bytes;
    let mut wanted = keys.iter().copied().peekable();
    // Walks down the table beside the keys, and starts anew at a key that is far below.
    'lookup: while let Some(start) = wanted.peek() {
        let start = MAX_KEY.min(*start);
        let mut rows = statement.query(params![room.0, start.time.0.cast_signed(), start.id.0])?;
        let mut steps = 0;
        while let Some(row) = rows.next()? {
            let held = read_key(row)?;
            while wanted.next_if(|key| *key > held).is_some() {}
            match wanted.peek() {
                None => break 'lookup,
                Some(key) if *key == held => {
                    let bytes = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
                    if bytes.len() > bytes_left && !found.is_empty() {
                        break 'lookup;
                    }
                    bytes_left = bytes_left.saturating_sub(bytes.len());
                    found.push((held, bytes.to_vec()));
                    wanted.next();
                    steps = 0;
                }
                Some(_) if steps == MAX_STEPS => continue 'lookup,
                Some(_) => steps += 1,
            }
        }
        // The end of the room: whatever else is wanted is not there.
        break;
    }
    Ok(found)
}

/// The newest texts before a key, in the transcript's order.
pub(super) fn newest_text(
    conn: &Connection,
    room: RoomNo,
    before: Option<Key>,
    count: usize,
) -> Result<Vec<StoredMessage>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT time, id, substr(bytes, 39, 32), seq, arrived, substr(bytes, body_at + 1, length(bytes) - 66 - body_at)
         FROM message WHERE room = ? AND kind = 0 AND (time, id) < (?, ?) ORDER BY time DESC, id DESC LIMIT ?",
    )?;
    // Nobody finds a message whose id is all ones, so "before" it includes everything.
    let before = before.map_or(MAX_KEY, |key| key.min(MAX_KEY));
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![room.0, before.time.0.cast_signed(), before.id.0, count], |row| {
        Ok(StoredMessage {
            key: read_key(row)?,
            author: AuthorId(row.get(2)?),
            seq: row.get::<_, i64>(3)?.cast_unsigned(),
            arrived_ms: row.get::<_, i64>(4)?.cast_unsigned(),
            body: row.get(5)?,
        })
    })?;
    let mut messages = rows.collect::<Result<Vec<_>, _>>()?;
    messages.reverse();
    Ok(messages)
}

/// All messages in which somebody gave a name, by author, each author's in the transcript's order.
pub(super) fn nicks(conn: &Connection, room: RoomNo) -> Result<Vec<(AuthorId, Key, Vec<u8>)>, StoreError> {
    let mut statement = conn.prepare_cached(NICKS)?;
    let rows = statement.query_map([room.0], |row| Ok((AuthorId(row.get(2)?), read_key(row)?, row.get(3)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// For each key whether its message is held.
#[cfg(test)]
pub(super) fn holds(conn: &Connection, room: RoomNo, keys: &[Key]) -> Result<Vec<bool>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT 1 FROM message WHERE room = ? AND time = ? AND id = ?")?;
    keys.iter()
        .map(|key| Ok(*key <= MAX_KEY && statement.exists(params![room.0, key.time.0.cast_signed(), key.id.0])?))
        .collect()
}

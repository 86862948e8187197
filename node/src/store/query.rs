//! What is read from the tables.

use std::collections::BTreeMap;

use distchat_crdt::{AuthorId, Claim, KEY_LEN, Key, MAX_OWN_TIPS, MessageId, RoomId, RoomName, Snapshot, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Lines, Loaded, RoomNo, StoredMessage, authors, error::StoreError, keys};
use crate::event::{Reaction, RoomTopic};
use crate::room::short::{self, EMOJI_BYTES, NICK_BYTES};

/// How many rows that nobody asked for are stepped over before it is cheaper to look the next key up. Measured: a
/// step costs 0.6 us, a lookup 3 to 9 us.
const MAX_STEPS: usize = 8;
/// How many bytes of a message come behind its body: its signature.
const BEHIND_BODY: usize = 66;

const _: () = assert!(NICK_BYTES == 512 && EMOJI_BYTES == 256, "as the queries have it");

/// The greatest key that a message can have. A stranger may ask for greater ones, which the tables cannot express.
pub(super) const MAX_KEY: Key = Key { time: Timestamp::MAX, id: MessageId([0xff; 32]) };

/// The node's own newest messages. Left to choose, SQLite walks down the whole room for them.
pub(super) const OWN: &str = "SELECT time, id, seq FROM message INDEXED BY message_own
    WHERE room = ? AND own = 1 AND substr(bytes, 39, 32) = ? ORDER BY time DESC, id DESC LIMIT ?";
/// Everything from a key down.
pub(super) const DOWN: &str = "SELECT time, id, bytes, kind, body_at FROM message
    WHERE room = ? AND (time, id) <= (?, ?) ORDER BY time DESC, id DESC";
/// All messages in which somebody gave a name. Of it no more is read than is looked at: [`NICK_BYTES`].
pub(super) const NICKS: &str =
    "SELECT time, id, substr(bytes, 39, 32), substr(bytes, body_at + 1, min(length(bytes) - 66 - body_at, 512))
    FROM message INDEXED BY message_nick WHERE room = ? AND kind = 1 ORDER BY substr(bytes, 39, 32), time, id";

/// Texts, actions and replies from a key down, and up.
pub(super) const LINES_BEFORE: &str = "SELECT time, id, substr(bytes, 39, 32), seq, kind, arrived, late,
        substr(bytes, body_at + 1, length(bytes) - 66 - body_at)
    FROM message WHERE room = ? AND kind IN (0, 2, 3) AND (time, id) < (?, ?) ORDER BY time DESC, id DESC LIMIT ?";
pub(super) const LINES_AFTER: &str = "SELECT time, id, substr(bytes, 39, 32), seq, kind, arrived, late,
        substr(bytes, body_at + 1, length(bytes) - 66 - body_at)
    FROM message WHERE room = ? AND kind IN (0, 2, 3) AND (time, id) > (?, ?) ORDER BY time, id LIMIT ?";
/// Reactions to a message, the last one first, each as far as it is looked at: [`EMOJI_BYTES`].
pub(super) const REACTIONS: &str = "SELECT time, id, substr(bytes, 39, 32),
        substr(bytes, body_at + 41, min(length(bytes) - 106 - body_at, 256))
    FROM message INDEXED BY message_reaction
    WHERE room = ? AND kind = 4 AND substr(bytes, body_at + 1, 40) = ? AND time <= ?
    ORDER BY time DESC, id DESC LIMIT ?";
/// Of how many of the newest reactions to one message it is known whose they are. Anybody can write any number.
const MAX_REACTIONS: i64 = 1000;
/// What the room was said to be about, the last first. Few cannot be read.
pub(super) const TOPICS: &str = "SELECT time, id, substr(bytes, 39, 32),
        substr(bytes, body_at + 1, length(bytes) - 66 - body_at)
    FROM message INDEXED BY message_topic WHERE room = ? AND kind = 5 AND time <= ?
    ORDER BY time DESC, id DESC LIMIT 100";

pub(super) fn read_key(row: &Row<'_>) -> rusqlite::Result<Key> {
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
    let mut snapshot = Snapshot { heads: heads(&tx, room)?, claims: claims(&tx, room)?, ..Snapshot::default() };

    for (author, log) in authors::load(&tx, room)? {
        let log = log.ok_or_else(|| StoreError::damaged("an author's ranges cannot be read"))?;
        snapshot.authors.push((author, log));
    }

    let mut statement = tx.prepare_cached(OWN)?;
    let own = statement.query_map(params![room.0, own.0, MAX_OWN_TIPS as i64], |row| {
        Ok((read_key(row)?, row.get::<_, i64>(2)?.cast_unsigned()))
    })?;
    snapshot.own = own.collect::<Result<_, _>>()?;
    let frontier: Option<[u8; KEY_LEN]> =
        tx.prepare_cached("SELECT frontier FROM room WHERE no = ?")?.query_row([room.0], |row| row.get(0))?;
    Ok(Some(Loaded { index, snapshot, frontier: frontier.map(|key| Key::from_bytes(&key)) }))
}

/// The messages that no other refers to.
pub(super) fn heads(conn: &Connection, room: RoomNo) -> Result<Vec<Key>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT time, id FROM head WHERE room = ?")?;
    Ok(statement.query_map([room.0], read_key)?.collect::<Result<_, _>>()?)
}

/// Who refers to what is not held.
pub(super) fn claims(conn: &Connection, room: RoomNo) -> Result<Vec<Claim>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT time, id, author, vouched_seq FROM claim WHERE room = ?")?;
    let claims = statement.query_map([room.0], |row| {
        let vouched_seq = u64::try_from(row.get::<_, i64>(3)?).ok();
        Ok(Claim { key: read_key(row)?, author: AuthorId(row.get(2)?), vouched_seq })
    })?;
    Ok(claims.collect::<Result<_, _>>()?)
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
    read_as(conn, room, keys, max_bytes, |bytes, _, _| bytes.to_vec())
}

/// The same, but of each what is made of its bytes, its kind and its body.
pub(super) fn read_as<T>(
    conn: &Connection,
    room: RoomNo,
    keys: &[Key],
    max_bytes: usize,
    of: impl Fn(&[u8], u32, &[u8]) -> T,
) -> Result<Vec<(Key, T)>, StoreError> {
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
                    let body = row.get::<_, u32>(4)? as usize..bytes.len().saturating_sub(BEHIND_BODY);
                    let body = bytes.get(body).unwrap_or_default();
                    found.push((held, of(bytes, row.get(3)?, body)));
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

/// Some of the messages that are shown as lines, in the transcript's order.
pub(super) fn lines(conn: &Connection, room: RoomNo, lines: Lines) -> Result<Vec<StoredMessage>, StoreError> {
    // Nobody finds a message whose id is all ones, so "before" it includes everything.
    let (edge, count, down) = match lines {
        Lines::Newest(count) => (MAX_KEY, count, true),
        Lines::Before(key, count) => (key.min(MAX_KEY), count, true),
        Lines::After(key, count) => (key.min(MAX_KEY), count, false),
    };
    let mut statement = conn.prepare_cached(if down { LINES_BEFORE } else { LINES_AFTER })?;
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![room.0, edge.time.0.cast_signed(), edge.id.0, count], |row| {
        Ok(StoredMessage {
            key: read_key(row)?,
            author: AuthorId(row.get(2)?),
            seq: row.get::<_, i64>(3)?.cast_unsigned(),
            kind: row.get(4)?,
            arrived_ms: row.get::<_, i64>(5)?.cast_unsigned(),
            late: row.get(6)?,
            body: row.get(7)?,
        })
    })?;
    let mut messages = rows.collect::<Result<Vec<_>, _>>()?;
    if down {
        messages.reverse();
    }
    Ok(messages)
}

/// What is thought of these messages, as of that time: each author's last reaction to each, unless it is empty.
pub(super) fn reactions(
    conn: &Connection,
    room: RoomNo,
    to: &[Key],
    horizon: Timestamp,
) -> Result<Vec<Reaction>, StoreError> {
    let mut statement = conn.prepare_cached(REACTIONS)?;
    let mut found = Vec::new();
    for to in to {
        let rows = statement.query_map(
            params![room.0, to.to_bytes(), horizon.min(Timestamp::MAX).0.cast_signed(), MAX_REACTIONS],
            |row| Ok((read_key(row)?, AuthorId(row.get(2)?), row.get::<_, Vec<u8>>(3)?)),
        )?;
        let mut of_author = BTreeMap::new();
        for row in rows {
            let (key, author, emoji) = row?;
            // The last one comes first.
            of_author.entry(author).or_insert((key, emoji));
        }
        let mut here: Vec<Reaction> = of_author
            .into_iter()
            .filter_map(|(author, (key, emoji))| {
                Some(Reaction { key, author, to: *to, emoji: short::emoji(&emoji)?.to_owned() })
            })
            .filter(|reaction| !reaction.emoji.is_empty())
            .collect();
        here.sort_by_key(|reaction| reaction.key);
        found.append(&mut here);
    }
    Ok(found)
}

/// What the room is about, as of that time.
pub(super) fn topic(conn: &Connection, room: RoomNo, horizon: Timestamp) -> Result<Option<RoomTopic>, StoreError> {
    let mut statement = conn.prepare_cached(TOPICS)?;
    let mut rows = statement.query(params![room.0, horizon.min(Timestamp::MAX).0.cast_signed()])?;
    while let Some(row) = rows.next()? {
        // One that cannot be read says nothing.
        if let Ok(text) = String::from_utf8(row.get(3)?) {
            return Ok(Some(RoomTopic { key: read_key(row)?, author: AuthorId(row.get(2)?), text }));
        }
    }
    Ok(None)
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

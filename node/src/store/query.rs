//! What is read from the tables.

use std::collections::{BTreeMap, BTreeSet};

use distchat_crdt::{
    AuthorId, Claim, KEY_LEN, Key, MAX_OWN_TIPS, Message, MessageId, RoomId, RoomName, Snapshot, Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    Lines, Loaded, RoomNo, StoredMessage, authors,
    doubts::Doubts,
    error::StoreError,
    keys,
    sums::{self, Change, Sums},
};
use crate::event::{Reaction, RoomTopic};
use crate::room::short::{self, EMOJI_BYTES, NICK_BYTES};

/// How many rows that nobody asked for are stepped over before it is cheaper to look the next key up. Measured: a
/// step costs 0.6 us, a lookup 3 to 9 us.
const MAX_STEPS: usize = 8;
/// The word for a message of which only a column is wrong: it need not be set aside.
pub(super) const BAD_COLUMN: &str = "column";

const _: () = assert!(NICK_BYTES == 512 && EMOJI_BYTES == 256, "as the queries have it");

/// The greatest key that a message can have. A stranger may ask for greater ones, which the tables cannot express.
pub(super) const MAX_KEY: Key = Key { time: Timestamp::MAX, id: MessageId([0xff; 32]) };

/// The node's own newest messages. Left to choose, SQLite walks down the whole room for them.
pub(super) const OWN: &str = "SELECT time, id, seq FROM message INDEXED BY message_own
    WHERE room = ? AND own = 1 AND substr(bytes, 39, 32) = ? ORDER BY time DESC, id DESC LIMIT ?";
/// Everything from a key down.
pub(super) const DOWN: &str = "SELECT time, id, bytes FROM message
    WHERE room = ? AND (time, id) <= (?, ?) ORDER BY time DESC, id DESC";
/// All messages in which somebody gave a name. Of it no more is read than is looked at, [`NICK_BYTES`]; all of those that are
/// short, so that it is known that they are what they were.
pub(super) const NICKS: &str =
    "SELECT time, id, substr(bytes, 39, 32), substr(bytes, body_at + 1, min(length(bytes) - 66 - body_at, 512)),
        iif(length(bytes) <= 1024, bytes, NULL)
    FROM message INDEXED BY message_nick WHERE room = ? AND kind = 1 ORDER BY substr(bytes, 39, 32), time, id";

/// Texts, actions and replies from a key down, and up.
pub(super) const LINES_BEFORE: &str = "SELECT time, id, bytes, arrived, late FROM message
    WHERE room = ? AND kind IN (0, 2, 3) AND (time, id) < (?, ?) ORDER BY time DESC, id DESC";
pub(super) const LINES_AFTER: &str = "SELECT time, id, bytes, arrived, late FROM message
    WHERE room = ? AND kind IN (0, 2, 3) AND (time, id) > (?, ?) ORDER BY time, id";
/// Reactions to a message, the last one first, each as far as it is looked at: [`EMOJI_BYTES`].
pub(super) const REACTIONS: &str = "SELECT time, id, substr(bytes, 39, 32),
        substr(bytes, body_at + 41, min(length(bytes) - 106 - body_at, 256)),
        iif(length(bytes) <= 1024, bytes, NULL)
    FROM message INDEXED BY message_reaction
    WHERE room = ? AND kind = 4 AND substr(bytes, body_at + 1, 40) = ? AND time <= ?
    ORDER BY time DESC, id DESC LIMIT ?";
/// Of how many of the newest reactions to one message it is known whose they are. Anybody can write any number.
const MAX_REACTIONS: i64 = 1000;
/// What the room was said to be about, the last first. Few cannot be read.
pub(super) const TOPICS: &str =
    "SELECT time, id, bytes FROM message INDEXED BY message_topic WHERE room = ? AND kind = 5 AND time <= ?
    ORDER BY time DESC, id DESC LIMIT 100";

pub(super) fn read_key(row: &Row<'_>) -> rusqlite::Result<Key> {
    Ok(Key { time: Timestamp(row.get::<_, i64>(0)?.cast_unsigned()), id: MessageId(row.get(1)?) })
}

/// The number of the room; it is entered if it is new. A room whose name was damaged is known by its id, and the other way
/// round.
pub(super) fn room(conn: &Connection, name: &RoomName) -> Result<RoomNo, StoreError> {
    let id = RoomId::of(name).0;
    let find = |what: &str, by: &dyn rusqlite::ToSql| {
        let statement = format!("SELECT no FROM room WHERE {what} = ?");
        conn.prepare_cached(&statement)?.query_row([by], |row| row.get::<_, i64>(0)).optional()
    };
    let (by_name, by_id) = (find("name", &name.as_str())?, find("id", &id)?);
    let no = match (by_name, by_id) {
        (Some(no), Some(same)) if no == same => return Ok(RoomNo(no)),
        (Some(no), _) => conn.execute("UPDATE room SET id = ? WHERE no = ?", params![id, no]).map(|_| no)?,
        (None, Some(no)) => {
            conn.execute("UPDATE room SET name = ? WHERE no = ?", params![name.as_str(), no]).map(|_| no)?
        }
        (None, None) => {
            conn.execute("INSERT INTO room (name, id) VALUES (?, ?)", params![name.as_str(), id])?;
            let no = conn.last_insert_rowid();
            // There are messages under that number only if another row of it was lost: then they are judged.
            let known = conn.prepare_cached("SELECT 1 FROM message WHERE room = ?")?.exists([no])?;
            if !known {
                sums::write(conn, RoomNo(no), Sums::default())?;
                keys::rebuild(conn, RoomNo(no))?;
            }
            no
        }
    };
    Ok(RoomNo(no))
}

/// All that a room starts from; `None` if it must be judged anew first: it never was, or does not add up.
pub(super) fn load(conn: &Connection, room: RoomNo, own: AuthorId) -> Result<Option<Loaded>, StoreError> {
    // One transaction: one state of all tables.
    let tx = conn.unchecked_transaction()?;
    let Some(kept) = sums::read(&tx, room)? else { return Ok(None) };
    let Some((index, mut sums)) = keys::load(&tx, room)? else { return Ok(None) };
    let mut snapshot = Snapshot { heads: heads(&tx, room)?, claims: claims(&tx, room)?, ..Snapshot::default() };
    snapshot.heads.iter().for_each(|key| sums.head(Change::Added, key));
    snapshot.claims.iter().for_each(|claim| sums.claim(Change::Added, claim));

    for (author, log) in authors::load(&tx, room, &mut sums)? {
        let log = log.ok_or_else(|| StoreError::row("an author's ranges cannot be read"))?;
        snapshot.authors.push((author, log));
    }
    if sums != kept {
        return Ok(None);
    }

    let mut statement = tx.prepare_cached(OWN)?;
    let tips = statement.query_map(params![room.0, own.0, MAX_OWN_TIPS as i64], |row| {
        Ok((read_key(row)?, row.get::<_, i64>(2)?.cast_unsigned()))
    })?;
    snapshot.own = tips.collect::<Result<_, _>>()?;
    // What the own next message builds on has to be right.
    for (key, seq) in &snapshot.own {
        let is_it = |message: Message| message.key() == *key && message.seq() == *seq && message.author() == own;
        if !bytes(&tx, room, key)?.is_some_and(|bytes| Message::decode(&bytes).is_ok_and(is_it)) {
            return Ok(None);
        }
    }
    let frontier: Option<[u8; KEY_LEN]> =
        tx.prepare_cached("SELECT frontier FROM room WHERE no = ?")?.query_row([room.0], |row| row.get(0))?;
    Ok(Some(Loaded { index, snapshot, frontier: frontier.map(|key| Key::from_bytes(&key)), mended: None }))
}

/// Messages that nobody is to be shown.
pub(super) fn withheld(conn: &Connection, room: RoomNo) -> Result<BTreeSet<Key>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT time, id FROM withheld WHERE room = ?")?;
    Ok(statement.query_map([room.0], read_key)?.collect::<Result<_, _>>()?)
}

/// From now on nobody is to be shown that message.
pub(super) fn withhold(conn: &Connection, room: RoomNo, key: Key) -> Result<(), StoreError> {
    let Key { time, id } = key;
    let insert = "INSERT OR IGNORE INTO withheld VALUES (?, ?, ?, 'crash')";
    conn.execute(insert, params![room.0, time.0.cast_signed(), id.0])?;
    Ok(())
}

/// All the bytes of a message.
fn bytes(conn: &Connection, room: RoomNo, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT bytes FROM message WHERE room = ? AND time = ? AND id = ?")?;
    Ok(statement.query_row(params![room.0, key.time.0.cast_signed(), key.id.0], |row| row.get(0)).optional()?)
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

/// Marks all messages of that author as the node's own, and no others.
pub(super) fn mark_own(conn: &Connection, room: RoomNo, own: AuthorId) -> Result<(), StoreError> {
    let mark = "UPDATE message SET own = (substr(bytes, 39, 32) = ?2)
        WHERE room = ?1 AND own IS NOT (substr(bytes, 39, 32) = ?2)";
    conn.execute(mark, params![room.0, own.0])?;
    Ok(())
}

/// The bytes of those of these messages that are held, until they would be more than `max_bytes`; at least one. The
/// keys descend, and so do the answers. What is not what its key says is not held.
pub(super) fn read(
    conn: &Connection,
    room: RoomNo,
    keys: &[Key],
    max_bytes: usize,
    doubts: &Doubts,
) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
    let found = read_as(conn, room, keys, max_bytes, |_, bytes| Some(bytes.to_vec()))?;
    let bytes: Vec<&[u8]> = found.iter().map(|(_, bytes)| &bytes[..]).collect();
    // All at once: that is a hash a message, and those are cheaper together.
    let sound: Vec<bool> = Message::decode_each(&bytes)
        .into_iter()
        .zip(&found)
        .map(|(message, (key, _))| message.is_ok_and(|message| message.key() == *key))
        .collect();
    let mut sound = sound.into_iter();
    let mut found = found;
    found.retain(|(key, _)| {
        let sound = sound.next().unwrap_or(false);
        if !sound {
            doubts.raise(room, Some(key));
        }
        sound
    });
    Ok(found)
}

/// The same, but of each what is made of its bytes, if that can be done. They may be anything.
pub(super) fn read_as<T>(
    conn: &Connection,
    room: RoomNo,
    keys: &[Key],
    max_bytes: usize,
    of: impl Fn(&Key, &[u8]) -> Option<T>,
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
                    found.extend(of(&held, bytes).map(|made| (held, made)));
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
pub(super) fn lines(
    conn: &Connection,
    room: RoomNo,
    lines: Lines,
    doubts: &Doubts,
) -> Result<Vec<StoredMessage>, StoreError> {
    // Nobody finds a message whose id is all ones, so "before" it includes everything.
    let (edge, count, down) = match lines {
        Lines::Newest(count) => (MAX_KEY, count, true),
        Lines::Before(key, count) => (key.min(MAX_KEY), count, true),
        Lines::After(key, count) => (key.min(MAX_KEY), count, false),
    };
    let mut statement = conn.prepare_cached(if down { LINES_BEFORE } else { LINES_AFTER })?;
    let mut rows = statement.query(params![room.0, edge.time.0.cast_signed(), edge.id.0])?;
    let mut messages = Vec::new();
    while messages.len() < count
        && let Some(row) = rows.next()?
    {
        messages.extend(line(row, room, doubts)?);
    }
    if down {
        messages.reverse();
    }
    Ok(messages)
}

/// A line: (time, id, bytes, arrived, late). `None` if it is not what its key says.
pub(super) fn line(row: &Row<'_>, room: RoomNo, doubts: &Doubts) -> Result<Option<StoredMessage>, StoreError> {
    let Some((key, message)) = whole(row, 2, room, doubts) else { return Ok(None) };
    Ok(Some(StoredMessage {
        key,
        author: message.author(),
        seq: message.seq(),
        kind: message.kind(),
        arrived_ms: row.get_ref(3)?.as_i64().unwrap_or_default().cast_unsigned(),
        late: row.get_ref(4)?.as_i64() == Ok(1),
        body: message.body().to_vec(),
    }))
}

/// The message whose time and id a row begins with, and whose bytes are in that column, if they are its bytes.
fn whole(row: &Row<'_>, at: usize, room: RoomNo, doubts: &Doubts) -> Option<(Key, Message)> {
    let key = read_key(row).ok();
    let bytes = row.get_ref(at).ok().and_then(|value| value.as_blob().ok());
    match (key, bytes) {
        (Some(key), Some(bytes)) => Some((key, doubts.check(room, &key, bytes)?)),
        (key, _) => {
            doubts.raise(room, key.as_ref());
            None
        }
    }
}

/// Whether a row, as far as it was read, is what its key says. Of a long one that is not known.
fn is_sound(row: &Row<'_>, at: usize, room: RoomNo, doubts: &Doubts) -> Result<bool, StoreError> {
    Ok(row.get_ref(at)? == rusqlite::types::ValueRef::Null || whole(row, at, room, doubts).is_some())
}

/// What is thought of these messages, as of that time: each author's last reaction to each, unless it is empty.
pub(super) fn reactions(
    conn: &Connection,
    room: RoomNo,
    to: &[Key],
    horizon: Timestamp,
    doubts: &Doubts,
) -> Result<Vec<Reaction>, StoreError> {
    let mut statement = conn.prepare_cached(REACTIONS)?;
    let mut found = Vec::new();
    for to in to {
        let until = horizon.min(Timestamp::MAX).0.cast_signed();
        let mut rows = statement.query(params![room.0, to.to_bytes(), until, MAX_REACTIONS])?;
        let mut of_author = BTreeMap::new();
        while let Some(row) = rows.next()? {
            if is_sound(row, 4, room, doubts)? {
                // The last one comes first.
                of_author.entry(AuthorId(row.get(2)?)).or_insert((read_key(row)?, row.get::<_, Vec<u8>>(3)?));
            }
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
pub(super) fn topic(
    conn: &Connection,
    room: RoomNo,
    horizon: Timestamp,
    doubts: &Doubts,
) -> Result<Option<RoomTopic>, StoreError> {
    let mut statement = conn.prepare_cached(TOPICS)?;
    let mut rows = statement.query(params![room.0, horizon.min(Timestamp::MAX).0.cast_signed()])?;
    while let Some(row) = rows.next()? {
        let Some((key, message)) = whole(row, 2, room, doubts) else { continue };
        // One that cannot be read says nothing.
        if let Ok(text) = String::from_utf8(message.body().to_vec()) {
            return Ok(Some(RoomTopic { key, author: message.author(), text }));
        }
    }
    Ok(None)
}

/// All messages in which somebody gave a name, by author, each author's in the transcript's order.
pub(super) fn nicks(
    conn: &Connection,
    room: RoomNo,
    doubts: &Doubts,
) -> Result<Vec<(AuthorId, Key, Vec<u8>)>, StoreError> {
    let mut statement = conn.prepare_cached(NICKS)?;
    let mut rows = statement.query([room.0])?;
    let mut nicks = Vec::new();
    while let Some(row) = rows.next()? {
        if is_sound(row, 4, room, doubts)? {
            nicks.push((AuthorId(row.get(2)?), read_key(row)?, row.get(3)?));
        }
    }
    Ok(nicks)
}

/// For each key whether its message is held.
#[cfg(test)]
pub(super) fn holds(conn: &Connection, room: RoomNo, keys: &[Key]) -> Result<Vec<bool>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT 1 FROM message WHERE room = ? AND time = ? AND id = ?")?;
    keys.iter()
        .map(|key| Ok(*key <= MAX_KEY && statement.exists(params![room.0, key.time.0.cast_signed(), key.id.0])?))
        .collect()
}

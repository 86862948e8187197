//! What is read for those who carry rooms about, and list them.

use distchat_crdt::{KEY_LEN, Key, RoomName};
use rusqlite::{Connection, params};

use super::{RoomNo, Store, doubts::Doubts, error::StoreError, query::MAX_KEY};

impl Store {
    /// The bytes of the newest messages before that place, newest first, until they would be more than `max_bytes`, at
    /// least one; and the last one's place, if there are older ones.
    pub(crate) async fn page_down(
        &self,
        room: RoomNo,
        before: Option<Key>,
        max_bytes: usize,
    ) -> Result<(Vec<Vec<u8>>, Option<Key>), StoreError> {
        let doubts = self.doubts();
        self.on_reader(move |conn| page_down(conn, room, before, max_bytes, &doubts)).await
    }

    /// The rooms that there is something of on disk, and how many messages.
    pub(crate) async fn rooms(&self) -> Result<Vec<(RoomName, u64)>, StoreError> {
        self.on_reader(rooms).await
    }
}

/// Everything before a key, from there down.
pub(super) const BEFORE: &str = "SELECT time, id, bytes FROM message
    WHERE room = ? AND (time, id) < (?, ?) ORDER BY time DESC, id DESC";

/// The bytes of the newest messages before that place, newest first, and the last one's place if there are older ones.
fn page_down(
    conn: &Connection,
    room: RoomNo,
    before: Option<Key>,
    max_bytes: usize,
    doubts: &Doubts,
) -> Result<(Vec<Vec<u8>>, Option<Key>), StoreError> {
    // Nobody finds a message whose id is all ones, so "before" it is everything.
    let before = before.map_or(MAX_KEY, |key| key.min(MAX_KEY));
    let mut statement = conn.prepare_cached(BEFORE)?;
    let mut rows = statement.query(params![room.0, before.time.0.cast_signed(), before.id.0])?;
    let (mut messages, mut left, mut last) = (Vec::new(), max_bytes, None);
    while let Some(row) = rows.next()? {
        let bytes = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        if bytes.len() > left && !messages.is_empty() {
            return Ok((messages, last));
        }
        left = left.saturating_sub(bytes.len());
        let key = super::query::read_key(row)?;
        last = Some(key);
        messages.extend(doubts.check(room, &key, bytes).map(|message| message.bytes().to_vec()));
    }
    Ok((messages, None))
}

/// All rooms by name, with the number of their messages. A name that is none is left out: `verify` tells of it.
fn rooms(conn: &Connection) -> Result<Vec<(RoomName, u64)>, StoreError> {
    // The pages of keys are far shorter than what they are the keys of; a room without any has to be counted.
    let mut statement = conn.prepare_cached(
        "SELECT name, coalesce(
            (SELECT sum(length(keys)) / ?1 FROM key_page WHERE key_page.room = no),
            (SELECT count(*) FROM message WHERE message.room = no))
        FROM room ORDER BY name",
    )?;
    let rows = statement
        .query_map([KEY_LEN as i64], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?.cast_unsigned())))?;
    let mut rooms = Vec::new();
    for row in rows {
        let (name, messages) = row?;
        if let Ok(name) = RoomName::parse(&name) {
            rooms.push((name, messages));
        }
    }
    Ok(rooms)
}

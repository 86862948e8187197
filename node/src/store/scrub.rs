//! Looking through what is on disk, a little at a time, so that what was damaged is noticed before somebody needs it.
//!
//! A room is looked through once after it was loaded: every message must be there, be what its key says, and stand under
//! its key, its kind and its author in the indexes. It takes a twentieth of a core while it lasts; of all rooms one at a time.

use std::time::Duration;

use distchat_crdt::{AuthorId, Key, Message, kind};
use rusqlite::{Connection, params};

use super::{RoomNo, audit::Kept, error::StoreError, keys};

/// For how many times as long as a step took nothing is done after it.
pub(super) const REST: u32 = 19;

/// After how long what could not be read is tried again.
pub(super) const UNREADABLE: Duration = Duration::from_secs(60);

/// What a step has found.
pub(super) enum Step {
    /// All is well below that key.
    To(Key),
    /// All is well.
    End,
    /// Something is wrong there.
    Wrong(Option<Key>),
}

/// All from a key to before another.
pub(super) const BETWEEN: &str = "SELECT time, id, bytes, kind, seq, body_at, arrived, late, own FROM message
    WHERE room = ? AND (time, id) >= (?, ?) AND (time, id) < (?, ?) ORDER BY time, id";

/// Whether a message is found by its kind or its author. The key is given as it is in the index.
const INDEXED: [&str; 4] = [
    "SELECT 1 FROM message INDEXED BY message_own
        WHERE room = ?1 AND own = 1 AND substr(bytes, 39, 32) = ?4 AND time = ?2 AND id = ?3 AND seq = ?5",
    "SELECT 1 FROM message INDEXED BY message_nick
        WHERE room = ?1 AND kind = 1 AND substr(bytes, 39, 32) = ?4 AND time = ?2 AND id = ?3 AND seq = ?5",
    "SELECT 1 FROM message INDEXED BY message_reaction
        WHERE room = ?1 AND kind = 4 AND substr(bytes, body_at + 1, 40) = ?4 AND time = ?2 AND id = ?3 AND seq = ?5",
    "SELECT 1 FROM message INDEXED BY message_topic
        WHERE room = ?1 AND kind = 5 AND time = ?2 AND id = ?3 AND substr(bytes, 39, 32) = ?4 AND seq = ?5",
];

/// Looks through some of a room's messages, from that key on.
pub(super) fn step(conn: &Connection, room: RoomNo, own: AuthorId, from: Key) -> Result<Step, StoreError> {
    let tx = conn.unchecked_transaction()?;
    let (listed, next) = keys::from(&tx, room, from)?;
    let end = next.unwrap_or(super::query::MAX_KEY);
    let mut statement = tx.prepare_cached(BETWEEN)?;
    let at = |key: Key| (key.time.0.cast_signed(), key.id.0);
    let ((time, id), (end_time, end_id)) = (at(from), at(end));
    let mut rows = statement.query(params![room.0, time, id, end_time, end_id])?;
    let mut held = Vec::with_capacity(listed.len());
    while let Some(row) = rows.next()? {
        let Ok(kept) = Kept::read(row) else { return Ok(Step::Wrong(None)) };
        held.push((kept, row.get_ref(8)?.as_i64().ok()));
    }
    if !listed.iter().eq(held.iter().map(|(kept, _)| &kept.key)) {
        let differs = listed.iter().zip(&held).find(|(key, (kept, _))| **key != kept.key);
        return Ok(Step::Wrong(differs.map(|(key, _)| *key)));
    }
    let bytes: Vec<&[u8]> = held.iter().map(|(kept, _)| &kept.bytes[..]).collect();
    for ((kept, is_own), message) in held.iter().zip(Message::decode_each(&bytes)) {
        let sound = match message {
            Err(_) => false,
            Ok(message) => {
                message.key() == kept.key
                    && kept.wrong_column(&message).is_none()
                    && matches!(is_own, Some(0 | 1))
                    && (message.author() != own || *is_own == Some(1))
                    && is_indexed(&tx, room, &message, *is_own == Some(1))?
            }
        };
        if !sound {
            return Ok(Step::Wrong(Some(kept.key)));
        }
    }
    Ok(next.map_or(Step::End, Step::To))
}

fn is_indexed(conn: &Connection, room: RoomNo, message: &Message, is_own: bool) -> Result<bool, StoreError> {
    let [own, nick, reaction, topic] = INDEXED;
    let author = message.author().0;
    let by_kind = match message.kind() {
        kind::NICK => Some((nick, &author[..])),
        kind::REACTION => message.body().get(..40).map(|to| (reaction, to)),
        kind::TOPIC => Some((topic, &author[..])),
        _ => None,
    };
    let key = message.key();
    for (index, by) in by_kind.into_iter().chain(is_own.then_some((own, &author[..]))) {
        let mut statement = conn.prepare_cached(index)?;
        let seq = message.seq().cast_signed();
        if !statement.exists(params![room.0, key.time.0.cast_signed(), key.id.0, by, seq])? {
            return Ok(false);
        }
    }
    Ok(true)
}

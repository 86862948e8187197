//! How much a room holds: the bytes of its messages, kept with its authors, whose rows every message changes anyway.
//!
//! An older program has not counted, and people with tools change what it counted. Then an author's bytes are null, and
//! are counted when the room is next opened.

use std::collections::BTreeMap;

use distchat_crdt::AuthorId;
use rusqlite::{Connection, params};

use super::{RoomNo, error::StoreError};

/// What was counted, as long as it holds.
pub(super) enum Size {
    Known(u64),
    /// Of each author. To be kept.
    Counted(Vec<(AuthorId, u64)>),
}

/// How many bytes of messages the room holds. If that is not known, all of them are looked at.
pub(super) fn of(conn: &Connection, room: RoomNo) -> Result<Size, StoreError> {
    let tx = conn.unchecked_transaction()?;
    let sum = "SELECT sum(bytes), count(*) FILTER (WHERE bytes IS NULL) FROM author WHERE room = ?";
    let (bytes, unknown): (Option<i64>, i64) =
        tx.prepare_cached(sum)?.query_row([room.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if unknown == 0 {
        return Ok(Size::Known(bytes.unwrap_or(0).cast_unsigned()));
    }
    let count = "SELECT substr(bytes, 39, 32), sum(length(bytes)) FROM message WHERE room = ? GROUP BY 1";
    let mut statement = tx.prepare(count)?;
    let rows =
        statement.query_map([room.0], |row| Ok((AuthorId(row.get(0)?), row.get::<_, i64>(1)?.cast_unsigned())))?;
    Ok(Size::Counted(rows.collect::<Result<_, _>>()?))
}

/// So many bytes of messages have come of each author, whose rows are there. What is not known stays so.
pub(super) fn grow(conn: &Connection, grown: &BTreeMap<(RoomNo, AuthorId), usize>) -> Result<(), StoreError> {
    let mut update = conn.prepare_cached("UPDATE author SET bytes = bytes + ? WHERE room = ? AND author = ?")?;
    for ((room, author), bytes) in grown.iter().filter(|(_, bytes)| **bytes > 0) {
        update.execute(params![*bytes as i64, room.0, author.0])?;
    }
    Ok(())
}

/// The room's messages are not those that were counted.
pub(super) fn forget(conn: &Connection, room: RoomNo) -> Result<(), StoreError> {
    conn.execute("UPDATE author SET bytes = NULL WHERE room = ?", [room.0])?;
    Ok(())
}

/// Counts anew, and keeps it.
pub(super) fn keep(conn: &Connection, room: RoomNo) -> Result<(), StoreError> {
    let Size::Counted(counted) = of(conn, room)? else { return Ok(()) };
    let tx = conn.unchecked_transaction()?;
    // Of whom there is no message any more there is a row all the same.
    tx.execute("UPDATE author SET bytes = 0 WHERE room = ?", [room.0])?;
    let mut update = tx.prepare("UPDATE author SET bytes = ? WHERE room = ? AND author = ?")?;
    for (author, bytes) in counted {
        update.execute(params![bytes.cast_signed(), room.0, author.0])?;
    }
    drop(update);
    Ok(tx.commit()?)
}

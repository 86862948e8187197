//! Setting a room right in which something is not as it was written.
//!
//! The messages are the only state, so they are judged anew by the room's own rules, as those of a peer would be; what does
//! not pass is set aside, and all that follows from the rest is written anew. Then the room is what it would be if it had
//! never held what was set aside, and anti-entropy brings that again from whoever has it. Judging takes as long as merging
//! all of the room's messages, and is done on a reader: the room itself is closed meanwhile, and others do not notice.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use distchat_crdt::{AuthorId, Message, MessageId, RoomName, Verifier, Zip215};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    RoomNo,
    audit::{Walk, all},
    authors,
    error::StoreError,
    keys,
    query::{BAD_COLUMN, mark_own},
    size,
    sums::{self, Change, Sums},
};

/// How many messages are named.
const NAMED: usize = 3;

/// What was found in a room, and done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mended {
    /// So many messages were not what their keys say, and were set aside.
    pub(crate) aside: u64,
    /// Some of them.
    pub(crate) named: Vec<MessageId>,
    /// What follows from the messages was not what it should be. Not if the room was merely never judged before.
    pub(crate) differed: bool,
}

/// A room's messages, judged.
pub(super) struct Judged {
    walk: Walk,
    kept: Option<Sums>,
}

/// Judges all of a room's messages.
///
/// # Errors
/// If the database itself is damaged: messages that it has listed cannot be found any more.
pub(super) fn judge(conn: &Connection, room: RoomNo, own: AuthorId) -> Result<Judged, StoreError> {
    let tx = conn.unchecked_transaction()?;
    let name: String = tx.query_row("SELECT name FROM room WHERE no = ?", [room.0], |row| row.get(0))?;
    let name = RoomName::parse(&name).map_err(|_| StoreError::row("a room has a name that cannot be one"))?;
    let verifier: Arc<dyn Verifier> = Arc::new(Zip215::new(rand::random()));
    let mut walk = Walk::begin(&tx, room, name, own, verifier)?;
    while walk.go_on(&tx)? {}
    if let Some(error) = walk.broken.take() {
        return Err(error);
    }

    let kept = sums::read(&tx, room).or_else(StoreError::if_row)?;
    let mut read = Sums::default();
    walk.each_read(|key| read.message(key));
    // By the sums all are there; or else by the list. A list that is damaged itself lists what never was.
    if !kept.is_some_and(|kept| kept.same_messages(&read)) {
        let listed = keys::load(&tx, room).or_else(StoreError::if_row)?;
        let lost = listed.iter().flat_map(|(index, _)| all(index)).filter(|key| !walk.has_read(key)).count();
        if lost > 0 {
            return Err(StoreError::damaged(format!("{lost} messages of {} cannot be found", walk.name)));
        }
    }
    Ok(Judged { walk, kept })
}

/// Sets aside what did not pass, and writes anew what follows from the rest.
pub(super) fn rewrite(conn: &Connection, room: RoomNo, own: AuthorId, judged: &Judged) -> Result<Mended, StoreError> {
    let Judged { walk, kept } = judged;
    let tx = conn.unchecked_transaction()?;
    if !walk.bad.is_empty() || !walk.odd.is_empty() || kept.is_some() {
        tx.execute_batch("REINDEX message")?;
    }
    let mut mended = Mended::default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().cast_signed();
    let aside = "INSERT INTO set_aside SELECT room, time, id, bytes, ?, ? FROM message
        WHERE room = ? AND time IS ? AND id IS ?";
    let delete = "DELETE FROM message WHERE room = ? AND time IS ? AND id IS ?";
    for (key, why) in &walk.bad {
        let (time, id) = (key.time.0.cast_signed(), key.id.0);
        if *why == BAD_COLUMN {
            correct(&tx, room, time, &id)?;
            mended.differed = true;
        } else {
            tx.execute(aside, params![why, now, room.0, time, id])?;
            tx.execute(delete, params![room.0, time, id])?;
            mended.aside += 1;
            if mended.named.len() < NAMED {
                mended.named.push(key.id);
            }
        }
    }
    for (time, id) in &walk.odd {
        tx.execute(aside, params!["row", now, room.0, time, id])?;
        tx.execute(delete, params![room.0, time, id])?;
        mended.aside += 1;
    }
    mark_own(&tx, room, own)?;

    let sums = derive(&tx, room, walk)?;
    mended.differed |= kept.as_ref().is_some_and(|kept| *kept != sums);
    tx.execute(
        "UPDATE room SET frontier = NULL WHERE no = ? AND frontier IS NOT NULL
            AND NOT (typeof(frontier) = 'blob' AND length(frontier) = 40)",
        [room.0],
    )?;
    tx.commit()?;
    Ok(mended)
}

/// Makes the columns of a message what its bytes say.
fn correct(conn: &Connection, room: RoomNo, time: i64, id: &[u8; 32]) -> Result<(), StoreError> {
    let find = "SELECT bytes FROM message WHERE room = ? AND time = ? AND id = ?";
    let bytes: Option<Vec<u8>> = conn.query_row(find, params![room.0, time, id], |row| row.get(0)).optional()?;
    let Some(message) = bytes.and_then(|bytes| Message::decode(&bytes).ok()) else { return Ok(()) };
    conn.execute(
        "UPDATE message SET kind = ?, seq = ?, body_at = ?,
            arrived = iif(typeof(arrived) = 'integer', arrived, 0), late = late IS 1
        WHERE room = ? AND time = ? AND id = ?",
        params![message.kind(), message.seq().cast_signed(), message.body_at() as i64, room.0, time, id],
    )?;
    Ok(())
}

/// Writes what follows from the messages that have passed, and what it adds up to.
fn derive(conn: &Connection, room: RoomNo, walk: &Walk) -> Result<Sums, StoreError> {
    for table in ["head", "claim", "author", "author_page"] {
        conn.execute(&format!("DELETE FROM {table} WHERE room = ?"), [room.0])?;
    }
    let mut sums = keys::rebuild(conn, room)?;
    let mut insert = conn.prepare_cached("INSERT INTO head VALUES (?, ?, ?)")?;
    for key in walk.room.heads() {
        insert.execute(params![room.0, key.time.0.cast_signed(), key.id.0])?;
        sums.head(Change::Added, key);
    }
    let mut insert = conn.prepare_cached("INSERT INTO claim VALUES (?, ?, ?, ?, ?)")?;
    for claim in walk.room.holes() {
        let vouched_seq = claim.vouched_seq.map_or(-1, u64::cast_signed);
        let (time, id) = (claim.key.time.0.cast_signed(), claim.key.id.0);
        insert.execute(params![room.0, time, id, claim.author.0, vouched_seq])?;
        sums.claim(Change::Added, &claim);
    }
    for (author, log) in walk.room.authors() {
        authors::write(conn, room, author, log, &[], &mut sums)?;
    }
    size::forget(conn, room)?;
    sums::write(conn, room, sums)?;
    Ok(sums)
}

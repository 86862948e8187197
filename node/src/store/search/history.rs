//! What the index is made from and measured by: the history, which it only reads.

use std::collections::BTreeMap;

use distchat_crdt::{AuthorId, Content, Key, MessageId, RoomName, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::{mpsc, oneshot};

use super::index::Tally;
use crate::store::{RoomNo, StoreError, StoredMessage, error::Closed, keys, query, writer};

/// A line that was found, with what it takes to show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredHit {
    pub(crate) room: RoomName,
    pub(crate) message: StoredMessage,
    /// The name that its author had chosen last before it, and where.
    pub(crate) nick: Option<(Key, Vec<u8>)>,
}

/// A line, with the name that its author had chosen last before it.
pub(in crate::store) const HIT: &str = "SELECT substr(m.bytes, 39, 32), m.seq, m.kind, m.arrived, m.late,
        substr(m.bytes, m.body_at + 1, length(m.bytes) - 66 - m.body_at), room.name
    FROM message AS m JOIN room ON room.no = m.room
    WHERE m.room = ? AND m.time = ? AND m.id = ? AND m.kind IN (0, 2, 3)";
pub(in crate::store) const NICK_BEFORE: &str =
    "SELECT time, id, substr(bytes, body_at + 1, length(bytes) - 66 - body_at)
    FROM message INDEXED BY message_nick
    WHERE kind = 1 AND room = ? AND substr(bytes, 39, 32) = ? AND (time, id) < (?, ?)
    ORDER BY time DESC, id DESC LIMIT 1";

/// The way to the history.
pub(in crate::store) enum History {
    /// A connection that can only read.
    Own(Connection),
    /// In memory there is one connection only, the writer's. Held weakly: the writer works as long as others hold it.
    Writer(mpsc::WeakSender<writer::Task>),
}

impl History {
    /// Reads something. On the writer's thread it is a job among others, so it should be short.
    pub(super) fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self {
            Self::Own(conn) => work(conn),
            Self::Writer(writer) => {
                let (sender, answer) = oneshot::channel();
                let job = Box::new(move |conn: &Connection| {
                    // If nobody waits any more, nobody needs to know.
                    let _ = sender.send(work(conn));
                });
                let writer = writer.upgrade().ok_or(Closed)?;
                writer.blocking_send(writer::Task::Run(job)).map_err(|_| Closed)?;
                drop(writer);
                answer.blocking_recv().map_err(|_| Closed)?
            }
        }
    }

    /// All rooms, by their numbers.
    pub(super) fn rooms(&self) -> Result<BTreeMap<RoomNo, String>, StoreError> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT no, name FROM room")?;
            let rows = statement.query_map([], |row| Ok((RoomNo(row.get(0)?), row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// What a room holds.
    pub(super) fn tally(&self, room: RoomNo) -> Result<Tally, StoreError> {
        self.read(move |conn| {
            let mut tally = Tally::default();
            keys::each(conn, room, |key| tally.add(&key.id))?;
            Ok(tally)
        })
    }

    /// Some of a room's keys, see [`keys::below`].
    pub(super) fn keys_below(&self, room: RoomNo, from: Key) -> Result<(Vec<Key>, Key), StoreError> {
        self.read(move |conn| keys::below(conn, room, from))
    }

    /// What is said in some of these messages, from the first on, until they would be more bytes than that: at least one
    /// if any is held. The keys descend, and so do the answers; what is held and says nothing is there without a text.
    pub(super) fn texts(
        &self,
        room: RoomNo,
        keys: Vec<Key>,
        max_bytes: usize,
    ) -> Result<Vec<(Key, Option<String>)>, StoreError> {
        self.read(move |conn| query::read_as(conn, room, &keys, max_bytes, |_, kind, body| said(kind, body)))
    }

    /// The lines at these places, as far as they are there.
    pub(super) fn hits(&self, places: Vec<(RoomNo, Key)>) -> Result<Vec<StoredHit>, StoreError> {
        self.read(move |conn| {
            let mut hits = Vec::with_capacity(places.len());
            for (room, key) in places {
                hits.extend(hit(conn, room, key)?);
            }
            Ok(hits)
        })
    }
}

/// What people can look for in a message.
fn said(kind: u32, body: &[u8]) -> Option<String> {
    match Content::read(kind, body)? {
        Content::Text(text) | Content::Action(text) | Content::Reply { text, .. } => Some(text.to_owned()),
        Content::Nick(_) | Content::Reaction { .. } | Content::Topic(_) => None,
    }
}

fn hit(conn: &Connection, room: RoomNo, key: Key) -> Result<Option<StoredHit>, StoreError> {
    let Key { time, id } = key;
    let (time, id) = (time.0.cast_signed(), id.0);
    let found = conn.prepare_cached(HIT)?.query_row(params![room.0, time, id], |row| {
        let message = StoredMessage {
            key,
            author: AuthorId(row.get(0)?),
            seq: row.get::<_, i64>(1)?.cast_unsigned(),
            kind: row.get(2)?,
            arrived_ms: row.get::<_, i64>(3)?.cast_unsigned(),
            late: row.get(4)?,
            body: row.get(5)?,
        };
        Ok((message, row.get::<_, String>(6)?))
    });
    let Some((message, name)) = found.optional()? else { return Ok(None) };
    // A name that this program does not write is no room that anybody could open.
    let Ok(name) = RoomName::parse(&name) else { return Ok(None) };
    let nick = conn.prepare_cached(NICK_BEFORE)?.query_row(params![room.0, message.author.0, time, id], |row| {
        let key = Key { time: Timestamp(row.get::<_, i64>(0)?.cast_unsigned()), id: MessageId(row.get(1)?) };
        Ok((key, row.get(2)?))
    });
    Ok(Some(StoredHit { room: name, nick: nick.optional()?, message }))
}

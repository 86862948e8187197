//! What the index is made from and measured by: the history, which it only reads.

use std::collections::BTreeMap;

use distchat_crdt::{Content, Key, MessageId, RoomName, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::{mpsc, oneshot};

use super::index::Tally;
use crate::store::{RoomNo, StoreError, StoredMessage, doubts::Doubts, error::Closed, keys, query, writer};

/// A line that was found, with what it takes to show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredHit {
    pub(crate) room: RoomName,
    pub(crate) message: StoredMessage,
    /// The name that its author had chosen last before it, and where.
    pub(crate) nick: Option<(Key, Vec<u8>)>,
}

/// A line, with the name that its author had chosen last before it.
pub(in crate::store) const HIT: &str = "SELECT m.time, m.id, m.bytes, m.arrived, m.late, room.name
    FROM message AS m JOIN room ON room.no = m.room
    WHERE m.room = ? AND m.time = ? AND m.id = ? AND m.kind IN (0, 2, 3)";
pub(in crate::store) const NICK_BEFORE: &str =
    "SELECT time, id, substr(bytes, body_at + 1, length(bytes) - 66 - body_at)
    FROM message INDEXED BY message_nick
    WHERE kind = 1 AND room = ? AND substr(bytes, 39, 32) = ? AND (time, id) < (?, ?)
    ORDER BY time DESC, id DESC LIMIT 1";

/// The way to the history, and whom to tell of what in it is not what it was.
pub(in crate::store) struct History {
    pub(in crate::store) source: Source,
    pub(in crate::store) doubts: Doubts,
}

pub(in crate::store) enum Source {
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
        match &self.source {
            Source::Own(conn) => work(conn),
            Source::Writer(writer) => {
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
        let doubts = self.doubts.clone();
        self.read(move |conn| {
            query::read_as(conn, room, &keys, max_bytes, |key, bytes| {
                doubts.check(room, key, bytes).map(|message| said(message.kind(), message.body()))
            })
        })
    }

    /// The lines at these places, as far as they are there.
    pub(super) fn hits(&self, places: Vec<(RoomNo, Key)>) -> Result<Vec<StoredHit>, StoreError> {
        let doubts = self.doubts.clone();
        self.read(move |conn| {
            let mut hits = Vec::with_capacity(places.len());
            for (room, key) in places {
                hits.extend(hit(conn, room, key, &doubts)?);
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

fn hit(conn: &Connection, room: RoomNo, key: Key, doubts: &Doubts) -> Result<Option<StoredHit>, StoreError> {
    let Key { time, id } = key;
    let (time, id) = (time.0.cast_signed(), id.0);
    let mut statement = conn.prepare_cached(HIT)?;
    let mut rows = statement.query(params![room.0, time, id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let Some(message) = query::line(row, room, doubts)? else { return Ok(None) };
    let name: String = row.get(5)?;
    // A name that this program does not write is no room that anybody could open.
    let Ok(name) = RoomName::parse(&name) else { return Ok(None) };
    let nick = conn.prepare_cached(NICK_BEFORE)?.query_row(params![room.0, message.author.0, time, id], |row| {
        let key = Key { time: Timestamp(row.get::<_, i64>(0)?.cast_unsigned()), id: MessageId(row.get(1)?) };
        Ok((key, row.get(2)?))
    });
    Ok(Some(StoredHit { room: name, nick: nick.optional()?, message }))
}

//! Going through a room's messages, the newest first.

use std::{collections::BTreeMap, sync::Arc};

use distchat_crdt::{AuthorId, Key, Message, MessageId, Room, RoomId, RoomName, Timestamp, Verifier, sync::MAX_PAGE};
use rusqlite::{Connection, Row, params, types::Value};

use super::super::{RoomNo, error::StoreError};
use crate::verify::{Fault, MAX_PROBLEMS, Problem, RoomReport, Verified};

/// How many rows are judged at once at most.
const ROWS: usize = 4096;

/// Everything before a place, from there down.
pub(in crate::store) const DOWN: &str = "SELECT time, id, bytes, kind, seq, body_at, arrived, late FROM message
    WHERE room = ? AND (time, id) < (?, ?) ORDER BY time DESC, id DESC";

/// A room that is being judged.
pub(in crate::store) struct Walk {
    pub(super) no: RoomNo,
    pub(in crate::store) name: RoomName,
    /// What has been accepted so far, as if a peer had sent it.
    pub(in crate::store) room: Room,
    /// How many messages there are, and how many have been judged.
    of: u64,
    done: u64,
    /// From where down to go on, as it stands in the database, which may hold anything.
    below: (Value, Value),
    ended: bool,
    /// Messages that are not fine, though their keys can be read, and why.
    pub(in crate::store) bad: BTreeMap<Key, &'static str>,
    /// The places of rows whose keys or bytes cannot be read.
    pub(in crate::store) odd: Vec<(Value, Value)>,
    /// Why the messages could not be read to the end.
    pub(in crate::store) broken: Option<StoreError>,
    /// Of them those that are valid.
    misplaced: u64,
    problems: Vec<Problem>,
    untold: u64,
}

/// A message with what is kept beside it.
pub(in crate::store) struct Kept {
    pub(in crate::store) key: Key,
    pub(in crate::store) bytes: Vec<u8>,
    columns: [(&'static str, Option<i64>); 5],
}

impl Walk {
    pub(in crate::store) fn begin(
        conn: &Connection,
        no: RoomNo,
        name: RoomName,
        own: AuthorId,
        verifier: Arc<dyn Verifier>,
    ) -> Result<Self, StoreError> {
        let of = conn.query_row("SELECT count(*) FROM message WHERE room = ?", [no.0], |row| row.get::<_, i64>(0));
        Ok(Self {
            no,
            room: Room::new(RoomId::of(&name), own, verifier),
            name,
            // A damaged file may not be countable, and yet be readable in part.
            of: of.unwrap_or_default().cast_unsigned(),
            done: 0,
            // Text and blobs are greater than any number.
            below: (Value::Blob(Vec::new()), Value::Blob(Vec::new())),
            ended: false,
            bad: BTreeMap::new(),
            odd: Vec::new(),
            broken: None,
            misplaced: 0,
            problems: Vec::new(),
            untold: 0,
        })
    }

    pub(super) fn tell(&mut self, at: Option<Key>, fault: Fault) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { at, fault });
        } else {
            self.untold += 1;
        }
    }

    pub(super) fn progress(&self) -> Verified {
        Verified::Progress { room: self.name.clone(), done: self.done, of: self.of.max(self.done) }
    }

    /// Judges some more; false if there are none.
    pub(in crate::store) fn go_on(&mut self, conn: &Connection) -> Result<bool, StoreError> {
        if self.ended {
            return Ok(false);
        }
        let page = self.read(conn)?;
        self.judge(&page);
        Ok(!self.ended || !page.is_empty())
    }

    fn read(&mut self, conn: &Connection) -> Result<Vec<Kept>, StoreError> {
        let mut statement = conn.prepare_cached(DOWN)?;
        let mut rows = statement.query(params![self.no.0, self.below.0, self.below.1])?;
        let (mut page, mut bytes, mut read) = (Vec::new(), 0, 0);
        while read < ROWS && bytes < MAX_PAGE {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => {
                    self.ended = true;
                    break;
                }
                Err(error) => {
                    self.ended = true;
                    self.tell(None, Fault::Database(error.to_string()));
                    self.broken = Some(error.into());
                    break;
                }
            };
            let at: (Value, Value) = (row.get(0)?, row.get(1)?);
            // Only where the database is out of order, which is not to be walked in circles.
            if let (Value::Integer(time), Value::Integer(below)) = (&at.0, &self.below.0)
                && time > below
            {
                self.ended = true;
                let fault = "its rows are not in their order";
                self.tell(None, Fault::Database(fault.to_owned()));
                self.broken = Some(StoreError::damaged(fault));
                break;
            }
            self.below = at;
            self.done += 1;
            read += 1;
            match Kept::read(row) {
                Ok(kept) => {
                    bytes += kept.bytes.len();
                    page.push(kept);
                }
                Err(error) => {
                    self.odd.push(self.below.clone());
                    self.tell(None, Fault::Row(error.to_string()));
                }
            }
        }
        Ok(page)
    }

    fn judge(&mut self, page: &[Kept]) {
        let bytes: Vec<&[u8]> = page.iter().map(|kept| &kept.bytes[..]).collect();
        let mut candidates = Vec::with_capacity(page.len());
        for (kept, decoded) in page.iter().zip(Message::decode_each(&bytes)) {
            let fault = match decoded {
                Err(error) => Fault::Malformed(error.to_string()),
                Ok(message) if message.room() != self.room.id() => Fault::OtherRoom,
                Ok(message) if message.key() != kept.key => Fault::Changed,
                Ok(message) => {
                    let wrong = kept.wrong_column(&message);
                    candidates.push(message);
                    let Some(column) = wrong else { continue };
                    self.misplaced += 1;
                    Fault::Column(column)
                }
            };
            self.fault(kept.key, fault);
        }
        let keys: Vec<Key> = candidates.iter().map(Message::key).collect();
        if self.room.merge(candidates).unauthentic > 0 {
            for key in keys {
                if !self.room.index().contains(&key) {
                    if self.bad.contains_key(&key) {
                        self.misplaced -= 1;
                    }
                    self.fault(key, Fault::Unauthentic);
                }
            }
        }
    }

    fn fault(&mut self, key: Key, fault: Fault) {
        self.bad.insert(key, fault.code());
        self.tell(Some(key), fault);
    }

    /// Whether a row of that key was read.
    pub(in crate::store) fn has_read(&self, key: &Key) -> bool {
        self.room.index().contains(key) || self.bad.contains_key(key)
    }

    /// The keys of all rows that were read.
    pub(in crate::store) fn each_read(&self, mut take: impl FnMut(&Key)) {
        self.room.index().descend(&Key::MIN, &Key::last_of(Timestamp(u64::MAX)), &mut |key| {
            take(&key);
            true
        });
        self.bad.keys().filter(|key| !self.room.index().contains(key)).for_each(take);
    }

    /// All has been judged: compares what is kept beside the messages.
    pub(super) fn finish(mut self, conn: &Connection) -> Result<RoomReport, StoreError> {
        if self.of > self.done {
            self.tell(None, Fault::Unread(self.of - self.done));
        }
        if let Err(error) = self.compare(conn) {
            self.tell(None, Fault::Row(error.to_string()));
        }
        Ok(RoomReport {
            room: self.name,
            messages: self.of.max(self.done),
            fine: self.room.index().len() - self.misplaced,
            fingerprint: self.room.fingerprint(),
            problems: self.problems,
            untold: self.untold,
        })
    }
}

impl Kept {
    pub(in crate::store) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let time: i64 = row.get(0)?;
        let id: [u8; 32] = row.get(1)?;
        let column = |at: usize| row.get_ref(at).ok().and_then(|value| value.as_i64().ok());
        Ok(Self {
            key: Key { time: Timestamp(time.cast_unsigned()), id: MessageId(id) },
            bytes: row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?.to_vec(),
            columns: [
                ("kind", column(3)),
                ("seq", column(4)),
                ("body_at", column(5)),
                ("arrived", column(6)),
                ("late", column(7)),
            ],
        })
    }

    /// The first column that does not say what the bytes say, or says nothing at all.
    pub(in crate::store) fn wrong_column(&self, message: &Message) -> Option<&'static str> {
        let right = |name, value: i64| match name {
            "kind" => value == i64::from(message.kind()),
            "seq" => value == message.seq().cast_signed(),
            "body_at" => usize::try_from(value) == Ok(message.body_at()),
            "late" => matches!(value, 0 | 1),
            _ => true,
        };
        let wrong = |(name, value): &&(&'static str, Option<i64>)| !value.is_some_and(|value| right(*name, value));
        self.columns.iter().find(wrong).map(|(name, _)| *name)
    }
}

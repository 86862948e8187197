//! Judging the history anew. Its messages go, newest first, into a room that is empty at first and merges them as it would
//! merge a peer's: there is one set of rules. What follows from that room is then compared with what is kept beside the
//! messages.

mod compare;
mod walk;

use std::{collections::VecDeque, sync::Arc};

use distchat_crdt::{AuthorId, RoomId, RoomName, Verifier};
use rusqlite::Connection;

use super::{RoomNo, Store, error::StoreError, query::read_key, schema};
use crate::verify::{Fault, MAX_PROBLEMS, Problem, Verified, VerifyError};
pub(super) use compare::all;
#[cfg(test)]
pub(super) use walk::DOWN;
pub(super) use walk::{Kept, Walk};

/// A judging under way.
pub(crate) struct Audit {
    state: Option<Box<State>>,
    source: Source,
}

/// Where the history is read.
enum Source {
    /// From a connection of its own, in one transaction: one state of all tables. It is away while a step is made.
    Own(Option<Connection>),
    /// In memory, where there is only one connection, and each room is judged without a break.
    Shared(Store),
}

struct State {
    own: AuthorId,
    verifier: Arc<dyn Verifier>,
    /// The database as such has been looked at.
    begun: bool,
    rooms: VecDeque<(RoomNo, RoomName)>,
    walk: Option<Walk>,
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit").finish_non_exhaustive()
    }
}

impl Store {
    /// Begins to judge the history, as it is on disk now.
    pub(crate) async fn audit(&self, own: AuthorId, verifier: Arc<dyn Verifier>) -> Result<Audit, StoreError> {
        let source = match self.0.path.clone() {
            None => Source::Shared(self.clone()),
            Some(path) => {
                // Everything that was acknowledged is there by then.
                self.settle().await?;
                let opened = tokio::task::spawn_blocking(move || {
                    let open = || {
                        let conn = schema::open_reader(&path)?;
                        conn.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;")?;
                        Ok(conn)
                    };
                    open().map_err(|error: StoreError| error.at(Some(&path)))
                });
                Source::Own(Some(opened.await.map_err(|_| StoreError::Closed)??))
            }
        };
        let state = State { own, verifier, begun: false, rooms: VecDeque::new(), walk: None };
        Ok(Audit { state: Some(Box::new(state)), source })
    }
}

impl Audit {
    pub(crate) async fn step(&mut self) -> Result<Option<Verified>, VerifyError> {
        let mut state = self.state.take().ok_or(VerifyError::Interrupted)?;
        let (state, verified) = match &mut self.source {
            Source::Own(conn) => {
                let own = conn.take().ok_or(VerifyError::Interrupted)?;
                let step = tokio::task::spawn_blocking(move || {
                    let verified = state.step(&own);
                    (own, state, verified)
                });
                let (own, state, verified) = step.await.map_err(|_| VerifyError::Interrupted)?;
                *conn = Some(own);
                (state, verified)
            }
            Source::Shared(store) => {
                let steps = store.on_writer_once(move |conn| {
                    loop {
                        match state.step(conn) {
                            Ok(Some(Verified::Progress { .. })) => {}
                            verified => return Ok((state, verified)),
                        }
                    }
                });
                steps.await?
            }
        };
        self.state = Some(state);
        Ok(verified?)
    }
}

impl State {
    fn step(&mut self, conn: &Connection) -> Result<Option<Verified>, StoreError> {
        if !std::mem::replace(&mut self.begun, true) {
            return self.begin(conn).map(Some);
        }
        if self.walk.is_none() {
            let Some((no, name)) = self.rooms.pop_front() else { return Ok(None) };
            self.walk = Some(Walk::begin(conn, no, name, self.own, self.verifier.clone())?);
        }
        let Some(walk) = &mut self.walk else { return Ok(None) };
        if walk.go_on(conn)? {
            return Ok(Some(walk.progress()));
        }
        let report = self.walk.take().map(|walk| walk.finish(conn)).transpose()?;
        Ok(report.map(Verified::Room))
    }

    /// Looks at the database as such, and which rooms it has.
    fn begin(&mut self, conn: &Connection) -> Result<Verified, StoreError> {
        let mut problems = Vec::new();
        let mut tell = |fault| problems.push(Problem { at: None, fault });
        let mut statement = conn.prepare(&format!("PRAGMA integrity_check({MAX_PROBLEMS})"))?;
        let mut rows = statement.query([])?;
        loop {
            match rows.next() {
                Ok(Some(row)) => {
                    let found: String = row.get(0)?;
                    if found != "ok" {
                        tell(Fault::Database(found));
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tell(Fault::Database(error.to_string()));
                    break;
                }
            }
        }

        let mut statement = conn.prepare("SELECT no, name, id FROM room ORDER BY name")?;
        let mut rows = statement.query([])?;
        let mut numbers = Vec::new();
        while let Some(row) = rows.next()? {
            let no: i64 = row.get(0)?;
            numbers.push(no);
            let name = row.get_ref(1)?.as_str().ok();
            let name = name.and_then(|text| RoomName::parse(text).ok().filter(|name| name.as_str() == text));
            let Some(name) = name else {
                tell(Fault::RoomName(no));
                continue;
            };
            if row.get_ref(2)?.as_blob().ok() != Some(&RoomId::of(&name).0[..]) {
                tell(Fault::RoomId(name.clone()));
            }
            self.rooms.push_back((RoomNo(no), name));
        }

        // From one number to the next: there are few of them, and many messages.
        let mut statement = conn.prepare("SELECT min(room) FROM message WHERE room > ?")?;
        let mut last = i64::MIN;
        loop {
            match statement.query_row([last], |row| row.get::<_, Option<i64>>(0)) {
                Ok(Some(no)) if !numbers.contains(&no) => {
                    tell(Fault::NoRoom(no));
                    last = no;
                }
                Ok(Some(no)) => last = no,
                Ok(None) => break,
                Err(error) => {
                    tell(Fault::Row(error.to_string()));
                    break;
                }
            }
        }
        if let Err(error) = put_by(conn, &mut problems) {
            problems.push(Problem { at: None, fault: Fault::Row(error.to_string()) });
        }
        problems.truncate(MAX_PROBLEMS);
        Ok(Verified::Store { problems })
    }
}

/// What was set aside and is not held again, and what is not shown.
fn put_by(conn: &Connection, problems: &mut Vec<Problem>) -> Result<(), StoreError> {
    let mut statement = conn.prepare(
        "SELECT a.time, a.id, a.why, room.name FROM set_aside AS a JOIN room ON room.no = a.room
        WHERE NOT EXISTS (SELECT 1 FROM message AS m WHERE m.room = a.room AND m.time = a.time AND m.id = a.id)
        UNION ALL
        SELECT w.time, w.id, NULL, room.name FROM withheld AS w JOIN room ON room.no = w.room LIMIT ?",
    )?;
    let mut rows = statement.query([MAX_PROBLEMS as i64])?;
    while let Some(row) = rows.next()? {
        let Ok(room) = RoomName::parse(&row.get::<_, String>(3)?) else { continue };
        let fault = match row.get(2)? {
            Some(why) => Fault::SetAside { room, why },
            None => Fault::Withheld(room),
        };
        problems.push(Problem { at: read_key(row).ok(), fault });
    }
    Ok(())
}

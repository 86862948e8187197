//! The thread that writes. Everything that waits for it goes into one transaction, so that one flush of the disk
//! serves many.

use std::{
    collections::HashSet,
    mem,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::{CommitJob, Job, RoomNo, apply, error::StoreError, salvage, search::Search};

/// A transaction takes no more jobs once it holds that many message bytes. Larger ones gain nothing, and keep the first
/// job waiting.
const MAX_GROUP_BYTES: usize = 4 << 20;

/// What the writer is asked to do, in the order it does it.
pub(super) enum Task {
    /// Writes a commit, in one transaction with its neighbours.
    Commit(Queued),
    /// Says when all before it is done, and lets a room that failed to save commit again.
    Reload(RoomNo, oneshot::Sender<()>),
    /// Anything else, after all before it is committed.
    Run(Job),
    /// Takes nothing new, and ends when all that is queued is done.
    Close,
}

/// A commit with its place in the queue.
pub(super) struct Queued {
    pub(super) job: CommitJob,
    pub(super) weight: usize,
    /// Given back when the commit is done.
    pub(super) _place: OwnedSemaphorePermit,
}

impl Queued {
    fn finish(self, result: Result<(), StoreError>) {
        (self.job.done)(result);
    }
}

/// The writing connection, on its thread.
pub(super) struct Writer {
    conn: Connection,
    path: Option<PathBuf>,
    /// Rooms of which a commit failed. What they submitted behind it builds on it: written without it, a room would
    /// come back with messages whose history it never asks for. So they write nothing until they are loaded again.
    stale: HashSet<RoomNo>,
    /// Whom to tell of what is on disk.
    search: Search,
}

impl Writer {
    pub(super) fn new(conn: Connection, path: Option<&Path>, search: Search) -> Self {
        Self { conn, path: path.map(Path::to_owned), stale: HashSet::new(), search }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Task>) {
        while let Some(first) = queue.blocking_recv() {
            let mut group = Vec::new();
            let mut weight = 0;
            let mut next = Some(first);
            while let Some(task) = next {
                match task {
                    Task::Commit(queued) => {
                        weight += queued.weight;
                        group.push(queued);
                        if weight >= MAX_GROUP_BYTES {
                            break;
                        }
                    }
                    other => {
                        self.commit(mem::take(&mut group));
                        weight = 0;
                        match other {
                            Task::Reload(room, done) => {
                                self.stale.remove(&room);
                                // If nobody waits any more, nobody needs to know.
                                let _ = done.send(());
                            }
                            Task::Run(job) => job(&self.conn),
                            Task::Close => queue.close(),
                            Task::Commit(_) => {}
                        }
                    }
                }
                next = queue.try_recv().ok();
            }
            self.commit(group);
        }
        self.finish();
    }

    fn commit(&mut self, group: Vec<Queued>) {
        let (late, group): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|queued| self.stale.contains(&queued.job.room));
        for queued in late {
            queued.finish(Err(StoreError::Stale));
        }
        if group.is_empty() {
            return;
        }
        match self.write(&group) {
            Ok(()) => group.into_iter().for_each(|queued| queued.finish(Ok(()))),
            Err(error) => self.commit_each(group, error),
        }
    }

    /// After a failure: one by one, so that one bad job does not fail the others.
    fn commit_each(&mut self, group: Vec<Queued>, error: StoreError) {
        tracing::warn!(jobs = group.len(), %error, "a transaction failed");
        if let Some(path) = &self.path {
            salvage::note(path, &error);
        }
        let alone = group.len() == 1;
        for queued in group {
            let room = queued.job.room;
            let result = if self.stale.contains(&room) {
                Err(StoreError::Stale)
            } else if alone {
                Err(error.clone())
            } else {
                self.write(std::slice::from_ref(&queued))
            };
            if result.is_err() {
                self.stale.insert(room);
            }
            queued.finish(result);
        }
    }

    fn write(&mut self, group: &[Queued]) -> Result<(), StoreError> {
        let write = |conn: &mut Connection| -> Result<(), StoreError> {
            let tx = Transaction::new(conn, TransactionBehavior::Immediate)?;
            apply::apply(&tx, group.iter().map(|queued| &queued.job))?;
            Ok(tx.commit()?)
        };
        write(&mut self.conn).map_err(|error| error.at(self.path.as_deref()))?;
        // Before anybody learns that it is on disk: then whoever does finds it.
        for Queued { job, .. } in group {
            self.search.committed(job.room, &job.commit.messages);
        }
        Ok(())
    }

    /// Brings everything into the one file, so that a person can copy it.
    fn finish(self) {
        let checkpoint = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        let closed = checkpoint.and(self.conn.close().map_err(|(_, error)| error));
        if let Err(error) = closed {
            tracing::warn!(%error, "the history was not tidied up; nothing is lost");
        }
    }
}

//! The thread that writes. Everything that waits for it goes into one transaction, so that one flush of the disk
//! serves many.

use std::{
    collections::HashMap,
    mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::{
    CommitJob, Job, RoomNo, apply,
    disk::{self, Disk},
    error::StoreError,
    guard::{again, guarded, unwound},
    salvage,
    search::Search,
};

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
        unwound(move || (self.job.done)(result));
    }
}

/// The writing connection, on its thread.
pub(super) struct Writer {
    conn: Connection,
    path: Option<PathBuf>,
    /// Rooms of which a commit failed, and what their later ones are told. What they submitted behind it builds on it:
    /// written without it, a room would come back with messages whose history it never asks for. So they write nothing until
    /// they are loaded again.
    stale: HashMap<RoomNo, StoreError>,
    disk: Arc<Disk>,
    /// Whom to tell of what is on disk.
    search: Search,
}

impl Writer {
    pub(super) fn new(conn: Connection, path: Option<&Path>, disk: Arc<Disk>, search: Search) -> Self {
        Self { conn, path: path.map(Path::to_owned), stale: HashMap::new(), disk, search }
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
                            Task::Run(job) => unwound(|| job(&self.conn)),
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
            group.into_iter().partition(|queued| self.stale.contains_key(&queued.job.room));
        for queued in late {
            let why = self.stale.get(&queued.job.room).cloned().unwrap_or(StoreError::Stale);
            queued.finish(Err(why));
        }
        if group.is_empty() {
            return;
        }
        match self.write(&group) {
            Ok(()) => group.into_iter().for_each(|queued| queued.finish(Ok(()))),
            // Each by itself would fare no better, and take its time.
            Err(error) if error.is_of_disk() => self.fail(group, &error),
            Err(error) => self.commit_each(group, error),
        }
    }

    fn fail(&mut self, group: Vec<Queued>, error: &StoreError) {
        tracing::warn!(jobs = group.len(), %error, "the disk has refused a transaction");
        // Before anybody learns that it has failed, so that whoever does knows why.
        disk::refused(&self.disk, error);
        for queued in group {
            self.stale.insert(queued.job.room, error.clone());
            queued.finish(Err(error.clone()));
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
            let result = if let Some(why) = self.stale.get(&room) {
                Err(why.clone())
            } else if alone {
                Err(error.clone())
            } else {
                self.write(std::slice::from_ref(&queued))
            };
            if let Err(error) = &result {
                let of_disk = error.is_of_disk();
                if of_disk {
                    disk::refused(&self.disk, error);
                }
                self.stale.entry(room).or_insert_with(|| if of_disk { error.clone() } else { StoreError::Stale });
            }
            queued.finish(result);
        }
    }

    fn write(&mut self, group: &[Queued]) -> Result<(), StoreError> {
        let write = |conn: &Connection| -> Result<(), StoreError> {
            let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
            apply::apply(&tx, group.iter().map(|queued| &queued.job))?;
            Ok(tx.commit()?)
        };
        guarded(&self.conn, |conn| again(conn, write)).map_err(|error| error.at(self.path.as_deref()))?;
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

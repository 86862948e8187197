//! The threads that read, so that no question waits for a commit.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::{Job, guard::unwound};

/// What a reader is asked to do.
pub(super) enum Task {
    /// Reads.
    Run(Job),
    /// Takes nothing new; both readers end when all that is queued is done.
    Close,
}

/// One queue that several threads take from.
pub(super) type Queue = Arc<Mutex<mpsc::Receiver<Task>>>;

/// Works until the queue is closed and empty.
pub(super) fn run(conn: &Connection, queue: &Queue) {
    loop {
        // The lock is let go of before the job is done: the other reader waits for it, not for the job.
        let task = {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            let task = queue.blocking_recv();
            if matches!(task, Some(Task::Close)) {
                queue.close();
            }
            task
        };
        match task {
            Some(Task::Run(job)) => unwound(|| job(conn)),
            Some(Task::Close) => {}
            None => return,
        }
    }
}

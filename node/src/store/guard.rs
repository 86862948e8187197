//! Jobs that crash, and jobs whose disk fails: an error of the job, and not the silent end of the thread that everybody
//! waits for.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;

use super::error::StoreError;

/// Does something with a connection, and once more where the history looks damaged: SQLite takes a disk that fails to read
/// for a file that is corrupt (sqlite.org/rescode.html, `SQLITE_IOERR_CORRUPTFS`), and that it has failed once is no reason
/// to do without a room.
pub(super) fn again<T>(
    conn: &Connection,
    work: impl Fn(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    match work(conn) {
        Err(error @ StoreError::Damaged { .. }) => {
            tracing::warn!(%error, "something of the history cannot be read: it is tried once more");
            work(conn)
        }
        done => done,
    }
}

/// Does something with a connection. Should it panic, the connection is as if that had not been done.
pub(super) fn guarded<T>(
    conn: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let done = catch_unwind(AssertUnwindSafe(|| work(conn)));
    done.unwrap_or_else(|_| {
        // Transactions are rolled back where they go out of scope; this is for one that was begun by hand.
        if !conn.is_autocommit()
            && let Err(error) = conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "what a crashed job of the history had begun could not be undone");
        }
        Err(StoreError::Crashed)
    })
}

/// The same of what answers nobody.
pub(super) fn unwound(work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        tracing::error!("a job of the history has crashed");
    }
}

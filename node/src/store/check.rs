//! A look at a history from outside, that changes nothing.

use std::{
    path::Path,
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use rusqlite::ErrorCode;

use super::{
    error::StoreError,
    salvage::begun,
    schema::{open_reader, version_of},
};

/// Opens a history for reading and has SQLite look it through. False if there was not the time to do it to the end. One that was
/// only begun, or not even that, is as it should be. Blocks.
///
/// # Errors
/// If it cannot be read, is damaged, or is of another program or version.
pub(crate) fn check(path: &Path, patience: Duration) -> Result<bool, StoreError> {
    let looked = || {
        match begun::state(path).map_err(|error| StoreError::io(path, &error))? {
            begun::State::Begun => return Ok(true),
            begun::State::Held => {}
            begun::State::Lost(detail) => return Err(StoreError::damaged(detail)),
        }
        let conn = open_reader(path)?;
        version_of(&conn, Some(path))?;
        let interrupt = conn.get_interrupt_handle();
        let (done, waiting) = sync_channel::<()>(0);
        thread::scope(|scope| {
            scope.spawn(move || {
                if waiting.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                    interrupt.interrupt();
                }
            });
            let said = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
            drop(done);
            match said {
                Ok(said) if said == "ok" => Ok(true),
                Ok(said) => Err(StoreError::damaged(said)),
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
    };
    looked().map_err(|error| error.at(Some(path)))
}

//! Whether the disk takes writes, and how that is found out.
//!
//! A disk that is full or fails is nobody's bug: the same write may succeed a minute later. So the first one that it refuses
//! marks it as failing, for all rooms, and it stays so until a write was tried that has nothing to do with any message. That
//! one is larger than it need be: a disk with place for the next message only is full.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
};

use rusqlite::Connection;
use tokio::sync::watch;

use super::{error::StoreError, schema};

/// What must fit before the disk is not full any more: a transaction in the log, and where it is written back to.
const HEADROOM: usize = 16 << 20;
const CHUNK: usize = 64 << 10;

/// Why the disk takes no writes; `None` as far as is known it does.
pub(super) type Disk = watch::Sender<Option<StoreError>>;

/// A write was refused. What is to blame was known already, or is now.
pub(super) fn refused(disk: &Disk, error: &StoreError) {
    disk.send_if_modified(|failing| {
        let news = failing.is_none();
        if news {
            *failing = Some(error.clone());
        }
        news
    });
}

/// Writes something that nobody needs, and makes it durable: into a file beside the database, and into the database.
pub(super) fn try_writing(conn: &Connection, path: Option<&Path>) -> Result<(), StoreError> {
    if let Some(path) = path {
        let beside = path.with_file_name("space.tmp");
        let written = fill(&beside);
        let removed = fs::remove_file(&beside);
        written.and(removed).map_err(|error| StoreError::io(path, &error))?;
    }
    // To what it is.
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(conn.pragma_update(None, "user_version", version)?)
}

fn fill(path: &Path) -> io::Result<()> {
    schema::create_private(path)?;
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    // What a file system cannot make smaller.
    let chunk: Vec<u8> = (0..CHUNK).map(|_| rand::random()).collect();
    for _ in 0..HEADROOM / CHUNK {
        file.write_all(&chunk)?;
    }
    file.sync_all()
}

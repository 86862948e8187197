//! What can go wrong with a history, told so that a person knows what to do.

use std::{
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use rusqlite::{ErrorCode, ffi};
use thiserror::Error;

/// Why the store could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum StoreError {
    /// A newer program has written this history.
    #[error("the history {} has format {found}, and this program knows formats up to {known}: \
             use the newer program that wrote it", path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    /// Not a database, or one that is broken.
    #[error(
        "the history {place} is damaged ({detail}): the next start of the program moves it aside and takes over what can \
         still be read; what other nodes hold comes back from them"
    )]
    Damaged { place: Place, detail: String },
    /// The database is one, and something in it is not as this program writes it.
    #[error("something in the history {place} is not as it was written ({detail}): `distchat verify` tells more")]
    Row { place: Place, detail: String },
    /// The file is there, and the system does not let us at it.
    #[error(
        "the history {place} cannot be used ({detail}): check that its file and directory belong to you \
         and can be written, that there is space on the disk, and that the disk works"
    )]
    Unusable { place: Place, detail: String },
    /// No space left.
    #[error("no space is left for the history {place}: free some on that disk")]
    Full { place: Place },
    /// Another program writes to it, or keeps others from writing.
    #[error("the history {place} is held by another program: close that one")]
    Busy { place: Place },
    /// An earlier commit of the room failed, and this one builds on it.
    #[error("an earlier change of this room could not be saved, so this one is not either: load the room again")]
    Stale,
    /// Anything else that SQLite reports.
    #[error("the history {place} could not be used: {detail}")]
    Failed { place: Place, detail: String },
    /// Something on the store's thread panicked over it.
    #[error("the history's thread crashed over this: it was not done")]
    Crashed,
    /// The store was closed, or its thread is gone.
    #[error("the history is closed")]
    Closed,
}

/// Where the store is; unknown until the error reaches somebody who knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place(Option<PathBuf>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(path) => path.display().fmt(f),
            None => f.write_str("in memory"),
        }
    }
}

/// The store was closed, or its writer is gone: nothing can be submitted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the history is closed")]
pub(crate) struct Closed;

impl From<Closed> for StoreError {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl StoreError {
    /// It is no database that this program could use.
    pub(super) fn damaged(detail: impl Into<String>) -> Self {
        Self::Damaged { place: Place::default(), detail: detail.into() }
    }

    /// Whether what is around the history is to blame, and not what was to be written: the same may succeed later.
    pub(crate) fn is_of_disk(&self) -> bool {
        matches!(self, Self::Unusable { .. } | Self::Full { .. } | Self::Busy { .. })
    }

    /// Something in the database is not as this program writes it.
    pub(super) fn row(detail: impl Into<String>) -> Self {
        Self::Row { place: Place::default(), detail: detail.into() }
    }

    /// Whether what is in the history is to blame, and not what is around it.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Row { .. })
    }

    /// What cannot be read as this program writes it is taken for not there.
    pub(super) fn if_row<T>(self) -> Result<Option<T>, Self> {
        if matches!(self, Self::Row { .. }) { Ok(None) } else { Err(self) }
    }

    /// An error of the file system.
    pub(super) fn io(path: &Path, error: &std::io::Error) -> Self {
        if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            return Self::Full { place: Place(Some(path.to_owned())) };
        }
        Self::Unusable { place: Place(Some(path.to_owned())), detail: error.to_string() }
    }

    /// The same, saying which file is meant.
    pub(super) fn at(mut self, path: Option<&Path>) -> Self {
        if let Self::Damaged { place, .. }
        | Self::Row { place, .. }
        | Self::Unusable { place, .. }
        | Self::Full { place }
        | Self::Busy { place }
        | Self::Failed { place, .. } = &mut self
        {
            place.0 = path.map(Path::to_owned);
        }
        self
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let place = Place::default();
        let detail = error.to_string();
        // A file that ends where it should not: the disk is not to blame.
        if error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_SHORT_READ) {
            return Self::Damaged { place, detail };
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { place, detail },
            Some(ErrorCode::DiskFull) => Self::Full { place },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { place },
            Some(
                ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure,
            ) => Self::Unusable { place, detail },
            Some(_) => Self::Failed { place, detail },
            // Not from SQLite but from reading a row: a value of another type or size than this program writes.
            None => Self::Row { place, detail },
        }
    }
}

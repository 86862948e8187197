//! Where a directory inherits what is right for a user's own files.

use std::{fs::OpenOptions, io, path::Path};

use super::{Refused, Unsafe};

pub(super) fn way(dir: &Path) -> Result<Option<String>, Refused> {
    if dir.is_dir() {
        return Ok(None);
    }
    Err(Refused::Unsafe(Unsafe { path: dir.to_owned(), why: "it is not a directory".to_owned() }))
}

pub(super) fn close(_: &Path, _: u32) -> io::Result<bool> {
    Ok(false)
}

pub(super) fn entries(_: &Path) -> Result<Vec<String>, Refused> {
    Ok(Vec::new())
}

pub(super) fn private(_: &mut OpenOptions) {}

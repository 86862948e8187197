//! Directories and files that are this user's alone.
//!
//! The invariant: once [`directory`] has passed, nobody but this user and root can put anything into the directory, take
//! anything out of it, or lead its name elsewhere. So what was looked at is what is used, however much later, and by
//! whomever: SQLite opens its files by name, too.
//!
//! - The directory is this user's, and closed to others.
//! - The directory above it, and that of each symbolic link on the way, belongs to this user or to root, and a link does, too.
//! - Nowhere on the way everybody can write, unless it is a place like `/tmp`, where nobody can move what is another's. Where
//!   a group can, its user is told: there are groups of one.
//!
//! What stands in it was perhaps put there when it was open, so each entry is looked at: none is a symbolic link, a pipe or
//! a device, and all are this user's or root's. Who else owns directories further up is the administrator's business, as it
//! is to `sshd`. Elsewhere than on Unix a directory inherits what is right for a user's own files.

#[cfg(unix)]
mod system;
#[cfg(not(unix))]
#[path = "private/elsewhere.rs"]
mod system;

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// What is wrong with a place, and what to do.
#[derive(Debug)]
pub(crate) struct Unsafe {
    pub(crate) path: PathBuf,
    pub(crate) why: String,
}

/// Why a place cannot be used.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Others could have had a hand in it.
    Unsafe(Unsafe),
    /// What the system says.
    Io(PathBuf, io::Error),
}

/// Makes the directory if it is not there, and makes sure of it and of all that is in it. What could be mended was; the
/// list says that, and what its user should know. Blocks.
pub(crate) fn directory(dir: &Path) -> Result<Vec<String>, Refused> {
    create_dir(dir).map_err(|error| Refused::Io(dir.to_owned(), error))?;
    let mut told = Vec::from_iter(system::way(dir)?);
    if system::close(dir, 0o700).map_err(|error| Refused::Io(dir.to_owned(), error))? {
        told.push(format!("others could look into {}: closed to them", dir.display()));
    }
    told.extend(system::entries(dir)?);
    Ok(told)
}

/// Opens a file that is in such a directory, or makes it for its owner only.
pub(crate) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    system::private(options);
    options.open(path)
}

/// Makes a directory, and those above it, for its owner only. One that is there is left as it is.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

#[cfg(test)]
mod tests;

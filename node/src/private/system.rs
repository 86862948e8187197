//! The same on Unix, where owners and permissions say who can do what.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::{self, Metadata, OpenOptions, Permissions},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Component, Path, PathBuf},
};

use rustix::{fs::OFlags, process::geteuid};

use super::{Refused, Unsafe};

/// How many symbolic links may be on the way, as with the kernel.
const LINKS: usize = 40;
const OTHERS: u32 = 0o077;
const GROUP_WRITES: u32 = 0o020;
const EVERYBODY_WRITES: u32 = 0o002;
const STICKY: u32 = 0o1000;

fn refuse<T>(path: &Path, why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::Unsafe(Unsafe { path: path.to_owned(), why: why.into() }))
}

fn look(path: &Path) -> Result<Metadata, Refused> {
    fs::symlink_metadata(path).map_err(|error| Refused::Io(path.to_owned(), error))
}

fn is_own(metadata: &Metadata) -> bool {
    metadata.uid() == geteuid().as_raw()
}

fn is_trusted(metadata: &Metadata) -> bool {
    is_own(metadata) || metadata.uid() == 0
}

/// Walks to the directory as the kernel does, and looks at whatever could lead elsewhere. Says what its user should know.
pub(super) fn way(dir: &Path) -> Result<Option<String>, Refused> {
    let absolute = std::path::absolute(dir).map_err(|error| Refused::Io(dir.to_owned(), error))?;
    let mut ahead: VecDeque<OsString> = parts(&absolute);
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    while let Some(part) = ahead.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        let metadata = look(&next)?;
        if metadata.is_symlink() {
            links += 1;
            if links > LINKS {
                return Err(Refused::Io(dir.to_owned(), io::Error::from(rustix::io::Errno::LOOP)));
            }
            if !is_trusted(&metadata) {
                return refuse(&next, "it is a symbolic link that another user has made");
            }
            above(&at)?;
            let target = fs::read_link(&next).map_err(|error| Refused::Io(next.clone(), error))?;
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            let mut behind = parts(&target);
            behind.append(&mut ahead);
            ahead = behind;
            continue;
        }
        open_to_all(&at)?;
        at = next;
    }
    let metadata = look(&at)?;
    if !metadata.is_dir() {
        return refuse(&at, "it is not a directory");
    }
    if !is_own(&metadata) {
        return refuse(&at, "it belongs to another user");
    }
    let Some(parent) = at.parent() else { return Ok(None) };
    above(parent)?;
    Ok(group(&look(parent)?).map(|group| {
        let parent = parent.display();
        format!(
            "whoever is in the group {group} can put something else in place of what is in {parent}: if others are, \
                 take that right away with `chmod g-w {parent}`"
        )
    }))
}

/// The group that can write there, if it is not one of this user alone by the usual numbers.
fn group(metadata: &Metadata) -> Option<u32> {
    let sticky = metadata.mode() & STICKY != 0;
    let writes = metadata.mode() & GROUP_WRITES != 0 && !sticky;
    Some(metadata.gid()).filter(|group| writes && *group != 0 && *group != geteuid().as_raw())
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let name = |part: Component<'_>| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_owned()),
        _ => None,
    };
    path.components().filter_map(name).collect()
}

/// What is in this directory is another's only by root's hand.
fn above(dir: &Path) -> Result<(), Refused> {
    if !is_trusted(&look(dir)?) {
        return refuse(dir, "it belongs to another user, who could put anything in its place");
    }
    open_to_all(dir)
}

fn open_to_all(dir: &Path) -> Result<(), Refused> {
    if look(dir)?.mode() & (EVERYBODY_WRITES | STICKY) == EVERYBODY_WRITES {
        return refuse(dir, "everybody may write into it; take that right away with `chmod o-w`");
    }
    Ok(())
}

/// Takes others' permissions away; returns whether they had any.
pub(super) fn close(path: &Path, mode: u32) -> io::Result<bool> {
    let open = fs::metadata(path)?.mode() & OTHERS != 0;
    if open {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok(open)
}

/// Looks at what is in the directory, and takes others' permissions away from its files.
pub(super) fn entries(dir: &Path) -> Result<Vec<String>, Refused> {
    let failed = |error| Refused::Io(dir.to_owned(), error);
    let mut opened = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let metadata = match look(&path) {
            // Another program of this user may just have removed it.
            Err(Refused::Io(_, error)) if error.kind() == io::ErrorKind::NotFound => continue,
            looked => looked?,
        };
        let kind = metadata.file_type();
        if kind.is_symlink() {
            let what = "it is a symbolic link: put the file itself in its place, or keep the whole directory elsewhere \
                        and make that a link";
            return refuse(&path, what);
        }
        if !is_trusted(&metadata) {
            return refuse(&path, "it belongs to another user: move it away");
        }
        if kind.is_fifo() || kind.is_block_device() || kind.is_char_device() {
            return refuse(&path, "it is no file: move it away");
        }
        if kind.is_file() && is_own(&metadata) {
            match close(&path, metadata.mode() & 0o700) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(true) => opened.push(path),
                Ok(false) => {}
                Err(error) => return Err(Refused::Io(path, error)),
            }
        }
    }
    opened.sort();
    Ok(opened.iter().map(|path| format!("others could read {}: closed to them", path.display())).collect())
}

/// New files are for their owner only, and no link is followed to another one.
pub(super) fn private(options: &mut OpenOptions) {
    options.mode(0o600).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
}

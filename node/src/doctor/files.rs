//! A look at the profile's files, that leaves them as they are.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use distchat_node::{Config, inspect};

use super::observed::{Files, Key};

/// How long a history is looked through.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks at all of them; `None` for a profile in memory. Blocks.
///
/// # Errors
/// If there is no place for them; the text says what to do.
pub(crate) fn look(config: &Config) -> Result<Option<Files>, String> {
    let Some(dir) = config.directory().map_err(|error| error.to_string())? else { return Ok(None) };
    let place = place(&dir);
    Ok(Some(Files {
        exists: dir.exists(),
        unwritable: unwritable(&place),
        free: free(&place),
        key: key(&dir.join("key")),
        history: inspect::history(&dir.join("history.sqlite3"), PATIENCE),
        aside: aside(&dir),
        in_use: in_use(&dir.join("lock")),
        dir,
    }))
}

/// Databases that are neither the history nor the index beside it.
fn aside(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_aside = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("history-") && name.ends_with(".sqlite3")
    };
    let mut aside: Vec<PathBuf> = files.filter(is_aside).collect();
    aside.sort();
    aside
}

/// The directory, or what it will be made in.
fn place(dir: &Path) -> PathBuf {
    dir.ancestors().find(|place| place.exists()).unwrap_or(dir).to_owned()
}

#[cfg(unix)]
fn unwritable(place: &Path) -> Option<String> {
    use rustix::fs::{Access, access};
    if !place.is_dir() {
        return Some("it is not a directory".to_owned());
    }
    access(place, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).err().map(|error| error.to_string())
}

#[cfg(not(unix))]
fn unwritable(place: &Path) -> Option<String> {
    match fs::metadata(place) {
        Ok(metadata) if !metadata.is_dir() => Some("it is not a directory".to_owned()),
        Ok(metadata) if metadata.permissions().readonly() => Some("it is read-only".to_owned()),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(unix)]
fn free(place: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(place).ok()?;
    Some(about.f_bavail.saturating_mul(about.f_frsize))
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}

fn key(path: &Path) -> Key {
    // What else has that name, such as a link or a pipe, is not opened.
    if fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Key::Bad("it is not a file".to_owned());
    }
    match fs::read(path) {
        // The latter: what is in the way is told of the directory.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Key::Absent,
        Err(error) => Key::Bad(error.to_string()),
        Ok(text) => {
            let digits = text.trim_ascii_end();
            if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
                return Key::Bad("it does not consist of 64 hex digits".to_owned());
            }
            mode(path).filter(|mode| mode & 0o077 != 0).map_or(Key::Good, Key::Open)
        }
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(fs::metadata(path).ok()?.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn mode(_: &Path) -> Option<u32> {
    None
}

/// Who has the profile. Of a lock that is free nothing is left behind.
fn in_use(path: &Path) -> Option<Option<u32>> {
    let file = File::open(path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok())),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use distchat_node::inspect::History;

    use super::*;

    fn config(dir: &Path) -> Config {
        Config { profile: "ann".into(), data_dir: Some(dir.to_owned()), ..Config::default() }
    }

    #[test]
    fn what_is_not_there_yet_is_looked_for_where_it_would_be() {
        let temp = tempfile::tempdir().unwrap();
        let files = look(&config(&temp.path().join("not/yet"))).unwrap().unwrap();
        assert!(!files.exists && files.unwritable.is_none() && files.free.is_some());
        assert_eq!((files.key, files.history, files.in_use), (Key::Absent, History::Absent, None));
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0, "nothing was made");
        assert!(look(&Config { memory: true, ..config(temp.path()) }).unwrap().is_none());
    }

    #[test]
    fn a_file_in_the_way_is_seen() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("file"), "").unwrap();
        let files = look(&config(&temp.path().join("file"))).unwrap().unwrap();
        assert_eq!(files.unwritable.as_deref(), Some("it is not a directory"));
    }

    #[test]
    fn keys_and_histories_are_looked_at() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("ann");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("history.sqlite3"), "not a database, though long enough to be looked at as one").unwrap();
        for (text, good) in [("", false), ("zz", false), (&"a7".repeat(32), true)] {
            fs::write(dir.join("key"), text).unwrap();
            assert_ne!(matches!(key(&dir.join("key")), Key::Bad(_)), good, "{text:?}");
        }
        #[cfg(unix)]
        {
            fs::rename(dir.join("key"), dir.join("elsewhere")).unwrap();
            std::os::unix::fs::symlink("elsewhere", dir.join("key")).unwrap();
            assert!(matches!(key(&dir.join("key")), Key::Bad(why) if why == "it is not a file"));
        }
        let files = look(&config(temp.path())).unwrap().unwrap();
        assert!(
            matches!(&files.history, History::Damaged(why) if why.contains("moves it aside")),
            "{:?}",
            files.history
        );
        assert_eq!(files.aside, Vec::<PathBuf>::new());
        let moved = dir.join("history-damaged-20260102T030405Z.sqlite3");
        fs::write(&moved, "").unwrap();
        assert_eq!(look(&config(temp.path())).unwrap().unwrap().aside, [moved]);
        let lock = File::create(dir.join("lock")).unwrap();
        lock.lock().unwrap();
        fs::write(dir.join("lock"), "77\n").unwrap();
        assert_eq!(in_use(&dir.join("lock")), Some(Some(77)));
    }

    #[cfg(unix)]
    #[test]
    fn an_open_key_is_seen() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("key");
        fs::write(&path, "0".repeat(64)).unwrap();
        for (mode, expect) in [(0o600, Key::Good), (0o644, Key::Open(0o644)), (0o640, Key::Open(0o640))] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(key(&path), expect);
        }
    }
}

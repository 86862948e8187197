//! A profile: an author's key and history, in a directory of their own that one process holds at a time.
//!
//! `<data dir>/<profile>/` contains `lock` (held while a node runs, with its process id), `key` (64 hex digits) and
//! `history.sqlite3`. The directory and all that is in it are this user's alone: see [`private`].

use std::{
    env, fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Seek, Write},
    path::{Path, PathBuf},
};

use distchat_crdt::Keypair;
use rand::{TryRng, rngs::SysRng};
use thiserror::Error;

use crate::{
    durable,
    private::{self, Refused},
};

/// The longest profile name.
const MAX_NAME: usize = 64;

/// Why a profile cannot be used.
#[derive(Debug, Error)]
pub(crate) enum ProfileError {
    /// Not a name that is also a safe file name everywhere.
    #[error(
        "a profile name has 1 to {MAX_NAME} of the characters A-Z a-z 0-9 . _ - and no dot in front, and `{0}` \
             has not: choose another with --name"
    )]
    BadName(String),
    /// The system tells no home directory.
    #[error("there is no home directory to keep the history in: give a directory with --data-dir")]
    NoDataDir,
    /// Another process holds the profile.
    #[error("profile `{name}` is in use by {holder}: choose another with --name, or end that one")]
    InUse {
        /// The profile.
        name: String,
        /// Who holds it.
        holder: Holder,
    },
    /// The key file is there and cannot be read, or none could be made.
    #[error("the key {} cannot be read or made ({error}): check that the file and its directory belong to you, or \
             choose another profile with --name", path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The key file holds something else.
    #[error("the key {} does not consist of 64 hex digits: restore a copy of it, or move it away to go on as a new \
             author", .0.display())]
    KeyMalformed(PathBuf),
    /// Others could have had a hand in it.
    #[error("{} is not safe to use: {why}; or give another directory with --data-dir", path.display())]
    Unsafe {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it, and maybe what to do.
        why: String,
    },
    /// A directory or the lock cannot be had.
    #[error("{} cannot be used ({error}): check that it belongs to you and can be written, or give another directory \
             with --data-dir", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl From<Refused> for ProfileError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unsafe(private::Unsafe { path, why }) => Self::Unsafe { path, why },
            Refused::Io(path, error) => Self::Io { path, error },
        }
    }
}

/// The process that holds a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

/// A profile in use. Dropping it lets others use it.
#[derive(Debug)]
pub(crate) struct Profile {
    name: String,
    key: Keypair,
    /// None in memory.
    dir: Option<PathBuf>,
    warnings: Vec<String>,
    /// The system releases the lock when the file is closed, also by a crash.
    _lock: Option<File>,
}

impl Profile {
    /// Takes hold of a profile, and makes it if it is new. `None`: in the user's data directory. Blocks.
    pub(crate) fn open(data_dir: Option<&Path>, name: &str) -> Result<Self, ProfileError> {
        let (_, dir) = directory(data_dir, name)?;
        let io = |path: &Path, error| ProfileError::Io { path: path.to_owned(), error };
        let mut warnings = private::directory(&dir)?;
        // The key is the first thing in it that must last, so where there is one this was done.
        if !dir.join("key").exists() {
            sync_way(&dir, durable::sync_dir)?;
        }
        let lock_path = dir.join("lock");
        let Some(lock) = hold(&lock_path).map_err(|error| io(&lock_path, error))? else {
            let pid = fs::read_to_string(&lock_path).ok().and_then(|text| text.trim().parse().ok());
            return Err(ProfileError::InUse { name: name.to_owned(), holder: Holder(pid) });
        };
        let history_exists = dir.join("history.sqlite3").exists();
        let key = load_key(&dir, history_exists, &mut warnings)?;
        Ok(Self { name: name.to_owned(), key, dir: Some(dir), warnings, _lock: Some(lock) })
    }

    /// A profile with a new key, of which nothing reaches the disk.
    pub(crate) fn in_memory(name: &str) -> Result<Self, ProfileError> {
        check_name(name)?;
        let seed = new_seed().map_err(|error| ProfileError::Key { path: PathBuf::from("-"), error })?;
        let key = Keypair::from_seed(seed);
        Ok(Self { name: name.to_owned(), key, dir: None, warnings: Vec::new(), _lock: None })
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The author's key.
    pub(crate) fn key(&self) -> &Keypair {
        &self.key
    }

    /// Where all of it is kept; `None` in memory.
    pub(crate) fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// The file of the history; `None` in memory.
    pub(crate) fn history(&self) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join("history.sqlite3"))
    }

    /// What the user should know about how the profile was found.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Where the profiles are, and where this one is, or would be.
pub(crate) fn directory(data_dir: Option<&Path>, name: &str) -> Result<(PathBuf, PathBuf), ProfileError> {
    check_name(name)?;
    let data_dir = match data_dir {
        Some(dir) => dir.to_owned(),
        None => default_data_dir().ok_or(ProfileError::NoDataDir)?,
    };
    let dir = data_dir.join(name);
    Ok((data_dir, dir))
}

fn check_name(name: &str) -> Result<(), ProfileError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with('.') {
        return Ok(());
    }
    // What is echoed is short, and has no control characters.
    Err(ProfileError::BadName(name.chars().take(MAX_NAME).flat_map(char::escape_debug).collect()))
}

/// Where the system wants programs to keep a user's data.
fn default_data_dir() -> Option<PathBuf> {
    let given = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || env::home_dir().filter(|path| path.is_absolute());
    let parent = if cfg!(windows) {
        given("LOCALAPPDATA").or_else(|| Some(home()?.join("AppData").join("Local")))
    } else if cfg!(target_os = "macos") {
        Some(home()?.join("Library").join("Application Support"))
    } else {
        given("XDG_DATA_HOME").or_else(|| Some(home()?.join(".local").join("share")))
    };
    parent.map(|parent| parent.join("distchat"))
}

/// Opens the lock file, takes the lock and writes down who holds it. `None`: another process has it.
fn hold(path: &Path) -> io::Result<Option<File>> {
    let mut lock = private::open(OpenOptions::new().read(true).write(true).create(true).truncate(false), path)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())?;
    Ok(Some(lock))
}

/// Reads the key, or makes one. The caller holds the lock.
fn load_key(dir: &Path, history_exists: bool, warnings: &mut Vec<String>) -> Result<Keypair, ProfileError> {
    let path = dir.join("key");
    let failed = |error| ProfileError::Key { path: path.clone(), error };
    let seed = match private::open(OpenOptions::new().read(true), &path) {
        Ok(file) => {
            let mut text = Vec::new();
            file.take(1024).read_to_end(&mut text).map_err(failed)?;
            parse_seed(&text).ok_or_else(|| ProfileError::KeyMalformed(path.clone()))?
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if history_exists {
                warnings.push(format!("the key {} was gone: you are a new author now", path.display()));
            }
            let seed = new_seed().map_err(failed)?;
            let digits: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
            durable::write(&path, format!("{digits}\n").as_bytes()).map_err(failed)?;
            seed
        }
        Err(error) => return Err(failed(error)),
    };
    Ok(Keypair::from_seed(seed))
}

fn new_seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    SysRng.try_fill_bytes(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}

fn parse_seed(text: &[u8]) -> Option<[u8; 32]> {
    let digits = text.trim_ascii_end();
    if digits.len() != 64 {
        return None;
    }
    let mut seed = [0; 32];
    for (byte, pair) in seed.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(*pair.first()?).to_digit(16)?;
        let low = char::from(*pair.last()?).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(seed)
}

/// Makes the names of a directory and of all those above it outlast a power cut. Which of them are new nobody knows: a start
/// that came no further may have made them. So it does not matter who has, only why one cannot be synced.
fn sync_way(dir: &Path, sync: impl Fn(&Path) -> io::Result<()>) -> Result<(), ProfileError> {
    let io = |path: &Path, error| ProfileError::Io { path: path.to_owned(), error };
    // What was made is behind any symbolic link on the way.
    let dir = dir.canonicalize().map_err(|error| io(dir, error))?;
    for above in dir.ancestors().skip(1) {
        match sync(above) {
            // Not everybody may open the system's directories, and where nobody can write nobody has made anything.
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
                tracing::debug!(dir = %above.display(), %error, "that a directory outlasts a power cut is not known");
            }
            synced => synced.map_err(|error| io(above, error))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use distchat_crdt::Signer;

    fn open(dir: &Path, name: &str) -> Result<Profile, ProfileError> {
        Profile::open(Some(dir), name)
    }

    #[track_caller]
    fn check_error(result: Result<Profile, ProfileError>, expect: &str) {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expect), "{error:?} does not say {expect:?}");
    }

    #[test]
    fn a_profile_keeps_its_key() {
        let temp = tempfile::tempdir().unwrap();
        let data_dir = temp.path().join("not").join("there");
        let first = open(&data_dir, "alice").unwrap();
        assert_eq!(first.history(), Some(data_dir.join("alice").join("history.sqlite3")));
        assert_eq!((first.name(), first.warnings()), ("alice", &[][..]));
        let author = first.key().author();
        drop(first);
        assert_eq!(open(&data_dir, "alice").unwrap().key().author(), author);
        assert_ne!(open(&data_dir, "bob").unwrap().key().author(), author);
        assert!(!data_dir.join("alice").join("key.tmp").exists());
        let text = fs::read_to_string(data_dir.join("alice").join("key")).unwrap();
        assert_eq!((text.len(), text.trim_end().len()), (65, 64));
    }

    #[test]
    fn a_held_profile_names_its_holder() {
        let temp = tempfile::tempdir().unwrap();
        let held = open(temp.path(), "alice").unwrap();
        let expect = format!("profile `alice` is in use by process {}: choose another", std::process::id());
        check_error(open(temp.path(), "alice"), &expect);
        open(temp.path(), "bob").unwrap();
        drop(held);
        open(temp.path(), "alice").unwrap();
    }

    #[test]
    fn names_are_safe_file_names() {
        let temp = tempfile::tempdir().unwrap();
        for name in ["a", "A-b_c.9", &"x".repeat(64)] {
            open(temp.path(), name).unwrap();
        }
        for name in ["", ".", "..", ".hidden", "a/b", "a b", "é", "a\u{1b}[1m", &"x".repeat(65)] {
            check_error(open(temp.path(), name), "a profile name has 1 to 64");
            check_error(Profile::in_memory(name), "--name");
        }
        assert!(!open(temp.path(), "a\u{1b}[1m").unwrap_err().to_string().contains('\u{1b}'));
    }

    #[test]
    fn a_key_that_is_none_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        drop(open(temp.path(), "alice").unwrap());
        let path = temp.path().join("alice").join("key");
        let key = fs::read(&path).unwrap();
        for wrong in [&b""[..], b"hello\n", &key[1..], &[b'g'; 64], &[0xff; 64], &[b'0'; 4096]] {
            fs::write(&path, wrong).unwrap();
            check_error(open(temp.path(), "alice"), "64 hex digits: restore a copy");
            assert_eq!(fs::read(&path).unwrap(), wrong);
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        check_error(open(temp.path(), "alice"), "cannot be read");
    }

    #[test]
    fn a_lost_key_is_told() {
        let temp = tempfile::tempdir().unwrap();
        let profile = open(temp.path(), "alice").unwrap();
        fs::write(profile.history().unwrap(), "").unwrap();
        drop(profile);
        fs::remove_file(temp.path().join("alice").join("key")).unwrap();
        // What a crash in mid-write leaves does not stand in the way.
        fs::write(temp.path().join("alice").join("key.tmp"), "half").unwrap();
        let profile = open(temp.path(), "alice").unwrap();
        assert!(profile.warnings().iter().any(|told| told.contains("new author")), "{:?}", profile.warnings());
    }

    #[test]
    fn what_cannot_be_made_durable_keeps_each_start_from_going_on_and_what_cannot_be_known_none() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().canonicalize().unwrap().join("new").join("alice");
        fs::create_dir_all(&dir).unwrap();
        for failing in dir.ancestors().skip(1) {
            let fails = |kind: ErrorKind| {
                sync_way(&dir, |above| if above == failing { Err(kind.into()) } else { Ok(()) })
                    .err()
                    .map(|error| error.to_string())
            };
            for kind in [ErrorKind::Other, ErrorKind::StorageFull, ErrorKind::NotFound] {
                let told = fails(kind).unwrap_or_else(|| panic!("{kind:?} of {} is swallowed", failing.display()));
                assert!(told.starts_with(&format!("{} cannot be used", failing.display())), "{told}");
            }
            for kind in [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem] {
                assert_eq!(fails(kind), None, "{}", failing.display());
            }
        }
    }

    #[test]
    fn nothing_of_a_profile_in_memory_reaches_the_disk() {
        let (first, second) = (Profile::in_memory("alice").unwrap(), Profile::in_memory("alice").unwrap());
        assert_ne!(first.key().author(), second.key().author());
        assert_eq!(first.history(), None);
    }

    #[cfg(unix)]
    #[test]
    fn others_are_kept_out() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("alice");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        drop(open(temp.path(), "alice").unwrap());
        assert_eq!([mode(&dir), mode(&dir.join("key")), mode(&dir.join("lock"))], [0o700, 0o600, 0o600]);
        for (path, wrong) in [(dir.clone(), 0o755), (dir.join("key"), 0o644)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(wrong)).unwrap();
        }
        let profile = open(temp.path(), "alice").unwrap();
        assert_eq!(profile.warnings().len(), 2, "{:?}", profile.warnings());
        assert_eq!([mode(&dir), mode(&dir.join("key"))], [0o700, 0o600]);
    }
}

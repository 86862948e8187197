//! Programs with a clock of their own, by libfaketime.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// Whether libfaketime is installed, and if not, what to do.
pub fn available() -> Result<(), String> {
    library().map(|_| ()).ok_or_else(|| "libfaketime is not installed (Debian: apt-get install faketime)".to_owned())
}

/// A clock that somebody sets while programs run by it.
#[derive(Clone, Debug)]
pub struct Clock(PathBuf);

impl Clock {
    /// The right one, kept in that directory.
    ///
    /// # Panics
    /// If nothing can be written there.
    pub fn new(directory: &Path) -> Self {
        let clock = Self(directory.join("clock"));
        clock.set("+0");
        clock
    }

    /// From now on it is off by `offset`, such as `-1h`, whatever it was before.
    ///
    /// # Panics
    /// If that cannot be written down.
    pub fn set(&self, offset: &str) {
        let draft = self.0.with_extension("tmp");
        fs::write(&draft, offset).and_then(|()| fs::rename(&draft, &self.0)).expect("a clock can be set");
    }
}

/// How a program's calendar clock is wrong.
#[derive(Clone, Debug)]
pub(crate) enum Wrong {
    /// By that, such as `+365d`, or it begins at that time, such as `@2100-01-01 00:00:00`.
    By(String),
    /// As somebody sets it.
    As(Clock),
}

/// The environment in which a program's clock is wrong.
///
/// The library is loaded directly and not through the `faketime` command, which would stay between the test and the
/// program: killing it would leave the program running.
pub(crate) fn environment(wrong: &Wrong) -> Vec<(&'static str, OsString)> {
    let library = library().expect("the test has asked whether libfaketime is installed");
    let mut environment = vec![
        ("LD_PRELOAD", library.into()),
        // A wrong calendar does not make timers wrong.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ("NO_FAKE_STAT", "1".into()),
    ];
    match wrong {
        Wrong::By(offset) => environment.push(("FAKETIME", offset.into())),
        Wrong::As(Clock(file)) => {
            environment.push(("FAKETIME_TIMESTAMP_FILE", file.into()));
            // Or it would be looked at every ten seconds.
            environment.push(("FAKETIME_NO_CACHE", "1".into()));
        }
    }
    environment
}

/// Removes what libfaketime leaves behind of a program that was killed.
pub fn sweep(pid: u32) {
    for name in [format!("/dev/shm/faketime_shm_{pid}"), format!("/dev/shm/sem.faketime_sem_{pid}")] {
        let _ = fs::remove_file(name);
    }
}

fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    LIBRARY
        .get_or_init(|| {
            // /usr/lib/<architecture>/faketime on Debian, /usr/lib*/faketime elsewhere.
            let above = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from);
            let below = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
            above
                .into_iter()
                .chain(below)
                .map(|directory| directory.join("faketime/libfaketimeMT.so.1"))
                .find(|path| path.exists())
        })
        .as_deref()
}

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

/// The environment in which a program's calendar clock is off by `offset`, such as `+365d`.
///
/// The library is loaded directly and not through the `faketime` command, which would stay between the test and the
/// program: killing it would leave the program running.
pub(crate) fn environment(offset: &str) -> Vec<(&'static str, OsString)> {
    let library = library().expect("the test has asked whether libfaketime is installed");
    vec![
        ("LD_PRELOAD", library.into()),
        ("FAKETIME", offset.into()),
        // A wrong calendar does not make timers wrong.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ("NO_FAKE_STAT", "1".into()),
    ]
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

//! A place to run programs: what a computer is in the tests.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;

use crate::Launch;

/// A machine: its programs share a home, a run directory where they find each other, and a network.
#[derive(Clone, Debug)]
pub struct Machine {
    directory: PathBuf,
    namespace: Option<String>,
    // Shared by all the machines of a LAN; the last to go removes it.
    _scratch: Arc<TempDir>,
}

impl Machine {
    /// A machine whose programs use the loopback interface of the computer that runs the tests, and nothing else:
    /// no mDNS, no other address. They find each other through the run directory.
    pub fn loopback() -> Self {
        Self::new(scratch(), "here", None)
    }

    pub(crate) fn new(scratch: Arc<TempDir>, name: &str, namespace: Option<String>) -> Self {
        let directory = scratch.path().join(name);
        for directory in [directory.join("home"), directory.join("run"), directory.join("data")] {
            fs::create_dir_all(directory).expect("the scratch directory can be written");
        }
        Self { directory, namespace, _scratch: scratch }
    }

    /// A chat with a profile of that name on this machine, not yet started.
    pub fn chat(&self, profile: &str) -> Launch {
        Launch::new(self.clone(), profile)
    }

    /// A directory for files of the test's own.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the profiles of this machine's chats are, unless a [`Launch`] says otherwise.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Where its programs look for their file of options.
    pub fn config_file(&self) -> PathBuf {
        self.config_home().join("distchat").join("config.toml")
    }

    pub(crate) fn config_home(&self) -> PathBuf {
        self.directory.join("config")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.directory.join("home")
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.directory.join("run")
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }
}

pub(crate) fn scratch() -> Arc<TempDir> {
    // A short name: sockets may live below it, and their paths are limited to 107 bytes.
    Arc::new(tempfile::Builder::new().prefix("dct-").tempdir().expect("a temporary directory can be made"))
}

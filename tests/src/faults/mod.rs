//! A disk that fails when a test says so, and of which every change is known.
//!
//! [`FaultyDisk`] puts a small library in front of the C library of the program under test (`shim.c`, compiled by the test,
//! loaded by `LD_PRELOAD`). Whatever the program does to files of its data directory goes through that: it fails as it is
//! told, and the rest is written down. [`trace`] reads what was written down, [`power`] makes of it what a power cut could
//! have left.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::PathBuf,
    process::Command,
};

use crate::{Launch, Machine};

pub mod power;
pub mod trace;

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operations {
    /// Creating, writing, truncating, syncing, renaming and removing files.
    Changes = 1,
    /// Reading.
    Reads = 2,
    /// All, opening included.
    All = 7,
}

/// An error of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// No operation fails; they are only counted.
    None = 0,
    /// `EIO`
    Io = 5,
    /// `ENOSPC`
    Full = 28,
    /// `EROFS`
    ReadOnly = 30,
}

/// The disk of one machine's data directory.
pub struct FaultyDisk {
    library: PathBuf,
    data: PathBuf,
    control: File,
    trace: PathBuf,
}

impl FaultyDisk {
    /// A disk that works for now.
    ///
    /// # Panics
    /// If there is no C compiler; see [`crate::skip::faulty_disk_or_skip`].
    pub fn new(machine: &Machine) -> Self {
        let place = machine.directory();
        let (source, library) = (place.join("shim.c"), place.join("faults.so"));
        std::fs::write(&source, include_str!("shim.c")).expect("the scratch directory can be written");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).args(["-ldl", "-lpthread"]);
        let output = cc.output().expect("there is a C compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut options = OpenOptions::new();
        let control = options.read(true).write(true).create(true).truncate(true).open(place.join("control"));
        let control = control.expect("the scratch directory can be written");
        control.set_len(64).expect("the scratch directory can be written");
        Self { library, data: machine.data_dir(), control, trace: place.join("trace") }
    }

    /// The program on this disk.
    pub fn under(&self, launch: Launch) -> Launch {
        let text = |path: &PathBuf| path.to_str().expect("scratch paths are text").to_owned();
        launch
            .env("LD_PRELOAD", &text(&self.library))
            .env("FAULTS_DIR", &text(&self.data))
            .env("FAULTS_CONTROL", &text(&self.control_path()))
            .env("FAULTS_TRACE", &text(&self.trace))
    }

    fn control_path(&self) -> PathBuf {
        self.trace.with_file_name("control")
    }

    /// From now on these operations are counted anew, and those from the `from`-th on, before the `until`-th, fail.
    pub fn fail(&self, operations: Operations, error: DiskError, from: u64, until: u64) {
        // Nothing counts while the rest is written.
        self.set(0, 0);
        for (at, number) in [(4, 0), (5, 0), (1, error as u64), (2, from), (3, until)] {
            self.set(at, number);
        }
        self.set(0, operations as u64);
    }

    /// All operations fail.
    pub fn fail_all(&self, operations: Operations, error: DiskError) {
        self.fail(operations, error, 0, u64::MAX);
    }

    /// Operations are only counted.
    pub fn count(&self, operations: Operations) {
        self.fail(operations, DiskError::None, 0, 0);
    }

    /// Nothing fails any more.
    pub fn mend(&self) {
        self.set(0, 0);
    }

    /// How many operations there were, and how many of them failed.
    pub fn counted(&self) -> (u64, u64) {
        (self.get(4), self.get(5))
    }

    /// What was done to the disk, and said, so far.
    pub fn trace(&self) -> Vec<trace::Step> {
        trace::read(&std::fs::read(&self.trace).expect("there is a trace"), &self.data)
    }

    fn set(&self, at: u64, number: u64) {
        self.control.write_all_at(&number.to_ne_bytes(), at * 8).expect("the scratch directory can be written");
    }

    fn get(&self, at: u64) -> u64 {
        let mut number = [0; 8];
        self.control.read_exact_at(&mut number, at * 8).expect("the scratch directory can be read");
        u64::from_ne_bytes(number)
    }
}

/// Whether there is what it takes, and if not, what is missing.
pub fn available() -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Err("failing disks are made on Linux only".to_owned());
    }
    match Command::new("cc").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err("there is no C compiler called cc".to_owned()),
    }
}

//! A small disk of its own, to be filled.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A file system in memory of a few megabytes. Dropping it unmounts it.
pub struct SmallDisk {
    place: TempDir,
}

impl SmallDisk {
    /// One of so many bytes.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn mount(bytes: u64) -> Result<Self, String> {
        let place = tempfile::Builder::new().prefix("dct-disk-").tempdir().map_err(|error| error.to_string())?;
        let options = format!("size={bytes},mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "distchat-test"]).arg(place.path());
        match mount.output() {
            Ok(output) if output.status.success() => Ok(Self { place }),
            Ok(output) => Err(format!("no disk can be mounted: {}", String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) => Err(format!("no disk can be mounted: {error}")),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Fills it to the last byte.
    pub fn fill(&self) {
        let mut ballast = File::options().append(true).create(true).open(self.ballast()).expect("the disk can be used");
        for piece in [64 << 10, 4 << 10, 512, 1] {
            loop {
                match ballast.write(&vec![0xaa; piece]) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("the disk cannot be filled: {error}"),
                }
            }
        }
    }

    /// Takes away what it was filled with.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("the disk was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A program that is still there keeps it; it goes with that one.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

//! What happens where this machine cannot run a test: it says so and passes, except with `CI=true`, where it fails.

use std::{io::Write, sync::OnceLock, thread};

use crate::{Lan, Machine, SmallDisk, clock, faults};

/// A LAN of `hosts` machines, or nothing where network namespaces are not to be had.
pub fn lan_or_skip(hosts: usize) -> Option<Lan> {
    namespaces_or_skip().then(|| Lan::new(hosts))
}

/// A machine without any network but its own loopback interface, or nothing where namespaces are not to be had.
pub fn loopback_or_skip() -> Option<Lan> {
    namespaces_or_skip().then(Lan::single_loopback)
}

/// Whether programs can be given another clock; see [`crate::clock`].
pub fn clocks_or_skip() -> bool {
    allowed(&clock::available())
}

/// A disk of so many bytes, or nothing where none can be mounted.
pub fn small_disk_or_skip(bytes: u64) -> Option<SmallDisk> {
    let disk = SmallDisk::mount(bytes);
    allowed(&disk.as_ref().map(|_| ()).map_err(String::clone)).then(|| disk.ok()).flatten()
}

/// A disk of that machine that fails as it is told, or nothing where none can be made.
pub fn faulty_disk_or_skip(machine: &Machine) -> Option<faults::FaultyDisk> {
    allowed(&faults::available()).then(|| faults::FaultyDisk::new(machine))
}

/// Whether this process may make network namespaces and filter packets in them, and if not, why.
pub fn namespaces_available() -> Result<(), String> {
    static AVAILABLE: OnceLock<Result<(), String>> = OnceLock::new();
    AVAILABLE.get_or_init(crate::lan::probe).clone()
}

fn namespaces_or_skip() -> bool {
    allowed(&namespaces_available())
}

fn allowed(available: &Result<(), String>) -> bool {
    let Err(reason) = available else { return true };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI=true, and yet: {reason}");
    let test = thread::current().name().unwrap_or("a test").to_owned();
    // Not `eprintln!`: what a passing test prints that way is swallowed.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
    false
}

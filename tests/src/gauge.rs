//! What a running program takes of the machine, as the kernel tells it.

use std::{fs, process::Command, time::Duration};

/// The memory that a process holds, in bytes.
///
/// # Panics
/// If there is no such process.
pub fn rss(pid: u32) -> u64 {
    memory(pid, "VmRSS:")
}

/// The most memory that a process has held since its peak was last forgotten, be it given back or not, in bytes.
///
/// # Panics
/// If there is no such process.
pub fn peak(pid: u32) -> u64 {
    memory(pid, "VmHWM:")
}

/// From now on the peak of a process is that of what it holds now and of what comes.
///
/// # Panics
/// If there is no such process, or it is another user's.
pub fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the kernel forgets the peak of a process of ours");
}

fn memory(pid: u32, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("a process has memory");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("the kernel tells a number");
    kib * 1024
}

/// How long a process has kept processors busy.
///
/// # Panics
/// If there is no such process.
pub fn cpu(pid: u32) -> Duration {
    /// Of a second, on Linux everywhere.
    const TICKS: u64 = 100;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // Behind the program's name, which may be anything in parentheses, the 12th and 13th are its own and the kernel's.
    let (_, behind) = stat.rsplit_once(')').expect("a process has a name");
    let ticks = behind.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number"));
    Duration::from_millis(ticks.sum::<u64>() * 1000 / TICKS)
}

/// How many files, sockets and the like a process holds.
///
/// # Panics
/// If there is no such process.
pub fn fds(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the process runs").count()
}

/// Stops a process where it stands, as a laptop does that falls asleep.
pub fn stop(pid: u32) {
    signal(pid, "STOP");
}

/// Lets a stopped process go on.
pub fn resume(pid: u32) {
    signal(pid, "CONT");
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &pid.to_string()]).status().expect("kill is there");
    assert!(sent.success(), "no signal {name} for process {pid}");
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn what_was_given_back_is_in_the_peak_until_that_is_forgotten() {
        const MUCH: u64 = 64 << 20;
        let me = std::process::id();
        forget_peak(me);
        let before = peak(me);
        drop(black_box(vec![1_u8; MUCH as usize]));
        // Other tests take some as well, and give some back.
        assert!(peak(me) > before + MUCH / 2);
        forget_peak(me);
        assert!(peak(me) < before + MUCH / 2);
    }
}

//! What the kernel tells of processes and of the machine. Whatever has ended by the time it is looked at tells nothing.

use std::fs;

/// What a process takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// Memory, in bytes.
    pub(crate) rss: u64,
    /// Open files, sockets and the like.
    pub(crate) descriptors: u64,
    /// Processor time since its start, in seconds.
    pub(crate) cpu: f64,
}

/// What a process takes now.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Its name, in brackets, may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field)?.parse::<u64>().ok();
    // As `man proc` counts them the state is the third.
    let (user, system, pages) = (number(11)?, number(12)?, number(21)?);
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
    let page = rustix::param::page_size() as u64;
    // Of one that has ended and is not waited for yet there is nothing but the name.
    (pages > 0).then_some(Usage { rss: pages * page, descriptors, cpu: seconds(user + system) })
}

/// How the processors' time was spent since the machine started, in seconds: all of it, idle, and waiting for disks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Machine {
    pub(crate) all: f64,
    pub(crate) idle: f64,
    pub(crate) disk: f64,
}

/// How it was spent so far.
pub(crate) fn machine() -> Machine {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = stat.lines().next().unwrap_or_default();
    let times: Vec<f64> =
        first.split_whitespace().skip(1).take(8).filter_map(|time| time.parse().ok()).map(seconds).collect();
    let time = |at: usize| times.get(at).copied().unwrap_or_default();
    Machine { all: times.iter().sum(), idle: time(3), disk: time(4) }
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_takes_something_and_one_that_has_ended_nothing() {
        let usage = usage(std::process::id()).unwrap();
        assert!(usage.rss > 1 << 20 && usage.descriptors > 2, "{usage:?}");
        let mut short = std::process::Command::new("true").spawn().unwrap();
        short.wait().unwrap();
        assert_eq!(super::usage(short.id()), None);
        let machine = machine();
        assert!(machine.all > machine.idle && machine.idle > 0., "{machine:?}");
    }
}

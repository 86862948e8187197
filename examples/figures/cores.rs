//! Which cores a process may use: so that two hosts in one machine are as apart as two machines are.

use anyhow::Result;

/// A core for each of two hosts, and back to all of them when it is dropped.
pub(crate) struct Apart {
    #[cfg(target_os = "linux")]
    cores: linux::Cores,
}

impl Apart {
    /// Keeps this process to one core. `None` where there is no other one, or the system has no such thing.
    #[cfg(target_os = "linux")]
    pub(crate) fn new() -> Result<Option<Self>> {
        let Some(cores) = linux::Cores::find()? else { return Ok(None) };
        linux::keep(std::process::id(), &cores.own)?;
        Ok(Some(Self { cores }))
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn new() -> Result<Option<Self>> {
        Ok(None)
    }

    /// Keeps the other host's process to the other core, with all its threads.
    #[cfg_attr(not(target_os = "linux"), allow(unused_variables, clippy::unused_self))]
    pub(crate) fn other(&self, process: u32) -> Result<()> {
        #[cfg(target_os = "linux")]
        linux::keep(process, &self.cores.other)?;
        Ok(())
    }
}

#[cfg(target_os = "linux")]
impl Drop for Apart {
    fn drop(&mut self) {
        // What was allowed before is.
        let _ = linux::keep(std::process::id(), &self.cores.all);
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use anyhow::{Context, Result};
    use rustix::{
        io::Errno,
        process::Pid,
        thread::{CpuSet, sched_getaffinity, sched_setaffinity},
    };

    pub(super) struct Cores {
        pub(super) all: CpuSet,
        pub(super) own: CpuSet,
        pub(super) other: CpuSet,
    }

    impl Cores {
        pub(super) fn find() -> Result<Option<Self>> {
            let all = sched_getaffinity(None)?;
            let mut each = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).map(|core| {
                let mut only = CpuSet::new();
                only.set(core);
                only
            });
            Ok(each.next().zip(each.next()).map(|(own, other)| Self { all, own, other }))
        }
    }

    /// Keeps a process to those cores: the threads it has. Those that come are kept to where the one is that starts them.
    pub(super) fn keep(process: u32, cores: &CpuSet) -> Result<()> {
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            let thread = thread?.file_name().to_str().and_then(|id| id.parse().ok()).and_then(Pid::from_raw);
            match sched_setaffinity(Some(thread.context("a thread has a number")?), cores) {
                // It has ended meanwhile.
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

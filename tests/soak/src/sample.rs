//! How everything is, every few seconds; and the raw files that say so beside the report.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::{Context, Result};

use crate::{
    host::{Host, lacking},
    ledger::{Latency, Ledger},
    proc::{self, Machine, Usage},
    storm::{Played, Storm},
};

/// A host at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) at: f64,
    pub(crate) host: usize,
    pub(crate) pid: u32,
    /// None of a host without a process.
    pub(crate) usage: Option<Usage>,
    /// Messages that it holds, of all rooms, as it told last.
    pub(crate) held: u64,
    /// How many of all messages it lacks.
    pub(crate) lag: u64,
    /// Neither a fault nor what follows from one.
    pub(crate) well: bool,
}

/// The whole at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Total {
    pub(crate) at: f64,
    pub(crate) acknowledged: u64,
    /// Gossip that all hosts have received.
    pub(crate) gossip: u64,
    /// The share of the processors' time since the last one that was not idle, and that waited for disks.
    pub(crate) busy: f64,
    pub(crate) disk: f64,
}

/// The files of raw samples. They are written as it goes, so that there is something to look at whatever happens.
pub(crate) struct Recorder {
    samples: BufWriter<File>,
    totals: BufWriter<File>,
    latencies: BufWriter<File>,
    written_latencies: usize,
    before: Machine,
    pub(crate) all: Vec<Sample>,
    pub(crate) course: Vec<Total>,
}

impl Recorder {
    /// # Errors
    /// If the files cannot be made.
    pub(crate) fn new(directory: &Path) -> Result<Self> {
        let file = |name: &str, head: &str| {
            let path = directory.join(name);
            let file = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
            let mut file = BufWriter::new(file);
            writeln!(file, "{head}")?;
            anyhow::Ok(file)
        };
        Ok(Self {
            samples: file("samples.csv", "seconds,host,pid,rss_bytes,descriptors,cpu_seconds,held,lag,well")?,
            totals: file("totals.csv", "seconds,acknowledged,gossip_received,processors_busy,waiting_for_disks")?,
            latencies: file("latencies.csv", "seconds,latency_ms,undisturbed")?,
            written_latencies: 0,
            before: proc::machine(),
            all: Vec::new(),
            course: Vec::new(),
        })
    }

    /// Takes a sample of everything, and asks for what the next one is to tell.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn take(&mut self, storm: &Storm, ledger: &Ledger) -> Result<()> {
        let (at, union, well) = (ledger.now(), ledger.union(), storm.well());
        let mut gossip = 0;
        for (host, well) in storm.hosts.iter().zip(well) {
            let sample = Sample { well, ..sample(host, at, &union) };
            gossip += host.told().counters().get("gossip_received").copied().unwrap_or_default();
            let Usage { rss, descriptors, cpu } = sample.usage.unwrap_or_default();
            let Sample { host: number, pid, held, lag, .. } = sample;
            writeln!(self.samples, "{at:.1},{number},{pid},{rss},{descriptors},{cpu:.2},{held},{lag},{well}")?;
            self.all.push(sample);
            host.ask();
        }
        let now = proc::machine();
        let all = (now.all - self.before.all).max(0.01);
        let (idle, disk) = (now.idle - self.before.idle, now.disk - self.before.disk);
        self.before = now;
        let acknowledged = ledger.acknowledged();
        let total = Total { at, acknowledged, gossip, busy: 1. - (idle + disk) / all, disk: disk / all };
        writeln!(self.totals, "{at:.1},{acknowledged},{gossip},{:.3},{:.3}", total.busy, total.disk)?;
        self.course.push(total);
        self.write_latencies(&ledger.latencies(self.written_latencies))?;
        self.samples.flush()?;
        self.totals.flush()?;
        Ok(())
    }

    fn write_latencies(&mut self, new: &[Latency]) -> Result<()> {
        for Latency { at, seconds, undisturbed } in new {
            writeln!(self.latencies, "{at:.1},{:.1},{undisturbed}", seconds * 1000.)?;
        }
        self.written_latencies += new.len();
        self.latencies.flush()?;
        Ok(())
    }
}

fn sample(host: &Host, at: f64, union: &[u64]) -> Sample {
    let (pid, usage) = (host.pid().unwrap_or_default(), host.usage());
    let mut told = host.told();
    // Of one that does not answer the last answer counts, and what has been said since.
    let lag = told.lag.take().unwrap_or_else(|| lacking(union, &told.held));
    Sample { at, host: host.number, pid, usage, held: told.held.iter().sum(), lag, well: false }
}

/// Writes the faults that were played, one JSON object a line.
///
/// # Errors
/// If that cannot be written.
pub(crate) fn write_faults(directory: &Path, played: &[Played]) -> Result<()> {
    let mut file = BufWriter::new(File::create(directory.join("faults.jsonl"))?);
    for fault in played {
        serde_json::to_writer(&mut file, fault)?;
        writeln!(file)?;
    }
    file.flush()?;
    Ok(())
}

/// The sum over all hosts of what their networks have counted.
pub(crate) fn counters(hosts: &[Host]) -> BTreeMap<String, u64> {
    let mut sum = BTreeMap::new();
    for host in hosts {
        for (name, count) in host.told().counters() {
            *sum.entry(name).or_default() += count;
        }
    }
    sum
}

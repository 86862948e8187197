//! Many runs, on all cores, and what came of them.

use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{Failure, Fault, Hits, Plan, Report, Trace, run};

/// What many runs were like.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// How many runs kept all promises.
    pub runs: u64,
    /// How often each fault hit in them.
    pub hits: Hits,
    /// The longest that a healing took.
    pub slowest: Duration,
    /// The seed of that.
    pub slowest_seed: u64,
    /// All healings together.
    pub healing: Duration,
    /// The most hellos that one replica sent while it healed.
    pub hellos: u64,
    /// The most bytes that one liar cost one replica.
    pub liar_bytes: usize,
    /// How many inputs replicas handled.
    pub steps: u64,
    /// How many messages were in the transcripts.
    pub messages: u64,
}

impl Batch {
    /// Runs these seeds on so many threads. `done` is called after each run, with how many are done.
    ///
    /// # Errors
    /// The failure with the lowest seed among those found; the others are not run.
    pub fn run(seeds: Range<u64>, threads: usize, done: &(dyn Fn(u64) + Sync)) -> Result<Self, Failure> {
        let next = AtomicU64::new(seeds.start);
        let finished = AtomicU64::new(0);
        let batch = Mutex::new(Self::default());
        let failed: Mutex<Option<Failure>> = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds.end {
                            break;
                        }
                        match run(Plan::draw(seed), Trace::silent()) {
                            Ok(report) => batch.lock().unwrap_or_else(PoisonError::into_inner).add(seed, &report),
                            Err(failure) => {
                                next.store(seeds.end, Ordering::Relaxed);
                                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                                if failed.as_ref().is_none_or(|other| failure.seed < other.seed) {
                                    *failed = Some(failure);
                                }
                                break;
                            }
                        }
                        done(finished.fetch_add(1, Ordering::Relaxed) + 1);
                    }
                });
            }
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(failure) => Err(failure),
            None => Ok(batch.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn add(&mut self, seed: u64, report: &Report) {
        self.runs += 1;
        self.hits.add(&report.hits);
        if report.healed_in > self.slowest {
            (self.slowest, self.slowest_seed) = (report.healed_in, seed);
        }
        self.healing += report.healed_in;
        self.hellos = self.hellos.max(report.hellos);
        self.liar_bytes = self.liar_bytes.max(report.liar_bytes);
        self.steps += report.steps;
        self.messages += report.messages as u64;
    }

    /// The faults that never hit.
    pub fn missed(&self) -> Vec<Fault> {
        self.hits.missed()
    }
}

//! Everything that anybody has said or seen: what there is to lose.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// What the text of a message begins with that is there to be timed; its number follows.
pub(crate) const PROBE: &str = "soak probe ";

/// A message's id.
pub(crate) type Id = [u8; 32];

/// A message that some host has told of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) room: u8,
    /// Its author has said that it is on disk.
    pub(crate) acknowledged: bool,
}

/// How long it took until one host saw a probe of another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Latency {
    /// When it was said, in seconds since the beginning.
    pub(crate) at: f64,
    pub(crate) seconds: f64,
    /// Neither of them was near a fault.
    pub(crate) undisturbed: bool,
}

#[derive(Debug)]
struct Probe {
    at: f64,
    /// Which hosts were well when it was said.
    well: Vec<bool>,
}

#[derive(Debug, Default)]
struct Inner {
    told: HashMap<Id, Told>,
    /// How many of each room.
    union: Vec<u64>,
    acknowledged: u64,
    probes: Vec<Probe>,
    latencies: Vec<Latency>,
}

/// The union of what all hosts hold, as far as they have told of it. It grows by 40 bytes a message, and is the only thing
/// here that grows with them.
#[derive(Debug)]
pub(crate) struct Ledger {
    began: Instant,
    inner: Mutex<Inner>,
}

impl Ledger {
    pub(crate) fn new(rooms: usize) -> Self {
        Self { began: Instant::now(), inner: Mutex::new(Inner { union: vec![0; rooms], ..Inner::default() }) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Numbers and sets are whole at any moment.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seconds since the beginning.
    pub(crate) fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// A host has shown a message; its `own` ones it has on disk.
    pub(crate) fn heard(&self, host: usize, room: usize, id: Id, own: bool, text: &str) {
        let now = self.now();
        let mut inner = self.inner();
        let inner = &mut *inner;
        let told = inner.told.entry(id).or_insert_with(|| {
            if let Some(count) = inner.union.get_mut(room) {
                *count += 1;
            }
            Told { room: room as u8, acknowledged: false }
        });
        if own {
            inner.acknowledged += u64::from(!told.acknowledged);
            told.acknowledged = true;
            return;
        }
        if let Some(probe) = text.strip_prefix(PROBE).and_then(|number| inner.probes.get(number.parse::<usize>().ok()?))
        {
            let undisturbed = probe.well.get(host).copied().unwrap_or_default();
            inner.latencies.push(Latency { at: probe.at, seconds: now - probe.at, undisturbed });
        }
    }

    /// A message to be timed, that a host is about to say; `well` are the hosts that no fault concerns.
    pub(crate) fn probe(&self, from: usize, mut well: Vec<bool>) -> String {
        if !well.get(from).copied().unwrap_or_default() {
            well.fill(false);
        }
        let at = self.now();
        let mut inner = self.inner();
        inner.probes.push(Probe { at, well });
        format!("{PROBE}{}", inner.probes.len() - 1)
    }

    /// How many messages there are in each room.
    pub(crate) fn union(&self) -> Vec<u64> {
        self.inner().union.clone()
    }

    /// How many have been acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.inner().acknowledged
    }

    /// The latencies measured since so many.
    pub(crate) fn latencies(&self, since: usize) -> Vec<Latency> {
        self.inner().latencies.get(since..).unwrap_or_default().to_vec()
    }

    /// What must not be lost.
    pub(crate) fn acknowledged_ids(&self) -> Vec<(Id, u8)> {
        self.inner().told.iter().filter(|(_, told)| told.acknowledged).map(|(id, told)| (*id, told.room)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_once_whoever_tells_of_it_and_is_acknowledged_by_its_author() {
        let ledger = Ledger::new(2);
        for host in [1, 2, 1] {
            ledger.heard(host, 1, [7; 32], false, "hello");
        }
        assert_eq!((ledger.union(), ledger.acknowledged()), (vec![0, 1], 0));
        for _ in 0..2 {
            ledger.heard(0, 1, [7; 32], true, "hello");
        }
        assert_eq!((ledger.union(), ledger.acknowledged()), (vec![0, 1], 1));
        assert_eq!(ledger.acknowledged_ids(), [([7; 32], 1)]);
    }

    #[test]
    fn a_probe_is_timed_at_those_who_see_it() {
        let ledger = Ledger::new(1);
        let text = ledger.probe(0, vec![true, true, false]);
        ledger.heard(0, 0, [1; 32], true, &text);
        ledger.heard(1, 0, [1; 32], false, &text);
        ledger.heard(2, 0, [1; 32], false, &text);
        ledger.heard(2, 0, [2; 32], false, "soak probe 77");
        let measured = ledger.latencies(0);
        assert_eq!(measured.iter().map(|one| one.undisturbed).collect::<Vec<_>>(), [true, false]);
        assert_eq!(ledger.latencies(2), []);
        let text = ledger.probe(2, vec![true, true, false]);
        ledger.heard(1, 0, [3; 32], false, &text);
        assert!(!ledger.latencies(2)[0].undisturbed, "its author was not well");
    }
}

//! Who says what, where, and how much of it at once.

use distchat_tests::transcript::texts;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{ledger::Ledger, storm::Storm};

/// How often somebody is looked for who can speak before it is left for later.
const TRIES: usize = 8;
/// Of so many bursts one is a paste, of as many lines as this at most.
const PASTES: (u32, usize) = (20, 120);

/// Draws speakers, rooms and lines.
pub(crate) struct Talk {
    chance: StdRng,
    rooms: usize,
}

impl Talk {
    pub(crate) fn new(seed: u64, rooms: usize) -> Self {
        Self { chance: StdRng::seed_from_u64(seed ^ 0x7461_6c6b), rooms }
    }

    /// Has hosts say lines until so many are acknowledged or on their way; what was on its way to a process that was killed
    /// is not any more, and is said by another.
    pub(crate) fn say_until(&mut self, storm: &Storm, due: u64, acknowledged: u64) {
        let waiting: u64 = storm.hosts.iter().map(crate::host::Host::outstanding).sum();
        let mut missing = due.saturating_sub(acknowledged + waiting);
        while missing > 0 {
            let Some(host) = self.speaker(storm) else { return };
            let room = self.chance.random_range(0..self.rooms);
            // All of it, though it may be more than is due: what comes next waits the longer.
            let burst = self.burst();
            let lines: Vec<_> = (0..burst).map(|_| self.line()).collect();
            if !storm.hosts[host].say(room, lines) {
                // It does not keep up; so the rest waits.
                return;
            }
            missing = missing.saturating_sub(burst as u64);
        }
    }

    /// Has somebody say one line.
    pub(crate) fn say_one(&mut self, storm: &Storm) {
        if let Some(host) = self.speaker(storm) {
            let (room, line) = (self.chance.random_range(0..self.rooms), self.line());
            storm.hosts[host].say(room, [line]);
        }
    }

    /// Has somebody say something that is timed.
    pub(crate) fn probe(&mut self, storm: &Storm, ledger: &Ledger) {
        if let Some(host) = self.speaker(storm) {
            let room = self.chance.random_range(0..self.rooms);
            let text = ledger.probe(host, storm.well());
            storm.hosts[host].say(room, [&*text]);
        }
    }

    /// Somebody whose program runs; on a computer that sleeps nobody types.
    fn speaker(&mut self, storm: &Storm) -> Option<usize> {
        (0..TRIES)
            .map(|_| self.chance.random_range(0..storm.hosts.len()))
            .find(|&host| storm.hosts[host].is_up() && !storm.is_paused(host))
    }

    /// How many lines somebody says at once: mostly one or a few, at times a paste.
    fn burst(&mut self) -> usize {
        if self.chance.random_ratio(1, PASTES.0) {
            return self.chance.random_range(10..=PASTES.1);
        }
        if self.chance.random_bool(0.5) { 1 } else { self.chance.random_range(2..=8) }
    }

    fn line(&mut self) -> &'static str {
        let texts = texts();
        texts[self.chance.random_range(0..texts.len())]
    }
}

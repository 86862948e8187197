//! The network between hosts: each direction of each pair by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    faults::{Fault, Hits},
    plan::Weather,
    random::Random,
};

/// The longest that a packet is under way.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(10);

/// What is broken, and what is under way.
pub(crate) struct Network {
    weather: Weather,
    cuts: BTreeSet<(usize, usize)>,
    random: Random,
    /// When the last packet of each direction arrives.
    last_arrival: BTreeMap<(usize, usize), Duration>,
}

impl Network {
    /// A network in that weather, with nothing cut.
    pub(crate) fn new(weather: Weather, random: Random) -> Self {
        Self { weather, cuts: BTreeSet::new(), random, last_arrival: BTreeMap::new() }
    }

    /// Packets from the one to the other vanish from now on.
    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.cuts.insert((from, to));
    }

    /// They no longer do.
    pub(crate) fn mend(&mut self, from: usize, to: usize) {
        self.cuts.remove(&(from, to));
    }

    /// From now on nothing goes wrong.
    pub(crate) fn repair(&mut self) {
        self.cuts.clear();
        self.weather = Weather::FAIR;
    }

    /// All cuts are gone.
    pub(crate) fn mend_all(&mut self) {
        self.cuts.clear();
    }

    /// Whether both can hear each other.
    pub(crate) fn joins(&self, a: usize, b: usize) -> bool {
        !self.cuts.contains(&(a, b)) && !self.cuts.contains(&(b, a))
    }

    /// When a packet that is sent now arrives: not at all, once, or twice.
    pub(crate) fn send(&mut self, now: Duration, from: usize, to: usize, hits: &mut Hits) -> [Option<Duration>; 2] {
        if self.cuts.contains(&(from, to)) {
            hits.hit(if self.cuts.contains(&(to, from)) { Fault::Partitioned } else { Fault::OneWay });
            return [None; 2];
        }
        if self.random.chance(self.weather.loss) {
            hits.hit(Fault::Lost);
            return [None; 2];
        }
        let first = now + self.under_way(hits);
        let last = self.last_arrival.entry((from, to)).or_default();
        if first < *last {
            hits.hit(Fault::Reordered);
        }
        *last = first.max(*last);
        let again = self.random.chance(self.weather.duplication).then(|| {
            hits.hit(Fault::Duplicated);
            now + self.under_way(hits)
        });
        [Some(first), again]
    }

    fn under_way(&mut self, hits: &mut Hits) -> Duration {
        if self.random.chance(self.weather.delay) {
            let delay = MAX_DELAY.mul_f64(self.random.share());
            if delay > Duration::from_secs(1) {
                hits.hit(Fault::Delayed);
            }
            return delay;
        }
        self.weather.latency.mul_f64(0.5 + self.random.share() / 2.)
    }
}

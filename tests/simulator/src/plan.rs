//! What a run is made of, drawn from its seed: who takes part, what the network is like, and what happens when.

use std::{collections::BTreeSet, time::Duration};

use crate::random::Random;

const SECOND: Duration = Duration::from_secs(1);

/// What happens to the hosts of a run, or what they do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A host's user says so many things at once, each about so long.
    Say(usize, usize, usize),
    /// Packets from the first to the second vanish.
    Cut(usize, usize),
    /// They no longer do.
    Mend(usize, usize),
    /// All cuts are mended.
    MendAll,
    /// The power is cut; it comes back after this time.
    Crash(usize, Duration),
    /// The room's task panics.
    CrashTask(usize),
    /// A copy of the disk is put aside.
    Copy(usize),
    /// The host goes down, the copy replaces its disk, and it comes up again after this time.
    Restore(usize, Duration),
    /// A host comes that was not there before.
    Join(usize),
    /// A host leaves and takes its disk with it.
    Leave(usize),
    /// The clock is set that many milliseconds ahead of where it is.
    SetClock(usize, i64),
    /// The disk is slow for so long.
    SlowDisk(usize, Duration),
}

/// What the network does to packets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weather {
    /// How likely one vanishes.
    pub loss: f64,
    /// How likely it comes twice.
    pub duplication: f64,
    /// How likely it takes up to 10 seconds.
    pub delay: f64,
    /// How long it takes otherwise, at most.
    pub latency: Duration,
}

impl Weather {
    /// A LAN on a good day.
    pub const FAIR: Self = Self { loss: 0., duplication: 0., delay: 0., latency: Duration::from_millis(5) };
}

/// One host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HostPlan {
    /// Whether it is there from the start.
    pub present: bool,
    /// How far its clock is ahead at the start, in milliseconds.
    pub clock_ms: i64,
    /// How many milliseconds its clock gains in 1,000 seconds.
    pub drift: i64,
    /// How long its disk takes for a commit, usually.
    pub disk: Duration,
    /// Whether it lies.
    pub liar: bool,
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What it was drawn from.
    pub seed: u64,
    /// The hosts, the liars last.
    pub hosts: Vec<HostPlan>,
    /// Who can reach whom, the lower number first.
    pub edges: BTreeSet<(usize, usize)>,
    /// The network until the repair.
    pub weather: Weather,
    /// What happens when, in order.
    pub actions: Vec<(Duration, Action)>,
    /// When everything that is broken gets repaired.
    pub repair: Duration,
}

impl Plan {
    /// The run of that seed.
    pub fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let correct = match random.below(100) {
            0..75 => random.between(3, 6),
            75..93 => random.between(7, 12),
            93..99 => random.between(13, 25),
            _ => random.between(26, 50),
        } as usize;
        let liars = if random.chance(0.5) { random.below(correct / 2 + 1) } else { 0 };
        let mut hosts: Vec<HostPlan> = (0..correct + liars).map(|n| host(&mut random, n >= correct)).collect();
        let edges = edges(&mut random, correct, liars);
        let weather = weather(&mut random);
        let repair = SECOND * u32::try_from(random.between(20, if correct > 12 { 60 } else { 150 })).unwrap_or(60);
        let mut actions = actions(&mut random, correct, &hosts, &edges, repair);
        actions.sort_by_key(|(at, _)| *at);
        for (_, action) in &actions {
            if let Action::Join(host) = action {
                hosts[*host].present = false;
            }
        }
        Self { seed, hosts, edges, weather, actions, repair }
    }

    /// How many hosts tell the truth. They come first.
    pub fn correct(&self) -> usize {
        self.hosts.iter().filter(|host| !host.liar).count()
    }
}

fn host(random: &mut Random, liar: bool) -> HostPlan {
    const HOUR_MS: u64 = 3_600_000;
    let sign = if random.chance(0.5) { 1 } else { -1 };
    let clock_ms = match random.below(10) {
        0..6 => random.between(0, 50),
        6..8 => random.between(0, 60_000),
        8 => random.between(0, 12 * HOUR_MS),
        _ => random.between(0, 400 * 24 * HOUR_MS),
    };
    let drift = if random.chance(0.3) { random.between(0, 50_000) as i64 * sign } else { 0 };
    let disk = random.time_up_to(Duration::from_millis(300));
    HostPlan { present: true, clock_ms: clock_ms as i64 * sign, drift, disk, liar }
}

/// A connected graph of those who tell the truth; liars reach whom they like.
fn edges(random: &mut Random, correct: usize, liars: usize) -> BTreeSet<(usize, usize)> {
    let mut edges = BTreeSet::new();
    for n in 1..correct {
        edges.insert((random.below(n), n));
    }
    let density = match random.below(3) {
        0 => 1.,
        1 => 0.,
        _ => random.share(),
    };
    // Beyond some size a full mesh only costs time.
    let density = density * (16. / correct as f64).min(1.);
    for a in 0..correct {
        for b in a + 1..correct {
            if random.chance(density) {
                edges.insert((a, b));
            }
        }
    }
    for liar in correct..correct + liars {
        let reach = if random.chance(0.5) { 1. } else { 0.5 };
        for other in 0..liar {
            if random.chance(reach) {
                edges.insert((other, liar));
            }
        }
    }
    edges
}

fn weather(random: &mut Random) -> Weather {
    let mut sometimes = |probability: f64, most: f64| {
        let value = random.share() * most;
        if random.chance(probability) { value } else { 0. }
    };
    let (loss, duplication, delay) = (sometimes(0.5, 0.3), sometimes(0.5, 0.2), sometimes(0.4, 0.2));
    Weather { loss, duplication, delay, latency: random.time_up_to(Duration::from_millis(300)) }
}

/// What happens. Each run has its own mix: some kinds of trouble often, some not at all.
fn actions(
    random: &mut Random,
    correct: usize,
    hosts: &[HostPlan],
    edges: &BTreeSet<(usize, usize)>,
    repair: Duration,
) -> Vec<(Duration, Action)> {
    let mut actions = Vec::new();
    let any_time = |random: &mut Random| repair.mul_f64(random.share());
    for _ in 0..random.between(5, 40) {
        let (lines, length) = match random.below(40) {
            0..32 => (random.between(1, 3), random.between(0, 100)),
            32..39 => (random.between(5, 30), random.between(0, 300)),
            _ => (random.between(30, 150), 10),
        };
        let (at, host) = (any_time(random), random.below(correct));
        actions.push((at, Action::Say(host, lines as usize, length as usize)));
        if random.chance(0.02) {
            // The worst moment: it is said, and may or may not be on disk.
            let moment = random.time_up_to(SECOND);
            actions.push((at + moment, Action::Crash(host, SECOND)));
        }
    }
    if correct <= 6 && random.chance(0.03) {
        // More than a page.
        for _ in 0..random.between(1, 4) {
            actions.push((any_time(random), Action::Say(random.below(correct), 90, 15_000)));
        }
    }
    let mut some = |probability: f64, most: u64, make: &mut dyn FnMut(&mut Random, Duration, &mut Vec<_>)| {
        if random.chance(probability) {
            for _ in 0..random.between(1, most) {
                let at = any_time(random);
                make(random, at, &mut actions);
            }
        }
    };
    some(0.4, 4, &mut |random, at, actions| {
        let until = at + random.time_up_to(SECOND * 60);
        let side: Vec<bool> = (0..hosts.len()).map(|_| random.chance(0.5)).collect();
        let both_ways = random.chance(0.6);
        for (a, b) in edges {
            let cuts = match (side[*a], side[*b]) {
                (true, false) => [Some((*a, *b)), both_ways.then_some((*b, *a))],
                (false, true) => [Some((*b, *a)), both_ways.then_some((*a, *b))],
                _ => [None, None],
            };
            for (from, to) in cuts.into_iter().flatten() {
                actions.push((at, Action::Cut(from, to)));
                actions.push((until, Action::Mend(from, to)));
            }
        }
    });
    let downtime = |random: &mut Random| random.time_up_to(SECOND * 40);
    some(0.4, 6, &mut |random, at, actions| {
        actions.push((at, Action::Crash(random.below(correct), downtime(random))));
    });
    some(0.3, 5, &mut |random, at, actions| actions.push((at, Action::CrashTask(random.below(correct)))));
    some(0.1, 2, &mut |random, at, actions| {
        let host = random.below(correct);
        for n in 0..random.between(5, 8) {
            actions.push((at + Duration::from_millis(200) * n as u32, Action::CrashTask(host)));
        }
    });
    some(0.25, 2, &mut |random, at, actions| {
        let host = random.below(correct);
        actions.push((at, Action::Copy(host)));
        actions.push((at + (repair - at).mul_f64(random.share()), Action::Restore(host, downtime(random))));
    });
    some(0.2, 3, &mut |random, at, actions| {
        let ahead = random.between(0, 7_200_000) as i64 - 3_600_000;
        actions.push((at, Action::SetClock(random.below(correct), ahead)));
    });
    some(0.3, 3, &mut |random, at, actions| {
        actions.push((at, Action::SlowDisk(random.below(correct), random.time_up_to(SECOND * 30))));
    });
    some(0.25, 2, &mut |random, at, actions| actions.push((at, Action::Join(random.below(correct)))));
    // A quorum is not needed, but somebody has to stay.
    some(0.2, (correct as u64 - 2).min(3), &mut |random, at, actions| {
        actions.push((at, Action::Leave(random.below(correct))));
    });
    actions
}

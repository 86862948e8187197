//! What is to happen when: drawn from the seed before anything starts.
//!
//! Three things hold of every plan. A host has one fault of its own at a time, and at most a third of the hosts have one,
//! so that there is always a LAN to come back to; a split concerns all of them and comes on top. Whatever breaks is mended
//! before the storm is over. And the first hosts, a fifth of them, never lose their process: they are those whose memory
//! and descriptors can be followed from the beginning to the end.

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::intruder::Act;

/// How often each kind of fault comes, in a deck that is dealt again and again.
const DECK: [(Kind, usize); 9] = [
    (Kind::Kill, 5),
    (Kind::Stop, 3),
    (Kind::Cut, 3),
    (Kind::Deaf, 2),
    (Kind::Mute, 2),
    (Kind::Loss, 3),
    (Kind::Split, 1),
    (Kind::Clock, 2),
    (Kind::Intruder, 2),
];
/// How wrong a clock can be: by libfaketime's offsets.
const CLOCKS: [&str; 6] = ["-90s", "+90s", "-3h", "+3h", "-400d", "+400d"];
/// The shortest and the longest fault, in seconds; of a short storm a part of it.
const FAULT: (f64, f64) = (3., 45.);
/// How long it stays as lively or as quiet as it is, in seconds.
const STRETCH: (f64, f64) = (4., 20.);

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The process is killed and started again later.
    Kill,
    /// The process is stopped where it stands and goes on later, as a laptop that sleeps.
    Stop,
    /// The cable is pulled.
    Cut,
    /// Nothing comes in any more.
    Deaf,
    /// Nothing goes out any more.
    Mute,
    /// A part of what comes in is lost.
    Loss,
    /// Two halves of the LAN do not hear each other.
    Split,
    /// The process is killed and started again with a wrong clock, and later once more with the right one.
    Clock,
    /// Somebody hostile comes, and goes again.
    Intruder,
}

impl Kind {
    /// As the report calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "killed, started again",
            Self::Stop => "stopped for a while",
            Self::Cut => "cable pulled",
            Self::Deaf => "nothing comes in",
            Self::Mute => "nothing goes out",
            Self::Loss => "packets lost",
            Self::Split => "LAN split",
            Self::Clock => "started with a wrong clock",
            Self::Intruder => "hostile client",
        }
    }

    /// Whether the host has another process afterwards.
    fn ends_the_process(self) -> bool {
        matches!(self, Self::Kill | Self::Clock)
    }
}

/// One of them, with all that was drawn for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    Kill,
    Stop,
    Cut,
    Deaf,
    Mute,
    Loss {
        percent: u8,
    },
    /// Those on one side.
    Split {
        left: Vec<usize>,
    },
    Clock {
        offset: &'static str,
    },
    Intruder {
        act: Act,
    },
}

/// A fault and its time, in seconds from the beginning of the storm.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Planned {
    pub(crate) at: f64,
    pub(crate) until: f64,
    pub(crate) kind: Kind,
    /// Whom it befalls; of a split the first of one side.
    pub(crate) host: usize,
    pub(crate) fault: Fault,
}

/// What there is to plan for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    pub(crate) hosts: usize,
    /// How long the storm lasts, in seconds.
    pub(crate) storm: f64,
    /// How often something breaks, in seconds.
    pub(crate) every: f64,
    /// Whether programs can be given a wrong clock.
    pub(crate) clocks: bool,
}

/// The storm.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) faults: Vec<Planned>,
    /// Until when it is how lively, in seconds, with how much has been said by then.
    stretches: Vec<(f64, f64)>,
}

/// How many hosts keep their process from the beginning to the end.
pub(crate) fn steady(hosts: usize) -> usize {
    hosts.div_ceil(5)
}

impl Plan {
    pub(crate) fn draw(seed: u64, conditions: &Conditions) -> Self {
        Self { faults: faults(seed, conditions), stretches: stretches(seed, conditions.storm) }
    }

    /// Which part of all messages is to be said by then.
    pub(crate) fn said_by(&self, time: f64) -> f64 {
        let all = self.stretches.last().map_or(1., |(_, said)| *said);
        let mut before = (0., 0.);
        for &(until, said) in &self.stretches {
            if time < until {
                let part = (time - before.0) / (until - before.0);
                return (before.1 + part.max(0.) * (said - before.1)) / all;
            }
            before = (until, said);
        }
        1.
    }
}

fn stream(seed: u64, purpose: u8) -> StdRng {
    let mut bytes = [purpose; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    StdRng::from_seed(bytes)
}

/// Lively and quiet times in turn, with all that is said by the end of each.
fn stretches(seed: u64, storm: f64) -> Vec<(f64, f64)> {
    let mut chance = stream(seed, 1);
    let (mut time, mut said) = (0., 0.);
    let mut stretches = Vec::new();
    while time < storm {
        let length = chance.random_range(STRETCH.0..STRETCH.1).min(storm / 6.).min(storm - time).max(0.01);
        let lively = match chance.random_range(0..4) {
            0 => 0.15,
            1 => 2.5,
            _ => 1.,
        };
        time += length;
        said += lively * length;
        stretches.push((time, said));
    }
    stretches
}

fn faults(seed: u64, conditions: &Conditions) -> Vec<Planned> {
    let &Conditions { hosts, storm, every, clocks } = conditions;
    let mut chance = stream(seed, 2);
    let (shortest, longest) = (FAULT.0.min(storm / 20.), FAULT.1.min(storm / 4.));
    let mut faults: Vec<Planned> = Vec::new();
    let mut deck = Vec::new();
    let mut at = every.min(storm / 20.);
    while at + longest < storm {
        if deck.is_empty() {
            deck = DECK.iter().flat_map(|&(kind, count)| vec![kind; count]).collect();
            deck.shuffle(&mut chance);
        }
        let kind = deck.pop().unwrap_or(Kind::Kill);
        let until = at + chance.random_range(shortest..=longest);
        let now = at;
        at += every * chance.random_range(0.5..1.5);
        if kind == Kind::Clock && !clocks {
            continue;
        }
        let under_way = |fault: &&Planned| fault.until > now;
        let splits = faults.iter().filter(under_way).any(|fault| fault.kind == Kind::Split);
        let busy: Vec<usize> =
            faults.iter().filter(under_way).filter(|fault| fault.kind != Kind::Split).map(|fault| fault.host).collect();
        let free: Vec<usize> = (if kind.ends_the_process() { steady(hosts) } else { 0 }..hosts)
            .filter(|host| !busy.contains(host))
            .collect();
        if busy.len() > hosts / 3 || free.is_empty() || (kind == Kind::Split && splits) {
            continue;
        }
        let host = free[chance.random_range(0..free.len())];
        let (host, fault) = drawn(kind, host, hosts, &mut chance);
        faults.push(Planned { at: now, until, kind, host, fault });
    }
    faults
}

fn drawn(kind: Kind, host: usize, hosts: usize, chance: &mut StdRng) -> (usize, Fault) {
    let fault = match kind {
        Kind::Kill => Fault::Kill,
        Kind::Stop => Fault::Stop,
        Kind::Cut => Fault::Cut,
        Kind::Deaf => Fault::Deaf,
        Kind::Mute => Fault::Mute,
        Kind::Loss => Fault::Loss { percent: chance.random_range(5..=30) },
        Kind::Clock => Fault::Clock { offset: CLOCKS[chance.random_range(0..CLOCKS.len())] },
        Kind::Intruder => Fault::Intruder { act: Act::ALL[chance.random_range(0..Act::ALL.len())] },
        Kind::Split => {
            let mut all: Vec<usize> = (0..hosts).collect();
            all.shuffle(chance);
            all.truncate(chance.random_range(1..=(hosts / 2).max(1)));
            return (all[0], Fault::Split { left: all });
        }
    };
    (host, fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Conditions = Conditions { hosts: 25, storm: 3600., every: 8., clocks: true };

    #[test]
    fn a_seed_is_a_plan() {
        assert_eq!(Plan::draw(7, &HOUR), Plan::draw(7, &HOUR));
        assert_ne!(Plan::draw(7, &HOUR), Plan::draw(8, &HOUR));
    }

    #[test]
    fn an_hour_has_hundreds_of_faults_of_every_kind_and_all_are_mended() {
        let plan = Plan::draw(1, &HOUR);
        assert!(plan.faults.len() > 300, "{}", plan.faults.len());
        for (kind, _) in DECK {
            let times = plan.faults.iter().filter(|fault| fault.kind == kind).count();
            assert!(times > 5, "{kind:?} came {times} times");
        }
        assert!(plan.faults.iter().all(|fault| fault.at < fault.until && fault.until < HOUR.storm));
    }

    #[test]
    fn a_host_has_one_fault_at_a_time_and_the_steady_ones_keep_their_process() {
        for (seed, hosts, storm, every) in [(1, 25, 3600., 2.), (2, 3, 20., 1.), (3, 2, 60., 3.), (4, 1, 60., 3.)] {
            let plan = Plan::draw(seed, &Conditions { hosts, storm, every, clocks: true });
            let own: Vec<_> = plan.faults.iter().filter(|fault| fault.kind != Kind::Split).collect();
            for (number, one) in own.iter().enumerate() {
                assert!(one.host >= steady(hosts) || !one.kind.ends_the_process());
                let clash = own[number + 1..].iter().find(|other| other.host == one.host && other.at < one.until);
                assert_eq!(clash, None, "during {one:?}");
            }
        }
    }

    #[test]
    fn without_wrong_clocks_the_rest_is_left() {
        let plan = Plan::draw(1, &Conditions { clocks: false, ..HOUR });
        assert!(plan.faults.len() > 300 && plan.faults.iter().all(|fault| fault.kind != Kind::Clock));
    }

    #[test]
    fn all_is_said_in_the_end_and_not_evenly() {
        let plan = Plan::draw(1, &HOUR);
        let by: Vec<f64> = (0..=360).map(|ten| plan.said_by(f64::from(ten) * 10.)).collect();
        assert!(by[0] == 0. && by.is_sorted() && by[360] == 1. && plan.said_by(4000.) == 1.);
        let most = by.windows(2).map(|pair| pair[1] - pair[0]).fold(0., f64::max);
        assert!(most > 1.5 / 360., "never more than {most} in ten seconds");
    }
}

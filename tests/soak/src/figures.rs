//! What the samples amount to, and whether what was asked of the hosts holds.

use std::collections::BTreeMap;

use crate::{
    args::Args,
    ledger::Latency,
    plan::{Kind, steady},
    run::Outcome,
    sample::Sample,
};

/// At most so many gossip messages a delivered message on a quiet mesh.
const GOSSIP: f64 = 12.;
/// What a held message may cost in memory: its place in the index (58 bytes, see BENCHMARKS.md), and as much again for what
/// the allocator does not give back.
pub(crate) const BYTES_A_MESSAGE: u64 = 116;
/// How much memory may grow besides, from the second quarter to the last: a part of it, and some.
const MEMORY: (f64, u64) = (0.10, 8 << 20);
/// The same for descriptors. A hostile client at the moment of a sample makes some.
const DESCRIPTORS: (f64, u64) = (0.10, 16);
/// A storm shorter than that says nothing of what grows, in seconds: at first everything does.
const LONG_ENOUGH: f64 = 600.;

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Holds,
    Fails,
    /// The run was too short, or ended too early. Of a run that is to show it, that is no excuse.
    Unknown,
}

impl Verdict {
    fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }
}

/// Something that is asked of the hosts.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) name: &'static str,
    pub(crate) wanted: String,
    pub(crate) found: String,
    pub(crate) verdict: Verdict,
}

/// The middle and the worst of something.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spread {
    pub(crate) count: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |part| quantile(&values, part);
        Self { count: values.len(), p50: at(0.5), p99: at(0.99), max: at(1.) }
    }
}

/// What that part of sorted values does not exceed; 0 of none.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or_default()
}

/// Something over the four quarters of the storm: the median of the hosts that kept their process, and of all, where there
/// are samples.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quarters {
    pub(crate) steady: [Option<f64>; 4],
    pub(crate) all: [Option<f64>; 4],
}

/// All figures.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Latencies where neither host was near a fault, and all of them, in seconds.
    pub(crate) undisturbed: Spread,
    pub(crate) latency: Spread,
    /// Messages lacked by hosts that no fault concerned, and by all.
    pub(crate) lag_well: Spread,
    pub(crate) lag: Spread,
    pub(crate) rss: Quarters,
    /// Without what the messages held may cost.
    pub(crate) net_rss: Quarters,
    /// By how many bytes an hour the memory of hosts that kept their process grew besides.
    pub(crate) slope: f64,
    pub(crate) descriptors: Quarters,
    pub(crate) faults: BTreeMap<Kind, (usize, f64)>,
    /// Messages a second in the storm.
    pub(crate) rate: f64,
    /// Gossip messages a delivered one in the storm, where a frame may hold many.
    pub(crate) storm_gossip: f64,
    pub(crate) busy: Spread,
    pub(crate) disk: Spread,
    pub(crate) bars: Vec<Bar>,
    /// Whether it was to be long enough to show everything, or was.
    full: bool,
}

impl Figures {
    pub(crate) fn of(args: &Args, outcome: &Outcome) -> Self {
        let storm = outcome.storm;
        let seconds = storm.1 - storm.0;
        let in_storm: Vec<&Sample> = outcome.samples.iter().filter(|s| s.at >= storm.0 && s.at < storm.1).collect();
        let quarters = |value: fn(&Sample) -> Option<f64>| quarters(&in_storm, storm, steady(args.hosts), value);
        let latency = |chosen: fn(&&Latency) -> bool| {
            Spread::of(outcome.latencies.iter().filter(chosen).map(|latency| latency.seconds))
        };
        let mut faults = BTreeMap::<Kind, (usize, f64)>::new();
        for played in &outcome.played {
            let (count, sum) = faults.entry(played.kind).or_default();
            *count += 1;
            *sum += played.ended - played.began;
        }
        let course = || outcome.course.iter().filter(|total| total.at >= storm.0 && total.at < storm.1);
        let (first, last) =
            (course().next().copied().unwrap_or_default(), course().next_back().copied().unwrap_or_default());
        let said = last.acknowledged - first.acknowledged;
        let delivered = said * (args.hosts as u64 - 1);
        let mut figures = Self {
            undisturbed: latency(|latency| latency.undisturbed),
            latency: latency(|_| true),
            lag_well: Spread::of(in_storm.iter().filter(|sample| sample.well).map(|sample| sample.lag as f64)),
            lag: Spread::of(in_storm.iter().map(|sample| sample.lag as f64)),
            rss: quarters(|sample| sample.usage.map(|usage| usage.rss as f64)),
            net_rss: quarters(|sample| sample.usage.map(|usage| net(usage.rss, sample.held))),
            slope: slope(&in_storm, storm, steady(args.hosts)),
            descriptors: quarters(|sample| sample.usage.map(|usage| usage.descriptors as f64)),
            faults,
            rate: said as f64 / (last.at - first.at).max(0.1),
            storm_gossip: (last.gossip - first.gossip) as f64 / delivered.max(1) as f64,
            busy: Spread::of(course().map(|total| total.busy)),
            disk: Spread::of(course().map(|total| total.disk)),
            bars: Vec::new(),
            full: seconds >= LONG_ENOUGH || args.minutes * 60. >= LONG_ENOUGH,
        };
        figures.bars = figures.bars(args, outcome, seconds >= LONG_ENOUGH);
        figures
    }

    /// Whether all that was asked for is known to hold; of what a run was too short for, nothing is asked.
    pub(crate) fn hold(&self) -> bool {
        self.bars.iter().all(|bar| match bar.verdict {
            Verdict::Holds => true,
            Verdict::Unknown => !self.full,
            Verdict::Fails => false,
        })
    }

    fn bars(&self, args: &Args, outcome: &Outcome, long_enough: bool) -> Vec<Bar> {
        let bar = |name, wanted: &str, found: String, verdict| Bar { name, wanted: wanted.to_owned(), found, verdict };
        let known = |holds: Option<bool>| holds.map_or(Verdict::Unknown, Verdict::of);
        let flat = |quarters: &Quarters, (part, some): (f64, u64)| {
            let [Some(_), Some(early), Some(_), Some(late)] = quarters.steady else { return None };
            long_enough.then_some(late <= early * (1. + part) + some as f64)
        };
        let early_and_late = |quarters: &Quarters, show: fn(f64) -> String| {
            [1, 3]
                .map(|quarter: usize| quarters.steady[quarter].map_or("not measured".to_owned(), show))
                .join(", then ")
        };
        let lost = outcome.lost.as_ref();
        let same = outcome.fingerprints.len() == outcome.rooms.len();
        let compared = same || !outcome.differing.is_empty();
        let ratio = outcome.calm.map(|calm| calm.ratio());
        vec![
            bar(
                "messages",
                &format!("{} acknowledged", args.messages),
                outcome.acknowledged.to_string(),
                Verdict::of(outcome.acknowledged >= args.messages),
            ),
            bar(
                "lost",
                "none of what was acknowledged, on any host's disk",
                lost.map_or("not looked for".to_owned(), |lost| lost.missing.to_string()),
                known(lost.map(|lost| lost.missing == 0)),
            ),
            bar(
                "one history",
                "the same fingerprint on all hosts, in every room",
                format!("in {} of {} rooms", outcome.fingerprints.len(), outcome.rooms.len()),
                known(compared.then_some(same)),
            ),
            bar(
                "memory",
                "flat: besides what messages held cost, no more in the last quarter than in the second and 10 % and 8 MiB",
                early_and_late(&self.net_rss, |bytes| format!("{:.0} MiB", mib(bytes))),
                known(flat(&self.net_rss, MEMORY)),
            ),
            bar(
                "descriptors",
                "flat: no more in the last quarter than in the second and 10 % and 16",
                early_and_late(&self.descriptors, |descriptors| format!("{descriptors:.0}")),
                known(flat(&self.descriptors, DESCRIPTORS)),
            ),
            bar(
                "gossip on the quiet mesh",
                "at most 12 messages a delivered message",
                ratio.map_or("not measured".to_owned(), |ratio| format!("{ratio:.2}")),
                known(ratio.map(|ratio| ratio <= GOSSIP)),
            ),
            bar(
                "crashes",
                "no program ends by itself, no room crashes, nothing panics",
                outcome.crashes.len().to_string(),
                Verdict::of(outcome.crashes.is_empty()),
            ),
            bar(
                "the run itself",
                "played to its end as it was planned",
                if outcome.interrupted {
                    "interrupted".to_owned()
                } else {
                    format!("{} things went wrong", outcome.troubles.len())
                },
                Verdict::of(outcome.troubles.is_empty() && !outcome.interrupted),
            ),
        ]
    }
}

pub(crate) fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

fn net(rss: u64, held: u64) -> f64 {
    rss.saturating_sub(held * BYTES_A_MESSAGE) as f64
}

fn quarters(
    samples: &[&Sample],
    (began, ended): (f64, f64),
    steady: usize,
    value: impl Fn(&Sample) -> Option<f64>,
) -> Quarters {
    let median = |quarter: usize, hosts: usize| {
        let length = (ended - began) / 4.;
        let from = began + length * quarter as f64;
        let within = samples.iter().filter(|s| s.at >= from && s.at < from + length && s.host < hosts);
        let spread = Spread::of(within.filter_map(|sample| value(sample)));
        (spread.count > 0).then_some(spread.p50)
    };
    let of = |hosts| [0, 1, 2, 3].map(|quarter| median(quarter, hosts));
    Quarters { steady: of(steady), all: of(usize::MAX) }
}

/// The slope of the line that fits best through what is left of the memory from the second quarter on, in bytes an hour.
fn slope(samples: &[&Sample], (began, ended): (f64, f64), steady: usize) -> f64 {
    let from = began + (ended - began) / 4.;
    let points: Vec<(f64, f64)> = samples
        .iter()
        .filter(|sample| sample.at >= from && sample.host < steady)
        .filter_map(|sample| Some((sample.at / 3600., net(sample.usage?.rss, sample.held))))
        .collect();
    let count = points.len().max(1) as f64;
    let (x, y) = points.iter().fold((0., 0.), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (above, below) = points
        .iter()
        .fold((0., 0.), |(above, below), point| (above + (point.0 - x) * (point.1 - y), below + (point.0 - x).powi(2)));
    if below > 0. { above / below } else { 0. }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::{disks::Lost, proc::Usage, run::Calm};

    /// A run of an hour in which nothing is wrong, but for memory that grows by so many bytes a second.
    fn outcome(growth: u64) -> Outcome {
        let sample = |second: u64, host| Sample {
            at: second as f64,
            host,
            pid: 1,
            usage: Some(Usage {
                rss: (60 << 20) + second * growth + second * 277 * BYTES_A_MESSAGE,
                descriptors: 80,
                cpu: 0.,
            }),
            held: second * 277,
            lag: 3,
            well: true,
        };
        Outcome {
            rooms: vec!["r".to_owned()],
            samples: (0..720).flat_map(|five| [0, 1].map(|host| sample(five * 5, host))).collect(),
            acknowledged: 1_000_000,
            storm: (0., 3600.),
            calm: Some(Calm { said: 10, delivered: 240, gossip: 2000 }),
            fingerprints: BTreeMap::from([("r".to_owned(), (9, "00".to_owned()))]),
            lost: Some(Lost::default()),
            ..Outcome::default()
        }
    }

    /// What of a run that was to last so long is of that verdict, and whether all of it holds.
    fn judged(outcome: &Outcome, minutes: &str, verdict: Verdict) -> (Vec<&'static str>, bool) {
        let args = Args::parse_from(["soak", "--hosts", "2", "--minutes", minutes]);
        let figures = Figures::of(&args, outcome);
        (figures.bars.iter().filter(|bar| bar.verdict == verdict).map(|bar| bar.name).collect(), figures.hold())
    }

    fn failing(outcome: &Outcome) -> Vec<&'static str> {
        let (failing, hold) = judged(outcome, "60", Verdict::Fails);
        assert_eq!(hold, failing.is_empty());
        failing
    }

    #[test]
    fn what_messages_cost_is_no_leak_and_what_comes_on_top_is_one() {
        assert_eq!(failing(&outcome(0)), [""; 0]);
        assert_eq!(failing(&outcome(10_000)), ["memory"]);
        let args = Args::parse_from(["soak", "--hosts", "2"]);
        let slope = Figures::of(&args, &outcome(10_000)).slope;
        assert!((slope / 36e6 - 1.).abs() < 0.01, "{slope}");
    }

    #[test]
    fn each_bar_can_fail() {
        let mut wrong = outcome(0);
        wrong.acknowledged = 999_999;
        wrong.lost = Some(Lost { missing: 1, ..Lost::default() });
        wrong.fingerprints.clear();
        wrong.differing.push("r".to_owned());
        wrong.calm = Some(Calm { said: 10, delivered: 240, gossip: 2881 });
        wrong.crashes.push("x".to_owned());
        wrong.troubles.push("x".to_owned());
        for sample in &mut wrong.samples {
            if let Some(usage) = &mut sample.usage {
                usage.descriptors += sample.held / 10_000;
            }
        }
        let expect =
            ["messages", "lost", "one history", "descriptors", "gossip on the quiet mesh", "crashes", "the run itself"];
        assert_eq!(failing(&wrong), expect);
    }

    #[test]
    fn a_short_run_says_nothing_of_growth() {
        let mut short = outcome(1 << 20);
        short.storm = (0., 100.);
        assert_eq!(judged(&short, "1", Verdict::Fails), (vec![], true));
        assert_eq!(judged(&short, "1", Verdict::Unknown).0, ["memory", "descriptors"]);
        assert!(!judged(&short, "60", Verdict::Fails).1, "an hour was to show it");
    }

    #[test]
    fn what_a_full_run_has_not_measured_does_not_hold() {
        let unknown = |outcome: &Outcome, minutes: &str| judged(outcome, minutes, Verdict::Unknown);
        assert_eq!(unknown(&outcome(0), "60"), (vec![], true));
        let mut unmeasured = outcome(0);
        unmeasured.calm = None;
        assert_eq!(unknown(&unmeasured, "60"), (vec!["gossip on the quiet mesh"], false));
        let mut unseen = outcome(0);
        unseen.lost = None;
        unseen.fingerprints.clear();
        assert_eq!(unknown(&unseen, "60"), (vec!["lost", "one history"], false));
        for from in [0., 900., 1800., 2700.] {
            let mut unsampled = outcome(0);
            unsampled.samples.retain(|sample| !(from..from + 900.).contains(&sample.at));
            assert_eq!(unknown(&unsampled, "60"), (vec!["memory", "descriptors"], false));
        }
        unmeasured.storm = (0., 100.);
        assert_eq!(unknown(&unmeasured, "1"), (vec!["memory", "descriptors", "gossip on the quiet mesh"], true));
    }

    #[test]
    fn quantiles_are_values_that_were_there() {
        let spread = Spread::of((1..=100).rev().map(f64::from));
        assert_eq!(spread, Spread { count: 100, p50: 51., p99: 99., max: 100. });
        assert_eq!(Spread::of([]), Spread::default());
    }
}

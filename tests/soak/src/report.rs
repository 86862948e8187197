//! The report: a page with tables, and the plots beside it.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};

use crate::{
    args::Args,
    figures::{BYTES_A_MESSAGE, Figures, Quarters, Spread, Verdict, mib, quantile},
    plan::{Kind, steady},
    plot::{Plot, Scale, Series, Shape},
    run::Outcome,
};

/// How many points a line has at most that sums others up.
const POINTS: usize = 180;
/// What the lines are drawn in: what matters, what is worse, what is beside it, an area.
const MAIN: &str = "#0b62c4";
const WORSE: &str = "#d1451b";
const THIRD: &str = "#7d8590";
const AREA: &str = "#cfe3fa";
/// How many of a list of findings are shown.
const SHOWN: usize = 20;

/// Writing to a string cannot fail.
macro_rules! say {
    ($($argument:tt)*) => { _ = writeln!($($argument)*) };
}

/// Writes the report and its plots.
///
/// # Errors
/// If they cannot be written.
pub(crate) fn write(directory: &Path, args: &Args, outcome: &Outcome, figures: &Figures) -> Result<()> {
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
    };
    for (name, plot) in plots(args, outcome) {
        write(&format!("{name}.svg"), &plot.svg())?;
    }
    write("report.md", &page(args, outcome, figures))
}

fn page(args: &Args, outcome: &Outcome, figures: &Figures) -> String {
    let mut page = String::new();
    let verdict = if figures.hold() { "Everything holds." } else { "Not everything holds." };
    say!(page, "# Soak: {} hosts, {} minutes, {} messages\n", args.hosts, args.minutes, outcome.acknowledged);
    say!(page, "**{verdict}**\n");
    say!(page, "| What | Asked for | Found | |\n| --- | --- | --- | --- |");
    for bar in &figures.bars {
        let verdict = match bar.verdict {
            Verdict::Holds => "holds",
            Verdict::Fails => "**fails**",
            Verdict::Unknown => "not known",
        };
        say!(page, "| {} | {} | {} | {verdict} |", bar.name, bar.wanted, bar.found);
    }
    course(&mut page, args, outcome, figures);
    faults(&mut page, figures);
    growth(&mut page, args, figures);
    for (name, title) in [("memory", "Memory"), ("latency", "Latency"), ("lag", "Lag"), ("rate", "Messages")] {
        say!(page, "\n![{title} over time]({name}.svg)");
    }
    counted(&mut page, "What the networks counted, all hosts and processes together", &outcome.counters);
    counted(&mut page, "What the programs warned of, by code", &outcome.errors);
    findings(&mut page, outcome);
    say!(
        page,
        "\nRaw: `samples.csv` (each host), `totals.csv`, `latencies.csv` (each probe and host), `faults.jsonl`. Made by\n\
         `distchat-soak --hosts {} --rooms {} --minutes {} --messages {} --seed {} --fault-every {} --sample {}`.",
        args.hosts,
        args.rooms,
        args.minutes,
        args.messages,
        args.seed,
        args.fault_every,
        args.sample
    );
    page
}

fn course(page: &mut String, args: &Args, outcome: &Outcome, figures: &Figures) {
    let seconds = |spread: &Spread| {
        let Spread { count, p50, p99, max } = spread;
        format!("p50 {}, p99 {}, longest {}; {count} measured", time(*p50), time(*p99), time(*max))
    };
    let messages = |spread: &Spread| format!("p50 {:.0}, p99 {:.0}, most {:.0}", spread.p50, spread.p99, spread.max);
    let restarts = |kind| figures.faults.get(&kind).map_or(0, |(count, _)| *count);
    let minutes = (outcome.storm.1 - outcome.storm.0) / 60.;
    let calm = outcome.calm.map_or("not measured".to_owned(), |calm| {
        format!(
            "{:.2}: {} frames for {} messages delivered {} times",
            calm.ratio(),
            calm.gossip,
            calm.said,
            calm.delivered
        )
    });
    say!(page, "\n| The run | |\n| --- | --- |");
    say!(page, "| hosts, rooms | {}, {}: every host is in every room |", args.hosts, args.rooms);
    say!(page, "| the storm | {minutes:.1} minutes, {:.0} messages/s acknowledged, seed {} |", figures.rate, args.seed);
    say!(page, "| processes started | {} |", args.hosts + restarts(Kind::Kill) + 2 * restarts(Kind::Clock));
    let healed = outcome.healed.map_or("never".to_owned(), |seconds| format!("{} later", time(seconds)));
    say!(page, "| when the storm was over, all held the same | {healed} |");
    say!(page, "| said here, seen there; neither near a fault | {} |", seconds(&figures.undisturbed));
    say!(page, "| the same, whatever happened | {} |", seconds(&figures.latency));
    say!(page, "| behind the union of all, in messages; no fault near | {} |", messages(&figures.lag_well));
    say!(page, "| the same, whatever happened | {} |", messages(&figures.lag));
    say!(page, "| gossip messages a delivered one, quiet mesh | {calm} |");
    say!(page, "| the same in the storm, with several messages a frame | {:.2} |", figures.storm_gossip);
    let share = |spread: &Spread| format!("p50 {:.0} %, most {:.0} %", spread.p50 * 100., spread.max * 100.);
    say!(page, "| processors of this machine busy | {} |", share(&figures.busy));
    say!(page, "| and idle, waiting for disks | {} |", share(&figures.disk));
    if let Some(lost) = &outcome.lost {
        say!(page, "| profiles on disk in the end | {:.0} MiB in all |", mib(lost.bytes as f64));
    }
    for (room, (messages, fingerprint)) in &outcome.fingerprints {
        say!(
            page,
            "| room {room} | {messages} messages, fingerprint `{}…` |",
            fingerprint.get(..16).unwrap_or_default()
        );
    }
}

fn faults(page: &mut String, figures: &Figures) {
    say!(page, "\n| Fault | Times | Mean length |\n| --- | --- | --- |");
    for (kind, (count, sum)) in &figures.faults {
        say!(page, "| {} | {count} | {} |", kind.name(), time(sum / *count as f64));
    }
    let all: usize = figures.faults.values().map(|(count, _)| count).sum();
    say!(page, "| in all | {all} | |");
}

fn growth(page: &mut String, args: &Args, figures: &Figures) {
    say!(
        page,
        "\n| Over the quarters of the storm, medians | 1st | 2nd | 3rd | 4th |\n| --- | --- | --- | --- | --- |"
    );
    let mut row = |name: &str, values: &[Option<f64>; 4], show: &dyn Fn(f64) -> String| {
        let shown = values.map(|value| value.map_or("not measured".to_owned(), show));
        say!(page, "| {name} | {} |", shown.join(" | "));
    };
    let in_mib = |bytes| format!("{:.1} MiB", mib(bytes));
    let number = |number| format!("{number:.0}");
    let Quarters { steady: kept, all } = &figures.rss;
    let hosts = steady(args.hosts);
    row(&format!("memory, the {hosts} hosts that kept their process"), kept, &in_mib);
    row(&format!("the same without {BYTES_A_MESSAGE} bytes a message held"), &figures.net_rss.steady, &in_mib);
    row("memory, all hosts", all, &in_mib);
    row(&format!("descriptors, the {hosts} hosts"), &figures.descriptors.steady, &number);
    row("descriptors, all hosts", &figures.descriptors.all, &number);
    say!(
        page,
        "\nFrom the second quarter on, the memory of those {hosts} hosts changed by {:+.1} MiB an hour besides {BYTES_A_MESSAGE} bytes \
         for each message held.",
        mib(figures.slope)
    );
}

fn counted(page: &mut String, title: &str, counts: &BTreeMap<String, u64>) {
    let counts: Vec<_> = counts.iter().filter(|(_, count)| **count > 0).collect();
    if !counts.is_empty() {
        say!(page, "\n| {title} | |\n| --- | --- |");
        for (name, count) in counts {
            say!(page, "| `{name}` | {count} |");
        }
    }
}

fn findings(page: &mut String, outcome: &Outcome) {
    let lost = outcome.lost.as_ref().map(|lost| lost.named.as_slice()).unwrap_or_default();
    let lists = [
        ("Lost", lost),
        ("Different histories", &outcome.differing),
        ("Crashes", &outcome.crashes),
        ("What went wrong with the run itself", &outcome.troubles),
    ];
    for (title, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        say!(page, "\n## {title}\n");
        for finding in list.iter().take(SHOWN) {
            say!(page, "- `{}`", finding.replace('`', "'"));
        }
        if list.len() > SHOWN {
            say!(page, "- and {} more", list.len() - SHOWN);
        }
    }
}

/// A time as people say it.
fn time(seconds: f64) -> String {
    if seconds < 0.0995 {
        format!("{:.1} ms", seconds * 1000.)
    } else if seconds < 1. {
        format!("{:.0} ms", seconds * 1000.)
    } else {
        format!("{seconds:.1} s")
    }
}

fn plots(args: &Args, outcome: &Outcome) -> [(&'static str, Plot); 4] {
    let end = outcome.course.last().map_or(1., |total| total.at.max(1.));
    let plot = |title: &str, unit, scale, series| Plot {
        title: title.to_owned(),
        unit,
        scale,
        span: (0., end),
        marks: if outcome.storm.1 > outcome.storm.0 {
            vec![(outcome.storm.1, "the storm is over")]
        } else {
            Vec::new()
        },
        series,
    };
    [
        ("memory", plot("Memory of each host", "MiB", Scale::Even, memory(args, outcome))),
        (
            "latency",
            plot("From saying to seeing, other host", "milliseconds", Scale::Logarithmic, latency(outcome, end)),
        ),
        (
            "lag",
            plot(
                "How many messages hosts lack of all that there are (none: 1)",
                "messages",
                Scale::Logarithmic,
                lag(outcome),
            ),
        ),
        ("rate", plot("Messages acknowledged", "messages a second", Scale::Even, rate(outcome))),
    ]
}

fn line(name: &'static str, colour: &'static str, width: f64, points: Vec<(f64, f64)>) -> Series {
    Series { name, colour, shape: Shape::Line { points, width } }
}

fn memory(args: &Args, outcome: &Outcome) -> Vec<Series> {
    let mut moments = BTreeMap::<u64, Vec<f64>>::new();
    let mut steady_hosts = BTreeMap::<usize, Vec<(f64, f64)>>::new();
    for sample in &outcome.samples {
        let Some(usage) = sample.usage else { continue };
        let rss = mib(usage.rss as f64);
        moments.entry((sample.at * 10.) as u64).or_default().push(rss);
        if sample.host < steady(args.hosts) {
            steady_hosts.entry(sample.host).or_default().push((sample.at, rss));
        }
    }
    let (mut band, mut middle) = (Vec::new(), Vec::new());
    for (at, mut all) in moments {
        all.sort_by(f64::total_cmp);
        let at = at as f64 / 10.;
        band.push((at, quantile(&all, 0.), quantile(&all, 1.)));
        middle.push((at, quantile(&all, 0.5)));
    }
    let mut series = vec![Series { name: "least to most of all hosts", colour: AREA, shape: Shape::Band(band) }];
    series.extend(steady_hosts.into_values().map(|points| line("hosts that kept their process", THIRD, 1., points)));
    series.push(line("median of all hosts", MAIN, 2., middle));
    series
}

fn latency(outcome: &Outcome, end: f64) -> Vec<Series> {
    let length = (end / POINTS as f64).max(1.);
    let mut buckets = BTreeMap::<u64, [Vec<f64>; 2]>::new();
    for latency in &outcome.latencies {
        let bucket = buckets.entry((latency.at / length) as u64).or_default();
        bucket[0].push(latency.seconds * 1000.);
        if latency.undisturbed {
            bucket[1].push(latency.seconds * 1000.);
        }
    }
    let mut of = |which: usize, part: f64| -> Vec<(f64, f64)> {
        let points = buckets.iter_mut().filter_map(|(bucket, values)| {
            let values = &mut values[which];
            values.sort_by(f64::total_cmp);
            (!values.is_empty()).then(|| ((*bucket as f64 + 0.5) * length, quantile(values, part)))
        });
        points.collect()
    };
    vec![
        line("p99 of all, faults included", THIRD, 1., of(0, 0.99)),
        line("p99 where no fault is near", WORSE, 1.5, of(1, 0.99)),
        line("p50 where no fault is near", MAIN, 2., of(1, 0.5)),
    ]
}

fn lag(outcome: &Outcome) -> Vec<Series> {
    let mut moments = BTreeMap::<u64, [Vec<f64>; 2]>::new();
    for sample in &outcome.samples {
        let moment = moments.entry((sample.at * 10.) as u64).or_default();
        moment[0].push(sample.lag as f64);
        if sample.well {
            moment[1].push(sample.lag as f64);
        }
    }
    let of = |which: usize, part: f64| -> Vec<(f64, f64)> {
        let points = moments.iter().filter_map(|(at, values)| {
            let mut values = values[which].clone();
            values.sort_by(f64::total_cmp);
            (!values.is_empty()).then(|| (*at as f64 / 10., quantile(&values, part)))
        });
        points.collect()
    };
    vec![
        line("furthest behind, faults included", THIRD, 1., of(0, 1.)),
        line("furthest behind where no fault is near", WORSE, 1.5, of(1, 1.)),
        line("median of all hosts", MAIN, 2., of(0, 0.5)),
    ]
}

fn rate(outcome: &Outcome) -> Vec<Series> {
    let every = outcome.course.len().div_ceil(POINTS).max(1);
    let course: Vec<_> = outcome.course.iter().step_by(every).collect();
    let rate = course.windows(2).filter_map(|pair| {
        let seconds = pair[1].at - pair[0].at;
        (seconds > 0.).then(|| (pair[1].at, (pair[1].acknowledged - pair[0].acknowledged) as f64 / seconds))
    });
    vec![line("messages a second, all hosts together", MAIN, 1.5, rate.collect())]
}

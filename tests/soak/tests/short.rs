//! The soak itself, in short: it comes to its end, its report says what happened, and it leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use distchat_tests::skip;
use rustix::process::{Pid, Signal, kill_process};

/// Starts it with these options, and lets its temporary files be in a place that can be looked at.
fn soak(options: &str, directory: &Path) -> Child {
    let temporary = directory.join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_distchat-soak"));
    command.args(options.split(' ')).arg("--out").arg(directory.join("out")).env("TMPDIR", &temporary);
    command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Namespaces and files that a run which has ended has left.
fn left(pid: u32, directory: &Path) -> Vec<String> {
    let names = |place: &Path| -> Vec<String> {
        let entries = fs::read_dir(place).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let prefix = format!("dct-{pid}-");
    let mut left = names(Path::new("/run/netns"));
    left.retain(|name| name.starts_with(&prefix));
    left.extend(names(&directory.join("tmp")));
    left
}

fn read(directory: &Path, name: &str) -> String {
    fs::read_to_string(directory.join("out").join(name)).unwrap()
}

#[test]
fn three_hosts_soak_for_some_seconds_and_all_that_was_said_is_everywhere() {
    if skip::lan_or_skip(1).is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let options = "--hosts 3 --rooms 2 --minutes 0.15 --messages 1000 --fault-every 1 --sample 0.5 --seed 3";
    let child = soak(options, directory.path());
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let report = read(directory.path(), "report.md");
    assert!(output.status.success(), "{told}\n{report}");

    for row in [
        "**Everything holds.**",
        "| lost | none of what was acknowledged, on any host's disk | 0 | holds |",
        "| in 2 of 2 rooms | holds |",
        "| crashes | no program ends by itself, no room crashes, nothing panics | 0 | holds |",
    ] {
        assert!(report.contains(row), "no `{row}` in\n{report}");
    }
    let ratio = report.lines().find(|line| line.starts_with("| gossip on the quiet mesh")).unwrap();
    assert!(ratio.ends_with("| holds |"), "{ratio}");
    for (name, least) in [("samples.csv", 40), ("totals.csv", 15), ("latencies.csv", 5), ("faults.jsonl", 3)] {
        let lines = read(directory.path(), name).lines().count();
        assert!(lines > least, "{name} has {lines} lines:\n{report}");
    }
    for plot in ["memory", "latency", "lag", "rate"] {
        let svg = read(directory.path(), &format!("{plot}.svg"));
        assert!(svg.contains("<path d=\"M") && !svg.contains("NaN"), "{plot}: {svg}");
    }
    assert_eq!(left(pid, directory.path()), Vec::<String>::new());
}

#[test]
fn whoever_interrupts_it_gets_a_report_and_nothing_is_left() {
    if skip::lan_or_skip(1).is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut child = soak("--hosts 3 --rooms 1 --minutes 60 --messages 100000 --fault-every 1", directory.path());
    let pid = child.id();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let met = told.find(|line| line.contains("all hosts have met"));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let rest: Vec<_> = told.collect();
    let status = child.wait().unwrap();
    assert!(met.is_some(), "they have not met: {rest:?}");
    assert_eq!(status.code(), Some(1), "{rest:?}");
    let report = read(directory.path(), "report.md");
    assert!(report.contains("**Not everything holds.**") && report.contains("| interrupted | **fails** |"), "{report}");
    assert_eq!(left(pid, directory.path()), Vec::<String>::new());
}

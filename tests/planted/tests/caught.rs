//! Each planted bug is caught, and [`CATCHES`] says by what.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    thread::available_parallelism,
};

use distchat_crdt::plant::Bug;
use distchat_simulator::Batch;
use serde_json::Value;

/// In how many runs the simulator must have met a bug. Most break the first few.
const RUNS: u64 = 300;

/// What finds a bug.
enum Catch {
    /// The simulator: some run breaks a promise.
    Simulator,
    /// This test of the crate.
    Law(&'static str),
}

use Catch::{Law, Simulator};

/// Which bug is caught by what.
const CATCHES: [(Bug, &[Catch]); 15] = [
    (Bug::OrderIgnoresId, &[Simulator, Law("laws::merging::any_order_repetition_and_batching_make_the_same_room")]),
    (Bug::AcknowledgesUnsynced, &[Simulator]),
    (Bug::AnybodyVouches, &[Simulator, Law("laws::authenticity::who_can_vouch_and_who_cannot")]),
    (Bug::BatchBelievesFirst, &[Simulator, Law("laws::zip215::zip_215_is_the_rule_in_batches")]),
    (Bug::LeafSplitsByInsertion, &[Simulator, Law("laws::merging::newest_first_makes_the_same_fingerprint")]),
    (Bug::HoleNeverAsked, &[Law("exchange::what_others_refer_to_is_asked_for_at_once")]),
    (Bug::HolesNotRestored, &[Simulator, Law("laws::merging::what_is_committed_restores_the_room")]),
    (Bug::OwnChainNotRestored, &[Simulator, Law("laws::merging::what_is_committed_restores_the_room")]),
    (Bug::ServesUnsynced, &[Simulator]),
    (Bug::ReceiptForUnsynced, &[Simulator]),
    (Bug::AgreedForEver, &[Law("exchange::without_gossip_it_arrives_all_the_same")]),
    (Bug::FollowsFuture, &[Simulator, Law("exchange::what_a_wrong_clock_said_does_not_drag_the_room_along")]),
    (Bug::LiarNeverLeft, &[Simulator]),
    (Bug::OnlyToTheHorizon, &[Simulator]),
    (Bug::NeverOffers, &[Law("exchange::one_session_mends_both_ways")]),
];

#[test]
fn every_planted_bug_is_caught_by_what_is_said_to_catch_it() {
    // One test, for a bug is planted in the whole process.
    assert!(Bug::ALL.iter().all(|bug| CATCHES.iter().any(|(caught, _)| caught == bug)), "a bug that nothing catches");
    for (bug, catches) in &CATCHES {
        for catch in *catches {
            let caught = match catch {
                Simulator => simulator_finds(*bug),
                Law(name) => law_finds(name, Some(*bug)),
            };
            let by = if let Law(name) = catch { *name } else { "the simulator" };
            assert!(caught, "{by} does not find {bug:?}");
        }
    }
}

#[test]
fn without_a_bug_the_same_laws_hold() {
    for (_, catches) in &CATCHES {
        for catch in *catches {
            if let Law(name) = catch {
                assert!(!law_finds(name, None), "{name} fails without a bug");
            }
        }
    }
}

fn simulator_finds(bug: Bug) -> bool {
    Bug::plant(Some(bug));
    let threads = available_parallelism().map_or(1, usize::from);
    let failed = Batch::run(0..RUNS, threads, &|_| {}).is_err();
    Bug::plant(None);
    failed
}

/// Whether that test of the crate fails with the bug.
fn law_finds(name: &str, bug: Option<Bug>) -> bool {
    let bug = bug.map(|bug| format!("{bug:?}")).unwrap_or_default();
    let output = Command::new(laws())
        .args(["--exact", name])
        .env("DISTCHAT_PLANTED", bug)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("running 1 test"), "there is no test {name}");
    !output.status.success()
}

/// The ordinary tests of the crate, over its planted sources.
fn laws() -> &'static Path {
    static LAWS: OnceLock<PathBuf> = OnceLock::new();
    LAWS.get_or_init(|| {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
        let output = Command::new(cargo)
            .args(["test", "--no-run", "-p", "distchat-crdt-planted", "--test", "laws"])
            .args(["--message-format", "json-render-diagnostics"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "the laws do not compile with bugs");
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|message| message["target"]["name"] == "laws")
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
            .unwrap()
    })
}

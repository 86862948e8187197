//! Faults of every kind while everybody writes, and one history in the end.
//!
//! The times here are not waits for something to happen: that a cable is out for twenty seconds is the scenario.

use std::{
    collections::BTreeSet,
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use distchat_tests::{
    Chat, Lan, PATIENCE,
    converge::{converged, reported},
    skip, transcript,
};

use crate::common::{heavy, post, wait_reported};

/// How long after the last repair the histories may still differ.
const MENDING: Duration = Duration::from_secs(30);
/// How many lines are on their way when a host's power fails.
const IN_FLIGHT: usize = 100;

/// What happens when, in seconds from the first line on.
struct Storm {
    /// How many lines each host writes.
    lines: usize,
    /// How long they write.
    writing: Duration,
    /// When host 0 is without its cable.
    cut: Range<u64>,
    /// When these hosts and the rest do not hear each other.
    split: (&'static [usize], &'static [usize], Range<u64>),
}

#[test]
fn five_hosts_write_through_cuts_crashes_and_a_split() {
    let Some(lan) = skip::lan_or_skip(7) else {
        return;
    };
    let _alone = heavy();
    let storm =
        Storm { lines: 2_000, writing: Duration::from_secs(20), cut: 2..22, split: (&[0, 1], &[2, 3, 4], 10..16) };
    let mut chats = storm.rage(&lan, 5);

    // One who wrote nothing joins, and stays when all who wrote have left.
    chats.push(lan.host(5).chat("six").room("general").start());
    let everything = reported(&chats);
    converged(&chats.iter().collect::<Vec<_>>(), &everything, PATIENCE);
    let silent = chats.pop().expect("six has just joined");
    for author in &mut chats {
        author.stop();
    }
    let late = lan.host(6).chat("seven").room("general").start();
    let history = converged(&[&silent, &late], &everything, PATIENCE);
    let authors: BTreeSet<_> = history.iter().map(|message| message.author.as_str()).collect();
    assert_eq!((authors.len(), authors.contains(silent.author().as_str())), (5, false));
}

#[test]
fn three_hosts_write_through_the_same_in_short() {
    let Some(lan) = skip::lan_or_skip(3) else {
        return;
    };
    let storm = Storm { lines: 200, writing: Duration::from_secs(4), cut: 1..4, split: (&[0, 1], &[2], 2..3) };
    storm.rage(&lan, 3);
}

#[test]
fn a_lossy_cable_only_slows() {
    let Some(lan) = skip::lan_or_skip(2) else {
        return;
    };
    let (ann, bob) = (lan.host(0).chat("ann").start(), lan.host(1).chat("bob").start());
    ann.wait_peers(1);
    lan.loss(0, 20);
    lan.loss(1, 20);
    let lines = transcript::lines(0, 100);
    post(&ann, &lines, Duration::from_secs(1));
    wait_reported(&ann, distchat_tests::Mark::START, &lines);
    converged(&[&ann, &bob], &reported([&ann, &bob]), PATIENCE);
}

impl Storm {
    /// Lets it rage over the first `hosts` hosts, and sees that they end with one history, and what is in it.
    fn rage(&self, lan: &Lan, hosts: usize) -> Vec<Chat> {
        let names = ["ann", "bob", "cid", "dee", "eve"];
        let start = |host: usize| lan.host(host).chat(names[host]).room("general").start();
        let mut chats: Vec<_> = (0..hosts).map(start).collect();
        for chat in &chats {
            chat.wait_peers(1);
        }
        let began = Instant::now();
        let repaired = thread::scope(|scope| {
            for (host, chat) in chats.iter_mut().enumerate() {
                let lines = transcript::lines(host, self.lines);
                scope.spawn(move || {
                    if host == 1 { self.write_and_crash(chat, &lines) } else { write(chat, &lines, self.writing) }
                });
            }
            self.break_and_repair(lan, began)
        });
        let everything = reported(&chats);
        // What was stored when the process was killed may not have been reported any more.
        let surely = hosts * self.lines - IN_FLIGHT;
        assert!(everything.len() >= surely, "{} lines were reported, and not {surely}", everything.len());
        let all: Vec<_> = chats.iter().collect();
        let history = converged(&all, &everything, MENDING.saturating_sub(repaired.elapsed()));
        eprintln!(
            "{} messages, one history on {hosts} hosts {:?} after the last repair",
            history.len(),
            repaired.elapsed()
        );

        let said: BTreeSet<_> = history.iter().map(|message| message.text.as_str()).collect();
        let typed = (0..hosts).flat_map(|host| transcript::lines(host, self.lines));
        assert_eq!(
            typed.filter(|line| !said.contains(line)).collect::<Vec<_>>(),
            Vec::<&str>::new(),
            "typed, and not there"
        );
        chats
    }

    /// Breaks the LAN and repairs it, and tells when it was whole again.
    fn break_and_repair(&self, lan: &Lan, began: Instant) -> Instant {
        let (left, right, split) = &self.split;
        let mut plan: Vec<(u64, &dyn Fn())> = Vec::new();
        let (cut, join, apart, heal) = (|| lan.cut(0), || lan.join(0), || lan.split(left, right), || lan.heal());
        plan.push((self.cut.start, &cut));
        plan.push((self.cut.end, &join));
        plan.push((split.start, &apart));
        plan.push((split.end, &heal));
        plan.sort_by_key(|(second, _)| *second);
        for (second, act) in plan {
            thread::sleep((began + Duration::from_secs(second)).saturating_duration_since(Instant::now()));
            act();
        }
        Instant::now()
    }

    /// Writes, dies with lines on the way, and starts again with what it has on disk: then the rest.
    fn write_and_crash(&self, chat: &mut Chat, lines: &[&str]) {
        let (before, after) = lines.split_at(lines.len() / 2);
        let (steady, burst) = before.split_at(before.len().saturating_sub(IN_FLIGHT));
        post(chat, steady, self.writing.mul_f64(0.4));
        post(chat, burst, Duration::ZERO);
        chat.kill9();
        let told: Vec<_> = chat.reported();
        chat.restart();

        let history = chat.history();
        let held: BTreeSet<_> = history.iter().map(|message| message.id.as_str()).collect();
        assert!(
            told.iter().all(|message| held.contains(message.id.as_str())),
            "reported as stored, and gone after SIGKILL"
        );
        let said: BTreeSet<_> = history.iter().map(|message| message.text.as_str()).collect();
        let rest: Vec<_> = before.iter().filter(|line| !said.contains(*line)).chain(after).copied().collect();
        write(chat, &rest, self.writing.mul_f64(0.5));
    }
}

/// Types all the lines and waits until they are stored.
fn write(chat: &Chat, lines: &[&str], over: Duration) {
    let mark = chat.mark();
    post(chat, lines, over);
    wait_reported(chat, mark, lines);
}

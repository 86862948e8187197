//! The network goes and comes back, changes, or is slept through: those who were together are so again in seconds, and
//! nobody has restarted anything.
//!
//! The times here are not waits for something to happen: that a sleep is a long one is the scenario, and that it takes no
//! more than [`SOON`] to be together again is what is promised.

use std::{
    thread,
    time::{Duration, Instant},
};

use distchat_tests::{Chat, Lan, PATIENCE, gauge, is, is_message, skip};

/// How soon after the change all is as it was.
const SOON: Duration = Duration::from_secs(15);
/// Longer than what a connection bears without a sign of life.
const A_WHILE: Duration = Duration::from_secs(12);
/// An address that no host has at first.
const ELSEWHERE: &str = "10.77.0.201";

fn start(lan: &Lan, hosts: usize) -> Vec<Chat> {
    let names = ["ann", "bob", "cid"];
    let chats: Vec<_> =
        names.iter().take(hosts).enumerate().map(|(n, name)| lan.host(n).chat(name).room("general").start()).collect();
    for chat in &chats {
        chat.wait_peers(1);
    }
    chats
}

/// Waits until a chat has noticed that it has lost somebody.
fn wait_lost(chat: &Chat) {
    chat.wait_for("somebody to be gone", PATIENCE, |event| is(event, "peer") && event["state"] == "disconnected");
}

/// Waits until both have heard what the other says, which must be soon.
#[track_caller]
fn together_again(what: &str, one: &Chat, other: &Chat) {
    let since = Instant::now();
    let (marks, words) = ((one.mark(), other.mark()), ("and are you back?", "so am I"));
    one.say(words.0);
    other.say(words.1);
    one.wait_from(marks.0, words.1, PATIENCE, |event| is_message(event, words.1));
    other.wait_from(marks.1, words.0, PATIENCE, |event| is_message(event, words.0));
    let took = since.elapsed();
    eprintln!("{what}: together again after {took:?}");
    assert!(took < SOON, "{what}: it took {took:?}\n{}\n{}", one.report(), other.report());
    assert_eq!(one.fingerprint(), other.fingerprint());
}

fn a_cable_out_and_in_again() {
    let Some(lan) = skip::lan_or_skip(2) else {
        return;
    };
    let chats = start(&lan, 2);
    lan.cut(0);
    wait_lost(&chats[0]);
    wait_lost(&chats[1]);
    chats[0].say_and_wait("said to nobody");
    lan.join(0);
    together_again("cable", &chats[0], &chats[1]);
}

fn a_network_that_fails_where_no_interface_shows_it() {
    let Some(lan) = skip::lan_or_skip(2) else {
        return;
    };
    let chats = start(&lan, 2);
    lan.split(&[0], &[1]);
    wait_lost(&chats[0]);
    wait_lost(&chats[1]);
    chats[1].say_and_wait("said to nobody");
    lan.heal();
    together_again("switch", &chats[0], &chats[1]);
}

fn another_address() {
    let Some(lan) = skip::lan_or_skip(2) else {
        return;
    };
    let chats = start(&lan, 2);
    lan.move_to(0, ELSEWHERE);
    together_again("address", &chats[0], &chats[1]);
    chats[1].wait_for("where the other is now", PATIENCE, |event| {
        let there = |event: &serde_json::Value| event["address"].as_str().is_some_and(|at| at.contains(ELSEWHERE));
        is(event, "peer") && event["state"] == "connected" && there(event)
    });
}

fn one_more_interface() {
    let Some(lan) = skip::lan_or_skip(3) else {
        return;
    };
    let chats = start(&lan, 2);
    lan.cut(2);
    let cid = lan.host(2).chat("cid").room("general").start();
    cid.say_and_wait("is there anybody out here?");
    lan.wire(0, 2);
    together_again("interface", &chats[0], &cid);
    chats[1].wait_text("is there anybody out here?");
}

/// One of two falls asleep for that long, the other goes on.
fn sleep_for(time: Duration) {
    let Some(lan) = skip::lan_or_skip(2) else {
        return;
    };
    let chats = start(&lan, 2);
    gauge::stop(chats[0].pid());
    thread::sleep(time / 2);
    chats[1].say_and_wait("said to somebody asleep");
    thread::sleep(time / 2);
    gauge::resume(chats[0].pid());
    together_again("sleep", &chats[0], &chats[1]);
}

/// All of it at once, each on a LAN of its own, for most of it is waiting.
#[test]
fn those_who_were_together_are_so_again() {
    thread::scope(|scope| {
        scope.spawn(a_cable_out_and_in_again);
        scope.spawn(a_network_that_fails_where_no_interface_shows_it);
        scope.spawn(another_address);
        scope.spawn(one_more_interface);
        scope.spawn(|| sleep_for(A_WHILE));
    });
}

#[test]
#[ignore = "it takes ten minutes"]
fn a_sleep_of_ten_minutes() {
    sleep_for(Duration::from_secs(600));
}

//! The line that says how everything is, and what has to be noticed.

use std::net::{Ipv4Addr, SocketAddr};

use distchat_tests::{Link, Machine, Screen, skip};

use crate::chat_screen::{SIZE, bar, enter, sit, transcript, wait_company, write_down};

#[test]
fn the_bar_tells_who_is_there_and_whether_all_is_here() {
    let machine = Machine::loopback();
    let ann = sit(machine.chat("ann").options(["--memory"]), SIZE);
    ann.wait("nobody", |screen| bar(screen).starts_with(" alone · "));
    let mut bob = machine.chat("bob").start();
    wait_company(&ann);
    bob.say("hello");
    ann.wait_text("hello");
    let print = bob.fingerprint().fingerprint;
    let print = format!("{} {}", &print[..4], &print[4..8]);
    // The same digits, the same history.
    ann.wait("the fingerprint", |screen| bar(screen).ends_with(&format!("in sync · {print}")));
    bob.stop();
    ann.wait("nobody", |screen| bar(screen).starts_with(" alone · "));
}

#[test]
fn the_bar_tells_how_far_a_long_history_is_here() {
    const LINES: usize = 6_000;
    let launch = Machine::loopback().chat("bob");
    write_down(launch.clone(), (1..=LINES).map(|number| format!("line {number}.")));
    let bob = launch.start();
    let address = bob.ready("listen")[0].as_str().expect("it listens somewhere").to_owned();
    let port = address.split('/').nth(4).and_then(|port| port.parse().ok()).expect("a TCP port");
    // A message takes some 250 bytes: about a half of them comes through.
    let link = Link::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), 250 * LINES / 2);
    let ann = sit(Machine::loopback().chat("ann").options(["--memory"]), SIZE);
    enter(&ann, &format!("/connect /ip4/127.0.0.1/tcp/{}", link.address().port()));
    let mut held = 0;
    ann.wait("how far it is", |screen| {
        let bar = bar(screen);
        let Some((_, said)) = bar.split_once("1 peer · catching up ") else { return false };
        let (here, rest) = said.split_once(" of ").expect("how many there are");
        assert!(rest.starts_with("6,00"), "{bar}");
        held = here.replace(',', "").parse().expect("a number");
        held > 0
    });
    assert!(held < LINES, "{held}");
    link.open();
    ann.wait("all", |screen| screen.contains("│ line 6000.") && bar(screen).contains("1 peer · in sync"));
}

#[test]
fn one_sees_on_how_many_disks_is_what_one_said() {
    let machine = Machine::loopback();
    let ann = sit(machine.chat("ann").options(["--memory"]), SIZE);
    enter(&ann, "is anybody there?");
    let ends = |end: &'static str| {
        move |screen: &Screen| {
            transcript(screen).iter().any(|row| row.contains("│ is anybody there?") && row.trim_end().ends_with(end))
        }
    };
    ann.wait("that nobody has it", ends(" ○"));
    let bob = machine.chat("bob").options(["--memory"]).start();
    bob.wait_text("is anybody there?");
    ann.wait("that everybody has it", ends(" ✓"));
}

#[test]
fn who_has_what_one_said_is_found_out_again_after_a_restart() {
    let machine = Machine::loopback();
    let said = machine.chat("ann").options(["send", "lobby", "the day before"]).run(b"");
    assert_eq!(said.code, Some(0), "{said:?}");
    let bob = machine.chat("bob").options(["--memory"]).start();
    let ann = sit(machine.chat("ann"), SIZE);
    bob.wait_text("the day before");
    ann.wait("that everybody has it", |screen| {
        transcript(screen).iter().any(|row| row.contains("│ the day before") && row.trim_end().ends_with(" ✓"))
    });
}

#[test]
fn a_wrong_clock_is_told_of() {
    if !skip::clocks_or_skip() {
        return;
    }
    let machine = Machine::loopback();
    let _bob = machine.chat("bob").options(["--memory"]).start();
    let ann = sit(machine.chat("ann").clock("+365d").options(["--memory"]), SIZE);
    ann.wait("the warning, and the word in the bar", |screen| {
        screen.contains("this computer's clock is about") && bar(screen).contains("clock 365 days ahead")
    });
}

#[test]
fn a_room_that_crashes_is_back_with_all_that_was_said() {
    let machine = Machine::loopback();
    let ann = sit(machine.chat("ann").options(["--memory"]), SIZE);
    let bob = machine.chat("bob").options(["--memory"]).start();
    wait_company(&ann);
    enter(&ann, "before");
    bob.wait_text("before");
    enter(&ann, "/crash");
    let screen = ann.wait_text("lobby crashed and was started again; nothing was lost");
    assert!(screen.contains("│ before"), "{screen}");
    enter(&ann, "after");
    bob.wait_text("after");
    ann.wait("both", |screen| screen.contains("│ before") && screen.contains("│ after"));
    for crash in 2..=5 {
        enter(&ann, "/crash");
        enter(&ann, &format!("after number {crash}"));
        bob.wait_text(&format!("after number {crash}"));
    }
    enter(&ann, "/crash");
    ann.wait_text("has given up");
    ann.wait("the word in the bar", |screen| bar(screen).contains("this room has given up: /restart"));
    enter(&ann, "/restart");
    enter(&ann, "and again");
    bob.wait_text("and again");
}

//! The line that says how everything is, and what has to be noticed.

use distchat_tests::{Machine, skip};

use crate::chat_screen::{SIZE, bar, enter, sit, wait_company};

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

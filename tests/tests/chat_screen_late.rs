//! Messages that arrive late, while the history is read: nothing moves under the reader's eyes.

use std::time::{Duration, Instant};

use distchat_tests::{Chat, Key, Launch, Machine, PATIENCE, Terminal, is_message};

use crate::chat_screen::{SIZE, say_before_others, sit, stop, transcript};

const LATE: &str = "I said this on the train";

/// Ann has a history, in the midst of which bob said something that she has not heard: they were apart. Both have ended,
/// and meet when they are started again.
fn apart() -> (Machine, Chat) {
    let (here, elsewhere) = (Machine::loopback(), Machine::loopback());
    let mut ann = here.chat("ann").start();
    let mut bob = elsewhere.chat("bob").start();
    for number in 1..=40 {
        ann.say(&format!("line {number}."));
    }
    say_before_others(&ann, "and then?");
    say_before_others(&bob, LATE);
    for number in 41..=80 {
        ann.say(&format!("line {number}."));
    }
    ann.wait_text("line 80.");
    // What comes within two seconds is not told as late.
    let said = Instant::now();
    while said.elapsed() < Duration::from_millis(2_100) {
        std::thread::sleep(Duration::from_millis(50));
    }
    ann.stop();
    bob.stop();
    (here, bob)
}

/// Scrolls up until that is on the screen.
fn scroll_to(ann: &Terminal, text: &str) {
    while !ann.screen().contains(text) {
        let before = transcript(&ann.screen());
        ann.key(Key::PageUp);
        ann.wait("an older page", |screen| transcript(screen) != before);
    }
}

/// Brings bob to where ann is.
fn meet(bob: &mut Chat, here: &Machine) {
    let run = here.directory().join("run").display().to_string();
    bob.restart_as(|launch: Launch| launch.options(["--run-dir", &run]));
    bob.wait_for("ann's lines", PATIENCE, |event| is_message(event, "line 80."));
}

#[test]
fn a_late_message_does_not_move_what_is_read_and_can_be_gone_to() {
    let (here, mut bob) = apart();
    let mut ann = sit(here.chat("ann"), SIZE);
    scroll_to(&ann, "and then?");
    let before = transcript(&ann.screen());
    meet(&mut bob, &here);
    let screen = ann.wait("the word of it", |screen| screen.row(0).ends_with("▲ 1 earlier message arrived"));
    assert_eq!(transcript(&screen), before, "{screen}");

    ann.key(Key::Alt('e'));
    let screen = ann.wait("it, marked", |screen| screen.contains(LATE) && !screen.row(0).contains("earlier"));
    let (_, row) = screen.find(LATE).expect("it is on the screen");
    assert!(screen.row(row).ends_with(" late)"), "{screen}");
    assert!(screen.row(row - 1).ends_with("and then?") && screen.row(row + 1).ends_with("line 41."), "{screen}");

    // Another start does not make it punctual.
    stop(&mut ann);
    let ann = sit(here.chat("ann"), SIZE);
    scroll_to(&ann, LATE);
    let screen = ann.screen();
    let (_, row) = screen.find(LATE).expect("it is on the screen");
    assert!(screen.row(row).ends_with(" late)"), "{screen}");
}

#[test]
fn a_late_message_above_the_screen_is_told_of_and_a_click_goes_there() {
    let (here, mut bob) = apart();
    let ann = sit(here.chat("ann"), SIZE);
    let before = transcript(&ann.screen());
    meet(&mut bob, &here);
    let screen = ann.wait_text("1 earlier message arrived");
    assert_eq!(transcript(&screen), before, "{screen}");
    let (column, row) = screen.find("1 earlier message arrived").expect("it is on the screen");
    ann.click(column, row);
    ann.wait_text(LATE);
}

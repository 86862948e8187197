//! The ways to leave, and what the log has to say.

use std::fs;

use distchat_tests::{
    Key, Machine, Terminal,
    tame::{Allowed, assert_tame},
};

use crate::chat_screen::{SIZE, enter, sit, stop, wait_typed};

fn left(ann: &mut Terminal) {
    assert_eq!(ann.wait_exit(), Some(0), "{}", ann.screen());
    ann.assert_restored();
    assert_tame(&ann.raw(), &Allowed::default());
}

#[test]
fn ctrl_c_leaves_at_once_and_ctrl_d_once_somebody_has_what_was_said() {
    let machine = Machine::loopback();
    let launch = || machine.chat("ann").options(["--linger", "3600"]);
    let mut ann = sit(launch(), SIZE);
    enter(&ann, "is anybody here?");
    ann.wait_text("│ is anybody here?");
    ann.key(Key::Ctrl('d'));
    ann.wait_text("leaving once somebody has what you wrote");
    // What is said now would be heard by nobody, and is not thrown away.
    ann.type_text("one more thing");
    ann.key(Key::Enter);
    ann.wait_text("you are leaving");
    wait_typed(&ann, "one more thing");
    ann.key(Key::Ctrl('c'));
    wait_typed(&ann, "");
    ann.key(Key::Ctrl('c'));
    left(&mut ann);

    let mut ann = sit(launch(), SIZE);
    ann.wait_text("│ is anybody here?");
    enter(&ann, "nobody yet");
    ann.wait_text("│ nobody yet");
    enter(&ann, "/quit");
    ann.wait_text("leaving once somebody has what you wrote");
    let bob = machine.chat("bob").options(["--memory"]).start();
    left(&mut ann);
    bob.wait_text("nobody yet");
}

#[test]
fn the_log_goes_to_a_file_and_not_to_the_screen() {
    let launch = Machine::loopback().chat("ann").options(["--log", "debug"]);
    let log = launch.profile_dir().join("distchat.log");
    let mut ann = sit(launch, SIZE);
    enter(&ann, "what is being logged?");
    ann.wait_text("│ what is being logged?");
    stop(&mut ann);
    let lines = fs::read_to_string(&log).expect("there is a log");
    assert!(lines.contains("DEBUG"), "{lines}");
    let screen = String::from_utf8_lossy(&ann.raw()).into_owned();
    assert!(!screen.contains("DEBUG"), "{}", ann.screen());
    assert_tame(&ann.raw(), &Allowed::default());
}

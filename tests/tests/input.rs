//! What bad input gets.

use distchat_tests::{
    Chat, Machine, PATIENCE,
    converge::{converged, reported},
    is,
};
use serde_json::Value;

use crate::common::{pair, texts};

/// The longest message, in bytes.
const MOST: usize = 16_384;

#[test]
fn a_line_that_is_too_long_is_refused_and_nothing_is_sent() {
    let machine = Machine::loopback();
    let (ann, bob) = pair(&machine, &["general"]);
    let (longest, too_long) = ("x".repeat(MOST), "y".repeat(MOST + 1));
    ann.say_and_wait(&longest);
    let mark = ann.mark();
    ann.say(&too_long);
    let error = ann.wait_from(mark, "a refusal", PATIENCE, |event| is(event, "error"));
    let told = error["message"].as_str().unwrap_or_default();
    assert!(
        told.contains("16384") || told.contains("16 KiB") || told.contains("16,384"),
        "it says what the limit is: {error}"
    );
    // Far beyond any buffer, and cut into pieces by none.
    let mark = ann.mark();
    ann.say(&"z".repeat(5_000_000));
    ann.wait_from(mark, "a refusal", PATIENCE, |event| is(event, "error"));
    ann.say_and_wait("and on it goes");
    bob.wait_text("and on it goes");
    assert_eq!(texts(&converged(&[&ann, &bob], &reported([&ann]), PATIENCE)), [&longest, "and on it goes"]);
}

#[test]
fn bytes_that_are_not_utf_8_are_replaced_and_that_is_said_once() {
    let machine = Machine::loopback();
    let (ann, bob) = pair(&machine, &["general"]);
    ann.send_bytes(b"caf\xe9\n");
    bob.wait_text("caf\u{fffd}");
    ann.send_bytes(b"\xff\xfe again\n");
    bob.wait_text("\u{fffd}\u{fffd} again");
    let says = |text: &str| text.to_lowercase().contains("utf-8");
    ann.wait_told("utf-8", PATIENCE);
    let lines = ann.stderr().iter().filter(|line| says(line)).count();
    let events = ann.events().iter().filter(|event| is(event, "error") && says(&event.to_string())).count();
    assert!(lines <= 1 && events <= 1, "said once: {}", ann.report());
}

#[test]
fn two_slashes_are_one_that_is_meant() {
    let machine = Machine::loopback();
    let (ann, bob) = pair(&machine, &["general"]);
    ann.send("//etc/fstab is a file");
    bob.wait_text("/etc/fstab is a file");
    ann.send("///");
    bob.wait_text("//");
}

#[test]
fn commands_that_make_no_sense_are_refused_and_it_goes_on() {
    let ann = Machine::loopback().chat("ann").start();
    for command in
        ["/frobnicate", "/history many", "/connect nowhere", "/join", "/crash nosuchroom", "/restart nosuchroom", "/"]
    {
        let mark = ann.mark();
        ann.send(command);
        let error = ann.wait_from(mark, &format!("a refusal of {command:?}"), PATIENCE, |event| is(event, "error"));
        assert!(error["code"].is_string() && error["message"].is_string(), "{error}");
    }
    ann.say_and_wait("never mind");
    assert_eq!(texts(&ann.history()), ["never mind"]);
}

#[test]
fn rooms_of_bad_names_are_not_joined() {
    let ann = Machine::loopback().chat("ann").start();
    let too_long = "x".repeat(65);
    for name in [too_long.as_str(), "two words", "a/b", "bell\u{7}", "\u{378}"] {
        let mark = ann.mark();
        ann.send(&format!("/join {name}"));
        ann.wait_from(mark, &format!("a refusal of {name:?}"), PATIENCE, |event| is(event, "error"));
    }
    ann.send(&format!("/join {}", "x".repeat(64)));
    ann.wait_for("the longest name", PATIENCE, |event| is(event, "room") && event["room"] == "x".repeat(64).as_str());
}

#[test]
fn empty_lines_are_not_messages() {
    let ann = Machine::loopback().chat("ann").start();
    ann.send("");
    ann.send("");
    ann.say_and_wait("something");
    assert_eq!(texts(&ann.history()), ["something"]);
}

#[test]
fn windows_line_ends_are_not_part_of_a_message() {
    let ann = Machine::loopback().chat("ann").start();
    ann.send_bytes(b"from windows\r\n");
    ann.wait_text("from windows");
}

#[test]
fn what_could_drive_a_terminal_is_escaped_where_people_read() {
    let machine = Machine::loopback();
    let ann = machine.chat("ann").start();
    let bob = machine.chat("bob").plain().start();
    ann.wait_peers(1);
    // Whether such a nick is refused or escaped, no terminal may feel it.
    ann.send("/nick e\u{202e}ve\u{1b}]0;owned\u{7}");
    let evil = "start\u{1b}[31mred\u{7}\u{8}\u{9b}2J\u{202e}desrever\u{2066}\u{200b}\u{85}end\rover";
    ann.say(evil);
    ann.say("the end");
    bob.wait_for("the last line", PATIENCE, |line| contains(line, "the end"));
    let shown: Vec<_> = lines(&bob).into_iter().filter(|line| line.contains("start")).collect();
    assert_eq!(shown.len(), 1, "it is one line: {shown:?}");
    for part in ["red", "desrever", "end", "over"] {
        assert!(shown[0].contains(part), "{part:?} can be read in {:?}", shown[0]);
    }
    for line in lines(&bob).iter().chain(&bob.stderr()) {
        assert!(!line.chars().any(drives_terminals), "{line:?}");
    }
    // To a program it is told as it is.
    ann.wait_text(evil);
}

fn drives_terminals(character: char) -> bool {
    let hidden =
        matches!(character, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    hidden || (character.is_control() && character != '\t')
}

fn contains(line: &Value, text: &str) -> bool {
    line.as_str().is_some_and(|line| line.contains(text))
}

/// The lines of a chat that speaks to people.
fn lines(chat: &Chat) -> Vec<String> {
    chat.events().iter().filter_map(|line| line.as_str().map(str::to_owned)).collect()
}

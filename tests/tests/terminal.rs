//! The program on a terminal: what is typed and said is on the screen, nothing said does anything to the terminal, and
//! the terminal is given back as it was. How the screen is laid out is not asked here.

use std::{fmt::Write as _, fs::File, path::Path};

use distchat_tests::{
    Chat, Key, Machine, PATIENCE, Signal, Terminal, is_message, skip,
    tame::{Allowed, assert_tame},
};
use rustix::termios::{Action, tcflow};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

const SIZE: (u16, u16) = (80, 24);
/// The longest message, in bytes.
const MOST: usize = 16_384;

/// A person at a terminal, who has seen that the program is there.
fn start(machine: &Machine, size: (u16, u16)) -> Terminal {
    let ann = Terminal::start(machine.chat("ann").options(["--memory"]), size);
    // What is typed earlier would be echoed by the kernel.
    ann.wait("the room's name", |screen| screen.contains("lobby"));
    ann
}

fn say(ann: &Terminal, text: &str) {
    ann.type_text(text);
    ann.key(Key::Enter);
}

fn is_gone(pid: u32) -> bool {
    !Path::new("/proc").join(pid.to_string()).exists()
}

#[test]
fn what_is_typed_is_on_the_screen_and_ctrl_d_leaves() {
    let mut ann = start(&Machine::loopback(), SIZE);
    say(&ann, "a first line, with 日本語 in it");
    ann.wait_text("a first line, with 日本語 in it");
    ann.resize(100, 30);
    say(&ann, "a line on a larger screen");
    ann.wait("both lines", |screen| screen.contains("a first line") && screen.contains("on a larger screen"));
    ann.resize(60, 12);
    say(&ann, "a line on a smaller screen");
    ann.wait_text("a line on a smaller screen");
    ann.key(Key::Ctrl('d'));
    assert_eq!(ann.wait_exit(), Some(0), "{}", ann.screen());
    ann.assert_restored();
    assert_tame(&ann.raw(), &Allowed::default());
}

#[test]
fn what_is_said_is_seen_on_both_sides() {
    let machine = Machine::loopback();
    let ann = start(&machine, SIZE);
    let bob = machine.chat("bob").start();
    bob.wait_peers(1);
    say(&ann, "hello from a terminal");
    bob.wait_text("hello from a terminal");
    bob.say("hello from a pipe");
    ann.wait_text("hello from a pipe");
}

#[test]
fn a_signal_gives_the_terminal_back() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP] {
        let mut ann = start(&Machine::loopback(), SIZE);
        ann.signal(signal);
        assert_eq!(ann.wait_exit(), Some(0), "{signal:?}: {}", ann.screen());
        ann.assert_restored();
    }
}

#[test]
fn a_terminal_that_takes_nothing_does_not_keep_the_program() {
    let mut ann = start(&Machine::loopback(), SIZE);
    let terminal = File::options().write(true).open(format!("/proc/{}/fd/1", ann.pid())).unwrap();
    tcflow(&terminal, Action::OOff).unwrap();
    drop(terminal);
    ann.type_text("a key, and a frame that is never taken");
    ann.signal(Signal::TERM);
    assert_eq!(ann.wait_exit(), Some(0));
}

#[test]
fn a_closed_window_ends_the_program() {
    let mut ann = start(&Machine::loopback(), SIZE);
    let pid = ann.pid();
    ann.hang_up();
    ann.wait_exit();
    assert!(is_gone(pid));
}

#[test]
fn a_terminal_leaves_nothing_behind() {
    let ann = start(&Machine::loopback(), SIZE);
    let pid = ann.pid();
    assert!(!is_gone(pid));
    drop(ann);
    assert!(is_gone(pid));
}

#[test]
fn every_key_is_answered_on_the_screen() {
    let ann = start(&Machine::loopback(), SIZE);
    assert_eq!(ann.echo_times(30).len(), 30);
    ann.wait_text("abcdefghijklmnopqrstuvwxyzabcd");
}

#[test]
fn without_colours_there_are_none() {
    let machine = Machine::loopback();
    let ann = Terminal::start(machine.chat("ann").options(["--memory"]).env("NO_COLOR", "1"), SIZE);
    ann.wait_text("lobby");
    say(&ann, "in black and white");
    let screen = ann.wait_text("in black and white");
    for row in 0..SIZE.1 {
        for cell in (0..SIZE.0).map(|column| screen.cell(column, row)) {
            assert_eq!((cell.fgcolor(), cell.bgcolor()), Default::default(), "row {row} of {screen}");
        }
    }
}

#[test]
fn terminals_meet_on_a_lan() {
    let Some(lan) = skip::lan_or_skip(2) else { return };
    let terminals = [0, 1].map(|host| start(lan.host(host), SIZE));
    say(&terminals[0], "is anybody here?");
    terminals[1].wait_text("is anybody here?");
}

#[test]
fn nothing_that_is_said_does_anything_to_the_terminal() {
    let machine = Machine::loopback();
    let mut ann = start(&machine, (120, 60));
    let bob = machine.chat("bob").start();
    bob.wait_peers(1);
    for (number, line) in hostile().iter().enumerate() {
        assert!(line.len() <= MOST, "it would be refused");
        say_all(&bob, line);
        // It has come through if what is said after it has.
        let after = format!("after number {number}.");
        bob.say(&after);
        ann.wait_text(&after);
        // Whether such a nick is refused or escaped is not the question here.
        let nick: String = line.chars().take(20).collect();
        bob.send(&format!("/nick {nick}"));
    }
    // All of it is drawn anew.
    ann.resize(100, 50);
    say(&ann, "that was all");
    ann.wait_text("that was all");
    ann.key(Key::Ctrl('d'));
    assert_eq!(ann.wait_exit(), Some(0), "{}", ann.screen());
    ann.assert_restored();
    assert_tame(&ann.raw(), &Allowed::default());
}

/// Says a line and waits until it is stored as it is, so that the test is about what it believes to be about.
fn say_all(chat: &Chat, line: &str) {
    let mark = chat.mark();
    chat.say(line);
    chat.wait_from(mark, "the hostile line, unchanged", PATIENCE, |event| is_message(event, line));
}

/// Lines that would drive a terminal, if they came to it.
fn hostile() -> Vec<String> {
    // A line feed is the end of a line, and so not in it.
    let controls = (0..0xa0).filter_map(char::from_u32).filter(|c| c.is_control() && *c != '\n');
    let invisible = (0..=0x10_ffff)
        .filter_map(char::from_u32)
        .filter(|c| c.general_category() == GeneralCategory::Format || matches!(c, '\u{2028}' | '\u{2029}'));
    let between = |all: &mut dyn Iterator<Item = char>| {
        all.fold("start".to_owned(), |mut line, c| {
            // Writing to a string cannot fail.
            let _ = write!(line, "{c}x");
            line
        })
    };
    let sequences = [
        "\x1b]52;c;aGFja2Vk\x07",
        "\x1b]52;c;aGFja2Vk\x1b\\",
        "\x1b]0;owned\x07",
        "\x1b]8;;http://example.com\x1b\\link",
        "\x1bP+q544e\x1b\\",
        "\x1b_Gi=1,a=q;AAAA\x1b\\",
        "\x1b[6n\x1b[c\x1b[21t",
        "\x1b[?1049h\x1b[2J\x1b[3J\x1b[?7l",
        "\x1b[31;5mred",
        "\x1b(0\x1b#8\x1bc",
        "\u{9b}2J\u{9d}0;owned\u{9c}",
        "\u{202e}desrever\u{2066}\u{200b}",
        "👩\u{200d}\u{200d}👩\u{200d}",
    ];
    let mut lines = vec![between(&mut controls.into_iter()), between(&mut invisible.into_iter())];
    lines.extend(sequences.map(|sequence| format!("start {sequence} end")));
    lines.push(format!("e{}", "\u{301}".repeat((MOST - 1) / 2)));
    lines.push("\u{1f468}\u{200d}".repeat(MOST / 7));
    lines
}

//! Text that is meant to do harm, wherever somebody else can put text: nothing of it gets to the terminal as it is.

use std::fmt::Write as _;

use distchat_tests::{
    Chat, Key, Machine, Modifier, PATIENCE, Screen, Terminal, is_message,
    tame::{Allowed, assert_tame},
};
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::chat_screen::{enter, sit, stop, transcript, wait_company, wait_gone};

/// The longest message, in bytes.
const MOST: usize = 16_384;
/// How many marks one character may bear on the screen.
const MARKS: usize = 6;

/// Every character of these, each with something that can be seen around it.
fn each(all: impl Iterator<Item = char>) -> Vec<String> {
    let all: Vec<char> = all.collect();
    // As many as a name may have, so that they can be one.
    all.chunks(12).map(|some| some.iter().fold("x".to_owned(), |text, c| text + &format!("{c}y"))).collect()
}

/// What would drive a terminal, hide, or change the order of what is around it.
fn hostile() -> Vec<String> {
    // A line feed is the end of a line, and so not in it.
    let controls = (0..0xa0).filter_map(char::from_u32).filter(|c| c.is_control() && *c != '\n');
    let invisible = (0..=0x10_ffff)
        .filter_map(char::from_u32)
        .filter(|c| c.general_category() == GeneralCategory::Format || matches!(c, '\u{2028}' | '\u{2029}'));
    let mut all = each(controls.chain(invisible));
    let sequences = [
        "\x1b]52;c;aGFja2Vk\x07",
        "\x1b]52;c;aGFja2Vk\x1b\\",
        "\u{9d}52;c;aGFja2Vk\u{9c}",
        "\x1b]0;owned\x07",
        "\x1bP+q544e\x1b\\",
        "\x1b[6n\x1b[c\x1b[21t",
        "\x1b[?1049h\x1b[2J\x1b[3J",
        "\u{9b}2J",
        "\u{202e}desrever\u{2066}",
    ];
    all.extend(sequences.map(|sequence| format!("x{sequence}y")));
    all
}

/// Somebody at a terminal, and somebody else who has said something.
fn pair() -> (Terminal, Chat) {
    let machine = Machine::loopback();
    let ann = sit(machine.chat("ann").options(["--memory"]), (120, 50));
    let bob = machine.chat("bob").options(["--memory"]).start();
    wait_company(&ann);
    enter(&ann, "hello");
    bob.wait_text("hello");
    (ann, bob)
}

/// Has bob say what he still has to say, and waits until it is there.
fn wait_after(ann: &Terminal, bob: &Chat, text: &str) {
    bob.say_and_wait(text);
    ann.wait_text(text);
}

/// Scrolls through all that is said, from the newest on up.
fn look_at_all(ann: &Terminal) {
    loop {
        let before = transcript(&ann.screen());
        ann.key(Key::PageUp);
        // The bar tells that she has left the newest; the first row, that there is no more above.
        let screen = ann.wait("an older page, or the start", |screen| {
            transcript(screen) != before || before.iter().any(|row| row.contains("day, "))
        });
        if screen.contains("day, ") {
            return;
        }
    }
}

fn check(ann: &mut Terminal) {
    check_marks(&ann.screen());
    stop(ann);
    let raw = ann.raw();
    assert_tame(&raw, &Allowed::default());
    let text = String::from_utf8(raw).expect("a terminal is sent text");
    let mut marks = 0;
    for (place, c) in text.char_indices() {
        marks = if c.general_category_group() == GeneralCategoryGroup::Mark { marks + 1 } else { 0 };
        assert!(marks <= MARKS, "a heap of marks at byte {place}");
    }
}

fn check_marks(screen: &Screen) {
    let (columns, rows) = screen.size();
    for row in 0..rows {
        for column in 0..columns {
            let held = screen.cell(column, row).contents().chars().count();
            assert!(held <= 1 + MARKS, "{held} characters in column {column} of row {row}: {screen}");
        }
    }
}

#[test]
fn names_topics_and_reactions_do_nothing_to_the_terminal() {
    let (mut ann, bob) = pair();
    for text in hostile() {
        bob.send(&format!("/nick {text}"));
        bob.send(&format!("/topic {text}"));
        bob.send(&format!("/react {text}"));
        bob.send(&format!("/me {text}"));
        bob.say(&text);
    }
    wait_after(&ann, &bob, "that was all of it");
    // Where names are listed, and notices of what has been.
    enter(&ann, "/who");
    ann.wait("the list", |screen| screen.contains("┌─") && screen.contains("message"));
    check_marks(&ann.screen());
    ann.key(Key::Escape);
    wait_gone(&ann, "┌─");
    enter(&ann, "/topic");
    ann.wait_text("lobby is about: ");
    ann.key(Key::F(3));
    ann.wait_text("─ notices ─");
    ann.key(Key::Escape);
    wait_gone(&ann, "─ notices ─");
    look_at_all(&ann);
    check(&mut ann);
}

#[test]
fn what_is_pasted_and_wrong_is_told_of_as_what_it_is() {
    let (mut ann, _bob) = pair();
    for text in hostile() {
        // An escape in a paste would end it, so terminals leave it out; a carriage return ends the line.
        let text = text.replace(['\x1b', '\r'], "");
        ann.paste(&format!("/history {text}"));
        ann.key(Key::Enter);
    }
    enter(&ann, "/nonsense");
    ann.wait_text("there is no command /nonsense");
    ann.key(Key::F(3));
    ann.wait_text("─ notices ─");
    check(&mut ann);
}

#[test]
fn a_megabyte_of_marks_is_a_few_on_the_screen() {
    let (mut ann, bob) = pair();
    let is_mark = |c: &char| c.general_category_group() == GeneralCategoryGroup::Mark;
    let all: Vec<char> = (0..=0x10_ffff).filter_map(char::from_u32).filter(is_mark).collect();
    // One mark again and again, or all of them one after another, and what else is taken for one character.
    let heaps = ["e", "e\u{301}", "ক", "ka", "k", "क"].into_iter().zip([
        all.clone(),
        vec!['\u{301}'],
        vec!['\u{9be}'],
        vec!['\u{20dd}', '\u{489}'],
        vec!['\u{1f3fb}'],
        vec!['\u{94d}', 'क'],
    ]);
    let heaps: Vec<String> = heaps
        .map(|(base, marks)| {
            let mut text = base.to_owned();
            for mark in marks.iter().cycle() {
                if text.len() + mark.len_utf8() > MOST {
                    return text;
                }
                text.push(*mark);
            }
            text
        })
        .collect();
    for heap in heaps.iter().cycle().take(64) {
        let mark = bob.mark();
        bob.say(heap);
        bob.wait_from(mark, "the heap, as it is", PATIENCE, |event| is_message(event, heap));
    }
    wait_after(&ann, &bob, "that was all of it");
    check_marks(&ann.screen());
    look_at_all(&ann);
    ann.key(Key::With(Modifier::Ctrl, &Key::End));
    ann.wait_text("that was all of it");
    let mut nick = String::new();
    // Writing to a string cannot fail.
    let _ = write!(nick, "e{}", "\u{301}".repeat(31));
    bob.send(&format!("/nick {nick}"));
    wait_after(&ann, &bob, "under a heap");
    check(&mut ann);
}

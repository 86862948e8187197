//! The window made larger and smaller.

use distchat_tests::{
    Key, Machine, Screen, Terminal,
    tame::{Allowed, assert_tame},
};

use crate::chat_screen::{SIZE, bar, sit, stop, typed, wait_company};

const TEXT: &str = "a sentence that is longer than a narrow window, so that it needs several rows there";

/// Waits until all is drawn for that size: the room above, the state and the draft below.
fn resized(ann: &Terminal, columns: u16, rows: u16) -> Screen {
    ann.resize(columns, rows);
    ann.wait(&format!("a screen of {columns} by {rows}"), |screen| {
        screen.row(0).trim() == "lobby" && bar(screen).contains("1 peer · in sync") && typed(screen) == "half a"
    })
}

/// What is said on the screen, whatever its rows.
fn prose(screen: &Screen, from: usize) -> String {
    let rows = screen.rows();
    let rows = rows.iter().map(|row| row.chars().skip(from).collect::<String>().trim().to_owned());
    rows.collect::<Vec<_>>().join(" ")
}

#[test]
fn everything_stays_visible_and_in_its_place() {
    let machine = Machine::loopback();
    let bob = machine.chat("bob").start();
    let ann = sit(machine.chat("ann").options(["--memory"]), SIZE);
    wait_company(&ann);
    for number in 1..=40 {
        bob.say(&format!("line {number}"));
    }
    bob.say(TEXT);
    ann.wait_text("so that it needs several rows");
    ann.type_text("half a");
    let before = resized(&ann, 80, 24);

    let narrow = resized(&ann, 40, 15);
    assert!(prose(&narrow, 2).contains("longer than a narrow window"), "{narrow}");
    assert!(narrow.contains("line 40") && !narrow.contains("line 25") && !narrow.contains("1 lobby"), "{narrow}");
    resized(&ann, 200, 60);
    let wide = ann.wait_text("● bob·");
    assert!(wide.contains(TEXT) && wide.contains("1 lobby"), "{wide}");
    // In full, from the first.
    assert!((1..=40).all(|number| wide.contains(&format!("│ line {number} "))), "{wide}");

    ann.resize(80, 24);
    ann.wait("what was there at first", |screen| screen.rows() == before.rows());
}

#[test]
fn members_are_listed_where_there_is_room() {
    let machine = Machine::loopback();
    let bob = machine.chat("bob").start();
    bob.say("I am bob");
    let ann = sit(machine.chat("ann").options(["--memory"]), (95, 24));
    ann.wait_text("I am bob");
    ann.type_text("half a");
    assert!(!resized(&ann, 95, 24).contains("● "));
    ann.resize(96, 24);
    // She goes by her key until she has said something.
    ann.wait("both", |screen| screen.contains("● bob·") && screen.rows().concat().matches("● ").count() == 2);
    ann.key(Key::F(2));
    ann.wait("no members", |screen| !screen.contains("● "));
    ann.key(Key::F(2));
    ann.wait_text("● bob·");
}

#[test]
fn no_window_is_too_small() {
    let ann = sit(Machine::loopback().chat("ann").options(["--memory"]), SIZE);
    ann.type_text("x");
    for (columns, rows) in [(1, 1), (2, 3), (20, 1), (1, 20), (10, 5), (80, 24)] {
        ann.resize(columns, rows);
    }
    ann.type_text("y");
    ann.wait("the window as before", |screen| screen.row(0).trim() == "lobby" && typed(screen) == "xy");
}

#[test]
fn a_key_and_a_change_of_size_at_once_are_both_noticed() {
    let ann = sit(Machine::loopback().chat("ann").options(["--memory"]), SIZE);
    for (number, letter) in ('a'..='z').cycle().take(60).enumerate() {
        let rows = if number % 2 == 0 { 20 } else { 24 };
        ann.resize(80, rows);
        ann.type_text(&letter.to_string());
        ann.wait("both", |screen| bar(screen).contains("alone") && screen.before_cursor() == letter.to_string());
    }
}

#[test]
fn the_screen_can_be_drawn_anew_without_a_question_to_the_terminal() {
    let mut ann = sit(Machine::loopback().chat("ann").options(["--memory"]), SIZE);
    ann.type_text("half a");
    let before = ann.wait("it", |screen| typed(screen) == "half a");
    let written = ann.raw().len();
    ann.key(Key::Ctrl('l'));
    // All of it once more: its first row, too, which has not changed.
    ann.type_text("x");
    ann.wait("the next key", |screen| typed(screen) == "half ax");
    let anew = String::from_utf8_lossy(&ann.raw()[written..]).into_owned();
    assert!(anew.contains("lobby"), "{anew:?}");
    assert_eq!(ann.screen().rows()[..23], before.rows()[..23]);
    stop(&mut ann);
    // An answer would come among the keys.
    assert_tame(&ann.raw(), &Allowed::default());
}

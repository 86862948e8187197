//! What is being typed: where the cursor is, what the keys do to it, lines and pastes.

use distchat_tests::{Chat, Key, Machine, Modifier, Terminal};

use crate::chat_screen::{SIZE, enter, sit, typed, wait_gone, wait_typed};

const ALT_ENTER: Key = Key::With(Modifier::Alt, &Key::Enter);

fn alone() -> Terminal {
    sit(Machine::loopback().chat("ann").options(["--memory"]), SIZE)
}

/// Somebody at a terminal, and who listens to them.
fn heard() -> (Terminal, Chat) {
    let machine = Machine::loopback();
    let ann = sit(machine.chat("ann").options(["--memory"]), SIZE);
    let bob = machine.chat("bob").options(["--memory"]).start();
    bob.wait_peers(1);
    (ann, bob)
}

#[track_caller]
fn wait_column(ann: &Terminal, column: u16) {
    ann.wait(&format!("the cursor in column {column}"), |screen| screen.cursor() == (column, SIZE.1 - 1));
}

#[test]
fn the_cursor_is_where_the_next_character_goes() {
    let ann = alone();
    let start = 2;
    wait_column(&ann, start);
    // Each with the columns that it takes: wide ones, an accent that is combined, and an emoji of three code points.
    let mut column = start;
    for (text, columns) in [("日本語", 6), ("e\u{301}", 1), ("🙂", 2), ("a", 1), ("👩\u{200d}💻", 2)] {
        ann.type_text(text);
        column += columns;
        wait_column(&ann, column);
    }
    // Back over each as over one character.
    for columns in [2, 1, 2, 1, 2, 2, 2] {
        ann.key(Key::Left);
        column -= columns;
        wait_column(&ann, column);
    }
    assert_eq!(column, start);
    ann.key(Key::End);
    wait_column(&ann, start + 12);
    for columns in [12, 10, 9, 7, 6] {
        wait_column(&ann, start + columns);
        ann.key(Key::Backspace);
    }
    wait_column(&ann, start + 4);
    ann.key(Key::Enter);
    ann.wait_text("│ 日本 ");
}

#[test]
fn a_long_line_goes_on_in_the_next_row() {
    let ann = alone();
    ann.type_text(&"日".repeat(50));
    // 39 of them fit into 78 columns.
    let screen = ann.wait("the cursor in the second row", |screen| screen.cursor() == (2 + 22, SIZE.1 - 1));
    assert_eq!(screen.row(SIZE.1 - 2), format!("› {}", "日".repeat(39)), "{screen}");
}

#[test]
fn what_is_typed_can_be_edited_and_had_back() {
    let ann = alone();
    ann.type_text("hello big world");
    for (key, expect) in [
        (Key::Ctrl('w'), "hello big"),
        (Key::Ctrl('u'), ""),
        (Key::Ctrl('z'), "hello big"),
        (Key::Ctrl('z'), "hello big world"),
        (Key::Ctrl('a'), "hello big world"),
        (Key::Delete, "ello big world"),
        (Key::Char('j'), "jello big world"),
        (Key::Alt('f'), "jello big world"),
        (Key::Ctrl('k'), "jello"),
        // It does not leave while there is something to lose.
        (Key::Ctrl('c'), ""),
        (Key::Ctrl('z'), "jello"),
    ] {
        ann.key(key);
        wait_typed(&ann, expect);
    }
    ann.key(Key::Enter);
    ann.wait("it said, and the line empty", |screen| screen.contains("│ jello") && typed(screen).is_empty());
}

#[test]
fn a_message_can_have_several_lines() {
    let (ann, bob) = heard();
    ann.type_text("one");
    ann.key(ALT_ENTER);
    ann.type_text("two");
    ann.key(Key::Ctrl('j'));
    ann.type_text("three");
    ann.wait("three rows", |screen| screen.rows().ends_with(&["› one", "  two", "  three"].map(str::to_owned)));
    ann.key(Key::Enter);
    bob.wait_text("one\ntwo\nthree");
    ann.wait("it said", |screen| screen.contains("│ three") && typed(screen).is_empty());
}

#[test]
fn a_short_paste_goes_in_and_a_long_one_asks_first() {
    let (ann, bob) = heard();
    ann.paste("first\nsecond");
    ann.wait("both lines", |screen| screen.rows().ends_with(&["› first", "  second"].map(str::to_owned)));
    ann.key(Key::Enter);
    bob.wait_text("first\nsecond");
    let long: Vec<_> = (1..=10).map(|line| format!("pasted {line}")).collect();
    let long = long.join("\n");
    ann.wait("the line empty", |screen| typed(screen).is_empty());
    ann.paste(&long);
    ann.wait_text("Paste 10 lines?");
    ann.key(Key::Escape);
    let screen = wait_gone(&ann, "Paste 10 lines?");
    assert_eq!(typed(&screen), "", "{screen}");
    ann.paste(&long);
    ann.wait_text("Paste 10 lines?");
    ann.key(Key::Enter);
    ann.wait("the last of them", |screen| !screen.contains("Paste") && typed(screen) == "pasted 10");
    ann.key(Key::Enter);
    bob.wait_text(&long);
}

#[test]
fn a_paste_of_many_characters_arrives_whole() {
    let (ann, bob) = heard();
    let words: Vec<_> = (0..1000).map(|word| format!("{word:04}")).collect();
    let text = words.join(" ");
    ann.paste(&text);
    ann.wait("its end", |screen| typed(screen).ends_with("0999"));
    ann.key(Key::Enter);
    bob.wait_text(&text);
}

#[test]
fn names_and_commands_are_completed() {
    let (ann, bob) = heard();
    bob.say("hello");
    ann.wait_text("hello");
    ann.type_text("bo");
    ann.key(Key::Tab);
    enter(&ann, "hi");
    bob.wait_text("bob: hi");
    ann.type_text("/fing");
    ann.key(Key::Tab);
    wait_typed(&ann, "/fingerprint");
}

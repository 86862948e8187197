//! What the chat remembers from one run to the next.

use distchat_tests::{Key, Machine, Modifier};

use crate::chat_screen::{SIZE, enter, sit, stop, wait_company, wait_room, wait_typed};

#[test]
fn typed_lines_and_a_draft_of_each_room_outlive_a_restart() {
    let machine = Machine::loopback();
    let launch = || machine.chat("ann").room("general").room("rust");
    let mut ann = sit(launch(), SIZE);
    enter(&ann, "the first line");
    enter(&ann, "the second line");
    ann.wait_text("│ the second line");
    ann.type_text("half a");
    ann.key(Key::Alt('2'));
    wait_room(&ann, "rust");
    wait_typed(&ann, "");
    ann.type_text("another half");
    ann.key(Key::With(Modifier::Alt, &Key::Up));
    wait_room(&ann, "general");
    wait_typed(&ann, "half a");
    stop(&mut ann);

    let ann = sit(launch(), SIZE);
    wait_typed(&ann, "half a");
    for (key, expect) in [
        (Key::Up, "the second line"),
        (Key::Up, "the first line"),
        (Key::Down, "the second line"),
        (Key::Down, "half a"),
    ] {
        ann.key(key);
        wait_typed(&ann, expect);
    }
    ann.key(Key::Alt('2'));
    wait_typed(&ann, "another half");
}

#[test]
fn what_was_said_meanwhile_is_below_a_line() {
    let machine = Machine::loopback();
    let bob = machine.chat("bob").start();
    let mut ann = sit(machine.chat("ann"), SIZE);
    wait_company(&ann);
    bob.say("before");
    let screen = ann.wait_text("before");
    assert!(!screen.contains("─ new ─"), "{screen}");
    stop(&mut ann);
    bob.say_and_wait("meanwhile, one");
    bob.say_and_wait("meanwhile, two");

    let ann = sit(machine.chat("ann"), SIZE);
    let screen = ann.wait("what is new", |screen| screen.contains("meanwhile, two") && screen.contains("─ new ─"));
    let row = |text| screen.find(text).map(|(_, row)| row);
    let rows = ["before", "─ new ─", "meanwhile, one", "meanwhile, two"].map(row);
    assert!(rows.is_sorted() && rows[0].is_some(), "{screen}");
    // Whoever answers has read it.
    enter(&ann, "thank you");
    ann.wait("the answer, and no line", |screen| screen.contains("thank you") && !screen.contains("─ new ─"));
}

//! Several rooms, what is new in them, and the mouse.

use distchat_tests::{Chat, Key, Machine, Terminal};

use crate::chat_screen::{SIZE, enter, sit, wait_company, wait_gone, wait_room, wait_typed};

/// Ann at a terminal and bob with a pipe, both in two rooms; she looks at the first, he talks in the second.
fn pair() -> (Terminal, Chat) {
    let machine = Machine::loopback();
    let launch = |name| machine.chat(name).room("general").room("rust").options(["--memory"]);
    let ann = sit(launch("ann"), SIZE);
    let bob = launch("bob").start();
    wait_company(&ann);
    // Until she has said something nobody can speak of her.
    enter(&ann, "here I am");
    bob.wait_text("here I am");
    bob.send("/join rust");
    (ann, bob)
}

#[test]
fn what_is_new_elsewhere_is_counted_and_gone_to() {
    let (ann, bob) = pair();
    ann.key(Key::Alt('2'));
    wait_room(&ann, "rust");
    enter(&ann, "here, too");
    bob.wait_text("here, too");
    ann.key(Key::Alt('1'));
    wait_room(&ann, "general");
    bob.say("hello, everybody");
    ann.wait_text("2 rust 1");
    bob.say("and you, Ann, above all");
    ann.wait_text("2 rust 2@1");
    ann.key(Key::Alt('a'));
    let screen = wait_room(&ann, "rust");
    assert!(screen.contains("─ new ─") && screen.contains("and you, Ann"), "{screen}");
    wait_gone(&ann, "2 rust 2");
    // One that is said to her is set off.
    ann.wait_text("┃ and you, Ann");
}

#[test]
fn on_a_narrow_screen_the_bar_tells_of_other_rooms() {
    let (ann, bob) = pair();
    ann.resize(50, 20);
    bob.say("hello");
    ann.wait("the count", |screen| screen.row(18).starts_with(" rust 1 · 1 peer"));
}

#[test]
fn a_click_goes_to_a_room_and_selects_a_message() {
    let (ann, bob) = pair();
    for number in 1..=60 {
        bob.say(&format!("line {number}."));
    }
    let screen = ann.wait_text("2 rust 60");
    let (column, row) = screen.find("rust").expect("the list of rooms");
    ann.click(column, row);
    wait_room(&ann, "rust");
    ann.wait_text("│ line 60.");

    ann.wheel(-3, 40, 10);
    let screen = ann.wait("older lines", |screen| screen.contains("▼ newest") && screen.contains("│ line 50."));
    assert!(!screen.contains("line 60."), "{screen}");
    ann.wheel(1, 40, 10);
    ann.wait_text("│ line 54.");
    bob.say("one more");
    let screen = ann.wait_text("▼ 1 new");
    let (column, row) = screen.find("▼").expect("the way to the newest");
    ann.click(column, row);
    let screen = ann.wait("the newest", |screen| screen.contains("│ one more") && !screen.contains("▼"));

    let (column, row) = screen.find("line 57.").expect("it is on the screen");
    ann.click(column, row);
    ann.wait("it selected", |screen| screen.cell(column, row).bgcolor() != screen.cell(column, row - 1).bgcolor());
    enter(&ann, "/reply that one");
    ann.wait_text("↪ bob: line 57.");
}

#[test]
fn a_click_on_a_name_writes_it() {
    let machine = Machine::loopback();
    let ann = sit(machine.chat("ann").options(["--memory"]), (120, 24));
    let bob = machine.chat("bob").options(["--memory"]).start();
    bob.say("hello");
    ann.wait_text("│ hello");
    let (column, row) = ann.wait_text("● bob").find("● bob").expect("it was there");
    ann.click(column + 2, row);
    ann.type_text("are you there?");
    wait_typed(&ann, "bob are you there?");
}

#[test]
fn rooms_are_opened_and_left() {
    let machine = Machine::loopback();
    let ann = sit(machine.chat("ann").options(["--memory"]), SIZE);
    enter(&ann, "/join projects");
    wait_room(&ann, "projects");
    ann.wait_text("2 projects");
    enter(&ann, "in the new one");
    ann.wait_text("│ in the new one");
    enter(&ann, "/leave");
    wait_room(&ann, "lobby");
    wait_gone(&ann, "2 projects");
    enter(&ann, "/leave");
    ann.wait_text("no room is open; /join ROOM opens one");
    enter(&ann, "/join projects");
    ann.wait_text("│ in the new one");
}

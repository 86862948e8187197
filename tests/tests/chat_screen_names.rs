//! Who is who, where names are the same or look so.

use distchat_tests::{Chat, Machine, Terminal};

use crate::chat_screen::{SIZE, enter, sit, wait_company};

/// Ann at a terminal, and somebody else of that name; both have said something.
fn meet(other: &str) -> (Terminal, Chat) {
    let machine = Machine::loopback();
    let ann = sit(machine.chat("one").nick("ana").options(["--memory"]), SIZE);
    let bob = machine.chat("two").nick(other).options(["--memory"]).start();
    wait_company(&ann);
    enter(&ann, "I am ana");
    bob.wait_text("I am ana");
    bob.say("no, I am");
    ann.wait_text("no, I am");
    (ann, bob)
}

#[test]
fn two_of_one_name_are_told_apart_by_their_keys() {
    let (ann, bob) = meet("ana");
    let hers = bob.wait_text("I am ana").author;
    for (author, text) in [(bob.author(), "no, I am"), (hers, "I am ana")] {
        let name = format!("ana·{} │ {text}", &author[..8]);
        ann.wait_text(&name);
    }
}

#[test]
fn a_name_that_looks_like_another_is_marked() {
    // The first letter is a Cyrillic one.
    let other = "\u{430}na";
    let (ann, bob) = meet(other);
    ann.wait_text(&format!("≈{other}·{} │ no, I am", &bob.author()[..8]));
    // Which of the two is the right one, only the reader can know.
    ann.wait("the other one, too", |screen| screen.contains("≈ana·"));
    bob.send("/nick carla");
    bob.say("then I am carla");
    ann.wait_text("carla·");
    bob.say("from now on");
    let screen = ann.wait_text("from now on");
    assert!(!screen.contains("≈carla"), "{screen}");
}

//! One key in two places. That is no error: both branches are kept, and both are shown.

use std::{fs, path::Path};

use distchat_tests::{
    Chat, Machine, PATIENCE,
    converge::{converged, reported},
    skip,
};

/// What is said before the copy is made, and so is the same in both.
const SHARED: [&str; 3] = ["one", "two", "three"];

#[test]
fn a_restored_copy_meets_the_original() {
    let machine = Machine::loopback();
    let restored = machine.directory().join("restored");
    let first = machine.chat("ann").room("general");
    let second = first.clone().data_dir(&restored);
    let ann = older_copy(first.start(), &restored);
    // Nobody else is there: the two have to meet directly.
    let again = second.start();
    assert_eq!(ann.author(), again.author());
    both_write(&ann, &again, &[&ann, &again]);
}

#[test]
fn one_key_on_two_hosts_of_a_lan() {
    let Some(lan) = skip::lan_or_skip(3) else {
        return;
    };
    let second = lan.host(1).chat("ann").room("general");
    let bob = lan.host(2).chat("bob").room("general").start();
    let ann = older_copy(lan.host(0).chat("ann").room("general").start(), &lan.host(1).data_dir());
    let again = second.start();
    both_write(&ann, &again, &[&ann, &again, &bob]);
}

#[test]
fn a_branch_that_nobody_saw_comes_back_with_its_copy() {
    let machine = Machine::loopback();
    let restored = machine.directory().join("restored");
    let first = machine.chat("ann").room("general");
    let second = first.clone().data_dir(&restored);
    // The two are never there at the same time; a third carries what it has heard from one to the other.
    let mut ann = older_copy(first.start(), &restored);
    ann.stop();
    let bob = machine.chat("bob").room("general").start();
    let mut again = second.start();
    again.say_and_wait("from the copy");
    bob.wait_text("from the copy");
    again.stop();
    ann.restart();
    ann.wait_text("from the copy");
    ann.say_and_wait("from the original");
    bob.wait_text("from the original");
    again.restart();
    again.wait_text("from the original");
    let history = converged(&[&ann, &again, &bob], &reported([&ann, &again]), PATIENCE);
    assert_eq!(history.len(), SHARED.len() + 4);
}

/// Has the chat say something, copies its profile to `to`, and has it go on: the copy is older.
fn older_copy(mut chat: Chat, to: &Path) -> Chat {
    for line in SHARED {
        chat.say_and_wait(line);
    }
    chat.stop();
    copy(&chat.launch().profile_dir(), &to.join("ann"));
    chat.restart();
    for line in ["four", "five"] {
        chat.say_and_wait(line);
    }
    chat
}

/// Both write before they know of each other and after, and everybody holds all of it.
fn both_write(ann: &Chat, again: &Chat, everybody: &[&Chat]) {
    for number in 0..20 {
        ann.say(&format!("original {number}"));
        again.say(&format!("copy {number}"));
    }
    ann.wait_text("copy 19");
    again.wait_text("original 19");
    ann.say_and_wait("the original, having seen the copy");
    again.say_and_wait("the copy, having seen the original");
    let history = converged(everybody, &reported([ann, again]), PATIENCE);
    assert_eq!(history.len(), SHARED.len() + 2 + 2 * 20 + 2);
    assert!(history.iter().all(|message| message.author == ann.author()));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

//! The end of input, signals, and what is safe when the program has ended.

use std::{fs, time::Duration};

use distchat_tests::{Chat, Machine, PATIENCE, is, is_message};

use crate::common::{pair, texts};

#[test]
fn alone_it_leaves_when_its_patience_is_over() {
    let finished = Machine::loopback().chat("ann").options(["--linger", "1"]).run(b"nobody hears me\n");
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(
        finished.stdout.iter().any(|event| event.contains("nobody hears me")),
        "it was stored and told: {finished:?}"
    );
}

#[test]
fn with_a_peer_it_leaves_once_the_peer_has_it_on_disk() {
    let machine = Machine::loopback();
    let mut bob = machine.chat("bob").room("general").start();
    let lines: Vec<_> = (0..200).map(|number| format!("line {number}")).collect();
    let mut ann = machine.chat("ann").room("general").options(["--linger", "3600"]).start();
    // No waiting for the connection, nor for the lines to be reported.
    for line in &lines {
        ann.say(line);
    }
    ann.close_input();
    let status = ann.wait_exit(PATIENCE);
    assert!(status.success(), "{status}: {}", ann.report());
    // Whatever only was in bob's memory is gone now, and nobody is left to ask.
    bob.restart();
    assert_eq!(texts(&bob.history()), lines);
}

#[test]
fn with_nothing_to_say_it_does_not_linger() {
    let machine = Machine::loopback();
    let _bob = machine.chat("bob").start();
    let finished = machine.chat("ann").options(["--linger", "3600"]).run(b"");
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

#[test]
fn told_to_stay_it_stays_until_it_is_told_to_go() {
    let machine = Machine::loopback();
    let mut ann = machine.chat("ann").options(["--stay"]).start();
    let bob = machine.chat("bob").start();
    ann.say_and_wait("I am a bot");
    ann.close_input();
    bob.wait_text("I am a bot");
    bob.say("are you?");
    ann.wait_text("are you?");
    ann.stop();
}

#[test]
fn quit_is_an_end_like_any_other() {
    let machine = Machine::loopback();
    let (mut ann, mut bob) = pair(&machine, &["general"]);
    ann.say("last words");
    ann.send("/quit");
    assert!(ann.wait_exit(PATIENCE).success());
    bob.wait_text("last words");
    bob.restart();
    assert_eq!(texts(&bob.history()), ["last words"]);
}

#[test]
fn what_was_reported_survives_sigkill_at_any_time() {
    let mut ann = Machine::loopback().chat("ann").start();
    for round in 0..5 {
        let mark = ann.mark();
        for number in 0..300 {
            ann.say(&format!("round {round}, line {number}"));
        }
        let enough = format!("round {round}, line {}", 40 * round);
        ann.wait_from(mark, "some of its lines", PATIENCE, |event| is_message(event, &enough));
        ann.restart();
        let held = ann.history();
        let lost = ann.reported().into_iter().find(|message| !held.contains(message));
        assert!(lost.is_none(), "reported as stored, and gone: {lost:?}");
    }
}

#[test]
fn in_memory_nothing_is_written() {
    let machine = Machine::loopback();
    let ann = machine.chat("ann").options(["--memory"]).start();
    let bob = machine.chat("bob").start();
    ann.say("off the record");
    bob.wait_text("off the record");
    assert!(!machine.data_dir().join("ann").exists(), "nothing of ann's is on disk");
    assert!(fs::read_dir(machine.data_dir()).unwrap().count() == 1, "but bob's is");
}

#[test]
fn the_history_is_there_again_and_continued() {
    let machine = Machine::loopback();
    let mut ann = machine.chat("ann").start();
    let before = ann.say_and_wait("first evening");
    ann.stop();
    ann.restart();
    assert_eq!(ann.history(), std::slice::from_ref(&before));
    let after = ann.say_and_wait("second evening");
    assert_eq!((after.author.clone(), ann.history()), (before.author.clone(), vec![before, after]));
}

#[test]
fn the_end_of_the_history_can_be_asked_for() {
    let ann = Machine::loopback().chat("ann").start();
    for number in 0..60 {
        ann.say(&format!("line {number}"));
    }
    ann.wait_text("line 59");
    assert_eq!(newest(&ann, "/history").len(), 50, "the default");
    assert_eq!(newest(&ann, "/history 3"), ["line 57", "line 58", "line 59"]);
    assert_eq!(newest(&ann, "/history 0").len(), 0);
}

fn newest(chat: &Chat, command: &str) -> Vec<String> {
    let answer = chat.ask(command, "history");
    let messages = answer["messages"].as_array().expect("an array");
    assert!(messages.iter().all(|message| message["text"].is_string()) && is(&answer, "history"));
    messages.iter().filter_map(|message| message["text"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_peer_that_leaves_is_told() {
    let machine = Machine::loopback();
    let (mut ann, bob) = pair(&machine, &["general"]);
    let peer = ann.ready("peer_id");
    let mark = bob.mark();
    ann.stop();
    bob.wait_from(mark, "ann gone", Duration::from_secs(30), |event| {
        is(event, "peer") && event["state"] == "disconnected" && event["peer_id"] == peer
    });
}

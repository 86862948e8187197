//! Rooms are apart from each other, and survive their own crashes.

use std::{collections::BTreeSet, thread, time::Duration};

use distchat_tests::{Chat, Machine, Mark, PATIENCE, converge::converged, is, is_message, is_room, transcript};

use crate::common::{pair, post, texts, wait_reported};

#[test]
fn without_a_room_it_is_the_lobby() {
    let ann = Machine::loopback().chat("ann").start();
    ann.wait_for("the lobby", PATIENCE, |event| is_room(event, "lobby", "open"));
    assert_eq!(rooms(&ann), [("lobby".to_owned(), "open".to_owned())]);
}

#[test]
fn spellings_of_a_room_are_one_room() {
    let machine = Machine::loopback();
    let (ann, bob) = (machine.chat("ann").room("General").start(), machine.chat("bob").room(" general ").start());
    ann.say("one room");
    bob.wait_for("it", PATIENCE, |event| is_message(event, "one room") && event["room"] == "general");
}

#[test]
fn what_is_said_in_a_room_stays_there() {
    let machine = Machine::loopback();
    let ann = machine.chat("ann").room("general").room("secret").start();
    let bob = machine.chat("bob").room("general").start();
    ann.send("/join secret");
    ann.say_and_wait("only for those who know of it");
    ann.send("/join general");
    ann.say_and_wait("for everybody");
    bob.wait_text("for everybody");
    assert_eq!(texts(&converged(&[&ann, &bob], &Default::default(), PATIENCE)), ["for everybody"]);
    let leaked =
        bob.events().iter().any(|event| event.to_string().contains("secret") || event.to_string().contains("who know"));
    assert!(!leaked, "{}", bob.report());
    ann.send("/join secret");
    assert_eq!(texts(&ann.history()), ["only for those who know of it"]);
}

#[test]
fn a_room_can_be_left_and_entered_again() {
    let machine = Machine::loopback();
    let (ann, bob) = pair(&machine, &["general", "side"]);
    ann.say_and_wait("before");
    bob.wait_text("before");

    let left = bob.mark();
    bob.send("/leave");
    bob.wait_from(left, "general left", PATIENCE, |event| is_room(event, "general", "left"));
    assert!(rooms(&bob).iter().all(|(room, _)| room != "general"), "{}", bob.report());
    ann.say_and_wait("while away");
    // In the other room they still hear each other, and what was said in the first before has not come through.
    ann.send("/join side");
    ann.say("in the side room");
    bob.wait_text("in the side room");
    assert!(!bob.events_from(left).iter().any(|event| is_message(event, "while away")), "{}", bob.report());

    ann.send("/join general");
    bob.send("/join general");
    bob.wait_text("while away");
    let history = converged(&[&ann, &bob], &Default::default(), PATIENCE);
    assert_eq!(texts(&history), ["before", "while away"]);
}

#[test]
fn a_room_opened_on_the_way_works_like_any_other() {
    let machine = Machine::loopback();
    let (ann, bob) = pair(&machine, &["general"]);
    for chat in [&ann, &bob] {
        chat.send("/join Projects");
        chat.wait_for("the room", PATIENCE, |event| is_room(event, "projects", "open"));
    }
    ann.say("in the new room");
    bob.wait_for("it", PATIENCE, |event| is_message(event, "in the new room") && event["room"] == "projects");
    assert_eq!(rooms(&bob).into_iter().map(|(room, _)| room).collect::<Vec<_>>(), ["general", "projects"]);
}

#[test]
fn crashes_of_a_room_lose_nothing_and_do_not_touch_another() {
    let machine = Machine::loopback();
    let (ann, bob) = pair(&machine, &["general", "other"]);
    bob.send("/join other");
    let (marks, flow) = ((ann.mark(), bob.mark()), Duration::from_secs(4));
    let (general, other) = (transcript::lines(0, 300), transcript::lines(1, 300));
    thread::scope(|scope| {
        scope.spawn(|| post(&ann, &general, flow));
        scope.spawn(|| post(&bob, &other, flow));
        for crash in 1..=3 {
            // In between, so that there is always something on its way.
            let heard = ann.mark();
            ann.wait_from(heard, "the flow", PATIENCE, |event| is(event, "message") && event["room"] == "other");
            let mark = ann.mark();
            ann.send("/crash general");
            ann.wait_from(mark, &format!("crash {crash} mended"), PATIENCE, |event| {
                is_room(event, "general", "restarted")
            });
        }
    });
    wait_reported(&ann, marks.0, &general);
    wait_reported(&bob, marks.1, &other);
    for (chat, mark) in [(&ann, marks.0), (&bob, marks.1)] {
        let noticed = chat
            .events_from(mark)
            .into_iter()
            .find(|event| is(event, "room") && event["room"] == "other" && event["state"] != "open");
        assert!(noticed.is_none(), "the other room noticed: {noticed:?}");
    }

    for (room, lines) in [("general", &general), ("other", &other)] {
        let stored =
            ann.reported().into_iter().chain(bob.reported()).filter(|message| lines.contains(&message.text.as_str()));
        let stored: BTreeSet<_> = stored.map(|message| message.id).collect();
        for chat in [&ann, &bob] {
            chat.send(&format!("/join {room}"));
        }
        let history = converged(&[&ann, &bob], &stored, PATIENCE);
        let (mut said, mut typed) = (texts(&history), lines.clone());
        said.sort_unstable();
        typed.sort_unstable();
        assert_eq!(said, typed, "in {room}");
    }
}

#[test]
fn the_sixth_crash_in_a_minute_leaves_the_room_failed_until_it_is_restarted() {
    let machine = Machine::loopback();
    let (ann, bob) = pair(&machine, &["general", "other"]);
    ann.say_and_wait("before the crashes");
    for crash in 1..=6 {
        let mark = ann.mark();
        ann.send("/crash general");
        let state = if crash < 6 { "restarted" } else { "failed" };
        ann.wait_from(mark, &format!("{state} after crash {crash}"), PATIENCE, |event| {
            is_room(event, "general", state)
        });
    }
    assert!(rooms(&ann).contains(&("general".to_owned(), "failed".to_owned())), "{}", ann.report());
    let refused = ann.mark();
    ann.say("into the void");
    ann.wait_from(refused, "a refusal", PATIENCE, |event| is(event, "error"));

    // The other room is as it was, in both directions.
    ann.send("/join other");
    ann.say("still here");
    bob.wait_text("still here");
    bob.send("/join other");
    bob.say("so am I");
    ann.wait_text("so am I");
    // Bob's room of that name is another task, and did not crash.
    bob.send("/join general");
    bob.say_and_wait("are you there, ann?");

    let mark = ann.mark();
    ann.send("/restart general");
    ann.wait_from(mark, "the room back", PATIENCE, |event| {
        is_room(event, "general", "restarted") || is_room(event, "general", "open")
    });
    ann.send("/join general");
    ann.wait_text("are you there, ann?");
    ann.say_and_wait("I am back");
    bob.wait_text("I am back");
    let history = converged(&[&ann, &bob], &Default::default(), PATIENCE);
    assert_eq!(texts(&history), ["before the crashes", "are you there, ann?", "I am back"]);
    assert!(!bob.events_from(Mark::START).iter().any(|event| is_message(event, "into the void")));
}

/// What `/rooms` says: names and states, in its order.
fn rooms(chat: &Chat) -> Vec<(String, String)> {
    let answer = chat.ask("/rooms", "rooms");
    let field = |room: &serde_json::Value, name: &str| room[name].as_str().unwrap_or_default().to_owned();
    answer["rooms"]
        .as_array()
        .expect("an array of rooms")
        .iter()
        .map(|room| (field(room, "room"), field(room, "state")))
        .collect()
}

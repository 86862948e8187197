//! A room that holds as much as it may takes nothing more in, says so, and goes on with a larger limit.

use distchat_tests::{Machine, PATIENCE, is, is_room};

use crate::common::texts;

#[test]
fn at_its_limit_a_room_takes_nothing_in_and_others_do_not_notice() {
    let machine = Machine::loopback();
    let start = |name: &str, limit: &str| machine.chat(name).room("general").env("DISTCHAT_ROOM_LIMIT", limit).start();
    let ann = start("ann", "1G");
    let mut bob = start("bob", "100K");
    bob.wait_peers(1);
    let line = |number: usize| format!("line {number} {}", "x".repeat(8000));
    bob.say_and_wait("there is place");
    for number in 0..30 {
        ann.say_and_wait(&line(number));
    }
    let paused = bob.wait_for("bob's room to be paused", PATIENCE, |event| is_room(event, "general", "paused"));
    let held = paused["messages"].as_u64().unwrap();
    assert!((10..30).contains(&held), "{held} messages of 8000 bytes");
    let told = bob.wait_for("bob to be told", PATIENCE, |event| is(event, "error") && event["code"] == "room-limit");
    for part in ["`general`", "100 KiB", "--room-limit"] {
        assert!(told["message"].as_str().unwrap().contains(part), "{told}");
    }
    let mark = bob.mark();
    bob.say("is there still?");
    let refused = bob.wait_from(mark, "a refusal", PATIENCE, |event| is(event, "error"));
    assert_eq!(refused["code"], "room-paused");

    // Its history can be read, and whoever comes gets from it what it has.
    let read = bob.history();
    assert!(texts(&read).contains(&"there is place"));
    ann.say_and_wait("as if nothing were");
    assert_eq!(bob.fingerprint().messages, held);

    // Still full, and then not any more.
    bob.restart();
    bob.wait_for("bob's room to be paused again", PATIENCE, |event| is_room(event, "general", "paused"));
    bob.restart_as(|launch| launch.env("DISTCHAT_ROOM_LIMIT", "10M"));
    bob.wait_text("as if nothing were");
    bob.say_and_wait("there is place again");
    ann.wait_text("there is place again");
    assert_eq!(ann.fingerprint(), bob.fingerprint());
}

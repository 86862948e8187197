//! What is told of where a message is.

use std::collections::BTreeSet;

use distchat_tests::{Machine, PATIENCE, is};

#[test]
fn who_has_a_message_on_disk_is_told_by_name() {
    let machine = Machine::loopback();
    let ann = machine.chat("ann").start();
    let mut others = [machine.chat("bob").start(), machine.chat("carol").start()];
    ann.wait_peers(2);
    let said = ann.say_and_wait("who has this?");
    let mut missing: BTreeSet<String> = others.iter().map(|other| other.author()).collect();
    while !missing.is_empty() {
        let receipt = ann.wait_for("a receipt", PATIENCE, |event| {
            is(event, "receipt")
                && event["through"] == said.id.as_str()
                && event["author"].as_str().is_some_and(|author| missing.contains(author))
        });
        assert_eq!(receipt["room"], "lobby");
        missing.remove(receipt["author"].as_str().unwrap());
    }
    // It is so: both are killed, and start with it while nobody else is there to have it from.
    for other in &mut others {
        other.kill9();
    }
    drop(ann);
    for other in &mut others {
        other.restart();
        assert!(other.history().iter().any(|message| message.text == "who has this?"));
        other.kill9();
    }
}

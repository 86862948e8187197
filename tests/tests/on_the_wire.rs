//! What somebody hears and can do who has the cable between two who talk.

use distchat_crdt::{RoomId, RoomName};
use distchat_tests::{Chat, Link, Machine, Mark, PATIENCE, is};

use crate::hostile::tcp;

const ROOM: &str = "the-back-room-of-the-tavern";

/// Two on machines of their own, who know each other by a line that somebody else holds.
fn apart() -> (Chat, Chat, Link) {
    let ann = Machine::loopback().chat("ann").nick("annabelle").room(ROOM).start();
    let link = Link::new(tcp(&ann), usize::MAX);
    let address = format!("/ip4/127.0.0.1/tcp/{}", link.address().port());
    let bob = Machine::loopback().chat("bob").nick("robert").room(ROOM).options(["--connect", &address]).start();
    ann.wait_peers(1);
    bob.wait_peers(1);
    (ann, bob, link)
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

#[test]
fn nothing_of_what_is_said_can_be_read() {
    let (ann, bob, link) = apart();
    let mut secrets: Vec<Vec<u8>> = Vec::new();
    for (from, to, name) in [(&ann, &bob, "annabelle"), (&bob, &ann, "robert")] {
        for number in 0..20 {
            let text = format!("{name} says in confidence: {number}");
            let said = from.say_and_wait(&text);
            to.wait_text(&text);
            secrets.extend([text.into_bytes(), bytes_of(&said.id)]);
        }
        secrets.extend([name.as_bytes().to_vec(), from.author().into_bytes(), bytes_of(&from.author())]);
    }
    let room = RoomId::of(&RoomName::parse(ROOM).unwrap());
    secrets.extend([ROOM.as_bytes().to_vec(), room.0.to_vec(), room.topic().to_string().into_bytes()]);
    secrets.push(room.topic().0.to_vec());

    let heard = link.heard();
    for (direction, bytes) in heard.iter().enumerate() {
        // All of it went this way: each has been told what the other said.
        assert!(bytes.len() > 20 * 200, "{direction}: {}", bytes.len());
        // That a line can be listened to, this shows: how a connection begins is said in the clear.
        assert!(contains(bytes, b"/multistream/1.0.0"), "{direction}");
        for secret in &secrets {
            assert!(!contains(bytes, secret), "{direction}: {:?} is in there", String::from_utf8_lossy(secret));
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn whoever_changes_a_byte_ends_the_connection_and_changes_nothing_else() {
    let (ann, bob, link) = apart();
    ann.say_and_wait("before");
    bob.wait_text("before");
    for number in 0..3 {
        let (calls, mark) = (link.calls(), bob.mark());
        link.change_one();
        ann.say_and_wait(&format!("line {number}"));
        bob.wait_from(mark, "the connection to end", PATIENCE, |event| {
            is(event, "peer") && event["state"] == "disconnected"
        });
        // It begins again, and then what was said comes as it was said.
        bob.wait_text(&format!("line {number}"));
        assert!(link.calls() > calls, "by the same connection");
    }
    let ids = |chat: &Chat| -> Vec<String> { chat.history().into_iter().map(|message| message.id).collect() };
    assert_eq!(ids(&ann), ids(&bob));
    assert_eq!(ids(&bob).len(), 4);
    assert_eq!(ann.fingerprint(), bob.fingerprint());
    let errors = bob.events_from(Mark::START).into_iter().filter(|event| is(event, "error")).count();
    assert_eq!(errors, 0, "{}", bob.report());
}

//! What somebody hears and can do who has the cable between two who talk.

use std::net::SocketAddr;

use distchat_crdt::{RoomId, RoomName};
use distchat_tests::{Chat, Link, Machine, Mark, PATIENCE, Packets, is};

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

/// The same over QUIC.
fn apart_by_quic() -> (Chat, Chat, Packets) {
    const ANYWHERE: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
    let ann = Machine::loopback().chat("ann").nick("annabelle").room(ROOM).listen(ANYWHERE).start();
    let listen = ann.ready("listen");
    let port = listen[0].as_str().and_then(|address| address.split('/').nth(4)?.parse().ok()).expect("a port");
    let packets = Packets::new(SocketAddr::from(([127, 0, 0, 1], port)));
    let address = format!("/ip4/127.0.0.1/udp/{}/quic-v1", packets.address().port());
    let bob = Machine::loopback().chat("bob").nick("robert").room(ROOM).listen(ANYWHERE);
    let bob = bob.options(["--connect", &address]).start();
    ann.wait_peers(1);
    bob.wait_peers(1);
    (ann, bob, packets)
}

/// Has the two say things to each other; what nobody else may read of it.
fn talk(ann: &Chat, bob: &Chat) -> Vec<Vec<u8>> {
    let mut secrets: Vec<Vec<u8>> = Vec::new();
    for (from, to, name) in [(ann, bob, "annabelle"), (bob, ann, "robert")] {
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
    secrets
}

fn assert_unreadable(heard: &[Vec<u8>; 2], secrets: &[Vec<u8>]) {
    for (direction, bytes) in heard.iter().enumerate() {
        // All of it went this way: each has been told what the other said.
        assert!(bytes.len() > 20 * 200, "{direction}: {}", bytes.len());
        for secret in secrets {
            assert!(!contains(bytes, secret), "{direction}: {:?} is in there", String::from_utf8_lossy(secret));
        }
    }
}

#[test]
fn nothing_of_what_is_said_can_be_read() {
    let (ann, bob, link) = apart();
    let secrets = talk(&ann, &bob);
    let heard = link.heard();
    // That a line can be listened to, this shows: how a connection begins is said in the clear.
    assert!(heard.iter().all(|bytes| contains(bytes, b"/multistream/1.0.0")));
    assert_unreadable(&heard, &secrets);
}

#[test]
fn nothing_of_what_is_said_can_be_read_over_quic() {
    let (ann, bob, packets) = apart_by_quic();
    let secrets = talk(&ann, &bob);
    let heard = packets.heard();
    // Packets by which a connection begins have a long header, with the version in it (RFC 9000, section 17.2).
    assert!(heard.iter().all(|bytes| bytes[0] & 0x80 != 0 && bytes[1..5] == [0, 0, 0, 1]));
    assert_unreadable(&heard, &secrets);
}

/// Both have the same so many messages, and nothing worth telling has happened.
#[track_caller]
fn have_heard_all(ann: &Chat, bob: &Chat, messages: usize) {
    let ids = |chat: &Chat| -> Vec<String> { chat.history().into_iter().map(|message| message.id).collect() };
    assert_eq!(ids(ann), ids(bob));
    assert_eq!(ids(bob).len(), messages);
    assert_eq!(ann.fingerprint(), bob.fingerprint());
    let errors = bob.events_from(Mark::START).into_iter().filter(|event| is(event, "error")).count();
    assert_eq!(errors, 0, "{}", bob.report());
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
    have_heard_all(&ann, &bob, 4);
}

#[test]
fn packets_that_somebody_changes_are_as_good_as_lost() {
    let (ann, bob, packets) = apart_by_quic();
    ann.say_and_wait("before");
    bob.wait_text("before");
    for number in 0..5 {
        packets.change(3);
        ann.say_and_wait(&format!("line {number}"));
        bob.wait_text(&format!("line {number}"));
    }
    assert!(packets.unchanged() < 3, "some were changed");
    have_heard_all(&ann, &bob, 6);
}

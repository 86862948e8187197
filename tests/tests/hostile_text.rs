//! A member whose program lets everything through: escapes, bidirectional controls, heaps of marks and what is no UTF-8, as
//! text, name, topic and reaction, and names that pass for others'. Whatever looks at the room, be it a chat, lines, JSON, a
//! command or a log, says none of it as it is.

use std::{fs, time::SystemTime};

use distchat_crdt::{
    Draft, Key, Keypair, Message, RoomId, RoomName, Timestamp, kind,
    sync::{Blob, Offer, Request, Response},
};
use distchat_hostile::{Connection, Member};
use distchat_tests::{
    Chat, Launch, Machine, PATIENCE, Terminal, is, is_message,
    tame::{Allowed, assert_tame},
};
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::{
    chat_screen::{enter, stop},
    hostile::{run, tcp},
};

/// The longest body, in bytes.
const MOST: usize = 16_384;
/// How many marks one character may bear.
const MARKS: usize = 6;
const SEED: [u8; 32] = [0x66; 32];

/// What nobody's program would say: each of it would do something, hide something, or is no text.
fn bodies() -> Vec<Vec<u8>> {
    let texts = [
        "\u{1b}]0;owned\u{7}",
        "\u{1b}]52;c;aGFja2Vk\u{1b}\\",
        "\u{1b}P+q544e\u{1b}\\\u{1b}[6n\u{1b}[21t",
        "\u{1b}[2J\u{1b}[3J\u{1b}[?1049l\u{1b}c",
        "\u{9b}2J\u{9d}0;owned\u{9c}\u{85}",
        "a\rb\nc\u{b}d\u{c}e\u{8}\u{7f}\u{0}",
        "two\u{2028}lines\u{2029}",
        "\u{202e}desrever\u{2066}\u{202c}\u{200f}\u{61c}",
        "in\u{200b}vi\u{2060}si\u{feff}ble\u{ad}\u{e0041}",
        "ana> I owe you a hundred [12:00] <bob",
        "* error: your disk is full",
        "{\"event\":\"error\"}",
    ];
    let mut bodies: Vec<Vec<u8>> = texts.map(|text| format!("owned {text} end").into_bytes()).to_vec();
    bodies.push(format!("e{}", "\u{301}".repeat(4_000)).into_bytes());
    bodies.push("\u{1f468}\u{200d}".repeat(2_000).into_bytes());
    bodies.push("\u{1b}".repeat(MOST - 40).into_bytes());
    bodies.extend(
        [&b"owned \xff\xfe\xc0\x80 end"[..], b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"", b"\x9b\x9d"]
            .map(<[u8]>::to_vec),
    );
    bodies
}

/// Says all that in the room, of every kind there is and of one that there is not.
fn say_all(somebody: &Chat, room: &str) -> usize {
    // Until the room is open nobody is let in.
    somebody.fingerprint();
    let node = tcp(somebody);
    let room = RoomId::of(&RoomName::parse(room).unwrap());
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let keys = Keypair::from_seed(SEED);
    let mut said: Vec<Message> = Vec::new();
    for body in bodies() {
        for kind in [kind::NICK, kind::TEXT, kind::ACTION, kind::REPLY, kind::REACTION, kind::TOPIC, 77] {
            let about = said.first().map_or(Key::MIN, Message::key).to_bytes();
            let body =
                if [kind::REPLY, kind::REACTION].contains(&kind) { [&about[..], &body].concat() } else { body.clone() };
            let draft = Draft {
                room,
                seq: said.len() as u64,
                time: Timestamp(Timestamp::from_millis(now).0 + said.len() as u64),
                prev: said.last().map(Message::key),
                seen: Vec::new(),
                kind,
                body,
            };
            said.push(draft.sign(&keys).unwrap());
        }
    }
    run(async {
        let connection = Connection::to(node).await.unwrap();
        let member = Member::entering(connection, room, Keypair::from_seed(SEED)).await.unwrap();
        for page in said.chunks(20) {
            let bytes: Vec<u8> = page.iter().flat_map(|message| message.bytes().iter().copied()).collect();
            let offer = Request::Offer(Offer { handle: member.handle(), messages: Blob::cut(bytes) });
            assert!(matches!(member.ask(&offer).await.unwrap(), Response::Offered(new) if new as usize == page.len()));
        }
    });
    said.len()
}

/// Checks all that a program has written where people or programs read lines.
fn assert_harmless(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|error| panic!("{what}: it is not UTF-8 ({error})"));
    let mut marks = 0;
    for (at, c) in text.char_indices() {
        let category = c.general_category();
        let acts = matches!(
            category,
            GeneralCategory::Control | GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator
        ) && c != '\n';
        // A family of emoji is joined by such characters.
        let hides = category == GeneralCategory::Format && c != '\u{200d}';
        marks = if c.general_category_group() == GeneralCategoryGroup::Mark { marks + 1 } else { 0 };
        assert!(!acts && !hides, "{what}: {c:?} in {:?}", around(text, at));
        assert!(marks <= MARKS, "{what}: a heap of marks in {:?}", around(text, at));
    }
}

fn around(text: &str, at: usize) -> String {
    text[..at].chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().chain(text[at..].chars().take(60)).collect()
}

/// Somebody whose room all that was said in; `launch` is how they look at it.
fn visited(machine: &Machine) -> (Chat, usize) {
    let ann = machine.chat("ann").start();
    let said = say_all(&ann, "lobby");
    ann.wait_for("the last of it", PATIENCE, |event| is(event, "message") && event["nick"] != "ann");
    (ann, said)
}

/// What a command writes, byte for byte.
fn written(launch: &Launch, arguments: &str) -> (Vec<u8>, Vec<u8>) {
    let output = launch.shell("sh").args(["-c", &format!("exec distchat {arguments}")]).output().unwrap();
    (output.stdout, output.stderr)
}

#[test]
fn no_line_and_no_object_says_it_as_it_is() {
    let machine = Machine::loopback();
    let (mut ann, said) = visited(&machine);
    assert_eq!(ann.fingerprint().messages, said as u64, "all of it is kept: a body is for people");
    ann.stop();
    let launch = ann.launch().clone();
    let mut owned = 0;
    for command in [
        "tail lobby -n 1000",
        "history lobby",
        "search owned",
        "rooms",
        "peers",
        "id",
        "verify",
        "config",
        "--linger 0",
    ] {
        for json in ["", "--json "] {
            for log in ["", "--log trace "] {
                let arguments = format!("{json}{log}{command}");
                let (stdout, stderr) = written(&launch, &format!("{arguments} </dev/null"));
                assert_harmless(&arguments, &stdout);
                assert_harmless(&arguments, &stderr);
                owned += String::from_utf8_lossy(&stdout).matches("owned").count();
            }
        }
    }
    assert!(owned > 100, "it is all in there, so that this tests something: {owned}");
    // To a program JSON says exactly what was said.
    let (stdout, _) = written(&launch, "--json tail lobby -n 1000");
    let exact = "owned \u{9b}2J\u{9d}0;owned\u{9c}\u{85} end";
    let objects = stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut objects = objects.map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap());
    assert!(objects.any(|object| is_message(&object, exact)));
}

#[test]
fn nothing_that_arrives_acts_on_who_reads_lines_or_a_log() {
    let machine = Machine::loopback();
    let bob = machine.chat("bob").start();
    let said = say_all(&bob, "lobby");
    let ann = machine.chat("ann").plain().options(["--log", "trace"]).start();
    // Three kinds of seven are lines, be they empty or not.
    let mut lines = 0;
    ann.wait_for("all of it", PATIENCE, |line| {
        lines += usize::from(line.is_string());
        lines > said / 3
    });
    bob.say("/that was all/");
    ann.wait_for("what is said behind it", PATIENCE, |line| {
        line.as_str().is_some_and(|line| line.contains("that was all"))
    });
    let lines: Vec<String> = ann.events().iter().map(|line| line.as_str().unwrap().to_owned()).collect();
    for line in lines.iter().chain(&ann.stderr()) {
        assert_harmless("a line", line.as_bytes());
    }
    // A name does not end before its end, so that nobody says in it what others have said.
    assert!(lines.iter().all(|line| !line.contains("<owned ana>")), "{lines:#?}");
}

#[test]
fn nothing_that_is_held_acts_on_a_terminal_or_its_log() {
    let machine = Machine::loopback();
    let (mut ann, _) = visited(&machine);
    ann.stop();
    let launch = ann.launch().clone();
    let bob = machine.chat("bob").start();
    let mut ann = Terminal::start(machine.chat("ann").options(["--log", "trace"]), (120, 50));
    // Both have much to say to each other, of which there is not yet a line.
    ann.wait("company", |screen| screen.contains("1 peer · "));
    say_all(&bob, "lobby");
    enter(&ann, "/who");
    ann.wait("the list", |screen| screen.contains("┌─") && screen.contains("message"));
    ann.resize(100, 40);
    bob.say("that was all");
    ann.wait_text("that was all");
    stop(&mut ann);
    let raw = ann.raw();
    assert_tame(&raw, &Allowed::default());
    let mut marks = 0;
    for c in String::from_utf8(raw).unwrap().chars() {
        marks = if c.general_category_group() == GeneralCategoryGroup::Mark { marks + 1 } else { 0 };
        assert!(marks <= MARKS);
    }
    assert_harmless("the log", &fs::read(launch.profile_dir().join("distchat.log")).unwrap());
}

#[test]
fn a_name_that_passes_for_another_never_stands_without_its_key() {
    let machine = Machine::loopback();
    let ann = machine.chat("one").nick("ana").start();
    let bob = machine.chat("two").start();
    let eve = machine.chat("three").plain().options(["--nick", "eve"]).start();
    ann.say_and_wait("I am ana");
    bob.wait_text("I am ana");
    eve.wait_for("it", PATIENCE, |line| line.as_str().is_some_and(|line| line.ends_with("<ana> I am ana")));
    let hers = ann.author();
    let (anas, bobs) = (&hers[..8], &bob.author()[..8]);
    // Of another script, with what cannot be seen, with the digits of her key beside it, and those alone.
    let tag = format!("ana·{}", &hers[..4]);
    for (number, name) in ["ana", "\u{430}na", "an\u{200b}a", "ANA", "ａｎａ", &tag, anas].into_iter().enumerate() {
        let text = format!("send it to me, {number}");
        bob.send(&format!("/nick {name}"));
        bob.say_and_wait(&text);
        let line = eve.wait_for(&text, PATIENCE, |line| line.as_str().is_some_and(|line| line.ends_with(&text)));
        let line = line.as_str().unwrap();
        assert!(line.contains(&format!(" {bobs}> ")), "{name:?} stands there without the key of who it is: {line}");
    }
    // And so does hers, as long as there is doubt: which of them is which only people can know.
    ann.say_and_wait("no, I am");
    let is_hers = |line: &str| line.ends_with("no, I am");
    let line = eve.wait_for("hers", PATIENCE, |line| line.as_str().is_some_and(is_hers));
    assert!(line.as_str().unwrap().contains("<ana"), "{line}");
    bob.send("/nick carla");
    bob.say_and_wait("then I am carla");
    let is_his = |line: &str| line.ends_with("then I am carla");
    let line = eve.wait_for("his", PATIENCE, |line| line.as_str().is_some_and(is_his));
    assert!(line.as_str().unwrap().contains("<carla>"), "{line}");
}

//! One node for all programs of a profile.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    thread,
    time::Instant,
};

use distchat_tests::{Chat, Key, Launch, Machine, PATIENCE, Terminal, gauge, is};
use serde_json::{Value, json};

use crate::chat_screen::{SIZE, enter};

const IN_USE: i32 = 3;

/// A service for that profile.
fn daemon(launch: Launch) -> Chat {
    let chat = launch.room("general").options(["daemon"]).start();
    chat.wait_for("its room", PATIENCE, |event| is(event, "room"));
    chat
}

/// A person at a terminal of that profile.
fn sit(machine: &Machine) -> Terminal {
    let terminal = Terminal::start(machine.chat("ann").room("general"), SIZE);
    terminal.wait("the room", |screen| screen.row(0).contains("general") && !screen.contains("…"));
    terminal
}

#[track_caller]
fn send(machine: &Machine, text: &str) {
    let finished = machine.chat("ann").options(["send", "general", text]).run(b"");
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

/// Which process runs the node of the profile, if another than the one that asks.
fn host(machine: &Machine) -> Option<u64> {
    let finished = machine.chat("ann").options(["id"]).run(b"");
    let id: Value = serde_json::from_str(&finished.stdout[0]).unwrap();
    id["process"].as_u64()
}

#[test]
fn several_chats_and_commands_use_one_node() {
    let machine = Machine::loopback();
    let bob = machine.chat("bob").room("general").start();
    let mut daemon = daemon(machine.chat("ann"));
    assert!(host(&machine).is_some());
    let (mut left, mut right) = (sit(&machine), sit(&machine));
    enter(&left, "from the left");
    right.wait_text("from the left");
    enter(&right, "from the right");
    left.wait_text("from the right");
    send(&machine, "from a command");
    bob.wait_text("from a command");
    for terminal in [&left, &right] {
        terminal.wait_text("from a command");
    }
    bob.say("from outside");
    for terminal in [&left, &right] {
        terminal.wait_text("from outside");
    }
    // Rooms are the node's: what one opens the other can go to, and what one leaves is closed.
    enter(&left, "/join rust");
    right.wait_text("rust");
    enter(&left, "/leave");
    right.wait("one room", |screen| !screen.contains("rust"));

    // Whoever leaves does not take the node along.
    left.key(Key::Ctrl('c'));
    assert_eq!(left.wait_exit(), Some(0));
    enter(&right, "still here");
    bob.wait_text("still here");
    right.key(Key::Ctrl('c'));
    assert_eq!(right.wait_exit(), Some(0));
    daemon.stop();
    // Nobody was told to stop, and all that was said is there once.
    let mine = bob.history().into_iter().filter(|message| message.author != bob.author()).map(|message| message.text);
    let said = ["from the left", "from the right", "from a command", "still here"];
    assert_eq!(mine.collect::<Vec<_>>(), said);
}

#[test]
fn what_the_network_has_counted_is_told_wherever_the_node_is() {
    let machine = Machine::loopback();
    let bob = machine.chat("bob").room("general").start();
    let _daemon = daemon(machine.chat("ann"));
    let guest = machine.chat("ann").room("general").start();
    bob.wait_peers(1);
    let deadline = Instant::now() + PATIENCE;
    for (speaker, hearer) in [(&bob, &guest), (&guest, &bob)] {
        // What is said before the other has told of its rooms does not come by gossip.
        while hearer.ask("/counters", "counters")["gossip_received"].as_u64().unwrap() == 0 {
            assert!(Instant::now() < deadline, "nothing was counted");
            speaker.say_and_wait("hello");
        }
    }
}

#[test]
fn a_chat_goes_on_when_the_service_is_killed_and_started_again() {
    let machine = Machine::loopback();
    let mut daemon = daemon(machine.chat("ann"));
    let ann = sit(&machine);
    for round in 0..3 {
        let text = format!("before {round}");
        enter(&ann, &text);
        ann.wait("it said", |screen| screen.find(&text).is_some_and(|(_, row)| row < SIZE.1 - 2));
        // A command's turn comes when it is known that what was said before is on the disk; until then it would be given
        // back when the node goes.
        enter(&ann, &format!("/topic round {round}"));
        ann.wait("the topic", |screen| screen.row(0).contains(&format!("round {round}")));
        ann.wait("no news of the round before", |screen| !screen.contains("has ended"));
        daemon.kill9();
        ann.wait_text("has ended");
        // What is typed meanwhile waits for the next one.
        let text = format!("between {round}");
        enter(&ann, &text);
        daemon.restart();
        ann.wait_text("there is a node again");
        ann.wait("it said", |screen| screen.find(&text).is_some_and(|(_, row)| row < SIZE.1 - 2));
    }
    enter(&ann, "/topic the last");
    ann.wait("the topic", |screen| screen.row(0).contains("the last"));
    drop(ann);
    let history = machine.chat("ann").options(["history", "general"]).run(b"");
    let texts: Vec<Value> =
        history.stdout.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].clone()).collect();
    let expect: Vec<Value> =
        (0..3).flat_map(|round| [json!(format!("before {round}")), json!(format!("between {round}"))]).collect();
    assert_eq!(texts, expect);
}

#[test]
fn a_command_waits_for_others_though_its_node_is_killed() {
    let machine = Machine::loopback();
    let mut daemon = daemon(machine.chat("ann"));
    let mut waiting = Chat::start(machine.chat("ann").options(["send", "general", "whoever comes", "--wait", "1"]));
    waiting.wait_for("that it is on the own disk", PATIENCE, |event| is(event, "said"));
    daemon.kill9();
    daemon.restart();
    let bob = machine.chat("bob").room("general").start();
    let on = waiting.wait_for("that it is on a disk", PATIENCE, |event| is(event, "on_disks"));
    assert_eq!(on["on"], json!([bob.author()]));
    assert!(waiting.wait_exit(PATIENCE).success());
}

#[test]
fn a_command_waits_for_others_though_one_node_after_another_ends() {
    let machine = Machine::loopback();
    let mut chats: Vec<Terminal> = (0..4).map(|_| sit(&machine)).collect();
    let mut waiting = Chat::start(machine.chat("ann").options(["send", "general", "whoever comes", "--wait", "1"]));
    waiting.wait_for("that it is on the own disk", PATIENCE, |event| is(event, "said"));
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "nobody runs the node");
        // Whoever asks may have run it meanwhile, if it came between two.
        let Some(host) = host(&machine) else { continue };
        let Some(at) = chats.iter().position(|chat| u64::from(chat.pid()) == host) else { break };
        let mut chat = chats.remove(at);
        chat.key(Key::Ctrl('c'));
        assert_eq!(chat.wait_exit(), Some(0));
    }
    let bob = machine.chat("bob").room("general").start();
    let on = waiting.wait_for("that it is on a disk", PATIENCE, |event| is(event, "on_disks"));
    assert_eq!(on["on"], json!([bob.author()]));
    assert!(waiting.wait_exit(PATIENCE).success());
}

#[test]
fn what_follows_is_printed_once_though_the_next_node_is_reached_late() {
    let machine = Machine::loopback();
    let bob = machine.chat("bob").room("general").start();
    let mut daemon = daemon(machine.chat("ann"));
    let tail = Chat::start(machine.chat("ann").options(["tail", "general", "-f"]));
    let mut said = vec!["the beginning".to_owned()];
    bob.say("the beginning");
    tail.wait_text("the beginning");
    for _ in 0..3 {
        // It sleeps while the node is another, and misses what is said meanwhile.
        gauge::stop(tail.pid());
        daemon.kill9();
        daemon.restart();
        let awake = Chat::start(machine.chat("ann").options(["tail", "general", "-f"]));
        // When it wakes up, more is just arriving.
        for number in 0..600 {
            said.push(said.len().to_string());
            bob.say(&said[said.len() - 1]);
            if number == 100 {
                awake.wait_text(&said[said.len() - 1]);
                gauge::resume(tail.pid());
            }
        }
        for text in &said {
            tail.wait_text(text);
        }
    }
    let mut printed: Vec<String> = tail.events().iter().map(|event| event["text"].as_str().unwrap().into()).collect();
    printed.sort();
    said.sort();
    assert_eq!(printed, said);
}

#[test]
fn a_chat_runs_the_node_itself_when_the_one_that_did_ends() {
    let machine = Machine::loopback();
    let bob = machine.chat("bob").room("general").start();
    // Without a service the first chat runs the node.
    let mut first = sit(&machine);
    let (second, third) = (sit(&machine), sit(&machine));
    let before = host(&machine).unwrap();
    enter(&second, "through the first");
    bob.wait_text("through the first");
    first.key(Key::Ctrl('c'));
    assert_eq!(first.wait_exit(), Some(0));
    for terminal in [&second, &third] {
        terminal.wait_text("there is a node again");
    }
    enter(&third, "through another");
    second.wait_text("through another");
    bob.wait_text("through another");
    let after = host(&machine).unwrap();
    assert!(after != before && [second.pid(), third.pid()].map(u64::from).contains(&after));
}

#[test]
fn whoever_leaves_at_once_has_said_what_they_typed() {
    let machine = Machine::loopback();
    let daemon = daemon(machine.chat("ann"));
    let mut ann = sit(&machine);
    for number in 0..20 {
        enter(&ann, &number.to_string());
    }
    ann.key(Key::Ctrl('c'));
    assert_eq!(ann.wait_exit(), Some(0));
    let history = machine.chat("ann").options(["history", "general"]).run(b"");
    let texts = history.stdout.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].clone());
    assert_eq!(texts.collect::<Vec<_>>(), (0..20).map(|number| json!(number.to_string())).collect::<Vec<_>>());
    drop(daemon);
}

#[test]
fn much_is_said_and_told_at_once() {
    let machine = Machine::loopback();
    let daemon = daemon(machine.chat("ann"));
    // More in each direction than sockets hold, so that neither side may wait for the other to read first.
    let input: String = (0..400).map(|number| format!("{number} {}\n", "x".repeat(15_000))).collect();
    let finished = machine.chat("ann").room("general").options(["--linger", "0"]).run(input.as_bytes());
    assert_eq!(finished.code, Some(0), "{:?}", finished.stderr);
    let told = finished.stdout.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(told.filter(|event| is(event, "message")).count(), 400);
    drop(daemon);
}

#[test]
fn what_scripts_say_at_once_is_all_said_in_order() {
    let machine = Machine::loopback();
    let daemon = daemon(machine.chat("ann"));
    let scripts: Vec<_> = (0..4)
        .map(|script| {
            let launch = machine.chat("ann").options(["send", "general", "--lines"]);
            thread::spawn(move || {
                let input: String = (0..100).map(|line| format!("{script} {line}\n")).collect();
                launch.run(input.as_bytes()).code
            })
        })
        .collect();
    assert!(scripts.into_iter().all(|script| script.join().unwrap() == Some(0)));
    let history = machine.chat("ann").options(["history", "general", "-n", "1000"]).run(b"");
    let texts: Vec<String> = history
        .stdout
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(texts.len(), 400);
    for script in 0..4 {
        let prefix = format!("{script} ");
        let own: Vec<&String> = texts.iter().filter(|text| text.starts_with(&prefix)).collect();
        assert_eq!(own, (0..100).map(|line| format!("{script} {line}")).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    }
    drop(daemon);
}

/// A program that speaks the protocol without any of our code.
struct Raw(BufReader<UnixStream>);

impl Raw {
    fn attach(launch: &Launch) -> (Self, Value) {
        let stream = UnixStream::connect(launch.profile_dir().join("socket")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut raw = Self(BufReader::new(stream));
        let hello = raw.line().unwrap();
        (raw, hello)
    }

    fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn ask(&mut self, question: Value) -> Value {
        self.say(&question.to_string());
        self.until(|line| line["id"] == question["id"])
    }

    /// Reads on up to that.
    #[track_caller]
    fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let (start, mut last) = (Instant::now(), Value::Null);
        while start.elapsed() < PATIENCE {
            last = self.line().expect("more to read");
            if wanted(&last) {
                return last;
            }
        }
        panic!("it does not come; the last: {last}");
    }
}

#[test]
fn the_socket_is_for_this_user_and_speaks_json() {
    let machine = Machine::loopback();
    let launch = machine.chat("ann");
    let mut daemon = daemon(launch.clone());
    let socket = launch.profile_dir().join("socket");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(launch.profile_dir()).unwrap().permissions().mode() & 0o777, 0o700);

    let (mut raw, hello) = Raw::attach(&launch);
    assert_eq!((&hello["distchat"], &hello["face"], &hello["profile"]), (&json!(1), &json!("daemon"), &json!("ann")));
    assert_eq!(hello["author"], daemon.author().as_str());
    let said = raw.ask(json!({"id": 7, "do": "say", "room": "general", "text": "by hand"}));
    assert_eq!(said["answer"]["message"]["text"], "by hand", "{said}");
    let problem = raw.ask(json!({"id": 8, "do": "say", "room": "rust", "text": "by hand"}));
    assert_eq!(problem["problem"]["code"], "room-not-open", "{problem}");
    let problem = raw.ask(json!({"id": 9, "do": "dance"}));
    assert_eq!(problem["problem"]["code"], "question", "{problem}");
    raw.say("not json");
    assert_eq!(raw.line().unwrap()["problem"]["code"], "question");

    // Whoever says too much is not heard any more, and nobody else notices.
    let (mut rude, _) = Raw::attach(&launch);
    let sent = rude.0.get_mut().write_all(&vec![b'x'; 4 << 20]);
    assert!(sent.is_err() || rude.line().is_none());
    assert_eq!(raw.ask(json!({"id": 10, "do": "watch"}))["answer"], "done");
    raw.say(&json!({"id": 11, "do": "say", "room": "general", "text": "seen"}).to_string());
    // What was said before may come first.
    raw.until(|line| line["event"]["message"]["message"]["text"] == "seen");

    // It says good-bye, and how far it came.
    daemon.sigterm();
    let bye = raw.until(|line| !line["bye"].is_null());
    assert_eq!(bye, json!({"bye": 11}));
    assert_eq!(daemon.wait_exit(PATIENCE).code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn a_node_of_another_version_is_named() {
    let machine = Machine::loopback();
    let launch = machine.chat("ann");
    fs::create_dir_all(launch.profile_dir()).unwrap();
    let listener = UnixListener::bind(launch.profile_dir().join("socket")).unwrap();
    let other = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"{\"distchat\":99,\"pid\":4711,\"of\":[\"another\",\"time\"]}\n").unwrap();
    });
    let finished = launch.options(["send", "general", "hello"]).run(b"");
    other.join().unwrap();
    assert_eq!(finished.code, Some(IN_USE), "{finished:?}");
    let said = finished.stderr.join(" ");
    assert!(said.contains("process 4711") && said.contains("version 99"), "{said}");
}

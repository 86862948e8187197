//! The commands for scripts, as scripts run them.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use distchat_tests::{
    Chat, Finished, Key, Launch, Machine, PATIENCE, Screen, Terminal, binary::workspace, is, is_room, skip::lan_or_skip,
};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::chat_screen::enter;

/// Ends with that: see `distchat --help`.
const USAGE: i32 = 2;
const UNCONFIRMED: i32 = 7;
const NOTHING: i32 = 8;
const DAMAGED: i32 = 9;

fn ran(launch: Launch, command: &[&str]) -> Finished {
    launch.options(command).run(b"")
}

/// What a command that must succeed prints, without colours and for people.
#[track_caller]
fn lines(launch: Launch, command: &[&str]) -> Vec<String> {
    let finished = ran(launch.plain(), command);
    assert_eq!(finished.code, Some(0), "{command:?}: {finished:?}");
    finished.stdout
}

/// The same for programs.
#[track_caller]
fn events(launch: Launch, command: &[&str]) -> Vec<Value> {
    let finished = ran(launch, command);
    assert_eq!(finished.code, Some(0), "{command:?}: {finished:?}");
    finished.stdout.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The texts of lines such as `[2026-11-23 18:00] <ann> hello`.
fn texts(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split_once("> ").unwrap_or_else(|| panic!("{line:?}")).1).collect()
}

/// A profile that does not wait for others when a command ends.
fn alone(machine: &Machine) -> Launch {
    machine.chat("ann").options(["--linger", "0"])
}

#[test]
fn what_one_command_says_the_next_one_reads() {
    let machine = Machine::loopback();
    assert!(
        lines(alone(&machine), &["send", "general", "hello", "world"]).is_empty(),
        "it says nothing if all is well"
    );
    let finished = alone(&machine).plain().options(["send", "general"]).run(b"two\nlines\n");
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let finished = alone(&machine).plain().options(["send", "general", "--lines"]).run(b"one\n\ntwo\nthree");
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let said = events(alone(&machine), &["send", "general", "--", "--bye"]);
    assert!(said.len() == 1 && is(&said[0], "said") && said[0]["text"] == "--bye", "{said:?}");

    let all = ["hello world", "two\u{240a}lines", "one", "two", "three", "--bye"];
    assert_eq!(texts(&lines(alone(&machine), &["history", "general"])), all);
    assert_eq!(texts(&lines(alone(&machine), &["history", "general", "-n", "2"])), all[4..]);
    assert_eq!(texts(&lines(alone(&machine), &["history", "general", "--since", "1h"])), all);
    assert!(lines(alone(&machine), &["history", "general", "--until", "1h"]).is_empty());
    assert_eq!(texts(&lines(alone(&machine), &["tail", "general", "-n", "3"])), all[3..]);
    let told = events(alone(&machine), &["tail", "general", "--since", "2000-01-01"]);
    assert_eq!(told.iter().map(|event| event["text"].as_str().unwrap()).collect::<Vec<_>>()[1], "two\nlines");
    assert!(told.iter().all(|event| is(event, "message") && event["room"] == "general"));
}

#[test]
fn what_is_found_is_printed_and_nothing_is_an_exit_code() {
    let machine = Machine::loopback();
    lines(alone(&machine), &["send", "general", "a whale in the kitchen"]);
    lines(alone(&machine), &["send", "rust", "no such animal"]);
    let found = lines(alone(&machine), &["search", "KITCHEN", "whal"]);
    assert!(found.len() == 1 && found[0].starts_with("general [") && found[0].ends_with("a whale in the kitchen"));
    let found = events(alone(&machine), &["search", "animal"]);
    assert_eq!(found[0]["messages"][0]["room"], "rust");
    let nothing = ran(alone(&machine), &["search", "elephant"]);
    assert_eq!(nothing.code, Some(NOTHING), "{nothing:?}");
}

#[test]
fn what_follows_is_printed_as_it_arrives() {
    let machine = Machine::loopback();
    lines(alone(&machine), &["send", "general", "before"]);
    let mut tail = Chat::start(machine.chat("ann").options(["tail", "general", "-n", "1", "-f"]));
    tail.wait_text("before");
    for text in ["one", "two"] {
        // It uses the node that `tail` runs.
        lines(machine.chat("ann"), &["send", "general", text]);
        tail.wait_text(text);
    }
    lines(machine.chat("ann"), &["send", "other", "elsewhere"]);
    lines(machine.chat("ann"), &["send", "general", "three"]);
    tail.wait_text("three");
    let told: Vec<_> = tail.events().iter().map(|event| event["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, ["before", "one", "two", "three"]);
    tail.sigterm();
    assert_eq!(tail.wait_exit(PATIENCE).code(), Some(0));
}

#[test]
fn who_and_what_is_there_is_listed() {
    let machine = Machine::loopback();
    let bob = machine.chat("bob").room("general").start();
    let ann = machine.chat("ann").room("general").start();
    ann.wait_peers(1);
    let id = &events(machine.chat("ann"), &["id"])[0];
    assert_eq!(id["author"], ann.author().as_str());
    assert!(id["process"].is_u64() && id["directory"].as_str().unwrap().ends_with("ann"), "{id}");
    let peers = events(machine.chat("ann"), &["peers"]);
    assert_eq!(peers[0]["peers"][0]["author"], bob.author().as_str(), "{peers:?}");
    let room = |name: &str| {
        let rooms = events(machine.chat("ann"), &["rooms"]).remove(0);
        rooms["rooms"].as_array().unwrap().iter().find(|room| room["room"] == name).cloned()
    };
    assert_eq!(room("general").unwrap()["peers"], 1);
    // A room that is not open, and one that only others are in, whose name they do not tell.
    lines(machine.chat("ann"), &["send", "rust", "hello"]);
    ann.send("/join rust");
    ann.send("/leave");
    ann.wait_for("its leaving", PATIENCE, |event| is_room(event, "rust", "left"));
    assert_eq!(room("rust").unwrap()["state"], "closed");
    bob.send("/join secret");
    bob.wait_for("a room of his own", PATIENCE, |event| is_room(event, "secret", "open"));
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let rooms = events(machine.chat("ann"), &["rooms"]).remove(0);
        if rooms["rooms"].as_array().unwrap().iter().any(|room| room["room"].is_null() && room["peers"] == 1) {
            assert!(!rooms.to_string().contains("secret"));
            return;
        }
    }
    panic!("bob's other room is not seen");
}

/// A room of some people, in a file.
fn stick(machine: &Machine, name: &str) -> PathBuf {
    for nick in ["ann", "bob"] {
        let input: String = (0..200).map(|number| format!("{nick} {number}\n")).collect();
        let options = ["--linger", "0", "send", "general", "--lines"];
        let finished = machine.chat(nick).plain().options(options).run(input.as_bytes());
        assert_eq!(finished.code, Some(0), "{finished:?}");
    }
    let stick = machine.directory().join(name);
    let path = stick.to_str().unwrap();
    lines(alone(machine), &["export", "general", "-o", path]);
    stick
}

#[track_caller]
fn imported(launch: Launch, files: &[&Path]) -> (Option<i32>, Vec<Value>) {
    let finished = launch.options(["import"]).options(files).run(b"");
    (finished.code, finished.stdout.iter().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn a_room_is_carried_on_a_stick() {
    let machine = Machine::loopback();
    let file = stick(&machine, "general.room");
    let mark = |launch: Launch| {
        let judged = events(launch, &["verify"]);
        judged.iter().find(|event| event["room"] == "general").unwrap()["fingerprint"].clone()
    };
    // To somebody whom no network has ever reached, while a chat of theirs is open, and once more.
    let carol = machine.chat("carol").options(["--connect", "/ip4/127.0.0.1/tcp/1"]).room("other").start();
    let (code, told) = imported(machine.chat("carol"), &[&file]);
    assert_eq!((code, &told[0]["rooms"][0]["new"]), (Some(0), &json!(200 + 1)), "{told:?}");
    let (code, told) = imported(machine.chat("carol"), &[&file, &file]);
    assert_eq!((code, &told[1]["rooms"][0]["known"]), (Some(0), &json!(200 + 1)), "{told:?}");
    assert_eq!(mark(alone(&machine)), mark(machine.chat("carol")));
    carol.send("/join general");
    carol.wait_for("the room", PATIENCE, |event| is_room(event, "general", "open"));
    let texts: Vec<String> = carol.history().into_iter().map(|message| message.text).collect();
    assert!(texts.contains(&"ann 0".to_owned()) && texts.contains(&"ann 199".to_owned()));

    // A room that there is not, and a file that is none.
    let finished = ran(alone(&machine).plain(), &["export", "nowhere", "-o", "/dev/null"]);
    assert_eq!(finished.code, Some(NOTHING), "{finished:?}");
    let finished = ran(alone(&machine).plain(), &["import", "Cargo.toml"]);
    assert_eq!(finished.code, Some(USAGE), "{finished:?}");
}

#[test]
fn of_a_file_that_somebody_has_changed_only_what_is_valid_enters() {
    let machine = Machine::loopback();
    let file = stick(&machine, "general.room");
    let whole = fs::read(&file).unwrap();
    // A word that somebody is to have said.
    let at = whole.windows(7).position(|bytes| bytes == b"ann 100").unwrap();
    let mut forged = whole.clone();
    forged[at..at + 7].copy_from_slice(b"ann 666");
    let cut = &whole[..whole.len() / 2];
    for (name, bytes) in [("forged", &forged[..]), ("cut", cut)] {
        let path = machine.directory().join(name);
        fs::write(&path, bytes).unwrap();
        let (code, told) = imported(machine.chat(name), &[&path]);
        assert_eq!(code, Some(DAMAGED), "{name}: {told:?}");
        let room = &told[0]["rooms"][0];
        let count = |kind: &str| room[kind].as_u64().unwrap();
        let all = ["new", "known", "unvouched", "foreign", "malformed"].map(count).into_iter().sum::<u64>();
        assert_eq!(told[0]["messages"], all, "{name}: {told:?}");
        let said = texts(&lines(machine.chat(name).options(["--linger", "0"]), &["history", "general", "-n", "500"]))
            .join(" ");
        assert!(said.contains("ann 199") && !said.contains("666"), "{name}: {said}");
        // What is whole mends it.
        let (code, told) = imported(machine.chat(name), &[&file]);
        assert_eq!(code, Some(0), "{name}: {told:?}");
        let said = texts(&lines(machine.chat(name), &["history", "general", "-n", "500"])).join(" ");
        assert!((0..200).all(|number| said.contains(&format!("ann {number}"))), "{name}");
    }
}

#[test]
fn a_history_that_was_changed_is_found_out() {
    let machine = Machine::loopback();
    stick(&machine, "general.room");
    let judged = events(alone(&machine), &["verify"]);
    let room = judged.iter().find(|event| event["room"] == "general").unwrap();
    assert!(room["messages"] == room["fine"] && room["problems"] == json!([]), "{room}");
    let history = alone(&machine).profile_dir().join("history.sqlite3");
    let bytes = fs::read(&history).unwrap();
    let at = bytes.windows(7).position(|bytes| bytes == b"ann 100").unwrap();
    let mut changed = bytes;
    changed[at..at + 7].copy_from_slice(b"ann 666");
    fs::write(&history, changed).unwrap();
    let finished = ran(alone(&machine), &["verify"]);
    assert_eq!(finished.code, Some(DAMAGED), "{finished:?}");
    let told = finished.stdout.join("\n");
    assert!(told.contains("\"changed\""), "{told}");
    let finished = ran(alone(&machine).plain(), &["verify"]);
    assert!(finished.stderr.iter().any(|line| line.contains("its bytes were changed")), "{finished:?}");
}

#[test]
fn how_a_command_ended_is_told_by_its_exit_code() {
    let machine = Machine::loopback();
    for (command, code, word) in [
        (&["send", "a/b", "x"][..], USAGE, "slash"),
        (&["send"], USAGE, "ROOM"),
        (&["send", "general", "x", "--lines"], USAGE, "--lines"),
        (&["send", "general", ""], USAGE, "empty"),
        (&["send", "general", "x", "--timeout", "soon"], USAGE, "seconds"),
        (&["send", "general", "x", "--wait", "1", "--timeout", "0.1"], UNCONFIRMED, "on 0 other disks"),
        (&["tail", "general", "--since", "soon"], USAGE, "10m"),
        (&["search"], USAGE, "WORDS"),
        (&["search", "?!"], USAGE, "no word"),
        (&["search", "elephant"], NOTHING, "nothing was found"),
        (&["completions", "tcl"], USAGE, "zsh"),
        (&["man", "woman"], USAGE, "woman"),
        (&["dance"], USAGE, "dance"),
    ] {
        let finished = ran(alone(&machine).plain(), command);
        assert_eq!(finished.code, Some(code), "{command:?}: {finished:?}");
        assert!(finished.stderr.iter().any(|line| line.contains(word)), "{command:?}: {finished:?}");
    }
    // What is too long is refused whole, and nothing is said.
    let text = "x".repeat(100_000);
    let finished = alone(&machine).plain().options(["send", "general"]).run(text.as_bytes());
    assert_eq!(finished.code, Some(USAGE), "{finished:?}");
    assert_eq!(texts(&lines(alone(&machine), &["tail", "general"])), ["x"], "the unconfirmed one is there");
}

/// How many senders are killed before those who have what they sent are killed as well.
const BATCH: usize = 50;

/// Kills so many senders, each once it says that two others have what it sent, and removes their disks.
fn kill_senders(times: usize) {
    let machine = Machine::loopback();
    let mut keepers = ["bob", "carol"].map(|name| machine.chat(name).room("general").start());
    let mut wanted = BTreeSet::new();
    while wanted.len() < times {
        let dial: Vec<String> = keepers.iter().flat_map(|keeper| ["--connect".to_owned(), address(keeper)]).collect();
        for _ in 0..BATCH.min(times - wanted.len()) {
            let text = format!("number {}", wanted.len());
            // Somebody else each time, whose key and history are gone with them.
            let ann = machine.chat(&format!("ann{}", wanted.len())).options(&dial);
            let directory = ann.profile_dir();
            let mut ann = Chat::start(ann.options(["send", "general", &text, "--wait", "2", "--timeout", "60"]));
            let told = ann.wait_for("that two have it on disk", PATIENCE, |event| is(event, "on_disks"));
            ann.kill9();
            fs::remove_dir_all(directory).unwrap();
            assert!(told["on"].as_array().unwrap().len() >= 2, "{told}");
            wanted.insert(text);
        }
        // What is on a disk is what somebody has who was killed and is alone.
        keepers.iter_mut().for_each(Chat::kill9);
        for keeper in &mut keepers {
            keeper.restart();
            let history = keeper.ask(&format!("/history {times}"), "history");
            let held = history["messages"].as_array().unwrap().iter().map(|message| message["text"].as_str().unwrap());
            let held: BTreeSet<String> = held.map(str::to_owned).collect();
            assert_eq!(held, wanted);
            keeper.kill9();
        }
        keepers.iter_mut().for_each(Chat::restart);
    }
}

fn address(chat: &Chat) -> String {
    chat.ready("listen")[0].as_str().unwrap().to_owned()
}

#[test]
fn what_two_others_have_on_disk_outlives_its_sender() {
    kill_senders(30);
}

/// The long form of [`what_two_others_have_on_disk_outlives_its_sender`], some minutes of it.
#[test]
#[ignore = "takes minutes"]
fn what_two_others_have_on_disk_outlives_its_sender_a_thousand_times() {
    kill_senders(1000);
}

#[test]
fn commands_work_between_the_hosts_of_a_lan() {
    let Some(lan) = lan_or_skip(3) else { return };
    let service = |host| lan.host(host).chat(&format!("host{host}"));
    let mut services: Vec<Chat> =
        (0..3).map(|host| service(host).options(["daemon", "--room", "general"]).start()).collect();
    // Nobody was told of anybody: they find each other.
    let finished = service(0).plain().options(["send", "general", "over there", "--wait", "2"]).run(b"");
    assert_eq!(finished.code, Some(0), "{finished:?}");
    services[0].kill9();
    fs::remove_dir_all(service(0).profile_dir()).unwrap();
    for (host, other) in [(1, 2), (2, 1)] {
        assert_eq!(texts(&lines(service(host), &["tail", "general"])), ["over there"]);
        let author = &events(service(other), &["id"])[0]["author"];
        // Both heard it from the first one, so they may not have met yet.
        let until = Instant::now() + PATIENCE;
        let met = |peers: &[Value]| peers[0]["peers"].as_array().unwrap().iter().any(|peer| peer["author"] == *author);
        while !met(&events(service(host), &["peers"])) {
            assert!(Instant::now() < until, "{host} and {other} do not meet");
        }
    }
    // Without any service: each command is a node of its own, and waits for somebody to take what it says.
    services[1].stop();
    lines(service(1), &["send", "general", "from a node of a moment"]);
    assert_eq!(texts(&lines(service(2), &["tail", "general", "-n", "1"])), ["from a node of a moment"]);
}

/// The block of the README that begins with that line.
fn readme_block(first: &str) -> String {
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    let blocks = readme.split("\n```").map(|block| block.split_once('\n').map_or("", |(_, text)| text));
    blocks.into_iter().find(|block| block.starts_with(first)).unwrap_or_else(|| panic!("no {first:?}")).to_owned()
}

#[test]
fn the_bot_of_the_readme_answers() {
    let machine = Machine::loopback();
    let script = readme_block("#!/bin/sh");
    assert!(script.lines().filter(|line| !line.is_empty()).count() <= 5, "{script}");
    let bob = machine.chat("bob").room("general").start();
    let bot = machine.chat("bot");
    let path = machine.directory().join("bot");
    fs::write(&path, &script).unwrap();
    let mut running = Running(bot.shell("sh").arg(&path).process_group(0).spawn().unwrap());
    bob.wait_peers(1);
    let until = Instant::now() + PATIENCE;
    let answer = loop {
        // What is said before the bot listens is history to it.
        bob.say_and_wait("!date");
        let mark = bob.mark();
        let answer = |event: &&std::sync::Arc<Value>| is(event, "message") && event["own"] == false;
        bob.pause(mark, Duration::from_secs(1));
        if let Some(answer) = bob.events().iter().find(answer) {
            break answer.clone();
        }
        assert!(Instant::now() < until, "no answer");
    };
    assert!(answer["text"].as_str().unwrap().contains("20"), "{answer}");
    assert_eq!(answer["nick"], "bot");
    // Now that it listens, whoever asks once is answered.
    let mark = bob.mark();
    bob.say("!date");
    bob.wait_from(mark, "another answer", PATIENCE, |event| is(event, "message") && event["own"] == false);
    assert!(running.0.try_wait().unwrap().is_none(), "it goes on");
}

/// A process and all that it started, which are killed when the test ends.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        kill_process_group(Pid::from_child(&self.0), Signal::KILL).unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn how_far_long_work_is_shows_on_a_terminal_and_nowhere_else() {
    let machine = Machine::loopback();
    let typed: String = (0..300).map(|n| format!("line {n}\n")).collect();
    let said = alone(&machine).options(["send", "general", "--lines"]).run(typed.as_bytes());
    assert_eq!(said.code, Some(0), "{said:?}");
    let bundle = machine.directory().join("general.bundle");
    let path = bundle.to_str().unwrap();
    for command in [&["export", "general", "-o", path][..], &["import", path], &["verify"]] {
        let mut terminal = Terminal::start(alone(&machine).options(command), (100, 10));
        assert_eq!(terminal.wait_exit(), Some(0), "{command:?}: {}", terminal.screen());
        let bar = " messages, ";
        assert!(String::from_utf8_lossy(&terminal.raw()).contains(bar), "{command:?} shows no bar");
        assert!(!terminal.screen().contains(bar), "{command:?} leaves its bar behind: {}", terminal.screen());
        let piped = ran(alone(&machine), command);
        assert!(!piped.stderr.iter().any(|line| line.contains(bar)), "{piped:?}");
    }
}

/// A shell that a person types into, with the completions that the program makes for it.
fn completing(name: &str, prepare: &[&str]) -> Terminal {
    let machine = Machine::loopback();
    let launch = machine.chat("ann");
    let mut command = launch.shell(name);
    command.args(if name == "zsh" { &["-f", "-i"][..] } else { &["--norc", "--noprofile", "-i"] });
    let shell = Terminal::run(launch, command, (100, 40));
    for line in prepare {
        enter(&shell, line);
    }
    enter(&shell, "PS1='re''ady '; clear");
    shell.wait("a prompt", |screen| is_typed(screen, "ready "));
    shell
}

/// Whether that is in the cursor's row, and the cursor behind it and perhaps a blank.
fn is_typed(screen: &Screen, text: &str) -> bool {
    let (column, row) = screen.cursor();
    let length = text.trim_end().chars().count();
    screen.row(row).trim_end() == text.trim_end() && (length..=length + 1).contains(&usize::from(column))
}

/// Types what is begun, and waits for what becomes of it.
#[track_caller]
fn completes(shell: &Terminal, begun: &str, whole: &str) {
    shell.type_text(begun);
    shell.key(Key::Tab);
    shell.wait(whole, |screen| is_typed(screen, &format!("ready {whole}")));
    shell.key(Key::Ctrl('u'));
    shell.wait("a prompt", |screen| is_typed(screen, "ready "));
}

#[test]
fn bash_completes_commands_and_options() {
    let shell = completing("bash", &["source <(distchat completions bash)"]);
    completes(&shell, "distchat sen", "distchat send");
    completes(&shell, "distchat send general --wa", "distchat send general --wait");
}

#[test]
fn zsh_completes_commands_and_options() {
    if Command::new("zsh").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "zsh is not installed");
        eprintln!("skipped: zsh is not installed");
        return;
    }
    let shell = completing("zsh", &["autoload -U compinit; compinit -u -D", "source <(distchat completions zsh)"]);
    completes(&shell, "distchat sen", "distchat send");
    completes(&shell, "distchat send --wa", "distchat send --wait=");
}

#[test]
fn there_is_a_manual_page_of_everything() {
    let machine = Machine::loopback();
    let page = lines(alone(&machine), &["man"]).join("\n");
    assert!(page.contains(".TH distchat 1") && page.contains("Exit codes"), "{page}");
    let page = lines(alone(&machine), &["man", "send"]).join("\n");
    assert!(page.contains("\\-\\-wait") && page.contains("on this machine"), "{page}");
}

#[test]
fn every_command_is_in_the_readme_with_its_test() {
    let machine = Machine::loopback();
    let help = lines(alone(&machine), &["--help"]);
    let commands = help.iter().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert!(commands.len() >= 10, "{help:?}");
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    for command in commands {
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{command}")));
        let row = row.unwrap_or_else(|| panic!("the README's table lacks {command}"));
        let shown = row.rsplit('|').nth(1).unwrap();
        for test in shown.split('`').filter(|word| word.contains("::")) {
            let (module, name) = test.split_once("::").unwrap();
            let source = fs::read_to_string(workspace().join(format!("tests/tests/{module}.rs"))).unwrap_or_default();
            assert!(source.contains(&format!("fn {name}(")), "{command}: there is no test {test}");
        }
        assert!(shown.contains("::"), "{row} names no test");
    }
}

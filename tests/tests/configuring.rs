//! Options from flags, from the environment and from a file: which of them counts, and what `distchat config` says.

use std::fs;

use distchat_tests::{Chat, Finished, Launch, Machine};
use serde_json::Value;

const USAGE: i32 = 2;

#[test]
fn the_stronger_layer_opens_its_rooms() {
    let machine = Machine::loopback();
    write_usual(&machine, "room = [\"filed\", \"second\"]\nnick = \"Zoë\"\n");
    let chat = machine.chat("ann").start();
    assert_eq!(rooms(&chat), ["filed", "second"]);
    assert_eq!(chat.say_and_wait("hello").nick, "Zoë");
    drop(chat);
    let chat = machine.chat("ann").env("DISTCHAT_ROOM", "exported, third").start();
    assert_eq!(rooms(&chat), ["exported", "third"]);
    drop(chat);
    let chat = machine.chat("ann").env("DISTCHAT_ROOM", "exported").room("typed").start();
    assert_eq!(rooms(&chat), ["typed"]);
}

#[test]
fn what_config_prints_is_a_file_that_puts_the_same_in_force() {
    let machine = Machine::loopback();
    write_usual(&machine, "# mine\nroom = \"general\"\nlinger = 0.5\nstay = true\nnick = '''\"\\'''\n");
    let asked = |launch: Launch| launch.env("DISTCHAT_NAME", "exported").bare();
    let printed = asked(machine.chat("ann").plain()).options(["config", "--memory"]).refused();
    assert_eq!((printed.code, printed.stderr.len()), (Some(0), 0), "{printed:?}");
    let first = values(&asked(machine.chat("ann")).options(["config", "--memory"]).refused());
    for line in [
        "room = [\"general\"]  # file, line 2",
        "name = \"exported\"  # environment: DISTCHAT_NAME",
        "memory = true  # flag",
        "nick = \"\\\"\\\\\"  # file, line 5",
        "# data-dir is not set",
    ] {
        assert!(printed.stdout.iter().any(|each| each == line), "{line}: {printed:#?}");
    }
    let path = machine.directory().join("printed.toml");
    fs::write(&path, printed.stdout.join("\n")).unwrap();
    let second = values(&machine.chat("ann").bare().options(["--config", path.to_str().unwrap(), "config"]).refused());
    assert_eq!(first, second);
}

#[test]
fn a_mistake_in_the_file_is_told_in_one_line() {
    let machine = Machine::loopback();
    let file = machine.config_file();
    for (text, line, words) in [
        ("room = \"a\"\nlinger = \"soon\"\n", 2, ["'soon'", "linger", "seconds"]),
        ("\nrom = \"a\"\n", 2, ["`rom`", "`room`", "meant"]),
        ("room = [\"a\"", 1, ["column 12", "unclosed", "`]`"]),
        ("\"\\u001b[31m\" = 1\n", 1, ["there is no option", "␛[31m", "--help"]),
    ] {
        write_usual(&machine, text);
        for launch in [machine.chat("ann"), machine.chat("ann").options(["config"])] {
            let finished = launch.refused();
            assert_eq!((finished.code, finished.stderr.len()), (Some(USAGE), 1), "{text:?}: {finished:?}");
            let place = format!("distchat: {}, line {line}", file.display());
            assert!(finished.stderr[0].starts_with(&place), "{text:?}: {finished:?}");
            assert!(words.iter().all(|word| finished.stderr[0].contains(word)), "{words:?}: {finished:?}");
        }
    }
    // Whoever asks for help gets it all the same.
    assert_eq!(machine.chat("ann").plain().options(["--help"]).refused().code, Some(0));
}

#[test]
fn a_file_that_is_named_has_to_be_there() {
    let machine = Machine::loopback();
    let finished = machine.chat("ann").options(["--config", "/nowhere/at.all"]).refused();
    assert_eq!((finished.code, finished.stderr.len()), (Some(USAGE), 1), "{finished:?}");
    let finished = machine.chat("ann").env("DISTCHAT_CONFIG", "/nowhere/at.all").refused();
    assert_eq!(finished.code, Some(USAGE), "{finished:?}");
    assert!(finished.stderr[0].contains("/nowhere/at.all"), "{finished:?}");
}

fn write_usual(machine: &Machine, text: &str) {
    let file = machine.config_file();
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// The open rooms, by name.
fn rooms(chat: &Chat) -> Vec<String> {
    let answer = chat.ask("/rooms", "rooms");
    let mut rooms: Vec<String> =
        answer["rooms"].as_array().unwrap().iter().map(|room| room["room"].as_str().unwrap().to_owned()).collect();
    rooms.sort();
    rooms
}

/// The options and their values, from the JSON that `distchat config` prints.
fn values(finished: &Finished) -> Vec<(Value, Value)> {
    assert_eq!((finished.code, finished.stdout.len()), (Some(0), 1), "{finished:?}");
    let object: Value = serde_json::from_str(&finished.stdout[0]).unwrap();
    let options = object["options"].as_array().unwrap().clone();
    options.into_iter().map(|option| (option["option"].clone(), option["value"].clone())).collect()
}

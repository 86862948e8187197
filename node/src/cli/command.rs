//! What a typed line asks for.

use distchat_node::{Multiaddr, RoomName};

use super::args;
use crate::attach::Problem;

/// How many messages `/history` shows unless told.
pub(crate) const HISTORY: usize = 50;
/// The most that `/history` shows, as they pass through memory.
const MAX_HISTORY: usize = 1_000_000;

/// What `/help` says.
pub(crate) const HELP: &[(&str, &str)] = &[
    ("/join ROOM", "open a room, or switch to it if it is open"),
    ("/leave", "leave the current room; its history stays"),
    ("/me DOES", "tell what you do: * ana waves"),
    ("/reply TEXT", "answer the selected message, else the newest of somebody else"),
    ("/react EMOJI", "say what you think of it; without an emoji, take that back"),
    ("/topic [TEXT]", "show what the room is about, or say so; `/topic -` takes it away"),
    ("/search WORDS", "find messages in all rooms that hold all these words"),
    ("/who", "list who is in the room, and who was"),
    ("/mute WHO", "hide what somebody writes, by name or key; /mute lists whom"),
    ("/unmute WHO", "show it again"),
    ("/rooms", "list the open rooms"),
    ("/peers", "list who is connected"),
    ("/counters", "show how much gossip came, and what the network dropped or refused"),
    ("/connect ADDR", "connect to an address, such as /ip4/192.168.1.20/tcp/4001"),
    ("/history [N]", "show the newest N messages of the room (50)"),
    ("/fingerprint", "show the room's fingerprint: equal ones mean equal histories"),
    ("/nick NAME", "change the name shown beside your messages"),
    ("/crash [ROOM]", "crash a room's task, to watch it come back"),
    ("/restart [ROOM]", "start a room again that has given up"),
    ("/help", "this list"),
    ("/quit", "leave the chat"),
];

/// A typed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Nothing at all.
    Nothing,
    /// A message to the current room.
    Text(String),
    /// A command.
    Command(Command),
    /// Something that looks like a command, and why it is none.
    Wrong(Problem),
}

/// What a person asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Join(RoomName),
    Leave,
    Me(String),
    Reply(String),
    /// An emoji; empty takes the last one back.
    React(String),
    /// A new one; empty takes it away.
    Topic(Option<String>),
    Search(String),
    Who,
    Mute(Option<String>),
    Unmute(String),
    Rooms,
    Peers,
    Counters,
    Connect(Multiaddr),
    History(usize),
    Fingerprint,
    Nick(String),
    Crash(Option<RoomName>),
    Restart(Option<RoomName>),
    Help,
    Quit,
}

/// Reads a line: a command if it starts with a slash, and two stand for one that is meant.
pub(crate) fn read(line: String) -> Typed {
    match line.strip_prefix('/') {
        None if line.is_empty() => Typed::Nothing,
        None => Typed::Text(line),
        Some(text) if text.starts_with('/') => Typed::Text(text.to_owned()),
        Some(command) => parse(command).map_or_else(Typed::Wrong, Typed::Command),
    }
}

fn parse(text: &str) -> Result<Command, Problem> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let word = word.to_ascii_lowercase();
    // How it is used, should it turn out to be used otherwise.
    let known = HELP.iter().map(|(usage, _)| *usage).find(|usage| usage.split(' ').next() == Some(&format!("/{word}")));
    let usage = known.unwrap_or_default();
    let wrong = |why: String| Problem::new("usage", format!("{why}; usage: {usage}"));
    let given = |what: &str| if rest.is_empty() { Err(wrong(format!("/{word} needs {what}"))) } else { Ok(rest) };
    let alone = |command| if rest.is_empty() { Ok(command) } else { Err(wrong(format!("/{word} takes nothing more"))) };
    let room = |text: &str| RoomName::parse(text).map_err(|error| wrong(error.to_string()));
    let perhaps_room = || if rest.is_empty() { Ok(None) } else { room(rest).map(Some) };
    match word.as_str() {
        "join" => room(given("the name of a room")?).map(Command::Join),
        "leave" => alone(Command::Leave),
        "me" => given("what you do").map(|text| Command::Me(text.to_owned())),
        "reply" => given("a text").map(|text| Command::Reply(text.to_owned())),
        "react" => Ok(Command::React(rest.to_owned())),
        "topic" if rest.is_empty() => Ok(Command::Topic(None)),
        "topic" => Ok(Command::Topic(Some(if rest == "-" { String::new() } else { rest.to_owned() }))),
        "search" => given("words").map(|words| Command::Search(words.to_owned())),
        "who" => alone(Command::Who),
        "mute" if rest.is_empty() => Ok(Command::Mute(None)),
        "mute" => Ok(Command::Mute(Some(rest.to_owned()))),
        "unmute" => given("a name or a key").map(|who| Command::Unmute(who.to_owned())),
        "rooms" => alone(Command::Rooms),
        "peers" => alone(Command::Peers),
        "counters" => alone(Command::Counters),
        "connect" => args::address(given("an address")?).map(Command::Connect).map_err(wrong),
        "history" if rest.is_empty() => Ok(Command::History(HISTORY)),
        "history" => match rest.parse::<usize>() {
            Ok(newest) => Ok(Command::History(newest.min(MAX_HISTORY))),
            Err(_) => Err(wrong(format!("`{rest}` is not a number of messages"))),
        },
        "fingerprint" => alone(Command::Fingerprint),
        "nick" => given("a name").map(|nick| Command::Nick(nick.to_owned())),
        "crash" => perhaps_room().map(Command::Crash),
        "restart" => perhaps_room().map(Command::Restart),
        "help" => alone(Command::Help),
        "quit" => alone(Command::Quit),
        _ => Err(Problem::new(
            "unknown-command",
            format!("there is no command /{word}; /help lists them, and // starts a message with a slash"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str) -> RoomName {
        RoomName::parse(name).unwrap()
    }

    #[test]
    fn lines_are_messages_unless_they_start_with_a_slash() {
        let text = |text: &str| Typed::Text(text.to_owned());
        for (line, expect) in [
            ("", Typed::Nothing),
            ("hello", text("hello")),
            (" ", text(" ")),
            (" /join x", text(" /join x")),
            ("//join x", text("/join x")),
            ("///", text("//")),
            ("/quit", Typed::Command(Command::Quit)),
        ] {
            assert_eq!(read(line.to_owned()), expect, "{line:?}");
        }
    }

    #[test]
    fn commands_are_understood() {
        for (line, expect) in [
            ("join General", Command::Join(room("general"))),
            ("JOIN   general  ", Command::Join(room("general"))),
            ("leave", Command::Leave),
            ("me waves  at all", Command::Me("waves  at all".to_owned())),
            ("reply yes", Command::Reply("yes".to_owned())),
            ("react", Command::React(String::new())),
            ("react 👍", Command::React("👍".to_owned())),
            ("topic", Command::Topic(None)),
            ("topic -", Command::Topic(Some(String::new()))),
            ("topic whales and ships", Command::Topic(Some("whales and ships".to_owned()))),
            ("search two words", Command::Search("two words".to_owned())),
            ("who", Command::Who),
            ("mute", Command::Mute(None)),
            ("mute ana", Command::Mute(Some("ana".to_owned()))),
            ("unmute 0707", Command::Unmute("0707".to_owned())),
            ("rooms", Command::Rooms),
            ("peers ", Command::Peers),
            ("counters", Command::Counters),
            ("connect /ip4/10.0.0.1/tcp/1", Command::Connect("/ip4/10.0.0.1/tcp/1".parse().unwrap())),
            ("history", Command::History(50)),
            ("history 0", Command::History(0)),
            ("history 3", Command::History(3)),
            ("history 18446744073709551615", Command::History(MAX_HISTORY)),
            ("fingerprint", Command::Fingerprint),
            ("nick Ann of Kent", Command::Nick("Ann of Kent".to_owned())),
            ("crash", Command::Crash(None)),
            ("crash x", Command::Crash(Some(room("x")))),
            ("restart\tx", Command::Restart(Some(room("x")))),
            ("help", Command::Help),
            ("quit", Command::Quit),
        ] {
            assert_eq!(parse(line), Ok(expect), "{line:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_command_is_said() {
        for (line, code, expect) in [
            ("", "unknown-command", "/help"),
            ("jion x", "unknown-command", "no command /jion"),
            ("join", "usage", "usage: /join ROOM"),
            ("join a b", "usage", "space"),
            ("join a/b", "usage", "slash"),
            ("leave x", "usage", "usage: /leave"),
            ("me", "usage", "usage: /me DOES"),
            ("unmute", "usage", "usage: /unmute WHO"),
            ("connect", "usage", "usage: /connect ADDR"),
            ("connect 10.0.0.1:1", "usage", "/ip4/192.168.1.20"),
            ("history x", "usage", "usage: /history [N]"),
            ("history -1", "usage", "not a number"),
            ("nick ", "usage", "usage: /nick NAME"),
            ("crash a b", "usage", "space"),
            ("quit now", "usage", "usage: /quit"),
        ] {
            let complaint = parse(line).unwrap_err();
            assert_eq!(complaint.code, code, "{line:?}");
            assert!(complaint.message.contains(expect), "{line:?}: {}", complaint.message);
        }
    }

    #[test]
    fn help_lists_every_command() {
        for (usage, _) in HELP {
            let word = usage.trim_start_matches('/').split(' ').next().unwrap();
            let result = parse(word);
            assert!(!result.is_err_and(|problem| problem.code == "unknown-command"), "{usage}");
        }
    }
}

//! The options, checked while they are parsed: what gets past this can be used.
//!
//! A field of [`Args`] is all that an option takes: `settings` has it from the environment and the file, too, and
//! `distchat config` shows it, with what is said here.

mod help;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::{ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser};
use distchat_node::{Multiaddr, RoomName};
use tracing_subscriber::EnvFilter;

use super::commands::Verb;
use crate::chat::notify::Notify;
use crate::chat::theme::Ground;

/// What is logged when nobody asks: the warnings of this project's own crates, but for those of the supervisor, which are
/// told as notices.
const LOG: &str = "off,distchat=warn,distchat_node=warn,distchat_node::supervisor=off,distchat_crdt=warn";

/// Where the options are listed that no command has for itself.
const EVERYWHERE: &str = "Options of the chat and of every command";

/// A group chat without a server, for people on one network.
///
/// Nodes find each other by themselves, talk to each other directly, and keep every room's whole history.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "distchat",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = false,
    disable_help_subcommand = true
)]
pub(crate) struct Args {
    /// What to do instead of chatting.
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,

    /// Read options from this file instead of the usual one
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Room to open; may be repeated, and what you type goes to the first
    #[arg(long = "room", value_name = "NAME", default_value = "lobby", value_parser = RoomName::parse)]
    pub(crate) rooms: Vec<RoomName>,

    /// Profile: an identity and history of its own
    #[arg(long, value_name = "PROFILE", default_value = "default", value_parser = profile)]
    pub(crate) name: String,

    /// The name shown beside your messages
    #[arg(long, value_name = "NICK")]
    pub(crate) nick: Option<String>,

    /// Keep the profiles here instead of in the user's data directory
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Meet the other nodes of this machine here instead of in the user's run directory
    #[arg(long, value_name = "DIR")]
    pub(crate) run_dir: Option<PathBuf>,

    /// Connect to this address, and again whenever it is lost; may be repeated
    #[arg(long, value_name = "MULTIADDR", value_parser = address)]
    pub(crate) connect: Vec<Multiaddr>,

    /// Listen on this address instead of all; may be repeated
    #[arg(long, value_name = "MULTIADDR", value_parser = address)]
    pub(crate) listen: Vec<Multiaddr>,

    /// Neither look for others on the local network nor be found there
    #[arg(long)]
    pub(crate) no_mdns: bool,

    /// One JSON object a line on stdout
    #[arg(long)]
    pub(crate) json: bool,

    /// Run on after the end of input, until SIGINT or SIGTERM
    #[arg(long)]
    pub(crate) stay: bool,

    /// At the end of input, wait so long for somebody to take what you wrote
    #[arg(long, value_name = "SECS", default_value = "3", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) linger: Duration,

    /// Keep nothing on disk
    #[arg(long)]
    pub(crate) memory: bool,

    /// The ground of your terminal, for colours that can be read on it
    #[arg(long, value_name = "GROUND", default_value = "dark")]
    pub(crate) theme: Ground,

    /// How to call you when somebody names you and you do not look
    #[arg(long, value_name = "HOW", default_value = "off")]
    pub(crate) notify: Notify,

    /// Leave the mouse to the terminal
    #[arg(long)]
    pub(crate) no_mouse: bool,

    /// What to log, to stderr or, from the chat, to distchat.log in the profile's directory, of which 4 MiB and the 4 before are
    /// kept; such as `debug` or `distchat_node=debug`
    #[arg(long, value_name = "FILTER", default_value = LOG, hide_default_value = true, value_parser = filter)]
    pub(crate) log: String,
}

/// Why there are no options to go on with.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// `--help` or `--version`: this is the answer.
    Asked(String),
    /// What is wrong, in one line.
    Wrong(String),
}

/// The command line as it is parsed. A flag can be taken back (`--json=false`): what the file says would be for ever
/// otherwise. So every option has a value.
pub(crate) fn command() -> clap::Command {
    // Options may stand before and behind a command.
    let command = Args::command().mut_args(|arg| arg.global(true).help_heading(EVERYWHERE)).mut_args(|arg| {
        match arg.get_action() {
            ArgAction::SetTrue => arg
                .action(ArgAction::Set)
                .num_args(0..=1)
                .require_equals(true)
                .value_name("BOOL")
                .value_parser(BoolishValueParser::new())
                .default_missing_value("true")
                .default_value("false")
                .hide_default_value(true)
                .hide_possible_values(true),
            _ => arg,
        }
    });
    command.after_help(help::more())
}

/// Parses a command line, the program's name first.
pub(crate) fn parse(line: &[OsString]) -> Result<ArgMatches, Refusal> {
    command().try_get_matches_from(line).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Refusal::Asked(error.to_string()),
        _ => Refusal::Wrong(in_one_line(&error)),
    })
}

/// The options that were parsed.
pub(crate) fn of(matches: &ArgMatches) -> Result<Args, Refusal> {
    let mut args = Args::from_arg_matches(matches).map_err(|error| Refusal::Wrong(in_one_line(&error)))?;
    let mut seen = std::collections::HashSet::new();
    args.rooms.retain(|room| seen.insert(room.clone()));
    Ok(args)
}

/// clap explains itself in paragraphs, the first of which says what is wrong.
pub(crate) fn in_one_line(error: &clap::Error) -> String {
    let explanation = error.to_string();
    let lines = explanation.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let text = lines.collect::<Vec<_>>().join(" ");
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    // Whoever writes a room's name there is told how that is done.
    let room = if error.kind() == ErrorKind::InvalidSubcommand { "; a room is opened with --room" } else { "" };
    format!("{text}{room} (see distchat --help)")
}

/// A profile becomes the name of a directory.
fn profile(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    if length == 0 || length > 64 {
        return Err(format!("a profile's name has 1 to 64 characters, and this one has {length}"));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match text.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(format!("a profile's name consists of letters a-z, digits, `-`, `_` and `.`, not {c:?}")),
        // These two are directories of their own.
        None if text == "." || text == ".." => Err("a profile's name is more than dots".to_owned()),
        None => Ok(text.to_owned()),
    }
}

/// An address, with an example for whoever expected `host:port` to do.
pub(crate) fn address(text: &str) -> Result<Multiaddr, String> {
    match text.parse::<Multiaddr>() {
        Ok(address) if !address.is_empty() => Ok(address),
        Ok(_) => Err("it is empty; an address looks like /ip4/192.168.1.20/tcp/4001".to_owned()),
        Err(error) => Err(format!("{error}; an address looks like /ip4/192.168.1.20/tcp/4001")),
    }
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || "give a number of seconds from 0 to 86400".to_owned();
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    if (0.0..=86_400.0).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(wrong()) }
}

fn filter(text: &str) -> Result<String, String> {
    // The filter itself cannot be cloned, so its text is carried on.
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}; try `debug` or `distchat_node=debug`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[&str]) -> Result<Args, Refusal> {
        let line: Vec<OsString> = std::iter::once(&"distchat").chain(line).map(OsString::from).collect();
        of(&parse(&line)?)
    }

    #[track_caller]
    fn refused(line: &[&str], expect: &str) {
        match parsed(line) {
            Err(Refusal::Wrong(reason)) => {
                assert!(reason.contains(expect), "{line:?}: {reason:?} lacks {expect:?}");
                assert!(!reason.contains('\n') && !reason.starts_with("error"), "{reason:?}");
            }
            other => panic!("{line:?} gave {other:?}"),
        }
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let args = parsed(&[]).unwrap();
        assert_eq!(args.rooms, [RoomName::parse("lobby").unwrap()]);
        assert_eq!((args.name.as_str(), args.linger, args.nick), ("default", Duration::from_secs(3), None));
        assert!(!args.json && !args.stay && !args.memory && !args.no_mdns);
        assert!(args.connect.is_empty() && args.listen.is_empty() && args.data_dir.is_none());
        assert!(args.verb.is_none() && args.config.is_none() && args.run_dir.is_none());
    }

    #[test]
    fn every_option_is_understood() {
        let line = "--room General --room rust --room general --name node-1_a.b --nick Zoë --data-dir /tmp/x --json --stay \
                    --connect /ip4/10.0.0.1/tcp/1 --connect /ip4/10.0.0.2/udp/2/quic-v1 --listen /ip4/0.0.0.0/tcp/0 \
                    --no-mdns --linger 0.5 --memory --log debug --run-dir /tmp/r --config c.toml config";
        let args = parsed(&line.split_whitespace().collect::<Vec<_>>()).unwrap();
        let rooms: Vec<String> = args.rooms.iter().map(ToString::to_string).collect();
        assert_eq!(rooms, ["general", "rust"]);
        assert_eq!((args.connect.len(), args.listen.len()), (2, 1));
        assert_eq!(args.linger, Duration::from_millis(500));
        assert_eq!(args.nick.as_deref(), Some("Zoë"));
        assert!(args.json && args.stay && args.no_mdns && args.memory);
        assert_eq!((args.run_dir, args.verb), (Some("/tmp/r".into()), Some(Verb::Config)));
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        refused(&["--room", ""], "empty");
        refused(&["--room", "a b"], "space");
        refused(&["--room", "a/b"], "slash");
        refused(&["--room", &"x".repeat(65)], "64");
        refused(&["--room", "\u{1b}[31m"], "control");
        refused(&["--name", "../up"], "letters");
        refused(&["--name", ""], "1 to 64");
        refused(&["--name", ".."], "dots");
        refused(&["--name", &"x".repeat(65)], "has 65");
        refused(&["--connect", "10.0.0.5:4000"], "/ip4/192.168.1.20/tcp/4001");
        refused(&["--connect", ""], "/ip4/");
        refused(&["--listen", "/ip4/300.0.0.1/tcp/1"], "/ip4/192");
        refused(&["--linger", "soon"], "seconds");
        refused(&["--linger", "-1"], "--linger");
        refused(&["--linger", "NaN"], "seconds");
        refused(&["--log", "a=b=c"], "distchat_node=debug");
        refused(&["--jsno"], "--json");
        refused(&["general"], "'general'");
        refused(&["general"], "--room");
        refused(&["config", "general"], "'general'");
        refused(&["--no-mdns", "true"], "'true'");
        refused(&["--no-mdns=maybe"], "--no-mdns");
        refused(&["--room"], "--room");
    }

    #[test]
    fn a_flag_can_be_taken_back() {
        for (line, expect) in [
            ("--json", true),
            ("--json=true", true),
            ("--json=yes", true),
            ("--json=false", false),
            ("--json=0", false),
        ] {
            assert_eq!(parsed(&[line]).unwrap().json, expect, "{line}");
        }
    }

    #[test]
    fn the_word_config_may_stand_anywhere() {
        for line in [&["config", "--json"][..], &["--json", "config"]] {
            let args = parsed(line).unwrap();
            assert!(args.json && args.verb == Some(Verb::Config), "{line:?}");
        }
        let args = parsed(&["--room", "config"]).unwrap();
        assert_eq!((args.rooms[0].as_str(), args.verb), ("config", None));
    }

    #[test]
    fn help_is_an_answer() {
        for flag in ["--help", "-h", "--version", "-V"] {
            assert!(matches!(parsed(&[flag]), Err(Refusal::Asked(_))), "{flag}");
        }
        let Err(Refusal::Asked(help)) = parsed(&["--help"]) else { panic!("no help") };
        for word in [
            "--room",
            "Exit codes:",
            "Examples:",
            "NO_COLOR",
            "default: lobby",
            "config.toml",
            "DISTCHAT_ROOM",
            "distchat config",
        ] {
            assert!(help.contains(word), "{word}");
        }
    }
}

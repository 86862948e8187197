use std::collections::BTreeMap;

use super::*;

/// The file that is read where nothing names another.
const USUAL: &str = "/c/distchat/config.toml";

/// Loads from a command line, variables (both with spaces between, `NAME=VALUE`) and the usual file, if there is one.
fn loaded(line: &str, variables: &str, file: Option<&str>) -> Result<Settings, String> {
    loaded_from(line, variables.split_whitespace(), |path| match file {
        Some(text) if path == Path::new(USUAL) => Ok(text.as_bytes().to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    })
}

fn loaded_from<'a>(
    line: &str,
    variables: impl IntoIterator<Item = &'a str>,
    read: impl Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Settings, String> {
    let variables = variables.into_iter().filter_map(|variable| variable.split_once('='));
    let usual = [("XDG_CONFIG_HOME", "/c"), ("APPDATA", "/c")];
    let variables: BTreeMap<&str, &str> = usual.into_iter().chain(variables).collect();
    let line = std::iter::once("distchat").chain(line.split_whitespace()).map(OsString::from);
    load(line, &|name| variables.get(name).map(OsString::from), read).map_err(|refusal| match refusal {
        Refusal::Wrong(reason) => reason,
        Refusal::Asked(text) => panic!("an answer: {text}"),
    })
}

/// An option as `distchat config` shows it.
#[track_caller]
fn shown(settings: &Settings, key: &str) -> String {
    let option = settings.options.iter().find(|option| option.key == key).unwrap();
    option.toml()
}

#[test]
fn the_strongest_layer_counts() {
    for (line, variables, file, expect) in [
        ("", "", "", "# linger = 3  # default"),
        ("", "", "\n\nlinger = 4", "linger = 4  # file, line 3"),
        ("", "DISTCHAT_LINGER=5", "linger = 4", "linger = 5  # environment: DISTCHAT_LINGER"),
        ("--linger 6", "DISTCHAT_LINGER=5", "linger = 4", "linger = 6  # flag"),
        ("", "DISTCHAT_LINGER=", "linger = 4", "linger = 4  # file, line 1"),
        ("", "", "linger = 0.5", "linger = 0.5  # file, line 1"),
        ("", "", "linger = '.5'", "linger = \".5\"  # file, line 1"),
        ("", "", "linger = 0x10", "linger = 16  # file, line 1"),
        ("", "", "linger = 1_000", "linger = 1000  # file, line 1"),
        ("", "", "", "# room = [\"lobby\"]  # default"),
        ("", "", "room = 'a'", "room = [\"a\"]  # file, line 1"),
        ("", "", "room = [\n'a',\n'b']", "room = [\"a\", \"b\"]  # file, line 1"),
        ("", "DISTCHAT_ROOM=c,,d,", "room = 'a'", "room = [\"c\", \"d\"]  # environment: DISTCHAT_ROOM"),
        ("", "DISTCHAT_ROOM=,", "room = 'a'", "room = [\"a\"]  # file, line 1"),
        ("--room e --room f", "DISTCHAT_ROOM=c,d", "room = 'a'", "room = [\"e\", \"f\"]  # flag"),
        ("", "", "", "# no-mdns = false  # default"),
        ("", "", "no-mdns = true", "no-mdns = true  # file, line 1"),
        ("", "", "no-mdns = false", "no-mdns = false  # file, line 1"),
        ("", "DISTCHAT_NO_MDNS=0", "no-mdns = true", "no-mdns = false  # environment: DISTCHAT_NO_MDNS"),
        ("--no-mdns", "DISTCHAT_NO_MDNS=no", "", "no-mdns = true  # flag"),
        ("--no-mdns=false", "DISTCHAT_NO_MDNS=1", "no-mdns = true", "no-mdns = false  # flag"),
        ("", "", "", "# nick is not set"),
        ("", "", "nick = '-n'", "nick = \"-n\"  # file, line 1"),
        ("", "", "\u{feff}nick = 'a'\r\n", "nick = \"a\"  # file, line 1"),
        ("", "", "nick = 42", "nick = \"42\"  # file, line 1"),
        ("", "DISTCHAT_NICK=--x=y", "", "nick = \"--x=y\"  # environment: DISTCHAT_NICK"),
        ("", "", "", "# connect is not set"),
        ("", "", "connect = []", "# connect is not set"),
        ("", "DISTCHAT_DATA_DIR=/d", "data-dir = '/f'", "data-dir = \"/d\"  # environment: DISTCHAT_DATA_DIR"),
        ("", "DISTCHAT_RUN_DIR=/d", "run-dir = '/f'", "run-dir = \"/d\"  # environment: DISTCHAT_RUN_DIR"),
        ("", "", "run-dir = '/f'", "run-dir = \"/f\"  # file, line 1"),
        ("config --nick b", "", "nick = 'a'", "nick = \"b\"  # flag"),
        ("send general -- --nick b", "", "nick = 'a'", "nick = \"a\"  # file, line 1"),
    ] {
        let settings = loaded(line, variables, Some(file)).unwrap_or_else(|why| panic!("{file:?}: {why}"));
        let key = expect.trim_start_matches("# ").split(' ').next().unwrap();
        assert_eq!(shown(&settings, key), expect, "{line:?} {variables:?} {file:?}");
    }
}

#[test]
fn what_is_in_force_is_what_is_shown() {
    let file = "room = ['General', 'rust', 'general']\nlinger = 0.5\nmemory = true\njson = true";
    let args = loaded("--json=false", "DISTCHAT_CONNECT=/ip4/10.0.0.1/tcp/1", Some(file)).unwrap().args;
    assert_eq!(args.rooms.iter().map(ToString::to_string).collect::<Vec<_>>(), ["general", "rust"]);
    assert_eq!((args.linger.as_millis(), args.connect.len()), (500, 1));
    assert!(args.memory && !args.json && args.nick.is_none());
}

#[test]
fn a_list_in_the_environment_may_have_spaces() {
    let none = |_: &Path| Err(io::ErrorKind::NotFound.into());
    let settings = loaded_from("", ["DISTCHAT_ROOM= a b,\tc\n"], none).unwrap();
    assert_eq!(shown(&settings, "room"), "room = [\"a\", \"b\", \"c\"]  # environment: DISTCHAT_ROOM");
    // What takes one value takes all of it.
    let settings = loaded_from("", ["DISTCHAT_NICK=a, b"], none).unwrap();
    assert_eq!(shown(&settings, "nick"), "nick = \"a, b\"  # environment: DISTCHAT_NICK");
}

#[test]
fn the_file_is_the_one_that_is_named() {
    let read = |path: &Path| match path.to_str() {
        Some("a" | "b" | USUAL) => Ok(format!("nick = '{}'", path.display()).into_bytes()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    for (line, variable, expect) in [
        ("", "DISTCHAT_CONFIG=", USUAL),
        ("", "DISTCHAT_CONFIG=b", "b"),
        ("--config a", "DISTCHAT_CONFIG=b", "a"),
        ("config --config a", "DISTCHAT_CONFIG=none", "a"),
    ] {
        let settings = loaded_from(line, [variable], read).unwrap();
        assert_eq!(settings.args.nick.as_deref(), Some(expect), "{line} {variable}");
    }
    for (line, variable) in [("--config none", "DISTCHAT_CONFIG=b"), ("", "DISTCHAT_CONFIG=none")] {
        let reason = loaded_from(line, [variable], read).unwrap_err();
        assert!(reason.starts_with("the file of options none cannot be read: "), "{reason}");
    }
    let denied = |_: &Path| Err(io::Error::from(io::ErrorKind::PermissionDenied));
    let reason = loaded_from("", [], denied).unwrap_err();
    assert_eq!(reason, format!("the file of options {USUAL} cannot be read: permission denied"));
}

#[test]
fn what_is_wrong_in_a_file_is_said_word_by_word() {
    let long = format!("nick = '{}'", "x".repeat(1 << 20));
    for (file, expect) in [
        ("\nrom = 'a'", ", line 2: there is no option `rom`; is `room` meant?"),
        ("data_dir = 'a'", ", line 1: there is no option `data_dir`; is `data-dir` meant?"),
        ("colour = 'a'", ", line 1: there is no option `colour` (see distchat --help)"),
        ("help = true", ", line 1: there is no option `help` (see distchat --help)"),
        ("'' = 1", ", line 1: there is no option `` (see distchat --help)"),
        ("config = 'a'", ", line 1: `config` says which file is read, and cannot be in one"),
        ("[chat]\nroom = 'a'", ", line 1: there is no option `chat` (see distchat --help)"),
        (
            "room = 'a'\nlinger = 'soon'\nzzz = 1",
            ", line 2: invalid value 'soon' for 'linger': give a number of seconds from 0 to 86400 (see distchat --help)",
        ),
        (
            "linger = -1",
            ", line 1: invalid value '-1' for 'linger': give a number of seconds from 0 to 86400 (see distchat --help)",
        ),
        ("room = [\n 'a',\n 'b c',\n]", ", line 3: invalid value 'b c' for 'room': "),
        ("room = [['a']]", ", line 1: `room` takes texts, not lists"),
        ("room = []", ", line 1: `room` cannot be empty; without this line it is the default"),
        ("room.a = 'b'", ", line 1: `room` takes a text, not a table"),
        ("nick = ['a']", ", line 1: `nick` takes one value, not a list"),
        ("nick = true", ", line 1: `nick` takes a text, not true"),
        ("nick = 2020-01-01", ", line 1: `nick` takes a text, not a date or time"),
        (
            "no-mdns = 'maybe'",
            ", line 1: invalid value 'maybe' for 'no-mdns': value was not a boolean (see distchat --help)",
        ),
        ("connect = '10.0.0.5:1'", "; an address looks like /ip4/192.168.1.20/tcp/4001 (see distchat --help)"),
        ("data-dir = ''", ", line 1: a value is required for 'data-dir' but none was supplied (see distchat --help)"),
        ("nick = 'a'\nnick = 'b'", ", line 2, column 1: duplicate key"),
        ("nick = 'a'\nroom = [ä", ", line 2, column 10: unclosed array, expected `]`"),
        ("nick = 'a", ", line 1, column 10: "),
        (&long, " is larger than 1048576 bytes, which is no file of options"),
    ] {
        let reason = loaded("", "", Some(file)).unwrap_err();
        let start = file.get(..40).unwrap_or(file);
        assert!(reason.contains(expect), "{start:?}: {reason:?} lacks {expect:?}");
        assert!(reason.starts_with(USUAL) && !reason.contains('\n'), "{start:?}: {reason:?}");
    }
    let reason = loaded_from("", [], |_| Ok(b"nick = 'a'\n\xff".to_vec())).unwrap_err();
    assert_eq!(reason, format!("{USUAL}, line 2: this is not UTF-8"));
    // Also what a flag replaces is read, so that a file is either right or wrong.
    assert!(loaded("--linger 1", "", Some("linger = 'soon'")).is_err());
}

#[test]
fn what_is_wrong_in_the_environment_names_the_variable() {
    for (variable, expect) in [
        (
            "DISTCHAT_LINGER=soon",
            "environment: invalid value 'soon' for 'DISTCHAT_LINGER': give a number of seconds from 0 to 86400 (see \
             distchat --help)",
        ),
        ("DISTCHAT_JSON=maybe", "environment: invalid value 'maybe' for 'DISTCHAT_JSON': value was not a boolean"),
        ("DISTCHAT_ROOM=a,b/c", "environment: invalid value 'b/c' for 'DISTCHAT_ROOM': "),
        ("DISTCHAT_NAME=..", "environment: invalid value '..' for 'DISTCHAT_NAME': "),
    ] {
        let reason = loaded("", variable, None).unwrap_err();
        assert!(reason.contains(expect) && !reason.contains('\n'), "{variable}: {reason:?}");
    }
    // What a flag replaces does not keep the program from starting.
    loaded("--linger 1", "DISTCHAT_LINGER=soon", None).unwrap();
}

#[cfg(unix)]
#[test]
fn a_directory_need_not_be_unicode() {
    use std::os::unix::ffi::OsStrExt;
    let odd = OsStr::from_bytes(b"/d\xff");
    let with = |name: &'static str| {
        let none = |_: &Path| Err(io::ErrorKind::NotFound.into());
        load([OsString::from("distchat")], &move |asked| (asked == name).then(|| odd.to_owned()), none)
    };
    let settings = with("DISTCHAT_DATA_DIR").unwrap();
    assert_eq!(settings.args.data_dir.as_deref(), Some(Path::new(odd)));
    let expect = "# data-dir = \"/d\u{fffd}\" is not Unicode and cannot be in a file  # environment: DISTCHAT_DATA_DIR";
    assert_eq!(shown(&settings, "data-dir"), expect);
    let Err(Refusal::Wrong(reason)) = with("DISTCHAT_ROOM") else { panic!("a room is Unicode") };
    assert!(reason.starts_with("environment: DISTCHAT_ROOM: invalid UTF-8"), "{reason}");
}

#[test]
fn what_is_shown_is_a_file_that_means_the_same() {
    let file = "log = 'debug'\nroom = ['a', 'ü']\njson = true\nnick = '\"\\\u{202e}\u{9b}'";
    let first = loaded("config --name n --no-mdns", "DISTCHAT_LINGER=7 DISTCHAT_RUN_DIR=/r", Some(file)).unwrap();
    let text = first.show();
    assert!(text.starts_with(&format!("# {USUAL}\n\n# Room to open; ")), "{text}");
    assert!(
        text.contains(
            "\n# The name shown beside your messages\nnick = \"\\\"\\\\\\U0000202e\\U0000009b\"  # file, line 4\n"
        ),
        "{text}"
    );
    let second = loaded("config", "", Some(&text)).unwrap();
    for (a, b) in first.options.iter().zip(&second.options) {
        assert_eq!((&a.key, &a.values), (&b.key, &b.values));
        let expect = if matches!(a.source, Source::Unset | Source::Default) { 0 } else { 1 };
        assert_eq!(text.lines().filter(|line| line.starts_with(&format!("{} = ", a.key))).count(), expect, "{text}");
    }
    assert!(loaded("config", "", None).unwrap().show().starts_with(&format!("# {USUAL} (not there)\n\n")));
}

#[test]
fn programs_read_what_is_in_force_as_json() {
    let settings = loaded("--json config --room a", "DISTCHAT_NICK=7", Some("linger = 4\nmemory = true")).unwrap();
    let text = settings.show();
    assert_eq!(text.lines().count(), 1);
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&object["file"], &object["found"]), (&USUAL.into(), &true.into()));
    let option = |key: &str| object["options"].as_array().unwrap().iter().find(|o| o["option"] == key).unwrap().clone();
    for (key, expect) in [
        ("room", r#"{"option":"room","value":["a"],"source":"flag"}"#),
        ("nick", r#"{"option":"nick","value":"7","source":"environment","variable":"DISTCHAT_NICK"}"#),
        ("linger", r#"{"option":"linger","value":4,"source":"file","line":1}"#),
        ("memory", r#"{"option":"memory","value":true,"source":"file","line":2}"#),
        ("name", r#"{"option":"name","value":"default","source":"default"}"#),
        ("data-dir", r#"{"option":"data-dir","value":null,"source":null}"#),
        ("connect", r#"{"option":"connect","value":[],"source":null}"#),
    ] {
        assert_eq!(option(key), serde_json::from_str::<serde_json::Value>(expect).unwrap(), "{key}");
    }
}

#[test]
fn every_option_is_of_a_kind_that_can_be_given_in_every_way() {
    let command = args::command();
    let named = command.get_arguments().filter(|arg| arg.get_id() != "verb");
    for arg in named {
        let key = arg.get_long().unwrap();
        assert!(key == CONFIG || options(&command).any(|(name, _)| name == key), "--{key} counts, or does something");
        assert!(!arg.is_required_set(), "--{key} may stand in the file, so a line without it is complete");
        assert!(arg.get_help().is_some(), "--{key}");
    }
}

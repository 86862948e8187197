//! The options from everywhere: flags, else the environment, else the file, else the defaults.
//!
//! What the environment and the file say is put into the command line, as the flags it stands for, and that is parsed. So
//! there is one parser and one check of each value, and an option that is added to [`Args`] can be given in every way
//! without a word here. A stronger layer replaces what a weaker one says, also where an option may be repeated.
//!
//! The process's environment and the disk are reached through what the caller hands in: a test brings its own, as an
//! environment that threads share must not be written to.

mod check;
mod file;
mod show;
#[cfg(test)]
mod tests;

use std::any::TypeId;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Command};

use self::file::Place;
use super::args::{self, Args, Refusal};

pub(crate) use self::file::read;

/// The option that cannot be in the file, because it says which one that is.
const CONFIG: &str = "config";

/// A look into the environment.
type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The options, and where each was found.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) args: Args,
    file: Place,
    options: Vec<Setting>,
}

/// An option in force.
#[derive(Debug)]
struct Setting {
    key: String,
    help: String,
    /// Empty if it is not set.
    values: Vec<OsString>,
    kind: Kind,
    source: Source,
}

/// How an option's values are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Number,
    Text,
    List,
}

/// Where an option was found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Flag,
    /// In this variable.
    Environment(String),
    /// In this line.
    File(usize),
    Default,
    Unset,
}

/// Gathers the options: `line` is the command line, the program's name first.
pub(crate) fn load(
    line: impl IntoIterator<Item = OsString>,
    env: Env<'_>,
    read: impl Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Settings, Refusal> {
    let mut line: Vec<OsString> = line.into_iter().collect();
    let flags = args::parse(&line)?;
    let command = args::command();
    let named = flags.get_one::<PathBuf>(CONFIG).cloned().or_else(|| in_env(env, CONFIG).map(|(_, path)| path.into()));
    let (file, entries) = file::find(named, env, read).map_err(Refusal::Wrong)?;
    check::file(&command, file.path.as_deref(), &entries).map_err(Refusal::Wrong)?;

    let mut sources = HashMap::new();
    let mut added = Vec::new();
    for (key, arg) in options(&command) {
        if flags.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine) {
            sources.insert(key, Source::Flag);
            continue;
        }
        let mut values = from_env(&command, env, key, arg).map_err(Refusal::Wrong)?;
        if values.is_none() {
            let entry = entries.iter().find(|entry| entry.key == key);
            values = entry.map(|entry| (Source::File(entry.line), entry.value.texts().map(OsString::from).collect()));
        }
        if let Some((source, values)) = values.filter(|(_, values)| !values.is_empty()) {
            sources.insert(key, source);
            added.extend(values.iter().map(|value| flag(key, value)));
        }
    }
    // In front of all that was typed, of which nothing may come behind a `--`.
    let front = line.len().min(1);
    line.splice(front..front, added);
    let matches = args::parse(&line)?;
    let setting = |(key, arg): (&str, &Arg)| {
        let id = arg.get_id().as_str();
        let values: Vec<OsString> = matches.get_raw(id).into_iter().flatten().map(OsStr::to_owned).collect();
        let kind = Kind::of(arg);
        Setting {
            key: key.to_owned(),
            help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
            source: sources.get(key).cloned().unwrap_or(if values.is_empty() {
                Source::Unset
            } else {
                Source::Default
            }),
            values: match matches.try_get_one::<bool>(id) {
                // There are many ways to write it, and a flag has no text at all.
                Ok(Some(value)) if kind == Kind::Bool => vec![value.to_string().into()],
                _ => values,
            },
            kind,
        }
    };
    let options = options(&command).map(setting).collect();
    Ok(Settings { args: args::of(&matches)?, file, options })
}

/// What can be given in every way, with its name.
fn options(command: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    let named = command.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg)));
    named.filter(|(key, arg)| *key != CONFIG && matches!(arg.get_action(), ArgAction::Set | ArgAction::Append))
}

impl Kind {
    fn of(arg: &Arg) -> Self {
        let default = arg.get_default_values().first().and_then(|value| value.to_str());
        if matches!(arg.get_action(), ArgAction::Append) {
            Self::List
        } else if arg.get_value_parser().type_id() == TypeId::of::<bool>() {
            Self::Bool
        } else if default.is_some_and(file::is_number) {
            Self::Number
        } else {
            Self::Text
        }
    }
}

fn flag(key: &str, value: &OsStr) -> OsString {
    let mut flag = OsString::from(format!("--{key}="));
    flag.push(value);
    flag
}

fn variable(key: &str) -> String {
    format!("DISTCHAT_{}", key.to_uppercase().replace('-', "_"))
}

/// What a variable says, and which it is; an empty one says nothing.
fn in_env(env: Env<'_>, key: &str) -> Option<(String, OsString)> {
    let variable = variable(key);
    let value = env(&variable).filter(|value| !value.is_empty())?;
    Some((variable, value))
}

fn from_env(command: &Command, env: Env<'_>, key: &str, arg: &Arg) -> Result<Option<(Source, Vec<OsString>)>, String> {
    let Some((variable, value)) = in_env(env, key) else { return Ok(None) };
    let values = match value.to_str() {
        Some(text) if Kind::of(arg) == Kind::List => {
            // A room may have a comma in its name, and is for a flag or the file then.
            let words = text.split(|c: char| c == ',' || c.is_whitespace());
            words.filter(|word| !word.is_empty()).map(OsString::from).collect()
        }
        // What is not Unicode is for the option to judge: a directory may be.
        _ => vec![value],
    };
    for value in &values {
        check::value(command, key, value, &variable).map_err(|reason| format!("environment: {reason}"))?;
    }
    // Nothing but commas is as good as nothing.
    Ok(Some((Source::Environment(variable), values)).filter(|(_, values)| !values.is_empty()))
}

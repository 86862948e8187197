//! Whether what the file and the environment say can be used: as the options themselves see it.

use std::ffi::OsStr;
use std::path::Path;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::file::{Entry, Value};
use super::{CONFIG, Kind, args, flag, options};

/// Whether every line of the file can be used, also those that something stronger replaces.
pub(super) fn file(command: &Command, path: Option<&Path>, entries: &[Entry]) -> Result<(), String> {
    let path = path.map(|path| path.display().to_string()).unwrap_or_default();
    for Entry { key, line, value } in entries {
        let at = |line: usize, reason: String| format!("{path}, line {line}: {reason}");
        let arg = options(command).find(|(name, _)| name == key).map(|(_, arg)| arg);
        let arg = arg.ok_or_else(|| at(*line, unknown(command, key)))?;
        let kind = Kind::of(arg);
        let listed = [(*line, value.clone())];
        let values = match value {
            Value::List(_) if kind != Kind::List => Err(format!("`{key}` takes one value, not a list")),
            Value::List(values) if values.is_empty() && !arg.get_default_values().is_empty() => {
                Err(format!("`{key}` cannot be empty; without this line it is the default"))
            }
            Value::List(values) => Ok(values.as_slice()),
            _ => Ok(listed.as_slice()),
        };
        for (line, value) in values.map_err(|reason| at(*line, reason))? {
            let reason = match value {
                Value::Bool(value) if kind != Kind::Bool => Err(format!("`{key}` takes a text, not {value}")),
                Value::Other(what) => Err(format!("`{key}` takes a text, not {what}")),
                Value::List(_) => Err(format!("`{key}` takes texts, not lists")),
                Value::Bool(_) | Value::Text(_) => {
                    value.texts().try_for_each(|text| self::value(command, key, OsStr::new(&text), key))
                }
            };
            reason.map_err(|reason| at(*line, reason))?;
        }
    }
    Ok(())
}

/// Asks the option what it thinks of a value. `shown` is what it is called where the value stands.
pub(super) fn value(command: &Command, key: &str, value: &OsStr, shown: &str) -> Result<(), String> {
    match command.clone().try_get_matches_from([OsStr::new(""), &flag(key, value)]) {
        Ok(_) => Ok(()),
        // What it needs beside it may come from elsewhere, and is missed later if it does not.
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => Ok(()),
        Err(mut error) => {
            let names_it = error.insert(ContextKind::InvalidArg, ContextValue::String(shown.to_owned())).is_some();
            let reason = args::in_one_line(&error);
            Err(if names_it { reason } else { format!("{shown}: {reason}") })
        }
    }
}

/// There is no such option: which is meant?
fn unknown(command: &Command, key: &str) -> String {
    if key == CONFIG {
        return "`config` says which file is read, and cannot be in one".to_owned();
    }
    // The parser knows what looks alike, and is asked as if the key had been typed.
    let error = command.clone().try_get_matches_from([OsStr::new(""), &flag(key, OsStr::new(""))]).err();
    let meant = error.as_ref().and_then(|error| match error.get(ContextKind::SuggestedArg)? {
        ContextValue::String(flag) => options(command).find(|(key, _)| flag.strip_prefix("--") == Some(key)),
        _ => None,
    });
    match meant {
        Some((meant, _)) => format!("there is no option `{key}`; is `{meant}` meant?"),
        None => format!("there is no option `{key}` (see distchat --help)"),
    }
}

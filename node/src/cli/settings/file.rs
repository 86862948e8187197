//! The file of options: where it is, what it says, and in which line.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Env;

/// More than anybody writes by hand; it is for a file that was named by mistake.
const MOST_BYTES: u64 = 1 << 20;

/// A file's bytes, or the first so many of them: enough to see that it is too large. Blocks.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The file of options.
#[derive(Debug)]
pub(super) struct Place {
    /// None without a home directory.
    pub(super) path: Option<PathBuf>,
    pub(super) found: bool,
}

/// The file that is named, or the usual one if there is one.
pub(super) fn find(
    named: Option<PathBuf>,
    env: Env<'_>,
    read: impl Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<(Place, Vec<Entry>), String> {
    let must_be_there = named.is_some();
    let Some(path) = named.or_else(|| usual_place(env)) else {
        return Ok((Place { path: None, found: false }, Vec::new()));
    };
    match read(&path) {
        Ok(bytes) => {
            let entries = parse(&path, &bytes)?;
            Ok((Place { path: Some(path), found: true }, entries))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_be_there => {
            Ok((Place { path: Some(path), found: false }, Vec::new()))
        }
        Err(error) => Err(format!("the file of options {} cannot be read: {error}", path.display())),
    }
}

/// Where the system wants programs to keep a user's configuration; `None` without a home.
fn usual_place(env: Env<'_>) -> Option<PathBuf> {
    let given = |name| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::home_dir().filter(|path| path.is_absolute());
    let parent = if cfg!(windows) {
        given("APPDATA").or_else(|| Some(home()?.join("AppData").join("Roaming")))
    } else if cfg!(target_os = "macos") {
        Some(home()?.join("Library").join("Application Support"))
    } else {
        given("XDG_CONFIG_HOME").or_else(|| Some(home()?.join(".config")))
    };
    parent.map(|parent| parent.join("distchat").join("config.toml"))
}

/// What stands beside a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// What one would write behind the option: a text as it is, a number in decimal digits.
    Text(String),
    Bool(bool),
    /// Each with its line.
    List(Vec<(usize, Value)>),
    /// What no option takes, and what it is called.
    Other(&'static str),
}

impl Value {
    /// The values as one would write them behind the option.
    pub(super) fn texts(&self) -> Box<dyn Iterator<Item = String> + '_> {
        match self {
            Self::Text(text) => Box::new(std::iter::once(text.clone())),
            Self::Bool(value) => Box::new(std::iter::once(value.to_string())),
            Self::List(values) => Box::new(values.iter().flat_map(|(_, value)| value.texts())),
            Self::Other(_) => Box::new(std::iter::empty()),
        }
    }
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Lines are counted from 1.
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What the file says, from the top down; or, in one line, where it is not TOML.
fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let path = path.display();
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("{path} is larger than {MOST_BYTES} bytes, which is no file of options"));
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        format!("{path}, line {}: this is not UTF-8", newlines(before) + 1)
    })?;
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(text.len(), |span| span.start);
        let before = text.get(..at).unwrap_or(text);
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        format!("{path}, line {}, column {column}: {message}", newlines(before.as_bytes()) + 1)
    })?;
    let line = |span: Range<usize>| newlines(text.as_bytes().get(..span.start).unwrap_or_default()) + 1;
    let mut entries: Vec<Entry> = table
        .get_ref()
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            line: line(key.span()),
            value: convert(value.get_ref(), &line),
        })
        .collect();
    // The table has them by name, and whoever mends a file begins at the top.
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

fn convert(value: &DeValue<'_>, line: &dyn Fn(Range<usize>) -> usize) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            let decimal = i128::from_str_radix(number.as_str(), number.radix());
            Value::Text(decimal.map_or_else(|_| number.to_string(), |number| number.to_string()))
        }
        DeValue::Float(number) => Value::Text(number.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Array(values) => {
            let item = |value: &Spanned<DeValue<'_>>| (line(value.span()), convert(value.get_ref(), line));
            Value::List(values.iter().map(item).collect())
        }
        DeValue::Datetime(_) => Value::Other("a date or time"),
        DeValue::Table(_) => Value::Other("a table"),
    }
}

/// Whether TOML takes the text for a number.
pub(super) fn is_number(text: &str) -> bool {
    let value = DeValue::parse(text);
    value.is_ok_and(|value| matches!(value.get_ref(), DeValue::Integer(_) | DeValue::Float(_)))
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

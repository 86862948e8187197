//! `distchat config`: what is in force and where it comes from, as a file of options or as JSON.

use std::ffi::OsString;
use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

use super::{Kind, Setting, Settings, Source};
use crate::cli::escape;

impl Settings {
    /// What `distchat config` prints. Only a flag asks for JSON: where a file says `json = true` it can still be told
    /// what goes into a file.
    pub(crate) fn show(&self) -> String {
        let typed = self.options.iter().any(|option| option.key == "json" && option.source == Source::Flag);
        if typed && self.args.json { self.json() } else { self.toml() }
    }

    /// A file that, named by `--config`, puts the same in force.
    fn toml(&self) -> String {
        let mut text = match &self.file.path {
            Some(path) => format!("# {}", escape::visible(&path.display().to_string())),
            None => "# There is no home directory for a file of options".to_owned(),
        };
        text.push_str(if self.file.found || self.file.path.is_none() { "\n" } else { " (not there)\n" });
        for option in &self.options {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\n# {}\n{}", option.help, option.toml());
        }
        text
    }

    fn json(&self) -> String {
        let object = Shown {
            file: self.file.path.as_ref().map(|path| path.display().to_string()),
            found: self.file.found,
            options: self.options.iter().map(Setting::json).collect(),
        };
        // There is nothing in this object that could not be written.
        let text = serde_json::to_string(&object).map(escape::json).unwrap_or_default();
        text + "\n"
    }
}

impl Setting {
    pub(super) fn toml(&self) -> String {
        let key = &self.key;
        let source = match &self.source {
            Source::Flag => "flag".to_owned(),
            Source::Environment(variable) => format!("environment: {variable}"),
            Source::File(line) => format!("file, line {line}"),
            Source::Default => "default".to_owned(),
            Source::Unset => return format!("# {key} is not set"),
        };
        let value = |value: &OsString| {
            let text = value.to_string_lossy();
            match self.kind {
                Kind::Bool => text.into_owned(),
                Kind::Number if super::file::is_number(&text) => text.into_owned(),
                _ => escape::toml(&text),
            }
        };
        let values: Vec<String> = self.values.iter().map(value).collect();
        let values = if self.kind == Kind::List { format!("[{}]", values.join(", ")) } else { values.concat() };
        if self.source == Source::Default {
            // Written out it would stay as it is when a later version has a better one.
            format!("# {key} = {values}  # {source}")
        } else if self.is_unicode() {
            format!("{key} = {values}  # {source}")
        } else {
            format!("# {key} = {values} is not Unicode and cannot be in a file  # {source}")
        }
    }

    fn json(&self) -> ShownOption<'_> {
        let value = |value: &OsString| {
            let text = value.to_string_lossy();
            let plain = match self.kind {
                Kind::Bool | Kind::Number => serde_json::from_str(&text).ok(),
                Kind::Text | Kind::List => None,
            };
            plain.unwrap_or_else(|| Value::from(text))
        };
        let (source, variable, line) = match &self.source {
            Source::Flag => (Some("flag"), None, None),
            Source::Environment(variable) => (Some("environment"), Some(variable.as_str()), None),
            Source::File(line) => (Some("file"), None, Some(*line)),
            Source::Default => (Some("default"), None, None),
            Source::Unset => (None, None, None),
        };
        ShownOption {
            option: &self.key,
            value: match self.kind {
                Kind::List => self.values.iter().map(value).collect(),
                _ => self.values.first().map_or(Value::Null, value),
            },
            source,
            variable,
            line,
            lossy: !self.is_unicode(),
        }
    }

    fn is_unicode(&self) -> bool {
        self.values.iter().all(|value| value.to_str().is_some())
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    file: Option<String>,
    found: bool,
    options: Vec<ShownOption<'a>>,
}

#[derive(Serialize)]
struct ShownOption<'a> {
    option: &'a str,
    /// Null, or an empty array, of what is not set.
    value: Value,
    source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variable: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// The value is a path that is not Unicode, and shown as well as it can be.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    lossy: bool,
}

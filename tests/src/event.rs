//! What the program says with `--json`.

use serde_json::Value;

/// Whether this is an event of that kind.
pub fn is(event: &Value, kind: &str) -> bool {
    event["event"] == kind
}

/// Whether this event shows a message with that text.
pub fn is_message(event: &Value, text: &str) -> bool {
    is(event, "message") && event["text"] == text
}

/// Whether this event says that the room is now in that state.
pub fn is_room(event: &Value, room: &str, state: &str) -> bool {
    is(event, "room") && event["room"] == room && event["state"] == state
}

/// A message as it is told. Two are equal if they are on all accounts on which every host has to agree; `future` is
/// not one, it depends on the clock of the one who looks.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields of the `message` event")]
pub struct Message {
    pub id: String,
    pub author: String,
    pub nick: String,
    pub seq: u64,
    pub time: String,
    pub text: String,
    pub future: bool,
}

impl Message {
    /// Reads a `message` event, or one element of a `history`.
    ///
    /// # Panics
    /// If a field is missing: the fields are a contract.
    pub fn parse(value: &Value) -> Self {
        let field = |name: &str| match value[name].as_str() {
            Some(text) => text.to_owned(),
            None => panic!("a message without `{name}`: {value}"),
        };
        Self {
            id: field("id"),
            author: field("author"),
            nick: field("nick"),
            seq: value["seq"].as_u64().unwrap_or_else(|| panic!("a message without `seq`: {value}")),
            time: field("time"),
            text: field("text"),
            future: value["future"].as_bool().unwrap_or_else(|| panic!("a message without `future`: {value}")),
        }
    }

    fn shared(&self) -> (&str, &str, &str, u64, &str, &str) {
        (&self.id, &self.author, &self.nick, self.seq, &self.time, &self.text)
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.shared() == other.shared()
    }
}

impl Eq for Message {}

/// A `fingerprint` event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// How many messages are held, of all kinds.
    pub messages: u64,
    /// Equal if and only if the transcripts are.
    pub fingerprint: String,
    /// How many more are known, and not held.
    pub missing: u64,
}

impl Fingerprint {
    pub(crate) fn parse(event: &Value) -> Self {
        let number = |name: &str| event[name].as_u64().unwrap_or_else(|| panic!("no `{name}` in {event}"));
        Self {
            messages: number("messages"),
            fingerprint: event["fingerprint"]
                .as_str()
                .unwrap_or_else(|| panic!("no `fingerprint` in {event}"))
                .to_owned(),
            missing: number("missing"),
        }
    }
}

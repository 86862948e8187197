//! What lies over the chat until it is closed: help, lists, what was found, and a question about a paste.

use distchat_node::{Key, Message, RoomName};

/// What lies over the chat.
#[derive(Debug)]
pub(super) enum Popup {
    /// Lines to read. They have been through the gate.
    Text { title: String, lines: Vec<String>, top: usize },
    /// Whether to paste so much.
    Paste { text: String },
    /// Messages that were found, and which of them is pointed at.
    Found { words: String, hits: Vec<(RoomName, Message)>, at: usize },
}

impl Popup {
    pub(super) fn text(title: &str, lines: Vec<String>) -> Self {
        Self::Text { title: title.to_owned(), lines, top: 0 }
    }

    pub(super) fn found(words: String, hits: Vec<(RoomName, Message)>) -> Self {
        Self::Found { words, hits, at: 0 }
    }

    /// Moves so many lines.
    pub(super) fn scroll(&mut self, step: isize) {
        match self {
            Self::Text { lines, top, .. } => *top = top.saturating_add_signed(step).min(lines.len().saturating_sub(1)),
            Self::Found { hits, at, .. } => *at = at.saturating_add_signed(step).min(hits.len().saturating_sub(1)),
            Self::Paste { .. } => {}
        }
    }

    /// The message that is pointed at.
    pub(super) fn hit(&self) -> Option<(RoomName, Key)> {
        match self {
            Self::Found { hits, at, .. } => hits.get(*at).map(|(room, message)| (room.clone(), message.key)),
            _ => None,
        }
    }
}

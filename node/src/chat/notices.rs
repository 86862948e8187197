//! Things to know that are no messages.

use std::collections::VecDeque;

use crate::cli::escape::visible;

/// How many are kept.
const MOST: usize = 200;
/// How long one stays in sight, in milliseconds; what went wrong stays longer.
const TIME: u64 = 12_000;
const ERROR_TIME: u64 = 36_000;

/// Something to know that is no message.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    /// Has been through the gate.
    pub(super) text: String,
    pub(super) error: bool,
    until: u64,
}

/// What there was to know lately.
#[derive(Debug, Default)]
pub(super) struct Notices(VecDeque<Notice>);

impl Notices {
    /// All of them, the oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Notice> {
        self.0.iter()
    }

    /// Those that are still to be seen, the newest first.
    pub(super) fn fresh(&self, now: u64) -> impl Iterator<Item = &Notice> {
        self.0.iter().rev().filter(move |notice| notice.until > now)
    }

    /// They have been seen.
    pub(super) fn dismiss(&mut self) {
        for notice in &mut self.0 {
            notice.until = 0;
        }
    }

    /// There is something to know. Said again, it stays longer.
    pub(super) fn add(&mut self, now: u64, text: &str, error: bool) {
        let text = visible(text).into_owned();
        let until = now.saturating_add(if error { ERROR_TIME } else { TIME });
        self.0.retain(|notice| notice.text != text);
        self.0.push_back(Notice { text, error, until });
        if self.0.len() > MOST {
            self.0.pop_front();
        }
    }
}

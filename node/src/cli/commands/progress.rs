//! How far long work is, on stderr, if that is a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::escape;

/// A bar that is gone when it is dropped, and never there where nobody would see it.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Of so many messages, which may turn out to be wrong.
    pub(super) fn new(what: &str, of: u64) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::with_draw_target(Some(of), ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {human_pos} of {human_len} messages, {per_sec}")
        {
            bar.set_style(style);
        }
        // It may be the name of a file that somebody else has named.
        bar.set_message(escape::visible(what).into_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    pub(super) fn set(&self, done: u64, of: u64) {
        self.0.set_length(of);
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_nothing_to_the_terminal() {
        let progress = Progress::new("a\u{1b}[2J\u{202e}b.bundle", 1);
        assert_eq!(progress.0.message(), "a␛[2J\\u{202e}b.bundle");
    }
}

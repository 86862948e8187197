//! Calling somebody who is not looking.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How to call a user who is spoken to and does not look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Notify {
    /// Not at all.
    Off,
    /// By the terminal's bell.
    Bell,
    /// By a notification of the desktop.
    Desktop,
}

/// Shows notifications on the desktop, one at a time: whoever is spoken to ten times at once is called once.
#[derive(Clone, Debug, Default)]
pub(super) struct Desktop {
    busy: Arc<AtomicBool>,
}

impl Desktop {
    /// Shows one.
    ///
    /// # Errors
    /// What to do if there is no way to.
    pub(super) async fn show(self, title: String, text: String) -> Result<(), String> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let shown = tokio::task::spawn_blocking(move || command(&title, &text).status()).await;
        self.busy.store(false, Ordering::Release);
        match shown {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("no notification could be shown ({PROGRAM}: {status}); --notify bell rings")),
            Ok(Err(error)) => Err(format!("no notification could be shown ({PROGRAM}: {error}); --notify bell rings")),
            Err(_) => Ok(()),
        }
    }
}

#[cfg(target_os = "macos")]
const PROGRAM: &str = "osascript";
#[cfg(not(target_os = "macos"))]
const PROGRAM: &str = "notify-send";

/// The text as one that says nothing but itself where markup is read.
/// <https://specifications.freedesktop.org/notification-spec/latest/markup.html>
fn without_markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What was said stands in arguments of its own, and so is never taken for anything else.
fn command(title: &str, text: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    if cfg!(target_os = "macos") {
        let script = ["on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run"];
        command.args(script.into_iter().flat_map(|line| ["-e", line]));
        command.args([title, text]);
    } else {
        // The text, unlike the title, is read as markup by many: links and pictures among it.
        command.args(["--app-name=distchat", "--", title, &without_markup(text)]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

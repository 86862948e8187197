//! The prompt: a line editor that what comes in does not tear up.

use std::io::Write;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use rustyline_async::{Readline, ReadlineError, ReadlineEvent, SharedWriter};

use super::input::Input;

/// How many typed lines the arrow keys reach.
const HISTORY: usize = 500;

/// The terminal, while the prompt is on it.
pub(crate) struct Terminal {
    /// `None` only once it has failed for good.
    readline: Option<Readline>,
    /// Where the session's lines go, until it has taken it.
    writer: Option<SharedWriter>,
    prompt: String,
    history: Vec<String>,
    /// The user has asked to leave.
    ended: bool,
}

impl Terminal {
    /// Shows the prompt.
    pub(crate) fn open() -> Result<Self, ReadlineError> {
        let mut terminal =
            Self { readline: None, writer: None, prompt: String::new(), history: Vec::new(), ended: false };
        terminal.set_up()?;
        Ok(terminal)
    }

    fn set_up(&mut self) -> Result<(), ReadlineError> {
        // The old one resets the terminal when it goes, so it has to go first.
        self.readline = None;
        let (mut readline, writer) = Readline::new(self.prompt.clone())?;
        // The line comes back as a message; as typed it would stand there twice.
        readline.should_print_line_on(false, false);
        readline.set_max_history(HISTORY);
        readline.set_history_entries(self.history.iter().cloned());
        self.readline = Some(readline);
        self.writer = Some(writer);
        Ok(())
    }

    /// The way to write above the prompt, if there is a new one.
    pub(crate) fn writer(&mut self) -> Option<SharedWriter> {
        self.writer.take()
    }

    /// Changes the prompt, which has been through the gate.
    pub(crate) fn prompt(&mut self, prompt: String) {
        if let Some(readline) = &mut self.readline {
            // A terminal that cannot be written to says so again at the next line.
            let _ = readline.update_prompt(&prompt);
        }
        self.prompt = prompt;
    }

    /// The prompt as it is.
    pub(crate) fn shown_prompt(&self) -> &str {
        &self.prompt
    }

    /// Waits for a line; `None` once, when the user wants to leave, and after that only ever for more haste. What is
    /// written above the prompt is drawn meanwhile. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<Input> {
        loop {
            let Some(readline) = &mut self.readline else {
                return std::future::pending().await;
            };
            // rustyline-async 0.4.9 counts bytes as characters on Ctrl-W, and may panic over it where overflow is
            // checked: a reason to lose the line that is being typed, not the chat.
            match AssertUnwindSafe(readline.readline()).catch_unwind().await {
                Ok(Ok(ReadlineEvent::Line(_))) if self.ended => {}
                Ok(Ok(ReadlineEvent::Line(line))) => {
                    self.remember(&line);
                    return Some(Input::Line(line));
                }
                Ok(Ok(ReadlineEvent::Interrupted)) => return Some(Input::Interrupt),
                Ok(Ok(ReadlineEvent::Eof)) if self.ended => return Some(Input::Interrupt),
                Ok(Ok(ReadlineEvent::Eof)) => {
                    self.ended = true;
                    return None;
                }
                Ok(Err(error)) => {
                    self.readline = None;
                    return Some(Input::Broken(format!("the terminal cannot be read: {error}")));
                }
                Err(_) => {
                    let again = self.wipe().map_err(ReadlineError::IO).and_then(|()| self.set_up());
                    return Some(match again {
                        Ok(()) => Input::Redrawn,
                        Err(error) => Input::Broken(format!("the prompt is lost: {error}")),
                    });
                }
            }
        }
    }

    /// Clears what a failed prompt left on its line. As short a write as the prompt makes at every key.
    fn wipe(&mut self) -> std::io::Result<()> {
        self.readline = None;
        let mut screen = std::io::stdout().lock();
        screen.write_all(b"\r\x1b[J")?;
        screen.flush()
    }

    fn remember(&mut self, line: &str) {
        if line.is_empty() || self.history.last().is_some_and(|last| last == line) {
            return;
        }
        if self.history.len() >= HISTORY {
            self.history.remove(0);
        }
        self.history.push(line.to_owned());
        if let Some(readline) = &mut self.readline {
            readline.add_history_entry(line.to_owned());
        }
    }

    /// Draws what is left to draw, and gives the terminal back.
    pub(crate) fn close(&mut self) {
        if let Some(mut readline) = self.readline.take() {
            // There is nobody left to show it to if this fails.
            let _ = readline.flush();
        }
    }
}

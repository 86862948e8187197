//! The session's ends: where lines come from and where text goes to, for each of the three ways to talk.

use futures::FutureExt;
use rustyline_async::ReadlineError;
use tokio::sync::mpsc;

use super::Mode;
use super::clock::Clock;
use super::diagnostics::Diagnostics;
use super::escape::visible;
use super::input::{Input, Stdin};
use super::json;
use super::output::Output;
use super::report::{Line, Report};
use super::terminal::Terminal;
use super::text::{Style, TextView};

/// Where typed lines come from.
pub(crate) enum Source {
    /// Stdin as it is.
    Stdin(Stdin),
    /// The prompt.
    Terminal(Box<Terminal>),
}

impl Source {
    /// Waits for input; `None` once, at its end, and no line after that. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<Input> {
        match self {
            Self::Stdin(stdin) => stdin.next().await,
            Self::Terminal(terminal) => terminal.next().await,
        }
    }

    /// What [`Source::next`] would give at once. Never anything from the prompt, of which crossterm's event stream
    /// forgets whom to wake if it is asked by somebody who does not wait.
    pub(crate) fn try_next(&mut self) -> Option<Option<Input>> {
        match self {
            Self::Stdin(stdin) => stdin.next().now_or_never(),
            Self::Terminal(_) => None,
        }
    }
}

/// How reports are put into words.
enum View {
    Json,
    Text(Box<TextView>),
}

/// Everything between the session and its user.
pub(crate) struct Front {
    pub(crate) mode: Mode,
    pub(crate) source: Source,
    pub(crate) output: Output,
    view: View,
    diagnostics: Diagnostics,
    logs: Option<mpsc::Receiver<String>>,
}

impl Front {
    /// Takes hold of stdin and stdout. `logs` are the lines of the log, where they have to pass by the prompt.
    pub(crate) fn open(
        mode: Mode,
        diagnostics: Diagnostics,
        logs: &mut Option<mpsc::Receiver<String>>,
    ) -> Result<Self, ReadlineError> {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let style = if mode == Mode::Terminal { Style { terminal: true, colour: !plain } } else { Style::PLAIN };
        let text = || View::Text(Box::new(TextView::new(style, Clock::local())));
        let (source, output, view) = match mode {
            Mode::Json => (Source::Stdin(Stdin::start()?), Output::stdout()?, View::Json),
            Mode::Lines => (Source::Stdin(Stdin::start()?), Output::stdout()?, text()),
            Mode::Terminal => {
                let mut terminal = Terminal::open()?;
                let writer = terminal.writer().ok_or(ReadlineError::Closed)?;
                (Source::Terminal(Box::new(terminal)), Output::terminal(writer), text())
            }
        };
        Ok(Self { mode, source, output, view, diagnostics, logs: logs.take() })
    }

    /// Tells the user something.
    pub(crate) fn say(&mut self, report: &Report) {
        let lines = match &mut self.view {
            View::Json => json::render(report),
            View::Text(view) => view.render(report),
        };
        self.push(lines);
    }

    fn push(&mut self, lines: Vec<Line>) {
        for line in lines {
            match line {
                Line::Data(text) => self.output.push(&text),
                Line::Notice(text) if self.mode == Mode::Terminal => self.output.push(&text),
                Line::Notice(text) => self.diagnostics.say(&text),
            }
        }
    }

    /// Whether [`Front::tick`] wants to be called, about once a second.
    pub(crate) fn needs_tick(&self) -> bool {
        matches!(&self.view, View::Text(view) if view.needs_tick())
    }

    /// Says what the passing of time brings to light.
    pub(crate) fn tick(&mut self, now_millis: u64) {
        if let View::Text(view) = &mut self.view {
            let lines = view.tick(now_millis);
            self.push(lines);
        }
    }

    /// Whether a person reads this, who is told more than a program.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.view, View::Text(_))
    }

    /// A command stays visible on a terminal; everywhere else it never was.
    pub(crate) fn echo(&mut self, line: &str) {
        if let (Source::Terminal(terminal), View::Text(view)) = (&self.source, &self.view) {
            let line = format!("{}{}", terminal.shown_prompt(), visible(line));
            self.output.push(&view.style().dim(line));
        }
    }

    /// Says in the prompt where messages go.
    pub(crate) fn prompt(&mut self, room: Option<&str>) {
        if let Source::Terminal(terminal) = &mut self.source {
            terminal.prompt(format!("[{}] ", visible(room.unwrap_or("no room"))));
        }
    }

    /// The prompt was set up anew, and what is written goes there from now on.
    pub(crate) fn redrawn(&mut self) {
        if let Source::Terminal(terminal) = &mut self.source
            && let Some(writer) = terminal.writer()
        {
            self.output.replace(writer);
        }
    }

    /// Waits for a line of the log that has to pass by the prompt. Safe to cancel.
    pub(crate) async fn log(logs: &mut Option<mpsc::Receiver<String>>) -> String {
        if let Some(lines) = logs {
            if let Some(line) = lines.recv().await {
                return line;
            }
            *logs = None;
        }
        std::future::pending().await
    }

    /// The parts that are waited for at the same time.
    pub(crate) fn parts(&mut self) -> (&mut Source, &mut Output, &mut Option<mpsc::Receiver<String>>) {
        (&mut self.source, &mut self.output, &mut self.logs)
    }

    /// Gives the terminal back.
    pub(crate) fn close(mut self) {
        if let Some(logs) = &mut self.logs {
            while let Ok(line) = logs.try_recv() {
                self.output.push(line.trim_end());
            }
        }
        if let Source::Terminal(terminal) = &mut self.source {
            // Filled for the terminal, this never waits: the prompt below takes it.
            let _ = self.output.send().now_or_never();
            terminal.close();
        }
    }
}

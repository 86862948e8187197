//! Where text goes to, as lines or as JSON.

use super::clock::Clock;
use super::diagnostics::Diagnostics;
use super::json;
use super::output::Output;
use super::report::{Line, Report};
use super::text::TextView;

/// How reports are put into words.
pub(crate) enum View {
    Json,
    Text(Box<TextView>),
}

impl View {
    /// For people, in their time zone.
    pub(crate) fn text() -> Self {
        Self::Text(Box::new(TextView::new(Clock::local())))
    }
}

/// Everything that a user is told.
pub(crate) struct Front {
    pub(crate) stdout: Output,
    view: View,
    diagnostics: Diagnostics,
}

impl Front {
    /// Takes hold of stdout.
    pub(crate) fn open(view: View, diagnostics: Diagnostics) -> std::io::Result<Self> {
        Ok(Self { stdout: Output::start()?, view, diagnostics })
    }

    /// Takes hold of something else.
    #[cfg(test)]
    pub(crate) fn to(stdout: Output, view: View, diagnostics: Diagnostics) -> Self {
        Self { stdout, view, diagnostics }
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
                Line::Data(text) => self.stdout.push(&text),
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
}

//! What lies over the chat until it is closed: help, lists, what was found, and a question about a paste.

use distchat_node::{Found, Hit, Key, RoomName};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};

use super::app::App;
use super::done::indexing;
use super::names::named;
use super::wrap::{columns, fit};
use crate::cli::escape::{visible, visible_start};

/// What lies over the chat.
#[derive(Debug)]
pub(super) enum Popup {
    /// Lines to read. They have been through the gate.
    Text { title: String, lines: Vec<String>, top: usize },
    /// Whether to paste so much.
    Paste { text: String },
    /// Messages that were found, and which of them is pointed at.
    Found { words: String, found: Found, at: usize },
}

impl Popup {
    pub(super) fn text(title: &str, lines: Vec<String>) -> Self {
        Self::Text { title: title.to_owned(), lines, top: 0 }
    }

    /// Moves so many lines.
    pub(super) fn scroll(&mut self, step: isize) {
        match self {
            Self::Text { lines, top, .. } => *top = top.saturating_add_signed(step).min(lines.len().saturating_sub(1)),
            Self::Found { found, at, .. } => {
                *at = at.saturating_add_signed(step).min(found.hits.len().saturating_sub(1))
            }
            Self::Paste { .. } => {}
        }
    }

    /// The message that is pointed at.
    pub(super) fn hit(&self) -> Option<(RoomName, Key)> {
        match self {
            Self::Found { found, at, .. } => found.hits.get(*at).map(|hit| (hit.room.clone(), hit.message.key)),
            _ => None,
        }
    }

    /// Draws it in the middle.
    pub(super) fn draw(&self, buffer: &mut Buffer, area: Rect, app: &App) {
        let (title, lines, at): (String, Vec<Line<'_>>, Option<usize>) = match self {
            Self::Text { title, lines, top } => {
                (title.clone(), lines.iter().skip(*top).map(|line| Line::raw(&**line)).collect(), None)
            }
            Self::Paste { text } => {
                let count = text.lines().count();
                let mut lines =
                    vec![Line::raw(format!("Paste {count} lines? They become one message.")), Line::raw("")];
                lines.extend(text.lines().take(8).map(|line| Line::styled(visible_start(line, 200), app.theme.dim)));
                lines.extend((count > 8).then(|| Line::styled("…", app.theme.dim)));
                lines.push(Line::raw(""));
                lines.push(Line::raw("Enter pastes them, Esc does not."));
                ("paste".to_owned(), lines, None)
            }
            Self::Found { words, found, at } => {
                let lines = found.hits.iter().map(|Hit { room, message }| {
                    let day = app.clock.date(message.time.millis());
                    let time = app.clock.time(message.time.millis());
                    Line::from(vec![
                        Span::styled(format!("{day} {time} {} ", visible(room.as_str())), app.theme.dim),
                        Span::styled(named(message.author, &message.nick), app.theme.nick(message.author)),
                        Span::raw(format!(" {}", visible_start(message.text.lines().next().unwrap_or_default(), 300))),
                    ])
                });
                let so_far = found.indexing.map(indexing).unwrap_or_default();
                (format!("found: {}{so_far}", visible(words)), lines.collect(), Some(*at))
            }
        };
        let widest = lines.iter().map(Line::width).max().unwrap_or(0).max(columns(&title) + 4);
        let width = u16::try_from(widest + 4).unwrap_or(u16::MAX).clamp(20.min(area.width), area.width);
        let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
        let window =
            Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
        Clear.render(window, buffer);
        let inside = usize::from(width).saturating_sub(2);
        let head = fit(&format!("─ {title} "), inside);
        let rest = inside.saturating_sub(columns(&head));
        buffer.set_string(window.x, window.y, format!("┌{head}{}┐", "─".repeat(rest)), app.theme.dim);
        buffer.set_string(window.x, window.bottom() - 1, format!("└{}┘", "─".repeat(inside)), app.theme.dim);
        let rows = usize::from(height).saturating_sub(2);
        // The one that is pointed at stays in sight.
        let first = at.map_or(0, |at| (at + 1).saturating_sub(rows));
        for (number, y) in (first..first + rows).zip(window.y + 1..) {
            buffer.set_string(window.x, y, "│", app.theme.dim);
            buffer.set_string(window.right() - 1, y, "│", app.theme.dim);
            if let Some(line) = lines.get(number) {
                buffer.set_line(window.x + 2, y, line, width.saturating_sub(4));
            }
            if at == Some(number) {
                buffer.set_style(Rect { x: window.x + 1, y, width: width - 2, height: 1 }, app.theme.selected);
            }
        }
    }
}

//! How a frame is written: by crossterm's backend, and so that terminals which count columns otherwise show it, too.
//!
//! How many columns a character takes is not agreed upon where it has several code points, as accents, Indian vowels and
//! joined emoji do: a terminal may give it more than we do, or fewer. What stands behind one would be shifted, and what is
//! shifted never put right, as a frame only writes what has changed. Therefore the cursor is placed anew behind each of
//! them, and the rows that hold one, or did in the last frame, are written whole.

use std::collections::BTreeSet;
use std::io;

use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::{Buffer, Cell, CellDiffOption};
use ratatui::layout::{Position, Size};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// Whether terminals may not agree with us on the columns of what is in a cell.
fn is_doubtful(symbol: &str) -> bool {
    let mut chars = symbol.chars();
    let mark = |c: char| c.general_category_group() == GeneralCategoryGroup::Mark;
    !symbol.is_ascii() && (chars.next().is_some_and(mark) || chars.next().is_some())
}

/// Has the rows written whole in which something doubtful is, or was in the last frame: `before` is to be given again.
pub(super) fn write_doubtful_rows(buffer: &mut Buffer, before: &mut BTreeSet<usize>) {
    let width = usize::from(buffer.area.width).max(1);
    let rows = || buffer.content.chunks(width).enumerate();
    let now: BTreeSet<usize> = rows()
        .filter(|(_, cells)| cells.iter().any(|cell| is_doubtful(cell.symbol())))
        .map(|(number, _)| number)
        .collect();
    for (number, cells) in buffer.content.chunks_mut(width).enumerate() {
        if now.contains(&number) || before.contains(&number) {
            for cell in cells {
                cell.set_diff_option(CellDiffOption::AlwaysUpdate);
            }
        }
    }
    *before = now;
}

/// Crossterm's backend, which places the cursor behind whatever is doubtful, and never asks the terminal where that is:
/// the answer would come among the keys.
pub(super) struct Placing<W: io::Write> {
    inner: CrosstermBackend<W>,
    cursor: Position,
}

impl<W: io::Write> Placing<W> {
    pub(super) fn new(writer: W) -> Self {
        Self { inner: CrosstermBackend::new(writer), cursor: Position::ORIGIN }
    }
}

impl<W: io::Write> Backend for Placing<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        // Each part begins with a move of the cursor.
        let mut part = Vec::new();
        for (column, row, cell) in content {
            part.push((column, row, cell));
            if is_doubtful(cell.symbol()) {
                self.inner.draw(part.drain(..))?;
            }
        }
        self.inner.draw(part.into_iter())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.inner.hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.inner.show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(self.cursor)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.cursor = position.into();
        self.inner.set_cursor_position(self.cursor)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.inner.clear()
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        self.inner.clear_region(clear_type)
    }

    fn size(&self) -> io::Result<Size> {
        self.inner.size()
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.inner.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        // Of ratatui's, that of the writer: both have one.
        Backend::flush(&mut self.inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::{Terminal, TerminalOptions, Viewport};

    #[test]
    fn what_stands_behind_something_doubtful_is_placed() {
        for (symbol, doubtful) in [
            ("a", false),
            ("é", false),
            ("日", false),
            ("🙂", false),
            ("e\u{301}", true),
            ("\u{93e}", true),
            ("👩‍💻", true),
        ] {
            assert_eq!(is_doubtful(symbol), doubtful, "{symbol}");
        }
        let options = TerminalOptions { viewport: Viewport::Fixed(Rect::new(0, 0, 6, 2)) };
        let mut written = Vec::new();
        let mut terminal = Terminal::with_options(Placing::new(&mut written), options).unwrap();
        let mut before = BTreeSet::new();
        for text in ["e\u{301}b", "cb"] {
            let drawn = terminal.draw(|frame| {
                frame.buffer_mut().set_string(0, 0, text, ratatui::style::Style::new());
                write_doubtful_rows(frame.buffer_mut(), &mut before);
            });
            drawn.unwrap();
        }
        drop(terminal);
        let written = String::from_utf8(written).unwrap();
        // Placed the first time, and written again although it is the same.
        assert!(written.contains("\u{1b}[1;2Hb"), "{written:?}");
        assert!(written.contains("cb    "), "{written:?}");
    }
}

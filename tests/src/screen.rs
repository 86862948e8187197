//! What can be seen on a terminal, and what the program has made of the terminal to show it.

use std::fmt;

use vt100::{Cell, CursorStyle, MouseProtocolEncoding, MouseProtocolMode};

use crate::emulator::{Emulator, Modes};

/// A terminal's screen at one moment. Columns and rows are counted from 0, from the upper left.
#[derive(Clone)]
pub struct Screen {
    pub(crate) shown: vt100::Screen,
    pub(crate) modes: Modes,
}

impl Screen {
    /// The screen of `size` (columns, rows) after these bytes.
    pub fn of(size: (u16, u16), bytes: &[u8]) -> Self {
        let mut emulator = Emulator::new(size);
        emulator.feed(bytes);
        emulator.screen()
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        let (rows, columns) = self.shown.size();
        (columns.get(), rows.get())
    }

    /// What is at a place, with its colours; see [`Cell`].
    ///
    /// # Panics
    /// If that is not on the screen.
    pub fn cell(&self, column: u16, row: u16) -> &Cell {
        self.shown.cell(row, column).unwrap_or_else(|| panic!("no column {column} in row {row} of\n{self}"))
    }

    /// The text of a row, without the blanks at its end.
    pub fn row(&self, row: u16) -> String {
        let text: String = self.characters(row).map(|(_, text)| text).collect();
        text.trim_end().to_owned()
    }

    /// The texts of all rows.
    pub fn rows(&self) -> Vec<String> {
        (0..self.size().1).map(|row| self.row(row)).collect()
    }

    /// Whether this text can be read somewhere, within one row.
    pub fn contains(&self, text: &str) -> bool {
        self.find(text).is_some()
    }

    /// The column and row at which this text can be read first.
    pub fn find(&self, text: &str) -> Option<(u16, u16)> {
        (0..self.size().1).find_map(|row| {
            let (mut line, mut starts) = (String::new(), Vec::new());
            for (column, cell) in self.characters(row) {
                starts.push((line.len(), column));
                line += cell;
            }
            let place = line.find(text)?;
            let (_, column) = starts.into_iter().rfind(|&(start, _)| start <= place)?;
            Some((column, row))
        })
    }

    /// The characters of a row with their columns; a wide one has two and is told once.
    fn characters(&self, row: u16) -> impl Iterator<Item = (u16, &str)> {
        (0..self.size().0).filter_map(move |column| {
            let cell = self.shown.cell(row, column)?;
            let text = if cell.has_contents() { cell.contents() } else { " " };
            (!cell.is_wide_continuation()).then_some((column, text))
        })
    }

    /// The cursor's column and row. After the last column is written to, it is one beyond.
    pub fn cursor(&self) -> (u16, u16) {
        let (row, column) = self.shown.cursor_position();
        (column, row)
    }

    /// Whether the cursor can be seen.
    pub fn cursor_visible(&self) -> bool {
        !self.shown.hide_cursor()
    }

    /// What is left of the cursor: the character typed last, if it is shown where it is typed.
    pub fn before_cursor(&self) -> &str {
        before_cursor(&self.shown)
    }

    /// Whether this is the alternate screen, behind which what was there before is kept.
    pub fn alternate(&self) -> bool {
        self.shown.alternate_screen()
    }

    /// Whether the program is told what is pasted and what typed.
    pub fn bracketed_paste(&self) -> bool {
        self.shown.bracketed_paste()
    }

    /// Whether the program is told of clicks, in the one encoding that has no limits.
    pub fn mouse(&self) -> bool {
        self.shown.mouse_protocol_mode() != MouseProtocolMode::None
            && self.shown.mouse_protocol_encoding() == MouseProtocolEncoding::Sgr
    }

    /// Whether the program is told when it gets and loses the focus.
    pub fn focus(&self) -> bool {
        self.modes.focus
    }

    pub(crate) fn application_cursor(&self) -> bool {
        self.shown.application_cursor()
    }

    /// What is not as a shell expects to find it: nothing, after a program that cleans up.
    pub fn altered(&self) -> Vec<&'static str> {
        let all = [
            (self.alternate(), "the alternate screen is on"),
            (!self.cursor_visible(), "the cursor is hidden"),
            (self.shown.cursor_style() != CursorStyle::Default, "the cursor has another form"),
            (self.bracketed_paste(), "pastes are marked"),
            (self.shown.mouse_protocol_mode() != MouseProtocolMode::None, "the mouse is taken"),
            (self.focus(), "changes of focus are reported"),
            (self.shown.application_cursor() || self.shown.application_keypad(), "keys are sent in another way"),
            (self.modes.keyboard > 0, "the keyboard protocol is on"),
            (self.modes.held, "a frame is not finished"),
            (self.colours_left(), "what is written next has colours or attributes"),
        ];
        all.into_iter().filter_map(|(is, what)| is.then_some(what)).collect()
    }

    fn colours_left(&self) -> bool {
        let shown = &self.shown;
        shown.fgcolor() != vt100::Color::Default
            || shown.bgcolor() != vt100::Color::Default
            || [shown.bold(), shown.dim(), shown.italic(), shown.underline(), shown.inverse()].contains(&true)
    }
}

/// See [`Screen::before_cursor`].
pub(crate) fn before_cursor(shown: &vt100::Screen) -> &str {
    let (row, column) = shown.cursor_position();
    let place = match (column.checked_sub(1), row.checked_sub(1)) {
        (Some(column), _) => (row, column),
        (None, Some(row)) => (row, shown.size().1.get() - 1),
        (None, None) => return "",
    };
    let cell = |column| shown.cell(place.0, column);
    // What a wide character is, the first of its two cells knows.
    let wide = cell(place.1).is_some_and(Cell::is_wide_continuation);
    cell(place.1 - u16::from(wide)).map_or("", Cell::contents)
}

/// The screen as a failed test shows it.
impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (columns, rows) = self.size();
        let line = "─".repeat(columns.into());
        writeln!(f, "┌{line}┐")?;
        for row in 0..rows {
            let text: String = self.characters(row).map(|(_, text)| text).collect();
            writeln!(f, "│{text}│")?;
        }
        writeln!(f, "└{line}┘")?;
        let (column, row) = self.cursor();
        write!(f, "{columns} by {rows}, the cursor at column {column}, row {row}; {:?}", self.altered())
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_by_its_column() {
        let screen = Screen::of((20, 3), "one\r\n日本 two\r\n\x1b[1mthree".as_bytes());
        assert_eq!(screen.rows(), ["one", "日本 two", "three"]);
        assert_eq!((screen.find("two"), screen.find("本"), screen.find("four")), (Some((5, 1)), Some((2, 1)), None));
        assert!(screen.cell(0, 2).bold() && !screen.cell(0, 0).bold());
        assert_eq!((screen.cursor(), screen.before_cursor()), ((5, 2), "e"));
        assert_eq!(Screen::of((20, 3), "日".as_bytes()).before_cursor(), "日");
        assert_eq!(Screen::of((20, 3), b"").before_cursor(), "");
    }

    #[test]
    fn what_is_altered_is_told() {
        let on = "\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[?1003h\x1b[?1006h\x1b[?1004h\x1b[>1u\x1b[1m\x1b[?2026h";
        let off = "\x1b[?2026l\x1b[m\x1b[<1u\x1b[?1004l\x1b[?1006l\x1b[?1003l\x1b[?2004l\x1b[?25h\x1b[?1049l";
        let screen = Screen::of((20, 3), on.as_bytes());
        assert_eq!(screen.altered().len(), 8, "{screen}");
        assert!(screen.mouse() && screen.focus() && screen.alternate() && screen.bracketed_paste());
        assert_eq!(Screen::of((20, 3), [on, off].concat().as_bytes()).altered(), [""; 0]);
    }
}

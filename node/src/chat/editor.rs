//! The text that is being typed.
//!
//! What is edited, and undone, is in the hands of `ratatui-textarea`. It moves by code points, so moving and erasing by what
//! people see as one character, and finding the cursor's column, are done here.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui_textarea::{CursorMove, TextArea};
use unicode_segmentation::UnicodeSegmentation;

use super::wrap::columns;
use crate::cli::escape::visible;

/// How many changes can be undone.
const UNDO: usize = 1_000;

/// The text that is being typed, with a cursor in it.
#[derive(Debug)]
pub(super) struct Editor {
    area: TextArea<'static>,
}

/// The text in rows, and where the cursor is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) rows: Vec<String>,
    /// Row and column.
    pub(super) cursor: (usize, usize),
}

impl Default for Editor {
    fn default() -> Self {
        let mut area = TextArea::default();
        area.set_max_histories(UNDO);
        Self { area }
    }
}

impl Editor {
    pub(super) fn text(&self) -> String {
        self.area.lines().join("\n")
    }

    pub(super) fn is_empty(&self) -> bool {
        self.area.is_empty()
    }

    /// Gives the text away. It cannot be undone any more.
    pub(super) fn take(&mut self) -> String {
        let yank = self.area.yank_text();
        let text = self.text();
        *self = Self::default();
        self.area.set_yank_text(yank);
        text
    }

    /// Puts another text in its place, which can be undone.
    pub(super) fn replace(&mut self, text: &str) {
        self.area.clear();
        self.insert(text);
    }

    /// Puts text at the cursor.
    pub(super) fn insert(&mut self, text: &str) {
        if !text.is_empty() {
            self.area.insert_str(text);
        }
    }

    /// Whether the cursor is in the first line, and whether it is in the last.
    pub(super) fn at_ends(&self) -> (bool, bool) {
        let row = self.area.cursor().0;
        (row == 0, row + 1 == self.area.lines().len())
    }

    /// What stands before the cursor in its line.
    pub(super) fn before_cursor(&self) -> &str {
        let (row, column) = self.place();
        let line = self.area.lines().get(row).map_or("", String::as_str);
        line.char_indices().nth(column).and_then(|(end, _)| line.get(..end)).unwrap_or(line)
    }

    fn after_cursor(&self) -> &str {
        let (row, column) = self.place();
        let line = self.area.lines().get(row).map_or("", String::as_str);
        line.char_indices().nth(column).and_then(|(end, _)| line.get(end..)).unwrap_or_default()
    }

    /// Replaces the last bytes before the cursor.
    pub(super) fn replace_before(&mut self, bytes: usize, text: &str) {
        let before = self.before_cursor();
        let erased = before.get(before.len().saturating_sub(bytes)..).unwrap_or_default().chars().count();
        self.back(erased);
        self.area.delete_str(erased);
        self.insert(text);
    }

    fn place(&self) -> (usize, usize) {
        let cursor = self.area.cursor();
        (cursor.0, cursor.1)
    }

    fn back(&mut self, chars: usize) {
        for _ in 0..chars {
            self.area.move_cursor(CursorMove::Back);
        }
    }

    fn forward(&mut self, chars: usize) {
        for _ in 0..chars {
            self.area.move_cursor(CursorMove::Forward);
        }
    }

    /// How many code points the character before the cursor has; the line feed before a line has one, too.
    fn chars_before(&self) -> usize {
        self.before_cursor().graphemes(true).next_back().map_or(1, |grapheme| grapheme.chars().count())
    }

    fn chars_after(&self) -> usize {
        self.after_cursor().graphemes(true).next().map_or(1, |grapheme| grapheme.chars().count())
    }

    /// Takes a key. Whether it meant anything here.
    pub(super) fn key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        let area = &mut self.area;
        match (key.code, control, alt) {
            // With both it is the right Alt key of many a keyboard, which makes other characters.
            (KeyCode::Char(c), false, false) | (KeyCode::Char(c), true, true) => area.insert_char(c),
            (KeyCode::Left, false, false) | (KeyCode::Char('b'), true, false) => self.back(self.chars_before()),
            (KeyCode::Right, false, false) | (KeyCode::Char('f'), true, false) => self.forward(self.chars_after()),
            (KeyCode::Left, ..) | (KeyCode::Char('b'), false, true) => area.move_cursor(CursorMove::WordBack),
            (KeyCode::Right, ..) | (KeyCode::Char('f'), false, true) => area.move_cursor(CursorMove::WordForward),
            (KeyCode::Up, false, false) => area.move_cursor(CursorMove::Up),
            (KeyCode::Down, false, false) => area.move_cursor(CursorMove::Down),
            (KeyCode::Home, false, _) | (KeyCode::Char('a'), true, false) => area.move_cursor(CursorMove::Head),
            (KeyCode::End, false, _) | (KeyCode::Char('e'), true, false) => area.move_cursor(CursorMove::End),
            (KeyCode::Backspace, false, false) | (KeyCode::Char('h'), true, false) => {
                let chars = self.chars_before();
                let start = self.place() == (0, 0);
                self.back(chars);
                if !start {
                    self.area.delete_str(chars);
                }
            }
            (KeyCode::Delete, ..) | (KeyCode::Char('d'), true, false) => {
                self.area.delete_str(self.chars_after());
            }
            (KeyCode::Backspace, ..) | (KeyCode::Char('w'), true, false) => drop(area.delete_word()),
            (KeyCode::Char('d'), false, true) => drop(area.delete_next_word()),
            (KeyCode::Char('k'), true, false) => drop(area.delete_line_by_end()),
            (KeyCode::Char('u'), true, false) => drop(area.delete_line_by_head()),
            (KeyCode::Char('y'), true, false) => drop(area.paste()),
            (KeyCode::Char('z' | '_' | '7'), true, false) => drop(area.undo()),
            (KeyCode::Char('z'), false, true) => drop(area.redo()),
            _ => return false,
        }
        true
    }

    /// Empties the line, which can be undone.
    pub(super) fn clear(&mut self) {
        self.area.clear();
    }

    /// The text in rows of so many columns.
    pub(super) fn shown(&self, width: usize) -> Shown {
        let width = width.max(2);
        let (cursor_line, cursor_char) = self.place();
        let mut rows = Vec::new();
        let mut cursor = (0, 0);
        for (number, line) in self.area.lines().iter().enumerate() {
            let (mut row, mut column, mut chars) = (String::new(), 0, 0);
            for grapheme in line.graphemes(true) {
                let shown = visible(grapheme);
                let shown_columns = columns(&shown);
                if column + shown_columns > width {
                    rows.push(std::mem::take(&mut row));
                    column = 0;
                }
                if number == cursor_line && chars <= cursor_char {
                    cursor = (rows.len(), column);
                }
                row.push_str(&shown);
                column += shown_columns;
                chars += grapheme.chars().count();
            }
            if number == cursor_line && chars <= cursor_char {
                // Behind a full row the cursor stands at the start of the next.
                if column >= width {
                    rows.push(std::mem::take(&mut row));
                    column = 0;
                }
                cursor = (rows.len(), column);
            }
            rows.push(row);
        }
        Shown { rows, cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn editor(text: &str) -> Editor {
        let mut editor = Editor::default();
        editor.insert(text);
        editor
    }

    fn press(editor: &mut Editor, keys: &str) {
        for key in keys.split_whitespace() {
            let (modifiers, name) = match key.split_once('-') {
                Some(("C", name)) => (KeyModifiers::CONTROL, name),
                Some(("A", name)) => (KeyModifiers::ALT, name),
                _ => (KeyModifiers::NONE, key),
            };
            let code = match name {
                "left" => KeyCode::Left,
                "right" => KeyCode::Right,
                "home" => KeyCode::Home,
                "end" => KeyCode::End,
                "back" => KeyCode::Backspace,
                "del" => KeyCode::Delete,
                _ => KeyCode::Char(name.chars().next().unwrap()),
            };
            assert!(editor.key(KeyEvent::new(code, modifiers)), "{key}");
        }
    }

    #[test]
    fn keys_edit() {
        for (text, keys, expect) in [
            ("one two", "C-w", "one "),
            ("one two", "C-u", ""),
            ("one two", "C-u C-z", "one two"),
            ("one two", "C-u C-y C-y", "one twoone two"),
            ("one two", "A-b C-k", "one "),
            ("one two", "home del del x", "xe two"),
            ("one two", "C-a A-d", " two"),
            ("a👩‍💻b", "left back", "ab"),
            ("a👩‍💻b", "left left del", "ab"),
            ("e\u{301}x", "left back", "x"),
            ("a\nb", "left back", "ab"),
            ("", "back del left right C-w C-u C-k C-z", ""),
            ("日本", "left x", "日x本"),
        ] {
            let mut editor = editor(text);
            press(&mut editor, keys);
            assert_eq!(editor.text(), expect, "{text:?} {keys}");
        }
    }

    #[test]
    fn a_text_that_was_cleared_or_replaced_can_be_had_back() {
        let mut editor = editor("two\nlines");
        editor.clear();
        assert!(editor.is_empty());
        press(&mut editor, "C-z");
        assert_eq!(editor.text(), "two\nlines");
    }

    #[test]
    fn the_cursor_is_where_it_looks() {
        for (text, keys, width, rows, cursor) in [
            ("", "", 4, vec![""], (0, 0)),
            ("abc", "", 4, vec!["abc"], (0, 3)),
            ("abcd", "", 4, vec!["abcd", ""], (1, 0)),
            ("abcdef", "left left", 4, vec!["abcd", "ef"], (1, 0)),
            ("日本語", "left", 5, vec!["日本", "語"], (1, 0)),
            ("a👩‍💻b", "", 8, vec!["a👩‍💻b"], (0, 4)),
            ("a👩‍💻b", "left left", 8, vec!["a👩‍💻b"], (0, 1)),
            ("a\nb", "", 8, vec!["a", "b"], (1, 1)),
            ("a\u{202e}b", "", 20, vec!["a\\u{202e}b"], (0, 10)),
        ] {
            let mut editor = editor(text);
            press(&mut editor, keys);
            let rows: Vec<String> = rows.into_iter().map(str::to_owned).collect();
            assert_eq!(editor.shown(width), Shown { rows, cursor }, "{text:?} {keys}");
        }
    }

    #[test]
    fn what_is_before_the_cursor_is_replaced() {
        let mut editor = editor("hi an!");
        press(&mut editor, "left");
        assert_eq!(editor.before_cursor(), "hi an");
        editor.replace_before(2, "ana: ");
        assert_eq!(editor.text(), "hi ana: !");
    }
}

//! Breaking styled text into rows.
//!
//! Widths are counted in columns, by grapheme, exactly as the screen counts them.

use ratatui::buffer::CellWidth;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_segmentation::UnicodeSegmentation;

/// Text in one style. It may hold line feeds, which end a row, and no other control characters.
pub(super) type Piece = (String, Style);

/// How many columns the text takes.
pub(super) fn columns(text: &str) -> usize {
    text.graphemes(true).map(|grapheme| usize::from(grapheme.cell_width())).sum()
}

/// Rows under construction.
struct Rows {
    width: usize,
    indent: Vec<Span<'static>>,
    indent_width: usize,
    most: usize,
    done: Vec<Line<'static>>,
    row: Vec<Span<'static>>,
    column: usize,
    /// Blanks that are only written if something follows on the same row.
    blanks: Vec<Piece>,
    cut: bool,
}

/// Breaks text into rows of at most `width` columns. The first row goes on behind `head`; the others begin with `indent`.
/// Words stay whole if they fit on a row. At most `most` rows are made; whether there was more.
pub(super) fn wrap(
    head: Vec<Span<'static>>,
    indent: Vec<Span<'static>>,
    pieces: &[Piece],
    width: usize,
    most: usize,
) -> (Vec<Line<'static>>, bool) {
    let of = |spans: &[Span<'_>]| spans.iter().map(|span| columns(&span.content)).sum();
    let (indent_width, column) = (of(&indent), of(&head));
    let (done, blanks) = (Vec::new(), Vec::new());
    let mut rows = Rows { width, indent, indent_width, most, done, row: head, column, blanks, cut: false };
    let mut word: Vec<Piece> = Vec::new();
    'text: for (text, style) in pieces {
        for (number, line) in text.split('\n').enumerate() {
            if number > 0 {
                rows.word(&mut word);
                rows.feed();
            }
            for run in line.split_inclusive(' ') {
                let letters = run.strip_suffix(' ').unwrap_or(run);
                if !letters.is_empty() {
                    word.push((letters.to_owned(), *style));
                }
                if letters.len() < run.len() {
                    rows.word(&mut word);
                    rows.blanks.push((" ".to_owned(), *style));
                }
            }
            if rows.cut {
                break 'text;
            }
        }
    }
    rows.word(&mut word);
    if !rows.cut {
        rows.feed();
    }
    (rows.done, rows.cut)
}

impl Rows {
    /// The row is full.
    fn feed(&mut self) {
        if self.done.len() == self.most {
            self.cut = true;
            return;
        }
        self.blanks.clear();
        self.done.push(Line::from(std::mem::replace(&mut self.row, self.indent.clone())));
        self.column = self.indent_width;
    }

    fn push(&mut self, text: &str, style: Style, columns: usize) {
        self.column += columns;
        match self.row.last_mut() {
            Some(last) if last.style == style => last.content.to_mut().push_str(text),
            _ => self.row.push(Span::styled(text.to_owned(), style)),
        }
    }

    /// A word, perhaps of several styles, is complete.
    fn word(&mut self, pieces: &mut Vec<Piece>) {
        if pieces.is_empty() {
            return;
        }
        let columns: usize = pieces.iter().map(|(text, _)| columns(text)).sum();
        let fits = self.column + self.blanks.len() + columns <= self.width;
        if !fits && self.column > self.indent_width && self.indent_width + columns <= self.width {
            self.feed();
        }
        for (blank, style) in std::mem::take(&mut self.blanks) {
            if self.column < self.width {
                self.push(&blank, style, 1);
            }
        }
        for (text, style) in std::mem::take(pieces) {
            for grapheme in text.graphemes(true) {
                if self.cut {
                    return;
                }
                let columns = usize::from(grapheme.cell_width());
                if self.column + columns > self.width && self.column > self.indent_width {
                    self.feed();
                }
                self.push(grapheme, style, columns);
            }
        }
    }
}

/// The start of the text that fits into so many columns, with an ellipsis if that is not all.
pub(super) fn fit(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut fitted = String::new();
    let mut column = 0;
    for grapheme in text.graphemes(true) {
        column += usize::from(grapheme.cell_width());
        if column + 1 > width {
            break;
        }
        fitted.push_str(grapheme);
    }
    if width > 0 {
        fitted.push('…');
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, width: usize, expect: &[&str]) {
        let head = vec![Span::raw("> ")];
        let (rows, cut) = wrap(head, vec![Span::raw("  ")], &[(text.to_owned(), Style::new())], width, 10);
        let rows: Vec<String> = rows.iter().map(ToString::to_string).collect();
        assert_eq!(rows, expect, "{text:?}");
        assert!(!cut);
        assert!(rows.iter().all(|row| columns(row) <= width.max(4)), "{rows:?}");
    }

    #[test]
    fn words_stay_whole_if_they_fit() {
        check("", 10, &["> "]);
        check("one two three", 10, &["> one two", "  three"]);
        check("one two", 5, &["> one", "  two"]);
        check("a  b", 10, &["> a  b"]);
        check("abcdefgh  ij", 10, &["> abcdefgh", "  ij"]);
        check("abcdefghijkl mn", 10, &["> abcdefgh", "  ijkl mn"]);
        check("a\n\nb", 10, &["> a", "  ", "  b"]);
        check("日本語 日本語", 9, &["> 日本語", "  日本語"]);
        check("日本語日本語", 9, &["> 日本語", "  日本語"]);
        check("👩‍💻👩‍💻👩‍💻", 6, &["> 👩‍💻👩‍💻", "  👩‍💻"]);
    }

    #[test]
    fn styles_do_not_break_words() {
        let pieces = [("say ana".to_owned(), Style::new()), (", hi".to_owned(), Style::new().bold())];
        let (rows, _) = wrap(Vec::new(), Vec::new(), &pieces, 6, 10);
        let rows: Vec<String> = rows.iter().map(ToString::to_string).collect();
        assert_eq!(rows, ["say", "ana,", "hi"]);
    }

    #[test]
    fn too_many_rows_are_not_made() {
        let (rows, cut) = wrap(Vec::new(), Vec::new(), &[("a\n".repeat(1000), Style::new())], 6, 3);
        assert_eq!((rows.len(), cut), (3, true));
        let (rows, cut) = wrap(Vec::new(), Vec::new(), &[("abc".repeat(1000), Style::new())], 6, 3);
        assert_eq!((rows.len(), cut), (3, true));
    }

    #[test]
    fn what_is_too_wide_is_cut() {
        for (text, width, expect) in [("ana", 3, "ana"), ("anna", 3, "an…"), ("日本語", 4, "日…"), ("ana", 0, "")]
        {
            assert_eq!(fit(text, width), expect);
        }
    }
}

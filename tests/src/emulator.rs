//! The terminal itself: what it makes of the bytes a program writes, and what it answers.
//!
//! vt100 0.18.1 panics over a character that U+FE0F makes wide if it stands in the last column, where a program that
//! counts columns does not write one. Whoever waits for the screen is told of that. It counts the parts of a joined
//! emoji one by one, as many terminals do, and keeps no more than about 20 bytes of what is combined in a cell.

use std::num::NonZeroU16;

use vt100::{Callbacks, Parser};

use crate::Screen;

/// What a program has asked of the terminal that the parser does not know.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Modes {
    /// Tell when the focus comes and goes.
    pub(crate) focus: bool,
    /// Show nothing until the frame is finished.
    pub(crate) held: bool,
    /// How deep the stack of the keyboard protocol is.
    pub(crate) keyboard: u16,
}

pub(crate) struct Emulator {
    parser: Parser<Rest>,
}

/// The rest: what the parser leaves to others.
#[derive(Default)]
struct Rest {
    modes: Modes,
    answers: Vec<u8>,
}

impl Emulator {
    /// A terminal of `size` columns and rows.
    pub(crate) fn new(size: (u16, u16)) -> Self {
        let (columns, rows) = cells(size);
        Self { parser: Parser::new_with_callbacks(rows, columns, 0, Rest::default()) }
    }

    /// Takes what the program has written; returns what is answered to it.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.parser.process(bytes);
        std::mem::take(&mut self.parser.callbacks_mut().answers)
    }

    /// Makes the screen larger or smaller.
    pub(crate) fn resize(&mut self, size: (u16, u16)) {
        let (columns, rows) = cells(size);
        self.parser.set_size(rows, columns);
    }

    /// Whether a frame has begun and not ended, so that there is nothing to look at yet.
    pub(crate) fn held(&self) -> bool {
        self.parser.callbacks().modes.held
    }

    /// The screen as the parser has it, to look at without a copy.
    pub(crate) fn shown(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    pub(crate) fn screen(&self) -> Screen {
        Screen { shown: self.parser.screen().clone(), modes: self.parser.callbacks().modes }
    }
}

fn cells((columns, rows): (u16, u16)) -> (NonZeroU16, NonZeroU16) {
    let some = |cells| NonZeroU16::new(cells).expect("a terminal has a column and a row at least");
    (some(columns), some(rows))
}

impl Callbacks for Rest {
    fn unhandled_csi(
        &mut self,
        screen: &mut vt100::Screen,
        mark: Option<u8>,
        _second: Option<u8>,
        parameters: &[&[u16]],
        last: char,
    ) {
        let first = parameters.first().and_then(|parameter| parameter.first()).copied().unwrap_or(0);
        match (mark, last) {
            // One call for each mode that the parser does not know, and every time with all of them.
            (Some(b'?'), 'h' | 'l') => {
                for &mode in parameters {
                    match mode {
                        [1004] => self.modes.focus = last == 'h',
                        [2026] => self.modes.held = last == 'h',
                        _ => {}
                    }
                }
            }
            (Some(b'>'), 'u') => self.modes.keyboard += 1,
            (Some(b'<'), 'u') => self.modes.keyboard = self.modes.keyboard.saturating_sub(first.max(1)),
            // Where the cursor is: programs wait for the answer.
            (None, 'n') if first == 6 => {
                let (row, column) = screen.cursor_position();
                self.answers.extend(format!("\x1b[{};{}R", row + 1, column + 1).into_bytes());
            }
            (None, 'n') if first == 5 => self.answers.extend(b"\x1b[0n"),
            // A terminal of the xterm kind, with colours; without the keyboard protocol, whose question gets no answer.
            (None, 'c') if first == 0 => self.answers.extend(b"\x1b[?62;22c"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_answered() {
        let mut emulator = Emulator::new((20, 5));
        assert_eq!(emulator.feed(b"ab\x1b[6n"), b"\x1b[1;3R");
        assert_eq!(emulator.feed(b"\x1b[?u\x1b[c"), b"\x1b[?62;22c");
        assert_eq!(emulator.feed(b"\x1b[5n\r\n\x1b[6n"), b"\x1b[0n\x1b[2;1R");
        assert_eq!(emulator.feed(b"plain"), b"");
    }

    #[test]
    fn a_frame_is_held_until_it_is_whole() {
        let mut emulator = Emulator::new((20, 5));
        emulator.feed(b"\x1b[?2026hhalf of");
        assert!(emulator.held());
        emulator.feed(b" it\x1b[?2026l");
        assert!(!emulator.held() && emulator.screen().contains("half of it"));
    }

    #[test]
    fn it_stands_whatever_is_written_to_it() {
        // Wide, joined and combined characters, at and near the edges.
        let wild = ["日", "\x1b[2P", "e\u{301}", "👩\u{200d}💻", "\x1b[1;99H", "\x1b[A", "\x08", "\x1b[2L", "\n", "x"];
        for size in [(2, 1), (2, 2), (3, 2), (20, 5)] {
            let mut emulator = Emulator::new(size);
            for number in 0..10_000_usize {
                // Every order of four, without chance: the digits of the number.
                for place in [1, 10, 100, 1000] {
                    emulator.feed(wild[number / place % 10].as_bytes());
                }
            }
            emulator.resize((size.0 + 3, size.1 + 3));
            emulator.feed("日本語\x1b[2;2H日本".as_bytes());
            emulator.resize(size);
            emulator.feed("日本語日本\x1b[J".as_bytes());
        }
    }
}

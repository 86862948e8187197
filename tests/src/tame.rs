//! Which control functions a full-screen program may use, and that it uses no other.
//!
//! Text from elsewhere that gets to a terminal unescaped makes it do something: set a title, fill the clipboard, answer
//! in the user's name. None of that is among what a screen is drawn with, so one look at all the program has written
//! finds it, whatever its way was.

use crate::escapes::{Function, scan};

/// Shown around what is not allowed, in bytes.
const AROUND: usize = 60;
/// What lines are made of: backspace, tab, line feed, carriage return.
const CONTROLS: [u8; 4] = [0x08, 0x09, 0x0a, 0x0d];
/// Colours, moves of the cursor, erasing, scrolling, and the keyboard protocol switched on and off.
const SEQUENCES: [&str; 16] = ["m", "A", "B", "C", "D", "E", "F", "G", "H", "d", "J", "K", "S", "T", ">u", "<u"];
/// Line wrap, the cursor, the mouse (three), its encodings (two), focus, the alternate screen, bracketed paste, frames.
const MODES: [&str; 11] = ["7", "25", "1000", "1002", "1003", "1006", "1015", "1004", "1049", "2004", "2026"];

/// What is allowed besides what draws a screen.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// Operating system commands, by their numbers.
    pub commands: &'static [&'static str],
    /// The bell.
    pub bell: bool,
    /// Questions that the terminal answers: where its cursor is, what it is, and what its keyboard can do.
    pub questions: bool,
}

impl Allowed {
    fn allows(&self, function: &Function) -> bool {
        match function {
            Function::Control(0x07) => self.bell,
            Function::Control(byte) => CONTROLS.contains(byte),
            Function::Csi(sequence) => {
                let mode = sequence.strip_prefix('?').and_then(|mode| mode.strip_suffix(['h', 'l']));
                mode.is_some_and(|mode| MODES.contains(&mode))
                    || SEQUENCES.contains(&sequence.as_str())
                    || (self.questions && ["6n", "c", "?u"].contains(&sequence.as_str()))
            }
            Function::Osc(number) => self.commands.contains(&number.as_str()),
            _ => false,
        }
    }
}

/// Checks all that a program has written to a terminal.
///
/// # Panics
/// If there is anything in it that does not draw a screen and is not allowed, with where it is.
pub fn assert_tame(bytes: &[u8], allowed: &Allowed) {
    let wild: Vec<_> = scan(bytes)
        .into_iter()
        .filter(|(function, _)| !allowed.allows(function))
        .map(|(function, uses)| {
            let place = uses.first.start.saturating_sub(AROUND)..bytes.len().min(uses.first.end.saturating_add(AROUND));
            let excerpt = String::from_utf8_lossy(&bytes[place]).escape_debug().to_string();
            format!("{function}, {} times, first at byte {}: \"{excerpt}\"", uses.count, uses.first.start)
        })
        .collect();
    assert!(wild.is_empty(), "the terminal is told what it must not be told:\n{}", wild.join("\n"));
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    fn is_tame(bytes: &[u8], allowed: &Allowed) -> bool {
        let (bytes, allowed) = (bytes.to_vec(), allowed.clone());
        catch_unwind(move || assert_tame(&bytes, &allowed)).is_ok()
    }

    #[test]
    fn a_screen_may_be_drawn() {
        let drawn = "\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[?1000h\x1b[?1002h\x1b[?1003h\x1b[?1015h\x1b[?1006h\x1b[>1u\
            \x1b[2J\x1b[1;1H\x1b[38;5;4;1m│ 日本語 👩‍💻\x1b[0m\x1b[K\r\n\x1b[?2026h\x1b[?2026l\x1b[<1u\x1b[?1049l";
        assert_tame(drawn.as_bytes(), &Allowed::default());
    }

    #[test]
    fn nothing_else_may_be_said() {
        for wild in [
            "\x1b]52;c;aGk=\x07",
            "\x1b]0;title\x1b\\",
            "\x1b]8;;http://x\x1b\\",
            "\x1b]0;never ended",
            "\x1bP+q544e\x1b\\",
            "\x1b_Ga=T\x1b\\",
            "\x1b[6n",
            "\x1b[c",
            "\x1b[21t",
            "\x1b[?5h",
            "\x1b[4h",
            "\x1bc",
            "\x1b(0",
            "\u{9b}2J",
            "\u{85}",
            "\u{202e}txt.exe",
            "ad\u{200b}min",
            "\u{e0041}",
            "\x07",
            "\x0e",
            "\0",
        ] {
            assert!(!is_tame(format!("before {wild} after").as_bytes(), &Allowed::default()), "{wild:?}");
        }
        assert!(!is_tame(b"\xff", &Allowed::default()));
    }

    #[test]
    fn more_can_be_allowed() {
        let allowed = Allowed { commands: &["52"], bell: true, questions: true };
        assert_tame(b"\x1b]52;c;aGk=\x07\x07\x1b[6n\x1b[?u\x1b[c", &allowed);
        assert!(!is_tame(b"\x1b]0;title\x07", &allowed));
    }

    #[test]
    fn the_excerpt_shows_where() {
        let panic = catch_unwind(|| assert_tame(b"hello \x1b]52;c;aGk=\x07 there", &Allowed::default())).unwrap_err();
        let told = panic.downcast_ref::<String>().unwrap();
        assert!(told.contains("OSC 52, 1 times, first at byte 6: \"hello \\u{1b}]52;c;aGk=\\u{7} there\""), "{told}");
    }
}

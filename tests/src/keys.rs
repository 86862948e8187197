//! What a terminal sends for what a person does: keys, pastes, clicks (as xterm sends it).

use crate::Screen;

/// A key, or several held together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of keys")]
pub enum Key {
    Char(char),
    /// Together with a letter, or one of `@[\]^_` and the blank.
    Ctrl(char),
    Alt(char),
    Enter,
    Tab,
    BackTab,
    Backspace,
    Escape,
    Up,
    Down,
    Right,
    Left,
    Home,
    End,
    Insert,
    Delete,
    PageUp,
    PageDown,
    F(u8),
    /// A key that writes no character, such as an arrow, together with another.
    With(Modifier, &'static Key),
}

/// A key that does nothing by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of keys")]
pub enum Modifier {
    Shift,
    Alt,
    Ctrl,
}

/// A key of the mouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they say what they are")]
pub enum Mouse {
    Left,
    Middle,
    Right,
    WheelUp,
    WheelDown,
}

impl Key {
    /// The bytes for this key. `application` is the mode in which arrows are sent in another way.
    ///
    /// # Panics
    /// If a terminal has no bytes for it.
    pub fn bytes(self, application: bool) -> Vec<u8> {
        match self {
            Self::Char(c) => c.to_string().into_bytes(),
            Self::Ctrl(c) => match c.to_ascii_uppercase() {
                ' ' => vec![0],
                upper @ '@'..='_' => vec![upper as u8 & 0x1f],
                _ => panic!("a terminal has nothing to send for Ctrl-{c}"),
            },
            Self::Alt(c) => format!("\x1b{c}").into_bytes(),
            Self::Enter => b"\r".to_vec(),
            Self::Tab => b"\t".to_vec(),
            Self::BackTab => b"\x1b[Z".to_vec(),
            Self::Backspace => b"\x7f".to_vec(),
            Self::Escape => b"\x1b".to_vec(),
            Self::With(Modifier::Alt, key @ (Self::Enter | Self::Backspace | Self::Tab)) => {
                [b"\x1b", key.bytes(false).as_slice()].concat()
            }
            Self::With(modifier, key) => {
                let held = match modifier {
                    Modifier::Shift => 2,
                    Modifier::Alt => 3,
                    Modifier::Ctrl => 5,
                };
                match key.sequence() {
                    Some((1, last)) => format!("\x1b[1;{held}{last}").into_bytes(),
                    Some((number, last)) => format!("\x1b[{number};{held}{last}").into_bytes(),
                    None => panic!("a terminal has nothing to send for {modifier:?} with {key:?}"),
                }
            }
            key => match key.sequence() {
                Some((1, last @ 'P'..='S')) => format!("\x1bO{last}").into_bytes(),
                Some((1, last)) => format!("\x1b{}{last}", if application { 'O' } else { '[' }).into_bytes(),
                Some((number, last)) => format!("\x1b[{number}{last}").into_bytes(),
                None => panic!("a terminal has nothing to send for {key:?}"),
            },
        }
    }

    /// The number and the last character of the sequence that is this key's. The number 1 is left out when it can be.
    fn sequence(self) -> Option<(u8, char)> {
        Some(match self {
            Self::Up => (1, 'A'),
            Self::Down => (1, 'B'),
            Self::Right => (1, 'C'),
            Self::Left => (1, 'D'),
            Self::Home => (1, 'H'),
            Self::End => (1, 'F'),
            Self::Insert => (2, '~'),
            Self::Delete => (3, '~'),
            Self::PageUp => (5, '~'),
            Self::PageDown => (6, '~'),
            Self::F(number @ 1..=4) => (1, char::from(b'P' + number - 1)),
            // There are gaps, which once were other keys.
            Self::F(5) => (15, '~'),
            Self::F(number @ 6..=10) => (number + 11, '~'),
            Self::F(number @ 11..=12) => (number + 12, '~'),
            _ => return None,
        })
    }
}

/// The bytes for a paste: marked as one if the program has asked for that, as if it were typed if not.
pub fn paste(text: &str, screen: &Screen) -> Vec<u8> {
    if screen.bracketed_paste() {
        // A terminal leaves out what would end the paste early.
        format!("\x1b[200~{}\x1b[201~", text.replace('\x1b', "").replace('\n', "\r")).into_bytes()
    } else {
        text.replace('\n', "\r").into_bytes()
    }
}

/// The bytes for a press of a mouse key (and its release; a wheel has none) at a cell, counted from 0.
///
/// # Panics
/// If the program has not asked to be told of the mouse.
pub fn mouse(mouse: Mouse, column: u16, row: u16, screen: &Screen) -> Vec<u8> {
    assert!(screen.mouse(), "the program has not asked for the mouse, in the encoding with numbers");
    let code = match mouse {
        Mouse::Left => 0,
        Mouse::Middle => 1,
        Mouse::Right => 2,
        Mouse::WheelUp => 64,
        Mouse::WheelDown => 65,
    };
    let (x, y) = (column + 1, row + 1);
    let release = if code < 64 { format!("\x1b[<{code};{x};{y}m") } else { String::new() };
    format!("\x1b[<{code};{x};{y}M{release}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_xterm_sends() {
        for (key, expect) in [
            (Key::Char('ä'), "ä"),
            (Key::Ctrl('u'), "\x15"),
            (Key::Ctrl(' '), "\0"),
            (Key::Alt('x'), "\x1bx"),
            (Key::Enter, "\r"),
            (Key::Up, "\x1b[A"),
            (Key::End, "\x1b[F"),
            (Key::PageUp, "\x1b[5~"),
            (Key::F(1), "\x1bOP"),
            (Key::F(5), "\x1b[15~"),
            (Key::F(6), "\x1b[17~"),
            (Key::F(12), "\x1b[24~"),
            (Key::With(Modifier::Ctrl, &Key::Left), "\x1b[1;5D"),
            (Key::With(Modifier::Shift, &Key::PageDown), "\x1b[6;2~"),
            (Key::With(Modifier::Alt, &Key::Enter), "\x1b\r"),
            (Key::With(Modifier::Shift, &Key::F(2)), "\x1b[1;2Q"),
        ] {
            assert_eq!(String::from_utf8_lossy(&key.bytes(false)), expect, "{key:?}");
        }
        assert_eq!(Key::Up.bytes(true), b"\x1bOA");
    }

    #[test]
    fn a_paste_is_marked_where_that_is_asked_for() {
        let (plain, marked) = (Screen::of((10, 2), b""), Screen::of((10, 2), b"\x1b[?2004h"));
        assert_eq!(paste("a\nb", &plain), b"a\rb");
        assert_eq!(paste("a\nb\x1b[201~c", &marked), b"\x1b[200~a\rb[201~c\x1b[201~");
    }

    #[test]
    fn a_click_has_a_release_and_the_wheel_has_none() {
        let screen = Screen::of((10, 2), b"\x1b[?1000h\x1b[?1006h");
        assert_eq!(mouse(Mouse::Left, 2, 0, &screen), b"\x1b[<0;3;1M\x1b[<0;3;1m");
        assert_eq!(mouse(Mouse::WheelDown, 0, 4, &screen), b"\x1b[<65;1;5M");
    }
}

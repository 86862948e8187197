//! What a program's output makes a terminal do: every control function in it.
//!
//! This reads bytes as a terminal does (ECMA-48, in UTF-8), but does nothing and forgives nothing. It is meant to be
//! independent of both the program's own gate and the emulator that shows the screen: what one of them overlooks is not
//! overlooked here. What is allowed among it is for [`crate::tame`] to say.

use std::{collections::BTreeMap, fmt, ops::Range};

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

const ESC: u8 = 0x1b;
/// CAN and SUB, which break off whatever has begun.
const BREAKS: [u8; 2] = [0x18, 0x1a];
/// Longer than any sequence of a sane program; so a sequence that the end of the output cuts is no longer.
const LONGEST: usize = 64;

/// Something other than a character to show. It is told by what it is, rather than with all its parameters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// A C0 control character or DEL, unless it begins, separates or ends another function.
    Control(u8),
    /// A C1 control character, which for some terminals is as good as an escape sequence.
    C1(char),
    /// A character that acts on others or is not there to the eye, and is not part of an emoji.
    Format(char),
    /// A byte that is no text.
    NotUtf8(u8),
    /// An escape sequence, by what follows the ESC, such as `7`.
    Escape(String),
    /// A control sequence, by its last character and what comes with it, such as `m`, `>u`; modes, window operations
    /// and questions with their number, such as `?1049h`.
    Csi(String),
    /// An operating system command, by its number, such as `52`.
    Osc(String),
    /// A device control, start of, privacy or application string, by the character that begins it after the ESC.
    Text(char),
    /// A sequence that another one, or something that cannot be in it, broke off.
    BrokenOff,
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control(byte) => write!(f, "the control character 0x{byte:02x}"),
            Self::C1(c) => write!(f, "the C1 control character U+{:04X}", u32::from(*c)),
            Self::Format(c) => write!(f, "the invisible character U+{:04X}", u32::from(*c)),
            Self::NotUtf8(byte) => write!(f, "0x{byte:02x}, which is not UTF-8"),
            Self::Escape(rest) => write!(f, "ESC {rest}"),
            Self::Csi(rest) => write!(f, "CSI {rest}"),
            Self::Osc(number) => write!(f, "OSC {number}"),
            Self::Text(first) => write!(f, "a string begun by ESC {first}"),
            Self::BrokenOff => write!(f, "a sequence without an end"),
        }
    }
}

/// How often a function is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uses {
    /// So often.
    pub count: usize,
    /// Where for the first time, in bytes.
    pub first: Range<usize>,
}

/// All control functions in the output. A sequence that its end cuts short counts if it has begun a string, as that
/// would swallow whatever comes next; otherwise not, for a program may be at any place of its work.
pub fn scan(bytes: &[u8]) -> BTreeMap<Function, Uses> {
    let mut scanner = Scanner { bytes, at: 0, before: None, found: BTreeMap::new() };
    while scanner.step().is_some() {}
    scanner.found
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The character shown last, if nothing came after it: to tell what is in an emoji.
    before: Option<char>,
    found: BTreeMap<Function, Uses>,
}

impl Scanner<'_> {
    /// Reads one character or sequence; `None` at the end.
    fn step(&mut self) -> Option<()> {
        let start = self.at;
        match self.peek()? {
            ESC => {
                self.before = None;
                self.at += 1;
                self.escape(start)?;
            }
            byte if byte.is_ascii_control() => {
                self.before = None;
                self.at += 1;
                self.found(Function::Control(byte), start);
            }
            byte => match character(&self.bytes[self.at..]) {
                Some(c) => {
                    self.at += c.len_utf8();
                    self.character(c, start);
                }
                None if self.at + sequence_length(byte) > self.bytes.len() => return None,
                None => {
                    self.before = None;
                    self.at += 1;
                    self.found(Function::NotUtf8(byte), start);
                }
            },
        }
        Some(())
    }

    fn character(&mut self, c: char, start: usize) {
        use GeneralCategory::{Format, LineSeparator, ParagraphSeparator};
        if ('\u{80}'..='\u{9f}').contains(&c) {
            self.found(Function::C1(c), start);
        } else if matches!(c.general_category(), Format | LineSeparator | ParagraphSeparator) && !self.joins(c) {
            self.found(Function::Format(c), start);
        }
        self.before = Some(c);
    }

    /// Whether this joins two pictures into one.
    fn joins(&self, c: char) -> bool {
        let symbol = |c: char| c.general_category() == GeneralCategory::OtherSymbol;
        let ends = |c: char| symbol(c) || matches!(u32::from(c), 0xfe0f | 0x1f3fb..=0x1f3ff);
        c == '\u{200d}' && self.before.is_some_and(ends) && character(&self.bytes[self.at..]).is_some_and(symbol)
    }

    /// What follows an ESC.
    fn escape(&mut self, start: usize) -> Option<()> {
        match self.peek()? {
            b'[' => {
                self.at += 1;
                self.csi(start)?;
            }
            b']' => {
                self.at += 1;
                let text = self.string();
                let number = text.split(|&byte| byte == b';').next().unwrap_or_default();
                let number = String::from_utf8_lossy(number).chars().take(LONGEST).collect();
                self.found(Function::Osc(number), start);
            }
            first @ (b'P' | b'X' | b'^' | b'_') => {
                self.at += 1;
                self.string();
                self.found(Function::Text(char::from(first)), start);
            }
            _ => {
                let rest = self.at;
                while matches!(self.peek()?, 0x20..=0x2f) {
                    self.at += 1;
                }
                if matches!(self.peek()?, 0x30..=0x7e) {
                    self.at += 1;
                    let text = String::from_utf8_lossy(&self.bytes[rest..self.at]).into_owned();
                    self.found(Function::Escape(text), start);
                } else {
                    self.found(Function::BrokenOff, start);
                }
            }
        }
        Some(())
    }

    fn csi(&mut self, start: usize) -> Option<()> {
        let (mut parameters, mut intermediates) = (String::new(), String::new());
        loop {
            let byte = self.peek()?;
            match byte {
                // A terminal obeys control characters in the middle of a sequence.
                _ if byte != ESC && !BREAKS.contains(&byte) && byte.is_ascii_control() => {
                    self.found(Function::Control(byte), self.at);
                }
                b'0'..=b'?' if intermediates.is_empty() => parameters.push(char::from(byte)),
                b' '..=b'/' => intermediates.push(char::from(byte)),
                b'@'..=b'~' => {
                    self.at += 1;
                    self.control_sequence(&parameters, &intermediates, char::from(byte), start);
                    return Some(());
                }
                _ => {
                    self.found(Function::BrokenOff, start);
                    return Some(());
                }
            }
            self.at += 1;
        }
    }

    fn control_sequence(&mut self, parameters: &str, intermediates: &str, last: char, start: usize) {
        let numbers = parameters.trim_start_matches(['<', '=', '>', '?']);
        let marks = &parameters[..parameters.len() - numbers.len()];
        let told = |number: &str| Function::Csi(format!("{marks}{number}{intermediates}{last}"));
        match last {
            // Several modes may be set by one sequence.
            'h' | 'l' => numbers.split(';').for_each(|number| self.found(told(number), start)),
            'n' | 't' => self.found(told(numbers.split(';').next().unwrap_or_default()), start),
            _ => self.found(told(""), start),
        }
    }

    /// A string up to its end, which is ESC \ or BEL, or where it is broken off or the output ends.
    fn string(&mut self) -> Vec<u8> {
        let begin = self.at;
        while let Some(byte) = self.peek() {
            let text = self.at;
            if byte == ESC {
                // What else follows an ESC is a sequence of its own.
                self.at += if self.bytes.get(text + 1) == Some(&b'\\') { 2 } else { 0 };
                return self.bytes[begin..text].to_vec();
            }
            self.at += 1;
            if byte == 0x07 || BREAKS.contains(&byte) {
                return self.bytes[begin..text].to_vec();
            }
        }
        self.bytes[begin..].to_vec()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn found(&mut self, function: Function, start: usize) {
        let range = start..self.at.max(start + 1);
        self.found.entry(function).or_insert(Uses { count: 0, first: range }).count += 1;
    }
}

/// The length of a character that begins with this byte.
fn sequence_length(first: u8) -> usize {
    match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}

/// The character that these bytes begin with.
fn character(bytes: &[u8]) -> Option<char> {
    let length = sequence_length(*bytes.first()?);
    std::str::from_utf8(bytes.get(..length)?).ok()?.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The functions in the order in which they begin.
    fn functions(bytes: &[u8]) -> Vec<String> {
        let mut all: Vec<_> = scan(bytes).into_iter().collect();
        all.sort_by_key(|(_, uses)| uses.first.start);
        all.into_iter().map(|(function, _)| function.to_string()).collect()
    }

    #[test]
    fn what_is_in_the_output_is_named() {
        for (bytes, expect) in [
            (&b"plain \xc3\xa4 text"[..], &[][..]),
            (b"\x1b[0;31mred\x1b[m", &["CSI m"]),
            (b"\x1b[?1049h\x1b[?25l", &["CSI ?1049h", "CSI ?25l"]),
            (b"\x1b[?1000;1006h", &["CSI ?1000h", "CSI ?1006h"]),
            (b"\x1b[>1u\x1b[<1u\x1b[?u", &["CSI >u", "CSI <u", "CSI ?u"]),
            (b"\x1b[6n\x1b[22;0;0t\x1b[2 q", &["CSI 6n", "CSI 22t", "CSI  q"]),
            (b"\x1b7\x1b(0\x1bc", &["ESC 7", "ESC (0", "ESC c"]),
            (b"\x1b]52;c;aGk=\x07after\x07", &["OSC 52", "the control character 0x07"]),
            (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", &["OSC 8"]),
            (b"\x1bPq#0\x1b\\\x1b_G\x1b\\", &["a string begun by ESC P", "a string begun by ESC _"]),
            (b"\x1b^x\x1b\\\x1bXy\x1b\\", &["a string begun by ESC ^", "a string begun by ESC X"]),
            // C1 characters are two bytes in UTF-8, and no text as one byte.
            (b"\xc2\x9b31m", &["the C1 control character U+009B"]),
            (b"\x9b31m", &["0x9b, which is not UTF-8"]),
            (b"a\x00b\x7fc", &["the control character 0x00", "the control character 0x7f"]),
            // Something hidden within a sequence.
            (b"\x1b[3\x071m", &["CSI m", "the control character 0x07"]),
            (b"\x1b[3\x1b]0;t\x07", &["a sequence without an end", "OSC 0"]),
            (b"\x1b[3\xc3\xa4", &["a sequence without an end"]),
            (b"\x1b]0;t\x1b[2J", &["OSC 0", "CSI J"]),
            (b"\x1b\x1b[A", &["a sequence without an end", "CSI A"]),
        ] {
            assert_eq!(functions(bytes), expect, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn only_a_string_counts_before_it_has_ended() {
        for cut in [&b"x\x1b"[..], b"x\x1b[", b"x\x1b[?104", b"x\x1b(", b"x\xe2\x80"] {
            assert_eq!(functions(cut), [""; 0], "{}", cut.escape_ascii());
        }
        assert_eq!(functions(b"x\x1b]52;c;aGk="), ["OSC 52"]);
        assert_eq!(functions(b"x\x1bP"), ["a string begun by ESC P"]);
    }

    #[test]
    fn every_control_and_invisible_character_is_found_but_those_in_emoji() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32).filter(|&c| c != '\u{1b}') {
            let found = scan(format!("a{c}b").as_bytes()).len();
            let acts = c.is_control() || c.general_category() == GeneralCategory::Format;
            assert_eq!(found, usize::from(acts || matches!(c, '\u{2028}' | '\u{2029}')), "{c:?}");
        }
        for whole in ["👩‍💻", "👩🏽‍🚀", "❤️", "🏳️‍🌈", "🤷‍♀️", "#️⃣", "🇩🇪"]
        {
            assert_eq!(functions(whole.as_bytes()), [""; 0]);
        }
        for hidden in ["👩\u{200d}", "👩\u{200d}x", "\u{200d}👩", "👩\u{200d}\u{200d}👩", "👩\x1b[m\u{200d}👩"]
        {
            assert!(scan(hidden.as_bytes()).contains_key(&Function::Format('\u{200d}')), "{hidden:?}");
        }
    }

    #[test]
    fn uses_are_counted() {
        let uses = scan(b"ab\x1b[1mc\x1b[2m\x1b[3m");
        assert_eq!(uses[&Function::Csi("m".to_owned())], Uses { count: 3, first: 2..6 });
    }
}

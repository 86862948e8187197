//! The one gate between text from elsewhere and what a person looks at.
//!
//! Messages, nicks and errors may hold terminal commands, characters that reorder a line and characters that are not
//! there to the eye. Whatever is shown goes through [`visible`], which leaves none of them: what does not show is shown
//! as what it is. JSON and TOML keep every character, but write those as escapes, by [`json()`] and [`toml()`].

use std::borrow::Cow;
use std::fmt::Write;

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

const ZERO_WIDTH_JOINER: char = '\u{200d}';
const KEYCAP: char = '\u{20e3}';
/// How many combining marks one character may bear, those among them that take room. Tibetan and Hebrew have up to five,
/// Burmese has six; a heap of them covers the lines around it.
const MARKS: usize = 6;
/// How many joiners one emoji may hold: a family of four has three.
const JOINERS: usize = 3;

/// Whether a character acts on the display or is invisible, taken by itself.
fn hidden(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let code = u32::from(c);
    match c.general_category() {
        // Format is what Unicode calls the bidirectional controls, zero-width characters, joiners, tags and the like.
        GeneralCategory::Control
        | GeneralCategory::Format
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator => true,
        // Invisible by Unicode's Default_Ignorable_Code_Point, though in other categories: joiners of combining marks,
        // the fillers of Hangul and Khmer, variation selectors, and ranges kept for more of the kind. Noncharacters too.
        _ => {
            matches!(code,
                0x34f | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f | 0x2065 | 0x3164
                | 0xfdd0..=0xfdef | 0xfe00..=0xfe0f | 0xffa0 | 0xfff0..=0xfff8 | 0xe0000..=0xe0fff)
                || code & 0xfffe == 0xfffe
        }
    }
}

fn is_mark(c: char) -> bool {
    !c.is_ascii() && c.general_category_group() == GeneralCategoryGroup::Mark
}

/// Whether more marks stand in a row than one character may bear.
fn heaped(text: &str) -> bool {
    let mut marks = 0;
    !text.is_ascii()
        && text.chars().any(|c| {
            marks = if is_mark(c) { marks + 1 } else { 0 };
            marks > MARKS
        })
}

fn is_skin(c: char) -> bool {
    matches!(u32::from(c), 0x1f3fb..=0x1f3ff)
}

/// Whether the character at hand is part of an emoji although it is invisible by itself.
fn joins_emoji(before: Option<char>, c: char, after: Option<char>) -> bool {
    let symbol = |c: char| c.general_category() == GeneralCategory::OtherSymbol;
    let Some(before) = before else { return false };
    match c {
        ZERO_WIDTH_JOINER => (symbol(before) || is_skin(before) || before == '\u{fe0f}') && after.is_some_and(symbol),
        // Text or emoji style, of something that has both.
        '\u{fe0e}' | '\u{fe0f}' => {
            let group = before.general_category_group();
            let styled = !before.is_ascii()
                && (matches!(group, GeneralCategoryGroup::Symbol | GeneralCategoryGroup::Punctuation) || before == 'ℹ');
            styled || (after == Some(KEYCAP) && (before.is_ascii_digit() || before == '#' || before == '*'))
        }
        _ => false,
    }
}

/// The text with everything that acts on a terminal, or does not show, in a form that shows and does nothing.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(hidden) && !heaped(text) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut before = None;
    let mut marks = 0;
    let mut joiners = 0;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if marks > MARKS {
            if rest.peek().is_none_or(|next| !is_mark(*next)) {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{{+{} marks}}", marks - MARKS);
                before = None;
            }
            continue;
        }
        if c == ZERO_WIDTH_JOINER {
            joiners += 1;
        } else if before != Some(ZERO_WIDTH_JOINER) && !hidden(c) && !is_skin(c) {
            joiners = 0;
        }
        if !hidden(c) || (joiners <= JOINERS && joins_emoji(before, c, rest.peek().copied())) {
            shown.push(c);
            before = Some(c);
            continue;
        }
        // Nothing can join on to what was replaced, nor can a chain of invisible ones justify each other.
        before = None;
        match u32::from(c) {
            code @ 0..=0x1f => shown.push(char::from_u32(0x2400 + code).unwrap_or('\u{fffd}')),
            0x7f => shown.push('␡'),
            code => {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{{{code:x}}}");
            }
        }
    }
    Cow::Owned(shown)
}

/// At most `most` characters of the text, made visible: for a nick, of which a line has room for so much.
pub(crate) fn visible_start(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => visible(text.get(..end).unwrap_or_default()).into_owned() + "…",
        None => visible(text).into_owned(),
    }
}

/// Finds, one character after another, those that a text must not hold as they are: hidden ones, and marks on a heap.
#[derive(Default)]
struct Hidden {
    marks: usize,
}

impl Hidden {
    fn is(&mut self, c: char) -> bool {
        self.marks = if is_mark(c) { self.marks + 1 } else { 0 };
        hidden(c) || self.marks > MARKS
    }
}

/// JSON text in which what a terminal would obey, not show, or heap up, is written as `\uXXXX`. The value stays the same, as
/// such characters occur within strings only, where a serialiser leaves all but the lowest 32 as they are.
pub(crate) fn json(text: String) -> String {
    if !text.chars().any(hidden) && !heaped(&text) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    let mut found = Hidden::default();
    for c in text.chars() {
        if found.is(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// A string of TOML, in quotes, with the same care.
pub(crate) fn toml(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    let mut found = Hidden::default();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // Writing to a string cannot fail.
            c if found.is(c) => _ = write!(quoted, "\\U{:08x}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_through_the_gate() {
        for (input, expect) in [
            ("plain ASCII, äöü, 日本語, עברית", "plain ASCII, äöü, 日本語, עברית"),
            ("a\u{1b}[31mred", "a␛[31mred"),
            ("\u{1b}]0;title\u{7}", "␛]0;title␇"),
            ("\u{1b}]8;;http://x\u{1b}\\link", "␛]8;;http://x␛\\link"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{9d}0;t\u{9c}", "\\u{9d}0;t\\u{9c}"),
            ("over\rwritten", "over␍written"),
            ("two\nlines\ttab", "two␊lines␉tab"),
            ("\0\u{8}\u{b}\u{c}\u{7f}\u{85}", "␀␈␋␌␡\\u{85}"),
            ("\u{202e}txt.exe\u{202c}", "\\u{202e}txt.exe\\u{202c}"),
            ("\u{202a}\u{202b}\u{202d}", "\\u{202a}\\u{202b}\\u{202d}"),
            ("\u{2066}a\u{2067}b\u{2068}c\u{2069}", "\\u{2066}a\\u{2067}b\\u{2068}c\\u{2069}"),
            ("\u{200e}\u{200f}\u{61c}", "\\u{200e}\\u{200f}\\u{61c}"),
            ("ad\u{200b}min", "ad\\u{200b}min"),
            ("ad\u{200c}m\u{200d}in", "ad\\u{200c}m\\u{200d}in"),
            ("\u{2060}\u{feff}\u{ad}\u{180e}", "\\u{2060}\\u{feff}\\u{ad}\\u{180e}"),
            ("a\u{2028}b\u{2029}c", "a\\u{2028}b\\u{2029}c"),
            ("a\u{34f}\u{115f}\u{3164}\u{ffa0}", "a\\u{34f}\\u{115f}\\u{3164}\\u{ffa0}"),
            ("a\u{fe0f}b\u{e0100}", "a\\u{fe0f}b\\u{e0100}"),
            ("\u{e0001}\u{e0041}\u{e007f}", "\\u{e0001}\\u{e0041}\\u{e007f}"),
            ("\u{fff9}x\u{fffa}y\u{fffb}", "\\u{fff9}x\\u{fffa}y\\u{fffb}"),
            ("\u{fdd0}\u{fffe}\u{10ffff}", "\\u{fdd0}\\u{fffe}\\u{10ffff}"),
            ("\u{1d173}\u{13430}", "\\u{1d173}\\u{13430}"),
            ("\u{fffd} stays", "\u{fffd} stays"),
            ("a\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}b", "a\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}b"),
            (
                "a\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}b",
                "a\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\\u{+2 marks}b",
            ),
            ("က\u{103b}\u{103d}\u{103e}\u{102d}\u{102f}\u{1037}", "က\u{103b}\u{103d}\u{103e}\u{102d}\u{102f}\u{1037}"),
            (
                "ক\u{9be}\u{9be}\u{9be}\u{9be}\u{9be}\u{9be}\u{9be}",
                "ক\u{9be}\u{9be}\u{9be}\u{9be}\u{9be}\u{9be}\\u{+1 marks}",
            ),
        ] {
            assert_eq!(visible(input), expect, "{input:?}");
            assert!(!visible(input).chars().any(hidden), "{input:?}");
        }
    }

    #[test]
    fn every_control_and_format_character_is_caught() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            if c.is_control() || c.general_category() == GeneralCategory::Format {
                assert!(hidden(c), "{c:?}");
                assert!(!visible(&c.to_string()).contains(c), "{c:?}");
            }
        }
    }

    #[test]
    fn emoji_stay_whole_and_nothing_hides_in_them() {
        for whole in ["👩‍💻", "👩🏽‍🚀", "❤️", "🏳️‍🌈", "🤷‍♀️", "#️⃣", "3️⃣", "‼️", "ℹ️", "🇩🇪", "👨🏽‍👩🏽‍👧🏽‍👦🏽", "👩🏽‍❤️‍💋‍👨🏽"]
        {
            assert_eq!(visible(whole), whole);
        }
        for (input, expect) in [
            ("👩\u{200d}", "👩\\u{200d}"),
            ("👩\u{200d}x", "👩\\u{200d}x"),
            ("\u{200d}👩", "\\u{200d}👩"),
            ("👩\u{200d}\u{200d}👩", "👩\\u{200d}\\u{200d}👩"),
            (
                "👩\u{200d}👩\u{200d}👩\u{200d}👩\u{200d}👩👩\u{200d}👩",
                "👩\u{200d}👩\u{200d}👩\u{200d}👩\\u{200d}👩👩\u{200d}👩",
            ),
            ("❤\u{fe0f}\u{fe0f}", "❤\u{fe0f}\\u{fe0f}"),
            ("1\u{fe0f}2", "1\\u{fe0f}2"),
        ] {
            assert_eq!(visible(input), expect, "{input:?}");
        }
    }

    #[test]
    fn a_long_nick_is_cut() {
        assert_eq!(visible_start("ann", 3), "ann");
        assert_eq!(visible_start("anné", 3), "ann…");
        assert_eq!(visible_start("é\u{202e}é", 2), "é\\u{202e}…");
        assert_eq!(visible_start("", 2), "");
    }

    #[test]
    fn json_is_escaped_and_means_the_same() {
        for (text, expect) in [
            ("plain ä", "\"plain ä\""),
            ("\u{1b}[0m\r\n", "\"\\u001b[0m\\r\\n\""),
            ("\u{7f}\u{9b}", "\"\\u007f\\u009b\""),
            ("\u{2028}\u{202e}\u{200b}", "\"\\u2028\\u202e\\u200b\""),
            ("\u{e0041}", "\"\\udb40\\udc41\""),
            (
                "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
                "\"e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\\u0301\"",
            ),
        ] {
            let json = json(serde_json::to_string(text).unwrap());
            assert_eq!(json, expect);
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }

    #[test]
    fn toml_is_escaped_and_means_the_same() {
        for (text, expect) in [
            ("plain ä", r#""plain ä""#),
            (r#"C:\x "y""#, r#""C:\\x \"y\"""#),
            ("\u{1b}[0m\n", r#""\U0000001b[0m\U0000000a""#),
            ("\u{202e}\u{e0041}", r#""\U0000202e\U000e0041""#),
        ] {
            assert_eq!(toml(text), expect);
            let value = toml::de::DeValue::parse(expect).unwrap();
            assert!(matches!(value.get_ref(), toml::de::DeValue::String(same) if same == text), "{expect}");
        }
    }
}

//! Names that the eye takes for each other.

use unicode_security::confusable_detection::skeleton;

/// How many digits of a key stand beside a name at least, and at most.
const DIGITS: std::ops::RangeInclusive<usize> = 4..=64;
/// How many of them an author is called by who has no name.
const SHORT: usize = 8;

/// What names that cannot be told apart by the eye have in common: the skeleton of Unicode Technical Standard 39, section 4,
/// with case folded. It leaves out as well what programs put around names, so nobody can call themselves by somebody's name
/// together with the digits of their key.
///
/// ```
/// use distchat_node::look;
///
/// // The first letter of the second is a Cyrillic one.
/// assert_eq!(look("ana"), look("\u{430}na"));
/// assert_eq!(look("ana"), look("Ana·7f3a"));
/// assert_ne!(look("ana"), look("hannah"));
/// ```
pub fn look(name: &str) -> String {
    // Capitals look like others than small letters do, so they are looked at before and after case is folded.
    let fold = |text: String| skeleton(&text.to_lowercase()).collect::<String>();
    let whole = fold(fold(skeleton(name).collect())).replace('i', "l");
    let trim = |text: &str| text.trim_matches(stands_around).to_owned();
    let mut look = trim(&whole);
    while let Some((name, word)) = look.rsplit_once(stands_around)
        && DIGITS.contains(&word.len())
        && word.chars().all(is_digit)
        && !trim(name).is_empty()
    {
        look = trim(name);
    }
    // Of a name that is nothing else all is kept.
    if look.is_empty() { whole } else { look }
}

/// What an author looks like who has no name and is called by the first digits of their key.
pub(crate) fn look_of_key(digits: &str) -> String {
    let seen = |digit| match digit {
        '0' => 'o',
        '1' => 'l',
        other => other,
    };
    digits.chars().map(seen).collect()
}

/// What can stand beside a name and be taken for no part of it.
fn stands_around(c: char) -> bool {
    c.is_whitespace() || c.is_ascii_punctuation() || "·•≈│┃↪…".contains(c)
}

/// Whether something that looks like this could be what an author is called who has no name.
pub(crate) fn is_like_a_key(look: &str) -> bool {
    look.len() == SHORT && look.chars().all(is_digit)
}

/// Whether that is a hexadecimal digit once it has gone through [`look`], where 0 and 1 are letters.
fn is_digit(c: char) -> bool {
    matches!(c, '2'..='9' | 'a'..='f' | 'o' | 'l')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_look_like_what_they_are() {
        for digits in ["01234567", "89abcdef", "00000000", "11111111", "deadbeef"] {
            assert_eq!(look_of_key(digits), look(digits), "{digits}");
            assert!(is_like_a_key(&look_of_key(digits)));
        }
    }

    #[test]
    fn the_eye_takes_these_for_each_other() {
        for (name, other) in [
            ("ana", "ANA"),
            ("ana", "\u{430}n\u{430}"),
            ("paypal", "\u{440}\u{430}\u{443}\u{440}\u{430}l"),
            ("ana", "an\u{200b}a"),
            ("ana", "ana\u{fe0f}\u{3164}"),
            ("admin", "adrnin"),
            ("Ian", "lan"),
            ("BILL", "B1LL"),
            ("Bob", "\u{412}ob"),
            ("Hanna", "\u{397}anna"),
            ("scope", "ѕсоре"),
            ("ana", "𝐚𝐧𝐚"),
            ("ana", "ａｎａ"),
            ("é", "e\u{301}"),
            ("❤", "❤\u{fe0f}"),
            ("ana", " ana."),
            ("ana", "≈ana"),
            ("ana", "ana·7f3a"),
            ("ana", "ana•7f3a09c1"),
            ("ana", "ana (7f3a09c1)"),
            ("ana", "ana 7f3a09c1 7f3a09c1"),
            ("ana", "\u{430}na·７f３a"),
            ("7f3a09c1", "7f3aO9cl"),
        ] {
            assert_eq!(look(name), look(other), "{name:?} {other:?}");
        }
    }

    #[test]
    fn the_eye_does_not_take_these_for_each_other() {
        for (name, other) in [
            ("ana", "anna"),
            ("ana", "hannah"),
            ("bob", "b0b2"),
            ("cafe", "café"),
            ("❤", "★"),
            ("7f3a", "7f3b"),
            ("", "x"),
        ] {
            assert_ne!(look(name), look(other), "{name:?} {other:?}");
        }
    }

    #[test]
    fn looking_again_changes_nothing() {
        for name in ["", "ana·7f3a", "·", "❤ 7f3a", "m", "1O0l", "İ", "ǅ", "ﬃ"] {
            assert_eq!(look(&look(name)), look(name), "{name:?}");
        }
    }

    #[test]
    fn digits_of_a_key_are_seen_in_whatever_script() {
        for (name, expect) in [("7f3a09c1", true), ("７ｆ３ａ０９ｃ１", true), ("7f3a09c", false), ("somebody", false)]
        {
            assert_eq!(is_like_a_key(&look(name)), expect, "{name}");
        }
    }
}

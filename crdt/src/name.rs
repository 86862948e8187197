//! Room names: what people type, brought to one spelling.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// The longest room name, in characters after normalisation.
pub const MAX_ROOM_NAME: usize = 64;

/// A room's name: NFC, trimmed, lower case, 1 to 64 characters, none of them a control, a space, a slash or
/// unassigned. Two spellings of one name are equal.
///
/// ```
/// use distchat_crdt::RoomName;
///
/// assert_eq!(RoomName::parse("General")?, RoomName::parse("  general\n")?);
/// assert_eq!("Café".parse::<RoomName>()?.to_string(), "café");
/// # Ok::<(), distchat_crdt::RoomNameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomName(Arc<str>);

/// Why a text is not a room name.
///
/// ```
/// use distchat_crdt::{RoomName, RoomNameError};
///
/// assert_eq!(RoomName::parse(" "), Err(RoomNameError::Empty));
/// assert_eq!(RoomName::parse(&"x".repeat(65)), Err(RoomNameError::TooLong(65)));
/// let error = RoomName::parse("a/b").map_err(|error| error.to_string());
/// assert!(error.is_err_and(|text| text.starts_with("a room name cannot contain a slash (U+002F)")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RoomNameError {
    /// Nothing is left after trimming.
    #[error("a room name cannot be empty: give at least one letter, such as `general`")]
    Empty,
    /// More than [`MAX_ROOM_NAME`] characters.
    #[error("a room name has at most {MAX_ROOM_NAME} characters, and this one has {0}: choose a shorter one")]
    TooLong(usize),
    /// A character that a name cannot contain.
    #[error("a room name cannot contain {what} (U+{code:04X}): use letters, digits, `-` and the like")]
    Forbidden {
        /// The code point.
        code: u32,
        /// What it is, for people.
        what: &'static str,
    },
}

impl RoomName {
    /// Normalises and checks a name.
    ///
    /// ```
    /// use distchat_crdt::{RoomName, RoomNameError};
    ///
    /// assert_eq!(RoomName::parse(" STRASSE ")?.as_str(), "strasse");
    /// let error = RoomName::parse("two words");
    /// assert_eq!(error, Err(RoomNameError::Forbidden { code: 0x20, what: "a space" }));
    /// # Ok::<(), distchat_crdt::RoomNameError>(())
    /// ```
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, RoomNameError> {
        // Lowering may leave NFC ("İ" becomes two characters), hence the second pass. What is far too long is refused
        // before any work is done on it.
        let trimmed = text.trim();
        let typed = trimmed.chars().take(16 * MAX_ROOM_NAME + 1).count();
        if typed > 16 * MAX_ROOM_NAME {
            return Err(RoomNameError::TooLong(typed));
        }
        let name: String = trimmed.nfc().collect::<String>().to_lowercase().nfc().collect();
        let length = name.chars().count();
        if length == 0 {
            return Err(RoomNameError::Empty);
        }
        if let Some((c, what)) = name.chars().find_map(|c| forbidden(c).map(|what| (c, what))) {
            return Err(RoomNameError::Forbidden { code: c.into(), what });
        }
        if length > MAX_ROOM_NAME {
            return Err(RoomNameError::TooLong(length));
        }
        Ok(Self(name.into()))
    }

    /// The normalised name.
    ///
    /// ```
    /// # use distchat_crdt::RoomName;
    /// assert_eq!(RoomName::parse("Whales")?.as_str(), "whales");
    /// # Ok::<(), distchat_crdt::RoomNameError>(())
    /// ```
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for RoomName {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RoomName {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// What is wrong with a character of a name, if anything.
fn forbidden(c: char) -> Option<&'static str> {
    if c == '/' {
        return Some("a slash");
    }
    match (c.general_category_group(), c.general_category()) {
        (GeneralCategoryGroup::Separator, _) => Some("a space"),
        (_, GeneralCategory::Control) => Some("a control character"),
        (_, GeneralCategory::Format) => Some("an invisible character"),
        (_, GeneralCategory::Unassigned) => Some("an unassigned character"),
        (_, GeneralCategory::PrivateUse | GeneralCategory::Surrogate) => Some("a character without a meaning"),
        _ => None,
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for RoomName {
    type Err = RoomNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, expect: &str) {
        let shown = match RoomName::parse(input) {
            Ok(name) => name.to_string(),
            Err(error) => format!("error: {error}"),
        };
        assert!(shown.starts_with(expect), "{input:?} gave {shown:?}, not {expect:?}");
    }

    #[test]
    fn names_have_one_spelling() {
        check("general", "general");
        check("  General\n", "general");
        check("Cafe\u{301}", "caf\u{e9}");
        check("STRASSE", "strasse");
        check("日本語", "日本語");
        check("rust-2024_β", "rust-2024_β");
        check(&"x".repeat(64), &"x".repeat(64));
    }

    #[test]
    fn what_is_not_a_name_says_why() {
        check("", "error: a room name cannot be empty");
        check(" \t ", "error: a room name cannot be empty");
        check(&"x".repeat(65), "error: a room name has at most 64 characters, and this one has 65");
        check(&"x".repeat(99_999), "error: a room name has at most 64");
        check("two words", "error: a room name cannot contain a space (U+0020)");
        check("a/b", "error: a room name cannot contain a slash");
        check("a\u{1b}[31m", "error: a room name cannot contain a control character (U+001B)");
        check("a\u{202e}b", "error: a room name cannot contain an invisible character (U+202E)");
        check("a\u{200b}b", "error: a room name cannot contain an invisible character (U+200B)");
        check("a\u{e000}", "error: a room name cannot contain a character without a meaning");
        check("a\u{378}", "error: a room name cannot contain an unassigned character (U+0378)");
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        for text in ["İstanbul", "ǅ", "Å", "ﬁ", "ΑΣ"] {
            let once = RoomName::parse(text).unwrap();
            assert_eq!(RoomName::parse(once.as_str()).unwrap(), once, "{text}");
        }
    }
}

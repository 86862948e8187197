//! What people type, as a question that FTS5 understands and that nobody can put syntax into.

use crate::error::SearchError;

/// The most words in a question. Each is looked up on its own.
const MAX_WORDS: usize = 32;

/// A question in the language of FTS5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question(String);

impl Question {
    /// Reads words: all must occur, and the last may go on.
    ///
    /// # Errors
    /// If there is no word, or too many.
    pub(crate) fn parse(words: &str) -> Result<Self, SearchError> {
        // SQLite's strings end at a NUL, and what has neither letters nor digits is not in the index.
        let words: Vec<&str> = words
            .split(|c: char| c.is_whitespace() || c == '\0')
            .filter(|word| word.contains(char::is_alphanumeric))
            .collect();
        if words.is_empty() {
            return Err(SearchError::Empty);
        }
        if words.len() > MAX_WORDS {
            return Err(SearchError::TooMany { max: MAX_WORDS });
        }
        // Strings side by side must all occur, and one that FTS5 finds nothing in asks for nothing; with the operator AND
        // it would never be found.
        let strings: Vec<String> = words.iter().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
        Ok(Self(strings.join(" ") + "*"))
    }

    /// As FTS5 reads it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_strings() {
        for (words, expect) in [
            ("hello", "\"hello\"*"),
            (" two\twords\n", "\"two\" \"words\"*"),
            ("say \"hi\" - AND", "\"say\" \"\"\"hi\"\"\" \"AND\"*"),
            ("nul\0byte ?!", "\"nul\" \"byte\"*"),
        ] {
            assert_eq!(Question::parse(words).unwrap().as_str(), expect);
        }
    }

    #[test]
    fn what_has_no_words_is_refused() {
        for words in ["", " \t", "\"*\"", "👍", "\0"] {
            assert_eq!(Question::parse(words), Err(SearchError::Empty), "{words:?}");
        }
        assert_eq!(Question::parse(&"word ".repeat(33)), Err(SearchError::TooMany { max: 32 }));
        assert!(SearchError::Empty.to_string().contains("give at least one"));
    }
}

//! Completing what is being typed: commands, rooms and names.

use crate::cli::command::HELP;

/// A completion under way: each further Tab takes the next candidate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Completion {
    candidates: Vec<String>,
    at: usize,
    /// How many bytes before the cursor the last candidate takes.
    length: usize,
}

/// What can be completed to.
pub(super) struct Known<'a> {
    pub(super) rooms: Vec<&'a str>,
    /// Names, those first that are most likely to be meant.
    pub(super) nicks: Vec<&'a str>,
}

impl Completion {
    /// Completes the word at the end of the text. `None` if nothing fits.
    pub(super) fn start(before: &str, known: &Known<'_>) -> Option<Self> {
        let at = before
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + before.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8));
        let (head, word) = before.split_at_checked(at)?;
        let command = head.split_whitespace().next().filter(|word| word.starts_with('/'));
        let fitting = |all: Vec<String>| -> Vec<String> {
            let word = word.to_lowercase();
            all.into_iter().filter(|candidate| candidate.to_lowercase().starts_with(&word)).collect()
        };
        let candidates = match command {
            None if word.starts_with('/') => fitting(HELP.iter().map(|(usage, _)| first_word(usage)).collect()),
            Some("/join" | "/crash" | "/restart") => {
                fitting(known.rooms.iter().map(|room| format!("{room} ")).collect())
            }
            _ if word.is_empty() => Vec::new(),
            _ => {
                let end = if head.trim().is_empty() { ": " } else { " " };
                fitting(known.nicks.iter().map(|nick| format!("{nick}{end}")).collect())
            }
        };
        (!candidates.is_empty()).then_some(Self { candidates, at: 0, length: word.len() })
    }

    /// What to replace before the cursor, in bytes, and by what.
    pub(super) fn step(&mut self, back: bool) -> (usize, String) {
        let candidate = self.candidates.get(self.at).cloned().unwrap_or_default();
        let count = self.candidates.len();
        self.at = if back { self.at + count - 1 } else { self.at + 1 } % count.max(1);
        (std::mem::replace(&mut self.length, candidate.len()), candidate)
    }
}

fn first_word(usage: &str) -> String {
    format!("{} ", usage.split(' ').next().unwrap_or(usage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, expect: &[&str]) {
        let known = Known { rooms: vec!["general", "rust"], nicks: vec!["Ana", "andrea", "bob", "zoë"] };
        let mut text = before.to_owned();
        let mut seen = Vec::new();
        if let Some(mut completion) = Completion::start(before, &known) {
            for _ in 0..completion.candidates.len() {
                let (erase, candidate) = completion.step(false);
                text.truncate(text.len() - erase);
                text += &candidate;
                seen.push(text.clone());
            }
        }
        assert_eq!(seen, expect, "{before:?}");
    }

    #[test]
    fn words_are_completed() {
        check("an", &["Ana: ", "andrea: "]);
        check("hello B", &["hello bob "]);
        check("zo", &["zoë: "]);
        check("x", &[]);
        check("", &[]);
        check("hello ", &[]);
        check("/jo", &["/join "]);
        check("/re", &["/reply ", "/react ", "/restart "]);
        check("/join ", &["/join general ", "/join rust "]);
        check("/join r", &["/join rust "]);
        check("/mute an", &["/mute Ana ", "/mute andrea "]);
        check("日本\u{3000}an", &["日本\u{3000}Ana ", "日本\u{3000}andrea "]);
    }
}

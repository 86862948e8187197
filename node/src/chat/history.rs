//! What was typed before.

/// How many lines are remembered.
pub(super) const MOST: usize = 500;

/// What was typed before, and where in it the user is.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The oldest first.
    lines: Vec<String>,
    /// Which line is shown, and what was being typed before.
    at: Option<(usize, String)>,
}

impl History {
    /// What was typed in former runs.
    pub(super) fn new(lines: Vec<String>) -> Self {
        Self { lines, at: None }
    }

    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// A line was typed.
    pub(super) fn add(&mut self, line: &str) {
        self.at = None;
        if line.is_empty() || self.lines.last().is_some_and(|last| last == line) {
            return;
        }
        if self.lines.len() >= MOST {
            self.lines.remove(0);
        }
        self.lines.push(line.to_owned());
    }

    /// The line before the one that is shown. `typed` is what is there now.
    pub(super) fn older(&mut self, typed: &str) -> Option<&str> {
        let (at, draft) = self.at.clone().unwrap_or_else(|| (self.lines.len(), typed.to_owned()));
        let before = at.checked_sub(1)?;
        self.at = Some((before, draft));
        self.lines.get(before).map(String::as_str)
    }

    /// The line behind the one that is shown; behind the last is what was being typed.
    pub(super) fn newer(&mut self) -> Option<String> {
        let (at, draft) = self.at.take()?;
        match self.lines.get(at + 1) {
            Some(line) => {
                self.at = Some((at + 1, draft));
                Some(line.clone())
            }
            None => Some(draft),
        }
    }

    /// The line that is shown is changed: it is a new one.
    pub(super) fn leave(&mut self) {
        self.at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_back_and_forth_and_loses_nothing() {
        let mut history = History::default();
        assert_eq!(history.older("x"), None);
        assert_eq!(history.newer(), None);
        for line in ["one", "two", "two", "", "three"] {
            history.add(line);
        }
        assert_eq!(history.older("typing"), Some("three"));
        assert_eq!(history.older("three"), Some("two"));
        assert_eq!(history.newer().as_deref(), Some("three"));
        assert_eq!(history.newer().as_deref(), Some("typing"));
        assert_eq!(history.newer(), None);
        for _ in 0..2 * MOST {
            history.add("a");
            history.add("b");
        }
        assert_eq!(history.lines().len(), MOST);
    }

    #[test]
    fn the_oldest_line_stays() {
        let mut history = History::new(vec!["one".to_owned()]);
        assert_eq!(history.older("x"), Some("one"));
        assert_eq!(history.older("one"), None);
        assert_eq!(history.newer().as_deref(), Some("x"));
    }
}

//! Lines that people really typed; where they are from is told in `data/README.md`.

use std::sync::OnceLock;

const SAMPLE: &str = include_str!("../data/ubuntu-irc-sample.txt");

/// How many hosts the sample is dealt out to.
pub const HOSTS: usize = 5;

/// The texts of the sample: no two are the same, none is empty, has a newline, or blanks at its ends.
pub fn texts() -> &'static [&'static str] {
    static TEXTS: OnceLock<Vec<&'static str>> = OnceLock::new();
    TEXTS.get_or_init(|| SAMPLE.split('\n').filter_map(text).collect())
}

/// `count` lines for the host of that number (from 0), which no other host gets.
pub fn lines(host: usize, count: usize) -> Vec<&'static str> {
    assert!(host < HOSTS, "the sample is dealt out to {HOSTS} hosts");
    let lines: Vec<_> = texts().iter().copied().skip(host).step_by(HOSTS).take(count).collect();
    assert_eq!(lines.len(), count, "the sample is too small");
    lines
}

/// The text of a line `[HH:MM] <nick> text`.
fn text(line: &str) -> Option<&str> {
    let (_time, rest) = line.strip_prefix('[')?.split_once("] <")?;
    let (_nick, text) = rest.split_once("> ")?;
    Some(text.trim()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_line_is_dealt_twice() {
        let all: Vec<_> = (0..HOSTS).flat_map(|host| lines(host, 2_000)).collect();
        let different: HashSet<_> = all.iter().collect();
        assert_eq!((all.len(), different.len()), (10_000, 10_000));
    }

    #[test]
    fn every_line_of_the_sample_is_understood() {
        assert_eq!(texts().len(), SAMPLE.trim_end_matches('\n').split('\n').count());
    }
}

//! Who says how much, and how much more than that anybody may say.
//!
//! Whoever talks alone may fill a good part of what a computer can take in. Where others talk, nobody says very much more than
//! the next one: programs that all say thousands of things a second are all heard, and where people chat, what floods in
//! leaves the computer time for them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use distchat_crdt::AuthorId;

use super::{pace::Rate, shares::MAX_AUTHORS};

/// What comes of one author who talks alone.
pub(super) const AUTHOR: Rate = Rate { bytes: 6 * 1024 * 1024, burst: 1024 * 1024 };
/// What comes of one author while others talk, at least, in bytes a second; and how many times as much as the loudest of them.
pub(super) const AMONG_OTHERS: u64 = 1024 * 1024;
pub(super) const LOUDER: u64 = 3;
/// How long what somebody has said is counted.
const LATELY: Duration = Duration::from_secs(1);

/// The own author, or another one.
pub(super) type Speaker = Option<AuthorId>;

/// Who says the most.
#[derive(Debug)]
pub(super) struct Loudness {
    /// Since when it is counted.
    since: Instant,
    counted: BTreeMap<Speaker, u64>,
    /// Those of them who have said the most, and how much; and those who had in the time before that.
    loudest: [(Speaker, u64); 2],
    before: [(Speaker, u64); 2],
}

impl Loudness {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, counted: BTreeMap::new(), loudest: [(None, 0); 2], before: [(None, 0); 2] }
    }

    /// That speaker has said so much.
    pub(super) fn count(&mut self, now: Instant, speaker: Speaker, bytes: u64) {
        self.pass(now);
        // Those beyond are so many that there is little left for each.
        if self.counted.len() >= MAX_AUTHORS && !self.counted.contains_key(&speaker) {
            return;
        }
        let counted = self.counted.entry(speaker).or_default();
        *counted += bytes;
        let place = usize::from(self.loudest[0].0 != speaker);
        if place == 0 || self.loudest[1].0 == speaker || *counted > self.loudest[1].1 {
            self.loudest[place] = (speaker, *counted);
        }
        if self.loudest[0].1 < self.loudest[1].1 {
            self.loudest.swap(0, 1);
        }
    }

    fn pass(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        if passed >= LATELY {
            let loudest = std::mem::take(&mut self.loudest);
            self.before = if passed < 2 * LATELY { loudest } else { Default::default() };
            self.counted.clear();
            self.since = now;
        }
    }

    /// How much the loudest of all others says in [`LATELY`].
    fn of_others(&mut self, now: Instant, speaker: Speaker) -> u64 {
        self.pass(now);
        let others = self.loudest.iter().chain(&self.before).filter(|(other, _)| *other != speaker);
        others.map(|(_, bytes)| *bytes).max().unwrap_or(0)
    }

    /// How much a speaker may say.
    pub(super) fn rate(&mut self, now: Instant, speaker: Speaker) -> Rate {
        match self.of_others(now, speaker) {
            0 => AUTHOR,
            others => {
                let bytes = AUTHOR.bytes.min(AMONG_OTHERS.max(LOUDER * others));
                // What comes at once is what the others may have to wait for.
                Rate { bytes, burst: AUTHOR.burst.min(bytes / 4) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(n: u8) -> AuthorId {
        AuthorId([n; 32])
    }

    #[test]
    fn the_two_who_say_most_are_known() {
        let now = Instant::now();
        let mut loudness = Loudness::new(now);
        for (speaker, bytes) in [(None, 5), (Some(author(1)), 3), (Some(author(2)), 4), (Some(author(1)), 3), (None, 1)]
        {
            loudness.count(now, speaker, bytes);
        }
        assert_eq!(loudness.of_others(now, Some(author(3))), 6);
        assert_eq!(loudness.of_others(now, Some(author(1))), 6, "the own author");
        loudness.count(now, Some(author(1)), 1);
        assert_eq!(loudness.of_others(now, Some(author(1))), 6);
        assert_eq!(loudness.of_others(now, None), 7);
        assert_eq!(loudness.of_others(now + LATELY, None), 7, "that was lately");
        assert_eq!(loudness.of_others(now + 2 * LATELY, None), 0, "that is over");
    }
}

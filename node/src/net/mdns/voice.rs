//! When a node asks and answers on one link.
//!
//! It asks at once when the link is new, a few times with growing pauses, and then every half minute, or more often while
//! nobody is there. It answers everybody at once, by multicast, after a short pause that keeps those who answer the same
//! question apart, and not twice within a second (RFC 6762, 6). Who has just come tells of itself without being asked (8.3).
//! Whoever has heard the question need not ask it (7.3), but does so every other time, for it may be the only one to have
//! heard it.

use std::time::{Duration, Instant};

use rand::{RngExt, rngs::StdRng};

/// The pauses, in seconds, behind the first questions on a link.
const FIRST: [u64; 4] = [1, 2, 4, 8];
/// The pause behind all others.
const EVERY: Duration = Duration::from_secs(30);
/// The same while nobody is there.
const EVERY_ALONE: Duration = Duration::from_secs(10);
/// How long an answer is held back, in milliseconds.
const HELD_BACK: std::ops::Range<u64> = 20..120;
/// How often an answer is given at most.
const ANSWERS: Duration = Duration::from_secs(1);

/// What is to be said now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Say {
    Question,
    Answer,
}

#[derive(Debug)]
pub(super) struct Voice {
    ask_at: Instant,
    /// How many questions were asked since the beginning.
    asked: usize,
    /// Somebody else has asked in its stead.
    spared: bool,
    answer_at: Option<Instant>,
    answered: Option<Instant>,
}

impl Voice {
    pub(super) fn new(now: Instant, random: &mut StdRng) -> Self {
        let at = now + held_back(random);
        Self { ask_at: at, asked: 0, spared: false, answer_at: Some(at), answered: None }
    }

    /// Begins anew: others may have gone, come, or not heard what was said.
    pub(super) fn begin(&mut self, now: Instant, random: &mut StdRng) {
        self.ask_at = now + held_back(random);
        self.asked = 0;
        self.tell(now, random);
    }

    /// There is something to tell, or somebody has asked.
    pub(super) fn tell(&mut self, now: Instant, random: &mut StdRng) {
        let soon = now + held_back(random);
        let due = self.answered.map_or(soon, |answered| soon.max(answered + ANSWERS));
        self.answer_at = Some(self.answer_at.map_or(due, |at| at.min(due)));
    }

    /// Somebody has asked who is there.
    pub(super) fn heard_question(&mut self, now: Instant, alone: bool, random: &mut StdRng) {
        self.tell(now, random);
        if self.asked > FIRST.len() && !std::mem::replace(&mut self.spared, true) {
            self.ask_at = now + every(alone, random);
        }
    }

    pub(super) fn next(&mut self, now: Instant, alone: bool, random: &mut StdRng) -> Option<Say> {
        if self.ask_at <= now {
            self.spared = false;
            let pause = FIRST.get(self.asked).map(|seconds| Duration::from_secs(*seconds));
            self.ask_at = now + pause.unwrap_or_else(|| every(alone, random));
            if pause.is_some() {
                // Who has missed the first answer gets another.
                self.tell(now, random);
            }
            self.asked = self.asked.saturating_add(1);
            return Some(Say::Question);
        }
        if self.answer_at.is_some_and(|at| at <= now) {
            self.answer_at = None;
            self.answered = Some(now);
            return Some(Say::Answer);
        }
        None
    }

    pub(super) fn deadline(&self) -> Instant {
        self.answer_at.map_or(self.ask_at, |at| at.min(self.ask_at))
    }
}

fn held_back(random: &mut StdRng) -> Duration {
    Duration::from_millis(random.random_range(HELD_BACK))
}

/// Nodes that were started together are not to ask together for ever.
fn every(alone: bool, random: &mut StdRng) -> Duration {
    let pause = if alone { EVERY_ALONE } else { EVERY };
    pause.mul_f64(random.random_range(0.75..1.0))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// What is said in so many seconds, and when, in milliseconds.
    fn run(seconds: u64, alone: bool, mut heard: impl FnMut(u64) -> usize) -> Vec<(u64, Say)> {
        let (start, mut random) = (Instant::now(), StdRng::seed_from_u64(7));
        let mut voice = Voice::new(start, &mut random);
        let mut said = Vec::new();
        for ms in 0..1000 * seconds {
            let now = start + Duration::from_millis(ms);
            for _ in 0..heard(ms) {
                voice.heard_question(now, alone, &mut random);
            }
            while let Some(say) = voice.next(now, alone, &mut random) {
                said.push((ms, say));
            }
            assert!(voice.deadline() > now);
        }
        said
    }

    fn times(said: &[(u64, Say)], what: Say) -> Vec<u64> {
        said.iter().filter(|(_, say)| *say == what).map(|(ms, _)| *ms).collect()
    }

    #[test]
    fn the_first_questions_come_soon_and_the_others_now_and_then() {
        let said = run(120, false, |_| 0);
        let asked = times(&said, Say::Question);
        let pauses: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(HELD_BACK.contains(&asked[0]), "{asked:?}");
        assert_eq!(pauses[..4], [1000, 2000, 4000, 8000]);
        assert!(pauses[4..].iter().all(|pause| (22_500..30_000).contains(pause)), "{pauses:?}");
        assert_eq!(times(&said, Say::Answer).len(), 4, "it tells of itself");
        assert!(times(&run(120, true, |_| 0), Say::Question).len() > asked.len() + 4, "while it is alone");
    }

    #[test]
    fn a_flood_of_questions_gets_an_answer_a_second() {
        let answers = times(&run(30, false, |_| 10), Say::Answer);
        assert!(answers.windows(2).all(|pair| pair[1] - pair[0] >= 1000), "{answers:?}");
        assert!((27..=30).contains(&answers.len()), "{answers:?}");
    }

    #[test]
    fn what_others_ask_need_not_be_asked_but_every_other_time() {
        let quiet = times(&run(600, false, |_| 0), Say::Question).len();
        let spared = times(&run(600, false, |ms| usize::from(ms % 5000 == 0)), Say::Question).len();
        assert!(spared < quiet && 2 * spared > quiet, "{spared} of {quiet}");
    }
}

//! How fast gossip is read from whom.
//!
//! Whoever sends more than its share is read more slowly: its frames stay where they are, in its own memory and in the
//! buffers between, until they are due. Nothing is lost by that, and nobody else waits, for each connection has a share of
//! its own, but for those that have entered no room: a part of their share is common to all of them.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// What a frame costs besides its bytes: hashing, looking up, telling.
pub(super) const COST: u64 = 2 * 1024;
/// What a frame costs besides that if it brought nothing that is worth passing on.
pub(super) const USELESS: u64 = 4 * 1024;
/// Bytes a second, and how many at once, of somebody who has entered a room. Much more than a node publishes and passes on
/// of what it takes in itself (see [`super::shares`]).
const MEMBER: Rate = Rate { bytes: 24 * 1024 * 1024, burst: 48 * 1024 * 1024 };
/// The same of somebody who has not. A node that has just been met sends its topics and what is said until it has entered.
const STRANGER: Rate = Rate { bytes: 256 * 1024, burst: 2 * 1024 * 1024 };
/// The same of all of these together.
const STRANGERS: Rate = Rate { bytes: 2 * 1024 * 1024, burst: 16 * 1024 * 1024 };
/// Who has used up more than half of its share for so long is not one who has just been met, or has much to say at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// So much a second, and so much at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) bytes: u64,
    pub(super) burst: u64,
}

/// What may be read. It may go below zero: what a frame costs is known once it has been read.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) rate: Rate,
    left: i64,
    at: Instant,
    /// Since when it has been less than half full.
    low_since: Option<Instant>,
}

impl Share {
    pub(super) fn full(rate: Rate, now: Instant) -> Self {
        Self { rate, left: rate.burst as i64, at: now, low_since: None }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).min(Duration::from_secs(60));
        let gained = (passed.as_micros() * u128::from(self.rate.bytes) / 1_000_000) as i64;
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(self.rate.burst as i64);
            self.at = now;
        }
        if self.left >= self.rate.burst as i64 / 2 {
            self.low_since = None;
        }
    }

    pub(super) fn spend(&mut self, now: Instant, bytes: u64) {
        self.fill(now);
        // A debt of more than the burst would punish for one frame what the next ones are to be kept back for.
        self.left = self.left.saturating_sub(bytes as i64).max(-(self.rate.burst as i64));
        if self.left < self.rate.burst as i64 / 2 {
            self.low_since.get_or_insert(now);
        }
    }

    /// What is left.
    pub(super) fn left(&mut self, now: Instant) -> i64 {
        self.fill(now);
        self.left
    }

    /// Whether more than three quarters are left.
    pub(super) fn is_hardly_used(&self) -> bool {
        self.left > self.rate.burst as i64 / 4 * 3
    }

    /// How long until there is something left.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Duration> {
        self.fill(now);
        let debt = u64::try_from(-self.left).ok()?;
        Some(Duration::from_micros((debt * 1_000_000).div_ceil(self.rate.bytes).max(1000)))
    }
}

/// What all strangers have together.
#[derive(Clone, Debug)]
pub(super) struct Strangers(Arc<Mutex<Share>>);

impl Strangers {
    pub(super) fn new(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(Share::full(STRANGERS, now))))
    }
}

/// The pace of one connection.
#[derive(Debug)]
pub(super) struct Pace {
    own: Mutex<Share>,
    member: AtomicBool,
    strangers: Strangers,
}

/// A lock that nothing panics under is never poisoned; and numbers are right in any case.
fn locked(share: &Mutex<Share>) -> std::sync::MutexGuard<'_, Share> {
    share.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pace {
    pub(super) fn new(now: Instant, strangers: Strangers) -> Self {
        Self { own: Mutex::new(Share::full(STRANGER, now)), member: AtomicBool::new(false), strangers }
    }

    /// It has entered a room.
    pub(super) fn is_member(&self, now: Instant) {
        if !self.member.swap(true, Ordering::Relaxed) {
            *locked(&self.own) = Share::full(MEMBER, now);
        }
    }

    /// Notes a frame of so many bytes.
    pub(super) fn spend(&self, now: Instant, bytes: u64) {
        locked(&self.own).spend(now, COST + bytes);
        if !self.member.load(Ordering::Relaxed) {
            locked(&self.strangers.0).spend(now, COST + bytes);
        }
    }

    /// How long to wait before the next frame is read, if at all.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let own = locked(&self.own).wait(now);
        if self.member.load(Ordering::Relaxed) {
            return own;
        }
        own.max(locked(&self.strangers.0).wait(now))
    }

    /// Somebody who does not stop, though it is read slowly.
    pub(super) fn floods(&self, now: Instant) -> bool {
        let mut own = locked(&self.own);
        own.fill(now);
        own.low_since.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many frames of that length are read within a time, from an endless stream of them.
    fn read_in(pace: &Pace, start: Instant, time: Duration, length: u64) -> u64 {
        let (mut now, mut count) = (start, 0);
        while now < start + time {
            match pace.wait(now) {
                Some(wait) => now += wait,
                None => {
                    pace.spend(now, length);
                    count += 1;
                }
            }
        }
        count
    }

    #[test]
    fn a_stranger_is_read_at_its_rate_and_a_member_at_a_higher_one() {
        let now = Instant::now();
        let pace = Pace::new(now, Strangers::new(now));
        let frame = 1024;
        let expected = (STRANGER.burst + 10 * STRANGER.bytes) / (COST + frame);
        assert!(read_in(&pace, now, 10 * SECOND, frame).abs_diff(expected) < 20);
        pace.is_member(now + 10 * SECOND);
        let expected = (MEMBER.burst + 10 * MEMBER.bytes) / (COST + frame);
        assert!(read_in(&pace, now + 10 * SECOND, 10 * SECOND, frame).abs_diff(expected) < expected / 50);
    }

    #[test]
    fn strangers_have_a_share_in_common() {
        let now = Instant::now();
        let strangers = Strangers::new(now);
        let paces: Vec<_> = (0..100).map(|_| Pace::new(now, strangers.clone())).collect();
        let read: u64 = paces.iter().map(|pace| read_in(pace, now, SECOND, 0)).sum();
        assert!(read * COST <= STRANGERS.burst + 2 * STRANGERS.bytes, "{read}");
        let member = Pace::new(now, strangers);
        member.is_member(now);
        assert_eq!(member.wait(now), None, "members do not wait for strangers");
    }

    #[test]
    fn who_does_not_stop_is_told_from_who_has_much_to_say_at_once() {
        let now = Instant::now();
        let pace = Pace::new(now, Strangers::new(now));
        pace.spend(now, STRANGER.burst);
        assert!(!pace.floods(now + PATIENCE - SECOND));
        assert!(!pace.floods(now + PATIENCE + SECOND), "by then its share is full again");
        read_in(&pace, now + 2 * PATIENCE, PATIENCE + SECOND, 1024);
        assert!(pace.floods(now + 3 * PATIENCE + SECOND));
        pace.is_member(now + 3 * PATIENCE + SECOND);
        assert!(!pace.floods(now + 3 * PATIENCE + SECOND), "a member has more");
        read_in(&pace, now + 4 * PATIENCE, PATIENCE + 4 * SECOND, 60_000);
        assert!(pace.floods(now + 5 * PATIENCE + 4 * SECOND), "and not all that there is");
    }
}

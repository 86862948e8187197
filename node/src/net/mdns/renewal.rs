//! When sockets are opened anew: they do not tell that they have become deaf.

use std::time::{Duration, Instant, SystemTime};

/// How often while nobody is there.
const ALONE: Duration = Duration::from_secs(60);
/// How soon if an interface is not served, and how often that time is doubled: what cannot be mended is not tried again
/// and again.
const MEND: Duration = Duration::from_secs(2);
const MEND_DOUBLED: u32 = 5;
/// With more time than this unaccounted for, the machine or the process was asleep.
const ASLEEP: Duration = Duration::from_secs(6);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// What is not served.
    Mend,
    /// Everything.
    Renew,
}

/// Keeps the time.
#[derive(Debug)]
pub(super) struct Renewal {
    looked: (Instant, SystemTime),
    alone_since: Option<Instant>,
    /// Since when interfaces are not served, and how often that was tried to mend.
    ailing: Option<(Instant, u32)>,
}

impl Renewal {
    pub(super) fn new(now: Instant, clock: SystemTime) -> Self {
        Self { looked: (now, clock), alone_since: None, ailing: None }
    }

    /// Whether it is time. To be asked every few seconds, for a silence of its own is what sleep looks like; and on some
    /// systems only the calendar clock goes on meanwhile.
    pub(super) fn due(&mut self, now: Instant, clock: SystemTime, alone: bool, ailing: bool) -> Due {
        let passed = |since: Instant, limit: Duration| now.saturating_duration_since(since) >= limit;
        let slept = passed(self.looked.0, ASLEEP) || clock.duration_since(self.looked.1).is_ok_and(|d| d >= ASLEEP);
        self.looked = (now, clock);
        self.alone_since = if alone { self.alone_since.or(Some(now)) } else { None };
        let lonely = self.alone_since.is_some_and(|since| passed(since, ALONE));
        self.ailing = if ailing { self.ailing.or(Some((now, 0))) } else { None };
        let mend = self.ailing.is_some_and(|(since, times)| passed(since, MEND * 2_u32.pow(times.min(MEND_DOUBLED))));
        if mend {
            self.ailing = self.ailing.map(|(_, times)| (now, times.saturating_add(1)));
        }
        if slept || lonely {
            self.alone_since = alone.then_some(now);
            Due::Renew
        } else if mend {
            Due::Mend
        } else {
            Due::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds of the first five minutes at which something is due.
    fn times(what: Due, alone: bool, ailing: impl Fn(u64) -> bool) -> Vec<u64> {
        let (start, clock) = (Instant::now(), SystemTime::now());
        let mut renewal = Renewal::new(start, clock);
        let mut due = |n| {
            let passed = Duration::from_secs(n);
            renewal.due(start + passed, clock + passed, alone, ailing(n)) == what
        };
        (0..300).filter(|n| due(*n)).collect()
    }

    #[test]
    fn all_is_well() {
        assert!(times(Due::Renew, false, |_| false).is_empty());
        assert!(times(Due::Mend, false, |_| false).is_empty());
    }

    #[test]
    fn a_lonely_node_begins_anew_every_minute() {
        assert_eq!(times(Due::Renew, true, |_| false), [60, 120, 180, 240]);
    }

    #[test]
    fn what_ails_is_mended_at_growing_intervals() {
        assert_eq!(times(Due::Mend, false, |_| true), [2, 6, 14, 30, 62, 126, 190, 254]);
        assert_eq!(times(Due::Mend, false, |n| n % 10 < 3), (0..30).map(|n| 10 * n + 2).collect::<Vec<_>>());
    }

    #[test]
    fn who_has_slept_begins_anew() {
        let (start, clock) = (Instant::now(), SystemTime::now());
        let second = Duration::from_secs(1);
        let mut renewal = Renewal::new(start, clock);
        assert_eq!(renewal.due(start + 2 * second, clock + 2 * second, false, false), Due::Nothing);
        assert_eq!(renewal.due(start + 600 * second, clock + 600 * second, false, false), Due::Renew, "stopped");
        assert_eq!(renewal.due(start + 602 * second, clock + 1200 * second, false, false), Due::Renew, "suspended");
        assert_eq!(renewal.due(start + 604 * second, clock, false, false), Due::Nothing, "a clock set back");
        assert_eq!(renewal.due(start + 606 * second, clock + 2 * second, false, false), Due::Nothing);
    }
}

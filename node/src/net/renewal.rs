//! When mDNS is set up anew: it does not notice by itself that it has become deaf.

use std::time::{Duration, Instant};

/// How long after a change of the machine's interfaces, which come several at a time.
const SETTLE: Duration = Duration::from_secs(2);
/// How often while nobody is there.
const ALONE: Duration = Duration::from_secs(60);
/// How soon if an interface is not served, and how often that time is doubled: what cannot be mended is not tried again
/// and again.
const MEND: Duration = Duration::from_secs(2);
const MEND_DOUBLED: u32 = 5;

/// Keeps the time.
#[derive(Debug)]
pub(super) struct Renewal {
    wanted: bool,
    changed: Option<Instant>,
    alone_since: Option<Instant>,
    /// Since when interfaces are not served, and how often that was tried to mend.
    ailing: Option<(Instant, u32)>,
}

impl Renewal {
    pub(super) fn new(wanted: bool) -> Self {
        Self { wanted, changed: None, alone_since: None, ailing: None }
    }

    /// The interfaces have changed.
    pub(super) fn changed(&mut self, now: Instant) {
        self.changed = Some(now);
    }

    /// Whether it is time.
    pub(super) fn due(&mut self, now: Instant, alone: bool, ailing: bool) -> bool {
        if !self.wanted {
            return false;
        }
        let passed = |since: Instant, limit: Duration| now.saturating_duration_since(since) >= limit;
        let changed = self.changed.is_some_and(|since| passed(since, SETTLE));
        if changed {
            self.changed = None;
        }
        self.alone_since = if alone { self.alone_since.or(Some(now)) } else { None };
        let lonely = self.alone_since.is_some_and(|since| passed(since, ALONE));
        if lonely {
            self.alone_since = Some(now);
        }
        self.ailing = if ailing { self.ailing.or(Some((now, 0))) } else { None };
        let mend = self.ailing.is_some_and(|(since, times)| passed(since, MEND * 2_u32.pow(times.min(MEND_DOUBLED))));
        if mend {
            self.ailing = self.ailing.map(|(_, times)| (now, times.saturating_add(1)));
        }
        changed || lonely || mend
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds of the first five minutes at which it is time.
    fn times(mut renewal: Renewal, alone: bool, ailing: impl Fn(u64) -> bool) -> Vec<u64> {
        let start = Instant::now();
        (0..300).filter(|n| renewal.due(start + Duration::from_secs(*n), alone, ailing(*n))).collect()
    }

    #[test]
    fn all_is_well() {
        assert_eq!(times(Renewal::new(true), false, |_| false), []);
        assert_eq!(times(Renewal::new(false), true, |_| true), [], "not wanted at all");
    }

    #[test]
    fn a_lonely_node_asks_anew_every_minute() {
        assert_eq!(times(Renewal::new(true), true, |_| false), [60, 120, 180, 240]);
    }

    #[test]
    fn what_ails_is_mended_at_growing_intervals() {
        assert_eq!(times(Renewal::new(true), false, |_| true), [2, 6, 14, 30, 62, 126, 190, 254]);
        assert_eq!(times(Renewal::new(true), false, |n| n % 10 < 3), (0..30).map(|n| 10 * n + 2).collect::<Vec<_>>());
    }

    #[test]
    fn a_change_settles_first() {
        let start = Instant::now();
        let mut renewal = Renewal::new(true);
        renewal.changed(start);
        renewal.changed(start + SETTLE / 2);
        assert!(!renewal.due(start + SETTLE, false, false));
        assert!(renewal.due(start + SETTLE * 3 / 2, false, false));
        assert!(!renewal.due(start + SETTLE * 3, false, false));
    }
}

//! When the indexer works. Rooms come first: while commits keep coming it nearly stands still, and when none has come for a
//! moment it works half of the time.

use std::time::{Duration, Instant};

/// How long nothing must have been committed before the indexer works, and so how patient it is.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Pace {
    quiet: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { quiet: Duration::from_millis(300) }
    }
}

impl Pace {
    /// Works when it is asked to, and not by itself.
    #[cfg(test)]
    pub(in crate::store) fn when_asked() -> Self {
        Self { quiet: Duration::from_secs(100_000) }
    }

    /// When what has just been said is taken in, the first of it having come then. Together is cheaper than one by one,
    /// and whoever looks for something has it taken in first.
    pub(super) fn live(self, last_commit: Instant, since: Instant) -> Instant {
        (last_commit + self.quiet).min(since + 30 * self.quiet)
    }

    /// When the next step of catching up is done, the last one having ended then and taken so long.
    pub(super) fn step(self, last_commit: Instant, ended: Instant, cost: Duration) -> Instant {
        let at_rest = (last_commit + self.quiet).max(ended + cost);
        // With all cores at work for others, 2 % of one.
        let busy = ended + (50 * cost).max(4 * self.quiet);
        at_rest.min(busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_come_first() {
        let pace = Pace::default();
        let ms = Duration::from_millis;
        let start = Instant::now();
        // Nothing is committed: as long as it works, it rests.
        assert_eq!(pace.step(start, start + ms(1000), ms(20)), start + ms(1020));
        // A commit has just come: after a while without, or after long.
        assert_eq!(pace.step(start + ms(1000), start + ms(1000), ms(20)), start + ms(1300));
        assert_eq!(pace.step(start + ms(1990), start + ms(1000), ms(20)), start + ms(2200));
        assert_eq!(pace.step(start + ms(9990), start + ms(1000), ms(100)), start + ms(6000));
        // What was said is taken in when people stop, or go on for long.
        assert_eq!(pace.live(start + ms(500), start), start + ms(800));
        assert_eq!(pace.live(start + ms(20_000), start), start + ms(9000));
    }
}

//! When a crashed task is started again: OTP's restart intensity, with a growing pause.
//!
//! ```
//! use std::time::Duration;
//!
//! use distchat_node::restart::{Decision, Intensity};
//! use tokio::time::Instant;
//!
//! let now = Instant::now();
//! let mut intensity = Intensity::default();
//! assert_eq!(intensity.crashed(now), Decision::Restart(Duration::ZERO));
//! assert_eq!(intensity.crashed(now), Decision::Restart(Duration::from_millis(10)));
//! assert_eq!(intensity.crashed(now), Decision::Restart(Duration::from_millis(20)));
//! ```

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// How many restarts are allowed in [`WINDOW`]; one crash more and the task stays down.
pub const MAX_RESTARTS: usize = 5;
/// The time in which crashes are counted together.
pub const WINDOW: Duration = Duration::from_secs(60);
/// The pause before the second restart in a row; it doubles from there. The first restart is at once.
const PAUSE: Duration = Duration::from_millis(10);

/// What to do about a crash.
///
/// ```
/// use distchat_node::restart::{Decision, Intensity};
/// use tokio::time::Instant;
///
/// match Intensity::default().crashed(Instant::now()) {
///     Decision::Restart(pause) => assert!(pause.is_zero(), "the first restart is at once"),
///     Decision::GiveUp => unreachable!("not after one crash"),
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start again after a pause.
    Restart(Duration),
    /// It crashes faster than restarting helps: leave it down until somebody looks at it.
    GiveUp,
}

/// The crashes of one task that still count.
///
/// ```
/// use distchat_node::restart::{Decision, Intensity, MAX_RESTARTS};
/// use tokio::time::Instant;
///
/// let now = Instant::now();
/// let mut intensity = Intensity::default();
/// for _ in 0..MAX_RESTARTS {
///     assert_ne!(intensity.crashed(now), Decision::GiveUp);
/// }
/// assert_eq!(intensity.crashed(now), Decision::GiveUp);
/// ```
#[derive(Debug, Default)]
pub struct Intensity {
    crashes: VecDeque<Instant>,
}

impl Intensity {
    /// Counts a crash and decides.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use distchat_node::restart::{Decision, Intensity, WINDOW};
    /// use tokio::time::Instant;
    ///
    /// let start = Instant::now();
    /// let mut intensity = Intensity::default();
    /// assert_eq!(intensity.crashed(start), Decision::Restart(Duration::ZERO));
    /// // By then the first crash is forgotten.
    /// assert_eq!(intensity.crashed(start + WINDOW), Decision::Restart(Duration::ZERO));
    /// ```
    pub fn crashed(&mut self, now: Instant) -> Decision {
        while self.crashes.front().is_some_and(|crash| now.duration_since(*crash) >= WINDOW) {
            self.crashes.pop_front();
        }
        if self.crashes.len() >= MAX_RESTARTS {
            return Decision::GiveUp;
        }
        let before = self.crashes.len();
        self.crashes.push_back(now);
        let pause = match before.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => PAUSE * (1 << doublings),
        };
        Decision::Restart(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Crashes at these times, in seconds, and what becomes of each: `r` restarted, `-` given up.
    #[track_caller]
    fn check(crashes: &[f64], expect: &str) {
        let start = Instant::now();
        let mut intensity = Intensity::default();
        let decisions: String = crashes
            .iter()
            .map(|at| match intensity.crashed(start + Duration::from_secs_f64(*at)) {
                Decision::Restart(_) => 'r',
                Decision::GiveUp => '-',
            })
            .collect();
        assert_eq!(decisions, expect, "{crashes:?}");
    }

    #[test]
    fn five_in_a_minute_are_restarted_and_the_sixth_is_not() {
        check(&[0., 1., 2., 3., 4., 5.], "rrrrr-");
        check(&[0., 0., 0., 0., 0., 0., 0.], "rrrrr--");
        check(&[0., 10., 20., 30., 40., 59.9], "rrrrr-");
    }

    #[test]
    fn crashes_of_long_ago_do_not_count() {
        check(&[0., 10., 20., 30., 40., 60.], "rrrrrr");
        check(&[0., 61., 122., 183., 244., 305., 366.], "rrrrrrr");
        check(&[0., 1., 2., 3., 4., 5., 60.], "rrrrr-r");
    }

    #[test]
    fn the_pause_grows_from_nothing() {
        let now = Instant::now();
        let mut intensity = Intensity::default();
        let pauses: Vec<Decision> = (0..5).map(|_| intensity.crashed(now)).collect();
        let expect = [0, 10, 20, 40, 80].map(|millis| Decision::Restart(Duration::from_millis(millis)));
        assert_eq!(pauses, expect);
    }
}

//! A run's story, line by line, for a person to follow.

use std::time::Duration;

/// Writes what happens, if somebody wants to read it.
pub struct Trace(Option<Reader>);

type Reader = Box<dyn FnMut(&str)>;

impl Trace {
    /// Nobody reads.
    pub fn silent() -> Self {
        Self(None)
    }

    /// Each line goes there.
    pub fn to(tell: impl FnMut(&str) + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    /// Tells one thing. `what` is only worked out if somebody reads.
    pub fn tell(&mut self, now: Duration, what: impl FnOnce() -> String) {
        if let Some(tell) = &mut self.0 {
            tell(&format!("{:9.3}  {}", now.as_secs_f64(), what()));
        }
    }
}

//! Watching over the disk: whether a failing one works again, and telling people of it.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{event::Event, room::Shared, store::StoreError};

/// The pause before what the disk has failed is tried again. It doubles from there.
const PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// What fails again within that time is the same trouble.
const SPELL: Duration = Duration::from_secs(60);

/// How long to leave a failing disk alone: longer and longer, until it has worked for a while.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    pause: Duration,
    last: Option<Instant>,
}

impl Patience {
    /// It has failed; how long to wait.
    pub(crate) fn failed(&mut self, now: Instant) -> Duration {
        self.pause = if self.is_spell(now) { (self.pause * 2).clamp(PAUSE, MAX_PAUSE) } else { PAUSE };
        self.last = Some(now + self.pause);
        self.pause
    }

    /// Whether it has failed just before.
    fn is_spell(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now < last + SPELL)
    }
}

/// Tries a failing disk until it takes writes again, and tells people that it fails. That it works, the rooms say. Runs until it is
/// stopped.
pub(crate) async fn watch(shared: Arc<Shared>, stop: CancellationToken) {
    let mut disk = shared.store.disk();
    let mut patience = Patience::default();
    loop {
        let failing = tokio::select! {
            () = stop.cancelled() => return,
            failing = disk.wait_for(Option::is_some) => failing.ok().and_then(|failing| failing.clone()),
        };
        let Some(error) = failing else { return };
        // Of one that works and fails by turns people are told once.
        let mut untold = Some(error);
        if !patience.is_spell(Instant::now()) {
            tell(&shared, untold.take());
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(patience.failed(Instant::now())) => {}
            }
            match shared.store.try_disk().await {
                Ok(()) => break,
                Err(StoreError::Closed) => return,
                Err(error) => tracing::debug!(%error, "the disk still takes no writes"),
            }
            tell(&shared, untold.take());
        }
    }
}

fn tell(shared: &Shared, untold: Option<StoreError>) {
    let Some(error) = untold else { return };
    let message = format!("{error}. Until then nothing new is taken in; what is there can be read");
    shared.events.emit(Event::Warning { code: "disk".into(), message });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Failures at these times, in seconds, and how long the disk is left alone after each.
    #[track_caller]
    fn check(failures: &[u64], expect: &[u64]) {
        let start = Instant::now();
        let mut patience = Patience::default();
        let pauses = failures.iter().map(|at| patience.failed(start + Duration::from_secs(*at)).as_secs());
        assert_eq!(pauses.collect::<Vec<_>>(), expect, "{failures:?}");
    }

    #[test]
    fn a_disk_that_fails_on_is_left_alone_for_longer() {
        check(&[0, 1, 3, 7, 15, 30, 45], &[1, 2, 4, 8, 15, 15, 15]);
    }

    #[test]
    fn a_disk_that_has_worked_for_a_minute_begins_anew() {
        check(&[0, 60, 62, 125, 200], &[1, 2, 4, 8, 1]);
    }
}

//! Where a message is found in the index. Its place is its time, so that going down the places is going back in time. If
//! that is taken by another message it is the next free number upwards, or, at the end of all numbers, downwards.
//!
//! Anybody can date any number of messages alike, so what is found to be taken is remembered: otherwise each of them would
//! be looked for past all others.

use std::collections::BTreeMap;

use rusqlite::Connection;

/// How many runs are remembered at most.
const MAX_RUNS: usize = 4096;

const UP: &str = "SELECT place FROM entry WHERE place >= ? ORDER BY place";
const DOWN: &str = "SELECT place FROM entry WHERE place <= ? ORDER BY place DESC";

/// Runs of places that are known to be taken, by their begins, with their ends. A place never becomes free again.
#[derive(Debug, Default)]
pub(super) struct Runs(BTreeMap<i64, i64>);

impl Runs {
    /// A free place for a message of that time, whose own place is taken. It counts as taken from now on.
    pub(super) fn take(&mut self, conn: &Connection, time: i64) -> rusqlite::Result<i64> {
        let (low, high) = self.around(time);
        let (begin, end, free) = match free(conn, UP, high, 1)? {
            Some(free) => (low, free, free),
            None => {
                // All numbers are never taken.
                let free = free(conn, DOWN, low, -1)?.unwrap_or(i64::MIN);
                (free, i64::MAX, free)
            }
        };
        self.remember(begin, end);
        Ok(free)
    }

    /// What is known to be taken around a place that is.
    fn around(&self, place: i64) -> (i64, i64) {
        let run = self.0.range(..=place).next_back().filter(|(_, end)| **end >= place);
        run.map_or((place, place), |(begin, end)| (*begin, *end))
    }

    fn remember(&mut self, begin: i64, mut end: i64) {
        // Those that the new one reaches are now one with it; none begins before it and reaches into it.
        while let Some((&next, &next_end)) = self.0.range(begin..=end.saturating_add(1)).next() {
            self.0.remove(&next);
            end = end.max(next_end);
        }
        if self.0.len() >= MAX_RUNS {
            self.0.clear();
        }
        self.0.insert(begin, end);
    }
}

/// The first free place in that direction, the one to start from being taken.
fn free(conn: &Connection, query: &str, start: i64, step: i64) -> rusqlite::Result<Option<i64>> {
    let mut statement = conn.prepare_cached(query)?;
    let mut rows = statement.query([start])?;
    let mut expected = Some(start);
    while let Some(place) = expected
        && let Some(row) = rows.next()?
        && row.get::<_, i64>(0)? == place
    {
        expected = place.checked_add(step);
    }
    Ok(expected)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// As by trying one number after the other.
        #[test]
        fn the_next_free_place_is_taken(
            times in prop::collection::vec(prop_oneof![0..40_i64, i64::MAX - 9..=i64::MAX], 1..80),
            forget in 0..100_usize,
        ) {
            let conn = Connection::open_in_memory().unwrap();
            conn.execute("CREATE TABLE entry (place INTEGER PRIMARY KEY)", []).unwrap();
            let (mut runs, mut taken) = (Runs::default(), BTreeSet::new());
            for (n, time) in times.into_iter().enumerate() {
                let up = (time..=i64::MAX).find(|place| !taken.contains(place));
                let expect = up.unwrap_or_else(|| (0..time).rev().find(|place| !taken.contains(place)).unwrap());
                let place = if taken.contains(&time) { runs.take(&conn, time).unwrap() } else { time };
                prop_assert_eq!(place, expect);
                conn.execute("INSERT INTO entry VALUES (?)", [place]).unwrap();
                taken.insert(place);
                if n == forget {
                    runs = Runs::default();
                }
            }
        }
    }
}

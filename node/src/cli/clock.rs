//! Times, as programs and people read them.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Milliseconds since 1970 by this computer's clock.
pub(crate) fn now_millis() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

fn timestamp(millis: u64) -> Timestamp {
    // A message's time ends in the year 6429, what can be shown in 9999.
    i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok()).unwrap_or(Timestamp::MAX)
}

/// RFC 3339 in UTC, with milliseconds.
pub(crate) fn rfc3339(millis: u64) -> String {
    format!("{:.3}", timestamp(millis))
}

/// Tells the time where the user is.
#[derive(Clone, Debug)]
pub(crate) struct Clock(TimeZone);

impl Clock {
    /// The time zone that `TZ` or else the system names.
    pub(crate) fn local() -> Self {
        Self(TimeZone::system())
    }

    #[cfg(test)]
    pub(crate) fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// Hours and minutes.
    pub(crate) fn time(&self, millis: u64) -> String {
        timestamp(millis).to_zoned(self.0.clone()).strftime("%H:%M").to_string()
    }

    /// The day, to find out whether two times are on the same one.
    pub(crate) fn date(&self, millis: u64) -> Date {
        timestamp(millis).to_zoned(self.0.clone()).date()
    }
}

/// A day, spelt out.
pub(crate) fn day(date: Date) -> String {
    date.strftime("%A, %-d %B %Y").to_string()
}

/// About how long that is, in words.
pub(crate) fn about(millis: u64) -> String {
    let seconds = millis / 1000;
    let plural = |n: u64, unit: &str| if n == 1 { format!("1 {unit}") } else { format!("{n} {unit}s") };
    match seconds {
        0..120 => plural(seconds, "second"),
        120..7_200 => plural(seconds / 60, "minute"),
        7_200..172_800 => plural(seconds / 3_600, "hour"),
        172_800..63_072_000 => plural(seconds / 86_400, "day"),
        _ => plural(seconds / 31_536_000, "year"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_has_milliseconds_and_utc() {
        for (millis, expect) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_001, "2023-11-14T22:13:20.001Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            ((1 << 47) - 1, "6429-10-17T02:45:55.327Z"),
        ] {
            assert_eq!(rfc3339(millis), expect);
        }
        assert!(rfc3339(u64::MAX).starts_with("9999-12-"));
    }

    #[test]
    fn people_read_hours_and_days() {
        let clock = Clock::utc();
        assert_eq!(clock.time(1_700_000_000_001), "22:13");
        assert_eq!(day(clock.date(1_700_000_000_001)), "Tuesday, 14 November 2023");
        assert_eq!(clock.time(u64::MAX).len(), 5);
    }

    #[test]
    fn spans_are_in_words() {
        for (millis, expect) in [
            (1_000, "1 second"),
            (31_000, "31 seconds"),
            (200_000, "3 minutes"),
            (7_200_000, "2 hours"),
            (31_536_000_000, "365 days"),
            (80_000_000_000, "2 years"),
        ] {
            assert_eq!(about(millis), expect);
        }
    }
}

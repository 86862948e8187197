//! Moments on the command line: `10m`, `2h 30m`, `2026-11-23`, `2026-11-23 18:00`, `2026-11-23T18:00:00Z`.

use distchat_node::{Key, MessageId, Timestamp};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Zoned};

/// A moment, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(u64);

impl Moment {
    /// Reads one, as clap wants it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Self::read(text, &Zoned::now())
    }

    fn read(text: &str, now: &Zoned) -> Result<Self, String> {
        let moment = if let Ok(ago) = text.parse::<SignedDuration>() {
            now.timestamp().checked_sub(ago.abs()).ok()
        } else if let Ok(moment) = text.parse::<jiff::Timestamp>() {
            Some(moment)
        } else if let Ok(civil) = text.parse::<DateTime>() {
            civil.to_zoned(zone(now)).ok().map(|zoned| zoned.timestamp())
        } else {
            None
        };
        let millis = moment.and_then(|moment| u64::try_from(moment.as_millisecond()).ok());
        let wrong =
            || "give how long ago, such as 10m or 2h, or a time, such as 2026-11-23 or 2026-11-23T18:00".to_owned();
        millis.map(Self).ok_or_else(wrong)
    }

    /// The place in a transcript in front of all that was written from then on.
    pub(super) fn place(self) -> Key {
        Key { time: Timestamp::from_millis(self.0), id: MessageId([0; 32]) }
    }
}

fn zone(now: &Zoned) -> TimeZone {
    now.time_zone().clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_the_ways_people_write_them() {
        let now: Zoned = "2026-11-23T12:00:00+01:00[+01:00]".parse().unwrap();
        let at = |text: &str| Moment::read(text, &now).map(|moment| moment.0);
        let utc = |text: &str| u64::try_from(text.parse::<jiff::Timestamp>().unwrap().as_millisecond()).unwrap();
        for (text, expect) in [
            ("10m", "2026-11-23T10:50:00Z"),
            ("2h", "2026-11-23T09:00:00Z"),
            ("2h 30m", "2026-11-23T08:30:00Z"),
            ("24h", "2026-11-22T11:00:00Z"),
            ("2026-11-22", "2026-11-21T23:00:00Z"),
            ("2026-11-22T18:00", "2026-11-22T17:00:00Z"),
            ("2026-11-22 18:00", "2026-11-22T17:00:00Z"),
            ("2026-11-22T18:00:00Z", "2026-11-22T18:00:00Z"),
            ("2026-11-22T18:00:00+03:00", "2026-11-22T15:00:00Z"),
        ] {
            assert_eq!(at(text), Ok(utc(expect)), "{text}");
        }
        for wrong in ["", "soon", "10", "yesterday", "1900-01-01", "99999999999h"] {
            assert!(at(wrong).unwrap_err().contains("10m"), "{wrong}");
        }
    }
}

//! The clock beside those of others.

use crate::doctor::{
    finding::Finding,
    observed::{Observed, Peer},
};

/// How far clocks may differ before anybody is told, in milliseconds: as far as a node bears without a word.
const TOLERATED: i64 = 30_000;

pub(super) fn judge(seen: &Observed) -> Vec<Finding> {
    let clocks: Vec<(&Peer, i64)> = seen.peers.iter().filter_map(|peer| Some((peer, peer.clock_ahead_ms?))).collect();
    let is_far = |ahead: i64| ahead.unsigned_abs() > TOLERATED.unsigned_abs();
    let far: Vec<&(&Peer, i64)> = clocks.iter().filter(|(_, ahead)| is_far(*ahead)).collect();
    let (Some((_, first)), Some((_, median))) = (clocks.first(), median(&clocks)) else { return Vec::new() };
    if far.is_empty() {
        return vec![Finding::ok("clock", format!("the clock agrees with {} within {}", names(&clocks), span(*first)))];
    }
    let set = "set it (`timedatectl set-ntp true`, or the settings of the system)";
    let how = |ahead: i64| format!("{} {}", span(ahead), if ahead > 0 { "behind" } else { "ahead" });
    // Ours is the one that is wrong if most of several others are together somewhere else.
    let together = clocks.iter().filter(|(_, ahead)| !is_far(ahead - median)).count();
    if clocks.len() > 1 && is_far(median) && together * 2 > clocks.len() {
        let title = format!("the clock of this machine is wrong: it is {}", how(median));
        return vec![
            Finding::warning("clock", title).cause(format!("{together} others agree with each other")).fix(set),
        ];
    }
    far.iter()
        .map(|(peer, ahead)| {
            let title = format!("the clock of this machine is {} that of {}", behind(*ahead), peer.ip);
            let finding = if clocks.len() > 1 {
                Finding::warning("clock-peer", title)
                    .cause(format!("the clock of {} is wrong: it differs from those of others, too", peer.ip))
                    .fix(format!("on that machine, {set}"))
            } else {
                Finding::warning("clock", title)
                    .cause("one of the two is wrong; which, two alone cannot tell")
                    .fix(format!("look at both clocks; on the machine where it is wrong, {set}"))
            };
            finding.with(peer.ip)
        })
        .collect()
}

fn behind(ahead: i64) -> String {
    if ahead > 0 { format!("{} behind", span(ahead)) } else { format!("{} ahead of", span(ahead)) }
}

fn names(clocks: &[(&Peer, i64)]) -> String {
    match clocks {
        [(one, _)] => format!("that of {}", one.ip),
        many => format!("those of {} others", many.len()),
    }
}

fn median<'a>(clocks: &[(&'a Peer, i64)]) -> Option<(&'a Peer, i64)> {
    let mut sorted = clocks.to_vec();
    sorted.sort_by_key(|(_, ahead)| *ahead);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

/// A time in words; of what is short, no more than people care for.
fn span(ms: i64) -> String {
    let seconds = ms.unsigned_abs().div_ceil(1000);
    match seconds {
        0..=1 => "a second".to_owned(),
        2..=120 => format!("{seconds} seconds"),
        121..=7200 => format!("{} minutes", seconds / 60),
        7201..=172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::doctor::finding::Severity;

    fn with(aheads: &[i64]) -> Vec<Finding> {
        let mut seen = healthy();
        seen.peers = aheads.iter().map(|ahead| Peer { clock_ahead_ms: Some(*ahead), ..peer() }).collect();
        judge(&seen)
    }

    #[test]
    fn clocks_that_agree() {
        assert_eq!(with(&[]), []);
        assert_eq!(only(with(&[-29_000])).severity, Severity::Ok);
        assert_eq!(only(with(&[20, -300, 4000])).severity, Severity::Ok);
    }

    #[test]
    fn of_two_nobody_knows_which_is_wrong() {
        let found = only(with(&[365 * 86_400_000]));
        assert_eq!((found.code, found.severity), ("clock", Severity::Warning));
        assert_eq!(found.title, format!("the clock of this machine is 365 days behind that of {PEER}"));
        assert!(found.cause.contains("which, two alone cannot tell"));
        assert!(only(with(&[-90_000])).title.contains("90 seconds ahead of that of"));
    }

    #[test]
    fn the_majority_is_right() {
        let found = only(with(&[600_000, 600_100, 599_000]));
        assert!(found.title.contains("is wrong: it is 10 minutes behind"), "{}", found.title);
        let found = only(with(&[600_000, 10, 20]));
        assert_eq!(found.code, "clock-peer");
        assert!(found.cause.contains("it differs from those of others, too"));
    }
}

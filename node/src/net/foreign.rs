//! Programs that speak something else.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use libp2p::StreamProtocol;

/// How long one kind of them is not told of again.
const QUIET: Duration = Duration::from_secs(60 * 60);
/// How many kinds are remembered.
const MAX_KINDS: usize = 64;
/// How much of what a program calls itself is shown, in characters.
const SHOWN: usize = 48;

/// What people have been told of.
#[derive(Debug, Default)]
pub(super) struct Foreign(BTreeMap<String, Instant>);

impl Foreign {
    /// Words for people about a peer that does not speak this protocol, if it is another version of this program, and not
    /// one of those they have just been told of. Any other program is nobody's concern.
    pub(super) fn told(
        &mut self,
        now: Instant,
        place: &str,
        agent: &str,
        protocols: &[StreamProtocol],
    ) -> Option<String> {
        let speaks: Vec<&str> = protocols.iter().map(AsRef::as_ref).filter(|name| is_sync(name)).collect();
        if speaks.is_empty() && !agent.starts_with("distchat/") {
            return None;
        }
        let agent: String = agent.chars().take(SHOWN).collect();
        let speaks = speaks.first().map_or(String::new(), |name| name.chars().take(SHOWN).collect());
        self.0.retain(|_, at| now.saturating_duration_since(*at) < QUIET);
        if self.0.contains_key(&agent) || self.0.len() >= MAX_KINDS {
            return None;
        }
        self.0.insert(agent.clone(), now);
        let speaks = if speaks.is_empty() { "no version of the protocol".to_owned() } else { format!("\"{speaks}\"") };
        Some(format!(
            "\"{agent}\" at {place} speaks {speaks}, which this version does not; it is left alone for ten minutes. Update \
             the older one of the two"
        ))
    }
}

/// Whether it is this program's protocol, in whatever version.
pub(super) fn is_sync(protocol: &str) -> bool {
    protocol.starts_with("/distchat/sync/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocols(names: &[&'static str]) -> Vec<StreamProtocol> {
        names.iter().map(|name| StreamProtocol::new(name)).collect()
    }

    #[test]
    fn another_version_is_named_once_an_hour() {
        let (mut foreign, now) = (Foreign::default(), Instant::now());
        let newer = protocols(&["/ipfs/id/1.0.0", "/distchat/sync/3"]);
        let told = foreign.told(now, "10.0.0.7", "distchat/9.9.9", &newer).unwrap();
        assert!(
            told.contains("10.0.0.7") && told.contains("distchat/9.9.9") && told.contains("/distchat/sync/3"),
            "{told}"
        );
        assert_eq!(foreign.told(now, "10.0.0.8", "distchat/9.9.9", &newer), None);
        assert!(foreign.told(now, "10.0.0.8", "distchat/9.9.8", &newer).is_some());
        assert!(foreign.told(now + QUIET, "10.0.0.8", "distchat/9.9.9", &newer).is_some());
    }

    #[test]
    fn other_programs_are_nobodys_concern_and_many_names_no_flood() {
        let (mut foreign, now) = (Foreign::default(), Instant::now());
        assert_eq!(foreign.told(now, "10.0.0.7", "kubo/0.30", &protocols(&["/ipfs/kad/1.0.0"])), None);
        let told = (0..1000).filter(|n| foreign.told(now, "x", &format!("distchat/{n}"), &[]).is_some()).count();
        assert_eq!(told, MAX_KINDS);
        let long = Foreign::default().told(now, "x", &format!("distchat/{}", "9".repeat(10_000)), &[]).unwrap();
        assert!(long.len() < 400);
    }
}

use super::super::testing::*;
use super::*;
use crate::doctor::finding::{Severity, worst};

fn dialled(unmet: [Unmet; 2]) -> Observed {
    let mut seen = healthy();
    for ((_, met), unmet) in seen.peers[0].dials.iter_mut().zip(unmet) {
        *met = Err(unmet);
    }
    seen.peers[0].backs.clear();
    seen
}

#[test]
fn a_healthy_peer_is_named() {
    let findings = judge(&healthy());
    assert_eq!(worst(&findings), Severity::Ok, "{findings:#?}");
    let found = the(findings.clone(), "peer");
    assert_eq!((found.interface.as_deref(), found.peer.as_deref()), (Some("eth0"), Some(PEER)));
    assert_eq!(findings.iter().filter(|found| found.code == "port-open").count(), 2);
}

#[test]
fn another_version() {
    let mut seen = healthy();
    for (_, met) in &mut seen.peers[0].dials {
        let met = met.as_mut().unwrap();
        met.speaks = false;
        met.versions = vec!["9".into()];
        met.agent = "distchat/9.0.0".into();
    }
    seen.peers[0].backs.clear();
    let found = only(judge(&seen));
    assert_eq!((found.code, found.severity), ("other-version", Severity::Apart));
    assert!(found.cause.contains("distchat/9.0.0") && found.cause.contains("version 9;"), "{}", found.cause);
    let own = format!("speaks version {}", own_version());
    assert!(found.cause.ends_with(&own), "{}", found.cause);
}

#[test]
fn other_programs_matter_to_who_asked_for_them_only() {
    let mut seen = healthy();
    for (_, met) in &mut seen.peers[0].dials {
        let met = met.as_mut().unwrap();
        (met.speaks, met.family) = (false, "ipfs/0.1.0".into());
        met.versions.clear();
    }
    seen.peers[0].backs.clear();
    assert_eq!(only(judge(&seen)).code, "nobody-found");
    seen.peers[0].found_on = None;
    the(judge(&seen), "other-program");
}

#[test]
fn unreachable_peers() {
    let check = |unmet: [Unmet; 2], words: &str| {
        let found = only(judge(&dialled(unmet)));
        assert_eq!((found.code, found.severity), ("peer-unreachable", Severity::Apart));
        assert_eq!((found.interface.as_deref(), found.direction), (Some("eth0"), Some(Direction::Out)));
        assert!(found.cause.contains(words), "{}", found.cause);
    };
    check([Unmet::Silence, Unmet::Silence], "its firewall drops what comes in at TCP port 4001, UDP port 4001 (QUIC)");
    check([Unmet::Silence, Unmet::Refused], "nothing listens");
    check([Unmet::Silence, Unmet::NoWay("No route to host".into())], "No route to host");
    let mut seen = dialled([Unmet::Silence, Unmet::Silence]);
    seen.peers[0].found_on = None;
    assert!(only(judge(&seen)).cause.contains("or there is no such machine"));
    let other = dialled([Unmet::Other(distchat_node::PeerId::random()), Unmet::Silence]);
    assert_eq!(only(judge(&other)).code, "peer-other");
    assert_eq!(only(judge(&dialled([Unmet::Mute, Unmet::Silence]))).code, "peer-mute");
}

#[test]
fn one_of_its_ports_is_closed() {
    let mut seen = healthy();
    seen.peers[0].dials[0].1 = Err(Unmet::Silence);
    let found = the(judge(&seen), "peer-port-closed");
    assert_eq!((found.severity, found.direction), (Severity::Warning, Some(Direction::Out)));
    assert!(found.title.contains("TCP port 4001"), "{}", found.title);
}

#[test]
fn a_port_of_ours_is_closed() {
    for (n, code, words) in [(0, "tcp-in-blocked", "TCP connections"), (1, "udp-in-blocked", "UDP packets")] {
        let mut seen = healthy();
        let back = &mut seen.peers[0].backs[n];
        (back.outcome, back.came) = (Outcome::Silence, Some(false));
        let found = the(judge(&seen), code);
        assert_eq!((found.severity, found.direction), (Severity::Warning, Some(Direction::In)));
        assert_eq!(found.interface.as_deref(), Some("eth0"));
        assert!(found.title.contains(words) && found.title.contains("40000"), "{}", found.title);
        assert!(found.cause.contains("this machine's own firewall"), "{}", found.cause);
        // Where somebody else gets in, it is not simply that.
        seen.peers.push(peer());
        assert!(the(judge(&seen), code).cause.contains("those of others get in"));
    }
}

#[test]
fn a_port_that_a_node_has_is_open_if_the_peer_says_so() {
    let mut seen = healthy();
    seen.peers[0].backs[0].came = None;
    assert_eq!(worst(&judge(&seen)), Severity::Ok);
}

#[test]
fn who_does_not_help_is_told() {
    for (why, severity) in [
        (NoHelp::Unknown, Severity::Ok),
        (NoHelp::Refused(Refusal::Often), Severity::Warning),
        (NoHelp::Refused(Refusal::Foreign), Severity::Warning),
        (NoHelp::Lost("gone".into()), Severity::Warning),
    ] {
        let mut seen = healthy();
        seen.peers[0].who = Some(Err(why));
        seen.peers[0].exchange = None;
        assert_eq!(the(judge(&seen), "peer-no-help").severity, severity);
    }
    let mut seen = healthy();
    seen.peers[0].who = Some(Err(NoHelp::Refused(Refusal::Foreign)));
    seen.peers[0].on_link = false;
    the(judge(&seen), "other-network");
}

#[test]
fn who_should_have_been_found() {
    let mut seen = healthy();
    seen.peers[0].found_on = None;
    assert!(the(judge(&seen), "peer-not-found").cause.contains("in time"));
    if let Some(Ok(who)) = &mut seen.peers[0].who {
        who.mdns = false;
    }
    assert!(the(judge(&seen), "peer-not-found").cause.contains("--no-mdns"));
}

#[test]
fn nobody_is_there_or_nobody_hears() {
    let mut seen = healthy();
    seen.peers.clear();
    let found = only(judge(&seen));
    assert_eq!((found.code, found.severity), ("nobody-found", Severity::Warning));
    assert!(found.fix.contains("--connect"));
    seen.callers = vec![(PEER.parse().unwrap(), "eth0".into())];
    let found = only(judge(&seen));
    assert_eq!((found.code, found.severity), ("peer-deaf", Severity::Apart));
    assert_eq!((found.interface.as_deref(), found.peer.as_deref()), (Some("eth0"), Some(PEER)));
}

#[test]
fn an_address_that_is_none() {
    let mut seen = healthy();
    seen.undialable = vec!["/dns4/example.org/tcp/1".into()];
    the(judge(&seen), "address-unusable");
}

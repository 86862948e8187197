//! What a healthy machine looks like, for tests that make it ill.

use std::path::PathBuf;

use distchat_node::{
    PeerId,
    inspect::History,
    probe::{Heard, Link, Met, Outcome, Via, Who},
};

use crate::doctor::{finding::Finding, observed::*};

pub(super) const PEER: &str = "10.77.0.2";

pub(super) fn interface(name: &str, kind: Kind, address: &str) -> Interface {
    let link = Link { name: name.into(), index: None, address: address.parse().unwrap(), prefix: 24 };
    Interface { name: name.into(), kind, links: vec![link], ip6: false, carrier: Some(true), multicast: Some(true) }
}

pub(super) fn met() -> Met {
    Met {
        peer: PeerId::random(),
        agent: "distchat/0.1.0".into(),
        family: "/distchat/1".into(),
        versions: vec!["1".into()],
        speaks: true,
        helps: true,
    }
}

pub(super) fn peer() -> Peer {
    let there = Heard { interface: "wlan0".into(), heard: vec!["wlan0".into()], deaf: None, mute: None, echo: true };
    Peer {
        ip: PEER.parse().unwrap(),
        found_on: Some("eth0".into()),
        dials: vec![
            (format!("/ip4/{PEER}/tcp/4001").parse().unwrap(), Ok(met())),
            (format!("/ip4/{PEER}/udp/4001/quic-v1").parse().unwrap(), Ok(met())),
        ],
        here: Some("eth0".into()),
        on_link: true,
        who: Some(Ok(Who { clock_ms: 0, interface: "wlan0".into(), mdns: true })),
        clock_ahead_ms: Some(20),
        exchange: Some(Exchange {
            here: "eth0".into(),
            mute_here: None,
            echo_here: true,
            heard_here: vec!["eth0".into()],
            there,
        }),
        backs: [Via::Tcp, Via::Udp]
            .map(|via| Back { via, port: 40000, outcome: Outcome::Done, came: Some(true) })
            .to_vec(),
    }
}

pub(super) fn healthy() -> Observed {
    let ear = Ear { interface: "eth0".into(), deaf: None, mute: None, echo: true, others: true };
    Observed {
        mdns: true,
        undialable: Vec::new(),
        interfaces: vec![interface("lo", Kind::Loopback, "127.0.0.1"), interface("eth0", Kind::Lan, "10.77.0.1")],
        routes: Routes {
            default: Some("eth0".into()),
            multicast: Some("eth0".into()),
            networks: vec![("eth0".into(), Some("eth0".into()))],
        },
        ears: vec![ear],
        callers: Vec::new(),
        peers: vec![peer()],
        files: Some(Files {
            dir: PathBuf::from("/home/ann/.local/share/distchat/default"),
            exists: true,
            unwritable: None,
            free: Some(1 << 40),
            key: Key::Good,
            history: History::Sound,
            aside: Vec::new(),
            in_use: None,
        }),
        neighbours: Some(Ok(0)),
    }
}

/// The one finding that there is.
#[track_caller]
pub(super) fn only(mut findings: Vec<Finding>) -> Finding {
    assert_eq!(findings.len(), 1, "{findings:#?}");
    findings.remove(0)
}

/// The one finding of that name.
#[track_caller]
pub(super) fn the(findings: Vec<Finding>, code: &str) -> Finding {
    let all = format!("{findings:#?}");
    let mut of: Vec<_> = findings.into_iter().filter(|finding| finding.code == code).collect();
    assert_eq!(of.len(), 1, "one {code} in {all}");
    of.remove(0)
}

//! Whoever is on the network can tell by mDNS that anybody is anywhere, in any host's name.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use distchat_hostile::Forger;
use distchat_tests::{Lan, PATIENCE, skip};
use libp2p::{Multiaddr, PeerId};
use tokio::time::sleep;

use crate::{
    common::heavy,
    hostile::{GROWTH, Memory, meanwhile_on, talk, warm_up},
};

/// How many records are forged.
const RECORDS: usize = 100_000;
/// How many of them are in a packet.
const AT_ONCE: usize = 20;

fn ip(lan: &Lan, host: usize) -> Ipv4Addr {
    lan.address(host).parse().unwrap()
}

/// Peers that do not exist, on a host.
fn forged(host: Ipv4Addr, ports: impl Iterator<Item = u16>) -> Vec<(PeerId, Multiaddr)> {
    let peer = || {
        // What the id of a peer with an Ed25519 key looks like.
        let mut bytes = [0; 38];
        bytes[..6].copy_from_slice(&[0, 36, 8, 1, 18, 32]);
        bytes[6..].copy_from_slice(&PeerId::random().to_bytes()[2..34]);
        PeerId::from_bytes(&bytes).unwrap()
    };
    ports.map(|port| (peer(), format!("/ip4/{host}/tcp/{port}").parse().unwrap())).collect()
}

#[test]
fn a_hundred_thousand_forged_records_keep_nobody_apart() {
    let Some(lan) = skip::lan_or_skip(4) else {
        return;
    };
    let _alone = heavy();
    let start = |host: usize, name| lan.host(host).chat(name).room("general").start();
    let (ann, cid) = (start(0, "ann"), start(1, "cid"));
    ann.wait_peers(1);
    warm_up(&cid, &ann);
    let memory = Memory::of(&ann);
    let (sent, by) = (AtomicUsize::new(0), ip(&lan, 3));
    let wait_sent = |records| {
        let deadline = Instant::now() + PATIENCE;
        while sent.load(Ordering::Relaxed) < records {
            assert!(Instant::now() < deadline, "the flood has dried up");
            thread::sleep(Duration::from_millis(20));
        }
    };
    let flood = async {
        // In the name of every host that there could be, but for those that there are.
        let hosts = (5..=254).map(|n| Ipv4Addr::new(10, 77, 0, n));
        let forgers: Vec<_> = hosts.map(|host| (host, Forger::of(host, by).unwrap())).collect();
        for n in 0.. {
            let (host, forger) = &forgers[n % forgers.len()];
            let first = 1 + (n * AT_ONCE % 60_000) as u16;
            forger.tell(&forged(*host, first..first + AT_ONCE as u16)).unwrap();
            sent.fetch_add(AT_ONCE, Ordering::Relaxed);
            sleep(Duration::from_millis(1)).await;
        }
    };
    meanwhile_on(&lan, 3, flood, || {
        wait_sent(RECORDS / 4);
        let bob = start(2, "bob");
        bob.wait_peers(2);
        talk(&bob, &ann, "met in the flood", 200);
        talk(&ann, &bob, "and answered", 200);
        wait_sent(RECORDS);
        talk(&cid, &ann, "afterwards", 10);
    });
    memory.has_not_grown_by(GROWTH);
}

#[test]
fn a_host_that_hundreds_are_promised_on_is_left_alone() {
    let Some(lan) = skip::lan_or_skip(3) else {
        return;
    };
    let ann = lan.host(0).chat("ann").room("general").start();
    let (by, victim) = (ip(&lan, 1), ip(&lan, 2));
    let listener = lan.on(2, || TcpListener::bind((victim, 7000))).unwrap();
    listener.set_nonblocking(true).unwrap();
    let forge = async {
        let forger = Forger::of(victim, by).unwrap();
        loop {
            forger.tell(&forged(victim, std::iter::repeat_n(7000, AT_ONCE))).unwrap();
            sleep(Duration::from_millis(20)).await;
        }
    };
    let mut came = 0;
    meanwhile_on(&lan, 1, forge, || {
        let mut left = PATIENCE;
        // Eight seconds from the first one on: that is how long it is watched, not a wait for something.
        while !left.is_zero() {
            while listener.accept().is_ok() {
                left = if came == 0 { Duration::from_secs(8) } else { left };
                came += 1;
            }
            left = left.saturating_sub(Duration::from_millis(10));
            thread::sleep(Duration::from_millis(10));
        }
    });
    assert!((1..=8).contains(&came), "{came} connections: {}", ann.report());
}

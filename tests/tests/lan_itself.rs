//! The virtual LAN does what the other tests believe of it.

use std::{
    net::{Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

use distchat_tests::{Lan, PATIENCE, skip};

/// A group of our own, so that no program's multicasts are mistaken for these.
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 77, 1);
const PORT: u16 = 7_777;
const NOBODY: [usize; 0] = [];

struct Probes {
    sockets: Vec<UdpSocket>,
}

impl Probes {
    fn on(lan: &Lan, hosts: usize) -> Self {
        let socket = |host: usize| {
            let address: Ipv4Addr = lan.address(host).parse().unwrap();
            lan.on(host, || {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap();
                socket.join_multicast_v4(&GROUP, &address).unwrap();
                socket.set_multicast_loop_v4(false).unwrap();
                socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
                socket
            })
        };
        Self { sockets: (0..hosts).map(socket).collect() }
    }

    /// Which hosts hear it when this one calls everybody.
    fn hear(&self, from: usize) -> Vec<usize> {
        // Without a cable there is nowhere to send it, which is an error on some systems.
        let _ = self.sockets[from].send_to(&[0], (GROUP, PORT));
        let hears = |host: &usize| self.sockets[*host].recv_from(&mut [0; 8]).is_ok();
        (0..self.sockets.len()).filter(|host| *host != from).filter(hears).collect()
    }

    /// Waits until a call from this host is heard by exactly these: a cable that was just plugged in takes its time.
    fn wait_heard(&self, from: usize, by: &[usize]) {
        let deadline = Instant::now() + PATIENCE;
        while self.hear(from) != by {
            assert!(Instant::now() < deadline, "a call from {from} is not heard by {by:?}");
        }
    }

    /// Whether a packet to one address gets there.
    fn reaches(&self, lan: &Lan, from: usize, to: usize) -> bool {
        let _ = self.sockets[from].send_to(&[0], (lan.address(to), PORT));
        self.sockets[to].recv_from(&mut [0; 8]).is_ok()
    }
}

#[test]
fn hosts_hear_each_other_as_the_cables_allow() {
    let Some(lan) = skip::lan_or_skip(3) else {
        return;
    };
    let probes = Probes::on(&lan, 3);
    assert_eq!(probes.hear(0), [1, 2]);
    assert!(probes.reaches(&lan, 2, 1));

    lan.cut(1);
    assert_eq!(probes.hear(0), [2]);
    assert_eq!(probes.hear(1), NOBODY);
    lan.join(1);
    probes.wait_heard(1, &[0, 2]);

    lan.split(&[0], &[1, 2]);
    assert_eq!(probes.hear(0), NOBODY);
    assert_eq!(probes.hear(1), [2]);
    assert!(!probes.reaches(&lan, 1, 0));
    lan.heal();
    assert_eq!(probes.hear(0), [1, 2]);

    lan.loss(1, 100);
    assert_eq!(probes.hear(0), [2]);
    assert_eq!(probes.hear(1), [0, 2]);
    lan.heal();
    assert_eq!(probes.hear(0), [1, 2]);
}

#[test]
fn two_lans_do_not_meet() {
    let Some(lan) = skip::lan_or_skip(1) else {
        return;
    };
    let Some(other) = skip::lan_or_skip(1) else {
        return;
    };
    let (probe, others) = (Probes::on(&lan, 1), Probes::on(&other, 1));
    let probes = Probes { sockets: probe.sockets.into_iter().chain(others.sockets).collect() };
    assert_eq!(probes.hear(0), NOBODY);
}

//! Addresses that were dialled and where nobody was who had been promised there.
//!
//! The network can promise anybody anywhere, and the one who is dialled for it may be somebody who has nothing to do with any
//! of this. A peer id costs nothing, so what did not answer is remembered by address, of the host and of the port: each time
//! it is left alone for longer, whoever is promised there. One answer, and all is forgotten.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use libp2p::Multiaddr;
use rand::rngs::StdRng;

use super::jittered;
use crate::net::address::ip;

/// The first and the longest pause. It doubles.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5 * 60));
/// How many dials to a host may fail before it is left alone: of two peers, by TCP and by QUIC.
const FREE: u32 = 4;
/// How long after its pause a failure is forgotten.
const FORGET: Duration = Duration::from_secs(10 * 60);
/// How many ports and how many hosts are remembered.
const MAX: usize = 1024;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    ports: BTreeMap<Multiaddr, Doubt>,
    hosts: BTreeMap<IpAddr, Doubt>,
}

#[derive(Debug)]
struct Doubt {
    failures: u32,
    until: Instant,
}

impl Doubts {
    /// When this address may be dialled; `None` if at any time.
    pub(super) fn until(&self, address: &Multiaddr) -> Option<Instant> {
        let host = ip(address).and_then(|ip| self.hosts.get(&ip));
        let port = self.ports.get(address);
        [host, port].into_iter().flatten().map(|doubt| doubt.until).max()
    }

    /// How often a host was dialled in vain.
    pub(super) fn failures(&self, address: &Multiaddr) -> u32 {
        ip(address).and_then(|ip| self.hosts.get(&ip)).map_or(0, |doubt| doubt.failures)
    }

    /// Nobody answered there, or somebody else.
    pub(super) fn failed(&mut self, now: Instant, address: &Multiaddr, random: &mut StdRng) {
        note(&mut self.ports, now, address.clone(), 0, random);
        if let Some(ip) = ip(address) {
            note(&mut self.hosts, now, ip, FREE, random);
        }
    }

    /// There is somebody.
    pub(super) fn answered(&mut self, address: &Multiaddr) {
        self.ports.remove(address);
        if let Some(ip) = ip(address) {
            self.hosts.remove(&ip);
        }
    }

    /// Somebody has come from that host.
    pub(super) fn host_answered(&mut self, host: &IpAddr) {
        self.hosts.remove(host);
    }

    /// Forgets what is over for long.
    pub(super) fn forget(&mut self, now: Instant) {
        self.ports.retain(|_, doubt| now.saturating_duration_since(doubt.until) < FORGET);
        self.hosts.retain(|_, doubt| now.saturating_duration_since(doubt.until) < FORGET);
    }
}

fn note<K: Ord + Clone>(of: &mut BTreeMap<K, Doubt>, now: Instant, key: K, free: u32, random: &mut StdRng) {
    if of.len() >= MAX && !of.contains_key(&key) {
        // Whoever has failed least: what is left alone for longest is what must not be forgotten.
        let least = of.iter().min_by_key(|(_, doubt)| (doubt.failures, doubt.until)).map(|(key, _)| key.clone());
        if let Some(least) = least {
            of.remove(&least);
        }
    }
    let doubt = of.entry(key).or_insert(Doubt { failures: 0, until: now });
    doubt.failures = doubt.failures.saturating_add(1);
    if let Some(doubled) = doubt.failures.checked_sub(free.max(1)) {
        let pause = PAUSE.0.saturating_mul(2_u32.saturating_pow(doubled)).min(PAUSE.1);
        doubt.until = now + jittered(random, pause);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn addr(host: u32, port: u16) -> Multiaddr {
        format!("/ip4/{}/tcp/{port}", std::net::Ipv4Addr::from(host)).parse().unwrap()
    }

    /// How many dials to a host there are in that time if it never answers, whichever of its ports is promised.
    fn dials(within: Duration, port: impl Fn(u32) -> u16) -> u32 {
        let (start, mut random) = (Instant::now(), StdRng::seed_from_u64(7));
        let (mut doubts, mut now, mut count) = (Doubts::default(), start, 0);
        while now < start + within {
            let address = addr(1, port(count));
            match doubts.until(&address).filter(|until| *until > now) {
                Some(until) => now = until,
                None => {
                    doubts.failed(now, &address, &mut random);
                    count += 1;
                }
            }
            doubts.forget(now);
        }
        count
    }

    #[test]
    fn who_never_answers_is_dialled_a_few_times() {
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        let figures = [dials(minute, |_| 1), dials(minute, |n| n as u16 + 1), dials(hour, |n| n as u16 + 1)];
        assert!(figures[0] <= 7 && figures[1] <= 10 && figures[2] <= 25, "{figures:?}");
    }

    #[test]
    fn one_answer_restores_trust() {
        let (now, mut random) = (Instant::now(), StdRng::seed_from_u64(7));
        let mut doubts = Doubts::default();
        for port in 1..10 {
            doubts.failed(now, &addr(1, port), &mut random);
        }
        assert!(doubts.until(&addr(1, 77)) > Some(now + PAUSE.0));
        assert_eq!(doubts.failures(&addr(1, 77)), 9);
        doubts.answered(&addr(1, 77));
        assert_eq!(doubts.until(&addr(1, 77)), None);
        assert!(doubts.until(&addr(1, 1)).is_some(), "another port, at which nobody answered");
    }

    #[test]
    fn memory_is_bounded_and_keeps_the_worst() {
        let (now, mut random) = (Instant::now(), StdRng::seed_from_u64(7));
        let mut doubts = Doubts::default();
        for port in 1..10 {
            doubts.failed(now, &addr(1, port), &mut random);
        }
        for host in 2..10_000 {
            doubts.failed(now, &addr(host, 1), &mut random);
        }
        assert_eq!((doubts.hosts.len(), doubts.ports.len()), (MAX, MAX));
        assert_eq!(doubts.failures(&addr(1, 1)), 9);
        doubts.forget(now + PAUSE.1 + FORGET);
        assert_eq!((doubts.hosts.len(), doubts.ports.len()), (0, 0));
    }
}

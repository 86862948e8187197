//! What was told, by which host, and what of it is passed on when.
//!
//! Anybody on the network can tell anything, in any host's name and as often as they like. So whatever is remembered is
//! bounded, for each host and in all; packets are taken apart at a pace, for each host and in all; and what is new is passed
//! on at a pace, one host after the other. So who tells a lot is heard a little at a time, and who tells a little is heard.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};

/// How many hosts are remembered: more than there are connections.
const MAX_HOSTS: usize = 256;
/// How many addresses of a host: a dozen programs on it, by TCP and by QUIC.
const MAX_ADDRESSES: usize = 32;
/// How often it is told again that somebody is still there.
const AGAIN: Duration = Duration::from_secs(30);
/// When a host of which nothing is heard is forgotten. Every node asks and answers more often.
const FORGET: Duration = Duration::from_secs(6 * 60);
/// Packets of one host, and of all.
const PACKETS_OF_ONE: Rate = Rate { burst: 32, a_second: 4 };
const PACKETS: Rate = Rate { burst: 1024, a_second: 1024 };
/// What is passed on.
const PASSED_ON: Rate = Rate { burst: 256, a_second: 64 };

/// So many at once, and so many a second.
#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    a_second: u32,
}

/// What is left of a rate.
#[derive(Debug)]
struct Share {
    rate: Rate,
    left: u32,
    at: Instant,
}

impl Share {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { rate, left: rate.burst, at: now }
    }

    /// Takes one, if there is one.
    fn take(&mut self, now: Instant) -> bool {
        let each = Duration::from_secs(1) / self.rate.a_second;
        let gained = now.saturating_duration_since(self.at).as_nanos() / each.as_nanos();
        match u32::try_from(gained) {
            Ok(gained) if gained < self.rate.burst - self.left => {
                self.left += gained;
                self.at += each * gained;
            }
            _ => {
                self.left = self.rate.burst;
                self.at = now;
            }
        }
        let some = self.left > 0;
        self.left -= u32::from(some);
        some
    }
}

/// All that was told.
#[derive(Debug)]
pub(super) struct Heard {
    hosts: BTreeMap<IpAddr, Host>,
    /// Hosts of which something is to be passed on, whose turn it is first.
    turns: VecDeque<IpAddr>,
    packets: Share,
    passed_on: Share,
}

#[derive(Debug)]
struct Host {
    packets: Share,
    /// When each was last passed on, if it was.
    known: BTreeMap<(PeerId, Multiaddr), Known>,
    /// What is to be.
    new: VecDeque<(PeerId, Multiaddr)>,
    heard: Instant,
}

#[derive(Debug)]
struct Known {
    heard: Instant,
    passed_on: Option<Instant>,
}

impl Heard {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            hosts: BTreeMap::new(),
            turns: VecDeque::new(),
            packets: Share::full(PACKETS, now),
            passed_on: Share::full(PASSED_ON, now),
        }
    }

    /// Whether one more packet of a host is to be looked at.
    pub(super) fn admits(&mut self, now: Instant, from: IpAddr) -> bool {
        if !self.hosts.contains_key(&from) && !self.make_room() {
            return false;
        }
        let host = self.hosts.entry(from).or_insert_with(|| Host {
            packets: Share::full(PACKETS_OF_ONE, now),
            known: BTreeMap::new(),
            new: VecDeque::new(),
            heard: now,
        });
        host.heard = now;
        host.packets.take(now) && self.packets.take(now)
    }

    /// A host that was [admitted](Self::admits) tells that this peer is at this address of it.
    pub(super) fn tells(&mut self, now: Instant, from: IpAddr, peer: PeerId, address: Multiaddr) {
        let Some(host) = self.hosts.get_mut(&from) else { return };
        let has_turn = !host.new.is_empty();
        let told = (peer, address);
        if let Some(known) = host.known.get_mut(&told) {
            known.heard = now;
            let lately = known.passed_on.is_none_or(|at| now.saturating_duration_since(at) < AGAIN);
            if lately {
                return;
            }
            known.passed_on = None;
        } else {
            if host.known.len() >= MAX_ADDRESSES {
                host.forget_one();
            }
            host.known.insert(told.clone(), Known { heard: now, passed_on: None });
        }
        host.new.push_back(told);
        if !has_turn {
            self.turns.push_back(from);
        }
    }

    /// The next to be passed on, if it is time.
    pub(super) fn next(&mut self, now: Instant) -> Option<(PeerId, Multiaddr)> {
        let turn = *self.turns.front()?;
        if !self.passed_on.take(now) {
            return None;
        }
        self.turns.pop_front();
        let host = self.hosts.get_mut(&turn)?;
        let told = host.new.pop_front()?;
        if !host.new.is_empty() {
            self.turns.push_back(turn);
        }
        if let Some(known) = host.known.get_mut(&told) {
            known.passed_on = Some(now);
        }
        Some(told)
    }

    /// When [`Self::next`] may have something.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let wait = if self.passed_on.left > 0 { Duration::ZERO } else { Duration::from_secs(1) / PASSED_ON.a_second };
        (!self.turns.is_empty()).then(|| now + wait)
    }

    /// What was passed on is passed on again when it is told again: it was lost, or whoever it was for has forgotten it.
    pub(super) fn forget_passed_on(&mut self) {
        for host in self.hosts.values_mut() {
            let Host { known, new, .. } = host;
            known.retain(|told, _| new.contains(told));
        }
    }

    /// Forgets hosts that are silent.
    pub(super) fn forget(&mut self, now: Instant) {
        self.hosts.retain(|_, host| !host.new.is_empty() || now.saturating_duration_since(host.heard) < FORGET);
    }

    /// Makes room for one more host; false if of all that are known something is still to be passed on.
    fn make_room(&mut self) -> bool {
        if self.hosts.len() < MAX_HOSTS {
            return true;
        }
        let idle = self.hosts.iter().filter(|(_, host)| host.new.is_empty());
        let longest = idle.min_by_key(|(_, host)| host.heard).map(|(ip, _)| *ip);
        longest.is_some_and(|ip| self.hosts.remove(&ip).is_some())
    }
}

impl Host {
    /// Forgets the address that was not told for longest.
    fn forget_one(&mut self) {
        let longest = self.known.iter().min_by_key(|(_, known)| known.heard).map(|(told, _)| told.clone());
        if let Some(told) = longest {
            self.known.remove(&told);
            self.new.retain(|new| *new != told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: usize) -> IpAddr {
        IpAddr::from((0x0a00_0000 + n as u32).to_be_bytes())
    }

    fn told(n: usize, port: usize) -> (PeerId, Multiaddr) {
        (PeerId::random(), format!("/ip4/{}/tcp/{port}", ip(n)).parse().unwrap())
    }

    fn all(heard: &mut Heard, now: Instant) -> Vec<(PeerId, Multiaddr)> {
        std::iter::from_fn(|| heard.next(now)).collect()
    }

    #[test]
    fn what_is_told_is_passed_on_once_in_a_while() {
        let (start, (peer, address)) = (Instant::now(), told(1, 1));
        let mut heard = Heard::new(start);
        let mut tell = |now| {
            assert!(heard.admits(now, ip(1)));
            heard.tells(now, ip(1), peer, address.clone());
            all(&mut heard, now).len()
        };
        assert_eq!([tell(start), tell(start), tell(start + AGAIN / 2), tell(start + AGAIN)], [1, 0, 0, 1]);
    }

    #[test]
    fn who_tells_a_lot_waits_for_who_tells_a_little() {
        let now = Instant::now();
        let mut heard = Heard::new(now);
        for n in 0..100 {
            assert!(heard.admits(now, ip(n)));
            for port in 1..100 {
                let (peer, address) = told(n, port);
                heard.tells(now, ip(n), peer, address);
            }
        }
        let honest = told(200, 1);
        assert!(heard.admits(now, ip(200)));
        heard.tells(now, ip(200), honest.0, honest.1.clone());
        let passed_on = all(&mut heard, now);
        assert_eq!(passed_on.len(), PASSED_ON.burst as usize);
        assert!(passed_on[..101].contains(&honest));
        assert_eq!(all(&mut heard, now + Duration::from_secs(1)).len(), PASSED_ON.a_second as usize);
    }

    #[test]
    fn memory_is_bounded() {
        let start = Instant::now();
        let mut heard = Heard::new(start);
        let mut admitted = 0;
        for n in 0..10_000 {
            let now = start + Duration::from_millis(n as u64);
            if heard.admits(now, ip(n)) {
                admitted += 1;
                for port in 1..100 {
                    let (peer, address) = told(n, port);
                    heard.tells(now, ip(n), peer, address);
                }
            }
            heard.next(now);
        }
        assert!(admitted < 2 * MAX_HOSTS, "{admitted}");
        assert!(heard.hosts.len() <= MAX_HOSTS);
        assert_eq!(heard.turns.len(), heard.hosts.values().filter(|host| !host.new.is_empty()).count());
        assert!(heard.hosts.values().all(|host| host.known.len() <= MAX_ADDRESSES && host.new.len() <= MAX_ADDRESSES));
        let mut later = start + Duration::from_secs(10);
        while !heard.turns.is_empty() {
            later += Duration::from_secs(1);
            assert!(!all(&mut heard, later).is_empty(), "everybody has his turn");
        }
        heard.forget(later + FORGET);
        assert_eq!(heard.hosts.len(), 0);
    }

    #[test]
    fn packets_have_a_pace() {
        let start = Instant::now();
        let mut heard = Heard::new(start);
        let admitted = |heard: &mut Heard, now, from| (0..1000).filter(|_| heard.admits(now, ip(from))).count();
        assert_eq!(admitted(&mut heard, start, 1), 32);
        assert_eq!(admitted(&mut heard, start, 2), 32, "somebody else");
        assert_eq!(admitted(&mut heard, start + Duration::from_secs(2), 1), 8);
        let of_many: usize = (0..200).map(|n| admitted(&mut heard, start + Duration::from_secs(3), n)).sum();
        assert_eq!(of_many, 1024, "in all");
    }
}

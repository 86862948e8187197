//! Addresses that a person gave.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};
use rand::rngs::StdRng;

use super::{Dial, Failure, Target, jittered};
use crate::net::error::ConnectError;

/// How many addresses a person can give.
pub(in crate::net) const MAX_WANTED: usize = 64;
/// The first pause and the longest one between attempts.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// The pause after a loss.
const LOST: Duration = Duration::from_millis(500);

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Wanteds(BTreeMap<Multiaddr, Wanted>);

#[derive(Debug)]
struct Wanted {
    /// The peer id that was given with it, or the peer that was reached there.
    peer: Option<PeerId>,
    next: Instant,
    pause: Duration,
    dialing: bool,
    /// A person has been told that it does not work.
    told: bool,
}

impl Wanteds {
    pub(super) fn want(&mut self, now: Instant, bare: Multiaddr, peer: Option<PeerId>) -> Result<(), ConnectError> {
        if !self.0.contains_key(&bare) && self.0.len() >= MAX_WANTED {
            return Err(ConnectError::TooMany(MAX_WANTED));
        }
        let fresh = Wanted { peer, next: now, pause: PAUSE.0, dialing: false, told: false };
        let wanted = self.0.entry(bare).or_insert(fresh);
        wanted.next = now;
        if peer.is_some() && !wanted.dialing {
            wanted.peer = peer;
        }
        Ok(())
    }

    fn of(&mut self, peer: &PeerId) -> impl Iterator<Item = &mut Wanted> {
        self.0.values_mut().filter(move |wanted| wanted.peer.as_ref() == Some(peer))
    }

    pub(super) fn refuse(&mut self, peer: &PeerId, until: Instant) {
        self.of(peer).for_each(|wanted| wanted.next = until);
    }

    pub(super) fn connected(&mut self, peer: &PeerId) {
        for wanted in self.of(peer) {
            wanted.pause = PAUSE.0;
            wanted.told = false;
        }
    }

    pub(super) fn disconnected(&mut self, now: Instant, peer: &PeerId, random: &mut StdRng) {
        let next = now + jittered(random, LOST);
        self.of(peer).for_each(|wanted| wanted.next = wanted.next.max(next));
    }

    pub(super) fn reached(&mut self, address: &Multiaddr, peer: PeerId) {
        if let Some(wanted) = self.0.get_mut(address) {
            wanted.dialing = false;
            wanted.peer = Some(peer);
        }
    }

    pub(super) fn failed(&mut self, now: Instant, address: &Multiaddr, failure: Failure, random: &mut StdRng) -> bool {
        if failure == Failure::Myself {
            return self.0.remove(address).is_some();
        }
        let Some(wanted) = self.0.get_mut(address) else { return false };
        wanted.dialing = false;
        if failure == Failure::OtherPeer {
            // Whoever is there now is as welcome: a node has another peer id after every start.
            wanted.peer = None;
            wanted.next = now;
            return false;
        }
        wanted.next = now + jittered(random, wanted.pause);
        if failure == Failure::Unneeded {
            return false;
        }
        wanted.pause = (wanted.pause * 2).min(PAUSE.1);
        !std::mem::replace(&mut wanted.told, true)
    }

    pub(super) fn next(&mut self, now: Instant, connected: &BTreeSet<PeerId>) -> Option<Dial> {
        let due = self.0.iter_mut().filter(|(_, wanted)| wanted.idle(connected) && wanted.next <= now);
        let (address, wanted) = due.min_by_key(|(_, wanted)| wanted.next)?;
        wanted.dialing = true;
        let target = Target::Wanted(address.clone());
        Some(Dial { target, peer: wanted.peer, address: address.clone() })
    }

    pub(super) fn deadline(&self, connected: &BTreeSet<PeerId>) -> Option<Instant> {
        self.0.values().filter(|wanted| wanted.idle(connected)).map(|wanted| wanted.next).min()
    }
}

impl Wanted {
    fn idle(&self, connected: &BTreeSet<PeerId>) -> bool {
        !self.dialing && !self.peer.is_some_and(|peer| connected.contains(&peer))
    }
}

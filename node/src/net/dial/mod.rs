//! Whom to dial, and when. No I/O and no clock of its own.
//!
//! Two kinds of peers. [`found`] ones were told of by the network or the run directory: of two that see each other the lower
//! peer id dials at once, the other one after a while, so that a pair does not end up with two connections. They are dialled
//! again after a loss, and forgotten when nothing has been heard of them for long. [`wanted`] addresses were given by a
//! person: they are dialled for ever.
//!
//! What the network tells may be made up to have somebody dialled who is no peer. So of those whom nobody here has ever
//! reached an address gets few dials, whoever is promised there ([`doubt`]); one dial at a time goes to such a host; and not
//! all dials go to such hosts, so that they keep nobody else waiting.
//!
//! Every dial is to one address. Several at once would be quicker where some are dead, but each that succeeds is a
//! connection that the other side takes note of, and all but one are dropped again at once.

mod doubt;
mod found;
mod wanted;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use self::{found::Founds, wanted::Wanteds};
use super::{
    address::{Dialable, dialable},
    error::ConnectError,
};

pub(super) use wanted::MAX_WANTED;

/// How many dials are under way at most.
const MAX_IN_FLIGHT: usize = 24;
/// How many refused peers are remembered.
const MAX_REFUSED: usize = 256;

/// What a dial is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A found peer.
    Found(PeerId),
    /// A wanted address, without a peer id.
    Wanted(Multiaddr),
}

/// One dial to be made now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dial {
    pub(super) target: Target,
    pub(super) peer: Option<PeerId>,
    pub(super) address: Multiaddr,
}

/// Who has told of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// This machine: nobody else can write there.
    Machine,
    /// Anybody on the network.
    Network,
}

/// Why a dial came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody answers there, or not in time.
    Unreachable,
    /// Somebody else answers there.
    OtherPeer,
    /// It is this node itself.
    Myself,
    /// There was no need: the peer is connected or being dialled; or no dial was made, for this node has too many.
    Unneeded,
}

/// The policy. `BTreeMap`s, so that the same events give the same dials.
#[derive(Debug)]
pub(super) struct Dialer {
    me: PeerId,
    found: Founds,
    wanted: Wanteds,
    connected: BTreeSet<PeerId>,
    refused: BTreeMap<PeerId, Instant>,
    in_flight: usize,
    random: StdRng,
    /// When there is something to do, as long as nothing happens. It is asked for at every turn of the swarm's task.
    due: Option<Option<Instant>>,
}

impl Dialer {
    pub(super) fn new(me: PeerId, seed: u64) -> Self {
        Self {
            me,
            found: Founds::new(me),
            wanted: Wanteds::default(),
            connected: BTreeSet::new(),
            refused: BTreeMap::new(),
            in_flight: 0,
            random: StdRng::seed_from_u64(seed),
            due: None,
        }
    }

    /// How many found peers were forgotten for want of space since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        self.found.take_dropped()
    }

    /// A person wants this address to be connected, always.
    pub(super) fn want(&mut self, now: Instant, address: &Multiaddr) -> Result<(), ConnectError> {
        let Dialable { address: bare, peer } =
            dialable(address).ok_or_else(|| ConnectError::Unsupported(address.clone()))?;
        if peer == Some(self.me) {
            return Err(ConnectError::Own(address.clone()));
        }
        self.due = None;
        self.wanted.want(now, bare, peer)
    }

    /// Somebody tells that this peer is at this address.
    pub(super) fn seen(&mut self, now: Instant, source: Source, peer: PeerId, address: &Multiaddr) {
        let Some(Dialable { address, .. }) = dialable(address) else { return };
        if peer == self.me || self.refused.get(&peer).is_some_and(|until| *until > now) {
            return;
        }
        self.due = None;
        self.found.seen(now, source, peer, address, &self.connected);
    }

    /// Not to be dialled until then: it speaks another protocol, or has misbehaved.
    pub(super) fn refuse(&mut self, now: Instant, peer: PeerId, until: Instant) {
        self.refused.retain(|_, until| *until > now);
        if self.refused.len() >= MAX_REFUSED {
            self.refused.pop_first();
        }
        self.refused.insert(peer, until);
        self.due = None;
        self.found.remove(&peer);
        self.wanted.refuse(&peer, until);
    }

    /// A connection to this peer is there, whoever has dialled; its other end has this address.
    pub(super) fn connected(&mut self, now: Instant, peer: PeerId, address: &Multiaddr) {
        self.connected.insert(peer);
        self.due = None;
        self.found.connected(now, &peer, address);
        self.wanted.connected(&peer);
    }

    /// The last connection to this peer is gone.
    pub(super) fn disconnected(&mut self, now: Instant, peer: PeerId) {
        self.connected.remove(&peer);
        self.due = None;
        self.found.disconnected(now, &peer, &mut self.random);
        self.wanted.disconnected(now, &peer, &mut self.random);
    }

    /// A dial has led to this peer. [`Dialer::connected`] is called besides.
    pub(super) fn reached(&mut self, target: &Target, peer: PeerId, address: &Multiaddr) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.due = None;
        let bare = dialable(address).map_or_else(|| address.clone(), |dialable| dialable.address);
        match target {
            Target::Found(expected) => self.found.reached(expected, &bare),
            Target::Wanted(wanted) => self.wanted.reached(wanted, peer),
        }
    }

    /// A dial has come to nothing. True if a person should be told, which is once for every wanted address and loss.
    pub(super) fn failed(&mut self, now: Instant, target: &Target, address: &Multiaddr, failure: Failure) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.due = None;
        match target {
            Target::Found(peer) => {
                self.found.failed(now, peer, address, failure, &mut self.random);
                false
            }
            Target::Wanted(wanted) => self.wanted.failed(now, wanted, failure, &mut self.random),
        }
    }

    /// The next dial to make at this moment.
    pub(super) fn next(&mut self, now: Instant) -> Option<Dial> {
        if self.deadline(now).is_none_or(|due| due > now) {
            return None;
        }
        self.due = None;
        let dial = self.wanted.next(now, &self.connected).or_else(|| self.found.next(now, &self.connected))?;
        self.in_flight += 1;
        Some(dial)
    }

    /// When [`Dialer::next`] may have something, if nothing else happens before.
    pub(super) fn deadline(&mut self, now: Instant) -> Option<Instant> {
        if self.in_flight >= MAX_IN_FLIGHT {
            return None;
        }
        let Self { found, wanted, connected, .. } = self;
        let due = || [found.deadline(now, connected), wanted.deadline(connected)].into_iter().flatten().min();
        *self.due.get_or_insert_with(due)
    }

    /// Forgets found peers of which nothing was heard for long, and old failures.
    pub(super) fn forget(&mut self, now: Instant) {
        self.due = None;
        self.found.forget(now, &self.connected);
    }
}

/// Between three and five quarters of it, so that nodes that lost each other at the same moment do not go on in step.
fn jittered(random: &mut StdRng, pause: Duration) -> Duration {
    pause.mul_f64(random.random_range(0.75..1.25))
}

#[cfg(test)]
mod tests;

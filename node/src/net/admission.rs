//! Who is let in, and who has to go when there are too many.
//!
//! A node has so many places for those who come. If the first to come could keep them, a stranger with two hundred keys would
//! shut everybody else out, and two nodes besieged like that could never meet. So there is always a place for one more: the
//! place of somebody who has come and entered no room, else of one of those of whom the most come from one address, and
//! among equals of whoever chance hits. Some who have entered and stayed longest, each from another address, are never hit.
//!
//! Before that, each address may knock so often: a handshake is work.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, ListenFailure, NetworkBehaviour,
        THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
    },
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use thiserror::Error;

use super::{counters::Counting, entered::Entered, origin::Origin};

/// Places for connections that others have opened.
pub(super) const MAX_GUESTS: usize = 192;
/// How many of them may come from one address. Behind one there may be many machines (containers, a router).
const MAX_OF_ONE: usize = 64;
/// How long somebody may stay without entering a room before his place is the first to be taken.
const WELCOME: Duration = Duration::from_secs(5);
/// How many places are never taken from those who have entered.
const KEPT: usize = 16;
/// How many handshakes an address may begin at once, and how many a second.
const KNOCKS: u32 = 64;
const KNOCKS_A_SECOND: u32 = 8;
/// How many addresses are remembered for that.
const MAX_KNOCKERS: usize = 1024;

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
enum Denied {
    #[error("this address opens too many connections at once")]
    Knocks,
    #[error("there are too many connections from this address")]
    OfOne,
    #[error("there are too many connections")]
    Full,
}

/// How often which address has knocked.
#[derive(Debug, Default)]
struct Knocks(BTreeMap<Origin, (u32, Instant)>);

impl Knocks {
    /// Whether one more is in order.
    fn may(&mut self, now: Instant, origin: Origin) -> bool {
        let full_after = Duration::from_secs(u64::from(KNOCKS / KNOCKS_A_SECOND));
        if self.0.len() >= MAX_KNOCKERS && !self.0.contains_key(&origin) {
            self.0.retain(|_, (_, at)| now.saturating_duration_since(*at) < full_after);
            if self.0.len() >= MAX_KNOCKERS {
                // So many addresses at once are one attack. Whoever is forgotten has all his knocks again.
                let oldest = self.0.iter().min_by_key(|(_, (_, at))| *at).map(|(origin, _)| *origin);
                oldest.map(|oldest| self.0.remove(&oldest));
            }
        }
        let (left, at) = self.0.entry(origin).or_insert((KNOCKS, now));
        let gained = now.saturating_duration_since(*at).as_millis() * u128::from(KNOCKS_A_SECOND) / 1000;
        if gained > 0 {
            *left = left.saturating_add(u32::try_from(gained).unwrap_or(KNOCKS)).min(KNOCKS);
            *at = now;
        }
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    }
}

/// Somebody who has come.
#[derive(Clone, Copy, Debug)]
struct Guest {
    peer: PeerId,
    origin: Origin,
    since: Instant,
}

/// Who is there.
#[derive(Debug)]
struct Guests {
    places: usize,
    guests: BTreeMap<ConnectionId, Guest>,
    rng: SmallRng,
}

impl Guests {
    /// Takes somebody in. Returns who has to go for him, if anybody.
    fn take_in(
        &mut self,
        id: ConnectionId,
        guest: Guest,
        entered: impl Fn(&PeerId) -> bool,
    ) -> Result<Option<(PeerId, ConnectionId)>, Denied> {
        let mut of: BTreeMap<Origin, usize> = BTreeMap::new();
        for guest in self.guests.values() {
            *of.entry(guest.origin).or_default() += 1;
        }
        let count = |origin: &Origin| of.get(origin).copied().unwrap_or(0);
        if count(&guest.origin) >= MAX_OF_ONE {
            return Err(Denied::OfOne);
        }
        let mut leaves = None;
        if self.guests.len() >= self.places {
            let kept = self.kept(&entered);
            let rank = |other: &Guest| {
                let late = guest.since.saturating_duration_since(other.since) >= WELCOME && !entered(&other.peer);
                (late, count(&other.origin))
            };
            let others = self.guests.iter().filter(|(id, _)| !kept.contains(id));
            let worst = others.clone().map(|(_, other)| rank(other)).max().ok_or(Denied::Full)?;
            // If the most have come from where he comes from, one of his is the one who has to go: he.
            if !worst.0 && count(&guest.origin) >= worst.1 {
                return Err(Denied::Full);
            }
            let equals: Vec<_> = others.filter(|(_, other)| rank(other) == worst).collect();
            let at = self.rng.random_range(0..equals.len());
            leaves = equals.get(at).map(|(id, other)| (other.peer, **id));
        }
        if let Some((_, leaving)) = leaves {
            self.guests.remove(&leaving);
        }
        self.guests.insert(id, guest);
        Ok(leaves)
    }

    /// Those who have entered and stayed longest, one from each address.
    fn kept(&self, entered: impl Fn(&PeerId) -> bool) -> BTreeSet<ConnectionId> {
        let mut members: Vec<_> = self.guests.iter().filter(|(_, guest)| entered(&guest.peer)).collect();
        members.sort_by_key(|(_, guest)| guest.since);
        let mut origins = BTreeSet::new();
        members.into_iter().filter(|(_, guest)| origins.insert(guest.origin)).take(KEPT).map(|(id, _)| *id).collect()
    }
}

/// Decides about connections that others open. It must come before the behaviours that take note of connections, and behind
/// those that deny some.
pub(super) struct Admission {
    entered: Entered,
    counting: Arc<Counting>,
    knocks: Knocks,
    guests: Guests,
    leaving: VecDeque<(PeerId, ConnectionId)>,
    waker: Option<Waker>,
}

impl Admission {
    pub(super) fn new(entered: Entered, counting: Arc<Counting>, seed: u64) -> Self {
        let rng = SmallRng::seed_from_u64(seed);
        Self {
            entered,
            counting,
            knocks: Knocks::default(),
            guests: Guests { places: MAX_GUESTS, guests: BTreeMap::new(), rng },
            leaving: VecDeque::new(),
            waker: None,
        }
    }

    fn deny(&self, why: Denied) -> ConnectionDenied {
        self.counting.not_admitted.add();
        ConnectionDenied::new(why)
    }
}

impl NetworkBehaviour for Admission {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let may = Origin::of(remote).is_none_or(|origin| self.knocks.may(Instant::now(), origin));
        if may { Ok(()) } else { Err(self.deny(Denied::Knocks)) }
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        // There is no transport here without addresses.
        let origin = Origin::of(remote).unwrap_or(Origin(IpAddr::from([0, 0, 0, 0])));
        let guest = Guest { peer, origin, since: Instant::now() };
        let entered = self.entered.clone();
        let leaves = self.guests.take_in(id, guest, |peer| entered.any(peer)).map_err(|why| self.deny(why))?;
        if let Some(leaves) = leaves {
            self.counting.evicted.add();
            self.leaving.push_back(leaves);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
            // In good order never of one that was let in: no behaviour behind this one denies any.
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.guests.guests.remove(&connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        if let Some((peer_id, connection)) = self.leaving.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(connection) });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;

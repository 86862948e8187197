//! How many may stand at the door: connections that others have begun, and that are not set up yet.
//!
//! Whoever connects and then says nothing is waited for. If those who come meanwhile were turned away, a stranger with a few
//! addresses could keep everybody out. So there is always a place for one more: that of who has stood there longest, of those
//! who come from the address from which the most do. To set up a connection takes milliseconds, so it is hardly ever taken
//! from somebody who means to come in.

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId, Transport, TransportError,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, DialOpts, ListenerId, TransportEvent},
    },
};
use tokio::sync::oneshot;

use super::{counters::Counting, origin::Origin};

/// How many stand there at most. Each has a socket and some KiB.
const MAX_WAITING: usize = 128;

type Connected = (PeerId, StreamMuxerBox);

/// A transport before which only so many wait.
pub(super) struct Door {
    inner: Boxed<Connected>,
    hall: Hall,
}

impl Door {
    pub(super) fn new(inner: Boxed<Connected>, counting: Arc<Counting>) -> Self {
        Self { inner, hall: Hall { waiting: Arc::default(), counting } }
    }
}

impl Transport for Door {
    type Output = Connected;
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<Connected>>;
    type Dial = <Boxed<Connected> as Transport>::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        self.inner.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx).map(|event| {
            let from = match &event {
                TransportEvent::Incoming { send_back_addr, .. } => Origin::of(send_back_addr),
                _ => None,
            };
            // There is no transport here without addresses.
            let origin = from.unwrap_or(Origin(IpAddr::from([0, 0, 0, 0])));
            let hall = self.hall.clone();
            // Whoever is turned away before this is asked for the first time has taken nobody's place.
            event.map_upgrade(|upgrade| async move { hall.wait(origin, upgrade).await }.boxed())
        })
    }
}

/// Those who stand there.
#[derive(Clone)]
struct Hall {
    waiting: Arc<Mutex<Waiting>>,
    counting: Arc<Counting>,
}

#[derive(Default)]
struct Waiting {
    /// By when they came.
    all: BTreeMap<u64, (Origin, oneshot::Sender<()>)>,
    came: u64,
}

impl Waiting {
    /// Who has to go first.
    fn next_to_go(&self) -> Option<u64> {
        let mut of: BTreeMap<Origin, usize> = BTreeMap::new();
        for (origin, _) in self.all.values() {
            *of.entry(*origin).or_default() += 1;
        }
        let most = of.values().copied().max()?;
        let of_most = |origin: &Origin| of.get(origin) == Some(&most);
        self.all.iter().find(|(_, (origin, _))| of_most(origin)).map(|(number, _)| *number)
    }
}

impl Hall {
    /// The lock is held for moments and never while something can fail, so a poisoned one holds whole data.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until somebody is let in, or has to go to make way for others.
    async fn wait<T>(self, origin: Origin, upgrade: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let (place, goes) = self.enter(origin);
        let done = tokio::select! {
            done = upgrade => done,
            // The sender is there for as long as the place is.
            _ = goes => Err(io::Error::other("it made way for others")),
        };
        drop(place);
        done
    }

    fn enter(&self, origin: Origin) -> (Place, oneshot::Receiver<()>) {
        let (go, goes) = oneshot::channel();
        let mut waiting = self.waiting();
        if waiting.all.len() >= MAX_WAITING
            && let Some((_, first)) = waiting.next_to_go().and_then(|number| waiting.all.remove(&number))
        {
            self.counting.evicted.add();
            // If nobody listens any more it has just gone by itself.
            let _ = first.send(());
        }
        waiting.came += 1;
        let number = waiting.came;
        waiting.all.insert(number, (origin, go));
        (Place { hall: self.clone(), number }, goes)
    }
}

/// Somebody's place, which is free once this is dropped.
struct Place {
    hall: Hall,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hall.waiting().all.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures::{future::join_all, poll};

    use super::*;

    fn hall() -> Hall {
        Hall { waiting: Arc::default(), counting: Arc::default() }
    }

    fn origin(n: u8) -> Origin {
        Origin(IpAddr::from([10, 0, 0, n]))
    }

    type Waiter = Pin<Box<dyn Future<Output = io::Result<u8>>>>;

    /// Somebody from that address who comes and says nothing.
    async fn silent(hall: &Hall, n: u8) -> Waiter {
        let mut waiter: Waiter = Box::pin(hall.clone().wait(origin(n), pending()));
        assert!(poll!(&mut waiter).is_pending());
        waiter
    }

    /// How many of them still stand there.
    async fn there(waiters: &mut Vec<Waiter>) -> usize {
        let asked = join_all(waiters.iter_mut().map(|waiter| async move { poll!(waiter).is_pending() })).await;
        asked.into_iter().filter(|waits| *waits).count()
    }

    #[tokio::test]
    async fn of_the_address_with_the_most_the_first_goes() {
        let hall = hall();
        let mut one = vec![silent(&hall, 1).await];
        let mut many = Vec::new();
        for _ in 1..MAX_WAITING {
            many.push(silent(&hall, 2).await);
        }
        assert_eq!(hall.counting.snapshot().evicted, 0);
        let mut more = vec![silent(&hall, 3).await];
        assert_eq!(poll!(&mut many[0]).map(|left| left.is_err()), Poll::Ready(true), "the first of them");
        drop(many.remove(0));
        for _ in 0..1000 {
            many.push(silent(&hall, 2).await);
        }
        many.drain(..1000);
        assert_eq!((there(&mut one).await, there(&mut more).await), (1, 1), "others are left alone");
        assert_eq!(there(&mut many).await, MAX_WAITING - 2);
        assert_eq!(hall.counting.snapshot().evicted, 1001);
    }

    #[tokio::test]
    async fn who_is_let_in_or_goes_leaves_a_place() {
        let hall = hall();
        for n in 0..3 * MAX_WAITING {
            let goes = silent(&hall, 1).await;
            assert_eq!(hall.clone().wait(origin(2), ready(Ok(7))).await.unwrap(), 7, "{n}");
            drop(goes);
        }
        assert_eq!(hall.counting.snapshot().evicted, 0);
        assert!(hall.waiting().all.is_empty());
    }

    #[tokio::test]
    async fn who_is_turned_away_first_takes_nobodys_place() {
        let hall = hall();
        let mut waiters = Vec::new();
        for n in 0..MAX_WAITING {
            waiters.push(silent(&hall, n as u8).await);
        }
        for _ in 0..10 {
            drop(hall.clone().wait(origin(200), pending::<io::Result<()>>()));
        }
        assert_eq!(there(&mut waiters).await, MAX_WAITING);
    }
}

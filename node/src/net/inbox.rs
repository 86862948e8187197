//! Where a room hears of the network, and how it is woken to listen.
//!
//! A room in which nothing happens is *parked*: it has no task, and its inbox stays. Whatever is put into the inbox of a parked
//! room wakes it. What it would only answer with what it said last it need not be woken for.
//!
//! Whatever stands in an inbox is taken in before anything that comes later, so little stands there: a few inputs, and of
//! messages about as many as are verified and stored in a hundredth of a second.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use distchat_crdt::sync::{Request, Response, RoomGreeting};
use libp2p::PeerId;
use tokio::sync::mpsc::{
    self,
    error::{TryRecvError, TrySendError},
};

use super::NetInput;
use crate::boxed;

/// With so many bytes of messages in it an inbox is full.
const FULL: usize = 16 * 1024;

/// What stands between the network and a room that may be asleep.
pub(crate) trait Doorbell: Debug + Send + Sync {
    /// Whether the room has a task, or is about to get one. It learns by itself which peers there are when it begins.
    fn is_awake(&self) -> bool;

    /// Wakes the room if it is parked. False if it is only being opened.
    fn ring(&self) -> bool;

    /// What a parked room answers to that without being woken, if anything.
    fn answer(&self, asker: &PeerId, request: &Request) -> Option<Response>;
}

/// An input, and how many bytes of messages it bears.
#[derive(Debug)]
struct Weighed {
    input: NetInput,
    bytes: usize,
}

/// Where inputs are put in.
#[derive(Clone, Debug)]
pub(crate) struct InputSender {
    sender: mpsc::Sender<Box<Weighed>>,
    /// How many bytes of messages are in.
    held: Arc<AtomicUsize>,
}

/// Where they are taken out.
#[derive(Debug)]
pub(crate) struct Inputs {
    receiver: boxed::Receiver<Weighed>,
    held: Arc<AtomicUsize>,
}

/// Both ends of an inbox, of so many places.
pub(crate) fn inputs(places: usize) -> (InputSender, Inputs) {
    let (sender, receiver) = boxed::channel(places);
    let held = Arc::new(AtomicUsize::new(0));
    (InputSender { sender, held: Arc::clone(&held) }, Inputs { receiver, held })
}

impl Inputs {
    /// The next one; `None` if there will be none.
    pub(crate) async fn recv(&mut self) -> Option<NetInput> {
        let weighed = self.receiver.recv().await?;
        Some(self.open(weighed))
    }

    /// The next one, if it is there.
    pub(crate) fn try_recv(&mut self) -> Result<NetInput, TryRecvError> {
        let weighed = self.receiver.try_recv()?;
        Ok(self.open(weighed))
    }

    /// Whether none is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    fn open(&self, Weighed { input, bytes }: Weighed) -> NetInput {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        input
    }
}

/// The sending end of a room's inputs.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    sender: InputSender,
    bell: Arc<dyn Doorbell>,
}

impl Inbox {
    pub(crate) fn new(sender: InputSender, bell: Arc<dyn Doorbell>) -> Self {
        Self { sender, bell }
    }

    /// Whether nobody will ever take anything out of it.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.sender.is_closed()
    }

    pub(super) fn bell(&self) -> &dyn Doorbell {
        &*self.bell
    }

    /// A place for something.
    pub(crate) fn place(&self) -> Result<Place<'_>, TrySendError<()>> {
        let permit = self.sender.sender.try_reserve()?;
        if self.sender.held.load(Ordering::Relaxed) >= FULL {
            return Err(TrySendError::Full(()));
        }
        Ok(Place { permit, held: &self.sender.held, bell: &*self.bell })
    }
}

/// A place in a room's inbox.
pub(crate) struct Place<'a> {
    permit: mpsc::Permit<'a, Box<Weighed>>,
    held: &'a AtomicUsize,
    bell: &'a dyn Doorbell,
}

impl Place<'_> {
    /// Puts something in, and wakes the room.
    pub(crate) fn put(self, input: NetInput) {
        let bytes = input.message_bytes();
        // Before it can be taken out.
        self.held.fetch_add(bytes, Ordering::Relaxed);
        // In this order: a room that is just being parked either sees what is in its inbox, or hears the bell.
        self.permit.send(Box::new(Weighed { input, bytes }));
        self.bell.ring();
    }
}

impl NetInput {
    /// How many bytes of messages it bears, as far as these can be many.
    fn message_bytes(&self) -> usize {
        match self {
            Self::Gossip { frame, .. } => frame.len(),
            Self::Request { request: Request::Offer(offer), .. } => offer.messages.len(),
            Self::Response { response: Ok(Response::Page(page)), .. } => page.messages.len(),
            Self::Response { response: Ok(Response::Hello(answer)), .. } => {
                let tails = answer.rooms.iter().filter_map(|room| match room {
                    RoomGreeting::Differs(difference) => difference.tail.as_ref(),
                    _ => None,
                });
                tails.map(|tail| tail.messages.len()).sum()
            }
            Self::PeerUp { .. } | Self::PeerDown { .. } | Self::Request { .. } | Self::Response { .. } => 0,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use distchat_crdt::{
        Fingerprint,
        sync::{Blob, Difference, Greeting, List, Page, Tail},
    };

    use super::*;

    /// A room that never sleeps.
    #[derive(Debug)]
    struct Awake;

    impl Doorbell for Awake {
        fn is_awake(&self) -> bool {
            true
        }

        fn ring(&self) -> bool {
            true
        }

        fn answer(&self, _: &PeerId, _: &Request) -> Option<Response> {
            None
        }
    }

    /// The inbox of one.
    pub(in crate::net) fn inbox(places: usize) -> (Inbox, Inputs) {
        let (sender, inputs) = inputs(places);
        (Inbox::new(sender, Arc::new(Awake)), inputs)
    }

    fn page(bytes: usize) -> NetInput {
        let messages = Blob::cut(vec![0; bytes]);
        let page = Page { done: 0, messages, cuts: List::default(), lacks: Blob::default() };
        NetInput::Response { peer: PeerId::random(), id: 0, response: Ok(Response::Page(page)) }
    }

    /// Greetings of two rooms, with their newest messages.
    fn greetings(bytes: usize) -> NetInput {
        let tail = Some(Tail { messages: Blob::cut(vec![0; bytes / 2]), cuts: List::default() });
        let room = RoomGreeting::Differs(Difference { count: 1, root: Fingerprint([0; 32]), later: 0, tail });
        let greeting = Greeting { clock: 0, rooms: List::cut(vec![room.clone(), room]) };
        NetInput::Response { peer: PeerId::random(), id: 0, response: Ok(Response::Hello(greeting)) }
    }

    #[test]
    fn the_newest_messages_in_greetings_count() {
        let (inbox, _inputs) = inbox(16);
        inbox.place().unwrap().put(greetings(FULL));
        assert!(inbox.place().is_err());
    }

    #[test]
    fn no_more_stands_in_it_than_is_soon_taken_in() {
        let (inbox, mut inputs) = inbox(16);
        inbox.place().unwrap().put(page(FULL - 1));
        inbox.place().unwrap().put(page(10 * FULL));
        assert!(matches!(inbox.place(), Err(TrySendError::Full(()))));
        inputs.try_recv().unwrap();
        assert!(inbox.place().is_err(), "a long one fills it by itself");
        inputs.try_recv().unwrap();
        for _ in 0..16 {
            inbox.place().unwrap().put(NetInput::PeerUp { peer: PeerId::random() });
        }
        assert!(inbox.place().is_err());
    }
}

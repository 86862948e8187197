//! Two replicas that talk until they hold the same, and what that costs: the very frames a node would send, through the
//! very encoding, with a network that takes no time and a disk that is always done.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use distchat_crdt::{
    Key, Message, Room,
    clock::Now,
    sync::{Input, Output, Peer, Replica, ReplicaConfig, Request, Response},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    history::{Cheap, END_MS},
    table::time,
};

/// What an exchange cost, besides entering the room.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// Bytes of requests.
    pub asked: usize,
    /// Bytes of answers.
    pub answered: usize,
    /// Of both, those of messages.
    pub messages: usize,
    /// How many requests there were.
    pub requests: usize,
    /// The longest chain of requests of which each needed the answer to the one before it, until the sets were equal.
    pub round_trips: usize,
    /// Processor time of both replicas, their encoding included.
    pub cpu: Duration,
    /// The requests by kind.
    pub kinds: BTreeMap<&'static str, usize>,
}

impl Cost {
    /// Bytes both ways besides the messages.
    pub fn besides(&self) -> usize {
        self.asked + self.answered - self.messages
    }
}

struct Side {
    replica: Replica,
    peer: Peer,
}

/// What is on its way to a side, with the length of the chain of requests that led to it.
struct Event {
    to: usize,
    depth: usize,
    input: Input,
}

/// The first room's node meets the second one's and asks; the second only answers.
struct Exchange<'a> {
    sides: [Side; 2],
    queue: VecDeque<Event>,
    /// Who asked under which ticket, and the depth.
    tickets: BTreeMap<u64, (usize, u64, usize)>,
    next: u64,
    now: Duration,
    archive: &'a [Message],
    cost: Cost,
}

/// Lets the first room's node ask the second's until both hold the same, and the session is over. The archive holds all
/// messages of both, in order.
///
/// # Panics
/// If they never do, or a frame does not survive the wire.
pub fn reconcile(rooms: [Room; 2], archive: &[Message]) -> Cost {
    let mut handle = 0;
    let sides = rooms.map(|room| {
        handle += 1;
        let signer = Arc::new(Cheap(u64::MAX - u64::from(handle)));
        let me = Peer::new(&[handle as u8; 38]);
        let config = ReplicaConfig { me: me.clone(), handle, signer, seed: [handle as u8; 32], said: Vec::new() };
        let replica = Replica::new(room, config, now(Duration::ZERO));
        Side { replica, peer: me }
    });
    let mut exchange = Exchange {
        sides,
        queue: VecDeque::new(),
        tickets: BTreeMap::new(),
        next: 0,
        now: Duration::ZERO,
        archive,
        cost: Cost::default(),
    };
    exchange.run();
    exchange.cost
}

fn now(mono: Duration) -> Now {
    Now { mono, wall_ms: END_MS + 1000 + mono.as_millis() as u64 }
}

impl Exchange<'_> {
    fn run(&mut self) {
        for (to, from) in [(0, 1), (1, 0)] {
            let input = Input::PeerUp(self.sides[from].peer.clone());
            self.queue.push_back(Event { to, depth: 0, input });
        }
        self.drain();
        // Until something was said and all is equal. Only the asking side's clock ticks.
        for _ in 0..1000 {
            if self.cost.requests > 0 && self.equal() {
                return;
            }
            let deadline = self.sides[0].replica.next_deadline().expect("something to wait for");
            self.now = self.now.max(deadline);
            self.queue.push_back(Event { to: 0, depth: 0, input: Input::Tick });
            self.drain();
        }
        panic!("still not equal: {:?}", self.cost);
    }

    /// By number: asking for fingerprints would do work here that belongs to the exchange.
    fn equal(&self) -> bool {
        self.sides.iter().all(|side| side.replica.room().index().len() == self.archive.len() as u64)
    }

    fn drain(&mut self) {
        while let Some(Event { to, depth, input }) = self.queue.pop_front() {
            let now = now(self.now);
            // To enter a room costs a signature and its check, once in a connection.
            let entering = matches!(input, Input::PeerUp(_) | Input::Asked { request: Request::Enter(_), .. });
            let (spent, outputs) = time(|| self.sides[to].replica.handle(now, input));
            if !entering {
                self.cost.cpu += spent;
            }
            for output in outputs {
                self.output(to, depth, output);
            }
        }
    }

    fn output(&mut self, from: usize, depth: usize, output: Output) {
        let to = 1 - from;
        match output {
            // The second only answers: of two that meet, both would ask.
            Output::Ask { .. } if from == 1 => {}
            Output::Ask { id, request, .. } => {
                let (request, bytes) = self.travel(&request);
                if !matches!(request, Request::Enter(_)) {
                    self.cost.asked += bytes;
                    self.cost.requests += 1;
                    *self.cost.kinds.entry(kind(&request)).or_default() += 1;
                    if let Request::Offer(offer) = &request {
                        self.cost.messages += offer.messages.len();
                    }
                    if !self.equal() || self.cost.requests == 1 {
                        self.cost.round_trips = self.cost.round_trips.max(depth + 1);
                    }
                }
                self.next += 1;
                let ticket = self.next;
                self.tickets.insert(ticket, (from, id, depth + 1));
                let peer = self.sides[from].peer.clone();
                self.queue.push_back(Event { to, depth: depth + 1, input: Input::Asked { peer, ticket, request } });
            }
            Output::Answer { ticket, response } => {
                let (response, bytes) = self.travel(&response);
                if !matches!(response, Response::Entered(_)) {
                    self.cost.answered += bytes;
                    self.cost.messages += messages_in(&response);
                }
                let Some((asker, id, mut depth)) = self.tickets.remove(&ticket) else { return };
                if matches!(response, Response::Entered(_)) {
                    depth = 0;
                }
                let peer = self.sides[from].peer.clone();
                let input = Input::Answered { peer, id, response: Some(response) };
                self.queue.push_back(Event { to: asker, depth, input });
            }
            Output::Read { id, keys, max_bytes } => {
                let mut left = max_bytes;
                let body = |key: &Key| {
                    let at = self.archive.binary_search_by_key(key, Message::key).expect("a message that there is");
                    let bytes = self.archive[at].bytes();
                    left = left.checked_sub(bytes.len())?;
                    Some((*key, bytes.to_vec()))
                };
                let bodies = keys.iter().map_while(body).collect();
                self.queue.push_back(Event { to: from, depth, input: Input::Read { id, bodies } });
            }
            Output::Commit { number, .. } => {
                self.queue.push_back(Event { to: from, depth, input: Input::Committed { through: number } });
            }
            Output::Offence { why, .. } => panic!("side {from} complains of {why}"),
            _ => {}
        }
    }

    /// Through the encoding and back.
    fn travel<T: Serialize + DeserializeOwned>(&mut self, value: &T) -> (T, usize) {
        let (spent, (read, length)) = time(|| {
            let mut bytes = Vec::new();
            ciborium::into_writer(value, &mut bytes).expect("a frame");
            (ciborium::from_reader(&bytes[..]).expect("the same frame"), bytes.len())
        });
        self.cost.cpu += spent;
        (read, length)
    }
}

fn kind(request: &Request) -> &'static str {
    match request {
        Request::Enter(_) => "enter",
        Request::Hello(_) => "hello",
        Request::Nodes(_) => "nodes",
        Request::Fetch(_) => "fetch",
        Request::Offer(_) => "offer",
        Request::Have(_) => "have",
    }
}

fn messages_in(response: &Response) -> usize {
    use distchat_crdt::sync::RoomGreeting;
    match response {
        Response::Page(page) => page.messages.len(),
        Response::Hello(greeting) => greeting
            .rooms
            .iter()
            .map(|room| match room {
                RoomGreeting::Differs(difference) => difference.tail.as_ref().map_or(0, |tail| tail.messages.len()),
                _ => 0,
            })
            .sum(),
        _ => 0,
    }
}

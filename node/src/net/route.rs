//! Which room gets what: handles, inboxes, and hellos that several rooms share.
//!
//! The swarm task never waits for a room. What may not get lost stands in the room's backlog until the inbox has space, in
//! front of everything else; what may waits behind it in a queue for each peer, so that nobody's crowd stands in another's way
//! (see [`Fair`]).

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use distchat_crdt::{
    Topic,
    sync::{Greeting, Hello, List, MAX_HELLO_ROOMS, Refusal, Request, Response, RoomGreeting, RoomHello},
};
use futures::{StreamExt, stream::FuturesOrdered};
use libp2p::PeerId;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout_at,
};

use super::{NetInput, entered::Entered, error::RequestError, fair::Fair};

/// How long a room may think about a request.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The rooms of this process.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    pub(super) entered: Entered,
    rooms: BTreeMap<u32, Room>,
    topics: BTreeMap<Topic, u32>,
    last: u32,
    /// Something may wait for some room.
    waiting: bool,
    /// How many frames of gossip had to make way for others since this was asked last.
    displaced: u64,
}

#[derive(Debug)]
struct Room {
    topic: Topic,
    inbox: mpsc::Sender<NetInput>,
    backlog: VecDeque<NetInput>,
    fair: Fair<PeerId, NetInput>,
}

impl Rooms {
    pub(super) fn new(entered: Entered) -> Self {
        Self { entered, ..Self::default() }
    }

    /// Takes in a room and tells it of the peers that are there. A topic has one room: an earlier one of the same topic
    /// is what is left of a crash, and goes.
    pub(super) fn join(
        &mut self,
        topic: Topic,
        inbox: mpsc::Sender<NetInput>,
        peers: impl Iterator<Item = PeerId>,
    ) -> u32 {
        if let Some(before) = self.topics.get(&topic) {
            self.rooms.remove(before);
            self.entered.left(*before);
        }
        loop {
            self.last = self.last.wrapping_add(1);
            if self.last != 0 && !self.rooms.contains_key(&self.last) {
                break;
            }
        }
        self.topics.insert(topic, self.last);
        self.rooms.insert(self.last, Room { topic, inbox, backlog: VecDeque::new(), fair: Fair::default() });
        for peer in peers {
            self.deliver(self.last, NetInput::PeerUp { peer });
        }
        self.last
    }

    /// Takes a room in again under the handle that it had: the task has crashed, the room has not.
    pub(super) fn rejoin(&mut self, handle: u32, topic: Topic, inbox: mpsc::Sender<NetInput>) {
        self.last = self.last.max(handle);
        self.topics.insert(topic, handle);
        self.rooms.insert(handle, Room { topic, inbox, backlog: VecDeque::new(), fair: Fair::default() });
    }

    /// Lets a room go. Returns its topic if no other room has it now.
    pub(super) fn leave(&mut self, handle: u32) -> Option<Topic> {
        let room = self.rooms.remove(&handle)?;
        self.entered.left(handle);
        (self.topics.get(&room.topic) == Some(&handle)).then(|| {
            self.topics.remove(&room.topic);
            room.topic
        })
    }

    /// Rooms that nobody listens for any more.
    pub(super) fn abandoned(&self) -> Vec<u32> {
        self.rooms.iter().filter(|(_, room)| room.inbox.is_closed()).map(|(handle, _)| *handle).collect()
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.keys()
    }

    pub(super) fn of_topic(&self, topic: &Topic) -> Option<u32> {
        self.topics.get(topic).copied()
    }

    /// Gives a room something that must not get lost.
    pub(super) fn deliver(&mut self, handle: u32, input: NetInput) {
        let Some(room) = self.rooms.get_mut(&handle) else { return };
        // A peer that came and went before the room could hear of it has not been there.
        if let NetInput::PeerDown { peer } = &input {
            let last = room.backlog.iter().rposition(|waiting| waiting.is_about(peer));
            if let Some(at) = last
                && matches!(room.backlog.get(at), Some(NetInput::PeerUp { .. }))
            {
                room.backlog.remove(at);
                return;
            }
            // Nobody waits for the answers any more.
            room.fair.retain(peer, |waiting| !matches!(waiting, NetInput::Request { .. }));
        }
        room.backlog.push_back(input);
        self.waiting |= !room.flush();
    }

    /// The same for all rooms.
    pub(super) fn deliver_all(&mut self, input: impl Fn() -> NetInput) {
        let handles: Vec<u32> = self.rooms.keys().copied().collect();
        for handle in handles {
            self.deliver(handle, input());
        }
    }

    /// Gives a room something of a peer that may get lost. False if there is no place for it, or no such room.
    pub(super) fn offer(&mut self, handle: u32, peer: PeerId, input: NetInput) -> bool {
        let Some(room) = self.rooms.get_mut(&handle) else { return false };
        if room.inbox.is_closed() {
            return false;
        }
        let mut taken = true;
        match room.fair.push(peer, input) {
            Some(NetInput::Gossip { from, .. }) if from != peer => self.displaced += 1,
            // Whoever asked hears that the room is busy.
            Some(NetInput::Request { peer: asker, .. }) if asker != peer => {}
            lost => taken = lost.is_none(),
        }
        self.waiting |= !room.flush();
        taken
    }

    /// How many frames of gossip had to make way for others since this was asked last.
    pub(super) fn take_displaced(&mut self) -> u64 {
        std::mem::take(&mut self.displaced)
    }

    /// Tries again what rooms had no space for.
    pub(super) fn flush(&mut self) {
        self.waiting = self.rooms.values_mut().fold(false, |left, room| left | !room.flush());
    }

    /// Whether something waits for space.
    pub(super) fn waiting(&self) -> bool {
        self.waiting
    }

    /// Hands a request to the room or rooms that it concerns. The answer may be about that long.
    pub(super) fn ask(&mut self, peer: PeerId, request: Request, room_for: usize) -> Asked {
        let handle = match &request {
            Request::Hello(_) => None,
            Request::Enter(enter) => self.of_topic(&enter.topic),
            Request::Nodes(nodes) => Some(nodes.handle),
            Request::Fetch(fetch) => Some(fetch.handle),
            Request::Offer(offer) => Some(offer.handle),
            Request::Have(have) => Some(have.handle),
        };
        match request {
            Request::Hello(hello) => {
                let clock = hello.clock;
                let rooms = hello.rooms.into_inner();
                let room_for = room_for / rooms.len().max(1);
                let part = |room: RoomHello| {
                    let handle = room.handle;
                    let request = Request::Hello(Hello { clock, rooms: List::cut(vec![room]) });
                    self.ask_one(handle, peer, request, room_for)
                };
                Asked::Several(rooms.into_iter().map(part).collect())
            }
            request => Asked::One(
                handle.map_or(Slot::Refused(Refusal::Unknown), |handle| self.ask_one(handle, peer, request, room_for)),
            ),
        }
    }

    fn ask_one(&mut self, handle: u32, peer: PeerId, request: Request, room_for: usize) -> Slot {
        // To one who has not entered, a room is none.
        let may = matches!(request, Request::Enter(_)) || self.entered.has(&peer, handle);
        if !may || !self.rooms.contains_key(&handle) {
            return Slot::Refused(Refusal::Unknown);
        }
        let (reply, answer) = oneshot::channel();
        if self.offer(handle, peer, NetInput::Request { peer, request, room_for, reply }) {
            Slot::Waiting(answer)
        } else {
            Slot::Refused(Refusal::Busy)
        }
    }
}

impl Room {
    /// Empties the backlog and then the queues as far as it goes. False if something is left.
    fn flush(&mut self) -> bool {
        while !self.backlog.is_empty() || !self.fair.is_empty() {
            match self.inbox.try_reserve() {
                Ok(space) => {
                    if let Some(input) = self.backlog.pop_front().or_else(|| self.fair.pop()) {
                        space.send(input);
                    }
                }
                Err(mpsc::error::TrySendError::Full(())) => return false,
                Err(mpsc::error::TrySendError::Closed(())) => {
                    self.backlog.clear();
                    self.fair.clear();
                }
            }
        }
        true
    }
}

impl NetInput {
    fn is_about(&self, about: &PeerId) -> bool {
        matches!(self, Self::PeerUp { peer } | Self::PeerDown { peer } if peer == about)
    }
}

/// A request that is with its room or rooms.
#[derive(Debug)]
pub(super) enum Asked {
    /// With one.
    One(Slot),
    /// A hello, with as many as it has parts.
    Several(Vec<Slot>),
}

/// An answer to come.
#[derive(Debug)]
pub(super) enum Slot {
    Waiting(oneshot::Receiver<Response>),
    Refused(Refusal),
}

impl Slot {
    /// The room's answer, or "busy" if it has none to give in time.
    async fn answer(self, until: tokio::time::Instant) -> Response {
        match self {
            Self::Refused(refusal) => Response::Refused(refusal),
            Self::Waiting(answer) => match timeout_at(until, answer).await {
                Ok(Ok(response)) => response,
                Ok(Err(_)) | Err(_) => Response::Refused(Refusal::Busy),
            },
        }
    }
}

impl Asked {
    /// Waits for the rooms, up to [`PATIENCE`] or so, and puts their answers together.
    pub(super) async fn answer(self, patience: Duration) -> Response {
        let until = tokio::time::Instant::now() + patience;
        let slots = match self {
            Self::One(slot) => return slot.answer(until).await,
            Self::Several(slots) => slots,
        };
        let mut clock = None;
        let mut rooms = Vec::with_capacity(slots.len());
        let mut answers: FuturesOrdered<_> = slots.into_iter().map(|slot| slot.answer(until)).collect();
        while let Some(response) = answers.next().await {
            rooms.push(match response {
                Response::Hello(greeting) => {
                    let mut greetings = greeting.rooms.into_inner().into_iter();
                    match (greetings.next(), greetings.next()) {
                        (Some(room), None) => {
                            clock.get_or_insert(greeting.clock);
                            room
                        }
                        _ => RoomGreeting::Refused(Refusal::Busy),
                    }
                }
                Response::Refused(refusal) => RoomGreeting::Refused(refusal),
                _ => RoomGreeting::Refused(Refusal::Busy),
            });
        }
        Response::Hello(Greeting { clock: clock.unwrap_or_else(system_clock), rooms: List::cut(rooms) })
    }
}

fn system_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A request of one room, on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) handle: u32,
    pub(super) peer: PeerId,
    pub(super) id: u64,
    pub(super) request: Request,
}

/// Which room's request an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) handle: u32,
    pub(super) id: u64,
    /// How many rooms of a hello are this one's; 0 for anything else.
    rooms: usize,
}

/// A request as it goes out, and whose it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Merged {
    pub(super) peer: PeerId,
    pub(super) request: Request,
    pub(super) parts: Vec<Part>,
}

/// Puts hellos to the same peer together, and leaves everything else as it is.
pub(super) fn merge(requests: Vec<Outgoing>) -> Vec<Merged> {
    let mut merged: Vec<Merged> = Vec::with_capacity(requests.len());
    let mut open: BTreeMap<PeerId, usize> = BTreeMap::new();
    for Outgoing { handle, peer, id, request } in requests {
        let Request::Hello(hello) = request else {
            merged.push(Merged { peer, request, parts: vec![Part { handle, id, rooms: 0 }] });
            continue;
        };
        let rooms = hello.rooms.into_inner();
        let part = Part { handle, id, rooms: rooms.len() };
        if let Some(Merged { request: Request::Hello(shared), parts, .. }) =
            open.get(&peer).and_then(|at| merged.get_mut(*at))
            && shared.rooms.len() + rooms.len() <= MAX_HELLO_ROOMS
        {
            let mut all = std::mem::take(&mut shared.rooms).into_inner();
            all.extend(rooms);
            shared.rooms = List::cut(all);
            shared.clock = hello.clock;
            parts.push(part);
            continue;
        }
        open.insert(peer, merged.len());
        let request = Request::Hello(Hello { clock: hello.clock, rooms: List::cut(rooms) });
        merged.push(Merged { peer, request, parts: vec![part] });
    }
    merged
}

/// What each room gets of an answer.
pub(super) type Share = (Part, Result<Response, RequestError>);

/// Takes apart the answer to a merged request. An error if it does not fit the question.
pub(super) fn split(parts: Vec<Part>, response: Response) -> Result<Vec<Share>, Vec<Part>> {
    match response {
        Response::Refused(refusal) => {
            Ok(parts.into_iter().map(|part| (part, Ok(Response::Refused(refusal)))).collect())
        }
        Response::Hello(greeting) => {
            if greeting.rooms.len() != parts.iter().map(|part| part.rooms).sum::<usize>() {
                return Err(parts);
            }
            let mut rooms = greeting.rooms.into_inner().into_iter();
            let share = |part: Part| {
                let own = rooms.by_ref().take(part.rooms).collect();
                (part, Ok(Response::Hello(Greeting { clock: greeting.clock, rooms: List::cut(own) })))
            };
            Ok(parts.into_iter().map(share).collect())
        }
        response => match <[Part; 1]>::try_from(parts) {
            Ok([part]) if part.rooms == 0 => Ok(vec![(part, Ok(response))]),
            Ok([part]) => Err(vec![part]),
            Err(parts) => Err(parts),
        },
    }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;

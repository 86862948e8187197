//! A few replicas in one process: a network and a disk that do what a test tells them, in virtual time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use distchat_crdt::{
    AuthorId, Key, Keypair, Message, Room, RoomId, RoomName, Zip215,
    clock::Now,
    kind,
    sync::{Imported, Input, Output, Peer, Refusal, Replica, ReplicaConfig, Request, Response, Verdict},
};

/// 2026, more or less.
pub const START_MS: u64 = 1_790_000_000_000;
const LATENCY: Duration = Duration::from_millis(2);

pub fn room_id() -> RoomId {
    RoomId::of(&RoomName::parse("general").unwrap())
}

pub struct Host {
    pub replica: Replica,
    pub keys: Keypair,
    pub peer: Peer,
    disk: BTreeMap<Key, Vec<u8>>,
    pub connected: BTreeSet<usize>,
    /// How far the host's clock is ahead, in milliseconds.
    pub clock_ms: i64,
    pub synced: Vec<(u64, u64)>,
    pub offences: Vec<&'static str>,
    pub stored: Vec<Message>,
    /// What became of each import.
    pub imported: Vec<Imported>,
    /// Who has what on disk that was said here.
    pub receipts: Vec<(AuthorId, Key)>,
    /// How long a write to disk takes.
    pub write_time: Duration,
    /// Bytes of messages sent in pages, and how many pages were asked for of others and have not come.
    pub served: usize,
    /// Bytes of messages offered to others.
    pub offered: usize,
    pub pages_in_flight: usize,
    pub most_in_flight: usize,
    /// How often others were too busy for it.
    pub refused: usize,
}

/// What travels, or waits on a disk.
enum Event {
    Input(Input),
    /// A commit is written, and so are those before it.
    Written(u64, Vec<Message>),
}

/// What may happen next, if a test chooses; events go by their numbers.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Happen(u64),
    Lose(u64),
    Crash(usize),
    /// Until a replica has something to do by itself.
    Wait,
    Say(usize),
}

pub struct World {
    pub hosts: Vec<Host>,
    now: Duration,
    queue: BTreeMap<(Duration, u64), (usize, Event)>,
    next: u64,
    /// Who asked under which ticket, by the answering host.
    tickets: BTreeMap<(usize, u64), (usize, u64)>,
    /// Bytes of requests and answers, and how many requests.
    pub bytes: usize,
    pub requests: usize,
    /// Whether gossip arrives.
    pub gossip: bool,
    /// How long a read from disk takes.
    pub read_time: Duration,
    /// Hosts that ask for nothing but to enter, what they answer instead, and how late what they were asked for comes.
    pub liars: Vec<usize>,
    pub twist: Option<Twist>,
    pub late: Duration,
}

/// Makes a lie of an answer.
pub type Twist = Box<dyn FnMut(Response) -> Response>;

impl World {
    pub fn new(hosts: usize) -> Self {
        let mut world = Self {
            hosts: Vec::new(),
            now: Duration::from_secs(1),
            queue: BTreeMap::new(),
            next: 0,
            tickets: BTreeMap::new(),
            bytes: 0,
            requests: 0,
            gossip: true,
            read_time: Duration::from_micros(100),
            liars: Vec::new(),
            twist: None,
            late: Duration::ZERO,
        };
        for _ in 0..hosts {
            world.add_host();
        }
        world
    }

    pub fn add_host(&mut self) -> usize {
        self.add_host_of(self.hosts.len() as u8)
    }

    /// A host whose author key comes from that seed.
    pub fn add_host_of(&mut self, author: u8) -> usize {
        let n = self.hosts.len();
        let keys = Keypair::from_seed([author + 1; 32]);
        let peer = Peer::new(&[n as u8, 7]);
        let room = Room::new(room_id(), distchat_crdt::Signer::author(&keys), Arc::new(Zip215::new([9; 32])));
        let config = ReplicaConfig {
            me: peer.clone(),
            handle: 100 + n as u32,
            signer: Arc::new(keys.clone()),
            seed: [n as u8; 32],
            said: Vec::new(),
        };
        let replica = Replica::new(room, config, Now { mono: self.now, wall_ms: START_MS });
        self.hosts.push(Host {
            replica,
            keys,
            peer,
            disk: BTreeMap::new(),
            connected: BTreeSet::new(),
            clock_ms: 0,
            synced: Vec::new(),
            offences: Vec::new(),
            stored: Vec::new(),
            imported: Vec::new(),
            receipts: Vec::new(),
            write_time: Duration::from_millis(1),
            served: 0,
            offered: 0,
            pages_in_flight: 0,
            most_in_flight: 0,
            refused: 0,
        });
        n
    }

    pub fn now(&self, host: usize) -> Now {
        let wall = START_MS + self.now.as_millis() as u64;
        Now { mono: self.now, wall_ms: wall.saturating_add_signed(self.hosts[host].clock_ms) }
    }

    /// Starts a host's replica anew from its disk, as after a crash of its task: connections stay, and what was asked
    /// before may still be answered.
    pub fn restart(&mut self, host: usize) {
        let (now, seed) = (self.now(host), [self.next as u8; 32]);
        let Host { keys, peer, disk, connected, .. } = &self.hosts[host];
        let mut room = Room::new(room_id(), distchat_crdt::Signer::author(keys), Arc::new(Zip215::new([9; 32])));
        room.merge(disk.values().map(|bytes| Message::decode(bytes).unwrap()).collect());
        let config = ReplicaConfig {
            me: peer.clone(),
            handle: 100 + host as u32,
            signer: Arc::new(keys.clone()),
            seed,
            said: Vec::new(),
        };
        let replica = Replica::new(room, config, now);
        let peers: Vec<Peer> = connected.iter().map(|there| self.hosts[*there].peer.clone()).collect();
        self.hosts[host].replica = replica;
        // What the old one waited for from its own disk is gone with it.
        self.queue.retain(|_, (at, event)| {
            *at != host || !matches!(event, Event::Written(..) | Event::Input(Input::Read { .. }))
        });
        // Whoever asked the old one learns that no answer will come.
        let waiting: BTreeSet<u64> = self
            .queue
            .values()
            .filter_map(
                |(_, event)| if let Event::Input(Input::Asked { ticket, .. }) = event { Some(*ticket) } else { None },
            )
            .collect();
        let lost: Vec<(usize, u64)> =
            self.tickets.keys().filter(|(at, ticket)| *at == host && !waiting.contains(ticket)).copied().collect();
        let here = self.hosts[host].peer.clone();
        for ticket in lost {
            if let Some((asker, id)) = self.tickets.remove(&ticket) {
                let answered = Input::Answered { peer: here.clone(), id, response: None };
                self.schedule(asker, LATENCY, Event::Input(answered));
            }
        }
        for peer in peers {
            self.input(host, Input::PeerUp(peer));
        }
    }

    pub fn connect(&mut self, a: usize, b: usize) {
        for (here, there) in [(a, b), (b, a)] {
            self.hosts[here].connected.insert(there);
            let peer = self.hosts[there].peer.clone();
            self.input(here, Input::PeerUp(peer));
        }
    }

    pub fn connect_all(&mut self) {
        for a in 0..self.hosts.len() {
            for b in a + 1..self.hosts.len() {
                if !self.hosts[a].connected.contains(&b) {
                    self.connect(a, b);
                }
            }
        }
    }

    pub fn cut(&mut self, a: usize, b: usize) {
        for (here, there) in [(a, b), (b, a)] {
            self.hosts[here].connected.remove(&there);
            let peer = self.hosts[there].peer.clone();
            self.input(here, Input::PeerDown(peer));
        }
    }

    pub fn say(&mut self, host: usize, text: &str) {
        self.input(host, Input::Say { ticket: 0, said: vec![(kind::TEXT, text.into())] });
    }

    /// Puts messages into a host as if it had them from before.
    pub fn give(&mut self, host: usize, messages: &[Message]) {
        let of_one_author = messages.chunk_by(|one, next| one.author() == next.author());
        for run in of_one_author.flat_map(|run| run.chunks(25)) {
            let frame = run.iter().flat_map(|message| message.bytes().to_vec()).collect();
            self.input(host, Input::Frame { peer: Peer::new(b"elsewhere"), ticket: 0, bytes: frame });
        }
        self.run_for(Duration::from_millis(5));
    }

    pub fn input(&mut self, host: usize, input: Input) {
        let now = self.now(host);
        let outputs = self.hosts[host].replica.handle(now, input);
        for output in outputs {
            self.output(host, output);
        }
    }

    fn schedule(&mut self, host: usize, after: Duration, event: Event) {
        self.next += 1;
        self.queue.insert((self.now + after, self.next), (host, event));
    }

    fn host_of(&self, peer: &Peer) -> Option<usize> {
        self.hosts.iter().position(|host| host.peer == *peer)
    }

    fn output(&mut self, host: usize, output: Output) {
        match output {
            Output::Ask { peer, id, request } => {
                if self.liars.contains(&host) && !matches!(request, Request::Enter(_)) {
                    return;
                }
                let request: Request = self.travel(&request);
                if matches!(request, Request::Fetch(_)) {
                    let host = &mut self.hosts[host];
                    host.pages_in_flight += 1;
                    host.most_in_flight = host.most_in_flight.max(host.pages_in_flight);
                }
                if let Request::Offer(offer) = &request {
                    self.hosts[host].offered += offer.messages.len();
                }
                self.requests += 1;
                let there = self.host_of(&peer).filter(|there| self.hosts[host].connected.contains(there));
                let Some(there) = there else {
                    let failed = Event::Input(Input::Answered { peer, id, response: None });
                    return self.schedule(host, LATENCY, failed);
                };
                self.next += 1;
                let ticket = self.next;
                self.tickets.insert((there, ticket), (host, id));
                let peer = self.hosts[host].peer.clone();
                self.schedule(there, LATENCY, Event::Input(Input::Asked { peer, ticket, request }));
            }
            Output::Answer { ticket, response } => {
                let response = match &mut self.twist {
                    Some(twist) if self.liars.contains(&host) => twist(response),
                    _ => response,
                };
                let response: Response = self.travel(&response);
                let Some((asker, id)) = self.tickets.remove(&(host, ticket)) else { return };
                self.hosts[asker].refused += usize::from(response == Response::Refused(Refusal::Busy));
                if let Response::Page(page) = &response {
                    self.hosts[host].served += page.messages.len();
                    let asker = &mut self.hosts[asker];
                    asker.pages_in_flight = asker.pages_in_flight.saturating_sub(1);
                }
                let peer = self.hosts[host].peer.clone();
                let is_late =
                    self.liars.contains(&host) && matches!(response, Response::Page(_) | Response::Refused(_));
                let late = if is_late { self.late } else { Duration::ZERO };
                self.schedule(
                    asker,
                    LATENCY + late,
                    Event::Input(Input::Answered { peer, id, response: Some(response) }),
                );
            }
            Output::Read { id, keys, max_bytes } => {
                let mut left = max_bytes;
                assert!(keys.is_sorted_by(|a, b| a > b), "read from the greatest key down");
                let bodies = keys
                    .iter()
                    .map_while(|key| {
                        let body = self.hosts[host].disk.get(key).unwrap();
                        left = left.checked_sub(body.len())?;
                        Some((*key, body.clone()))
                    })
                    .collect();
                self.schedule(host, self.read_time, Event::Input(Input::Read { id, bodies }));
            }
            Output::Commit { number, commit } => {
                self.schedule(host, self.hosts[host].write_time, Event::Written(number, commit.messages));
            }
            Output::Publish { frame } => {
                let from = self.hosts[host].peer.clone();
                for there in self.hosts[host].connected.clone() {
                    if self.gossip {
                        let input = Input::Frame { peer: from.clone(), ticket: 0, bytes: frame.clone() };
                        self.schedule(there, LATENCY, Event::Input(input));
                    }
                }
            }
            Output::Verdict { verdict, .. } => assert_ne!(verdict, Verdict::Reject),
            Output::Said { error, .. } => assert_eq!(error, None),
            Output::Stored { messages, .. } => self.hosts[host].stored.extend(messages),
            Output::Synced { received, sent, .. } => self.hosts[host].synced.push((received, sent)),
            Output::Offence { why, .. } => self.hosts[host].offences.push(why),
            Output::Entered { .. } => {}
            Output::Imported { imported, .. } => self.hosts[host].imported.push(imported),
            Output::Receipt { author, through } => {
                let has =
                    |other: &Host| other.replica.room().own_author() == author && other.disk.contains_key(&through);
                assert!(self.hosts.iter().any(has), "a receipt for what is on no disk of theirs");
                self.hosts[host].receipts.push((author, through));
            }
            Output::Holds { author, keys } => {
                let has = |other: &Host| {
                    other.replica.room().own_author() == author && keys.iter().all(|key| other.disk.contains_key(key))
                };
                assert!(self.hosts.iter().any(has), "a receipt for what is on no disk of theirs");
            }
        }
    }

    /// Through the encoding and back, counted.
    fn travel<T: serde::Serialize + serde::de::DeserializeOwned>(&mut self, value: &T) -> T {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).unwrap();
        self.bytes += bytes.len();
        ciborium::from_reader(&bytes[..]).unwrap()
    }

    fn happen(&mut self, host: usize, event: Event) {
        match event {
            Event::Input(input) => self.input(host, input),
            Event::Written(through, messages) => {
                let written = messages.iter().map(|message| (message.key(), message.bytes().to_vec()));
                self.hosts[host].disk.extend(written);
                self.input(host, Input::Committed { through });
            }
        }
    }

    /// The events that may be next, in the order of time: any, but that a disk writes in order.
    pub fn pending(&self) -> Vec<u64> {
        let mut writing = BTreeSet::new();
        let mut pending = Vec::new();
        for ((_, number), (host, event)) in &self.queue {
            if !matches!(event, Event::Written(..)) || writing.insert(*host) {
                pending.push(*number);
            }
        }
        pending
    }

    fn take_event(&mut self, number: u64) -> Option<(usize, Event)> {
        let at = *self.queue.keys().find(|(_, event)| *event == number)?;
        self.now = self.now.max(at.0);
        self.queue.remove(&at)
    }

    /// Whether that travels over the network.
    pub fn may_be_lost(&self, number: u64) -> bool {
        let event = self.queue.iter().find(|((_, event), _)| *event == number);
        matches!(event, Some((_, (_, Event::Input(Input::Asked { .. } | Input::Answered { response: Some(_), .. })))))
    }

    /// Has a test choose what happens next.
    pub fn step(&mut self, step: Step) {
        match step {
            Step::Happen(number) => {
                if let Some((host, event)) = self.take_event(number) {
                    self.happen(host, event);
                }
            }
            Step::Lose(number) => match self.take_event(number) {
                Some((host, Event::Input(Input::Asked { ticket, peer, .. }))) => {
                    if let Some((asker, id)) = self.tickets.remove(&(host, ticket)) {
                        debug_assert_eq!(self.hosts[asker].peer, peer);
                        let peer = self.hosts[host].peer.clone();
                        self.schedule(asker, LATENCY, Event::Input(Input::Answered { peer, id, response: None }));
                    }
                }
                Some((asker, Event::Input(Input::Answered { peer, id, .. }))) => {
                    self.schedule(asker, LATENCY, Event::Input(Input::Answered { peer, id, response: None }));
                }
                _ => {}
            },
            Step::Crash(host) => self.restart(host),
            Step::Wait => {
                let due = (0..self.hosts.len()).filter_map(|n| Some((self.hosts[n].replica.next_deadline()?, n))).min();
                if let Some((at, host)) = due {
                    self.now = self.now.max(at);
                    self.input(host, Input::Tick);
                }
            }
            Step::Say(host) => self.say(host, "meanwhile"),
        }
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let event = self.queue.keys().next().map(|(at, _)| *at);
            let tick = (0..self.hosts.len()).filter_map(|n| Some((self.hosts[n].replica.next_deadline()?, n))).min();
            match (event, tick) {
                (event, Some((at, host))) if event.is_none_or(|event| at < event) && at <= end => {
                    self.now = self.now.max(at);
                    self.input(host, Input::Tick);
                }
                (Some(at), _) if at <= end => {
                    self.now = self.now.max(at);
                    let Some((_, (host, event))) = self.queue.pop_first() else { continue };
                    self.happen(host, event);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// Runs until all hosts hold the same, and says how long that took.
    #[track_caller]
    pub fn run_until_equal(&mut self, limit: Duration) -> Duration {
        let all: Vec<usize> = (0..self.hosts.len()).collect();
        self.run_until_equal_of(&all, limit)
    }

    /// Runs until some hosts hold the same, and says how long that took.
    #[track_caller]
    pub fn run_until_equal_of(&mut self, hosts: &[usize], limit: Duration) -> Duration {
        let start = self.now;
        let roots = |world: &Self| -> BTreeSet<_> {
            hosts.iter().map(|host| world.hosts[*host].replica.room().fingerprint()).collect()
        };
        while roots(self).len() > 1 {
            assert!(self.now - start < limit, "not equal after {limit:?}: {:?}", self.lens());
            self.run_for(Duration::from_millis(10));
        }
        self.now - start
    }

    pub fn all_equal(&self) -> bool {
        let roots: BTreeSet<_> = self.hosts.iter().map(|host| host.replica.room().fingerprint()).collect();
        roots.len() <= 1
    }

    pub fn lens(&self) -> Vec<u64> {
        self.hosts.iter().map(|host| host.replica.room().index().len()).collect()
    }

    #[track_caller]
    pub fn assert_no_offences(&self) {
        for (n, host) in self.hosts.iter().enumerate() {
            assert!(host.offences.is_empty(), "host {n} complains of {:?}", host.offences);
        }
    }
}

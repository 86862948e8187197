//! Two replicas, and somebody between them who loses, repeats, reorders and alters what they say to each other, and says
//! things of his own.
//!
//! Whatever he does: nobody holds what nobody has said, and once he is gone both soon hold the same.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use distchat_crdt::{
    Key, Keypair, Message, Room, RoomId, Signer, Zip215,
    clock::Now,
    kind,
    sync::{Input, Output, Peer, Replica, ReplicaConfig, Request, Response},
};
use serde::{Serialize, de::DeserializeOwned};

/// How much may be under way to a replica. The rest is lost, as in a full network.
const UNDER_WAY: usize = 64;
/// How long both may take to agree once nobody is in between: whoever was made to look like a liar is left alone for a
/// minute, some times.
const HEALING: Duration = Duration::from_secs(600);
const WALL_MS: u64 = 1_790_000_000_000;

/// Decisions, from the bytes, in order.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A string of bytes, with its length in front.
    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()) | usize::from(self.byte() & 3) << 8;
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// What is under way to a replica.
enum Packet {
    Asked { id: u64, request: Request },
    Answered { id: u64, response: Option<Response> },
    Frame(Vec<u8>),
}

struct Host {
    replica: Replica,
    peer: Peer,
    disk: BTreeMap<Key, Vec<u8>>,
    inbox: VecDeque<Packet>,
    /// Questions that it was asked, by its ticket.
    asked: BTreeMap<u64, u64>,
}

struct World {
    now: Duration,
    hosts: [Host; 2],
    said: BTreeSet<Key>,
    connected: bool,
    next: u64,
}

impl World {
    fn new() -> Self {
        let now = Duration::from_secs(1);
        let hosts = [1_u8, 2].map(|n| {
            let keys = Keypair::from_seed([n; 32]);
            let peer = Peer::new(&[n; 38]);
            let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
            let (me, seed) = (peer.clone(), [n; 32]);
            let config = ReplicaConfig { me, handle: u32::from(n), signer: Arc::new(keys), seed, said: Vec::new() };
            let replica = Replica::new(room, config, Now { mono: now, wall_ms: WALL_MS });
            Host { replica, peer, disk: BTreeMap::new(), inbox: VecDeque::new(), asked: BTreeMap::new() }
        });
        Self { now, hosts, said: BTreeSet::new(), connected: false, next: 0 }
    }

    fn input(&mut self, at: usize, input: Input) {
        let elapsed = u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX);
        let now = Now { mono: self.now, wall_ms: WALL_MS + elapsed };
        let mut todo = VecDeque::from([input]);
        while let Some(input) = todo.pop_front() {
            let outputs = self.hosts[at].replica.handle(now, input);
            assert!(outputs.len() < 10_000, "{} things to do at once", outputs.len());
            for output in outputs {
                todo.extend(self.output(at, output));
            }
        }
    }

    /// Does what is to be done. A disk is at once done with it.
    fn output(&mut self, at: usize, output: Output) -> Option<Input> {
        match output {
            Output::Ask { id, request, .. } => self.send(1 - at, Packet::Asked { id, request }),
            Output::Answer { ticket, response } => {
                let id = self.hosts[at].asked.remove(&ticket)?;
                self.send(1 - at, Packet::Answered { id, response: Some(response) });
            }
            Output::Publish { frame } => self.send(1 - at, Packet::Frame(frame)),
            Output::Commit { number, commit } => {
                let messages = commit.messages.iter().map(|message| (message.key(), message.bytes().to_vec()));
                self.hosts[at].disk.extend(messages);
                return Some(Input::Committed { through: number });
            }
            Output::Read { id, keys, .. } => {
                let disk = &self.hosts[at].disk;
                let bodies = keys.iter().filter_map(|key| Some((*key, disk.get(key)?.clone()))).collect();
                return Some(Input::Read { id, bodies });
            }
            Output::Said { messages, .. } => self.said.extend(messages.iter().map(Message::key)),
            _ => {}
        }
        None
    }

    fn send(&mut self, to: usize, packet: Packet) {
        let inbox = &mut self.hosts[to].inbox;
        if self.connected && inbox.len() < UNDER_WAY {
            inbox.push_back(packet);
        }
    }

    fn connect(&mut self, connected: bool) {
        if self.connected == connected {
            return;
        }
        self.connected = connected;
        for at in 0..2 {
            self.hosts[at].inbox.clear();
            self.hosts[at].asked.clear();
            let peer = self.hosts[1 - at].peer.clone();
            self.input(at, if connected { Input::PeerUp(peer) } else { Input::PeerDown(peer) });
        }
    }

    fn deliver(&mut self, at: usize, packet: Packet) {
        let peer = self.hosts[1 - at].peer.clone();
        self.next += 1;
        let ticket = self.next;
        let input = match packet {
            Packet::Asked { id, request } => {
                self.hosts[at].asked.insert(ticket, id);
                Input::Asked { peer, ticket, request }
            }
            Packet::Answered { id, response } => Input::Answered { peer, id, response },
            Packet::Frame(bytes) => Input::Frame { peer, ticket, bytes },
        };
        self.input(at, input);
    }

    /// Lets time pass, up to a limit, until a replica has something to do by itself.
    fn wait(&mut self, limit: Duration) {
        let next = self.hosts.iter().filter_map(|host| host.replica.next_deadline()).min();
        self.now = next.map_or(limit, |next| next.max(self.now).min(limit));
        for at in 0..2 {
            if self.hosts[at].replica.next_deadline().is_some_and(|next| next <= self.now) {
                self.input(at, Input::Tick);
            }
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let choice = choices.byte();
        let at = usize::from(choice & 1);
        match choice >> 1 & 15 {
            0..=4 => {
                if let Some(packet) = self.hosts[at].inbox.pop_front() {
                    self.deliver(at, packet);
                }
            }
            5 => drop(self.hosts[at].inbox.pop_front()),
            6 => self.hosts[at].inbox.rotate_left(usize::from(!self.hosts[at].inbox.is_empty())),
            7 | 8 => {
                if let Some(packet) = self.hosts[at].inbox.pop_front().and_then(|packet| alter(packet, choices)) {
                    self.deliver(at, packet);
                }
            }
            9 => {
                let said = vec![(kind::TEXT, choices.bytes().to_vec()); usize::from(choice >> 5) + 1];
                self.input(at, Input::Say { ticket: 0, said });
            }
            10 => self.wait(self.now + Duration::from_millis(1 << (choice >> 5 << 1))),
            11 => self.connect(!self.connected),
            12 => {
                if let Ok(request) = decode(choices.bytes()) {
                    self.deliver(at, Packet::Asked { id: 0, request });
                }
            }
            13 => self.deliver(at, Packet::Frame(choices.bytes().to_vec())),
            14 => {
                let of = self.hosts[at].disk.keys().copied().take(usize::from(choice >> 5)).collect();
                self.input(at, Input::WatchReceipts { of });
            }
            _ => {
                let messages = self.hosts[1 - at].disk.values().take(usize::from(choice >> 5)).cloned();
                let messages = messages.chain([choices.bytes().to_vec()]).collect();
                self.input(at, Input::Import { ticket: 0, messages });
            }
        }
    }

    fn agree(&self) -> bool {
        let [one, other] = &self.hosts;
        one.replica.room().fingerprint() == other.replica.room().fingerprint()
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ()> {
    crate::codec::decode(bytes).map_err(|_| ())
}

/// Changes, adds or takes away bytes; what it makes of it must still be read as something to arrive.
fn alter(packet: Packet, choices: &mut Choices<'_>) -> Option<Packet> {
    fn bytes_of(value: &impl Serialize) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).expect("it was to be sent");
        bytes
    }
    let mut edit = |mut bytes: Vec<u8>| {
        for _ in 0..=choices.byte() & 3 {
            let place = usize::from(choices.byte()) << 8 | usize::from(choices.byte());
            let place = place % bytes.len().max(1);
            let what = choices.byte();
            match (choices.byte() & 3, bytes.get_mut(place)) {
                (0, Some(byte)) => *byte = what,
                (1, Some(byte)) => *byte = byte.wrapping_add(what),
                (2, Some(_)) => drop(bytes.remove(place)),
                _ => bytes.insert(place, what),
            }
        }
        bytes
    };
    Some(match packet {
        Packet::Asked { id, request } => Packet::Asked { id, request: decode(&edit(bytes_of(&request))).ok()? },
        Packet::Answered { id, response: Some(response) } => {
            Packet::Answered { id, response: Some(decode(&edit(bytes_of(&response))).ok()?) }
        }
        Packet::Answered { id, response: None } => Packet::Answered { id, response: None },
        Packet::Frame(bytes) => Packet::Frame(edit(bytes)),
    })
}

pub(super) fn run(bytes: &[u8]) {
    let (mut world, mut choices) = (World::new(), Choices(bytes));
    world.connect(true);
    for at in 0..2 {
        world.input(at, Input::Say { ticket: 0, said: vec![(kind::TEXT, vec![b'0' + at as u8])] });
    }
    while !choices.0.is_empty() {
        world.step(&mut choices);
    }
    // A fresh connection, with nobody in between.
    world.connect(false);
    world.connect(true);
    let until = world.now + HEALING;
    while !world.agree() && world.now < until {
        let mut moved = false;
        for at in 0..2 {
            while let Some(packet) = world.hosts[at].inbox.pop_front() {
                world.deliver(at, packet);
                moved = true;
            }
        }
        if !moved {
            world.wait(until);
        }
    }
    assert!(world.agree(), "they do not agree");
    for host in &world.hosts {
        assert_eq!(host.replica.room().index().len(), world.said.len() as u64);
        assert!(host.disk.keys().all(|key| world.said.contains(key)), "somebody is made to have said something");
    }
}

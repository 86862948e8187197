//! Entering a room, and one frame of every kind. The answers are those of a replica.

use std::{collections::BTreeMap, sync::Arc};

use distchat_crdt::{
    Key, MessageId, Room, Signer, Snapshot, Timestamp, Zip215,
    clock::Now,
    index::{Index, Part, Prefix},
    sync::{
        Blob, Branch, Enter, Fetch, Filter, Have, Hello, Input, List, Nodes, Offer, Output, Peer, Proof, Range,
        Refusal, Region, Replica, ReplicaConfig, Request, Response, RoomHello, Wanted, proof, sign_peer, verify_peer,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Vector, index,
    messages::{empty_room, first, general, keypair, nick, second},
    rules::{self, START_MS, diagnostic},
};

const NONCE: u64 = 0x0123_4567_89ab_cdef;
/// What the asker calls the room, and what the answerer does.
const HANDLES: (u32, u32) = (7, 300);

pub fn all() -> Vec<Vector> {
    let mut vectors = vec![peers(), shorts()];
    vectors.extend(entering());
    vectors.extend(hellos());
    vectors.extend(nodes());
    vectors.extend(fetching());
    vectors.extend(giving());
    vectors.extend([Refusal::Unknown, Refusal::Denied, Refusal::Busy, Refusal::Malformed].map(refused));
    vectors.push(framed());
    vectors
}

/// The peer of that number: the libp2p peer id of an Ed25519 key.
fn peer(n: u8) -> Peer {
    Peer::new(&[[0x00, 0x24, 0x08, 0x01, 0x12, 0x20].as_slice(), &[n; 32]].concat())
}

/// Peer 2 with author 2, who is asked by peer 1 with author 1.
struct Answerer {
    replica: Replica,
    disk: BTreeMap<Key, Vec<u8>>,
    /// How many messages are read at once.
    reads: usize,
}

impl Answerer {
    fn new(room: Room, disk: BTreeMap<Key, Vec<u8>>) -> Self {
        let config = ReplicaConfig {
            me: peer(2),
            handle: HANDLES.1,
            signer: Arc::new(keypair(2)),
            seed: [0; 32],
            said: Vec::new(),
        };
        Self { replica: Replica::new(room, config, now()), disk, reads: usize::MAX }
    }

    /// With message-1 to message-3.
    fn with_messages() -> Self {
        let messages = vec![first(), nick(), second()];
        let disk = messages.iter().map(|message| (message.key(), message.bytes().to_vec())).collect();
        let mut room = empty_room(&keypair(2));
        room.merge(messages);
        Self::new(room, disk)
    }

    /// With the first 1000 keys of the examples, and no messages to them.
    fn with_keys() -> Self {
        let snapshot = Snapshot { keys: (0..1000).map(rules::key).collect(), ..Snapshot::default() };
        let room = Room::restore(general(), keypair(2).author(), Arc::new(Zip215::new([9; 32])), snapshot);
        Self::new(room, BTreeMap::new())
    }

    fn entered(mut self) -> Self {
        assert!(matches!(self.ask(enter()), Response::Entered(_)));
        self
    }

    fn ask(&mut self, request: Request) -> Response {
        let mut inputs = vec![Input::Asked { peer: peer(1), ticket: 1, request }];
        while let Some(input) = inputs.pop() {
            for output in self.replica.handle(now(), input) {
                match output {
                    Output::Answer { ticket: 1, response } => return response,
                    Output::Read { id, keys, .. } => {
                        let bodies = keys.iter().take(self.reads).map(|key| (*key, self.disk[key].clone())).collect();
                        inputs.push(Input::Read { id, bodies });
                    }
                    Output::Commit { number, .. } => inputs.push(Input::Committed { through: number }),
                    Output::Offence { why, .. } => panic!("{why}"),
                    _ => {}
                }
            }
        }
        panic!("no answer")
    }
}

fn now() -> Now {
    Now { wall_ms: START_MS + 2000, ..Now::default() }
}

/// The frame's bytes, which are those of this value only, and mean this value.
fn frame<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, note: &str, value: &T) -> Vector {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    assert_eq!(&ciborium::from_reader::<T, _>(&bytes[..]).unwrap(), value);
    let vector = Vector::new(name);
    let vector = if note.is_empty() { vector } else { vector.note(note) };
    vector.note(&diagnostic(&bytes)).hex("frame", &bytes)
}

fn enter() -> Request {
    Request::Enter(Enter {
        topic: general().topic(),
        handle: HANDLES.0,
        proof: proof(&general(), &peer(1), &peer(2)),
        author: keypair(1).author(),
        signature: sign_peer(&keypair(1), &peer(1)),
    })
}

fn peers() -> Vector {
    let (room, a, b) = (general(), peer(1), peer(2));
    let there = proof(&room, &a, &b);
    assert_eq!(there, Proof(rules::proof(&room.0, a.as_bytes(), b.as_bytes())));
    let signature = sign_peer(&keypair(1), &a);
    assert_eq!(signature, keypair(1).sign(&[b"distchat/1/peer\0", a.as_bytes()].concat()));
    assert!(verify_peer(&Zip215::new([9; 32]), &keypair(1).author(), &a, &signature));
    Vector::new("peers")
        .hex("peer-1", a.as_bytes())
        .hex("peer-2", b.as_bytes())
        .note("that peer 1 knows the room \"general\", for peer 2; and the other way round")
        .hex("proof-1-to-2", &there.0)
        .hex("proof-2-to-1", &proof(&room, &b, &a).0)
        .note("that peer 1 is author 1's")
        .hex("signature-1", &signature.0)
}

fn entering() -> Vec<Vector> {
    let entered = Answerer::with_messages().ask(enter());
    vec![
        frame("request-enter", "from peer 1 to peer 2", &enter()),
        frame("response-entered", "from peer 2 to peer 1", &entered),
    ]
}

/// A hello of somebody who holds these keys of the three messages.
fn hello(held: &[Key]) -> Request {
    let upper = Timestamp::end_of_millis(START_MS + 122_000);
    let root = held.iter().copied().collect::<Index>().root();
    let room = RoomHello { handle: HANDLES.1, upper, count: held.len() as u64, root };
    Request::Hello(Hello { clock: START_MS + 2100, rooms: List::cut(vec![room]) })
}

fn hellos() -> Vec<Vector> {
    let [one, two, three] = [first(), nick(), second()].map(|message| message.key());
    let mut answerer = Answerer::with_messages().entered();
    let tail = answerer.ask(hello(&[one]));
    let other = answerer.ask(hello(&[two]));
    let equal = answerer.ask(hello(&[one, two, three]));
    // One message read and two wanted: the other is to be fetched.
    answerer.reads = 1;
    let cut = answerer.ask(hello(&[one]));
    let unknown = Answerer::with_messages().ask(hello(&[]));

    let Request::Hello(several) = hello(&[one]) else { unreachable!() };
    let second_room =
        RoomHello { handle: 301, upper: Timestamp::MAX, count: 0, root: Index::<4, 16>::default().root() };
    let rooms = List::cut([several.rooms.to_vec(), vec![second_room]].concat());
    let several = Request::Hello(Hello { clock: several.clock, rooms });
    vec![
        frame("request-hello", "the asker holds message-1", &hello(&[one])),
        frame("request-hello-several", "the same, and another room, empty there", &several),
        frame("response-hello-tail", "to request-hello, by one who holds all three", &tail),
        frame("response-hello-tail-cut", "the same, had only one message fitted", &cut),
        frame("response-hello-differs", "to one who holds message-2 only", &other),
        frame("response-hello-equal", "to one who holds all three", &equal),
        frame("response-hello-refused", "to one who has not entered", &unknown),
    ]
}

/// What stands in a region, as it is asked about.
fn region(index: &Index, region: Prefix) -> Region {
    let Part::Inner { prefix, children } = index.part(&region, &Key::last_of(Timestamp::MAX)) else {
        panic!("{region:?} is a leaf")
    };
    let bits = children.iter().fold(0, |bits, (digit, _)| bits | 1 << digit);
    let hashes = children.iter().flat_map(|(_, hash)| rules::short(NONCE, hash)).collect();
    Region { region, branch: Branch { prefix, children: bits, hashes: Blob::cut(hashes) } }
}

fn ask_nodes(items: Vec<Region>) -> Request {
    Request::Nodes(Nodes { handle: HANDLES.1, upper: Timestamp::MAX, nonce: NONCE, items: List::cut(items) })
}

fn nodes() -> Vec<Vector> {
    // The asker lacks key 500 and all from 980 on, and holds one key that the answerer lacks.
    let held = (0..980).filter(|n| *n != 500).chain([1100]);
    let mine: Index = held.map(rules::key).collect();
    let mut answerer = Answerer::with_keys().entered();
    let root = ask_nodes(vec![region(&mine, Prefix::EMPTY)]);
    let at_root = answerer.ask(root.clone());
    // One level further down the way to key 500.
    let Request::Nodes(asked) = &root else { unreachable!() };
    let depth = asked.items[0].branch.prefix.digits::<4>();
    let below = ask_nodes(vec![region(&mine, Prefix::of::<4>(&rules::key(500), depth + 1))]);
    let at_leaf = answerer.ask(below.clone());
    vec![
        frame("request-nodes", "keys 0 to 979 without 500, and key 1100", &root),
        frame("response-nodes", "by one who holds keys 0 to 999", &at_root),
        frame("request-nodes-below", "the region of key 500", &below),
        frame("response-nodes-below", "", &at_leaf),
    ]
}

/// The short hashes as they stand in answers are those of the rule.
fn shorts() -> Vector {
    let key = rules::short(NONCE, &rules::key(500).to_bytes());
    let root = index::first(1000).root();
    let Some(below) = nodes().pop() else { unreachable!() };
    let digits: String = below.lines.iter().map(|line| line.trim()).collect();
    assert!(digits.contains(&rules::hex(&key)), "the answer names key 500");
    Vector::new("short-hashes")
        .word("nonce", NONCE)
        .hex("key-500", &key)
        .note("of the root of the first 1000 keys")
        .hex("first-1000", &rules::short(NONCE, &root.0))
}

fn fetching() -> Vec<Vector> {
    let [one, two, three] = [first(), nick(), second()].map(|message| message.key());
    let unknown = Key { time: Timestamp::from_millis(START_MS + 700), id: MessageId([0xab; 32]) };
    let short = |key: &Key| rules::short(NONCE, &key.to_bytes());
    let range = |from, below, filter| Wanted::Range(Range { region: Prefix::EMPTY, from, below, filter });
    let except = Filter::Except(Blob::cut([short(&one), short(&unknown)].concat()));
    let only = Filter::Only(Blob::cut(short(&one)));
    let everything = Filter::Except(Blob::default());
    let fetch = |items: Vec<Wanted>| {
        let upper = Timestamp::end_of_millis(START_MS + 122_000);
        Request::Fetch(Fetch { handle: HANDLES.1, upper, nonce: NONCE, items: List::cut(items) })
    };
    let mixed = fetch(vec![
        Wanted::Key(three),
        range(None, Some(three), except),
        range(Some(one), Some(two), only),
        Wanted::Key(unknown),
    ]);
    let whole = fetch(vec![range(None, None, everything.clone())]);
    // Where the cut of the last answer leaves something: from before all keys on.
    let piece = fetch(vec![range(Some(Key::from_bytes(&[0; 40])), Some(two), everything)]);
    let mut answerer = Answerer::with_messages().entered();
    let page = answerer.ask(mixed.clone());
    answerer.reads = 2;
    let cut = answerer.ask(whole.clone());
    vec![
        frame(
            "request-fetch",
            "message-3; all before it but message-1 and one that nobody has; from message-1 on and before message-2 \
             only message-1; one that nobody has",
            &mixed,
        ),
        frame("response-page", "message-3, message-2, message-1, and that the second in the list is lacking", &page),
        frame("request-fetch-whole", "everything", &whole),
        frame("response-page-cut", "had only two messages fitted", &cut),
        frame("request-fetch-piece", "what is left of it", &piece),
    ]
}

fn giving() -> Vec<Vector> {
    let messages = [first().bytes(), second().bytes()].concat();
    let offer = Request::Offer(Offer { handle: HANDLES.1, messages: Blob::cut(messages) });
    let unknown = Key { time: Timestamp::from_millis(START_MS + 700), id: MessageId([0xab; 32]) };
    let keys = List::cut(vec![first().key(), unknown, second().key()]);
    let have = Request::Have(Have { handle: HANDLES.1, keys });
    let offered = Answerer::new(empty_room(&keypair(2)), BTreeMap::new()).entered().ask(offer.clone());
    let held = Answerer::with_messages().entered().ask(have.clone());
    vec![
        frame("request-offer", "message-1, message-3", &offer),
        frame("response-offered", "both were new", &offered),
        frame("request-have", "message-1, one that nobody has, message-3", &have),
        frame("response-have", "the first and the third", &held),
    ]
}

fn refused(refusal: Refusal) -> Vector {
    let name = format!("response-refused-{refusal:?}").to_lowercase();
    frame(&name, "", &Response::Refused(refusal))
}

/// A frame as it stands in a stream.
fn framed() -> Vector {
    let mut bytes = Vec::new();
    ciborium::into_writer(&Response::Refused(Refusal::Busy), &mut bytes).unwrap();
    let stream = [&(bytes.len() as u32).to_be_bytes(), &bytes[..]].concat();
    Vector::new("framing").note("response-refused-busy in a stream").hex("stream", &stream)
}

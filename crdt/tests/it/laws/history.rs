//! Histories such as several authors might write, correct ones and others, and the ways in which they may arrive.

use std::fmt;

use distchat_crdt::{
    AuthorId, Draft, Key, MAX_SEEN, Message, MessageId, RoomId, RoomName, Signature, Signer, Timestamp, Verifier,
};
use proptest::{prelude::*, sample::Index};
use sha2::{Digest, Sha256};

use crate::world::{START_MS, room_id};

/// When histories begin.
pub const START: Timestamp = Timestamp(START_MS << 16);
const YEAR: u64 = (365 * 24 * 3600 * 1000) << 16;
const AUTHORS: u8 = 4;

/// An author whose signatures cost next to nothing, for laws that are not about Ed25519.
#[derive(Clone, Copy, Debug)]
pub struct Cheap(pub u8);

impl Signer for Cheap {
    fn author(&self) -> AuthorId {
        AuthorId([self.0; 32])
    }

    fn sign(&self, bytes: &[u8]) -> Signature {
        seal(&self.author(), bytes)
    }
}

/// Judges [`Cheap`] signatures.
#[derive(Clone, Copy, Debug)]
pub struct CheapVerifier;

impl Verifier for CheapVerifier {
    fn verify(&self, author: &AuthorId, bytes: &[u8], signature: &Signature) -> bool {
        seal(author, bytes) == *signature
    }
}

fn seal(author: &AuthorId, bytes: &[u8]) -> Signature {
    let half: [u8; 32] = Sha256::new().chain_update(author.0).chain_update(bytes).finalize().into();
    Signature(std::array::from_fn(|at| half[at % 32]))
}

/// "Signs" with a signature that was there before: what encodes a message again, or forges one.
#[derive(Clone, Copy, Debug)]
pub struct Given(pub AuthorId, pub Signature);

impl Signer for Given {
    fn author(&self) -> AuthorId {
        self.0
    }

    fn sign(&self, _: &[u8]) -> Signature {
        self.1
    }
}

/// A room next door.
pub fn other_room() -> RoomId {
    RoomId::of(&RoomName::parse("elsewhere").unwrap())
}

/// The key of a message that nobody ever wrote.
pub fn nowhere(n: u8) -> Key {
    Key { time: Timestamp(START.0 + u64::from(n % 4)), id: MessageId([n; 32]) }
}

/// Which signatures a history bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    AllGood,
    SomeBad,
}

/// A message still to be written. Whom it refers to is chosen among what was written before.
#[derive(Clone, Debug)]
struct Step {
    author: u8,
    prev: Prev,
    seen: Vec<Seen>,
    /// How much later than all it refers to.
    pause: u64,
    kind: u32,
    room: RoomId,
    good: bool,
    arrives: bool,
}

#[derive(Clone, Debug)]
enum Prev {
    None,
    /// As a correct writer does.
    Newest,
    /// Any of the author's own: a branch.
    Own(Index),
    /// Anybody's, in any room.
    Any(Index),
    WrongSeq(Index, u64),
    Unknown(u8, u64),
}

#[derive(Clone, Debug)]
enum Seen {
    Written(Index),
    /// The id of a message with another time: a message that cannot be.
    Misdated(Index),
    Unknown(u8),
}

fn step(signatures: Signatures) -> impl Strategy<Value = Step> {
    let prev = prop_oneof![
        1 => Just(Prev::None),
        8 => Just(Prev::Newest),
        4 => any::<Index>().prop_map(Prev::Own),
        2 => any::<Index>().prop_map(Prev::Any),
        1 => (any::<Index>(), 0..4_u64).prop_map(|(of, seq)| Prev::WrongSeq(of, seq)),
        1 => (0..4_u8, 0..4_u64).prop_map(|(n, seq)| Prev::Unknown(n, seq)),
    ];
    let seen = prop_oneof![
        6 => any::<Index>().prop_map(Seen::Written),
        1 => any::<Index>().prop_map(Seen::Misdated),
        1 => (0..4_u8).prop_map(Seen::Unknown),
    ];
    let pause = prop_oneof![20 => 0..3_u64, 2 => 0..1000_u64, 1 => Just(YEAR)];
    let kind = prop_oneof![4 => 0..2_u32, 1 => any::<u32>()];
    let room = prop_oneof![12 => Just(room_id()), 1 => Just(other_room())];
    let good = if signatures == Signatures::AllGood { 1.0 } else { 0.5 };
    let seen = prop::collection::vec(seen, 0..4);
    (0..AUTHORS, prev, seen, pause, kind, room, prop::bool::weighted(good), prop::bool::weighted(0.9)).prop_map(
        |(author, prev, seen, pause, kind, room, good, arrives)| Step {
            author,
            prev,
            seen,
            pause,
            kind,
            room,
            good,
            arrives,
        },
    )
}

/// What was written, and what of it is ever passed on. Some of it belongs to another room.
#[derive(Clone)]
pub struct History {
    pub written: Vec<Message>,
    pub arriving: Vec<Message>,
}

impl History {
    /// What arrives and belongs here.
    pub fn here(&self) -> Vec<Message> {
        self.arriving.iter().filter(|message| message.room() == room_id()).cloned().collect()
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for message in &self.written {
            let room = if message.room() == room_id() { "" } else { ", in another room" };
            let signed = if CheapVerifier.verify_one(message) { "" } else { ", badly signed" };
            let lost = if self.arriving.contains(message) { "" } else { ", never arrives" };
            writeln!(f, "{message:?}{room}{signed}{lost}")?;
        }
        Ok(())
    }
}

/// Histories of up to 40 messages.
pub fn history(signatures: Signatures) -> impl Strategy<Value = History> {
    prop::collection::vec(step(signatures), 0..40).prop_map(|steps| {
        let mut written: Vec<Message> = Vec::new();
        for step in &steps {
            written.push(write(step, &written));
        }
        let arriving =
            written.iter().zip(&steps).filter(|(_, step)| step.arrives).map(|(message, _)| message.clone()).collect();
        History { written, arriving }
    })
}

fn write(step: &Step, written: &[Message]) -> Message {
    let author = Cheap(step.author).author();
    let own: Vec<&Message> = written.iter().filter(|message| message.author() == author).collect();
    let follow = |message: &Message| (message.key(), message.seq() + 1);
    let prev = match &step.prev {
        Prev::None => None,
        Prev::Newest => own.last().map(|message| follow(message)),
        Prev::Own(of) if !own.is_empty() => Some(follow(of.get::<&Message>(&own))),
        Prev::Any(of) if !written.is_empty() => Some(follow(of.get(written))),
        Prev::WrongSeq(of, seq) if !own.is_empty() => Some((of.get(&own).key(), seq + 1)),
        Prev::Unknown(n, seq) => Some((nowhere(*n), seq + 1)),
        Prev::Own(_) | Prev::Any(_) | Prev::WrongSeq(..) => None,
    };
    let mut seen: Vec<Key> = step.seen.iter().filter_map(|seen| refer(seen, written)).collect();
    seen.sort_unstable();
    seen.dedup();
    seen.retain(|key| Some(*key) != prev.map(|(key, _)| key));
    seen.truncate(MAX_SEEN);
    let refs = prev.iter().map(|(key, _)| key).chain(&seen);
    let newest = refs.map(|key| key.time.0).max().unwrap_or(START.0);
    let draft = Draft {
        room: step.room,
        seq: prev.map_or(0, |(_, seq)| seq),
        time: Timestamp(newest + 1 + step.pause),
        prev: prev.map(|(key, _)| key),
        seen,
        kind: step.kind,
        body: format!("message {}", written.len()).into_bytes(),
    };
    let forged = Given(author, Signature([0xbd; 64]));
    if step.good { draft.sign(&Cheap(step.author)) } else { draft.sign(&forged) }.unwrap()
}

fn refer(seen: &Seen, written: &[Message]) -> Option<Key> {
    match seen {
        Seen::Unknown(n) => Some(nowhere(*n)),
        Seen::Written(_) | Seen::Misdated(_) if written.is_empty() => None,
        Seen::Written(of) => Some(of.get(written).key()),
        Seen::Misdated(of) => {
            let key = of.get(written).key();
            Some(Key { time: Timestamp(key.time.0 + 1), ..key })
        }
    }
}

/// In what order, how often and in what batches messages arrive.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// 0 is the order in which they were written.
    order: u64,
    /// The longest batch.
    batch: usize,
    /// How often a message may come.
    times: u64,
}

pub fn delivery() -> impl Strategy<Value = Delivery> {
    let order = prop_oneof![1 => Just(0), 1 => Just(u64::MAX), 6 => any::<u64>()];
    let batch = prop_oneof![Just(1), 1..6_usize, Just(1000)];
    (order, batch, 1..4_u64).prop_map(|(order, batch, times)| Delivery { order, batch, times })
}

impl Delivery {
    /// The batches in which the messages come: each at least once.
    pub fn batches(&self, messages: &[Message]) -> Vec<Vec<Message>> {
        let mut random = Random(self.order);
        let mut copies: Vec<(u64, Message)> = Vec::new();
        for (at, message) in messages.iter().enumerate() {
            for _ in 0..1 + random.below(self.times) {
                let place = match self.order {
                    0 => at as u64,
                    u64::MAX => (messages.len() - at) as u64,
                    _ => random.next(),
                };
                copies.push((place, message.clone()));
            }
        }
        copies.sort_by_key(|(place, _)| *place);
        let mut batches = Vec::new();
        let mut rest = &copies[..];
        while !rest.is_empty() {
            let length = 1 + random.below(self.batch.min(rest.len()) as u64) as usize;
            // Mostly as long as can be, and now and then an empty one, which changes nothing.
            let length = if self.batch > 100 { rest.len() } else { length };
            let (batch, after) = rest.split_at(length);
            batches.push(batch.iter().map(|(_, message)| message.clone()).collect());
            rest = after;
            if random.below(8) == 0 {
                batches.push(Vec::new());
            }
        }
        batches
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): all that is needed to shuffle.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

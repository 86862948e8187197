//! A room's history made of chat lines, as correct writers would have written it.

use std::sync::Arc;

use distchat_crdt::{
    AuthorId, Draft, Key, Message, Room, RoomId, RoomName, Signature, Signer, Snapshot, Timestamp, Verifier, kind,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::lines::Line;

/// When the history ends, in milliseconds since 1970: 2026, more or less.
pub const END_MS: u64 = 1_790_000_000_000;

/// The room it is all about.
///
/// # Panics
/// Never: the name is one.
pub fn room_id() -> RoomId {
    RoomName::parse("general").map(|name| RoomId::of(&name)).expect("a room's name")
}

/// An author whose signatures cost nothing and mean nothing.
#[derive(Clone, Copy, Debug)]
pub struct Cheap(pub u64);

impl Signer for Cheap {
    fn author(&self) -> AuthorId {
        AuthorId(StdRng::seed_from_u64(self.0).random())
    }

    fn sign(&self, _: &[u8]) -> Signature {
        Signature([self.0 as u8; 64])
    }
}

/// Says yes to every signature: what is measured is all the rest.
#[derive(Debug)]
pub struct Yes;

impl Verifier for Yes {
    fn verify(&self, _: &AuthorId, _: &[u8], _: &Signature) -> bool {
        true
    }

    fn verify_all(&self, _: &[&Message]) -> bool {
        true
    }
}

/// Messages in order, each naming its author's last one and the newest of all, with the pauses of people talking.
///
/// # Panics
/// If a line is longer than a message may be.
pub fn history<S: Signer>(lines: &[Line], signer: impl Fn(usize) -> S) -> Vec<Message> {
    written(lines, signer, true)
}

/// The same, but each is a first message of its author's and names only the newest of all: none vouches for another, and
/// every signature is to be checked.
///
/// # Panics
/// If a line is longer than a message may be.
pub fn unvouched<S: Signer>(lines: &[Line], signer: impl Fn(usize) -> S) -> Vec<Message> {
    written(lines, signer, false)
}

struct Author<S> {
    signer: S,
    /// Its last message and that one's sequence number.
    newest: Option<(Key, u64)>,
}

fn written<S: Signer>(lines: &[Line], signer: impl Fn(usize) -> S, continuing: bool) -> Vec<Message> {
    let mut rng = StdRng::seed_from_u64(1);
    let pauses: Vec<u64> = lines
        .iter()
        .map(|_| if rng.random_bool(0.7) { rng.random_range(1..400) } else { rng.random_range(400..5000) })
        .collect();
    let mut time = END_MS - pauses.iter().sum::<u64>();
    let mut authors: Vec<Option<Author<S>>> = Vec::new();
    let mut messages: Vec<Message> = Vec::with_capacity(lines.len());
    for (line, pause) in lines.iter().zip(pauses) {
        time += pause;
        if authors.len() <= line.speaker {
            authors.resize_with(line.speaker + 1, || None);
        }
        let new = || Author { signer: signer(line.speaker), newest: None };
        let author = authors[line.speaker].get_or_insert_with(new);
        let own = author.newest.filter(|_| continuing);
        let prev = own.map(|(key, _)| key);
        let draft = Draft {
            room: room_id(),
            seq: own.map_or(0, |(_, seq)| seq + 1),
            time: Timestamp::from_millis(time),
            prev,
            seen: messages.last().map(Message::key).filter(|newest| Some(*newest) != prev).into_iter().collect(),
            kind: kind::TEXT,
            body: line.text.clone().into_bytes(),
        };
        let message = draft.sign(&author.signer).expect("a correct writer's message");
        author.newest = Some((message.key(), message.seq()));
        messages.push(message);
    }
    messages
}

/// A room without anything in it.
pub fn empty(verifier: Arc<dyn Verifier>) -> Room {
    Room::new(room_id(), Cheap(u64::MAX).author(), verifier)
}

/// A room that holds exactly these.
pub fn room(messages: impl IntoIterator<Item = Message>) -> Room {
    let mut room = empty(Arc::new(Yes));
    let mut batch = Vec::new();
    for message in messages {
        batch.push(message);
        if batch.len() == 10_000 {
            room.merge(std::mem::take(&mut batch));
        }
    }
    room.merge(batch);
    room
}

/// What a store would give back of a room.
pub fn snapshot(room: &Room) -> Snapshot {
    let mut keys = room.index().newest(&Key::MIN, &Key::last_of(Timestamp(u64::MAX)), usize::MAX);
    keys.reverse();
    Snapshot {
        keys,
        heads: room.heads().iter().copied().collect(),
        claims: room.holes().collect(),
        authors: room.authors().iter().map(|(author, log)| (*author, log.clone())).collect(),
        own: Vec::new(),
    }
}

/// A room from what a store keeps, its hashes computed.
pub fn restored(snapshot: Snapshot) -> Room {
    let room = Room::restore(room_id(), Cheap(u64::MAX).author(), Arc::new(Yes), snapshot);
    room.fingerprint();
    room
}

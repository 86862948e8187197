//! What a correct writer signs, under whatever clocks and beside whatever others write.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use distchat_crdt::{
    Draft, Key, MAX_BODY, MAX_SEEN, Message, Room, Signer, Timestamp,
    clock::{Clock, Clocks, FUTURE_LIMIT_MS, Now},
};
use proptest::prelude::*;

use super::{
    cases,
    history::{Cheap, CheapVerifier, nowhere},
    model::{Store, by_definition, seen},
};
use crate::world::{START_MS, room_id};

const MINUTE: i64 = 60 * 1000;
const YEAR: i64 = 365 * 24 * 60 * MINUTE;

/// The writer.
const ME: Cheap = Cheap(0);

#[derive(Clone, Debug)]
enum Step {
    /// The own clock is set: so far from the true time, in milliseconds.
    SetClock(i64),
    /// True time passes.
    Pass(u64),
    /// A peer tells its clock.
    Peer(u8, i64),
    PeerGone(u8),
    /// Things are said at once, each of a kind and with a body of a length.
    Say(Vec<(u32, usize)>),
    /// Somebody else's message, or one from another machine of the writer's.
    Hear {
        author: u8,
        dated: Date,
        seq: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum Date {
    /// So far from the true time, in milliseconds.
    Off(i64),
    /// So far from the last time that is followed.
    AtLimit(i64),
}

fn offset() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => Just(0),
        2 => -3 * MINUTE..3 * MINUTE,
        1 => Just(-YEAR),
        1 => Just(YEAR),
        1 => -40 * YEAR..40 * YEAR,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let dated = prop_oneof![offset().prop_map(Date::Off), (-2..3_i64).prop_map(Date::AtLimit)];
    let length = prop_oneof![40 => 0..2_usize, 1 => Just(MAX_BODY), 1 => Just(MAX_BODY + 1)];
    prop_oneof![
        1 => offset().prop_map(Step::SetClock),
        2 => prop_oneof![Just(1), 0..5000_u64, Just(FUTURE_LIMIT_MS)].prop_map(Step::Pass),
        2 => (0..5_u8, offset()).prop_map(|(peer, off)| Step::Peer(peer, off)),
        1 => (0..5_u8).prop_map(Step::PeerGone),
        6 => prop::collection::vec((prop_oneof![0..3_u32, any::<u32>()], length), 0..5).prop_map(Step::Say),
        4 => (0..4_u8, dated, 0..5_u64).prop_map(|(author, dated, seq)| Step::Hear { author, dated, seq }),
    ]
}

/// A writer, and somebody who reads along.
struct Desk {
    room: Room,
    reader: Room,
    clocks: Clocks,
    /// How far the own clock is from the true time.
    off_ms: i64,
    passed_ms: u64,
    held: Vec<Message>,
    store: Store,
}

impl Desk {
    fn new() -> Self {
        let room = |own: Cheap| Room::new(room_id(), own.author(), Arc::new(CheapVerifier));
        Self {
            room: room(ME),
            reader: room(Cheap(9)),
            clocks: Clocks::default(),
            off_ms: 0,
            passed_ms: 0,
            held: Vec::new(),
            store: Store::default(),
        }
    }

    fn true_ms(&self) -> u64 {
        START_MS + self.passed_ms
    }

    fn now(&self) -> Now {
        let mono = Duration::from_secs(1000) + Duration::from_millis(self.passed_ms);
        Now { mono, wall_ms: self.true_ms().saturating_add_signed(self.off_ms) }
    }

    fn clock(&self) -> Clock {
        self.clocks.read(self.now())
    }

    fn step(&mut self, step: &Step) {
        let peer = |n: u8| distchat_crdt::sync::Peer::new(&[n]);
        match *step {
            Step::SetClock(off_ms) => self.off_ms = off_ms,
            Step::Pass(ms) => self.passed_ms += ms,
            Step::Peer(n, off) => {
                self.clocks.heard(self.now(), &peer(n), self.true_ms().saturating_add_signed(off));
            }
            Step::PeerGone(n) => self.clocks.forget(&peer(n)),
            Step::Hear { author, dated, seq } => {
                let time = match dated {
                    Date::Off(ms) => Timestamp::from_millis(self.true_ms().saturating_add_signed(ms)),
                    Date::AtLimit(ticks) => Timestamp(self.clock().follow.0.saturating_add_signed(ticks)),
                };
                self.hear(Cheap(author), time, seq);
            }
            Step::Say(ref said) => self.say(said.iter().map(|(kind, length)| (*kind, vec![7; *length])).collect()),
        }
    }

    fn hear(&mut self, author: Cheap, time: Timestamp, seq: u64) {
        let draft = Draft {
            room: room_id(),
            seq,
            time,
            prev: (seq > 0).then(|| Key { time: Timestamp(1), ..nowhere(author.0) }),
            // Some name what is there, and some leave it a head.
            seen: self.room.heads().range(..Key { time, ..Key::MIN }).copied().take(seq as usize % 3).collect(),
            kind: 0,
            body: vec![self.held.len() as u8],
        };
        let message = draft.sign(&author).unwrap();
        let merge = self.room.merge(vec![message.clone()]);
        self.store.write(&merge.commit);
        self.held.extend(merge.commit.messages);
        self.reader.merge(vec![message]);
    }

    /// Says things at once, up to the first that cannot be said.
    fn say(&mut self, said: Vec<(u32, Vec<u8>)>) {
        let clock = self.clock();
        let possible = said.iter().take_while(|(_, body)| body.len() <= MAX_BODY).count();
        let (commit, result) = self.room.say(&ME, &clock, said.clone());
        assert_eq!(commit.messages.len(), possible);
        assert_eq!(result.is_ok(), possible == said.len());
        for (message, (kind, body)) in commit.messages.iter().zip(said) {
            assert_eq!((message.kind(), message.body()), (kind, &body[..]));
            self.check_written(message, &clock);
            self.held.push(message.clone());
        }
        self.store.write(&commit);
        // One run, which the reader has from one frame.
        assert_eq!(self.reader.merge(commit.messages.clone()).commit.messages.len(), possible);
    }

    /// Holds a message against what the design says of a correct writer.
    fn check_written(&self, message: &Message, clock: &Clock) {
        let limit = |other: &Message| if other.author() == ME.author() { clock.follow_own } else { clock.follow };
        let followed: Vec<&Message> = self.held.iter().filter(|other| other.time() <= limit(other)).collect();
        let newest = followed.iter().map(|other| other.time().0).max().unwrap_or(0);
        let prev = followed.iter().filter(|other| other.author() == ME.author()).max_by_key(|other| other.key());
        let prev_key = prev.map(|prev| prev.key());
        let heads: BTreeSet<Key> = by_definition(&self.held).heads;
        let mut seen_heads: Vec<Key> = heads
            .into_iter()
            .rev()
            .filter(|key| key.time <= clock.follow && Some(*key) != prev_key)
            .take(MAX_SEEN)
            .collect();
        seen_heads.reverse();

        assert_eq!(Message::decode(message.bytes()).as_ref(), Ok(message));
        assert_eq!((message.room(), message.author()), (room_id(), ME.author()));
        assert_eq!(message.prev(), prev_key);
        assert_eq!(message.seq(), prev.map_or(0, |prev| prev.seq() + 1));
        assert_eq!(message.seen(), seen_heads);
        assert_eq!(message.time().0, (clock.stamp_ms << 16).max(newest + 1));
        assert!(message.refs().all(|key| key.time < message.time()));
        assert!(followed.iter().all(|other| other.key() < message.key()));
        assert!(message.time() <= clock.follow_own, "the writer would not follow its own message");
        assert!(message.time() <= clock.horizon, "the writer would not show its own message");
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_correct_writer_keeps_the_rules_under_any_clock(steps in prop::collection::vec(step(), 0..40)) {
        let mut desk = Desk::new();
        for step in &steps {
            desk.step(step);
        }
        let expect = by_definition(&desk.held);
        prop_assert_eq!(seen(&desk.room), expect.clone());
        prop_assert_eq!(seen(&desk.reader), expect.clone());
        let snapshot = desk.store.snapshot(ME.author());
        let restored = Room::restore(room_id(), ME.author(), Arc::new(CheapVerifier), snapshot);
        prop_assert_eq!(seen(&restored), expect);
        let next = |room: &Room| room.sign(&ME, &desk.clock(), 0, Vec::new()).unwrap();
        prop_assert_eq!(next(&restored), next(&desk.room));
    }
}

/// Somebody dates messages at the very end of what is followed, and the writer says more than one thing in that moment.
#[test]
fn nobody_makes_a_writer_branch_by_dating_messages_at_the_limit() {
    for ticks in [-2, -1, 0, 1] {
        let mut desk = Desk::new();
        desk.say(vec![(0, b"before".to_vec())]);
        desk.step(&Step::Hear { author: 1, dated: Date::AtLimit(ticks), seq: 0 });
        desk.say(vec![(0, b"ok".to_vec()), (0, b"ok".to_vec())]);
        desk.say(vec![(0, b"ok".to_vec())]);
        let log = &desk.room.authors()[&ME.author()];
        assert!(!log.is_forked());
        assert_eq!((log.count(), log.ranges().collect::<Vec<_>>()), (4, vec![(0, 3)]));
    }
}

#[test]
fn of_many_heads_the_newest_are_named() {
    for heads in [1, MAX_SEEN - 1, MAX_SEEN, MAX_SEEN + 1, 3 * MAX_SEEN] {
        let mut desk = Desk::new();
        for n in 0..heads {
            desk.step(&Step::Hear { author: 1, dated: Date::Off(n as i64 - 100), seq: 0 });
        }
        desk.say(vec![(0, b"joined".to_vec())]);
        assert_eq!(desk.held.last().unwrap().seen().len(), heads.min(MAX_SEEN));
        assert_eq!(desk.room.heads().len(), heads - heads.min(MAX_SEEN) + 1);
    }
}

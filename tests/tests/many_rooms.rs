//! Thousands of rooms on one node: those in which nothing happens cost next to nothing, and in all of them all is heard.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use distchat_tests::{Chat, Machine, PATIENCE, gauge, is, is_room};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::common::heavy;

/// More than older programs name to a peer.
const MANY: usize = 1200;
/// How much a room may take in which nothing happens, besides what a node takes in any case.
const BYTES_A_ROOM: u64 = 12 * 1024;
/// How much those may take together that are awake at a time, because something was said in them or somebody came.
const AWAKE: u64 = 24 * 1024 * 1024;

fn name(n: usize) -> String {
    format!("room{n:05}")
}

/// Starts a chat in so many rooms, and returns how long that took.
fn start(machine: &Machine, profile: &str, rooms: usize) -> (Chat, Duration) {
    let began = Instant::now();
    let options = (0..rooms).flat_map(|n| ["--room".to_owned(), name(n)]);
    let chat = machine.chat(profile).options(options).start();
    all_open(&chat, rooms);
    (chat, began.elapsed())
}

fn all_open(chat: &Chat, rooms: usize) {
    let last = name(rooms - 1);
    chat.wait_for("all rooms to be open", 20 * PATIENCE, |event| is_room(event, &last, "open"));
}

/// Has a chat say something in each of these rooms, and waits until the other has heard all of it. Returns how long the
/// slowest took.
fn say_in(from: &Chat, to: &Chat, rooms: &[usize], round: usize) -> Duration {
    let text = |n: usize| format!("round {round} in {}", name(n));
    let (mark, began) = (to.mark(), Instant::now());
    for n in rooms {
        from.send(&format!("/join {}", name(*n)));
        from.say(&text(*n));
    }
    let mut missing: BTreeMap<String, String> = rooms.iter().map(|n| (text(*n), name(*n))).collect();
    to.wait_from(mark, "what is said in many rooms", 2 * PATIENCE, |event| {
        if is(event, "message") && event["own"] == false {
            let room = missing.remove(event["text"].as_str().unwrap_or_default());
            assert!(room.is_none_or(|room| event["room"] == room.as_str()), "{event} is in another room");
        }
        missing.is_empty()
    });
    began.elapsed()
}

/// Waits until a chat has found itself in sync in so many rooms.
fn all_synced(chat: &Chat, rooms: usize) {
    let mut synced = BTreeSet::new();
    chat.wait_for("all rooms to be in sync", 10 * PATIENCE, |event| {
        if is(event, "synced") {
            synced.insert(event["room"].as_str().unwrap_or_default().to_owned());
        }
        synced.len() >= rooms
    });
}

/// How many seconds of a core a process takes in a second, on average over that time.
fn busy(pid: u32, time: Duration) -> f64 {
    let before = gauge::cpu(pid);
    thread::sleep(time);
    (gauge::cpu(pid) - before).as_secs_f64() / time.as_secs_f64()
}

/// What the rooms of a chat hold, as it shows them without looking into them.
fn shown(chat: &Chat) -> BTreeMap<String, u64> {
    let answer = chat.ask("/rooms", "rooms");
    let rooms = answer["rooms"].as_array().unwrap().iter();
    rooms.map(|room| (room["room"].as_str().unwrap().to_owned(), room["messages"].as_u64().unwrap())).collect()
}

#[test]
fn in_more_rooms_than_anybody_looks_into_all_is_heard() {
    let _alone = heavy();
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let machine = Machine::loopback();
    let one = gauge::rss(machine.chat("cat").room(&name(0)).start().pid());
    let ((ann, _), (mut bob, _)) = (start(&machine, "ann", MANY), start(&machine, "bob", MANY));
    ann.wait_peers(1);
    let mut all: Vec<usize> = (0..MANY).collect();
    all.shuffle(&mut rng);
    let rooms = &all[..100];
    say_in(&ann, &bob, rooms, 0);
    say_in(&bob, &ann, rooms, 1);
    all_synced(&ann, MANY);
    all_synced(&bob, MANY);
    for chat in [&ann, &bob] {
        let grown = gauge::rss(chat.pid()).saturating_sub(one);
        let limit = MANY as u64 * BYTES_A_ROOM + AWAKE;
        eprintln!("{MANY} rooms take {} KiB", grown / 1024);
        assert!(grown < limit, "{MANY} rooms take {} KiB", grown / 1024);
    }
    let (at_ann, at_bob) = (shown(&ann), shown(&bob));
    assert_eq!(at_ann.len(), MANY);
    assert_eq!(at_ann, at_bob);
    // Two names and two texts.
    let expect = |n: usize| if rooms.contains(&n) { 4 } else { 0 };
    (0..MANY).for_each(|n| assert_eq!(at_ann[&name(n)], expect(n), "{}", name(n)));

    // Who comes again hears what was said in his absence.
    let others = &all[100..120];
    bob.stop();
    for n in others {
        ann.send(&format!("/join {}", name(*n)));
        ann.say_and_wait(&format!("meanwhile in {}", name(*n)));
    }
    bob.restart();
    let mut missing: BTreeSet<String> = others.iter().map(|n| format!("meanwhile in {}", name(*n))).collect();
    bob.wait_for("what was said meanwhile", 2 * PATIENCE, |event| {
        missing.remove(event["text"].as_str().unwrap_or_default());
        missing.is_empty()
    });
}

#[test]
#[ignore = "takes some minutes and prints figures"]
fn ten_thousand_rooms() {
    const ROOMS: usize = 10_000;
    const WITH_TRAFFIC: usize = 1000;
    let _alone = heavy();
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let machine = Machine::loopback();
    let mib = |chat: &Chat| gauge::rss(chat.pid()) / (1024 * 1024);
    let (mut ann, first) = start(&machine, "ann", ROOMS);
    eprintln!("{ROOMS} new rooms: open after {first:.1?}, {} MiB", mib(&ann));
    ann.stop();
    let began = Instant::now();
    ann.restart();
    all_open(&ann, ROOMS);
    eprintln!("started again: open after {:.1?}, {} MiB", began.elapsed(), mib(&ann));
    eprintln!("alone and idle: {:.1} % of a core", 100.0 * busy(ann.pid(), Duration::from_secs(10)));
    let (bob, _) = start(&machine, "bob", ROOMS);
    ann.wait_peers(1);
    let began = Instant::now();
    all_synced(&ann, ROOMS);
    eprintln!("all in sync {:.1?} after they met, {} MiB and {} MiB", began.elapsed(), mib(&ann), mib(&bob));
    let idle = [&ann, &bob].map(|chat| 100.0 * busy(chat.pid(), Duration::from_secs(20)));
    eprintln!("idle together: {idle:.1?} % of a core, {} MiB and {} MiB", mib(&ann), mib(&bob));
    let mut all: Vec<usize> = (0..ROOMS).collect();
    all.shuffle(&mut rng);
    for round in 0..5 {
        let took = say_in(&ann, &bob, &all[..WITH_TRAFFIC], round);
        eprintln!(
            "round {round}: a message in {WITH_TRAFFIC} rooms, all heard after {took:.1?}, {} MiB and {} MiB",
            mib(&ann),
            mib(&bob)
        );
    }
    assert_eq!(shown(&ann), shown(&bob));
    thread::sleep(Duration::from_secs(75));
    eprintln!("a minute later: {} MiB and {} MiB", mib(&ann), mib(&bob));
    for chat in [&ann, &bob] {
        assert!(gauge::rss(chat.pid()) < ROOMS as u64 * BYTES_A_ROOM + 4 * AWAKE);
    }
}

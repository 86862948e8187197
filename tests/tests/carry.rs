//! Rooms carried in files, whatever becomes of those on the way: what the library promises those who carry a room on a stick.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use distchat_crdt::{Draft, Key, Keypair, Message, Signature, Signer, Timestamp, kind};
use distchat_node::{
    AuthorId, Config, Event, Imported, MAX_CARRY_PAGE, Node, Room, RoomId, RoomName,
    bundle::{MAX_BUNDLE_CONTENT, Part, Reader, Tally, Writer},
};

/// Numbers that look random, from a seed (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    /// From the clock, or from `DISTCHAT_SEED`. The seed stands in the output of a test that fails.
    pub(crate) fn new() -> Self {
        let given = std::env::var("DISTCHAT_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| now_ms() ^ u64::from(std::process::id()) << 32);
        eprintln!("DISTCHAT_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % end as u64) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

pub(crate) fn general() -> RoomName {
    "general".parse().unwrap()
}

/// Says that it is somebody, and signs with nothing.
struct Forger(AuthorId);

impl Signer for Forger {
    fn author(&self) -> AuthorId {
        self.0
    }
    fn sign(&self, _: &[u8]) -> Signature {
        Signature([7; 64])
    }
}

fn draft(seq: u64, time_ms: u64, prev: Option<Key>, text: String) -> Draft {
    let time = Timestamp::from_millis(time_ms);
    Draft { room: RoomId::of(&general()), seq, time, prev, seen: Vec::new(), kind: kind::TEXT, body: text.into() }
}

/// So many messages of five authors, an hour ago. Where `unsigned` says so one bears a signature that is none, for which
/// its author's next message vouches.
pub(crate) fn talk(count: u64, unsigned: impl Fn(u64) -> bool) -> Vec<Message> {
    let start = now_ms() - 3_600_000;
    let mut last: BTreeMap<u64, Message> = BTreeMap::new();
    let mut all = Vec::new();
    for n in 0..count {
        let (author, seq) = (n % 5, n / 5);
        let keys = Keypair::from_seed([50 + author as u8; 32]);
        let mut draft = draft(seq, start + n, last.get(&author).map(Message::key), format!("line {n}"));
        draft.seen.extend(last.get(&((author + 4) % 5)).filter(|_| n % 3 == 0).map(Message::key));
        let message = if unsigned(n) && n + 5 < count {
            draft.sign(&Forger(keys.author())).unwrap()
        } else {
            draft.sign(&keys).unwrap()
        };
        last.insert(author, message.clone());
        all.push(message);
    }
    all
}

pub(crate) fn bundle_of(messages: &[Message]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), general());
    messages.iter().rev().for_each(|message| writer.push(message.bytes()).unwrap());
    writer.finish().unwrap()
}

pub(crate) async fn start(name: &str, disk: Option<&Path>) -> (Node, Room) {
    let config = Config {
        profile: name.into(),
        memory: disk.is_none(),
        data_dir: disk.map(Path::to_owned),
        offline: true,
        ..Config::default()
    };
    let node = Node::start(config).await.unwrap();
    let room = node.open_room(&general()).await.unwrap();
    (node, room)
}

async fn export(room: &Room, page_bytes: usize) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), room.name().clone());
    let mut before = None;
    loop {
        let page = room.export(before, page_bytes).await.unwrap();
        page.messages.iter().for_each(|message| writer.push(message).unwrap());
        before = page.next;
        if before.is_none() {
            return writer.finish().unwrap();
        }
    }
}

/// All of a room's messages.
async fn held(room: &Room) -> BTreeSet<Vec<u8>> {
    messages_in(&export(room, MAX_CARRY_PAGE).await)
}

fn messages_in(file: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut reader = Reader::new(file);
    let mut all = BTreeSet::new();
    while let Some(part) = reader.next_part().unwrap() {
        if let Part::Messages { messages, .. } = part {
            all.extend(messages);
        }
    }
    all
}

/// Imports a file into that room, wherever it says to belong; what there was in it adds up.
pub(crate) async fn import(room: &Room, file: &[u8]) -> (Imported, Tally) {
    let mut reader = Reader::new(file);
    let mut imported = Imported::default();
    while let Some(part) = reader.next_part().unwrap() {
        if let Part::Messages { messages, .. } = part {
            let count = messages.len() as u64;
            let page = room.import(messages).await.unwrap();
            assert_eq!(page.total(), count, "{page:?}");
            imported += page;
        }
    }
    assert_eq!(imported.total(), reader.tally().messages);
    (imported, *reader.tally())
}

fn new(new: u64) -> Imported {
    Imported { new, ..Imported::default() }
}

/// Where the frames of a bundle begin.
fn frames(file: &[u8]) -> Vec<usize> {
    (0..file.len()).filter(|at| file[*at..].starts_with(b"\x89dchat\r\n")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_is_carried_whole_and_twice() {
    let ((alice, at_alice), (bob, at_bob)) = (start("alice", None).await, start("bob", None).await);
    let messages = talk(3000, |n| n % 7 == 0);
    assert_eq!(import(&at_alice, &bundle_of(&messages)).await.0, new(3000));
    at_alice.broadcast("and one of her own").await.unwrap();
    // Pages of one message and of many make one and the same file.
    let file = export(&at_alice, MAX_CARRY_PAGE).await;
    assert_eq!(export(&at_alice, 1).await, file);
    assert!(file.len() > 4 * MAX_BUNDLE_CONTENT, "several frames");

    let mut events = bob.events();
    let (imported, tally) = import(&at_bob, &file).await;
    assert_eq!(imported, new(3002), "the name came before what she said");
    assert!(tally.is_whole());
    let mut told = 0;
    while told < 3001 {
        told += usize::from(matches!(events.next().await.unwrap(), Event::Message { .. }));
    }
    assert_eq!(at_bob.fingerprint().await.unwrap(), at_alice.fingerprint().await.unwrap());
    let texts = |messages: Vec<distchat_node::Message>| -> Vec<_> {
        messages.into_iter().map(|message| (message.key, message.nick, message.text)).collect()
    };
    let here = texts(at_bob.messages(9999).await.unwrap());
    assert_eq!(here, texts(at_alice.messages(9999).await.unwrap()));
    assert_eq!(here.len(), 3001);

    assert_eq!(import(&at_bob, &file).await.0, Imported { known: 3002, ..new(0) });
    // What bob says now follows what was brought, and alice gets it the same way.
    at_bob.broadcast("thank you").await.unwrap();
    assert_eq!(import(&at_alice, &export(&at_bob, 100_000).await).await.0, Imported { known: 3002, ..new(2) });
    assert_eq!(at_bob.fingerprint().await.unwrap(), at_alice.fingerprint().await.unwrap());
    assert_eq!(at_alice.messages(1).await.unwrap()[0].text, "thank you");
    alice.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_come_in_any_order() {
    let mut random = Random::new();
    let (node, room) = start("alice", None).await;
    let messages = talk(2000, |n| n % 4 == 1);
    let file = bundle_of(&messages);
    let mut ends = frames(&file);
    ends.push(file.len());
    let mut parts: Vec<&[u8]> = ends.windows(2).map(|ends| &file[ends[0]..ends[1]]).collect();
    random.shuffle(&mut parts);
    let mut imported = Imported::default();
    // What came before its voucher has to come again. It is never more often than there are parts.
    for round in 0..=parts.len() {
        let before = imported.new;
        for part in &parts {
            imported += import(&room, part).await.0;
        }
        if imported.new == before {
            assert!(round > 0);
            break;
        }
    }
    assert_eq!((imported.new, imported.foreign, imported.malformed), (2000, 0, 0));
    assert_eq!(held(&room).await, messages_in(&file));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_breaks_off_is_worth_what_is_in_it() {
    let mut random = Random::new();
    let messages = talk(1000, |n| n % 3 == 0);
    let file = bundle_of(&messages);
    let begins = frames(&file);
    assert!(begins.len() > 3);
    let inside = begins.windows(2).map(|ends| ends[0] + 1 + random.below(ends[1] - ends[0] - 1));
    let cuts: Vec<usize> =
        inside.chain(begins.iter().flat_map(|at| [*at, at + 1, at + 16])).chain([file.len() - 1, file.len()]).collect();
    for cut in cuts {
        let (node, room) = start("alice", None).await;
        let (imported, tally) = import(&room, &file[..cut]).await;
        // The newest of it, each vouched for by what stands before it.
        let count = imported.new as usize;
        assert_eq!(imported, new(count as u64), "cut at {cut}");
        assert_eq!(tally.is_whole(), cut == file.len(), "cut at {cut}: {tally:?}");
        let expect: BTreeSet<_> = messages[1000 - count..].iter().map(|message| message.bytes().to_vec()).collect();
        assert_eq!(held(&room).await, expect, "cut at {cut}");
        assert!(count * 400 + 400 > cut.saturating_sub(400), "cut at {cut}: {count} messages");
        // And then the whole.
        assert_eq!(import(&room, &file).await.0, Imported { known: count as u64, ..new(1000 - count as u64) });
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_lets_nothing_in_that_was_not_said() {
    let mut random = Random::new();
    let messages = talk(20, |n| n == 11);
    let file = bundle_of(&messages);
    let said = messages_in(&file);
    for at in (0..64).chain((64..file.len()).step_by(61)) {
        let mut changed = file.clone();
        changed[at] ^= 1 << random.below(8);
        let (node, room) = start("alice", None).await;
        let (imported, tally) = import(&room, &changed).await;
        assert!(!tally.is_whole(), "byte {at}");
        let held = held(&room).await;
        assert!(held.is_subset(&said), "byte {at}");
        assert_eq!(held.len() as u64, imported.new);
        // What was changed, and what only that vouched for.
        assert!(held.len() >= 18, "byte {at}: {imported:?} {tally:?}");
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_valid_stays_outside_however_it_is_wrapped() {
    let (node, room) = start("alice", None).await;
    let keys = Keypair::from_seed([9; 32]);
    let time = now_ms() - 1000;
    let forged = draft(0, time, None, "I never said this".into()).sign(&Forger(keys.author())).unwrap();
    let mut changed = draft(0, time, None, "I said this".into()).sign(&keys).unwrap().bytes().to_vec();
    let at = changed.len() - 66 - 1;
    changed[at] ^= 1;
    // Somebody else names it: that is no voucher.
    let other = draft(1, time + 1, Some(forged.key()), "see?".into()).sign(&Keypair::from_seed([8; 32])).unwrap();
    let good = draft(0, time, None, "and this, too".into()).sign(&keys).unwrap();
    // By hand: all checksums are right.
    let mut writer = Writer::new(Vec::new(), general());
    for bytes in [forged.bytes(), &changed, other.bytes(), good.bytes(), b"", b"no message at all"] {
        writer.push(bytes).unwrap();
    }
    let file = writer.finish().unwrap();
    let (imported, tally) = import(&room, &file).await;
    assert!(tally.is_whole());
    assert_eq!(imported, Imported { unvouched: 2, malformed: 2, ..new(2) });
    assert_eq!(held(&room).await, BTreeSet::from([other.bytes().to_vec(), good.bytes().to_vec()]));

    // Of another room, under the name of this one or of its own.
    let elsewhere = node.open_room(&"elsewhere".parse().unwrap()).await.unwrap();
    let (imported, _) = import(&elsewhere, &bundle_of(&talk(30, |_| false))).await;
    assert_eq!(imported, Imported { foreign: 30, ..new(0) });
    assert_eq!(held(&elsewhere).await, BTreeSet::new());
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_hear_of_what_was_imported_and_confirm_it() {
    let online = |name: &str| {
        let listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        Config { profile: name.into(), memory: true, mdns: false, same_machine: false, listen, ..Config::default() }
    };
    let [alice, bob] = [Node::start(online("alice")).await.unwrap(), Node::start(online("bob")).await.unwrap()];
    let (at_alice, at_bob) = (alice.open_room(&general()).await.unwrap(), bob.open_room(&general()).await.unwrap());
    let mut events = bob.events();
    alice.connect(bob.listeners().remove(0)).await.unwrap();
    while !matches!(events.next().await.unwrap(), Event::Synced { .. }) {}
    let messages = talk(800, |n| n % 5 == 0);
    assert_eq!(import(&at_alice, &bundle_of(&messages)).await.0, new(800));
    let mut told = BTreeSet::new();
    while told.len() < 800 {
        if let Event::Message { message, .. } = events.next().await.unwrap() {
            told.insert(message.key);
        }
    }
    assert_eq!(held(&at_bob).await, held(&at_alice).await);
    let last = at_alice.broadcast("did you get it?").await.unwrap().key;
    assert_eq!(at_alice.on_disks(last, 1).await.unwrap().on, [bob.author()]);
    // What was carried over an absence is not late, wherever it came from.
    assert!(at_bob.messages(9).await.unwrap().iter().all(|message| message.delay.is_none()));
    alice.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_carried_is_late_where_a_peer_would_have_been() {
    let ((alice, at_alice), (bob, at_bob)) = (start("alice", None).await, start("bob", None).await);
    // They have not heard of each other, so only their clocks tell who was first.
    for (room, text) in [(&at_alice, "a1"), (&at_bob, "b1"), (&at_alice, "a2")] {
        let said = room.broadcast(text).await.unwrap();
        while now_ms() <= said.time.millis() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
    import(&at_alice, &export(&at_bob, MAX_CARRY_PAGE).await).await;
    let late = |messages: Vec<distchat_node::Message>| -> Vec<(String, bool)> {
        messages.into_iter().map(|message| (message.text, message.delay.is_some())).collect()
    };
    let expect = [("a1", false), ("b1", true), ("a2", false)].map(|(text, late)| (text.to_owned(), late));
    assert_eq!(late(at_alice.messages(9).await.unwrap()), expect);

    // Whoever had nothing is not told that all of it is late, in however many pages it comes.
    let (carol, at_carol) = start("carol", None).await;
    for message in at_alice.export(None, MAX_CARRY_PAGE).await.unwrap().messages {
        assert_eq!(at_carol.import(vec![message]).await.unwrap(), new(1));
    }
    assert_eq!(late(at_carol.messages(9).await.unwrap()), expect.map(|(text, _)| (text, false)));
    for node in [alice, bob, carol] {
        node.shutdown().await;
    }
}

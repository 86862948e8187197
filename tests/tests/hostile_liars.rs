//! Members who lie: what is not true keeps nobody apart, is charged to nobody who merely passes it on, and takes no more room
//! than what was signed.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, SystemTime},
};

use distchat_crdt::{
    AuthorId, Draft, Fingerprint, Key, Keypair, Message, MessageId, RoomId, RoomName, Signature, Signer, Timestamp,
    index::Prefix,
    kind,
    sync::{
        Blob, Branch, Difference, Fetch, Filter, Greeting, List, Nodes, Offer, Range, Request, Response, RoomGreeting,
        Summaries, Summary, Wanted,
    },
};
use distchat_hostile::{Answers, Member, Rpc, page, quiet};
use distchat_tests::{Chat, Machine, PATIENCE, converge::converged, is};
use futures::AsyncWriteExt;
use tokio::time::sleep;

use crate::{
    common::pair,
    hostile::{GROWTH, Scene, meanwhile, run, talk, tcp},
};

fn general() -> RoomId {
    RoomId::of(&RoomName::parse("general").unwrap())
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(since.as_millis() as u64)
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_millis(time.millis() + by.as_millis() as u64)
}

/// A text of that time in the room, the first of its author.
fn text(time: Timestamp, text: &str) -> Draft {
    let body = text.as_bytes().to_vec();
    Draft { room: general(), seq: 0, time, prev: None, seen: Vec::new(), kind: kind::TEXT, body }
}

/// The same, as the one behind another.
fn behind(before: &Message, draft: Draft) -> Draft {
    Draft { seq: before.seq() + 1, prev: Some(before.key()), ..draft }
}

/// Signs in anybody's name, badly.
struct Forger(AuthorId);

impl Signer for Forger {
    fn author(&self) -> AuthorId {
        self.0
    }

    fn sign(&self, _: &[u8]) -> Signature {
        Signature([7; 64])
    }
}

/// One who enters the room, and says to hold what is held there.
fn a_quiet_one() -> (Keypair, Answers) {
    let keys = Keypair::from_seed([99; 32]);
    let answers = Answers::of(general(), &keys, quiet);
    (keys, answers)
}

fn offer(member: &Member, messages: &[Message]) -> Request {
    let messages = messages.iter().flat_map(Message::bytes).copied().collect();
    Request::Offer(Offer { handle: member.handle(), messages: Blob::cut(messages) })
}

/// Offers messages, as many at once as may be, and says how many the node took.
async fn give(member: &Member, messages: &[Message]) -> u32 {
    let mut taken = 0;
    let mut rest = messages;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fit = rest.iter().take_while(|message| {
            bytes += message.bytes().len();
            bytes <= distchat_crdt::sync::MAX_PAGE
        });
        let (first, others) = rest.split_at(fit.count());
        loop {
            match member.ask(&offer(member, first)).await.unwrap() {
                Response::Offered(new) => break taken += new,
                Response::Refused(_) => sleep(Duration::from_millis(50)).await,
                other => panic!("an offer was answered by {other:?}"),
            }
        }
        rest = others;
    }
    taken
}

/// Nobody of them has been charged with anything, or lost a peer.
#[track_caller]
fn nobody_was_charged(chats: &[&Chat]) {
    for chat in chats {
        let charged: Vec<String> = chat.stderr().into_iter().filter(|line| line.contains("charged")).collect();
        assert!(charged.is_empty(), "{charged:?}");
        let gone = chat.events().into_iter().find(|event| is(event, "peer") && event["state"] == "disconnected");
        assert_eq!(gone, None);
    }
}

/// Two who say in their logs whom they charge.
fn talkative_pair(machine: &Machine) -> (Chat, Chat) {
    let start = |name| machine.chat(name).room("general").options(["--log", "debug"]).start();
    let pair = (start("ann"), start("bob"));
    pair.0.wait_peers(1);
    pair.1.wait_peers(1);
    pair
}

/// Waits until the two hold the same.
fn wait_equal(one: &Chat, other: &Chat, within: Duration) {
    let end = std::time::Instant::now() + within;
    while one.fingerprint() != other.fingerprint() {
        assert!(std::time::Instant::now() < end, "{:?} and {:?}", one.fingerprint(), other.fingerprint());
        other.pause(other.mark(), Duration::from_millis(100));
    }
}

/// What is told of an author by `/who`.
fn member(chat: &Chat, author: &AuthorId) -> serde_json::Value {
    let told = chat.ask("/who", "members");
    let members = told["members"].as_array().unwrap();
    let found = members.iter().find(|member| member["author"] == author.to_string().as_str());
    found.unwrap_or_else(|| panic!("{author} is not in {told}")).clone()
}

/// A node below every child of what was asked about, as if all the world lay there.
fn endless(nodes: &Nodes, next: &AtomicU64) -> Response {
    let mut summaries = Vec::new();
    for item in nodes.items.iter() {
        for digit in 0..16 {
            let region: Prefix = item.branch.prefix.child::<4>(digit);
            let any = |n: u64| (next.fetch_add(1, Ordering::Relaxed) << 8 | n).to_be_bytes()[2..].to_vec();
            let branch =
                Branch { prefix: region, children: u16::MAX, hashes: Blob::cut((0..16).flat_map(any).collect()) };
            summaries.push(Summary::Branch(region, branch));
        }
    }
    Response::Nodes(Summaries { done: nodes.items.len() as u32, summaries: List::cut(summaries) })
}

#[test]
fn a_tree_that_never_ends_is_left_and_another_is_asked() {
    let machine = Machine::loopback();
    let (mut ann, mut bob) = pair(&machine, &["general"]);
    for n in 0..600 {
        ann.say(&format!("both have {n}"));
    }
    bob.wait_text("both have 599");
    ann.stop();
    for n in 0..400 {
        bob.say(&format!("only bob has {n}"));
    }
    bob.wait_text("only bob has 399");
    bob.stop();

    let keys = Keypair::from_seed([99; 32]);
    let next = AtomicU64::new(0);
    let (tell, told) = mpsc::sync_channel(1);
    let answers = Answers::of(general(), &keys, move |request| match request {
        Request::Hello(hello) => {
            let root = Fingerprint([7; 32]);
            let difference = Difference { count: 1_000_000, root, later: 0, tail: None };
            let rooms = hello.rooms.iter().map(|_| RoomGreeting::Differs(difference.clone())).collect();
            Some(Response::Hello(Greeting { clock: hello.clock, rooms: List::cut(rooms) }))
        }
        Request::Nodes(nodes) => {
            // Nobody may wait for it any more, or have been told.
            let _ = tell.try_send(());
            Some(endless(nodes, &next))
        }
        other => quiet(other),
    });
    ann.restart();
    let (node, liar) = (tcp(&ann), answers.clone());
    let lie = async move {
        let _member = Member::answering(node, liar).await.unwrap();
        std::future::pending().await
    };
    meanwhile(lie, || {
        told.recv_timeout(PATIENCE).expect("it asks the liar");
        bob.restart();
        ann.wait_text("only bob has 399");
        wait_equal(&ann, &bob, PATIENCE);
        // Left for good, and not only until the next round.
        talk(&bob, &ann, "afterwards", 400);
    });
    let (asked, bytes) = (answers.asked(), answers.bytes());
    assert!(bytes < 256 * 1024, "{asked} questions were answered with {bytes} bytes");
}

#[test]
fn a_bad_signature_ahead_of_its_voucher_costs_no_relay_anything_in_gossip() {
    let machine = Machine::loopback();
    let (ann, bob) = talkative_pair(&machine);
    let keys = Keypair::from_seed([99; 32]);
    let unsigned: Vec<Message> = (0..12)
        .map(|n| text(later(now(), Duration::from_millis(n)), &format!("not signed {n}")).sign(&Forger(keys.author())))
        .map(Result::unwrap)
        .collect();
    let vouchers: Vec<Message> = unsigned
        .iter()
        .enumerate()
        .map(|(n, before)| behind(before, text(Timestamp(before.time().0 + 1), &format!("voucher {n}"))))
        .map(|draft| draft.sign(&keys).unwrap())
        .collect();
    let held: Vec<Message> = unsigned.clone();
    let answers = Answers::of(general(), &keys, move |request| match request {
        // Asked for what its vouchers name it gives that.
        Request::Fetch(Fetch { items, .. }) => {
            let wanted = |message: &&Message| items.iter().any(|item| *item == Wanted::Key(message.key()));
            let found = held.iter().filter(wanted).flat_map(Message::bytes).copied().collect();
            Some(Response::Page(page(items.len(), found)))
        }
        other => quiet(other),
    });
    let node = tcp(&ann);
    let send = async move {
        let member = Member::answering(node, answers).await.unwrap();
        let room = member.room();
        let mut gossip = member.gossip().await.unwrap();
        for (message, voucher) in unsigned.iter().zip(&vouchers) {
            for frame in [message.bytes(), voucher.bytes()] {
                gossip.write_all(&Rpc::default().say(&room, frame).bytes()).await.unwrap();
                gossip.flush().await.unwrap();
            }
        }
        // Those that were not asked for, because a session was under way, come once more.
        sleep(Duration::from_secs(1)).await;
        for (message, voucher) in unsigned.iter().zip(&vouchers) {
            let both = [message.bytes(), voucher.bytes()].concat();
            gossip.write_all(&Rpc::default().say(&room, &both).bytes()).await.unwrap();
        }
        gossip.flush().await.unwrap();
        std::future::pending().await
    };
    meanwhile(send, || {
        for n in 0..12 {
            for chat in [&ann, &bob] {
                chat.wait_text(&format!("voucher {n}"));
                chat.wait_text(&format!("not signed {n}"));
            }
        }
        wait_equal(&ann, &bob, PATIENCE);
        nobody_was_charged(&[&ann, &bob]);
    });
}

#[test]
fn nor_in_sync_however_much_of_it_there_is() {
    let machine = Machine::loopback();
    let start = |name| machine.chat(name).room("general").options(["--log", "debug"]);
    let ann = start("ann").start();
    ann.say_and_wait("hello");
    let (keys, answers) = a_quiet_one();
    // Three mebibytes of today that bear no signature, and who vouches for them is of next year.
    let mut chain: Vec<Message> = Vec::new();
    for n in 0..200 {
        let draft = text(later(now(), Duration::from_millis(n)), &format!("{n} {}", "x".repeat(16_000)));
        let draft = chain.last().map_or(draft.clone(), |before| behind(before, draft.clone()));
        chain.push(draft.sign(&Forger(keys.author())).unwrap());
    }
    let next_year = later(now(), Duration::from_secs(365 * 86_400));
    let voucher = behind(chain.last().unwrap(), text(next_year, "from the future")).sign(&keys).unwrap();
    let node = tcp(&ann);
    run(async {
        let member = Member::answering(node, answers).await.unwrap();
        assert_eq!(give(&member, &chain[190..]).await, 0, "nobody vouches for them yet");
        chain.reverse();
        assert_eq!(give(&member, &[voucher]).await, 1);
        assert_eq!(give(&member, &chain).await, 200);
    });
    let bob = start("bob").start();
    // A peer that is thought to lead nowhere is left alone for a minute.
    wait_equal(&ann, &bob, Duration::from_secs(40));
    assert_eq!(bob.fingerprint().missing, 0);
    let charged: Vec<String> =
        [&ann, &bob].iter().flat_map(|chat| chat.stderr()).filter(|line| line.contains("charged")).collect();
    assert!(charged.is_empty(), "{charged:?}");
}

/// A reference to a message that there is not.
fn nobodys(time: Timestamp, n: u64) -> Key {
    let mut id = [0xee; 32];
    id[..8].copy_from_slice(&n.to_be_bytes());
    Key { time: Timestamp(time.0 - 1_000_000), id: MessageId(id) }
}

#[test]
fn refs_to_nothing_by_the_ten_thousand_are_bounded_and_shown_by_claimant() {
    let Scene { _alone, _machine, ann, bob, node, memory } = Scene::begin();
    let keys = Keypair::from_seed([99; 32]);
    let author = keys.author();
    let asked_for = Arc::new(Mutex::new(Vec::new()));
    let noted = asked_for.clone();
    let answers = Answers::of(general(), &keys, move |request| {
        if let Request::Fetch(Fetch { items, .. }) = request {
            let keys = items.iter().filter_map(|item| if let Wanted::Key(key) = item { Some(*key) } else { None });
            noted.lock().unwrap().extend(keys);
        }
        quiet(request)
    });
    // Each names nine, of which one as what it follows, and leaves out a number.
    let start = now();
    let count = 6000;
    let messages: Vec<Message> = (0..count)
        .map(|n| {
            let time = Timestamp(start.0 + n);
            let draft = Draft {
                seq: 2 * n + 1,
                prev: Some(nobodys(start, 9 * n)),
                seen: (1..9).map(|m| nobodys(start, 9 * n + m)).collect(),
                kind: 77,
                ..text(time, "")
            };
            draft.sign(&keys).unwrap()
        })
        .collect();
    let (first, rest) = messages.split_at(600);
    let (first, rest) = (first.to_vec(), rest.to_vec());
    let (tell, told) = mpsc::sync_channel(1);
    let lie = async move {
        let member = Member::answering(node, answers).await.unwrap();
        let room = member.room();
        let mut gossip = member.gossip().await.unwrap();
        for frame in first.chunks(100) {
            let frame: Vec<u8> = frame.iter().flat_map(Message::bytes).copied().collect();
            gossip.write_all(&Rpc::default().say(&room, &frame).bytes()).await.unwrap();
            gossip.flush().await.unwrap();
        }
        assert_eq!(give(&member, &rest).await, rest.len() as u32);
        let _ = tell.send(());
        std::future::pending().await
    };
    meanwhile(lie, || {
        told.recv_timeout(PATIENCE).expect("all of it is taken");
        wait_equal(&ann, &bob, PATIENCE);
        talk(&bob, &ann, "meanwhile", 200);
        let missing = ann.fingerprint().missing;
        assert!((count..=count + 4096).contains(&missing), "{missing} are missing");
        for chat in [&ann, &bob] {
            let liar = member(chat, &author);
            assert_eq!((&liar["messages"], liar["forked"].as_bool()), (&count.into(), Some(false)));
            assert!(liar["missing"].as_u64().is_some_and(|of_it| (count..=missing).contains(&of_it)), "{liar}");
        }
        let others = ann.ask("/who", "members");
        let others = others["members"].as_array().unwrap().iter().filter(|one| one["author"] != author.to_string());
        assert!(others.map(|one| one["missing"].as_u64()).all(|missing| missing == Some(0)), "nobody else says so");
    });
    // Once each, and only what came by gossip: by then the rounds would find the others.
    let mut asked = asked_for.lock().unwrap().clone();
    let all = asked.len();
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), all, "it asks again");
    assert!(all <= 600 * 9);
    // Most of that is what any three megabytes at once take: the database's caches, and what is on its way to it.
    memory.has_not_grown_by(4 * GROWTH);
}

#[test]
fn forks_by_the_thousand_are_one_mark() {
    let Scene { _alone, _machine, mut ann, bob, node, memory } = Scene::begin();
    let (keys, answers) = a_quiet_one();
    let author = keys.author();
    let start = now();
    let forks: Vec<Message> =
        (0..5000).map(|n| text(Timestamp(start.0 + n), &format!("fork {n}")).sign(&keys).unwrap()).collect();
    run(async {
        let member = Member::answering(node, answers).await.unwrap();
        assert_eq!(give(&member, &forks).await, 5000);
    });
    wait_equal(&ann, &bob, PATIENCE);
    bob.wait_text("fork 4999");
    talk(&bob, &ann, "meanwhile", 200);
    for chat in [&ann, &bob] {
        let forker = member(chat, &author);
        assert_eq!((forker["messages"].as_u64(), forker["forked"].as_bool()), (Some(5000), Some(true)));
        let told = chat.events().iter().filter(|event| is(event, "error") && event["code"] == "forked").count();
        assert_eq!(told, 1, "once");
    }
    memory.has_not_grown_by(2 * GROWTH);
    // It is not told again after a restart, and still known.
    let before = ann.fingerprint();
    ann.restart();
    assert_eq!(ann.fingerprint(), before);
    assert_eq!(member(&ann, &author)["forked"], true);
    assert!(!ann.events().iter().any(|event| event["code"] == "forked"));
}

#[test]
fn what_is_forged_foreign_or_old_is_not_shown_and_what_contradicts_itself_is() {
    let machine = Machine::loopback();
    let (ann, bob) = talkative_pair(&machine);
    bob.say_and_wait("what bob said");
    ann.wait_text("what bob said");
    let (keys, answers) = a_quiet_one();
    let author = keys.author();
    let bobs_key: Vec<u8> =
        (0..64).step_by(2).map(|at| u8::from_str_radix(&bob.author()[at..at + 2], 16).unwrap()).collect();
    let as_bob = Forger(AuthorId(bobs_key.try_into().unwrap()));
    let forged = text(now(), "what bob never said").sign(&as_bob).unwrap();
    // Another vouches for it: that is worth nothing.
    let abetted = behind(&forged, text(Timestamp(forged.time().0 + 1), "bob said that")).sign(&keys).unwrap();
    let [one, two] = ["one thing", "another thing"].map(|what| text(now(), what).sign(&keys).unwrap());
    let elsewhere = RoomId::of(&RoomName::parse("elsewhere").unwrap());
    let foreign = Draft { room: elsewhere, ..text(now(), "said elsewhere") }.sign(&keys).unwrap();
    let node = tcp(&ann);
    let gone = run(async {
        let mut member = Member::answering(node, answers).await.unwrap();
        let everything =
            Range { region: Prefix::EMPTY, from: None, below: None, filter: Filter::Except(Blob::default()) };
        let items = List::cut(vec![Wanted::Range(everything)]);
        let fetch = Fetch { handle: member.handle(), upper: Timestamp::MAX, nonce: 1, items };
        let Response::Page(old) = member.ask(&Request::Fetch(fetch)).await.unwrap() else { panic!("no page") };
        let old = Message::decode_all(&old.messages).unwrap();
        assert!(old.iter().any(|message| message.body() == b"what bob said"));
        let room = member.room();
        let mut gossip = member.gossip().await.unwrap();
        let mut frames: Vec<Vec<u8>> = [&forged, &abetted, &one, &two].map(|message| message.bytes().to_vec()).into();
        frames.extend(old.iter().map(|message| message.bytes().repeat(3)));
        // The ninth is one too many.
        frames.extend((0..9).map(|n| [foreign.bytes().to_vec(), old[0].bytes().repeat(n)].concat()));
        for frame in frames {
            gossip.write_all(&Rpc::default().say(&room, &frame).bytes()).await.unwrap();
        }
        gossip.flush().await.unwrap();
        tokio::time::timeout(PATIENCE, member.connection().ended()).await.is_ok()
    });
    assert!(gone, "who sends what is of another room is sent away");
    talk(&bob, &ann, "afterwards", 10);
    let history = converged(&[&ann, &bob], &BTreeSet::new(), PATIENCE);
    let count = |what: &str| history.iter().filter(|message| message.text == what).count();
    assert_eq!(["what bob said", "bob said that", "one thing", "another thing"].map(count), [1; 4]);
    assert_eq!(["what bob never said", "said elsewhere"].map(count), [0; 2]);
    for chat in [&ann, &bob] {
        let liar = member(chat, &author);
        assert_eq!((liar["forked"].as_bool(), liar["missing"].as_u64()), (Some(true), Some(1)), "{liar}");
        let shown =
            chat.events().iter().filter(|event| is(event, "message") && event["text"] == "what bob said").count();
        assert_eq!(shown, 1);
    }
    assert!(ann.stderr().iter().any(|line| line.contains("charged")), "so that what is not charged would be seen");
    let charged: Vec<String> = bob.stderr().into_iter().filter(|line| line.contains("charged")).collect();
    assert!(charged.is_empty(), "{charged:?}");
}

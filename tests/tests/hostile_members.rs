//! Members who say more than anybody can read, and who say again what others have said: the others go on talking.

use std::{
    collections::BTreeMap,
    iter,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use distchat_crdt::{
    Message, RoomId, RoomName, Timestamp,
    sync::{MAX_GOSSIP, Response},
};
use distchat_hostile::{Member, Rpc};
use distchat_tests::{Chat, Machine, PATIENCE, is};
use futures::AsyncWriteExt;
use tokio::time::sleep;

use crate::{
    common::{heavy, pair},
    hostile::{GROWTH, Memory, Scene, agree, meanwhile, run, talk, tcp},
};

fn general() -> RoomId {
    RoomId::of(&RoomName::parse("general").unwrap())
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap())
}

fn frame(messages: &[Message]) -> Vec<u8> {
    messages.iter().flat_map(Message::bytes).copied().collect()
}

/// Says a hundred thousand things a second, or as many as it gets rid of, until it is sent away.
async fn flood(node: std::net::SocketAddr, sent: &AtomicUsize, over: &AtomicBool) {
    let member = Member::of(node, general()).await.unwrap();
    let room = member.room();
    let run = member.run(60_000, now(), |n| format!("flood {n}"));
    let longest = run.iter().map(|message| message.bytes().len()).max().unwrap();
    let mut gossip = member.gossip().await.unwrap();
    // Its messages again and again, in frames that nobody has seen.
    for count in iter::successors(Some(MAX_GOSSIP / longest), |count| Some((count - 1).max(2))) {
        for messages in run.chunks(count) {
            if gossip.write_all(&Rpc::default().say(&room, &frame(messages)).bytes()).await.is_err() {
                over.store(true, Ordering::Relaxed);
                return;
            }
            sent.fetch_add(messages.len(), Ordering::Relaxed);
        }
    }
}

#[test]
fn a_member_who_floods_is_slowed_and_then_sent_away() {
    let Scene { _alone, _machine, ann, bob, node, memory } = Scene::begin();
    let (sent, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    meanwhile(flood(node, &sent, &over), || {
        talk(&bob, &ann, "during the flood", 1000);
        ann.wait_for("what it says of the flood", PATIENCE, |event| {
            is(event, "error")
                && event["message"].as_str().is_some_and(|message| message.contains("more than can be read"))
        });
        talk(&ann, &bob, "afterwards", 100);
    });
    assert!(over.load(Ordering::Relaxed), "it is sent away");
    // What is on its way to others, and what gossipsub keeps for those who have missed it: some seconds of what is taken.
    memory.has_not_grown_by(10 * GROWTH);
    agree(&ann, &bob);
}

/// What others wait for each other's messages meanwhile.
fn latencies(from: &Chat, to: &Chat, topic: &str, count: usize) -> Vec<Duration> {
    let mark = to.mark();
    let start = Instant::now();
    let due = |n: usize| start + Duration::from_millis(5) * u32::try_from(n).unwrap();
    let mut heard = BTreeMap::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..count {
                thread::sleep(due(n).saturating_duration_since(Instant::now()));
                from.say(&format!("{topic} {n}"));
            }
        });
        to.wait_from(mark, "all that is said", 2 * PATIENCE, |event| {
            let number = event["text"].as_str().and_then(|text| text.strip_prefix(topic)?.trim().parse().ok());
            if let Some(number) = number.filter(|_| is(event, "message")) {
                heard.entry(number).or_insert_with(|| due(number).elapsed());
            }
            heard.len() == count
        });
    });
    let mut all: Vec<Duration> = heard.into_values().collect();
    all.sort_unstable();
    all
}

fn show(what: &str, all: &[Duration]) {
    let at = |percent: usize| all[(all.len() * percent / 100).min(all.len() - 1)];
    eprintln!("{what}: p50 {:?}, p90 {:?}, p99 {:?}, worst {:?}", at(50), at(90), at(99), all[all.len() - 1]);
}

/// With a program that is optimised, and nothing else on the machine: `DISTCHAT_BIN` names one.
#[test]
#[ignore = "a measurement: how long others wait for each other's messages during a flood"]
fn how_long_others_wait_during_a_flood() {
    let Scene { _alone, _machine, ann, bob, node, memory: _ } = Scene::begin();
    show("quiet", &latencies(&bob, &ann, "quiet", 2000));
    let (sent, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    meanwhile(flood(node, &sent, &over), || {
        while sent.load(Ordering::Relaxed) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let start = Instant::now();
        show("flood", &latencies(&bob, &ann, "flood of others", 2000));
        let rate = sent.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
        eprintln!("meanwhile {rate:.0} messages/s were sent; sent away: {}", over.load(Ordering::Relaxed));
    });
}

#[test]
fn what_others_have_said_is_not_passed_on_again() {
    const FRAMES: usize = 10_000;
    let _alone = heavy();
    let machine = Machine::loopback();
    let (ann, bob) = pair(&machine, &["general"]);
    let node = tcp(&ann);
    for n in 0..150 {
        ann.say(&format!("said {n}"));
    }
    bob.wait_text("said 149");
    let memory = Memory::of(&ann);
    run(async {
        let mut observer = Member::of(node, general()).await.unwrap();
        let _mesh = observer.gossip().await.unwrap();
        let replayer = Member::of(node, general()).await.unwrap();
        let room = replayer.room();
        let Response::Page(page) = replayer.ask(&replayer.everything(None)).await.unwrap() else { panic!() };
        let old = Message::decode_all(&page.messages).unwrap();
        assert!(old.len() >= 150);
        let mut gossip = replayer.gossip().await.unwrap();
        // So that it is passed on what is passed on at all.
        let mut own = replayer.run(201, now(), |n| format!("news {n}")).into_iter();
        let first = own.next().unwrap();
        gossip.write_all(&Rpc::default().say(&room, first.bytes()).bytes()).await.unwrap();
        gossip.flush().await.unwrap();
        while observer.connection().heard() < first.bytes().len() {
            sleep(Duration::from_millis(10)).await;
        }
        let before = observer.connection().heard();
        for n in 0..FRAMES {
            let two = [old[n % old.len()].clone(), old[(n / old.len() + n) % old.len()].clone()];
            gossip.write_all(&Rpc::default().say(&room, &frame(&two)).bytes()).await.unwrap();
        }
        // And with one new message to take many old ones along.
        for new in own.by_ref().take(100) {
            let mut messages = old.clone();
            messages.push(new);
            gossip.write_all(&Rpc::default().say(&room, &frame(&messages)).bytes()).await.unwrap();
        }
        // Once one of these is heard all before it have been: gossip may lose some.
        for new in own {
            gossip.write_all(&Rpc::default().say(&room, new.bytes()).bytes()).await.unwrap();
            gossip.flush().await.unwrap();
            sleep(Duration::from_millis(20)).await;
        }
        ann.wait_text("news 200");
        let heard = observer.connection().heard() - before;
        assert!(heard < 256 * 1024, "{heard} bytes were passed on");
    });
    memory.has_not_grown_by(GROWTH);
    talk(&bob, &ann, "afterwards", 100);
    agree(&ann, &bob);
}

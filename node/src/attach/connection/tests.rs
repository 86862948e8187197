//! Guests that do not read, or leave, in the middle of what they asked for.

use std::sync::Arc;

use distchat_node::{Config, RoomName, RoomState};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::task::JoinHandle;

use super::*;
use crate::attach::perform::CRASHES;
use crate::attach::wire::{Answer, Request, Which};

/// Far more than any of this takes.
const LONG: Duration = Duration::from_secs(60);

async fn node() -> Node {
    Node::start(Config { memory: true, offline: true, ..Config::default() }).await.unwrap()
}

fn name(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

/// A guest's end of the socket, and who attends to it.
fn connect(node: &Node) -> (Stream, JoinHandle<()>) {
    let (guest, stream) = Stream::pair().unwrap();
    let host = Host { node: node.clone(), face: Face::Daemon, stop: CancellationToken::new() };
    (guest, tokio::spawn(attend(stream, Arc::new(host))))
}

async fn ask(guest: &mut Stream, questions: impl IntoIterator<Item = Request>) {
    let mut lines = String::new();
    for (id, request) in (1..).zip(questions) {
        lines += &serde_json::to_string(&Asked { id, request }).unwrap();
        lines.push('\n');
    }
    guest.write_all(lines.as_bytes()).await.unwrap();
}

/// Until that one has happened.
async fn until(events: &mut Events, mut so: impl FnMut(&Event) -> bool) {
    let happened = async { while !so(&events.next().await.unwrap()) {} };
    tokio::time::timeout(LONG, happened).await.expect("it happens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_does_not_read_is_in_nobodys_way() {
    let node = node().await;
    let full = node.open_room(&name("full")).await.unwrap();
    let text = "x".repeat(distchat_node::MAX_BODY);
    futures::future::try_join_all((0..64).map(|_| full.broadcast(&text))).await.unwrap();

    let (mut guest, attending) = connect(&node);
    // The rooms wait for each other, and one has its turn, when the last question is answered with more than a socket holds.
    let much = Request::Messages { room: name("full"), which: Which::Newest, count: 64 };
    let rooms = (0..200).map(|n| name(&format!("room-{n}")));
    ask(&mut guest, rooms.map(|room| Request::Open { room }).chain([much])).await;
    let opened = tokio::time::timeout(LONG, async {
        while node.room(&name("room-199")).is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        node.open_room(&name("another")).await.unwrap();
    });
    opened.await.expect("others can open rooms");
    drop(guest);
    attending.await.unwrap();
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_for_is_done_though_whoever_asked_has_left() {
    let node = node().await;
    let left = name("left");
    node.open_room(&left).await.unwrap();
    let mut events = node.events();
    let (mut guest, attending) = connect(&node);
    let says = (0..200).map(|n| Request::Say { room: name("left"), text: format!("line {n}") });
    ask(&mut guest, says.chain([Request::Leave { room: name("left") }])).await;
    // Only that direction: closing a socket with answers unread throws away the questions, too.
    guest.shutdown().await.unwrap();
    until(&mut events, |event| matches!(event, Event::Room { room, state: RoomState::Left, .. } if *room == left))
        .await;
    tokio::time::timeout(LONG, attending).await.expect("its place falls free").unwrap();
    let room = node.open_room(&left).await.unwrap();
    let said = room.messages(1000).await.unwrap().into_iter().map(|message| message.text).collect::<Vec<_>>();
    assert_eq!(said, (0..200).map(|n| format!("line {n}")).collect::<Vec<_>>());
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_others_and_leaves_is_not_waited_for() {
    let node = node().await;
    let room = node.open_room(&name("quiet")).await.unwrap();
    let said = room.broadcast("is anybody there?").await.unwrap();
    let (mut guest, attending) = connect(&node);
    ask(&mut guest, [Request::OnDisks { room: name("quiet"), key: said.key, others: 1 }]).await;
    drop(guest);
    tokio::time::timeout(LONG, attending).await.expect("its place falls free").unwrap();
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_take_effect_in_the_order_in_which_they_are_asked() {
    let node = node().await;
    let (guest, attending) = connect(&node);
    let (reader, mut writer) = guest.into_split();
    let mut lines = BufReader::new(reader).lines();
    // Its hello.
    lines.next_line().await.unwrap().unwrap();
    for round in 0..20 {
        let room = name(&format!("round-{round}"));
        let say = |n| Request::Say { room: room.clone(), text: format!("line {n}") };
        let open = Request::Open { room: room.clone() };
        node.open_room(&room).await.unwrap();
        let questions = (0..100).map(say).chain([Request::Leave { room: room.clone() }, open]).collect::<Vec<_>>();
        for (id, request) in questions.iter().enumerate() {
            let asked = Asked { id: id as u64, request: request.clone() };
            writer.write_all((serde_json::to_string(&asked).unwrap() + "\n").as_bytes()).await.unwrap();
        }
        for _ in &questions {
            let line = tokio::time::timeout(LONG, lines.next_line()).await.expect("an answer").unwrap().unwrap();
            assert!(matches!(serde_json::from_str(&line).unwrap(), Told::Answer { .. }), "{line}");
        }
        let said = node.room(&room).unwrap().messages(100).await.unwrap();
        assert!(said.iter().map(|message| message.text.clone()).eq((0..100).map(|n| format!("line {n}"))));
    }
    drop((lines, writer));
    attending.await.unwrap();
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_the_node_crashes_over_is_answered_so_and_the_others_go_on() {
    let node = node().await;
    let room = node.open_room(&name("quiet")).await.unwrap();
    let said = room.broadcast("is anybody there?").await.unwrap();
    let (mut guest, attending) = connect(&node);
    let waits = Request::OnDisks { room: name("quiet"), key: said.key, others: 1 };
    let crashes = Request::Search { words: CRASHES.to_owned(), limit: 1 };
    let say = Request::Say { room: name("quiet"), text: "hello?".to_owned() };
    ask(&mut guest, [waits, crashes, say, Request::Counters, Request::Leave { room: name("quiet") }]).await;
    let mut lines = BufReader::new(guest).lines();
    // Its hello.
    lines.next_line().await.unwrap().unwrap();
    let mut told = std::collections::BTreeMap::new();
    while told.len() < 5 {
        let line = tokio::time::timeout(LONG, lines.next_line()).await.expect("an answer").unwrap().unwrap();
        match serde_json::from_str(&line).unwrap() {
            Told::Answer { id, .. } => told.insert(id, Ok(())),
            Told::Problem { id, problem } => told.insert(id, Err(problem)),
            other => panic!("{other:?}"),
        };
    }
    let crashed = told.remove(&2).unwrap().unwrap_err();
    assert_eq!(crashed.code, "crashed");
    assert!(crashed.message.contains(CRASHES), "it says what happened: {crashed}");
    // The one that waited is told that the room was left, as it would be without the crash.
    assert_eq!(told.remove(&1).unwrap().unwrap_err().code, "room-not-open");
    assert!(told.values().all(Result::is_ok), "{told:?}");
    drop(lines);
    tokio::time::timeout(LONG, attending).await.expect("its place falls free").unwrap();
    node.shutdown().await;
}

#[test]
fn an_answer_that_is_too_long_is_a_problem_of_that_question() {
    let answer = |count| Told::Answer { id: 7, answer: Answer::Receipts(vec![None; count]) };
    let short = line(&answer(10), 200).unwrap();
    assert!(matches!(serde_json::from_str(&short).unwrap(), Told::Answer { id: 7, .. }), "{short}");
    let long = line(&answer(1000), 200).unwrap();
    let Told::Problem { id: 7, problem } = serde_json::from_str(&long).unwrap() else { panic!("{long}") };
    assert_eq!(problem.code, "answer-too-long");
    assert!(line(&Told::State { state: State::default() }, 10).is_none());
}

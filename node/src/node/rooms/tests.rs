//! Importing while everything fails; nodes without a network; the rooms that are known.

use std::sync::mpsc::sync_channel;

use crate::node::tests::config;
use crate::{Config, ConnectError, Event, Imported, Node, Room, RoomError, RoomState, Verified};

async fn offline(name: &str) -> (Node, Room) {
    let node = Node::start(Config { offline: true, ..config(name) }).await.unwrap();
    let room = node.open_room(&"general".parse().unwrap()).await.unwrap();
    (node, room)
}

/// What somebody else has said.
async fn said(count: usize) -> Vec<Vec<u8>> {
    let (node, room) = offline("somebody").await;
    for n in 0..count {
        room.broadcast(&format!("line {n}")).await.unwrap();
    }
    let page = room.export(None, usize::MAX).await.unwrap();
    assert_eq!((page.messages.len(), page.next), (count + 1, None), "and the name");
    node.shutdown().await;
    page.messages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_a_crash_interrupts_is_told_as_it_is() {
    let messages = said(5).await;
    let (node, room) = offline("alice").await;
    let store = node.0.shared.store.clone();
    let mut events = node.events();
    let (release, held) = sync_channel(0);
    store.hold(held).await;
    let importing = {
        let (room, messages) = (room.clone(), messages.clone());
        tokio::spawn(async move { room.import(messages).await })
    };
    while store.queued() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    // It is on its way to the disk when the task crashes, and gets there.
    room.crash().await.unwrap();
    let restarted = |event: &Event| matches!(event, Event::Room { state: RoomState::Restarted, .. });
    while !restarted(&events.next().await.unwrap()) {}
    drop(release);
    assert_eq!(importing.await.unwrap(), Ok(Imported { new: 6, ..Imported::default() }));
    assert_eq!(room.import(messages).await, Ok(Imported { known: 6, ..Imported::default() }));
    assert_eq!(room.messages(9).await.unwrap().len(), 5);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_does_not_fit_the_disk_took_nothing_in() {
    let messages = said(5).await;
    let (node, room) = offline("alice").await;
    let store = node.0.shared.store.clone();
    store.sql("CREATE TEMP TRIGGER full BEFORE INSERT ON message BEGIN SELECT RAISE(ABORT, 'no space'); END").await;
    assert!(matches!(room.import(messages.clone()).await, Err(RoomError::Store(_))));
    store.sql("DROP TRIGGER full").await;
    assert_eq!(room.import(messages).await, Ok(Imported { new: 6, ..Imported::default() }));
    let too_long = room.import(vec![Vec::new(); crate::MAX_CARRY_PAGE + 1]).await.unwrap_err();
    assert_eq!(too_long.code(), "page-too-long");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_offline_has_no_network() {
    let temp = tempfile::tempdir().unwrap();
    let run_dir = temp.path().join("run");
    let config = Config {
        offline: true,
        memory: false,
        data_dir: Some(temp.path().join("data")),
        run_dir: Some(run_dir.clone()),
        same_machine: true,
        mdns: true,
        connect: vec!["/ip4/127.0.0.1/tcp/9".parse().unwrap()],
        ..config("alice")
    };
    let node = Node::start(config).await.unwrap();
    assert_eq!(node.listeners(), []);
    let dialled = node.connect("/ip4/127.0.0.1/tcp/9".parse().unwrap()).await;
    assert_eq!(dialled, Err(ConnectError::Offline));
    let room = node.open_room(&"general".parse().unwrap()).await.unwrap();
    room.broadcast("to whom it may concern").await.unwrap();
    assert_eq!(node.peers(), []);
    assert_eq!(node.seen_rooms(9).await.unwrap(), []);
    node.leave_room(room.name()).await.unwrap();
    let room = node.open_room(room.name()).await.unwrap();
    assert_eq!(room.messages(9).await.unwrap().len(), 1);
    node.shutdown().await;
    assert!(!run_dir.exists(), "it has not announced itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_on_disk_and_rooms_of_peers_are_known() {
    let (alice, bob) = (Node::start(config("alice")).await.unwrap(), Node::start(config("bob")).await.unwrap());
    let name = |text: &str| text.parse::<crate::RoomName>().unwrap();
    let stored = |rooms: Vec<crate::StoredRoom>| -> Vec<(String, u64)> {
        rooms.into_iter().map(|room| (room.name.to_string(), room.messages)).collect()
    };
    assert_eq!(alice.stored_rooms().await.unwrap(), []);
    for text in ["whales", "general"] {
        alice.open_room(&name(text)).await.unwrap().broadcast("hello").await.unwrap();
    }
    alice.leave_room(&name("whales")).await.unwrap();
    alice.open_room(&name("empty")).await.unwrap();
    let expect = [("empty", 0), ("general", 2), ("whales", 2)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(stored(alice.stored_rooms().await.unwrap()), expect);

    for text in ["whales", "secret", "general"] {
        bob.open_room(&name(text)).await.unwrap();
    }
    alice.connect(bob.listeners().remove(0)).await.unwrap();
    // What peers subscribe to is no event.
    let seen = loop {
        let seen = alice.seen_rooms(9).await.unwrap();
        if seen.len() == 3 {
            break seen;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    assert_eq!(
        seen.iter().map(|room| room.name.clone()).collect::<Vec<_>>(),
        [Some(name("general")), Some(name("whales")), None]
    );
    assert!(seen.iter().all(|room| room.peers == [bob.peer_id()]));
    assert_eq!(seen[2].topic, crate::RoomId::of(&name("secret")).topic());
    assert_eq!(alice.seen_rooms(1).await.unwrap(), seen[..1]);
    bob.shutdown().await;
    while !alice.seen_rooms(9).await.unwrap().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    alice.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_memory_is_judged_too() {
    let (node, room) = offline("alice").await;
    for n in 0..50 {
        room.broadcast(&format!("line {n}")).await.unwrap();
    }
    let mut verification = node.verify().await.unwrap();
    assert_eq!(verification.step().await.unwrap(), Some(Verified::Store { problems: vec![] }));
    let Some(Verified::Room(report)) = verification.step().await.unwrap() else { panic!("no report") };
    assert!(report.is_fine(), "{report:?}");
    assert_eq!((report.messages, report.fine), (51, 51));
    assert_eq!(report.fingerprint, room.fingerprint().await.unwrap().fingerprint);
    assert_eq!(verification.step().await.unwrap(), None);

    node.0.shared.store.sql("UPDATE message SET kind = 1 WHERE kind = 0 AND seq = 7").await;
    let mut verification = node.verify().await.unwrap();
    verification.step().await.unwrap();
    let Some(Verified::Room(report)) = verification.step().await.unwrap() else { panic!("no report") };
    assert_eq!((report.problems.len(), report.fine), (1, 50), "{report:?}");
    assert_eq!(report.problems[0].fault.code(), "column");
    node.shutdown().await;
}

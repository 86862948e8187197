//! Rooms whose tasks, disks and memories fail at the worst moment.

use std::{sync::mpsc::sync_channel, time::Duration};

use super::*;
use crate::restart::MAX_RESTARTS;

pub(super) fn config(name: &str) -> Config {
    Config {
        profile: name.into(),
        memory: true,
        mdns: false,
        same_machine: false,
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        ..Config::default()
    }
}

async fn start(name: &str) -> (Node, Room) {
    let node = Node::start(config(name)).await.unwrap();
    let room = node.open_room(&"general".parse().unwrap()).await.unwrap();
    (node, room)
}

async fn texts(room: &Room) -> Vec<(String, String)> {
    room.messages(100).await.unwrap().into_iter().map(|message| (message.nick, message.text)).collect()
}

/// Until it is so. What is looked at tells nobody when it changes.
async fn until(so: impl Fn() -> bool) {
    while !so() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_at_the_crash_that_was_one_too_many_is_told_as_it_is() {
    let (node, room) = start("alice").await;
    let mut events = node.events();
    for _ in 0..MAX_RESTARTS {
        room.crash().await.unwrap();
        let restarted = |event: &Event| matches!(event, Event::Room { state: RoomState::Restarted, .. });
        while !restarted(&events.next().await.unwrap()) {}
        room.fingerprint().await.unwrap();
    }
    let store = node.0.shared.store.clone();
    let (release, held) = sync_channel(0);
    store.hold(held).await;
    let said = {
        let room = room.clone();
        tokio::spawn(async move { room.broadcast("famous last words").await })
    };
    until(|| store.queued() > 0).await;
    room.crash().await.unwrap();
    // Either somebody waits for the store, or the room is given up without that.
    until(|| store.queued() > 1 || room.info().state == RoomState::Failed).await;
    if room.info().state != RoomState::Failed {
        drop(release);
    }
    assert_eq!(said.await.unwrap().map(|message| message.text), Ok("famous last words".to_owned()));
    let failed = |event: &Event| matches!(event, Event::Room { state: RoomState::Failed, .. });
    while !failed(&events.next().await.unwrap()) {}
    room.restart().await.unwrap();
    until(|| room.info().state == RoomState::Restarted).await;
    assert_eq!(texts(&room).await, [("alice".into(), "famous last words".into())]);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_did_not_come_to_the_disk_is_said_again() {
    let (node, room) = start("alice").await;
    let (store, mut events) = (node.0.shared.store.clone(), node.events());
    store.sql("CREATE TEMP TRIGGER full BEFORE INSERT ON message BEGIN SELECT RAISE(ABORT, 'no space'); END").await;
    room.broadcast("lost").await.unwrap_err();
    store.sql("DROP TRIGGER full").await;
    // What is said before the room is loaded again is refused, and whoever says it is told.
    let restarted = |event: &Event| matches!(event, Event::Room { state: RoomState::Restarted, .. });
    while !restarted(&events.next().await.unwrap()) {}
    room.broadcast("found").await.unwrap();
    assert_eq!(texts(&room).await, [("alice".into(), "found".into())]);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_at_once_is_said_in_order() {
    let (node, room) = start("alice").await;
    // Many more than a room has waiting for it, so that most have to wait for their place.
    for round in 0..5 {
        let saying = (0..2000).map(|n| {
            let room = room.clone();
            async move { room.broadcast(&format!("line {n}")).await.unwrap() }
        });
        let said = futures::future::join_all(saying).await;
        let moved = said.windows(2).position(|pair| pair[0].seq >= pair[1].seq);
        assert_eq!(moved.map(|at| (&said[at].text, &said[at + 1].text)), None, "in round {round}");
    }
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_waiting_for_the_end_does_not_stop_the_end() {
    let disk = tempfile::tempdir().unwrap();
    let config = Config { memory: false, data_dir: Some(disk.path().to_owned()), ..config("alice") };
    let node = Node::start(config.clone()).await.unwrap();
    let store = node.0.shared.store.clone();
    let (release, held) = sync_channel(0);
    store.hold(held).await;
    tokio::time::timeout(Duration::from_millis(100), node.shutdown()).await.unwrap_err();
    drop(release);
    node.shutdown().await;
    // The profile is free.
    let next = Node::start(config).await.unwrap();
    next.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_waiting_for_a_room_to_be_left_has_left_it_all_the_same() {
    let (node, mut room) = start("alice").await;
    let name = room.name().clone();
    room.broadcast("hello").await.unwrap();
    let (store, mut events) = (node.0.shared.store.clone(), node.events());
    for so_far in ["as soon as it began", "while the disk was waited for"] {
        let (release, held) = sync_channel(0);
        store.hold(held).await;
        let mut leaving = Box::pin(node.leave_room(&name));
        assert!((&mut leaving).now_or_never().is_none(), "the store stands still");
        if so_far != "as soon as it began" {
            tokio::select! {
                _ = &mut leaving => panic!("the store stands still"),
                () = until(|| store.queued() > 0) => {}
            }
        }
        drop(leaving);
        assert!(node.room(&name).is_none(), "{so_far}");
        drop(release);
        let left = tokio::time::timeout(Duration::from_secs(60), wait_state(&mut events, RoomState::Left));
        left.await.unwrap_or_else(|_| panic!("it stays: {so_far}"));
        assert_eq!(room.broadcast("still here?").await, Err(RoomError::Left(name.clone())), "{so_far}");
        // Nothing of it is in the way of those who come back, and they have what was said.
        room = node.open_room(&name).await.unwrap();
        assert_eq!(texts(&room).await, [("alice".into(), "hello".into())]);
    }
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_waiting_for_their_turn_to_leave_a_room_is_still_in_it() {
    let (node, room) = start("alice").await;
    let turn = node.0.opening.lock().await;
    assert!(node.leave_room(room.name()).now_or_never().is_none());
    drop(turn);
    // Whoever came next would find it gone.
    node.open_room(&"other".parse().unwrap()).await.unwrap();
    assert!(node.room(room.name()).is_some());
    room.broadcast("still here").await.unwrap();
    node.shutdown().await;
}

/// In one thread, so that the network answers when this waits, and not before.
#[tokio::test]
async fn who_stops_waiting_for_a_room_that_is_being_entered_leaves_none_that_nobody_knows() {
    let node = Node::start(config("alice")).await.unwrap();
    let (store, name) = (node.0.shared.store.clone(), "general".parse().unwrap());
    let mut opening = Box::pin(node.open_room(&name));
    for _ in 0..10 {
        assert!((&mut opening).now_or_never().is_none(), "the network stands still");
        // As far as it comes without the network.
        futures::executor::block_on(store.settle()).unwrap();
    }
    drop(opening);
    let entered = tokio::time::timeout(Duration::from_secs(60), until(|| node.room(&name).is_some()));
    entered.await.expect("the room that was entered is known");
    let room = node.open_room(&name).await.unwrap();
    room.broadcast("hello").await.unwrap();
    assert_eq!((node.rooms().len(), texts(&room).await.len()), (1, 1));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_messages_are_read_while_the_history_is_loaded() {
    let disk = tempfile::tempdir().unwrap();
    let config = Config { memory: false, data_dir: Some(disk.path().to_owned()), ..config("alice") };
    let node = Node::start(config).await.unwrap();
    let name = "general".parse().unwrap();
    let room = node.open_room(&name).await.unwrap();
    let saying = (0..300).map(|n| {
        let room = room.clone();
        async move { room.broadcast(&format!("line {n}")).await.unwrap() }
    });
    futures::future::join_all(saying).await;
    let before = room.fingerprint().await.unwrap();
    node.leave_room(&name).await.unwrap();

    let mut events = node.events();
    let loading = node.0.shared.store.hold_loading().await;
    let room = node.open_room(&name).await.unwrap();
    let newest = texts(&room).await;
    assert_eq!(newest.len(), 100);
    assert_eq!(newest.last(), Some(&("alice".into(), "line 299".into())));
    let earlier = room.messages_before(before_all(), 5).await.unwrap();
    assert_eq!(earlier, []);
    // What needs the whole room waits for it.
    let said = {
        let room = room.clone();
        tokio::spawn(async move { room.broadcast("line 300").await })
    };
    assert_eq!(room.info().messages, 0);
    drop(loading);
    said.await.unwrap().unwrap();
    let opened = events.next().await.unwrap();
    let Event::Room { messages, fingerprint, state, .. } = opened else { panic!("{opened:?}") };
    assert_eq!((messages, fingerprint, state), (before.messages, before.fingerprint, RoomState::Open));
    assert_eq!(texts(&room).await.last(), Some(&("alice".into(), "line 300".into())));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_that_are_not_open_are_searched_too() {
    let temp = tempfile::tempdir().unwrap();
    let config = || Config { memory: false, data_dir: Some(temp.path().to_owned()), ..config("alice") };
    let node = Node::start(config()).await.unwrap();
    let names: [RoomName; 2] = ["general", "rust"].map(|name| name.parse().unwrap());
    let mut said = Vec::new();
    for name in &names {
        let room = node.open_room(name).await.unwrap();
        let first = room.broadcast("hello world").await.unwrap();
        room.act("waves hello").await.unwrap();
        said.push(room.reply(first.key, "hello again").await.unwrap());
    }
    node.shutdown().await;
    assert_eq!(node.search("hello", 9).await, Err(SearchError::Closed));
    assert_eq!(node.search(" ", 9).await, Err(SearchError::Empty));

    let node = Node::start(config()).await.unwrap();
    let found = node.search("HELLO aga", 9).await.unwrap();
    assert_eq!(found.indexing, None);
    let expect: Vec<_> =
        names.iter().cloned().zip(said).map(|(room, message)| crate::Hit { room, message }).rev().collect();
    assert_eq!(found.hits, expect);
    let found = node.search("hello", 9).await.unwrap();
    assert_eq!(found.hits.len(), 6);
    assert!(found.hits.iter().all(|hit| hit.message.nick == "alice" && hit.message.own && !hit.message.future));
    let forms: Vec<_> = found.hits.iter().map(|hit| hit.message.form).collect();
    assert!(matches!(forms[..3], [crate::Form::Reply(_), crate::Form::Action, crate::Form::Text]), "{forms:?}");
    node.shutdown().await;
}

/// The room crashes when the message comes, and again each time somebody looks at it, or the room is loaded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_crashes_its_room_each_time_is_set_aside_and_the_room_lives() {
    for as_name in [false, true] {
        let disk = tempfile::tempdir().unwrap();
        let config = || Config { memory: false, data_dir: Some(disk.path().to_owned()), ..config("alice") };
        let node = Node::start(config()).await.unwrap();
        let room = node.open_room(&"general".parse().unwrap()).await.unwrap();
        let other = node.open_room(&"other".parse().unwrap()).await.unwrap();
        room.broadcast("before").await.unwrap();
        let mut events = node.events();
        // It is on disk before anybody looks at it, and whoever said it is told so.
        if as_name {
            room.set_nick(crate::room::CRASHES).await.unwrap();
        } else {
            // Its answer is made by looking at it, so there may be none.
            let room = room.clone();
            tokio::spawn(async move { room.broadcast(crate::room::CRASHES).await });
        }
        let shown = loop {
            tokio::select! {
                shown = texts(&room) => if shown.len() == if as_name { 1 } else { 2 } && room.info().state == RoomState::Restarted { break shown },
                () = tokio::time::sleep(Duration::from_secs(30)) => panic!("the room does not live"),
            }
        };
        let mut restarts = 0;
        let named = loop {
            match events.next().await.unwrap() {
                Event::Room { room: crashed, state, .. } => {
                    assert_eq!((crashed.as_str(), state), ("general", RoomState::Restarted));
                    restarts += 1;
                }
                Event::Warning { code, message } => {
                    assert_eq!(code, "message-withheld");
                    break message;
                }
                _ => {}
            }
        };
        assert!(restarts <= 2, "the second crash is enough to look closely: {restarts}");
        assert!(named.contains(" of general crashed the program"), "{named}");
        let expect = if as_name {
            &["before"][..]
        } else {
            &["before", "[a message that crashed the program, and is not shown]"]
        };
        assert_eq!(shown.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), expect);

        // It is still held, and the crashes are not counted.
        let held = room.fingerprint().await.unwrap();
        for _ in 0..MAX_RESTARTS {
            room.crash().await.unwrap();
            assert_eq!(room.fingerprint().await.unwrap(), held);
        }
        assert_eq!(other.info().state, RoomState::Open, "the other room has not noticed");
        node.shutdown().await;
        let node = Node::start(config()).await.unwrap();
        let room = node.open_room(&"general".parse().unwrap()).await.unwrap();
        assert_eq!(room.fingerprint().await.unwrap(), held);
        assert_eq!(texts(&room).await.len(), expect.len());
        assert_eq!(room.info().state, RoomState::Open, "it does not crash any more");
        node.shutdown().await;
    }
}

/// A message of somebody else's, which he himself and others can look at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_another_node_that_crashes_its_room_is_set_aside_and_nobody_else_notices() {
    let disk = tempfile::tempdir().unwrap();
    let config_of_alice = || Config { memory: false, data_dir: Some(disk.path().to_owned()), ..config("alice") };
    let alice = Node::start(config_of_alice()).await.unwrap();
    let bob = Node::start(config("bob")).await.unwrap();
    let mut bobs_events = bob.events();
    bob.connect(alice.listeners().remove(0)).await.unwrap();
    let [general, other] = ["general", "other"].map(|name| name.parse::<crate::RoomName>().unwrap());
    let (at_alice, other_at_alice) = (alice.open_room(&general).await.unwrap(), alice.open_room(&other).await.unwrap());
    let (at_bob, other_at_bob) = (bob.open_room(&general).await.unwrap(), bob.open_room(&other).await.unwrap());
    let mut events = alice.events();
    let said = at_bob.broadcast(crate::room::CRASHES_OTHERS).await.unwrap();
    let named = loop {
        match events.next().await.unwrap() {
            Event::Warning { code, message } if code == "message-withheld" => break message,
            _ => {}
        }
    };
    assert!(named.contains(" of general crashed the program") && named.contains(&said.id.short()), "{named}");

    // They go on, both ways and in both rooms.
    for (from, to, text) in [
        (&at_bob, &at_alice, "said after it"),
        (&at_alice, &at_bob, "and answered"),
        (&other_at_bob, &other_at_alice, "elsewhere"),
        (&other_at_alice, &other_at_bob, "elsewhere, too"),
    ] {
        from.broadcast(text).await.unwrap();
        let heard = async {
            while texts(to).await.last().map(|(_, text)| text.clone()) != Some(text.to_owned()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), heard).await.unwrap_or_else(|_| panic!("{text} is not heard"));
    }
    assert_eq!(other_at_alice.info().state, RoomState::Open);
    let held = at_bob.fingerprint().await.unwrap();
    assert_eq!(at_alice.fingerprint().await.unwrap(), held, "it is held all the same");
    assert_eq!(texts(&at_bob).await[0].1, crate::room::CRASHES_OTHERS, "and shown where it does no harm");
    bob.shutdown().await;
    while let Some(event) = bobs_events.next().await {
        let alarming = matches!(event, Event::Warning { .. } | Event::Room { state: RoomState::Restarted, .. });
        assert!(!alarming, "he has noticed: {event:?}");
    }

    alice.shutdown().await;
    let alice = Node::start(config_of_alice()).await.unwrap();
    let at_alice = alice.open_room(&general).await.unwrap();
    assert_eq!(at_alice.fingerprint().await.unwrap(), held);
    assert_eq!(texts(&at_alice).await.len(), 3);
    assert_eq!(at_alice.info().state, RoomState::Open, "it does not crash any more");
    alice.shutdown().await;
}

/// Messages are gone from a table, and nobody can say how.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_that_shows_while_it_runs_is_told_and_the_next_start_sees_to_it() {
    let disk = tempfile::tempdir().unwrap();
    let config = || Config { memory: false, data_dir: Some(disk.path().to_owned()), ..config("alice") };
    let node = Node::start(config()).await.unwrap();
    let room = node.open_room(&"general".parse().unwrap()).await.unwrap();
    let other = node.open_room(&"other".parse().unwrap()).await.unwrap();
    for text in ["one", "two", "three"] {
        room.broadcast(text).await.unwrap();
    }
    let mut events = node.events();
    let store = node.0.shared.store.clone();
    store.sql("DROP TRIGGER message_removed; DELETE FROM message WHERE room = 1 AND seq = 1").await;
    room.crash().await.unwrap();
    let (mut states, mut told) = (Vec::new(), None);
    while states.last() != Some(&RoomState::Failed) {
        match events.next().await.unwrap() {
            Event::Room { state, .. } => states.push(state),
            Event::Warning { code, message } => told = Some((code, message)),
            _ => {}
        }
    }
    assert_eq!(states, [RoomState::Restarted, RoomState::Failed], "nothing is tried that cannot help");
    let (code, message) = told.unwrap();
    assert!(
        code == "history-damaged" && message.contains("general") && message.contains("the next start"),
        "{message}"
    );
    other.broadcast("still here").await.unwrap();
    node.shutdown().await;

    let node = Node::start(config()).await.unwrap();
    assert!(node.warnings()[0].contains("was damaged"), "{:?}", node.warnings());
    let room = node.open_room(&"general".parse().unwrap()).await.unwrap();
    room.broadcast("four").await.unwrap();
    let texts: Vec<String> = texts(&room).await.into_iter().map(|(_, text)| text).collect();
    assert!(texts.ends_with(&["three".into(), "four".into()]), "{texts:?}");
    node.shutdown().await;
}

fn before_all() -> distchat_crdt::Key {
    distchat_crdt::Key::MIN
}

async fn wait_state(events: &mut Events, wanted: RoomState) {
    while !matches!(events.next().await.unwrap(), Event::Room { state, .. } if state == wanted) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_whose_disk_is_full_pauses_and_goes_on() {
    let (node, room) = start("alice").await;
    let other = node.open_room(&"other".parse().unwrap()).await.unwrap();
    let said = room.broadcast("before").await.unwrap();
    let mut events = node.events();
    let store = node.0.shared.store.clone();
    store.sql("PRAGMA max_page_count = 1").await;
    let long = "x".repeat(16_000);
    for room in [&room, &room, &other] {
        let error = room.broadcast(&long).await.unwrap_err();
        assert_eq!(error.code(), "room-paused", "{error}");
        assert!(error.to_string().contains("free some"), "{error}");
    }
    wait_state(&mut events, RoomState::Paused).await;
    assert_eq!([room.info().state, other.info().state], [RoomState::Paused; 2]);
    assert_eq!(room.messages(10).await.unwrap(), [said]);
    assert_eq!(room.import(Vec::new()).await.unwrap_err().code(), "room-paused");
    assert_eq!(room.export(None, 1000).await.unwrap().messages.len(), 2);
    room.crash().await.unwrap();
    assert_eq!(room.broadcast("hello").await.unwrap_err().code(), "room-paused", "a crash changes nothing");
    store.sql("PRAGMA max_page_count = 4294967294").await;
    until(|| room.info().state == RoomState::Open && other.info().state == RoomState::Open).await;
    room.broadcast("after").await.unwrap();
    let told = texts(&room).await.into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    assert_eq!(told, ["before", "after"]);
    node.shutdown().await;
}

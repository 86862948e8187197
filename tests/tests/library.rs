//! What the library promises those who embed it, where the command line would not show it.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use distchat_node::{Config, Event, Events, Form, Key, Message, Node, Receipt, Room, RoomError, SyncState};

/// A node in memory that nobody else can find.
async fn start(name: &str) -> Node {
    start_at(name, None).await
}

/// The same, with a disk.
async fn start_at(name: &str, disk: Option<&Path>) -> Node {
    let config = Config {
        profile: name.into(),
        memory: disk.is_none(),
        data_dir: disk.map(Path::to_owned),
        mdns: false,
        same_machine: false,
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        ..Config::default()
    };
    Node::start(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_read_with_the_name_it_was_said_under() {
    let node = start("alice").await;
    for n in 0..100 {
        let room = node.open_room(&format!("room{n}").parse().unwrap()).await.unwrap();
        room.broadcast("hello").await.unwrap();
        let messages = room.messages(10).await.unwrap();
        assert_eq!(messages.iter().map(|message| &*message.nick).collect::<Vec<_>>(), ["alice"], "round {n}");
    }
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_fingerprints_mean_that_equal_transcripts_are_read() {
    let [alice, bob] = [start("alice").await, start("bob").await];
    let mut events = bob.events();
    alice.connect(bob.listeners().remove(0)).await.unwrap();
    for n in 0..50 {
        let name = format!("room{n}").parse().unwrap();
        let (at_alice, at_bob) = (alice.open_room(&name).await.unwrap(), bob.open_room(&name).await.unwrap());
        for text in ["one", "two"] {
            at_alice.broadcast(text).await.unwrap();
        }
        while at_alice.fingerprint().await.unwrap() != at_bob.fingerprint().await.unwrap() {
            events.next().await.unwrap();
        }
        let transcript = |messages: Vec<Message>| -> Vec<(String, String)> {
            messages.into_iter().map(|message| (message.nick, message.text)).collect()
        };
        let here = transcript(at_alice.messages(10).await.unwrap());
        assert_eq!(here.len(), 2);
        assert_eq!(transcript(at_bob.messages(10).await.unwrap()), here, "round {n}");
    }
    alice.shutdown().await;
    bob.shutdown().await;
}

/// Has two nodes meet, and waits until both hold the same.
async fn meet(here: (&Node, &Room), there: (&Node, &Room)) {
    let mut events = [here.0.events(), there.0.events()];
    here.0.connect(there.0.listeners().remove(0)).await.unwrap();
    for events in &mut events {
        until(events, |event| matches!(event, Event::Synced { .. })).await;
    }
    assert_eq!(here.1.fingerprint().await.unwrap(), there.1.fingerprint().await.unwrap());
}

/// Waits until whoever has not heard of the message writes behind it all the same.
async fn after(message: Message) {
    while SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() <= message.time.millis().into() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn until(events: &mut Events, so: impl Fn(&Event) -> bool) {
    while !so(&events.next().await.unwrap()) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_late_stays_marked_and_what_was_caught_up_with_is_not() {
    let disk = tempfile::tempdir().unwrap();
    let name = "general".parse().unwrap();
    let late = |messages: Vec<Message>| -> Vec<(String, bool)> {
        messages.into_iter().map(|message| (message.text, message.delay.is_some())).collect()
    };
    let expect = [("a1", false), ("b1", true), ("a2", false)].map(|(text, late)| (text.to_owned(), late));
    {
        let [alice, bob] = [start_at("alice", Some(disk.path())).await, start("bob").await];
        let (at_alice, at_bob) = (alice.open_room(&name).await.unwrap(), bob.open_room(&name).await.unwrap());
        // They have not met, and each talks to itself.
        after(at_alice.broadcast("a1").await.unwrap()).await;
        after(at_bob.broadcast("b1").await.unwrap()).await;
        at_alice.broadcast("a2").await.unwrap();
        meet((&alice, &at_alice), (&bob, &at_bob)).await;
        assert_eq!(late(at_alice.messages(9).await.unwrap()), expect);
        let at_bob = late(at_bob.messages(9).await.unwrap());
        assert_eq!(at_bob.iter().map(|(_, late)| *late).collect::<Vec<_>>(), [true, false, false]);
        alice.shutdown().await;
        bob.shutdown().await;
    }
    let alice = start_at("alice", Some(disk.path())).await;
    let at_alice = alice.open_room(&name).await.unwrap();
    assert_eq!(late(at_alice.messages(9).await.unwrap()), expect);
    let carol = start("carol").await;
    let at_carol = carol.open_room(&name).await.unwrap();
    meet((&alice, &at_alice), (&carol, &at_carol)).await;
    assert!(at_carol.messages(9).await.unwrap().iter().all(|message| message.delay.is_none()));
    alice.shutdown().await;
    carol.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_known_on_whose_disks_a_message_is() {
    let [alice, bob, carol] = [start("alice").await, start("bob").await, start("carol").await];
    let name = "general".parse().unwrap();
    let (at_alice, at_bob) = (alice.open_room(&name).await.unwrap(), bob.open_room(&name).await.unwrap());
    let at_carol = carol.open_room(&name).await.unwrap();
    let first = at_alice.broadcast("first").await.unwrap().key;
    assert_eq!(at_alice.receipt(first).await.unwrap(), Receipt { on: vec![], of: 0, said_before: false });

    let mut events = alice.events();
    meet((&alice, &at_alice), (&bob, &at_bob)).await;
    let expect = Receipt { on: vec![bob.author()], of: 1, said_before: false };
    assert_eq!(at_alice.on_disks(first, 1).await.unwrap(), expect);
    let of_bob = |event: &Event| *event == Event::Receipt { room: name.clone(), author: bob.author(), through: first };
    until(&mut events, of_bob).await;

    // Whoever waits for two hears of the second who comes.
    let waiting = tokio::spawn({
        let at_alice = at_alice.clone();
        async move { at_alice.on_disks(first, 2).await }
    });
    meet((&alice, &at_alice), (&carol, &at_carol)).await;
    let mut both = waiting.await.unwrap().unwrap();
    both.on.sort_unstable();
    let mut expect = Receipt { on: vec![bob.author(), carol.author()], of: 2, said_before: false };
    expect.on.sort_unstable();
    assert_eq!(both, expect);

    // A crash of the room asks anew; one who is gone still has it.
    at_alice.crash().await.unwrap();
    let second = at_alice.broadcast("second").await.unwrap().key;
    assert_eq!(at_alice.on_disks(second, 2).await.unwrap().of, 2);
    carol.shutdown().await;
    until(&mut events, |event| matches!(event, Event::Peer { connected: false, .. })).await;
    assert_eq!(at_alice.receipt(second).await.unwrap().on.len(), 2);
    let third = at_alice.broadcast("third").await.unwrap().key;
    assert_eq!(at_alice.on_disks(third, 1).await.unwrap().on, [bob.author()]);

    // Others can find that out too.
    let expect = Receipt { on: vec![alice.author()], of: 1, said_before: true };
    assert_eq!(at_bob.on_disks(first, 1).await.unwrap(), expect);
    let nowhere = Key { time: first.time, id: second.id };
    assert_eq!(at_bob.receipt(nowhere).await, Err(RoomError::NoReceipt));
    alice.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_after_taking_a_name_bears_it() {
    let alice = start("alice").await;
    let room = alice.open_room(&"general".parse().unwrap()).await.unwrap();
    for n in 0..30 {
        let nick = format!("alice the {n}th");
        room.set_nick(&nick).await.unwrap();
        assert_eq!(room.broadcast("hello").await.unwrap().nick, nick);
        room.set_nick("al").await.unwrap();
        assert_eq!(room.members(1).await.unwrap()[0].nick, "al");
    }
    alice.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actions_replies_reactions_and_topics_are_replicated() {
    let [alice, bob] = [start("alice").await, start("bob").await];
    let name = "general".parse().unwrap();
    let (at_alice, at_bob) = (alice.open_room(&name).await.unwrap(), bob.open_room(&name).await.unwrap());
    let hello = at_alice.broadcast("hello").await.unwrap().key;
    at_alice.act("waves").await.unwrap();
    at_alice.set_topic("whales").await.unwrap();
    assert_eq!(at_alice.info().sync, SyncState::Alone);
    meet((&alice, &at_alice), (&bob, &at_bob)).await;
    assert_eq!(at_alice.info().sync, SyncState::InSync);
    let members = at_bob.members(9).await.unwrap();
    assert_eq!(members[0].author, bob.author(), "oneself comes first");
    assert_eq!(at_bob.members(1).await.unwrap(), members[..1]);
    let mut members: Vec<_> = members.iter().map(|member| (member.author, &*member.nick, member.online)).collect();
    let mut expect = [(alice.author(), "alice", true), (bob.author(), "bob", true)];
    members.sort_unstable();
    expect.sort_unstable();
    assert_eq!(members, expect);

    let mut events = alice.events();
    at_bob.reply(hello, "hi").await.unwrap();
    at_bob.react(hello, "\u{1f44d}").await.unwrap();
    until(&mut events, |event| matches!(event, Event::Reacted { reaction, .. } if reaction.to == hello)).await;
    let said: Vec<(String, Form)> =
        at_alice.messages(9).await.unwrap().into_iter().map(|message| (message.text, message.form)).collect();
    let expect = [("hello", Form::Text), ("waves", Form::Action), ("hi", Form::Reply(hello))];
    assert_eq!(said, expect.map(|(text, form)| (text.to_owned(), form)));
    for room in [&at_alice, &at_bob] {
        let reactions = room.reactions(&[hello, Key::MIN]).await.unwrap();
        let reactions: Vec<_> = reactions.iter().map(|reaction| (reaction.author, &*reaction.emoji)).collect();
        assert_eq!(reactions, [(bob.author(), "\u{1f44d}")]);
        assert_eq!(room.topic().await.unwrap().map(|topic| topic.text).as_deref(), Some("whales"));
        assert_eq!(room.messages_after(hello, 1).await.unwrap()[0].text, "waves");
    }
    at_bob.react(hello, "").await.unwrap();
    assert_eq!(at_bob.reactions(&[hello]).await.unwrap(), []);
    alice.shutdown().await;
    bob.shutdown().await;
}

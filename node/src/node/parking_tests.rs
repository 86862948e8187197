//! Rooms that fall asleep at every moment, and miss nothing.

use std::{collections::BTreeSet, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::{sleep, timeout};

use super::tests::config;
use super::*;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn name(text: &str) -> RoomName {
    text.parse().unwrap()
}

async fn start(profile: &str) -> Node {
    let node = Node::start(config(profile)).await.unwrap();
    node.0.shared.wakes.let_all_sleep();
    node
}

impl Node {
    fn slot(&self, room: &str) -> Arc<Slot> {
        self.0.rooms().get(&name(room)).unwrap().clone()
    }

    async fn until_asleep(&self, room: &str) {
        let slot = self.slot(room);
        timeout(PATIENCE, async {
            while slot.is_awake() {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_sleeps_is_shown_as_it_was_and_wakes_when_it_is_used() {
    let node = start("alice").await;
    let room = node.open_room(&name("general")).await.unwrap();
    assert!(!node.slot("general").is_awake(), "nobody has asked for anything yet");
    room.broadcast("hello").await.unwrap();
    let awake = room.fingerprint().await.unwrap();
    node.until_asleep("general").await;
    let info = room.info();
    assert_eq!((info.messages, info.fingerprint, info.state), (awake.messages, awake.fingerprint, RoomState::Open));
    assert_eq!(info.nick.as_deref(), Some("alice"));
    assert_eq!(room.messages(10).await.unwrap()[0].text, "hello");
    node.leave_room(&name("general")).await.unwrap();

    let mut events = node.events();
    let room = node.open_room(&name("general")).await.unwrap();
    assert!(!node.slot("general").is_awake());
    let timeless = |info: RoomInfo| RoomInfo { horizon: distchat_crdt::Timestamp(0), ..info };
    assert_eq!(timeless(room.info()), timeless(info));
    let opened = events.next().await.unwrap();
    assert!(matches!(opened, Event::Room { messages, state: RoomState::Open, .. } if messages == awake.messages));
    node.shutdown().await;
}

#[expect(clippy::print_stdout, reason = "a random test says how to repeat it")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_while_rooms_fall_asleep_is_heard() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let [alice, bob] = [start("alice").await, start("bob").await];
    let names: Vec<String> = (0..8).map(|n| format!("room{n}")).collect();
    let mut rooms = Vec::new();
    for room in &names {
        rooms.push([alice.open_room(&name(room)).await.unwrap(), bob.open_room(&name(room)).await.unwrap()]);
    }
    alice.connect(bob.listeners().remove(0)).await.unwrap();
    let mut said = vec![BTreeSet::new(); rooms.len()];
    for round in 0..2 {
        for n in 0..200 {
            let (at, who) = (rng.random_range(0..rooms.len()), rng.random_range(0..2_usize));
            let text = format!("round {round} line {n}");
            timeout(PATIENCE, rooms[at][who].broadcast(&text)).await.expect("an answer").unwrap();
            said[at].insert(text);
            // About as long as it takes to fall asleep.
            sleep(Duration::from_micros(rng.random_range(0..8000))).await;
        }
        for (both, said) in rooms.iter().zip(&said) {
            for room in both {
                let texts = async || {
                    let messages = room.messages(1000).await.unwrap();
                    messages.into_iter().map(|message| message.text).collect::<BTreeSet<String>>()
                };
                timeout(PATIENCE, async {
                    while *said != texts().await {
                        sleep(Duration::from_millis(20)).await;
                    }
                })
                .await
                .unwrap_or_else(|_| panic!("{} of {}", room.info().messages, said.len()));
            }
            assert_eq!(both[0].fingerprint().await.unwrap(), both[1].fingerprint().await.unwrap());
        }
        for room in &names {
            alice.until_asleep(room).await;
            bob.until_asleep(room).await;
        }
    }
    let woken = alice.0.shared.wakes.count() + bob.0.shared.wakes.count();
    assert!(woken >= 4 * rooms.len(), "they did not sleep: woken {woken} times");
    let info = alice.rooms().remove(0);
    assert_eq!((info.peers, info.sync), (1, crate::SyncState::InSync), "who was there is there");
    bob.shutdown().await;
    timeout(PATIENCE, async {
        while alice.rooms().iter().any(|room| room.peers > 0) {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("who is gone is gone");
    alice.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_sleeps_in_between_does_not_crash_more_often() {
    let node = start("alice").await;
    let room = node.open_room(&name("general")).await.unwrap();
    let mut events = node.events();
    for _ in 0..=crate::restart::MAX_RESTARTS {
        node.until_asleep("general").await;
        room.crash().await.unwrap();
        let told = |event: &Event| matches!(event, Event::Room { state, .. } if *state != RoomState::Open);
        while !told(&events.next().await.unwrap()) {}
    }
    assert_eq!(room.info().state, RoomState::Failed);
    assert!(room.broadcast("hello").await.is_err());
    room.restart().await.unwrap();
    room.broadcast("hello").await.unwrap();
    node.until_asleep("general").await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_only_so_many_rooms() {
    let node = start("alice").await;
    let room = node.open_room(&name("general")).await.unwrap();
    let slot = node.slot("general");
    for n in 1..MAX_ROOMS {
        node.0.rooms().add_as(name(&format!("room{n}")), slot.clone());
    }
    let refused = node.open_room(&name("more")).await.unwrap_err();
    assert_eq!(refused, RoomError::TooManyRooms { max: MAX_ROOMS });
    assert_eq!(node.open_room(&name("general")).await.unwrap().name(), room.name(), "it is open");
    node.shutdown().await;
}

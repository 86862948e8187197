//! Strangers who send and open as much as they can: the others go on talking, and the node does not grow.

use std::time::Duration;

use distchat_crdt::{RoomId, RoomName};
use distchat_hostile::{Connection, Rpc};
use distchat_tests::{Chat, PATIENCE, gauge, is, skip};
use futures::{AsyncWriteExt, future::join_all};
use tokio::time::{sleep, timeout};

use crate::{
    common::heavy,
    hostile::{GROWTH, Memory, Scene, meanwhile, meanwhile_on, talk, tcp},
};

fn is_told(chat: &Chat, word: &str) {
    chat.wait_for("what it says of the flood", PATIENCE, |event| {
        is(event, "error") && event["message"].as_str().is_some_and(|message| message.contains(word))
    });
}

#[test]
fn messages_in_topics_that_nobody_has_are_not_remembered() {
    let Scene { _alone, _machine, ann, bob, node, memory } = Scene::begin();
    let flood = async move {
        let connection = Connection::to(node).await.unwrap();
        let mut gossip = connection.speaking("/meshsub/1.1.0").await.unwrap();
        for n in 0_u64.. {
            let rpc = (0..16).fold(Rpc::default(), |rpc, m| rpc.publish("x", &(16 * n + m).to_be_bytes()));
            if gossip.write_all(&rpc.bytes()).await.is_err() {
                return;
            }
        }
    };
    meanwhile(flood, || {
        talk(&bob, &ann, "during the flood", 1000);
        is_told(&ann, "it entered no room and sends without end");
    });
    memory.has_not_grown_by(GROWTH);
}

#[test]
fn messages_in_a_room_that_one_has_not_entered_are_read_slowly() {
    let Scene { _alone, _machine, ann, bob, node, memory } = Scene::begin();
    let topic = RoomId::of(&RoomName::parse("general").unwrap()).topic().to_string();
    let flood = async move {
        let connection = Connection::to(node).await.unwrap();
        let mut gossip = connection.speaking("/meshsub/1.1.0").await.unwrap();
        gossip.write_all(&Rpc::default().subscribe(&topic).graft(&topic).bytes()).await.unwrap();
        for n in 0_u64.. {
            let mut data = vec![0x8a; 60_000];
            data[..8].copy_from_slice(&n.to_be_bytes());
            if gossip.write_all(&Rpc::default().publish(&topic, &data).bytes()).await.is_err() {
                return;
            }
        }
    };
    meanwhile(flood, || talk(&bob, &ann, "during the flood", 1000));
    memory.has_not_grown_by(2 * GROWTH);
    assert_eq!(ann.fingerprint(), bob.fingerprint());
}

#[test]
fn ten_thousand_subscriptions_and_streams_are_bounded() {
    let Scene { _alone, _machine, ann, bob, node, memory } = Scene::begin();
    let many = async move {
        let connection = Connection::to(node).await.unwrap();
        let mut gossip = connection.speaking("/meshsub/1.1.0").await.unwrap();
        for n in 0..10_000 {
            let topic = format!("{n:064x}");
            if gossip.write_all(&Rpc::default().subscribe(&topic).graft(&topic).bytes()).await.is_err() {
                break;
            }
        }
        let mut open = Vec::new();
        for _ in 0..10_000 {
            // Those beyond its limit it resets, or it lets them wait.
            match timeout(Duration::from_millis(100), connection.stream()).await {
                Ok(Ok(stream)) => open.push(stream),
                Ok(Err(_)) => break,
                Err(_) => {}
            }
            if open.len() > 1000 {
                break;
            }
        }
        sleep(PATIENCE).await;
    };
    meanwhile(many, || talk(&bob, &ann, "meanwhile", 1000));
    memory.has_not_grown_by(GROWTH);
}

#[test]
fn ten_thousand_connections_of_a_stranger_keep_nobody_out() {
    let _alone = heavy();
    let Some(lan) = skip::lan_or_skip(3) else { return };
    let ann = lan.host(0).chat("ann").room("general").start();
    let node = tcp(&ann);
    let pid = ann.pid();
    let flood = async move {
        let opening = (0..32).map(|_| async move {
            let mut open = Vec::new();
            for _ in 0..10_000 / 32 {
                match timeout(Duration::from_secs(5), Connection::to(node)).await {
                    Ok(Ok(connection)) => open.push(connection),
                    _ => sleep(Duration::from_millis(5)).await,
                }
            }
            sleep(PATIENCE).await;
        });
        join_all(opening).await;
    };
    meanwhile_on(&lan, 2, flood, || {
        // He comes while the door is besieged.
        let bob = lan.host(1).chat("bob").room("general").start();
        bob.wait_peers(1);
        let memory = Memory::of(&ann);
        talk(&bob, &ann, "during the siege", 1000);
        memory.has_not_grown_by(4 * GROWTH);
        assert!(gauge::fds(pid) < 400, "{} files", gauge::fds(pid));
    });
}

//! Who connects to listen: gossip goes to whoever asks for it.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use distchat_crdt::{Message, RoomId, RoomName, sync::GossipKey};
use distchat_hostile::{Connection, Rpc};
use distchat_tests::{Machine, PATIENCE};
use futures::AsyncWriteExt;
use tokio::time::sleep;

use crate::{
    common::pair,
    hostile::{meanwhile, tcp},
};

const ROOM: &str = "the-back-room-of-the-tavern";
const SAID: usize = 20;

#[test]
fn who_does_not_know_the_room_hears_and_understands_nothing() {
    let machine = Machine::loopback();
    let (ann, bob) = pair(&machine, &[ROOM]);
    let node = tcp(&ann);
    let heard = Mutex::new(Vec::new());
    let listen = async {
        let connection = Connection::to(node).await.unwrap();
        let mut gossip = connection.speaking("/meshsub/1.1.0").await.unwrap();
        // What the room is called in gossip the node says to everybody.
        while connection.understood().topics.is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
        for topic in connection.understood().topics {
            gossip.write_all(&Rpc::default().subscribe(&topic).graft(&topic).bytes()).await.unwrap();
        }
        gossip.flush().await.unwrap();
        loop {
            *heard.lock().unwrap() = connection.understood().published;
            sleep(Duration::from_millis(10)).await;
        }
    };
    let key = GossipKey::of(&RoomId::of(&RoomName::parse(ROOM).unwrap()));
    let text = |n| format!("in confidence: {n}");
    // What is said before the node has read that somebody wants to listen is not heard. So it is said until it is.
    meanwhile(listen, || {
        let deadline = Instant::now() + PATIENCE;
        let mut said = 0;
        while heard.lock().unwrap().len() < SAID {
            assert!(Instant::now() < deadline, "of {said} not {SAID} were heard");
            let (from, to) = if said % 2 == 0 { (&ann, &bob) } else { (&bob, &ann) };
            from.say(&text(said));
            to.wait_text(&text(said));
            said += 1;
        }
    });
    let published = heard.into_inner().unwrap();
    let opened = published.iter().map(|(_, sealed)| key.open(sealed).expect("it is the room's"));
    let messages: Vec<Message> = opened.flat_map(|frame| Message::decode_all(&frame).unwrap()).collect();
    assert!(messages.len() >= SAID, "that all of this was heard shows the key of those who know the room");
    for message in messages {
        assert!(message.body().starts_with(b"in confidence: "), "{message:?}");
        let (author, id, room) = (message.author(), message.id(), message.room());
        let secrets = [message.body(), author.as_bytes(), id.as_bytes(), room.as_bytes()];
        for (_, sealed) in &published {
            for secret in secrets {
                assert!(!sealed.windows(secret.len()).any(|window| window == secret), "{secret:?}");
            }
        }
    }
}

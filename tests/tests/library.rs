//! What the library promises those who embed it, where the command line would not show it.

use distchat_node::{Config, Node};

/// A node in memory that nobody else can find.
async fn start(name: &str) -> Node {
    let config = Config {
        profile: name.into(),
        memory: true,
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
        let transcript = |messages: Vec<distchat_node::Message>| -> Vec<(String, String)> {
            messages.into_iter().map(|message| (message.nick, message.text)).collect()
        };
        let here = transcript(at_alice.messages(10).await.unwrap());
        assert_eq!(here.len(), 2);
        assert_eq!(transcript(at_bob.messages(10).await.unwrap()), here, "round {n}");
    }
    alice.shutdown().await;
    bob.shutdown().await;
}

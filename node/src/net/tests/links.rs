//! How nodes meet, part, and meet again.

use std::time::{Duration, Instant};

use distchat_crdt::sync::{Have, List, Request};
use libp2p::Multiaddr;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::help::{Node, quiet, soon, until};
use crate::{
    net::{ConnectError, NetConfig, NetEvent, NetInput, inbox::tests::inbox, start},
    restart::MAX_RESTARTS,
};

#[tokio::test]
async fn nodes_of_one_machine_meet_in_the_run_directory() {
    let temp = tempfile::tempdir().unwrap();
    let config = NetConfig { run_dir: Some(temp.path().join("run")), ..quiet() };
    let mut a = Node::start(config.clone()).await;
    let b = Node::start(config).await;
    let (mut ra, mut rb) = (a.join(1).await, b.join(1).await);
    assert_eq!(ra.up().await, b.id());
    assert_eq!(rb.up().await, a.id());
    loop {
        if let NetEvent::Connected { peer, .. } = a.event().await {
            assert_eq!(peer, b.id());
            break;
        }
    }
    b.shut_down().await;
    assert_eq!(ra.down().await, a_peer(&mut a).await);
    a.shut_down().await;
    assert_eq!(std::fs::read_dir(temp.path().join("run")).unwrap().count(), 0, "nothing is left behind");
}

async fn a_peer(node: &mut Node) -> libp2p::PeerId {
    loop {
        if let NetEvent::Disconnected { peer, .. } = node.event().await {
            return peer;
        }
    }
}

#[tokio::test]
async fn a_wanted_node_is_dialled_until_it_is_back() {
    let first = Node::start(quiet()).await;
    let mut address = first.address();
    let a = Node::start(NetConfig { connect: vec![address.clone()], ..quiet() }).await;
    let mut room = a.join(1).await;
    assert_eq!(room.up().await, first.id());
    let before = first.id();
    first.shut_down().await;
    assert_eq!(room.down().await, before);
    assert!(a.net.peers().is_empty());
    address.pop();
    let second = Node::start(NetConfig { listen: vec![address], ..NetConfig::default() }).await;
    assert_ne!(second.id(), before);
    assert_eq!(room.up().await, second.id(), "another peer id, and welcome");
}

#[tokio::test]
async fn a_wanted_node_that_is_not_there_is_told_of_once() {
    let gone = Node::start(quiet()).await;
    let address = gone.address();
    gone.shut_down().await;
    let mut a = Node::start(quiet()).await;
    a.net.connect(address).await.unwrap();
    let (code, message) = a.warning().await;
    assert_eq!(code, "unreachable");
    assert!(message.contains("refused"), "{message}");
    assert!(matches!(a.net.connect(a.address()).await, Err(ConnectError::Own(_))));
    let mut bare = a.address();
    bare.pop();
    a.net.connect(bare).await.unwrap();
    assert_eq!(a.warning().await.0, "address-own");
}

#[tokio::test]
async fn quic_will_do() {
    let a = Node::start(NetConfig { listen: vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()], ..quiet() }).await;
    let b = Node::to(&[&a]).await;
    let mut room = b.join(1).await;
    assert_eq!(room.up().await, a.id());
}

#[tokio::test]
async fn a_taken_port_and_a_strange_address_are_named() {
    let a = Node::start(quiet()).await;
    let mut taken = a.address();
    taken.pop();
    let refused = |listen: &str| {
        let config = NetConfig { listen: vec![listen.parse().unwrap()], ..NetConfig::default() };
        async move { start(config, mpsc::channel(1).0, CancellationToken::new()).await.unwrap_err().to_string() }
    };
    let error = refused(&taken.to_string()).await;
    assert!(error.starts_with(&format!("cannot listen on {taken}: port already in use")), "{error}");
    let error = refused("/ip4/192.0.2.1/tcp/4001").await;
    assert!(error.contains("this machine has no such address"), "{error}");
    let error = refused("/ip4/127.0.0.1/udp/0").await;
    assert!(error.contains("not an address to listen on"), "{error}");
    let quic =
        Node::start(NetConfig { listen: vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()], ..quiet() }).await;
    let mut taken = quic.address();
    taken.pop();
    let error = refused(&taken.to_string()).await;
    assert!(error.contains("port already in use"), "{error}");
}

#[tokio::test]
async fn without_addresses_all_interfaces_are_listened_on() {
    let a = Node::start(NetConfig::default()).await;
    let listeners = a.net.listeners();
    let id = a.id().to_string();
    assert!(listeners.iter().all(|address| address.to_string().ends_with(&id)), "{listeners:?}");
    for part in ["/ip4/127.0.0.1/tcp/", "/ip4/127.0.0.1/udp/"] {
        assert!(listeners.iter().any(|address| address.to_string().starts_with(part)), "{listeners:?}");
    }
}

#[tokio::test]
async fn the_end_comes_quickly_and_is_noticed() {
    let a = Node::start(quiet()).await;
    let b = Node::to(&[&a]).await;
    let mut room = b.join(1).await;
    assert_eq!(room.up().await, a.id());
    let began = Instant::now();
    let net = a.net.clone();
    a.shut_down().await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    soon("the loss", room.down()).await;
    assert_eq!(net.connect(b.address()).await, Err(ConnectError::Closed));
    assert!(net.join(&super::help::room(1), inbox(1).0).await.is_err());
    net.request(
        1,
        b.id(),
        1,
        distchat_crdt::sync::Request::Have(distchat_crdt::sync::Have { handle: 1, keys: Default::default() }),
    );
    assert_eq!(net.counters().requests_dropped, 1);
}

#[tokio::test]
async fn a_room_whose_inbox_is_gone_is_let_go() {
    let a = Node::start(quiet()).await;
    let b = Node::to(&[&a]).await;
    let (before, mut rb) = (a.join(1).await, b.join(1).await);
    rb.up().await;
    let handle = before.handle;
    drop(before);
    let mut after = a.join(1).await;
    assert_ne!(after.handle, handle);
    assert_eq!(after.up().await, b.id());
    // The new room of the same topic hears gossip.
    let mut n = 0_u8;
    until("gossip", || {
        n = n.wrapping_add(1);
        b.net.publish(&super::help::room(1), &[n]);
        matches!(after.inputs.try_recv(), Ok(NetInput::Gossip { .. }))
    })
    .await;
}

#[tokio::test]
async fn a_crash_is_survived() {
    let mut a = Node::start(quiet()).await;
    let b = Node::to(&[&a]).await;
    let (mut ra, mut rb) = (a.join(1).await, b.join(1).await);
    assert_eq!((ra.up().await, rb.up().await), (b.id(), a.id()));
    let address = a.address();

    a.net.crash().await;
    assert_eq!(a.warning().await.0, "network-restarted");
    // The same node at the same place, in the same rooms.
    assert_eq!((ra.down().await, rb.down().await), (b.id(), a.id()));
    assert_eq!((ra.up().await, rb.up().await), (b.id(), a.id()));
    assert_eq!(a.address(), address);
    let have = Request::Have(Have { handle: ra.handle, keys: List::default() });
    a.net.entered(ra.handle, b.id(), distchat_crdt::AuthorId([1; 32]));
    b.net.request(rb.handle, a.id(), 1, have.clone());
    assert!(matches!(ra.next().await, NetInput::Request { request, .. } if request == have));
    let later = a.join(2).await;
    assert_ne!(later.handle, ra.handle);

    // And it does not go on like that for ever.
    for _ in 1..MAX_RESTARTS {
        a.net.crash().await;
        a.warning().await;
    }
    a.net.crash().await;
    soon("the end", a.task).await.unwrap();
}

/// QUIC keeps a port for a while after its last user has gone, so the next task finds it taken.
#[tokio::test]
async fn after_a_crash_quic_is_back_at_its_port() {
    let loopback = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"].map(|address| address.parse().unwrap());
    for listen in [loopback.to_vec(), Vec::new()] {
        let mut a = Node::start(NetConfig { listen, ..NetConfig::default() }).await;
        let mut before = a.net.listeners();
        let quic = before.iter().map(Multiaddr::to_string).find(|address| address.contains("127.0.0.1/udp")).unwrap();
        let b = Node::start(NetConfig { connect: vec![quic.parse().unwrap()], ..quiet() }).await;
        let (mut ra, mut rb) = (a.join(1).await, b.join(1).await);
        assert_eq!((ra.up().await, rb.up().await), (b.id(), a.id()));

        a.net.crash().await;
        assert_eq!(a.warning().await.0, "network-restarted");
        assert_eq!((ra.down().await, rb.down().await), (b.id(), a.id()));
        assert_eq!((ra.up().await, rb.up().await), (b.id(), a.id()));
        before.sort();
        until("all listeners", || {
            let mut now = a.net.listeners();
            now.sort();
            now == before
        })
        .await;
    }
}

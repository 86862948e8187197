//! Strangers who send and open as much as they can: the others go on talking, and the node does not grow.

use std::{
    future::pending,
    io,
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use distchat_crdt::{Draft, Keypair, MAX_BODY, RoomId, RoomName, Timestamp, sync::SYNC_PROTOCOL};
use distchat_hostile::{Connection, Rpc, Stream};
use distchat_tests::{Chat, PATIENCE, gauge, is, skip};
use futures::{AsyncWriteExt, future::join_all};
use tokio::{
    net::TcpSocket,
    time::{sleep, timeout},
};

use crate::{
    common::heavy,
    hostile::{GROWTH, Memory, Scene, meanwhile, meanwhile_on, talk, tcp, wait_counted},
};

fn is_told(chat: &Chat, word: &str) {
    chat.wait_for("what it says of the flood", PATIENCE, |event| {
        is(event, "error") && event["message"].as_str().is_some_and(|message| message.contains(word))
    });
}

fn general() -> RoomId {
    RoomId::of(&RoomName::parse("general").unwrap())
}

/// The room's name in gossip.
fn topic() -> String {
    general().topic().to_string()
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

/// By somebody who knows the room's name: what it sends opens, and that nobody has signed it is no offence.
#[test]
fn messages_in_a_room_that_one_has_not_entered_are_read_slowly() {
    let Scene { _alone, _machine, ann, bob, node, memory } = Scene::begin();
    let (room, topic) = (general(), topic());
    let time = Timestamp::from_millis(1_790_000_000_000);
    let draft = Draft { room, seq: 0, time, prev: None, seen: Vec::new(), kind: 0, body: vec![b'x'; MAX_BODY] };
    let signed = draft.sign(&Keypair::from_seed([7; 32])).unwrap();
    let flood = async move {
        let connection = Connection::to(node).await.unwrap();
        let mut gossip = connection.speaking("/meshsub/1.1.0").await.unwrap();
        gossip.write_all(&Rpc::default().subscribe(&topic).graft(&topic).bytes()).await.unwrap();
        for n in 0_u64.. {
            let mut unsigned = signed.bytes().to_vec();
            let end = unsigned.len();
            unsigned[end - 8..].copy_from_slice(&n.to_be_bytes());
            if gossip.write_all(&Rpc::default().say(&room, &unsigned.repeat(3)).bytes()).await.is_err() {
                return;
            }
        }
    };
    meanwhile(flood, || {
        talk(&bob, &ann, "during the flood", 1000);
        is_told(&ann, "it entered no room and sends without end");
    });
    memory.has_not_grown_by(2 * GROWTH);
    assert_eq!(ann.fingerprint(), bob.fingerprint());
}

#[test]
fn messages_of_who_does_not_know_the_room_are_left_and_charged() {
    let Scene { _alone, _machine, ann, bob, node, memory } = Scene::begin();
    let topic = topic();
    let flood = async move {
        let connection = Connection::to(node).await.unwrap();
        let mut gossip = connection.speaking("/meshsub/1.1.0").await.unwrap();
        for n in 0_u64.. {
            let mut data = vec![0x8a; 60_000];
            data[..8].copy_from_slice(&n.to_be_bytes());
            if gossip.write_all(&Rpc::default().publish(&topic, &data).bytes()).await.is_err() {
                return;
            }
        }
    };
    meanwhile(flood, || {
        is_told(&ann, "it sends a malformed gossip frame over and over");
        talk(&bob, &ann, "afterwards", 100);
    });
    memory.has_not_grown_by(GROWTH);
}

/// What is opened of everything.
const MANY: usize = 10_000;
/// How many streams a connection may have.
const MAX_STREAMS: usize = 128;

#[test]
fn ten_thousand_subscriptions_are_bounded() {
    const OF_EACH: usize = 1000;
    let Scene { _alone, _machine, ann, bob, node, memory } = Scene::begin();
    let subscribed = AtomicUsize::new(0);
    let many = async {
        let all = (0..MANY / OF_EACH).map(|connection| subscribe(node, connection * OF_EACH, OF_EACH, &subscribed));
        let all = join_all(all).await;
        // One of them does not stop.
        let Some((_connection, mut gossip)) = all.into_iter().next() else { return };
        for n in MANY.. {
            if gossip.write_all(&subscription(n)).await.is_err() {
                return;
            }
        }
    };
    meanwhile(many, || {
        talk(&bob, &ann, "meanwhile", 1000);
        wait_counted("subscriptions were read", &subscribed, MANY);
        is_told(&ann, "it entered no room and sends without end");
        talk(&bob, &ann, "afterwards", 100);
    });
    memory.has_not_grown_by(GROWTH);
}

/// Subscribes to so many topics on a connection of its own, and waits until all of that has been read.
async fn subscribe(node: SocketAddr, first: usize, count: usize, read: &AtomicUsize) -> (Connection, Stream) {
    let connection = Connection::to(node).await.unwrap();
    let mut gossip = connection.speaking("/meshsub/1.1.0").await.unwrap();
    for n in first..first + count {
        gossip.write_all(&subscription(n)).await.unwrap();
    }
    // In which topics it takes part itself the node says at the start.
    heard_more_than(&connection, 0).await;
    // Frames are read in their order, and to this one there is an answer: nobody else has told of a message of that id.
    let before = connection.heard();
    let id = first.to_be_bytes().repeat(3);
    gossip.write_all(&Rpc::default().have(&topic(), &id[..20]).bytes()).await.unwrap();
    heard_more_than(&connection, before).await;
    read.fetch_add(count, Ordering::Relaxed);
    (connection, gossip)
}

fn subscription(n: usize) -> Vec<u8> {
    let topic = format!("{n:064x}");
    Rpc::default().subscribe(&topic).graft(&topic).bytes()
}

async fn heard_more_than(connection: &Connection, bytes: usize) {
    while connection.heard() <= bytes {
        sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn ten_thousand_streams_are_bounded() {
    /// From two addresses, so that they are a few less than may come from one.
    const CONNECTIONS: usize = 90;
    /// What a stream may cost that is open: some 3 KiB, and some 9 KiB with an offer that has begun, its share of a connection
    /// besides.
    const A_STREAM: u64 = 8 * 1024;
    let Scene { _alone, _machine, ann, bob, node, memory } = Scene::begin();
    let (opened, ended) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
    let many = async {
        join_all((0..CONNECTIONS).map(|n| async move {
            let own = IpAddr::from([127, 0, 0, if n % 2 == 0 { 1 } else { 2 }]);
            // Whoever is turned away comes again.
            while !too_many_streams(own, node, opened).await {
                sleep(Duration::from_millis(100)).await;
            }
            ended.fetch_add(1, Ordering::Relaxed);
        }))
        .await;
    };
    meanwhile(many, || {
        talk(&bob, &ann, "meanwhile", 1000);
        wait_counted("streams were opened", opened, MANY);
        wait_counted("connections were ended for too many streams", ended, CONNECTIONS);
        talk(&bob, &ann, "afterwards", 100);
    });
    memory.has_not_grown_by(GROWTH + (CONNECTIONS * MAX_STREAMS) as u64 * A_STREAM);
}

/// Opens as many streams as are taken on a connection of its own, and then too many. Whether the node has ended the
/// connection for that.
async fn too_many_streams(own: IpAddr, node: SocketAddr, opened: &AtomicUsize) -> bool {
    /// Requests that are begun at once on a connection, a few less than are taken.
    const BEGUN: usize = 56;
    /// Streams of which it is not said what they are for: with those and a node's own, a few less than there may be.
    const GREETED: usize = 60;
    let Ok(mut connection) = Connection::from(own, node).await else { return false };
    let mut open = Vec::new();
    for n in 0..BEGUN + GREETED {
        let stream = if n < BEGUN { begun(&connection).await } else { connection.greeting().await };
        // It may have had enough of those of before.
        let Ok(stream) = stream else { break };
        open.push(stream);
        opened.fetch_add(1, Ordering::Relaxed);
    }
    let answered = open.len();
    for _ in 0..MAX_STREAMS {
        match connection.unheard().await {
            Ok(stream) => open.push(stream),
            Err(_) => break,
        }
    }
    // Sooner than for requests that do not come, so it is not for those.
    let ended = timeout(Duration::from_secs(5), connection.ended()).await.is_ok();
    ended && answered == BEGUN + GREETED
}

/// An offer of which no more comes than how long it is, and what it is.
async fn begun(connection: &Connection) -> io::Result<Stream> {
    let mut stream = connection.speaking(SYNC_PROTOCOL).await?;
    stream.write_all(b"\x00\x10\x00\x00\xa1\x65offer\x82\x01\x5a\x00\x0f\xff\xf0").await?;
    stream.flush().await?;
    Ok(stream)
}

#[test]
fn ten_thousand_connections_of_a_stranger_keep_nobody_out() {
    const AT_ONCE: usize = 32;
    let _alone = heavy();
    let Some(lan) = skip::lan_or_skip(3) else { return };
    let ann = lan.host(0).chat("ann").room("general").start();
    let node = tcp(&ann);
    let pid = ann.pid();
    let memory = Memory::of(&ann);
    let (tried, let_in) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let flood = async {
        join_all((0..AT_ONCE).map(|_| async {
            let mut open = Vec::new();
            while tried.load(Ordering::Relaxed) < MANY {
                match timeout(Duration::from_secs(5), Connection::to(node)).await {
                    Ok(Ok(connection)) => {
                        let_in.fetch_add(1, Ordering::Relaxed);
                        open.push(connection);
                    }
                    _ => sleep(Duration::from_millis(5)).await,
                }
                tried.fetch_add(1, Ordering::Relaxed);
            }
            pending::<()>().await;
        }))
        .await;
    };
    meanwhile_on(&lan, 2, flood, || {
        wait_counted("connections were let in", &let_in, AT_ONCE);
        // He comes while the door is besieged.
        let bob = lan.host(1).chat("bob").room("general").start();
        bob.wait_peers(1);
        talk(&bob, &ann, "during the siege", 1000);
        wait_counted("connections were tried", &tried, MANY);
        talk(&bob, &ann, "and after that", 100);
        eprintln!("{let_in:?} of {tried:?} were let in");
        assert!(gauge::fds(pid) < 400, "{} files", gauge::fds(pid));
    });
    memory.has_not_grown_by(2 * GROWTH);
}

/// A stranger with many addresses, at both ends of those who want to meet.
#[test]
fn connections_on_which_nothing_is_said_keep_nobody_apart() {
    const ADDRESSES: usize = 16;
    const AT_ONCE: usize = 16;
    const PORT: u16 = 4001;
    let Some(lan) = skip::lan_or_skip(3) else { return };
    let _alone = heavy();
    let start = |host: usize, name| {
        lan.host(host).chat(name).room("general").listen(&format!("/ip4/0.0.0.0/tcp/{PORT}")).start()
    };
    let own = |n: usize| format!("10.77.0.{}", 100 + n);
    let add: Vec<_> = (0..ADDRESSES).map(|n| format!("address add {}/24 dev eth0", own(n))).collect();
    lan.ip(2, &add.join("\n"));
    let nodes = [0, 1].map(|host| SocketAddr::new(lan.address(host).parse().unwrap(), PORT));
    let ann = start(0, "ann");
    let (opened, memory) = (AtomicUsize::new(0), Memory::of(&ann));
    let flood = async {
        let opened = &opened;
        let from = (0..ADDRESSES).flat_map(|n| nodes.map(|node| (own(n).parse().unwrap(), node)));
        let all = from.flat_map(|way| [way; AT_ONCE]).map(|(own, node)| async move {
            loop {
                // Whether it is ended in order or not, another one follows.
                let _ = be_silent(own, node, opened).await;
                sleep(Duration::from_millis(20)).await;
            }
        });
        join_all(all).await;
    };
    meanwhile_on(&lan, 2, flood, || {
        wait_counted("connections were opened", &opened, 1000);
        let bob = start(1, "bob");
        bob.wait_peers(1);
        talk(&bob, &ann, "during the siege", 200);
        wait_counted("connections were opened", &opened, MANY);
        talk(&ann, &bob, "and after that", 100);
        assert!(gauge::fds(ann.pid()) < 400, "{} files", gauge::fds(ann.pid()));
    });
    memory.has_not_grown_by(2 * GROWTH);
}

/// Connects and waits for the end.
async fn be_silent(own: IpAddr, node: SocketAddr, opened: &AtomicUsize) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(own, 0))?;
    let mut stream = socket.connect(node).await?;
    opened.fetch_add(1, Ordering::Relaxed);
    // It says what it speaks.
    while tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 64]).await? > 0 {}
    Ok(())
}

//! Who knocks and is no peer: browsers, other versions, and names that are meant to do harm.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use distchat_crdt::{RoomId, RoomName};
use distchat_hostile::{Awaiting, Connection, Forger, Member, Rpc};
use distchat_node::probe::PROBE_PROTOCOL;
use distchat_tests::{Chat, Machine, PATIENCE, is, skip};
use futures::AsyncWriteExt;
use tokio::time::sleep;

use crate::{
    common::pair,
    hostile::{meanwhile_on, run, talk, tcp},
};

/// What a web page can make a browser send to a port of its user's machine.
const BY_A_BROWSER: [&str; 4] = [
    "GET /?room=general HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nhello there\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "OPTIONS / HTTP/1.1\r\nHost: localhost\r\nAccess-Control-Request-Private-Network: true\r\n\r\n",
];

fn browse(node: SocketAddr, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(node).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A reset is an end, too.
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "it keeps the connection");
    }
    answer
}

#[test]
fn a_web_page_gets_nothing_out_of_a_node() {
    let machine = Machine::loopback();
    let (ann, bob) = pair(&machine, &["general"]);
    let before = ann.fingerprint();
    for request in BY_A_BROWSER {
        let answer = String::from_utf8_lossy(&browse(tcp(&ann), request)).into_owned();
        // Its own greeting, that it sends to everybody, and nothing that a browser would take for an answer.
        assert!(!answer.contains("HTTP/") && answer.len() < 64, "{request:?} is answered by {answer:?}");
    }
    assert_eq!(ann.fingerprint(), before);
    talk(&bob, &ann, "afterwards", 10);
}

/// What a node of another version lists: much of it may be the same.
fn protocols(sync: &str) -> Vec<String> {
    ["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/meshsub/1.1.0", PROBE_PROTOCOL, sync].map(str::to_owned).to_vec()
}

/// Checks that a chat has been told, once each, of an agent that speaks a protocol somewhere, and of nothing else that is wrong.
#[track_caller]
fn is_told_of(chat: &Chat, others: &[(&str, &str)], place: &str) {
    for (agent, protocol) in others {
        let told = chat.wait_for("its name", PATIENCE, |event| {
            is(event, "error") && event["message"].as_str().is_some_and(|message| message.contains(agent))
        });
        let message = told["message"].as_str().unwrap();
        assert!(message.contains(protocol) && message.contains(place), "{message}");
    }
    let told: Vec<_> = chat.events().into_iter().filter(|event| is(event, "error")).collect();
    assert_eq!(told.len(), others.len(), "each once, however often they come: {told:?}");
}

#[test]
fn nodes_of_other_versions_are_named_and_left_alone() {
    const OTHERS: [(&str, &str); 2] = [("distchat/0.3.0", "/distchat/sync/1"), ("distchat/9.9.9", "/distchat/sync/3")];
    let machine = Machine::loopback();
    let (ann, bob) = pair(&machine, &["general"]);
    let node = tcp(&ann);
    for (agent, protocol) in OTHERS {
        for _ in 0..5 {
            run(async {
                let mut connection =
                    Connection::calling_itself(node, agent.to_owned(), protocols(protocol)).await.unwrap();
                tokio::time::timeout(PATIENCE, connection.ended()).await.expect("it is sent away");
            });
        }
    }
    is_told_of(&ann, &OTHERS, "127.0.0.1");
    talk(&bob, &ann, "afterwards", 10);
    is_told_of(&ann, &OTHERS, "127.0.0.1");
}

/// What it says, as its version says it, is no reason to take it for somebody who breaks the protocol.
#[test]
fn a_node_of_another_version_on_the_lan_is_met_once() {
    const OTHER: (&str, &str) = ("distchat/0.3.0", "/distchat/sync/1");
    let Some(lan) = skip::lan_or_skip(3) else {
        return;
    };
    let start = |host: usize, name| lan.host(host).chat(name).room("general").start();
    let (ann, bob) = (start(0, "ann"), start(1, "bob"));
    ann.wait_peers(1);
    let came = AtomicUsize::new(0);
    let own: Ipv4Addr = lan.address(2).parse().unwrap();
    let other = async {
        let awaiting = Awaiting::at((own, 4000).into()).unwrap();
        let (forger, place) = (Forger::of(own, own).unwrap(), awaiting.place());
        let announce = async {
            loop {
                forger.tell(std::slice::from_ref(&place)).unwrap();
                sleep(Duration::from_millis(200)).await;
            }
        };
        let names = protocols(OTHER.1);
        futures::join!(announce, awaiting.take(OTHER.0, &names, &came));
    };
    meanwhile_on(&lan, 2, other, || {
        for chat in [&ann, &bob] {
            is_told_of(chat, &[OTHER], &own.to_string());
        }
        talk(&bob, &ann, "meanwhile", 1000);
        talk(&ann, &bob, "and back", 200);
    });
    for chat in [&ann, &bob] {
        is_told_of(chat, &[OTHER], &own.to_string());
    }
    assert_eq!(came.load(Ordering::Relaxed), 2, "each comes once");
}

/// A node of another version may have said much before this one has read what it is.
#[test]
fn what_is_said_before_a_name_is_held_against_nobody() {
    let machine = Machine::loopback();
    let ann = machine.chat("ann").room("general").start();
    let node = tcp(&ann);
    let topic = RoomId::of(&RoomName::parse("general").unwrap()).topic().to_string();
    run(async {
        let mut connection = Connection::unnamed(node).await.unwrap();
        let mut gossip = connection.speaking("/meshsub/1.1.0").await.unwrap();
        for n in 0..50 {
            gossip.write_all(&Rpc::default().publish(&topic, &[n; 300]).bytes()).await.unwrap();
        }
        gossip.flush().await.unwrap();
        let read = || ann.ask("/counters", "counters")["gossip_unreadable"].as_u64();
        let deadline = Instant::now() + PATIENCE;
        while read() != Some(50) {
            assert!(Instant::now() < deadline, "{}", ann.ask("/counters", "counters"));
            sleep(Duration::from_millis(20)).await;
        }
        tokio::time::timeout(PATIENCE, connection.ended()).await.expect("it does not say what it is");
    });
    is_told_of(&ann, &[], "");
}

#[test]
fn what_strangers_call_things_never_reaches_a_terminal_raw() {
    const NASTY: &str = "distchat/\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}gnp\u{9b}31m\u{0}";
    let machine = Machine::loopback();
    let ann = machine.chat("ann").room("general").options(["--log", "trace"]).start();
    let node = tcp(&ann);
    run(async {
        let protocols = vec!["/ipfs/id/1.0.0".to_owned(), format!("/distchat/sync/{NASTY}")];
        let mut strange = Connection::calling_itself(node, NASTY.to_owned(), protocols).await.unwrap();
        tokio::time::timeout(PATIENCE, strange.ended()).await.expect("it is sent away");
        let connection = Connection::to(node).await.unwrap();
        let mut gossip = connection.speaking("/meshsub/1.1.0").await.unwrap();
        let rpc = Rpc::default().subscribe(NASTY).graft(NASTY).publish(NASTY, NASTY.as_bytes());
        gossip.write_all(&rpc.bytes()).await.unwrap();
        gossip.flush().await.unwrap();
        // A protocol that it does not speak, by that name.
        let asked = connection.speaking(&format!("/{NASTY}")).await;
        assert!(asked.is_err());
        tokio::time::sleep(Duration::from_millis(200)).await;
    });
    ann.wait_for("its name", PATIENCE, |event| {
        is(event, "error") && event["message"].as_str().is_some_and(|message| message.contains("owned"))
    });
    let log = ann.stderr();
    assert!(log.iter().any(|line| line.contains("owned")), "it is in the log, so that this test tests something");
    for line in log {
        let raw = line.chars().find(|c| c.is_control() && *c != '\t' || matches!(c, '\u{202a}'..='\u{202e}'));
        assert_eq!(raw, None, "{line:?}");
    }
}

#[test]
fn who_enters_and_goes_at_once_is_not_there() {
    let machine = Machine::loopback();
    let ann = machine.chat("ann").room("general").start();
    let node = tcp(&ann);
    let general = RoomId::of(&RoomName::parse("general").unwrap());
    run(async {
        for n in 0..60 {
            // It may be turned away, as one of too many.
            let _ = Member::passing_by(node, general, Duration::from_millis(n % 6)).await;
        }
    });
    let deadline = Instant::now() + PATIENCE;
    while ann.ask("/rooms", "rooms")["rooms"][0]["peers"] != 0 {
        assert!(Instant::now() < deadline, "{} are there\n{}", ann.ask("/rooms", "rooms"), ann.report());
        ann.pause(ann.mark(), Duration::from_millis(300));
    }
}

//! Requests and gossip between rooms.

use std::time::Duration;

use distchat_crdt::{
    AuthorId, Fingerprint, Signature, Timestamp,
    sync::{
        Blob, Enter, Greeting, Have, Hello, List, MAX_GOSSIP, MAX_PAGE, Offer, Page, Proof, Refusal, Request, Response,
        RoomGreeting, RoomHello, Verdict,
    },
};
use libp2p::PeerId;
use tokio::time::timeout;

use super::help::{Node, Room, quiet, room, soon};
use crate::net::{NetConfig, NetInput, RequestError};

fn have(handle: u32) -> Request {
    Request::Have(Have { handle, keys: List::default() })
}

fn hello(handle: u32) -> Request {
    let room = RoomHello { handle, upper: Timestamp(1), count: 0, root: Fingerprint([0; 32]) };
    Request::Hello(Hello { clock: 7, rooms: List::cut(vec![room]) })
}

fn equal(count: u64) -> Response {
    Response::Hello(Greeting { clock: 8, rooms: List::cut(vec![RoomGreeting::Equal(count)]) })
}

/// Answers one request and returns it.
async fn answer(room: &mut Room, response: Response) -> (PeerId, Request) {
    match room.next().await {
        NetInput::Request { peer, request, reply, .. } => {
            reply.send(response).unwrap();
            (peer, request)
        }
        other => panic!("not a request: {other:?}"),
    }
}

async fn answered(room: &mut Room) -> (u64, Result<Response, RequestError>) {
    match room.next().await {
        NetInput::Response { id, response, .. } => (id, response),
        other => panic!("not an answer: {other:?}"),
    }
}

#[tokio::test]
async fn a_request_finds_its_room_and_the_answer_its_asker() {
    let a = Node::start(quiet()).await;
    let b = Node::to(&[&a]).await;
    let (mut ra, mut rb) = (a.join(1).await, b.join(1).await);
    assert_eq!(ra.up().await, b.id());
    assert_eq!(rb.up().await, a.id());
    assert_eq!(a.net.peers()[0].0, b.id());

    // By topic, before anybody's handle is known.
    let enter = Request::Enter(Enter {
        topic: room(1).topic(),
        handle: ra.handle,
        proof: Proof([1; 32]),
        author: AuthorId([2; 32]),
        signature: Signature([3; 64]),
    });
    a.net.request(ra.handle, b.id(), 1, enter.clone());
    assert_eq!(answer(&mut rb, Response::Refused(Refusal::Denied)).await, (a.id(), enter));
    assert_eq!(answered(&mut ra).await, (1, Ok(Response::Refused(Refusal::Denied))));

    // By handle, both ways, a megabyte at a time; once they have entered.
    a.net.entered(ra.handle, b.id(), distchat_crdt::AuthorId([1; 32]));
    b.net.entered(rb.handle, a.id(), distchat_crdt::AuthorId([1; 32]));
    let page = Response::Page(Page {
        done: 1,
        messages: Blob::cut(vec![5; MAX_PAGE]),
        cuts: List::default(),
        lacks: Blob::default(),
    });
    let offer = Request::Offer(Offer { handle: ra.handle, messages: Blob::cut(vec![6; MAX_PAGE]) });
    b.net.request(rb.handle, a.id(), 2, offer.clone());
    assert_eq!(answer(&mut ra, page.clone()).await, (b.id(), offer));
    assert_eq!(answered(&mut rb).await, (2, Ok(page)));

    // A room that is not there, a reply that is dropped, a peer that is not there.
    a.net.request(ra.handle, b.id(), 3, have(99));
    assert_eq!(answered(&mut ra).await, (3, Ok(Response::Refused(Refusal::Unknown))));
    a.net.request(ra.handle, b.id(), 4, have(rb.handle));
    drop(rb.next().await);
    assert_eq!(answered(&mut ra).await, (4, Ok(Response::Refused(Refusal::Busy))));
    a.net.request(ra.handle, PeerId::random(), 5, have(1));
    assert_eq!(answered(&mut ra).await, (5, Err(RequestError::Gone)));

    // A request that nobody answers before the end.
    a.net.request(ra.handle, b.id(), 6, have(rb.handle));
    let _held = rb.next().await;
    b.shut_down().await;
    let mut last = [ra.next().await, ra.next().await];
    last.sort_by_key(|input| matches!(input, NetInput::PeerDown { .. }));
    assert!(matches!(last[0], NetInput::Response { id: 6, response: Err(RequestError::Disconnected), .. }));
}

#[tokio::test]
async fn hellos_of_several_rooms_share_a_frame() {
    let a = Node::start(quiet()).await;
    let b = Node::to(&[&a]).await;
    let (mut a1, mut a2) = (a.join(1).await, a.join(2).await);
    let (mut b1, mut b2) = (b.join(1).await, b.join(2).await);
    for room in [&mut a1, &mut a2, &mut b1, &mut b2] {
        room.up().await;
    }
    b.net.entered(b1.handle, a.id(), distchat_crdt::AuthorId([1; 32]));
    b.net.entered(b2.handle, a.id(), distchat_crdt::AuthorId([1; 32]));
    a.net.request(a1.handle, b.id(), 10, hello(b1.handle));
    a.net.request(a2.handle, b.id(), 20, hello(b2.handle));
    // The second room's answer comes first, and both arrive only when both are there: it is one frame.
    assert_eq!(answer(&mut b2, equal(222)).await.1, hello(b2.handle));
    assert_eq!(answer(&mut b1, equal(111)).await.1, hello(b1.handle));
    assert_eq!(answered(&mut a1).await, (10, Ok(equal(111))));
    assert_eq!(answered(&mut a2).await, (20, Ok(equal(222))));
}

#[tokio::test]
async fn a_room_without_space_misses_no_peer_and_is_busy() {
    let a = Node::start(quiet()).await;
    let mut full = a.join_with(1, 1).await;
    let (b, c) = (Node::to(&[&a]).await, Node::to(&[&a]).await);
    let (mut rb, mut rc) = (b.join(1).await, c.join(1).await);
    rb.up().await;
    rc.up().await;
    a.net.entered(full.handle, b.id(), distchat_crdt::AuthorId([1; 32]));
    b.net.request(rb.handle, a.id(), 1, have(full.handle));
    assert_eq!(answered(&mut rb).await, (1, Ok(Response::Refused(Refusal::Busy))));
    assert_eq!(a.net.counters().busy, 1);
    let mut seen = [full.up().await, full.up().await];
    seen.sort();
    let mut expected = [b.id(), c.id()];
    expected.sort();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn gossip_goes_as_far_as_the_verdicts_let_it() {
    let b = Node::start(quiet()).await;
    let (a, c) = (Node::to(&[&b]).await, Node::to(&[&b]).await);
    let (mut ra, mut rb, mut rc) = (a.join(1).await, b.join(1).await, c.join(1).await);
    ra.up().await;
    rc.up().await;
    rb.up().await;
    rb.up().await;
    // Every frame is another one. B passes on those with an even number; the first ones may find nobody yet.
    let pass = async {
        loop {
            if let NetInput::Gossip { from, ticket, frame } = rb.next().await {
                assert_eq!(from, a.id());
                let even = frame.first().is_some_and(|n| n % 2 == 0);
                b.net.verdict(ticket, if even { Verdict::Accept } else { Verdict::Ignore }, 0);
            }
        }
    };
    let speak = async {
        for n in 0..=u8::MAX {
            a.net.publish(&room(1), &[n; 1000]);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut heard = Vec::new();
    let listen = async {
        while heard.len() < 5 {
            if let NetInput::Gossip { from, frame, .. } = rc.next().await {
                assert_eq!((from, frame.len()), (b.id(), 1000));
                heard.push(frame[0]);
            }
        }
    };
    tokio::select! {
        () = soon("gossip", listen) => {}
        () = pass => {}
        () = speak => panic!("nobody heard"),
    }
    assert!(heard.iter().all(|n| n % 2 == 0), "{heard:?}");
}

#[tokio::test]
async fn the_longest_frames_arrive_one_behind_the_other() {
    /// Some times as many as are published at once: the others wait until they may go.
    const LONG: u8 = 50;
    let a = Node::start(quiet()).await;
    let b = Node::to(&[&a]).await;
    let (mut ra, mut rb) = (a.join(1).await, b.join(1).await);
    ra.up().await;
    rb.up().await;
    // Until the topic has got around.
    let mut n = 0_u32;
    let first = async {
        loop {
            n += 1;
            a.net.publish(&room(1), &n.to_be_bytes());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        input = rb.next() => assert!(matches!(input, NetInput::Gossip { .. })),
        () = first => {}
    }
    a.net.publish(&room(1), &[0; MAX_GOSSIP + 1]);
    for n in 0..LONG {
        a.net.publish(&room(1), &[n; MAX_GOSSIP]);
    }
    let mut long = 0;
    while long < usize::from(LONG) {
        if let NetInput::Gossip { frame, .. } = rb.next().await
            && frame.len() == MAX_GOSSIP
        {
            assert_eq!(usize::from(frame[0]), long);
            long += 1;
        }
    }
    assert_eq!(a.net.counters().publish_dropped, 1);
}

/// Whoever says something and leaves at once is heard: nobody else could pass it on.
#[tokio::test]
async fn what_is_published_at_the_very_end_goes_out() {
    /// More than are published without looking at anything else.
    const MANY: u32 = 600;
    let a = Node::start(quiet()).await;
    let mut ra = a.join_with(1, 2 * MANY as usize).await;
    for round in 0..8 {
        let b = Node::to(&[&a]).await;
        let mut rb = b.join(1).await;
        rb.up().await;
        // Until gossip knows the way.
        let mut first = 0_u8;
        'known: loop {
            b.net.publish(&room(1), &[round, first]);
            first += 1;
            while let Ok(Some(input)) = timeout(Duration::from_millis(50), ra.inputs.recv()).await {
                if matches!(input, NetInput::Gossip { .. }) {
                    break 'known;
                }
            }
        }
        let frames: Vec<Vec<u8>> = (0..MANY).map(|n| [&[round][..], &n.to_be_bytes()].concat()).collect();
        for frame in &frames {
            b.net.publish(&room(1), frame);
        }
        let ((), mut heard) = tokio::join!(b.shut_down(), heard_until_it_leaves(&mut ra, 5));
        heard.sort();
        assert_eq!(heard.len(), frames.len(), "round {round}");
        assert!(heard == frames, "round {round}");
    }
}

/// The frames of that length that a room hears until somebody has gone.
async fn heard_until_it_leaves(room: &mut Room, length: usize) -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    loop {
        match room.next().await {
            NetInput::Gossip { frame, .. } if frame.len() == length => heard.push(frame),
            NetInput::PeerDown { .. } => break heard,
            _ => {}
        }
    }
}

/// Somebody whose machine sleeps is no reason that nobody hears it.
#[tokio::test]
async fn one_who_does_not_answer_keeps_no_last_words_from_others() {
    const MANY: u32 = 300;
    let b = Node::start(quiet()).await;
    let a = Node::to(&[&b]).await;
    let mut ra = a.join_with(1, 2 * MANY as usize).await;
    let mut rb = b.join(1).await;
    assert_eq!(rb.up().await, a.id());
    ra.up().await;
    let connect = vec![b.address()];
    let (sleep, told) = tokio::sync::oneshot::channel::<()>();
    let (wake, asleep) = std::sync::mpsc::sync_channel::<()>(1);
    let sleeper = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _node = runtime.block_on(async {
            let node = Node::start(NetConfig { connect, ..quiet() }).await;
            node.join(1).await.up().await;
            let _ = told.await;
            node
        });
        // Until the test is over, also if it fails.
        let _ = asleep.recv();
    });
    rb.up().await;
    sleep.send(()).unwrap();
    // Until gossip knows the way.
    let known = async {
        let mut first = 0_u16;
        loop {
            b.net.publish(&room(1), &first.to_be_bytes());
            first += 1;
            if let Ok(Some(NetInput::Gossip { .. })) = timeout(Duration::from_millis(50), ra.inputs.recv()).await {
                break;
            }
        }
    };
    soon("gossip", known).await;
    let frames: Vec<Vec<u8>> = (0..MANY).map(|n| n.to_be_bytes().to_vec()).collect();
    for frame in &frames {
        b.net.publish(&room(1), frame);
    }
    let ((), mut heard) = tokio::join!(b.shut_down(), heard_until_it_leaves(&mut ra, 4));
    heard.sort();
    assert_eq!(heard.len(), frames.len());
    assert!(heard == frames);
    drop(wake);
    sleeper.join().unwrap();
}

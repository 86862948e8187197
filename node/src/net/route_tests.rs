use distchat_crdt::{
    AuthorId, Fingerprint, Timestamp,
    sync::{Have, RoomHello},
};

use tokio::sync::mpsc;

use super::*;
use crate::net::{Inputs, inbox::tests::inbox};

const AUTHOR: AuthorId = AuthorId([1; 32]);
/// As much as any answer may have.
const PAGE: usize = 1024 * 1024;

fn room_hello(handle: u32) -> RoomHello {
    RoomHello { handle, upper: Timestamp(1), count: 0, root: Fingerprint([0; 32]) }
}

fn hello(handles: &[u32]) -> Request {
    Request::Hello(Hello { clock: 5, rooms: List::cut(handles.iter().map(|handle| room_hello(*handle)).collect()) })
}

fn have(handle: u32) -> Request {
    Request::Have(Have { handle, keys: List::default() })
}

fn greeting(clock: u64, counts: &[u64]) -> Response {
    let rooms = counts.iter().map(|count| RoomGreeting::Equal(*count)).collect();
    Response::Hello(Greeting { clock, rooms: List::cut(rooms) })
}

fn joined(rooms: &mut Rooms, topic: u8, space: usize) -> (u32, Inputs) {
    let (inbox, inputs) = inbox(space);
    (rooms.join(Topic([topic; 32]), inbox, std::iter::empty()), inputs)
}

#[test]
fn handles_are_small_and_never_reused_while_in_use() {
    let mut rooms = Rooms::default();
    let (first, _a) = joined(&mut rooms, 1, 1);
    let (second, _b) = joined(&mut rooms, 2, 1);
    assert_eq!((first, second), (1, 2));
    rooms.last = u32::MAX;
    assert_eq!(joined(&mut rooms, 3, 1).0, 3);
    assert_eq!(rooms.leave(first), Some(Topic([1; 32])));
    assert_eq!(rooms.leave(first), None);
}

#[test]
fn a_second_room_of_a_topic_takes_the_place_of_the_first() {
    let mut rooms = Rooms::default();
    let (first, mut before) = joined(&mut rooms, 1, 1);
    let (second, _inputs) = joined(&mut rooms, 1, 1);
    assert_eq!(rooms.of_topic(&Topic([1; 32])), Some(second));
    assert!(matches!(before.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
    assert_eq!(rooms.leave(first), None, "the topic is not free");
    assert_eq!(rooms.leave(second), Some(Topic([1; 32])));
}

#[test]
fn what_must_not_get_lost_waits_and_comes_first() {
    let mut rooms = Rooms::default();
    let (handle, mut inputs) = joined(&mut rooms, 1, 1);
    let [a, b, c] = [(); 3].map(|()| PeerId::random());
    rooms.deliver(handle, NetInput::PeerUp { peer: a });
    rooms.deliver(handle, NetInput::PeerUp { peer: b });
    rooms.entered.note(a, handle, AUTHOR);
    rooms.deliver(handle, NetInput::PeerUp { peer: c });
    rooms.deliver(handle, NetInput::PeerDown { peer: c });
    assert!(rooms.waiting());
    assert!(matches!(rooms.ask(a, have(handle), PAGE), Asked::One(Slot::Waiting(_))));
    let mut seen = Vec::new();
    let last = loop {
        match inputs.try_recv() {
            Ok(NetInput::PeerUp { peer }) => seen.push(peer),
            other => break other,
        }
        rooms.flush();
    };
    assert_eq!(seen, [a, b], "c came and went unnoticed");
    assert!(matches!(last, Ok(NetInput::Request { peer, .. }) if peer == a), "{last:?}");
    assert!(!rooms.waiting());
}

#[test]
fn a_crowd_of_one_stands_in_nobodys_way() {
    let mut rooms = Rooms::default();
    let (handle, mut inputs) = joined(&mut rooms, 1, 1);
    let [crowd, other] = [(); 2].map(|()| PeerId::random());
    for peer in [crowd, other] {
        rooms.entered.note(peer, handle, AUTHOR);
    }
    let asked: Vec<Asked> = (0..1000).map(|_| rooms.ask(crowd, have(handle), PAGE)).collect();
    let refused = asked.iter().filter(|asked| matches!(asked, Asked::One(Slot::Refused(Refusal::Busy)))).count();
    assert!(refused > 800, "{refused}");
    assert!(matches!(rooms.ask(other, have(handle), PAGE), Asked::One(Slot::Waiting(_))));
    let mut before = 0;
    while let Ok(NetInput::Request { peer, .. }) = inputs.try_recv() {
        if peer == other {
            break;
        }
        before += 1;
        rooms.flush();
    }
    assert!(before <= 2, "{before} stood before it");
    rooms.deliver(handle, NetInput::PeerDown { peer: crowd });
    rooms.flush();
    assert!(matches!(inputs.try_recv(), Ok(NetInput::PeerDown { .. })));
    rooms.flush();
    assert!(inputs.try_recv().is_err(), "what one has asked who is gone is thrown away");
}

#[test]
fn the_backlog_of_a_room_that_is_gone_is_dropped() {
    let mut rooms = Rooms::default();
    let (handle, inputs) = joined(&mut rooms, 1, 1);
    drop(inputs);
    rooms.deliver(handle, NetInput::PeerUp { peer: PeerId::random() });
    assert!(!rooms.waiting());
    assert_eq!(rooms.abandoned(), [handle]);
}

#[tokio::test]
async fn a_hello_is_split_and_its_answers_are_gathered_in_order() {
    let mut rooms = Rooms::default();
    let (one, mut first) = joined(&mut rooms, 1, 4);
    let (two, mut second) = joined(&mut rooms, 2, 4);
    let (three, third) = joined(&mut rooms, 3, 4);
    let peer = PeerId::random();
    for handle in [one, two, 99, three] {
        rooms.entered.note(peer, handle, AUTHOR);
    }
    let asked = rooms.ask(peer, hello(&[two, 99, one, three]), PAGE);
    drop(third);
    let answer = tokio::spawn(asked.answer(PATIENCE));
    let Some(NetInput::Request { request, reply, .. }) = first.recv().await else { panic!() };
    assert_eq!(request, hello(&[one]));
    reply.send(greeting(77, &[10])).unwrap();
    let Some(NetInput::Request { request, reply, .. }) = second.recv().await else { panic!() };
    assert_eq!(request, hello(&[two]));
    reply.send(greeting(78, &[20])).unwrap();
    let Response::Hello(answer) = answer.await.unwrap() else { panic!() };
    assert_eq!(answer.clock, 78, "of the first room that answered");
    let expected = [
        RoomGreeting::Equal(20),
        RoomGreeting::Refused(Refusal::Unknown),
        RoomGreeting::Equal(10),
        RoomGreeting::Refused(Refusal::Busy),
    ];
    assert_eq!(answer.rooms[..], expected);
}

#[tokio::test]
async fn an_empty_hello_is_answered_by_the_clock() {
    let Response::Hello(answer) = Rooms::default().ask(PeerId::random(), hello(&[]), PAGE).answer(PATIENCE).await
    else {
        panic!()
    };
    assert!(answer.clock > 1_600_000_000_000 && answer.rooms.is_empty());
}

#[tokio::test]
async fn a_room_that_is_slow_or_drops_the_reply_is_busy() {
    let mut rooms = Rooms::default();
    let (handle, mut inputs) = joined(&mut rooms, 1, 4);
    let peer = PeerId::random();
    rooms.entered.note(peer, handle, AUTHOR);
    let asked = rooms.ask(peer, have(handle), PAGE);
    drop(inputs.recv().await);
    assert_eq!(asked.answer(PATIENCE).await, Response::Refused(Refusal::Busy));
    let asked = rooms.ask(peer, have(handle), PAGE);
    let _held = inputs.recv().await;
    assert_eq!(asked.answer(Duration::from_millis(1)).await, Response::Refused(Refusal::Busy));
}

#[test]
fn hellos_to_one_peer_are_merged_and_their_answer_is_split() {
    let [a, b] = [(); 2].map(|()| PeerId::random());
    let out = |handle, peer, id, request| Outgoing { handle, peer, id, request };
    let merged = merge(vec![
        out(1, a, 10, hello(&[101])),
        out(2, b, 20, hello(&[201])),
        out(1, a, 11, have(101)),
        out(3, a, 30, hello(&[103])),
    ]);
    assert_eq!(merged.len(), 3);
    assert_eq!(merged[0].request, hello(&[101, 103]));
    assert_eq!(merged[1].request, hello(&[201]));
    assert_eq!(merged[2].request, have(101));
    let shares = split(merged[0].parts.clone(), greeting(9, &[1, 2])).unwrap();
    assert_eq!(shares[0], (Part { handle: 1, id: 10, rooms: 1 }, Ok(greeting(9, &[1]))));
    assert_eq!(shares[1], (Part { handle: 3, id: 30, rooms: 1 }, Ok(greeting(9, &[2]))));
    let busy = Response::Refused(Refusal::Busy);
    assert!(split(merged[0].parts.clone(), busy.clone()).unwrap().iter().all(|share| share.1 == Ok(busy.clone())));
    assert!(split(merged[0].parts.clone(), greeting(9, &[1])).is_err(), "too few");
    assert!(split(merged[0].parts.clone(), Response::Offered(1)).is_err(), "no greeting");
    assert!(split(merged[1].parts.clone(), Response::Offered(1)).is_err());
    assert!(split(merged[2].parts.clone(), Response::Offered(1)).is_ok(), "the room judges");
    assert!(split(merged[2].parts.clone(), greeting(9, &[1])).is_err());
}

#[test]
fn a_frame_has_no_more_rooms_than_allowed() {
    let peer = PeerId::random();
    let count = u32::try_from(2 * MAX_HELLO_ROOMS + 1).unwrap();
    let many = (0..count).map(|n| Outgoing { handle: n, peer, id: 0, request: hello(&[n]) }).collect();
    let lengths: Vec<usize> = merge(many).iter().map(|merged| merged.parts.len()).collect();
    assert_eq!(lengths, [MAX_HELLO_ROOMS, MAX_HELLO_ROOMS, 1]);
}

#[test]
fn who_has_not_entered_takes_no_place_in_an_inbox() {
    let mut rooms = Rooms::default();
    let (handle, mut inputs) = joined(&mut rooms, 1, 4);
    let (other, _inputs) = joined(&mut rooms, 2, 4);
    let peer = PeerId::random();
    rooms.entered.note(peer, other, AUTHOR);
    let refused = |asked: Asked| matches!(asked, Asked::One(Slot::Refused(Refusal::Unknown)));
    assert!(refused(rooms.ask(peer, have(handle), PAGE)));
    assert!(inputs.try_recv().is_err());
    rooms.entered.note(peer, handle, AUTHOR);
    assert!(!refused(rooms.ask(peer, have(handle), PAGE)));
    assert!(inputs.try_recv().is_ok());
    assert!(rooms.entered.gone(&peer), "it had entered");
    assert!(refused(rooms.ask(peer, have(handle), PAGE)));
}

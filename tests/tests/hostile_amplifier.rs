//! Who asks for much and wants none of it does not get it, and who wants it does.

use std::{net::SocketAddr, time::Instant};

use distchat_crdt::{
    Key, Message, RoomId, RoomName, Timestamp,
    sync::{Blob, Offer, Refusal, Request, Response},
};
use distchat_hostile::Member;
use distchat_tests::Machine;
use futures::future::join_all;

use crate::hostile::{run, tcp};

/// What PROTOCOL.md says: what a connection begins with, what an address has for that and how fast it fills again, and the
/// multiple of what is asked.
const START: usize = 256 * 1024;
const FUND: usize = 2 * 1024 * 1024;
const FUND_A_SECOND: usize = 64 * 1024;
const MULTIPLE: usize = 16;
/// The first message of each answer is never cut, and headers are not counted.
const EACH: usize = 2 * 1024;
/// A question for everything, with what goes around it on its stream.
const QUESTION: usize = 200;
const MESSAGES: u64 = 4000;

async fn member(node: SocketAddr) -> Member {
    Member::of(node, RoomId::of(&RoomName::parse("general").unwrap())).await.unwrap()
}

/// Four megabytes of history.
async fn fill(node: SocketAddr) {
    let member = member(node).await;
    let long = "x".repeat(1000);
    let run = member.run(MESSAGES, Timestamp::from_millis(1_700_000_000_000), |n| format!("{n} {long}"));
    for messages in run.chunks(700) {
        let messages = Blob::cut(messages.iter().flat_map(Message::bytes).copied().collect());
        let offer = Request::Offer(Offer { handle: member.handle(), messages });
        while member.ask(&offer).await.unwrap() == Response::Refused(Refusal::Busy) {
            tokio::task::yield_now().await;
        }
    }
}

fn a_node(machine: &Machine) -> (distchat_tests::Chat, SocketAddr) {
    let ann = machine.chat("ann").room("general").start();
    let node = tcp(&ann);
    assert_eq!(ann.fingerprint().messages, 0, "the room is open");
    run(fill(node));
    assert_eq!(ann.fingerprint().messages, MESSAGES);
    (ann, node)
}

/// That is what a node promises before it has sent anything. Somebody far away sees only part of it: an answer may be sent
/// while other questions are still read, and then these come from somebody who has taken it. So it asks no more often than
/// the bound allows for, whatever comes first; what many questions get is seen where the answers are held (`net::tests::earned`).
#[test]
fn who_takes_nothing_gets_a_small_multiple_of_what_it_sends() {
    const ASKED: usize = 3;
    let machine = Machine::loopback();
    let (_ann, node) = a_node(&machine);
    run(async {
        let member = member(node).await;
        let everything = member.everything(None);
        let asked = member.ask_at_once(&everything, ASKED).await.unwrap();
        let answers = join_all(asked.into_iter().map(|stream| member.finish(stream))).await;
        let sent: usize = answers.into_iter().map(|answer| answer.unwrap().0).sum();
        // An eighth, a quarter and a half of four times that, if each comes from somebody who has taken the one before.
        let limit = 4 * START + ASKED * (MULTIPLE * QUESTION + EACH);
        assert!(sent > START / 4 && sent <= limit, "{sent} bytes, of {limit} at most");
    });
}

#[test]
fn connecting_again_renews_nothing() {
    const CONNECTIONS: usize = 40;
    let machine = Machine::loopback();
    let (_ann, node) = a_node(&machine);
    let began = Instant::now();
    run(async {
        let mut sent = 0;
        for _ in 0..CONNECTIONS {
            let member = member(node).await;
            let asked = member.ask_at_once(&member.everything(None), 1).await.unwrap();
            for stream in asked {
                sent += member.finish(stream).await.unwrap().0;
            }
        }
        // Half of what each begins with: what is left of the fund after the first few, and the least that every connection has.
        let fund = FUND + FUND_A_SECOND * (began.elapsed().as_secs() as usize + 1);
        let limit = (fund + CONNECTIONS * START / 4) / 2 + CONNECTIONS * (MULTIPLE * QUESTION + EACH);
        assert!(sent <= limit, "{sent} bytes, of {limit} at most");
    });
}

#[test]
fn who_takes_what_it_asks_for_has_all_of_it_in_a_few_answers() {
    let machine = Machine::loopback();
    let (_ann, node) = a_node(&machine);
    run(async {
        let member = member(node).await;
        let (mut below, mut held, mut answers): (Option<Key>, u64, usize) = (None, 0, 0);
        loop {
            let Response::Page(page) = member.ask(&member.everything(below)).await.unwrap() else { panic!() };
            let messages = Message::decode_all(&page.messages).unwrap();
            held += messages.len() as u64;
            answers += 1;
            if page.done == 1 {
                break;
            }
            below = messages.first().map(Message::key);
        }
        assert_eq!(held, MESSAGES);
        // Five would do if every one were a whole page.
        assert!(answers <= 10, "{answers} answers");
    });
}

//! How much a peer is sent that asks for much.

use std::time::Instant;

use distchat_crdt::{
    AuthorId,
    sync::{Blob, Have, List, Page, Refusal, Request, Response},
};

use super::help::{Node, quiet, soon};
use crate::net::NetInput;

/// What PROTOCOL.md says: what a connection begins with, what a byte of a request and a byte of an answer earn, and what is
/// given a second.
const START: u64 = 256 * 1024;
const FOR_ASKING: u64 = 16;
const FOR_TAKING: u64 = 3;
const A_SECOND: u64 = 16 * 1024;

/// Questions of which none is answered before the last has come: that is what the node sees of somebody who takes nothing.
/// Whether it takes anything is seen only once it asks again.
#[tokio::test]
async fn who_has_taken_nothing_gets_what_it_began_with_and_a_multiple_of_what_it_sends() {
    const ASKED: u64 = 32;
    let began = Instant::now();
    let a = Node::start(quiet()).await;
    let b = Node::to(&[&a]).await;
    let (mut ra, mut rb) = (a.join(1).await, b.join(1).await);
    ra.up().await;
    rb.up().await;
    a.net.entered(ra.handle, b.id(), AuthorId([1; 32]));
    let question = Request::Have(Have { handle: ra.handle, keys: List::default() });
    let mut wire = Vec::new();
    ciborium::into_writer(&question, &mut wire).unwrap();

    let mut held = Vec::new();
    let mut refused = 0;
    for id in 0..ASKED {
        b.net.request(rb.handle, a.id(), id, question.clone());
        tokio::select! {
            input = ra.next() => match input {
                NetInput::Request { room_for, reply, .. } => held.push((room_for, reply)),
                other => panic!("not a request: {other:?}"),
            },
            input = rb.next() => match input {
                NetInput::Response { response: Ok(Response::Refused(Refusal::Busy)), .. } => refused += 1,
                other => panic!("not a refusal: {other:?}"),
            },
        }
    }
    let promised: u64 = held.iter().map(|(room_for, _)| *room_for as u64).sum();
    let given = A_SECOND * (began.elapsed().as_secs() + 1);
    assert!(refused > 0 && promised <= START + FOR_ASKING * ASKED * wire.len() as u64 + given, "{promised} bytes");
    assert!(promised > START / 2, "{promised} bytes");

    // Once it has taken them, the next answer may be as long as that has earned.
    let count = held.len();
    for (room_for, reply) in held {
        let messages = Blob::cut(vec![0; room_for]);
        let page = Page { done: 1, messages, cuts: List::default(), lacks: Blob::default() };
        reply.send(Response::Page(page)).unwrap();
    }
    for _ in 0..count {
        let input = rb.next().await;
        assert!(matches!(input, NetInput::Response { response: Ok(Response::Page(_)), .. }), "{input:?}");
    }
    let longer = async {
        loop {
            b.net.request(rb.handle, a.id(), ASKED, question.clone());
            tokio::select! {
                input = ra.next() => match input {
                    // That one of them has been sent may be known there a moment later than it is here.
                    NetInput::Request { room_for, .. } if room_for as u64 <= promised => {}
                    NetInput::Request { room_for, .. } => break room_for as u64,
                    other => panic!("not a request: {other:?}"),
                },
                input = rb.next() => assert!(matches!(input, NetInput::Response { .. }), "{input:?}"),
            }
        }
    };
    let next = soon("what was earned", longer).await;
    assert!(next <= FOR_TAKING * promised, "{next} bytes after {promised}");
}

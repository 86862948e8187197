//! One among a thousand that are all one: what it says still arrives.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
};

use distchat_crdt::{RoomId, RoomName};
use distchat_hostile::Member;
use distchat_tests::PATIENCE;
use futures::future::join_all;
use tokio::time::sleep;

use crate::hostile::{Scene, agree, meanwhile, talk, wait_counted};

const ADDRESSES: u8 = 20;
const OF_EACH: usize = 50;

/// A thousand names from twenty addresses: each enters the room, takes part in its gossip, and says nothing more.
async fn besiege(node: SocketAddr, tried: &AtomicUsize, entered: &AtomicUsize) {
    let room = RoomId::of(&RoomName::parse("general").unwrap());
    let addresses = (0..ADDRESSES).map(|address| async move {
        let own = IpAddr::from(Ipv4Addr::new(127, 0, 1, address + 1));
        let mut names = Vec::new();
        // One after the other: more handshakes at once are not begun.
        for _ in 0..OF_EACH {
            let member = Member::from(own, node, room).await;
            tried.fetch_add(1, Ordering::Relaxed);
            let Ok(member) = member else { continue };
            let Ok(gossip) = member.gossip().await else { continue };
            entered.fetch_add(1, Ordering::Relaxed);
            names.push((member, gossip));
        }
        names
    });
    let _names = join_all(addresses).await;
    sleep(2 * PATIENCE).await;
}

#[test]
fn one_among_a_thousand_is_heard() {
    let Scene { _alone, _machine, ann, mut bob, node, memory: _ } = Scene::begin();
    let (tried, entered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    meanwhile(besiege(node, &tried, &entered), || {
        wait_counted("have entered", &entered, 500);
        talk(&bob, &ann, "during the siege", 200);
        // He was away, and says something while nobody hears it.
        bob.stop();
        bob.restart();
        bob.say("said before anybody was met");
        ann.wait_text("said before anybody was met");
        talk(&ann, &bob, "and back", 100);
        agree(&ann, &bob);
        wait_counted("have tried", &tried, usize::from(ADDRESSES) * OF_EACH);
        eprintln!("{entered:?} of {tried:?} have entered");
        talk(&bob, &ann, "among all of them", 100);
        agree(&ann, &bob);
    });
}

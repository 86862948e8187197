//! Trees that lead nowhere: whoever tells them is left after some KiB, and others are asked.

use std::time::Duration;

use distchat_crdt::{
    Keypair,
    index::Index,
    sync::{Blob, Branch, Difference, List, Response, RoomGreeting, Summaries, Summary},
};

use crate::{liars::talk, world::World};

const SECOND: Duration = Duration::from_secs(1);

/// Everything that is asked about differs, to the last leaf.
fn differs(mut response: Response, next: &mut u64) -> Response {
    let Response::Nodes(nodes) = &mut response else { return response };
    let lie = |summary: &Summary| {
        let (Summary::Keys(region, _) | Summary::Branch(region, _)) = summary;
        *next += 1;
        let hashes = (0..16_u64).flat_map(|n| (*next << 8 | n).to_be_bytes()[2..].to_vec()).collect();
        Summary::Branch(*region, Branch { prefix: *region, children: u16::MAX, hashes: Blob::cut(hashes) })
    };
    let summaries = nodes.summaries.iter().map(lie).collect();
    Response::Nodes(Summaries { done: nodes.done, summaries: List::cut(summaries) })
}

#[test]
fn a_tree_that_differs_everywhere_is_left_after_some_kibibytes() {
    let mut world = World::new(2);
    let shared = talk(&Keypair::from_seed([50; 32]), 20_000);
    world.give(0, &shared);
    world.give(1, &shared[..19_000]);
    world.give(1, &talk(&Keypair::from_seed([51; 32]), 5));
    world.gossip = false;
    world.liars = vec![1];
    let mut next = 0;
    world.twist = Some(Box::new(move |response| differs(response, &mut next)));
    world.connect(0, 1);
    world.run_for(SECOND / 2);
    println!("{} bytes in {} requests", world.bytes, world.requests);
    assert!(world.bytes < 200_000, "half a second of it cost {} bytes", world.bytes);
    world.run_for(SECOND * 60);
    println!("{} bytes in {} requests", world.bytes, world.requests);
    assert!(world.bytes < 1_000_000, "a minute of it cost {} bytes", world.bytes);
}

#[test]
fn another_is_asked_at_once() {
    let mut world = World::new(3);
    let shared = talk(&Keypair::from_seed([50; 32]), 20_000);
    world.give(0, &shared[..19_000]);
    world.give(0, &talk(&Keypair::from_seed([52; 32]), 5));
    world.give(1, &shared[..18_000]);
    world.give(2, &shared);
    world.gossip = false;
    world.liars = vec![1];
    let mut next = 0;
    world.twist = Some(Box::new(move |response| differs(response, &mut next)));
    world.connect(0, 1);
    world.run_for(SECOND / 10);
    world.connect(0, 2);
    let took = world.run_until_equal_of(&[0, 2], SECOND * 20);
    println!("took {took:?}");
    assert!(took < SECOND * 8, "took {took:?}");
}

/// Whoever says to lack all there is, and to have taken what it is offered, is not given it again and again.
#[test]
fn who_takes_the_same_over_and_over_is_given_no_more() {
    let mut world = World::new(2);
    world.give(0, &talk(&Keypair::from_seed([50; 32]), 100));
    world.gossip = false;
    world.liars = vec![1];
    world.twist = Some(Box::new(|response| match response {
        Response::Hello(mut greeting) => {
            let empty: Index = Index::default();
            let difference = Difference { count: 0, root: empty.root(), later: 0, tail: None };
            greeting.rooms = List::cut(vec![RoomGreeting::Differs(difference)]);
            Response::Hello(greeting)
        }
        Response::Offered(_) => Response::Offered(100),
        other => other,
    }));
    world.connect(0, 1);
    world.run_for(SECOND * 300);
    let room: usize = 100 * 290;
    println!("{} bytes offered", world.hosts[0].offered);
    assert!(world.hosts[0].offered < 20 * room, "{} bytes in five minutes", world.hosts[0].offered);
}

//! One among many that are all one: whatever they do, it is heard within a bounded time.

use std::time::Duration;

use distchat_crdt::{
    Key, Keypair, Message, Timestamp,
    sync::{Blob, Difference, Greeting, List, Page, Response, RoomGreeting, Tail},
};

use crate::{
    liars::talk,
    world::{START_MS, World},
};

const SECOND: Duration = Duration::from_secs(1);
const MANY: usize = 40;

/// A greeting that says that there is more, in twenty pages.
fn more(greeting: Greeting) -> Response {
    let at = |n: u64| Key {
        time: Timestamp::from_millis(START_MS + 70_000 - 1000 * n),
        id: distchat_crdt::MessageId([7; 32]),
    };
    let tail = Some(Tail { messages: Blob::default(), cuts: List::cut((0..20).map(at).collect()) });
    let difference = Difference { count: 5, root: distchat_crdt::Fingerprint([7; 32]), later: 0, tail };
    Response::Hello(Greeting { rooms: List::cut(vec![RoomGreeting::Differs(difference)]), ..greeting })
}

/// Two that gossip does not reach.
fn two() -> World {
    let mut world = World::new(2);
    world.gossip = false;
    world
}

/// Each of many names has one new message for whoever asks it, as late as it can, and another one after that.
fn besiege(world: &mut World, hosts: &[usize]) {
    let mut drops = talk(&Keypair::from_seed([97; 32]), 20_000).into_iter();
    world.late = SECOND * 14;
    world.twist = Some(Box::new(move |response| match response {
        Response::Page(_) => {
            let messages = Blob::cut(drops.next().as_ref().map_or(&[][..], Message::bytes).to_vec());
            Response::Page(Page { done: 0, messages, cuts: List::default(), lacks: Blob::default() })
        }
        Response::Hello(greeting) => more(greeting),
        other => other,
    }));
    for _ in 0..MANY {
        let liar = world.add_host();
        world.liars.push(liar);
        for host in hosts {
            world.connect(*host, liar);
        }
    }
}

/// How long it takes until what one of the two says is with the other.
fn is_heard(world: &mut World, limit: Duration) -> Duration {
    world.say(1, "let me in");
    let said = world.hosts[1].replica.room().own_author();
    let count = |world: &World, host: usize| {
        world.hosts[host].replica.room().authors().get(&said).map_or(0, distchat_crdt::AuthorLog::count)
    };
    let mut waited = Duration::ZERO;
    while count(world, 0) < count(world, 1) {
        assert!(waited < limit, "not heard after {limit:?}");
        world.run_for(SECOND);
        waited += SECOND;
    }
    waited
}

#[test]
fn who_was_here_before_the_many_is_heard_among_them() {
    let mut world = two();
    world.connect(0, 1);
    world.run_for(SECOND);
    besiege(&mut world, &[0, 1]);
    world.run_for(SECOND * 10);
    for _ in 0..5 {
        is_heard(&mut world, SECOND * 90);
    }
}

#[test]
fn who_comes_when_the_many_are_here_is_heard_after_a_while() {
    let mut world = two();
    besiege(&mut world, &[0, 1]);
    world.run_for(SECOND * 10);
    world.connect(0, 1);
    for _ in 0..2 {
        is_heard(&mut world, SECOND * 400);
    }
}

//! A replica that takes nothing in for a while goes on where it was.

use std::time::Duration;

use distchat_crdt::{Keypair, sync::Input};

use crate::{liars::talk, world::World};

const SECOND: Duration = Duration::from_secs(1);

/// Three hosts: the first is paused, the second has what it lacks, the third lacks what the first has.
fn paused() -> World {
    let mut world = World::new(3);
    world.give(0, &talk(&Keypair::from_seed([51; 32]), 200));
    world.give(1, &talk(&Keypair::from_seed([52; 32]), 300));
    world.input(0, Input::Pause(true));
    world.connect(0, 1);
    world.connect(0, 2);
    world
}

#[test]
fn what_is_paused_serves_and_takes_nothing() {
    let mut world = paused();
    world.run_for(60 * SECOND);
    assert_eq!(world.lens(), [200, 500, 200], "what it has is anybody's, what others have is not for it");
    world.say(1, "live");
    world.run_for(10 * SECOND);
    assert_eq!(world.lens(), [200, 501, 200], "gossip is not passed on by who cannot keep it");
    world.assert_no_offences();
}

#[test]
fn when_it_goes_on_it_has_all_at_once() {
    let mut world = paused();
    world.run_for(300 * SECOND);
    world.input(0, Input::Pause(false));
    let took = world.run_until_equal_of(&[0, 1], 5 * SECOND);
    assert!(took < 2 * SECOND, "{took:?}");
    // Whoever only hears of it by the rounds that it makes takes a little longer.
    world.run_until_equal(60 * SECOND);
    assert_eq!(world.lens(), [500; 3]);
    world.assert_no_offences();
}

#[test]
fn what_it_was_in_the_middle_of_is_let_go() {
    let mut world = World::new(2);
    world.give(1, &talk(&Keypair::from_seed([52; 32]), 5000));
    world.connect(0, 1);
    while world.lens()[0] == 0 {
        world.run_for(Duration::from_millis(1));
    }
    world.input(0, Input::Pause(true));
    let [held, _] = world.lens()[..] else { unreachable!() };
    world.run_for(30 * SECOND);
    assert_eq!(world.lens()[0], held);
    world.input(0, Input::Pause(false));
    world.run_until_equal(10 * SECOND);
    world.assert_no_offences();
}

/// An offer is a page: one that has no place for it is not sent another one every second.
#[test]
fn who_cannot_take_offers_is_left_alone_for_longer_and_longer() {
    let mut world = paused();
    world.run_for(10 * SECOND);
    let in_ten = world.hosts[1].refused;
    world.run_for(290 * SECOND);
    let in_300 = world.hosts[1].refused;
    assert!((2..=6).contains(&in_ten) && in_300 <= in_ten + 14, "{in_ten} {in_300}");
}

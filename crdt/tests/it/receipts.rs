//! Finding out on whose disks messages are.

use std::time::Duration;

use distchat_crdt::{
    AuthorId, Key, Message, Signer,
    sync::{Input, MAX_LOOKED_UP},
};

use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);

fn all_keys(world: &World, host: usize) -> Vec<Key> {
    let mut keys: Vec<Key> = world.hosts[host].stored.iter().map(Message::key).collect();
    keys.sort_unstable();
    keys
}

/// Some hosts that agree, the first of which has said something and wants to know where it is.
fn said_among_five(write_time: impl Fn(usize) -> Duration) -> World {
    let mut world = World::new(5);
    world.connect_all();
    world.run_for(SECOND * 5);
    for (number, host) in world.hosts.iter_mut().enumerate() {
        host.write_time = write_time(number);
    }
    world.requests = 0;
    world.input(0, Input::WatchReceipts { of: Vec::new() });
    world.say(0, "where is it?");
    world
}

#[test]
fn nobody_is_asked_for_what_is_not_on_the_own_disk_yet() {
    let mut world = said_among_five(|host| if host == 0 { SECOND * 4 } else { SECOND / 1000 });
    world.run_for(SECOND * 3);
    // A round or two.
    assert!(world.requests < 8, "{} requests", world.requests);
    assert!(!world.hosts[0].replica.delivered());
    world.run_for(SECOND * 2);
    assert!(world.hosts[0].replica.delivered());
}

#[test]
fn peers_whose_disks_are_slow_are_not_pestered() {
    let mut world = said_among_five(|host| if host == 0 { SECOND / 1000 } else { SECOND * 4 });
    world.run_for(SECOND * 3);
    assert!(!world.hosts[0].replica.delivered());
    assert!(world.requests < 80, "{} requests", world.requests);
    world.run_for(SECOND * 4);
    assert!(world.hosts[0].replica.delivered());
}

#[test]
fn receipts_are_counted_by_author() {
    let mut world = World::new(3);
    // The second author runs two processes.
    world.add_host_of(1);
    world.connect_all();
    world.run_for(SECOND * 5);
    world.input(0, Input::WatchReceipts { of: Vec::new() });
    world.say(0, "one");
    world.say(0, "two");
    world.run_for(SECOND * 5);
    let said: Vec<Key> = world.hosts[0].stored.iter().map(Message::key).collect();
    assert_eq!(said.len(), 2);
    let author = |host: usize| Signer::author(&world.hosts[host].keys);
    let mut others = vec![author(1), author(2)];
    others.sort_unstable();
    for key in &said {
        assert_eq!(world.hosts[0].replica.holders(*key).unwrap().collect::<Vec<_>>(), others);
    }
    for other in others {
        let told: Vec<Key> =
            world.hosts[0].receipts.iter().filter(|(author, _)| *author == other).map(|(_, key)| *key).collect();
        assert!(told.is_sorted_by(|a, b| a < b) && told.last() == said.last(), "{told:?}");
    }
    // Nobody at the second has asked.
    assert_eq!(world.hosts[1].replica.holders(said[0]).map(Iterator::count), Some(0));
    // Nobody can tell of what is not here.
    let unheard_of = Key { time: said[1].time, id: said[0].id };
    assert_eq!(world.hosts[0].replica.holders(unheard_of).map(Iterator::count), None);
}

#[test]
fn where_earlier_messages_are_is_found_out_by_key() {
    let mut world = World::new(3);
    world.connect_all();
    world.run_for(SECOND * 5);
    world.say(0, "one");
    world.say(1, "two");
    world.run_for(SECOND * 5);
    world.cut(0, 2);
    world.restart(0);
    world.cut(1, 2);
    world.say(1, "three");
    world.connect(0, 1);
    world.run_until_equal_of(&[0, 1], SECOND * 60);
    let of = all_keys(&world, 0);
    assert_eq!(of.len(), 3);
    let author = |host: usize| Signer::author(&world.hosts[host].keys);
    let [second, third] = [author(1), author(2)];
    let holders = |world: &World| -> Vec<Vec<AuthorId>> {
        of.iter().map(|key| world.hosts[0].replica.holders(*key).unwrap().collect()).collect()
    };
    world.input(0, Input::WatchReceipts { of: of.clone() });
    world.run_for(SECOND);
    assert_eq!(holders(&world), vec![vec![second]; 3]);
    // Whoever comes is asked, and again if they had to be brought something first.
    world.connect(0, 2);
    world.input(0, Input::WatchReceipts { of: of.clone() });
    world.run_for(SECOND * 9);
    let mut both = vec![second, third];
    both.sort_unstable();
    assert_eq!(holders(&world), vec![both; 3]);
    // Once all have said so nobody is asked any more.
    world.requests = 0;
    world.input(0, Input::WatchReceipts { of });
    assert_eq!(world.requests, 0);
    world.assert_no_offences();
}

#[test]
fn no_more_than_some_earlier_messages_are_asked_after_at_a_time() {
    let mut world = World::new(2);
    for n in 0..MAX_LOOKED_UP + 10 {
        world.say(1, &format!("line {n}"));
    }
    world.connect_all();
    world.run_until_equal(SECOND * 60);
    let all = all_keys(&world, 0);
    let known =
        |world: &World| all.iter().filter(|key| world.hosts[0].replica.holders(**key).unwrap().count() == 1).count();
    world.input(0, Input::WatchReceipts { of: all.clone() });
    world.run_for(SECOND);
    assert_eq!(known(&world), MAX_LOOKED_UP);
    // Those that are wanted now are asked after; the others make room.
    world.input(0, Input::WatchReceipts { of: all[MAX_LOOKED_UP..].to_vec() });
    world.run_for(SECOND);
    assert_eq!(known(&world), MAX_LOOKED_UP);
    assert!(all[MAX_LOOKED_UP..].iter().all(|key| world.hosts[0].replica.holders(*key).unwrap().count() == 1));
    // And those are asked after again when they are wanted again.
    for _ in 0..3 {
        for of in [&all[..MAX_LOOKED_UP], &all[10..]] {
            world.input(0, Input::WatchReceipts { of: of.to_vec() });
            world.run_for(SECOND);
            assert!(of.iter().all(|key| world.hosts[0].replica.holders(*key).unwrap().count() == 1));
        }
    }
    world.requests = 0;
    world.input(0, Input::WatchReceipts { of: all[10..].to_vec() });
    assert_eq!(world.requests, 0);
}

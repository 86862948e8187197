//! Replicas that talk until they are equal.

use std::time::Duration;

use distchat_crdt::{Draft, Key, Message, Signer, Timestamp, kind, sync::MAX_PAGE};

use crate::world::{START_MS, World, room_id};

const SECOND: Duration = Duration::from_secs(1);

/// A history of one author: a message every 10 ms before the start.
fn history(signer: &dyn Signer, count: u64, offset_ms: u64) -> Vec<Message> {
    history_of(signer, count, offset_ms, 60)
}

fn history_of(signer: &dyn Signer, count: u64, offset_ms: u64, length: usize) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    for seq in 0..count {
        let draft = Draft {
            room: room_id(),
            seq,
            time: Timestamp::from_millis(START_MS - 10 * (count - seq) + offset_ms),
            prev: messages.last().map(Message::key),
            seen: Vec::new(),
            kind: kind::TEXT,
            body: format!("{:<length$}", format!("message {seq} with some text")).into_bytes(),
        };
        messages.push(draft.sign(signer).unwrap());
    }
    messages
}

#[test]
fn what_is_said_arrives_everywhere() {
    let mut world = World::new(4);
    world.connect_all();
    world.run_for(SECOND);
    for n in 0..20 {
        world.say(n % 4, &format!("line {n}"));
    }
    world.run_until_equal(SECOND);
    assert_eq!(world.lens(), [20; 4]);
    world.run_for(SECOND * 10);
    world.assert_no_offences();
    assert!(world.hosts.iter().all(|host| host.stored.len() == 20 && host.replica.room().missing() == 0));
}

#[test]
fn without_gossip_it_arrives_all_the_same() {
    let mut world = World::new(4);
    world.gossip = false;
    world.connect_all();
    for n in 0..20 {
        world.say(n % 4, &format!("line {n}"));
        world.run_for(SECOND / 10);
    }
    let took = world.run_until_equal(SECOND * 20);
    println!("took {took:?}");
    world.assert_no_offences();
}

#[test]
fn a_joiner_gets_everything_newest_first() {
    let mut world = World::new(2);
    let messages = history(&world.hosts[0].keys.clone(), 5000, 0);
    world.give(0, &messages);
    world.connect(0, 1);
    let mut first = 0;
    while first == 0 {
        world.run_for(Duration::from_millis(1));
        first = world.hosts[1].stored.len();
    }
    assert_eq!(world.hosts[1].stored.iter().map(Message::key).max(), messages.last().map(Message::key));
    assert!(first >= 200, "{first} messages at once fill a screen");
    world.run_until_equal(SECOND * 2);
    world.run_for(SECOND);
    assert_eq!(world.hosts[1].synced.last(), Some(&(5000, 0)));
    world.assert_no_offences();
}

/// A joiner and three who hold some 10 MiB.
fn joiner_and_three() -> World {
    let mut world = World::new(4);
    let messages = history_of(&world.hosts[1].keys.clone(), 5000, 0, 2000);
    for full in 1..4 {
        world.give(full, &messages);
    }
    for full in 1..4 {
        world.connect(0, full);
    }
    world
}

#[test]
fn a_joiner_uses_all_who_hold_what_it_lacks() {
    let mut world = joiner_and_three();
    world.run_until_equal(SECOND * 5);
    let served: Vec<usize> = world.hosts.iter().map(|host| host.served).collect();
    assert!(served[1..].iter().all(|bytes| *bytes > 1_000_000), "{served:?}");
    assert!(served.iter().sum::<usize>() < 11_500_000, "hardly anything was sent twice: {served:?}");
    assert!(world.hosts[0].most_in_flight <= 6, "{} pages in flight", world.hosts[0].most_in_flight);
    world.run_for(SECOND * 3);
    let told: u64 = world.hosts[0].synced.iter().map(|(received, _)| received).sum();
    assert_eq!(told, 5000, "people are told of what helpers brought, too");
    world.assert_no_offences();
}

#[test]
fn who_is_fetched_from_does_not_offer_the_same() {
    for joiner in [0, 1] {
        let mut world = World::new(2);
        let messages = history_of(&world.hosts[1].keys.clone(), 5000, 0, 2000);
        world.give(1 - joiner, &messages);
        // So that it takes some rounds.
        world.read_time = SECOND * 2 / 3;
        world.connect(0, 1);
        world.run_until_equal(SECOND * 20);
        let offered: Vec<usize> = world.hosts.iter().map(|host| host.offered).collect();
        assert_eq!(offered, [0; 2], "host {joiner} joined");
        world.assert_no_offences();
    }
}

#[test]
fn who_is_catching_up_with_others_is_hardly_offered_the_same() {
    for joiner in [0, 6] {
        let mut world = World::new(7);
        let messages = history_of(&world.hosts[1].keys.clone(), 20_000, 0, 2000);
        let full: Vec<usize> = (0..7).filter(|host| *host != joiner).collect();
        full.iter().for_each(|host| world.give(*host, &messages));
        // So that it takes some rounds, while three of the six are not asked for anything.
        world.read_time = SECOND * 2 / 5;
        full.iter().for_each(|host| world.connect(joiner, *host));
        world.run_until_equal(SECOND * 60);
        let offered: Vec<usize> = world.hosts.iter().map(|host| host.offered).collect();
        // A page is what it takes to find out.
        assert!(offered.iter().all(|bytes| *bytes <= MAX_PAGE), "host {joiner} joined: {offered:?}");
        world.assert_no_offences();
    }
}

#[test]
fn a_transfer_survives_the_death_of_those_it_comes_from() {
    for dies in 1..4 {
        let mut world = joiner_and_three();
        while world.hosts[0].stored.len() < 1000 {
            world.run_for(Duration::from_millis(1));
        }
        for other in (0..4).filter(|other| *other != dies) {
            world.cut(dies, other);
        }
        while world.hosts[0].stored.len() < 5000 {
            world.run_for(SECOND);
            assert!(world.now(0).mono < SECOND * 30, "{:?}", world.lens());
        }
        world.assert_no_offences();
    }
}

#[test]
fn nobody_is_blamed_for_what_others_brought_meanwhile() {
    // With a newest message of its own the asker gets no tail, but regions to compare.
    for own in [0, 1] {
        let mut world = World::new(2);
        let messages = history_of(&world.hosts[1].keys.clone(), 5000, 0, 2000);
        world.give(1, &messages);
        let newest = history(&world.hosts[0].keys.clone(), own, 0);
        world.give(0, &newest);
        // It is slow, and asks for nothing.
        world.liars = vec![1];
        world.late = SECOND * 10;
        world.connect(0, 1);
        world.run_for(SECOND * 5);
        // Somebody else has most of it and is fast.
        world.give(0, &messages[100..]);
        world.run_for(SECOND * 35);
        assert_eq!(world.lens()[0], 5000 + own);
    }
}

#[test]
fn a_tail_takes_one_round_trip() {
    let mut world = World::new(2);
    let messages = history(&world.hosts[0].keys.clone(), 1010, 0);
    world.give(0, &messages);
    world.give(1, &messages[..1000]);
    world.connect(0, 1);
    let took = world.run_until_equal(SECOND);
    assert!(took < Duration::from_millis(20), "{took:?}");
    world.run_for(SECOND * 3);
    let messages: usize = messages[1000..].iter().map(|message| message.bytes().len()).sum();
    println!("tail of 10: {} bytes besides the messages, {} requests", world.bytes - messages, world.requests);
    world.assert_no_offences();
}

#[test]
fn differences_anywhere_are_found_and_mended_both_ways() {
    let mut world = World::new(2);
    let [a, b] = [0, 1].map(|n| history(&world.hosts[n].keys.clone(), 3000, 3 + n as u64));
    // Each lacks every 50th of the one and every 70th of the other. What lacks its voucher has its own signature.
    let without = |messages: &[Message], every: usize| -> Vec<Message> {
        messages.iter().enumerate().filter(|(n, _)| n % every != 0).map(|(_, message)| message.clone()).collect()
    };
    world.give(0, &without(&a, 50));
    world.give(0, &b);
    world.give(1, &a);
    world.give(1, &without(&b, 70));
    world.connect(0, 1);
    world.run_until_equal(SECOND * 3);
    world.run_for(SECOND * 3);
    assert_eq!(world.lens(), [6000; 2]);
    assert_eq!(world.hosts[0].replica.room().missing(), 0);
    world.assert_no_offences();
}

#[test]
fn only_what_is_lacking_is_offered() {
    for every in [5, 20, 60, 150, 400] {
        let mut world = World::new(2);
        let [a, b] = [0, 1].map(|n| history_of(&world.hosts[n].keys.clone(), 2500, 5 * n as u64, 2000));
        // Few here and many there, of lengths that take several pages.
        let some = |messages: &[Message]| messages.iter().step_by(every).cloned().collect::<Vec<_>>();
        world.give(0, &some(&a));
        world.give(0, &some(&b));
        world.give(1, &b);
        world.connect(0, 1);
        world.run_until_equal(SECOND * 10);
        let lacking: usize = some(&a).iter().map(|message| message.bytes().len()).sum();
        assert_eq!(world.hosts[0].offered, lacking, "one in {every}");
        assert_eq!(world.hosts[1].offered, 0, "one in {every}");
        world.assert_no_offences();
    }
}

#[test]
fn one_session_mends_both_ways() {
    let mut world = World::new(2);
    let [a, b] = [0, 1].map(|n| history(&world.hosts[n].keys.clone(), 500, 3 + n as u64));
    world.give(0, &a);
    world.give(1, &b);
    world.connect(0, 1);
    world.run_until_equal(SECOND * 3);
    world.run_for(SECOND * 5);
    let exchanges: Vec<(u64, u64)> =
        world.hosts.iter().flat_map(|host| host.synced.clone()).filter(|counts| *counts != (0, 0)).collect();
    assert_eq!(exchanges, [(500, 500)]);
}

#[test]
fn what_others_refer_to_is_asked_for_at_once() {
    let mut world = World::new(2);
    world.connect(0, 1);
    world.run_for(SECOND * 5);
    world.gossip = false;
    world.say(0, "what gossip loses");
    world.run_for(Duration::from_millis(10));
    world.gossip = true;
    world.say(0, "what refers to it");
    // Before a round would find it.
    world.run_until_equal(SECOND);
    assert_eq!(world.lens(), [2; 2]);
    world.assert_no_offences();
}

#[test]
fn a_partition_heals() {
    let mut world = World::new(5);
    world.connect_all();
    world.run_for(SECOND);
    for (a, b) in [(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)] {
        world.cut(a, b);
    }
    for n in 0..500 {
        world.say(n % 5, &format!("line {n} in a partition"));
        world.run_for(Duration::from_millis(7));
    }
    assert!(!world.all_equal());
    world.connect_all();
    let took = world.run_until_equal(SECOND * 10);
    println!("healed in {took:?}");
    assert_eq!(world.lens(), [500; 5]);
    world.assert_no_offences();
}

#[test]
fn equal_replicas_spend_little() {
    let mut world = World::new(2);
    let messages = history(&world.hosts[0].keys.clone(), 2000, 0);
    world.give(0, &messages);
    world.give(1, &messages);
    world.connect(0, 1);
    world.run_for(SECOND);
    world.bytes = 0;
    world.requests = 0;
    world.run_for(SECOND * 300);
    assert!(world.requests > 10);
    println!("{} bytes a hello and its answer", world.bytes / world.requests);
    assert!(world.bytes / world.requests < 200);
    world.assert_no_offences();
}

#[test]
fn one_missing_in_the_middle_costs_little() {
    let mut world = World::new(2);
    let messages = history(&world.hosts[0].keys.clone(), 20_000, 0);
    let without: Vec<Message> =
        messages.iter().enumerate().filter(|(n, _)| *n != 9999).map(|(_, m)| m.clone()).collect();
    world.give(0, &messages);
    world.give(1, &without);
    world.connect(0, 1);
    world.run_until_equal(SECOND * 3);
    world.run_for(SECOND * 4);
    println!("one missing of 20,000: {} bytes in {} requests", world.bytes, world.requests);
    world.assert_no_offences();
}

#[test]
fn a_year_apart_they_still_talk_in_order() {
    let year = 365 * 24 * 3600 * 1000;
    let mut world = World::new(2);
    world.hosts[1].clock_ms = year;
    world.connect(0, 1);
    world.run_for(SECOND);
    for n in 0..10 {
        world.say(n % 2, &format!("line {n}"));
        world.run_until_equal(SECOND);
        world.run_for(Duration::from_millis(20));
    }
    let texts: Vec<(Key, String)> =
        world.hosts[0].stored.iter().map(|m| (m.key(), String::from_utf8_lossy(m.body()).into_owned())).collect();
    let mut sorted = texts.clone();
    sorted.sort();
    assert_eq!(texts, sorted, "the order of the transcript is the order of the talk");
    assert_eq!(texts.len(), 10);
}

#[test]
fn what_a_wrong_clock_said_does_not_drag_the_room_along() {
    let year = 365 * 24 * 3600 * 1000;
    let mut world = World::new(4);
    world.hosts[0].clock_ms = year;
    world.say(0, "from 2027");
    world.run_for(SECOND);
    world.hosts[0].clock_ms = 0;
    world.connect_all();
    world.run_until_equal(SECOND * 10);
    world.run_for(SECOND * 5);
    for n in 0..8 {
        world.say(n % 4, &format!("line {n}"));
        world.run_for(SECOND / 10);
    }
    world.run_until_equal(SECOND * 5);
    let horizon = Timestamp::from_millis(START_MS + 3_600_000);
    let ahead = world.hosts[2].stored.iter().filter(|message| message.time() > horizon).count();
    assert_eq!((ahead, world.lens()[2]), (1, 9));
    world.assert_no_offences();
}

#[test]
fn one_key_on_two_machines_makes_two_branches_that_converge() {
    let mut world = World::new(1);
    let twin = world.add_host_of(0);
    let third = world.add_host();
    for n in 0..5 {
        world.say(0, &format!("here {n}"));
        world.say(twin, &format!("there {n}"));
    }
    world.connect_all();
    world.run_until_equal(SECOND * 5);
    assert_eq!(world.lens(), [10; 3]);
    for host in &world.hosts {
        let (_, log) = host.replica.room().authors().iter().next().unwrap();
        assert!(log.is_forked());
    }
    world.say(0, "one more");
    world.say(twin, "and one");
    world.run_until_equal(SECOND * 5);
    assert_eq!(world.lens()[third], 12);
    world.assert_no_offences();
}

#[test]
fn what_a_session_was_reading_is_not_taken_for_the_next_ones() {
    let mut world = World::new(2);
    let [a, b] = [0, 1].map(|n| history(&world.hosts[n].keys.clone(), 2000, 3 + n as u64));
    world.give(0, &a);
    world.give(1, &b);
    // A slow disk, and a connection that is gone and back before anything was read.
    world.read_time = Duration::from_millis(50);
    world.connect(0, 1);
    for _ in 0..20 {
        world.run_for(Duration::from_millis(35));
        world.cut(0, 1);
        world.connect(0, 1);
    }
    world.run_until_equal(SECOND * 20);
    world.run_for(SECOND * 5);
    assert_eq!(world.lens(), [4000; 2]);
    world.assert_no_offences();
}

#[test]
fn an_answer_to_what_a_crashed_task_asked_is_no_offence() {
    let mut world = World::new(3);
    let histories = [0, 1, 2].map(|n| history(&world.hosts[n].keys.clone(), 800, 3 + n as u64));
    for (n, messages) in histories.iter().enumerate() {
        world.give(n, messages);
    }
    world.connect_all();
    for n in 0..60 {
        world.run_for(Duration::from_micros(2500));
        world.restart(n % 3);
    }
    world.run_until_equal(SECOND * 20);
    world.run_for(SECOND * 5);
    assert_eq!(world.lens(), [2400; 3]);
    world.assert_no_offences();
}

#[test]
fn settled_replicas_ask_twice_a_minute() {
    let mut world = World::new(12);
    world.connect_all();
    world.say(0, "the only line here");
    world.run_for(SECOND * 90);
    world.requests = 0;
    world.run_for(SECOND * 300);
    // A hello in 30 s from each; a few more would be a round that never comes to rest.
    let hellos = world.requests;
    assert!((100..140).contains(&hellos), "{hellos} requests in five minutes");
}

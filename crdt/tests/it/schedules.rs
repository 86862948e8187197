//! Two replicas that meet, in every order in which a network and two disks may do what is to be done, up to so many
//! deviations from the order of time, and with every single misfortune at every moment. The replicas are the real ones,
//! run again from the start for each schedule (Emmi, Qadeer and Rakamaric, *Delay-bounded scheduling*, 2011). The
//! simulator draws from far larger worlds; here nothing is left to chance.

use std::time::Duration;

use distchat_crdt::{Draft, Message, Timestamp, kind};

use crate::world::{START_MS, Step, World, room_id};

/// A schedule that is longer goes round in circles.
const MAX_STEPS: usize = 80;

/// What happens in a schedule besides what has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misfortune {
    /// A request or an answer is lost, and the asker learns of it.
    Lost,
    /// A replica is started anew from its disk.
    Crash,
    /// Nothing arrives until a replica is tired of waiting.
    Wait,
    /// Somebody says something, and gossip loses it.
    Said,
}

/// Three messages of two authors, of which the last refers to the others.
fn messages(world: &World) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    for n in 0..3 {
        let draft = Draft {
            room: room_id(),
            seq: n / 2,
            time: Timestamp::from_millis(START_MS - 1000 + n),
            prev: (n == 2).then(|| messages[0].key()),
            seen: if n == 2 { vec![messages[1].key()] } else { Vec::new() },
            kind: kind::TEXT,
            body: format!("message {n}").into_bytes(),
        };
        messages.push(draft.sign(&world.hosts[n as usize % 2].keys).unwrap());
    }
    messages
}

/// Of each host, which messages it has.
fn met(held: [u8; 2]) -> World {
    let mut world = World::new(2);
    world.gossip = false;
    let all = messages(&world);
    for (host, held) in held.into_iter().enumerate() {
        let some: Vec<Message> = (0..3).filter(|n| held & (1 << n) != 0).map(|n| all[n].clone()).collect();
        world.give(host, &some);
    }
    world.connect(0, 1);
    world
}

/// One schedule, by the choices at its steps; those beyond the path are the first. Returns how many there were at each,
/// and whether the misfortune befell.
fn run(
    held: [u8; 2],
    misfortune: Option<Misfortune>,
    mut deviations: usize,
    path: &[usize],
) -> (World, Vec<usize>, bool) {
    let mut world = met(held);
    let mut options = Vec::new();
    let mut left = misfortune;
    loop {
        let pending = world.pending();
        if pending.is_empty() || options.len() >= MAX_STEPS {
            return (world, options, left != misfortune);
        }
        let in_order = if deviations > 0 { pending.len() } else { 1 };
        let mut steps: Vec<Step> = pending.iter().take(in_order).map(|number| Step::Happen(*number)).collect();
        match left {
            None => {}
            Some(Misfortune::Lost) => {
                steps.extend(
                    pending.iter().filter(|number| world.may_be_lost(**number)).map(|number| Step::Lose(*number)),
                );
            }
            Some(Misfortune::Crash) => steps.extend([0, 1].map(Step::Crash)),
            Some(Misfortune::Wait) => steps.push(Step::Wait),
            Some(Misfortune::Said) => steps.extend([0, 1].map(Step::Say)),
        }
        let chosen = path.get(options.len()).copied().unwrap_or(0);
        options.push(steps.len());
        if chosen >= in_order {
            left = None;
        } else if chosen > 0 {
            deviations -= 1;
        }
        world.step(steps[chosen]);
    }
}

/// All schedules of two that hold these; how many there were.
fn every_schedule(held: [u8; 2], misfortune: Option<Misfortune>, deviations: usize) -> usize {
    let (mut path, mut count) = (Vec::new(), 0);
    loop {
        let (mut world, options, befell) = run(held, misfortune, deviations, &path);
        path.resize(options.len(), 0);
        count += 1;
        let told = format!("{held:?}, {misfortune:?}, {path:?}");
        assert!(options.len() < MAX_STEPS, "it goes on for ever: {told}");
        let mut waited = 0;
        while !world.all_equal() {
            assert!(waited < 60, "{:?} after a minute: {told}", world.lens());
            world.run_for(Duration::from_secs(1));
            waited += 1;
        }
        let all =
            u64::from((held[0] | held[1]).count_ones() + u32::from(befell && misfortune == Some(Misfortune::Said)));
        assert_eq!(world.lens(), [all; 2], "{told}");
        for host in &world.hosts {
            assert!(host.offences.is_empty(), "{:?}: {told}", host.offences);
        }
        // The next in the order of an odometer.
        while let Some(chosen) = path.pop() {
            if chosen + 1 < options[path.len()] {
                path.push(chosen + 1);
                break;
            }
        }
        if path.is_empty() {
            return count;
        }
    }
}

fn whatever_they_hold(misfortune: Option<Misfortune>, deviations: usize) {
    // Nothing, all, parts that overlap and parts that do not, and what makes a hole.
    for held in [[0, 0], [0, 7], [7, 0], [1, 2], [2, 1], [3, 5], [5, 3], [4, 7], [7, 3], [7, 7]] {
        let count = every_schedule(held, misfortune, deviations);
        println!("{held:?} {misfortune:?}: {count} schedules");
        assert!(count > 50, "{count} schedules are not all");
    }
}

#[test]
fn in_every_order() {
    whatever_they_hold(None, 3);
}

#[test]
fn whatever_is_lost() {
    whatever_they_hold(Some(Misfortune::Lost), 1);
}

#[test]
fn whenever_one_crashes() {
    whatever_they_hold(Some(Misfortune::Crash), 1);
}

#[test]
fn however_long_it_takes() {
    whatever_they_hold(Some(Misfortune::Wait), 1);
}

#[test]
fn whatever_is_said_meanwhile() {
    whatever_they_hold(Some(Misfortune::Said), 1);
}

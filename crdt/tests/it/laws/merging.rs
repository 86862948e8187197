//! Merging is set union.

use std::sync::Arc;

use distchat_crdt::{
    Claim, Draft, Key, MAX_SEEN_CLAIMS_PER_AUTHOR, Message, MessageId, Room, Signature, Signer, Timestamp,
    clock::{Clock, Clocks, Now},
    kind,
};
use proptest::{prelude::*, sample::Index};

use super::{
    cases,
    history::{Cheap, CheapVerifier, Given, START, Signatures, delivery, history},
    model::{Store, by_definition, check_merge, keys, seen},
};
use crate::world::{START_MS, room_id};

/// A room that belongs to the first author.
fn room() -> Room {
    Room::new(room_id(), Cheap(0).author(), Arc::new(CheapVerifier))
}

/// The clock of somebody alone, so many milliseconds after the start.
fn clock(after_ms: u64) -> Clock {
    Clocks::default().read(Now { wall_ms: START_MS + after_ms, ..Now::default() })
}

fn merge_all(room: &mut Room, batches: Vec<Vec<Message>>) {
    for batch in batches {
        let given = batch.len();
        check_merge(&room.merge(batch), given);
    }
}

/// The room's author says something.
fn say(room: &mut Room, clock: &Clock, body: Vec<u8>) -> Message {
    let (mut commit, result) = room.say(&Cheap(0), clock, vec![(kind::TEXT, body)]);
    assert_eq!((result, commit.messages.len()), (Ok(()), 1));
    commit.messages.remove(0)
}

/// What the room's author would sign next.
fn next_of(room: &Room) -> Vec<u8> {
    room.sign(&Cheap(0), &clock(5), kind::TEXT, b"next".to_vec()).unwrap().bytes().to_vec()
}

/// Takes each message or leaves it, by the bits of a number.
fn some_of(messages: &[Message], which: u64) -> Vec<Message> {
    messages.iter().enumerate().filter(|(at, _)| which >> (at % 64) & 1 == 1).map(|(_, m)| m.clone()).collect()
}

/// The smallest sets in which the shape of the index could depend on what came last, all of them.
#[test]
fn newest_first_makes_the_same_fingerprint() {
    let (mut writer, mut said) = (room(), Vec::new());
    for n in 0..70 {
        said.push(say(&mut writer, &clock(n), b"hello".to_vec()));
        let mut newest_first = room();
        merge_all(&mut newest_first, said.iter().rev().map(|message| vec![message.clone()]).collect());
        assert_eq!(newest_first.fingerprint(), writer.fingerprint(), "{} messages", said.len());
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn any_order_repetition_and_batching_make_the_same_room(
        history in history(Signatures::AllGood),
        deliveries in prop::collection::vec(delivery(), 1..4),
    ) {
        let expect = by_definition(&history.here());
        let mut next = None;
        for delivery in deliveries {
            let mut room = room();
            merge_all(&mut room, delivery.batches(&history.arriving));
            prop_assert_eq!(seen(&room), expect.clone(), "{:?}", delivery);
            let signed = next_of(&room);
            prop_assert_eq!(next.get_or_insert(signed.clone()), &signed, "{:?}", delivery);
        }
    }

    #[test]
    fn after_every_merge_the_room_is_that_of_what_it_holds(
        history in history(Signatures::AllGood),
        delivery in delivery(),
    ) {
        let mut room = room();
        let mut held: Vec<Message> = Vec::new();
        for batch in delivery.batches(&history.arriving) {
            held.extend(batch.iter().filter(|message| message.room() == room_id()).cloned());
            room.merge(batch);
            // Asked for each time, so that hashes kept in the tree have a chance to grow stale.
            prop_assert_eq!(seen(&room), by_definition(&held));
        }
    }

    #[test]
    fn what_is_committed_restores_the_room(
        history in history(Signatures::SomeBad),
        delivery in delivery(),
        restarts: u64,
    ) {
        let own = Cheap(0).author();
        let mut live = room();
        let mut restarted = room();
        let mut store = Store::default();
        for (n, batch) in delivery.batches(&history.arriving).into_iter().enumerate() {
            let given = batch.len();
            let merge = live.merge(batch.clone());
            check_merge(&merge, given);
            store.write(&merge.commit);
            let restored = Room::restore(room_id(), own, Arc::new(CheapVerifier), store.snapshot(own));
            prop_assert_eq!(seen(&restored), seen(&live));
            prop_assert_eq!(next_of(&restored), next_of(&live));
            prop_assert_eq!(seen(&live), by_definition(&store.messages()));

            let same = restarted.merge(batch);
            prop_assert_eq!(format!("{:?}", same), format!("{:?}", merge), "a restored room goes on otherwise");
            if restarts >> (n % 64) & 1 == 1 {
                restarted = restored;
            }
        }
        prop_assert_eq!(seen(&restarted), seen(&live));
    }

    #[test]
    fn fingerprints_are_equal_exactly_when_sets_are(
        history in history(Signatures::AllGood),
        which in prop_oneof![any::<[u64; 2]>(), any::<u64>().prop_map(|which| [which; 2]), few_apart()],
        deliveries in [delivery(), delivery()],
    ) {
        let [mut a, mut b] = [room(), room()];
        for ((room, which), delivery) in [&mut a, &mut b].into_iter().zip(which).zip(&deliveries) {
            merge_all(room, delivery.batches(&some_of(&history.here(), which)));
        }
        prop_assert_eq!(a.fingerprint() == b.fingerprint(), keys(&a) == keys(&b));

        // And they are equal once each has what the other had: merging is idempotent and goes both ways.
        merge_all(&mut a, deliveries[0].batches(&some_of(&history.here(), which[1])));
        merge_all(&mut b, deliveries[1].batches(&some_of(&history.here(), which[0])));
        prop_assert_eq!(seen(&a), seen(&b));
    }

    #[test]
    fn branches_of_one_author_converge(script in prop::collection::vec(step(), 0..40), last in delivery()) {
        let mut rooms = [room(), room()];
        let mut said: [Vec<Message>; 2] = Default::default();
        for (n, step) in script.iter().enumerate() {
            match step {
                Step::Say(at) => {
                    // Two machines, the second one's clock a little behind.
                    let clock = clock(1000 + n as u64 - 5 * *at as u64);
                    let body = format!("{n}").into_bytes();
                    said[*at].push(say(&mut rooms[*at], &clock, body));
                }
                Step::Pass(from, of) if !said[*from].is_empty() => {
                    let messages = said[*from][of.index(said[*from].len())..].to_vec();
                    rooms[1 - *from].merge(messages);
                }
                Step::Pass(..) => {}
            }
        }
        for (room, other) in rooms.iter_mut().zip([&said[1], &said[0]]) {
            merge_all(room, last.batches(other));
        }
        let expect = by_definition(&said.concat());
        prop_assert!(expect.holes.is_empty());
        for room in &rooms {
            prop_assert_eq!(seen(room), expect.clone());
        }
        prop_assert_eq!(next_of(&rooms[0]), next_of(&rooms[1]));
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// The author writes on this machine.
    Say(usize),
    /// This machine passes on what it wrote from some message on.
    Pass(usize, Index),
}

fn step() -> impl Strategy<Value = Step> {
    let pass = (0..2_usize, any::<Index>()).prop_map(|(from, of)| Step::Pass(from, of));
    prop_oneof![3 => (0..2_usize).prop_map(Step::Say), 1 => pass]
}

/// Two choices that differ in one place.
fn few_apart() -> impl Strategy<Value = [u64; 2]> {
    (any::<u64>(), 0..64_u32).prop_map(|(which, at)| [which, which ^ (1 << at)])
}

#[test]
fn two_branches_are_marked_and_one_is_not() {
    let [mut a, mut b] = [room(), room()];
    let say = |room: &mut Room, text: &str| say(room, &clock(7), text.into());
    let first = say(&mut a, "first");
    b.merge(vec![first]);
    assert!(!b.authors()[&Cheap(0).author()].is_forked());
    let [here, there] = [say(&mut a, "here"), say(&mut b, "there")];
    a.merge(vec![there.clone()]);
    b.merge(vec![here.clone()]);
    for room in [&mut a, &mut b] {
        let log = &room.authors()[&Cheap(0).author()];
        assert!(log.is_forked());
        assert_eq!((log.count(), log.ranges().collect::<Vec<_>>()), (3, vec![(0, 1)]));
        assert_eq!(room.heads().len(), 2);
    }
    // The next message joins the branches.
    let joined = say(&mut a, "joined");
    assert_eq!(joined.refs().count(), 2);
    assert_eq!(a.heads().len(), 1);
    b.merge(vec![joined]);
    assert_eq!(seen(&a), seen(&b));
}

/// Claims by `seen` are bounded, so beyond the bound heads may differ; the set, and what it depends on, may not.
#[test]
fn more_claims_than_are_remembered_change_neither_the_set_nor_what_is_vouched_for() {
    let vouched = Draft {
        room: room_id(),
        seq: 4,
        time: Timestamp(START.0 + 1),
        prev: Some(Key { time: START, id: MessageId([1; 32]) }),
        seen: Vec::new(),
        kind: kind::TEXT,
        body: b"badly signed".to_vec(),
    };
    let unsigned = vouched.sign(&Given(Cheap(0).author(), Signature([0; 64]))).unwrap();
    let mut messages: Vec<Message> = Vec::new();
    for n in 0..700_u64 {
        let mut made_up = [0; 32];
        made_up[..8].copy_from_slice(&n.to_be_bytes());
        let made_up = (0..8).map(|m| Key { time: Timestamp(START.0 + m), id: MessageId(made_up) });
        let draft = Draft {
            seq: 5,
            time: Timestamp(START.0 + 100 + n),
            prev: Some(unsigned.key()),
            seen: made_up.collect(),
            ..vouched.clone()
        };
        messages.push(draft.sign(&Cheap(0)).unwrap());
    }
    let mut backwards = messages.clone();
    backwards.reverse();
    let rooms = [messages, backwards].map(|messages| {
        let mut room = room();
        for batch in messages.chunks(100) {
            room.merge(batch.to_vec());
        }
        let remembered = room.holes().filter(|claim| claim.vouched_seq.is_none()).count();
        assert_eq!(remembered, MAX_SEEN_CLAIMS_PER_AUTHOR);
        assert_eq!(room.claims_forgotten(), 8 * 700 - remembered as u64);
        assert_eq!(room.merge(vec![unsigned.clone()]).commit.holes_filled, [unsigned.key()]);
        room
    });
    let by_prev = |room: &Room| room.holes().filter(|claim| claim.vouched_seq.is_some()).collect::<Vec<Claim>>();
    assert_eq!(rooms[0].fingerprint(), rooms[1].fingerprint());
    assert_eq!(rooms[0].authors(), rooms[1].authors());
    assert_eq!(by_prev(&rooms[0]), by_prev(&rooms[1]));
}

/// Whoever refers to what there is not has signed a message for it that is kept: what is remembered of both, as a key, a
/// head, a claim and a range, takes little more than that.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "it measures the process, so it is to be run alone"]
fn a_million_refs_to_nothing_take_about_the_memory_of_their_messages() {
    const COUNT: u64 = 1_000_000;
    let memory = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim();
        1024 * line.trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let (mut room, before) = (room(), memory());
    let mut bytes = 0;
    for batch in 0..COUNT / 1000 {
        let messages = (1000 * batch..1000 * (batch + 1)).map(|n| {
            let mut made_up = [0; 32];
            made_up[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            let draft = Draft {
                room: room_id(),
                seq: 2 * n + 1,
                time: Timestamp(START.0 + 1 + n),
                prev: Some(Key { time: Timestamp(START.0), id: MessageId(made_up) }),
                seen: Vec::new(),
                kind: kind::TEXT,
                body: Vec::new(),
            };
            draft.sign(&Cheap(0)).unwrap()
        });
        let messages: Vec<Message> = messages.collect();
        bytes += messages.iter().map(|message| message.bytes().len() as u64).sum::<u64>();
        room.merge(messages);
    }
    let taken = memory() - before;
    println!("{} bytes each, of messages of {}", taken / COUNT, bytes / COUNT);
    assert_eq!((room.missing(), room.missing_by(&Cheap(0).author())), (COUNT, COUNT));
    assert!(taken < 3 * bytes / 2, "{taken} bytes for {bytes}");
}

/// A delivery in one batch is the one that most of what the room does at once depends on.
#[test]
fn a_long_history_in_one_batch_is_the_same_as_message_by_message() {
    let mut writer = room();
    let messages: Vec<Message> =
        (0..2000).map(|n| say(&mut writer, &clock(n / 3), format!("{n}").into_bytes())).collect();
    let expect = by_definition(&messages);
    assert_eq!(seen(&writer), expect);
    let [mut at_once, mut one_by_one] = [room(), room()];
    at_once.merge(messages.clone());
    messages.iter().rev().for_each(|message| drop(one_by_one.merge(vec![message.clone()])));
    assert_eq!(seen(&at_once), expect);
    assert_eq!(seen(&one_by_one), expect);
}

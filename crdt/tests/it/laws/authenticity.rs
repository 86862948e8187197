//! What is accepted is the least fixpoint of signatures and vouching, whatever the order in which the bytes come.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use distchat_crdt::{
    AuthorId, Draft, Key, Keypair, Message, Room, Signature, Signer, Timestamp, Verifier, Zip215, kind,
};
use proptest::prelude::*;

use super::{
    cases,
    history::{Cheap, CheapVerifier, Given, START, Signatures, delivery, history, nowhere, other_room},
    model::{by_definition, check_merge, fixpoint, keys, seen},
};
use crate::world::room_id;

fn room() -> Room {
    Room::new(room_id(), Cheap(0).author(), Arc::new(CheapVerifier))
}

pub fn ids(messages: &[Message]) -> BTreeSet<Key> {
    messages.iter().map(Message::key).collect()
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn every_merge_accepts_the_least_fixpoint_of_what_is_held_and_what_comes(
        history in history(Signatures::SomeBad),
        delivery in delivery(),
    ) {
        let mut room = room();
        let mut held: Vec<Message> = Vec::new();
        for batch in delivery.batches(&history.arriving) {
            let here: Vec<Message> = batch.iter().filter(|message| message.room() == room_id()).cloned().collect();
            let expect = fixpoint(&held, &here);
            let given = batch.len();
            let merge = room.merge(batch.clone());
            check_merge(&merge, given);
            prop_assert_eq!(ids(&merge.commit.messages), &ids(&expect) - &ids(&held));
            prop_assert_eq!(merge.foreign, given - here.len());
            prop_assert_eq!(merge.unauthentic, (&ids(&here) - &ids(&expect)).len());
            held = expect;
            prop_assert_eq!(seen(&room), by_definition(&held));
        }
    }

    #[test]
    fn coming_again_until_nothing_changes_ends_the_same_everywhere(
        history in history(Signatures::SomeBad),
        deliveries in prop::collection::vec(delivery(), 1..4),
    ) {
        let expect = by_definition(&fixpoint(&[], &history.here()));
        for first in &deliveries {
            // As anti-entropy does it: what is lacking comes again, each time in some other order and batching.
            let mut room = room();
            let mut again = [first].into_iter().chain(&deliveries).cycle();
            loop {
                let batches = again.next().unwrap().batches(&history.arriving);
                let accepted: usize = batches.into_iter().map(|batch| room.merge(batch).commit.messages.len()).sum();
                if accepted == 0 {
                    break;
                }
            }
            prop_assert_eq!(seen(&room), expect.clone());
        }
    }

    #[test]
    fn newest_first_nothing_has_to_come_twice(history in history(Signatures::SomeBad), batch in 1..8_usize) {
        let mut newest_first = history.here();
        newest_first.sort_by_key(|message| std::cmp::Reverse(message.key()));
        let mut room = room();
        for batch in newest_first.chunks(batch) {
            room.merge(batch.to_vec());
        }
        prop_assert_eq!(seen(&room), by_definition(&fixpoint(&[], &newest_first)));
    }

    #[test]
    fn of_a_batch_exactly_the_well_signed_are_accepted(
        forgeries in prop::collection::vec(prop::option::weighted(0.3, 0..512_usize), 0..12),
        one_author: bool,
    ) {
        let messages: Vec<(Message, bool)> = forgeries
            .iter()
            .enumerate()
            .map(|(n, flipped)| {
                let keys = Keypair::from_seed([if one_author { 1 } else { n as u8 % 7 }; 32]);
                let good = alone(n as u64).sign(&keys).unwrap();
                let forged = flipped.map(|bit| {
                    let mut signature = good.signature();
                    signature.0[bit / 8] ^= 1 << (bit % 8);
                    alone(n as u64).sign(&Given(keys.author(), signature)).unwrap()
                });
                (forged.unwrap_or(good), flipped.is_none())
            })
            .collect();
        let good: Vec<Message> = messages.iter().filter(|(_, good)| *good).map(|(m, _)| m.clone()).collect();
        let all = messages.into_iter().map(|(message, _)| message).collect();
        let mut room = Room::new(room_id(), AuthorId([0; 32]), Arc::new(Zip215::new([9; 32])));
        room.merge(all);
        prop_assert_eq!(keys(&room).into_iter().collect::<BTreeSet<_>>(), ids(&good));
    }
}

/// A message that refers to nothing, unlike those with other numbers.
pub fn alone(n: u64) -> Draft {
    Draft {
        room: room_id(),
        seq: 0,
        time: Timestamp(START.0 + 1000 + n),
        prev: None,
        seen: Vec::new(),
        kind: kind::TEXT,
        body: b"mixed order".to_vec(),
    }
}

/// A message with that number that follows another.
fn following(prev: Key, seq: u64) -> Draft {
    Draft { seq, time: Timestamp(prev.time.0 + 1), prev: Some(prev), ..alone(0) }
}

fn badly(draft: &Draft) -> Message {
    draft.sign(&Given(Cheap(1).author(), Signature([0xbd; 64]))).unwrap()
}

/// Whether a badly signed message with sequence number 7 is accepted in the end: with the voucher in one batch, behind
/// it, and before it but sent again.
#[track_caller]
fn check_vouched(others: impl Fn(&Message) -> Vec<Message>, expect: bool) {
    let named = badly(&following(nowhere(1), 7));
    let mut backwards = others(&named);
    backwards.reverse();
    for others in [others(&named), backwards] {
        let in_one = [vec![named.clone()], others.clone()].concat();
        let one_by_one: Vec<Vec<Message>> = in_one.iter().map(|message| vec![message.clone()]).collect();
        for batches in [vec![in_one], one_by_one] {
            let mut room = room();
            for batch in [&batches[..], &batches[..], &batches[..]].concat() {
                room.merge(batch);
            }
            assert_eq!(room.index().contains(&named.key()), expect);
        }
    }
}

#[test]
fn who_can_vouch_and_who_cannot() {
    let good = |draft: Draft| draft.sign(&Cheap(1)).unwrap();
    // Nobody.
    check_vouched(|_| vec![], false);
    // The author's next message.
    check_vouched(|named| vec![good(following(named.key(), 8))], true);
    // Several, of which one is well signed.
    check_vouched(
        |named| {
            let branch = Draft { body: b"another branch".to_vec(), ..following(named.key(), 8) };
            vec![badly(&following(named.key(), 8)), good(branch)]
        },
        true,
    );
    // One that is itself only vouched for.
    check_vouched(
        |named| {
            let next = badly(&following(named.key(), 8));
            let last = good(following(next.key(), 9));
            vec![next, last]
        },
        true,
    );
    // One that is vouched for by nobody.
    check_vouched(
        |named| {
            let next = badly(&following(named.key(), 8));
            let last = badly(&following(next.key(), 9));
            vec![next, last]
        },
        false,
    );
    // Another author.
    check_vouched(|named| vec![following(named.key(), 8).sign(&Cheap(2)).unwrap()], false);
    // A wrong number.
    for seq in [1, 7, 9, 1000] {
        check_vouched(|named| vec![good(following(named.key(), seq))], false);
    }
    // In another room.
    check_vouched(|named| vec![good(Draft { room: other_room(), ..following(named.key(), 8) })], false);
    // As `seen`, and with another time or another id.
    check_vouched(
        |named| {
            let seen = Draft { prev: Some(nowhere(2)), seen: vec![named.key()], ..following(named.key(), 8) };
            let Key { time, id } = named.key();
            let later = following(Key { time: Timestamp(time.0 + 1), id }, 8);
            let other = following(Key { time, id: nowhere(3).id }, 8);
            vec![good(seen), good(later), good(other)]
        },
        false,
    );
}

#[test]
fn what_was_refused_is_accepted_when_it_comes_again() {
    let named = badly(&following(nowhere(1), 7));
    let voucher = following(named.key(), 8).sign(&Cheap(1)).unwrap();
    let mut room = room();
    for _ in 0..3 {
        assert_eq!(room.merge(vec![named.clone()]).unauthentic, 1);
        assert_eq!(room.missing(), 0, "what is refused leaves nothing behind");
    }
    assert_eq!(room.merge(vec![voucher.clone()]).commit.messages, [voucher]);
    assert!(room.is_missing(&named.key()), "it is known now, and can be asked for");
    assert_eq!(room.merge(vec![named.clone()]).commit.messages, std::slice::from_ref(&named));
    assert!(!room.is_missing(&named.key()));
    assert_eq!(room.merge(vec![named]).duplicates, 1);
}

/// Counts what is verified.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Verifier for Counting {
    fn verify(&self, author: &AuthorId, bytes: &[u8], signature: &Signature) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        CheapVerifier.verify(author, bytes, signature)
    }
}

/// Of each chain only the newest message is well signed.
#[test]
fn a_chain_costs_one_signature_and_comes_in_any_batches() {
    let chain = |length: u64| -> Vec<Message> {
        let mut messages = vec![badly(&alone(0))];
        for seq in 1..length {
            let draft = following(messages.last().unwrap().key(), seq);
            let newest = seq + 1 == length;
            messages.push(if newest { draft.sign(&Cheap(1)).unwrap() } else { badly(&draft) });
        }
        messages
    };
    for length in [2, 3, 100] {
        for batch in [1, 7, 1000] {
            let counting = Arc::new(Counting::default());
            let mut room = Room::new(room_id(), Cheap(0).author(), Arc::clone(&counting) as Arc<dyn Verifier>);
            let mut newest_first = chain(length);
            newest_first.reverse();
            for batch in newest_first.chunks(batch) {
                room.merge(batch.to_vec());
            }
            assert_eq!(room.index().len(), length);
            assert_eq!(counting.0.load(Ordering::Relaxed), 1);
        }
    }
}

#[test]
fn of_many_exactly_the_well_signed_are_accepted_and_none_is_checked_more_than_twice() {
    for count in [1, 2, 255, 256, 257, 600] {
        let bad_ones: [&dyn Fn(u64) -> bool; 5] =
            [&|_| false, &|_| true, &|n| n == 0, &|n| n + 1 == count, &|n| n % 7 == 3];
        for is_bad in bad_ones {
            let sign = |n| if is_bad(n) { badly(&alone(n)) } else { alone(n).sign(&Cheap(1)).unwrap() };
            let messages: Vec<Message> = (0..count).map(sign).collect();
            let good: Vec<Message> = (0..count).filter(|n| !is_bad(*n)).map(sign).collect();
            let counting = Arc::new(Counting::default());
            let mut room = Room::new(room_id(), Cheap(0).author(), Arc::clone(&counting) as Arc<dyn Verifier>);
            assert_eq!(ids(&room.merge(messages).commit.messages), ids(&good));
            assert!(counting.0.load(Ordering::Relaxed) as u64 <= 2 * count);
        }
    }
}

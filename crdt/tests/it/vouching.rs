//! Messages that bear no signature and are vouched for elsewhere: whoever passes them on in good faith pays nothing for it.

use std::time::Duration;

use distchat_crdt::{Draft, Key, Keypair, Message, Timestamp, kind, sync::Input};

use crate::{
    liars::{talk, unsigned},
    world::{START_MS, World, room_id},
};

const SECOND: Duration = Duration::from_secs(1);
const YEAR_MS: u64 = 365 * 86_400_000;

fn liar() -> Keypair {
    Keypair::from_seed([99; 32])
}

/// A chain of so many long messages without signatures from some time ago on, and one of that time that vouches for them, the
/// newest first.
fn chain(count: u64, from_ms: u64, voucher_ms: u64) -> Vec<Message> {
    let mut chain: Vec<Message> = Vec::new();
    let draft = |seq, ms, prev, body| Draft {
        room: room_id(),
        seq,
        time: Timestamp::from_millis(ms),
        prev,
        seen: Vec::new(),
        kind: kind::TEXT,
        body,
    };
    for seq in 0..count {
        let prev = chain.last().map(Message::key);
        chain.push(unsigned(&draft(seq, from_ms + seq, prev, vec![b'x'; 16_000]), &liar()));
    }
    let voucher = draft(count, voucher_ms, chain.last().map(Message::key), b"voucher".to_vec());
    chain.push(voucher.sign(&liar()).unwrap());
    chain.reverse();
    chain
}

/// Shows all of it to host 0 only, and has it meet host 1; how long they take to be equal.
fn meet(world: &mut World, chain: &[Message]) -> Duration {
    for message in chain {
        world.give(0, std::slice::from_ref(message));
    }
    let before = world.lens()[1];
    world.gossip = false;
    world.connect(0, 1);
    let took = world.run_until_equal(SECOND * 120);
    assert!(world.lens()[1] >= before + chain.len() as u64);
    world.assert_no_offences();
    took
}

#[test]
fn a_long_chain_with_its_voucher_in_the_future_costs_its_bearer_no_minute() {
    let mut world = World::new(2);
    let took = meet(&mut world, &chain(300, START_MS - 5000, START_MS + YEAR_MS));
    assert!(took < SECOND * 15, "took {took:?}");
}

#[test]
fn nor_does_one_whose_voucher_is_amid_what_both_have() {
    let mut world = World::new(2);
    // So much that it is not listed: the chain, of which one has nothing at all, is found before its voucher is.
    let shared = talk(&Keypair::from_seed([50; 32]), 2000);
    world.give(0, &shared);
    world.give(1, &shared);
    let own = talk(&Keypair::from_seed([51; 32]), 3);
    world.give(1, &own);
    let took = meet(&mut world, &chain(300, START_MS - 4_000_000, START_MS - 1_000_500));
    assert!(took < SECOND * 15, "took {took:?}");
}

#[test]
fn who_holds_what_others_refer_to_is_not_charged_because_it_was_not_signed() {
    let mut world = World::new(2);
    for message in &chain(300, START_MS - 5000, START_MS + YEAR_MS) {
        world.give(0, std::slice::from_ref(message));
    }
    world.connect(0, 1);
    world.run_for(Duration::from_millis(30));
    // Held by 0 and asked for by 1, but for their voucher.
    let named: Vec<Key> = (0..300).filter_map(|at| world.hosts[0].replica.room().index().select(at)).collect();
    let other = Keypair::from_seed([98; 32]);
    let peer = world.hosts[0].peer.clone();
    for (seq, seen) in named.chunks(8).enumerate() {
        let draft = Draft {
            room: room_id(),
            seq: 0,
            time: Timestamp::from_millis(START_MS + seq as u64),
            prev: None,
            seen: seen.to_vec(),
            kind: kind::TEXT,
            body: b"look at these".to_vec(),
        };
        let bytes = draft.sign(&other).unwrap().bytes().to_vec();
        for host in [0, 1] {
            world.input(host, Input::Frame { peer: peer.clone(), ticket: 0, bytes: bytes.clone() });
        }
        world.run_for(Duration::from_millis(500));
    }
    let took = world.run_until_equal(SECOND * 15);
    world.assert_no_offences();
    println!("took {took:?}");
}

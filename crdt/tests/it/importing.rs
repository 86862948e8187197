//! What somebody brings in a file is let in as if a peer had sent it.

use std::time::Duration;

use distchat_crdt::{
    Draft, Keypair, Message, RoomId, RoomName, Timestamp, kind,
    sync::{Imported, Input, Output},
};

use crate::{
    liars::{talk, unsigned},
    world::{START_MS, World, room_id},
};

const SECOND: Duration = Duration::from_secs(1);

fn import<'a>(world: &mut World, messages: impl IntoIterator<Item = &'a Message>) -> Imported {
    import_bytes(world, messages.into_iter().map(|message| message.bytes().to_vec()).collect())
}

fn import_bytes(world: &mut World, messages: Vec<Vec<u8>>) -> Imported {
    let count = messages.len() as u64;
    world.input(0, Input::Import { ticket: 1, messages });
    let imported = *world.hosts[0].imported.last().unwrap();
    assert_eq!(imported.total(), count, "{imported:?}");
    imported
}

fn new(new: u64) -> Imported {
    Imported { new, ..Imported::default() }
}

#[test]
fn each_kind_is_counted() {
    let mut world = World::new(1);
    let ana = Keypair::from_seed([51; 32]);
    let messages = talk(&ana, 9);
    assert_eq!(import(&mut world, &messages[..5]), new(5));
    let elsewhere = Draft {
        room: RoomId::of(&RoomName::parse("elsewhere").unwrap()),
        seq: 0,
        time: Timestamp(7),
        prev: None,
        seen: Vec::new(),
        kind: kind::TEXT,
        body: Vec::new(),
    };
    let mut bytes: Vec<Vec<u8>> = messages[3..].iter().map(|message| message.bytes().to_vec()).collect();
    bytes.push(elsewhere.sign(&ana).unwrap().bytes().to_vec());
    bytes.push(Vec::new());
    bytes.push([messages[0].bytes(), &[0]].concat());
    let mut changed = messages[1].bytes().to_vec();
    let at = changed.len() - 70;
    changed[at] ^= 1;
    bytes.push(changed);
    // Twice in one go.
    bytes.push(messages[8].bytes().to_vec());
    let imported = import_bytes(&mut world, bytes);
    assert_eq!(imported, Imported { new: 4, known: 3, unvouched: 1, foreign: 1, malformed: 2 });
    assert_eq!(world.lens(), [9]);
    world.assert_no_offences();
}

#[test]
fn what_is_not_vouched_for_yet_is_taken_when_it_comes_behind_its_voucher() {
    let ana = Keypair::from_seed([51; 32]);
    let draft = |seq, prev| Draft {
        room: room_id(),
        seq,
        time: Timestamp::from_millis(START_MS + seq),
        prev,
        seen: Vec::new(),
        kind: kind::TEXT,
        body: Vec::new(),
    };
    let vouched = unsigned(&draft(0, None), &ana);
    let voucher = draft(1, Some(vouched.key())).sign(&ana).unwrap();

    let mut world = World::new(1);
    assert_eq!(import(&mut world, [&vouched]), Imported { unvouched: 1, ..new(0) });
    assert_eq!(import(&mut world, [&voucher]), new(1));
    assert_eq!(import(&mut world, [&vouched, &voucher]), Imported { known: 1, ..new(1) });

    let mut world = World::new(1);
    assert_eq!(import(&mut world, [&vouched, &voucher]), new(2), "together they come in any order");
}

#[test]
fn peers_get_it_and_nothing_is_passed_on_before_it_is_on_disk() {
    let mut world = World::new(3);
    world.connect_all();
    world.run_for(SECOND);
    let messages = talk(&Keypair::from_seed([51; 32]), 500);
    world.hosts[0].write_time = 20 * SECOND;
    for page in messages.rchunks(100) {
        assert_eq!(import(&mut world, page), new(100));
    }
    world.run_for(10 * SECOND);
    assert_eq!(world.lens(), [500, 0, 0]);
    assert_eq!(world.hosts[0].stored.len(), 0);
    assert_eq!(import(&mut world, &messages), Imported { known: 500, ..new(0) });
    world.run_until_equal(30 * SECOND);
    assert_eq!(world.lens(), [500; 3]);
    assert_eq!(world.hosts[0].stored.len(), 500);
    world.assert_no_offences();
}

#[test]
fn the_answer_names_the_commit_on_which_it_rests() {
    let mut world = World::new(1);
    let messages = talk(&Keypair::from_seed([51; 32]), 3);
    let mut import = |messages: &[Message]| {
        let (now, replica) = (world.now(0), &mut world.hosts[0].replica);
        let messages = messages.iter().map(|message| message.bytes().to_vec()).collect();
        replica.handle(now, Input::Import { ticket: 5, messages })
    };
    let outputs = import(&messages);
    let [Output::Imported { ticket: 5, commit, .. }, Output::Commit { number, .. }] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(commit, number);
    // What is here and could still be lost is not said to be here before it is safe.
    let again = import(&messages);
    assert!(matches!(&again[..], [Output::Imported { commit, .. }] if commit == number), "{again:?}");
    let (now, replica) = (world.now(0), &mut world.hosts[0].replica);
    replica.handle(now, Input::Committed { through: *number });
    let last = replica.handle(now, Input::Import { ticket: 5, messages: vec![messages[0].bytes().to_vec()] });
    assert!(matches!(&last[..], [Output::Imported { commit: 0, .. }]), "{last:?}");
}

//! An outside oracle: the negentropy crate, which reconciles sets by quite another way, finds the same difference that
//! our replicas exchange.

use std::{collections::BTreeSet, sync::OnceLock, time::Duration};

use distchat_crdt::{Draft, Key, Keypair, Message, Signer, Timestamp, kind};
use negentropy::{Id, Negentropy, NegentropyStorageVector};
use proptest::prelude::*;

use crate::{
    laws::cases,
    world::{START_MS, World, room_id},
};

const MESSAGES: usize = 900;
const AUTHORS: u8 = 3;

/// What there is to hold or to lack: a conversation of three, some of it within one millisecond. Each message has a good
/// signature, so that any part of it is accepted by itself.
fn conversation() -> &'static [Message] {
    static CONVERSATION: OnceLock<Vec<Message>> = OnceLock::new();
    CONVERSATION.get_or_init(|| {
        let authors: Vec<Keypair> = (0..AUTHORS).map(|n| Keypair::from_seed([n + 100; 32])).collect();
        let mut messages: Vec<Message> = Vec::new();
        for n in 0..MESSAGES {
            let author = &authors[n * n % 7 % authors.len()];
            let prev = messages.iter().rev().find(|message| message.author() == author.author());
            let draft = Draft {
                room: room_id(),
                seq: prev.map_or(0, |prev| prev.seq() + 1),
                time: Timestamp(Timestamp::from_millis(START_MS - 100_000 + (n as u64 / 3) * 50).0 + n as u64 % 3),
                prev: prev.map(Message::key),
                seen: Vec::new(),
                kind: kind::TEXT,
                body: format!("line {n}").into_bytes(),
            };
            messages.push(draft.sign(author).unwrap());
        }
        messages.sort_unstable_by_key(Message::key);
        messages
    })
}

/// Which of the conversation one side lacks.
fn lacks() -> impl Strategy<Value = BTreeSet<usize>> {
    let run = |longest: usize| {
        (0..MESSAGES, 0..longest).prop_map(|(start, length)| (start..(start + length).min(MESSAGES)).collect())
    };
    prop_oneof![
        1 => Just(BTreeSet::new()),
        3 => prop::collection::btree_set(0..MESSAGES, 0..30),
        2 => prop::collection::btree_set(0..MESSAGES, 0..MESSAGES),
        2 => run(MESSAGES),
        // A suffix.
        2 => (0..MESSAGES).prop_map(|start| (start..MESSAGES).collect()),
        2 => prop::collection::vec(run(100), 1..5).prop_map(|runs: Vec<BTreeSet<usize>>| runs.into_iter().flatten().collect()),
        1 => Just((0..MESSAGES).collect()),
    ]
}

/// What negentropy finds that the first lacks, and the second.
fn difference(sides: [&[Message]; 2]) -> [BTreeSet<[u8; 32]>; 2] {
    let [a, b] = sides.map(|side| {
        let mut storage = NegentropyStorageVector::new();
        for message in side {
            storage.insert(message.time().0, Id::from_byte_array(message.id().0)).unwrap();
        }
        storage.seal().unwrap();
        storage
    });
    let mut asker = Negentropy::borrowed(&a, 0).unwrap();
    let mut answerer = Negentropy::borrowed(&b, 0).unwrap();
    let (mut have, mut need) = (Vec::new(), Vec::new());
    let mut question = Some(asker.initiate().unwrap());
    while let Some(bytes) = question {
        let answer = answerer.reconcile(&bytes).unwrap();
        question = asker.reconcile_with_ids(&answer, &mut have, &mut need).unwrap();
    }
    [need, have].map(|ids| ids.into_iter().map(|id| id.to_bytes()).collect())
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn what_goes_to_and_fro_is_the_difference(lacks in [lacks(), lacks()]) {
        let messages = conversation();
        let held = lacks.map(|lacks| -> Vec<Message> {
            messages.iter().enumerate().filter(|(at, _)| !lacks.contains(at)).map(|(_, message)| message.clone()).collect()
        });
        let expected = difference([&held[0], &held[1]]);

        let mut world = World::new(2);
        for (host, held) in held.iter().enumerate() {
            world.give(host, held);
            world.run_for(Duration::from_secs(1));
            prop_assert_eq!(world.hosts[host].stored.len(), held.len());
        }
        world.connect(0, 1);
        world.run_until_equal(Duration::from_secs(30));
        world.run_for(Duration::from_secs(5));
        world.assert_no_offences();
        for (host, (held, expected)) in held.iter().zip(expected).enumerate() {
            let came: Vec<Key> = world.hosts[host].stored[held.len()..].iter().map(Message::key).collect();
            let ids: BTreeSet<[u8; 32]> = came.iter().map(|key| key.id.0).collect();
            prop_assert_eq!(came.len(), ids.len(), "something was stored twice");
            prop_assert_eq!(ids, expected, "host {}", host);
        }
    }
}

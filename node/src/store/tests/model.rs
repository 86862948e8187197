//! Random commits into the store and into maps; both must tell the same, also after a restart.

use std::collections::{BTreeMap, BTreeSet};

use distchat_crdt::{Claim, MAX_OWN_TIPS, Snapshot, kind};
use proptest::prelude::*;

use super::*;
use crate::room::short::NICK_BYTES;

const ROOMS: usize = 2;
const POOL: usize = 60;

/// A room as it should be.
#[derive(Clone, Default)]
struct Model {
    messages: BTreeMap<Key, Message>,
    heads: BTreeSet<Key>,
    claims: BTreeSet<Claim>,
    authors: BTreeMap<AuthorId, AuthorLog>,
}

impl Model {
    fn apply(&mut self, commit: &Commit) {
        for message in &commit.messages {
            self.messages.entry(message.key()).or_insert_with(|| message.clone());
        }
        self.heads.extend(&commit.heads_added);
        self.heads.retain(|key| !commit.heads_removed.contains(key));
        self.claims.extend(&commit.claims_added);
        self.claims.retain(|claim| !commit.holes_filled.contains(&claim.key));
        self.authors.extend(commit.authors.iter().cloned());
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// To which room, what, and whether to wait until it is done before going on.
    Commit(usize, Indices, bool),
    Check,
    Reopen,
}

/// Indices into the pool for each part of a commit.
#[derive(Clone, Debug)]
struct Indices {
    messages: Vec<usize>,
    heads: (Vec<usize>, Vec<usize>),
    claims: Vec<(usize, u8, Option<u64>)>,
    filled: Vec<usize>,
    authors: Vec<(u8, Vec<u64>, bool)>,
}

fn some(most: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..POOL, 0..most)
}

fn indices() -> impl Strategy<Value = Indices> {
    let claims = prop::collection::vec((0..POOL, 0..3_u8, prop::option::of(0..3_u64)), 0..6);
    let log = prop::collection::btree_set(0..100_u64, 0..8).prop_map(|ends| ends.into_iter().collect());
    // Not of the own author's, whose messages are counted by it.
    let authors = prop::collection::vec((1..4_u8, log, any::<bool>()), 0..3);
    (some(12), (some(6), some(6)), claims, some(6), authors)
        .prop_map(|(messages, heads, claims, filled, authors)| Indices { messages, heads, claims, filled, authors })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..ROOMS, indices(), any::<bool>()).prop_map(|(room, indices, wait)| Op::Commit(room, indices, wait)),
        2 => Just(Op::Check),
        1 => Just(Op::Reopen),
    ]
}

const KINDS: [u32; 6] = [kind::TEXT, kind::TEXT, kind::NICK, kind::ACTION, kind::REPLY, 77];

fn pool() -> Vec<Message> {
    (0..POOL)
        .map(|i| {
            // Times collide, authors and kinds mix, bodies are of all sizes.
            let body = vec![b'a' + i as u8 % 26; [0, 5, 300, 9000][i % 4]];
            message(i as u8 % 3, i as u64 % 7, 2 + (i as u64 / 3) * 11, KINDS[i / 3 % KINDS.len()], &body)
        })
        .collect()
}

fn commit(pool: &[Message], indices: &Indices) -> Commit {
    let keys = |indices: &[usize]| indices.iter().map(|i| pool[*i].key()).collect::<Vec<_>>();
    let log = |ends: &[u64], forked| {
        let mut ranges: Vec<(u64, u64)> = ends.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        ranges.dedup_by(|next, range| range.1 + 1 == next.0);
        AuthorLog::from_parts(ranges, forked, ends.iter().sum()).unwrap()
    };
    let claim = |(i, author, vouched_seq): &(usize, u8, Option<u64>)| Claim {
        key: pool[*i].key(),
        author: keypair(*author).author(),
        vouched_seq: *vouched_seq,
    };
    Commit {
        messages: indices.messages.iter().map(|i| pool[*i].clone()).collect(),
        heads_added: keys(&indices.heads.0),
        heads_removed: keys(&indices.heads.1),
        claims_added: indices.claims.iter().map(claim).collect(),
        holes_filled: keys(&indices.filled),
        authors: indices.authors.iter().map(|(i, ends, fork)| (keypair(*i).author(), log(ends, *fork))).collect(),
    }
}

async fn check(store: &Store, room: RoomNo, model: &Model, pool: &[Message]) -> Result<(), TestCaseError> {
    let own = keypair(0).author();
    store.settle().await.unwrap();
    let Loaded { index, snapshot, .. } = store.load(room, own).await.unwrap();
    let Snapshot { keys: _, mut heads, mut claims, mut authors, own: mut tips } = snapshot;
    prop_assert_eq!(keys_of(&index), model.messages.keys().copied().collect::<Vec<_>>());
    heads.sort();
    claims.sort();
    authors.sort_by_key(|(author, _)| *author);
    tips.sort();
    prop_assert_eq!(heads, model.heads.iter().copied().collect::<Vec<_>>());
    prop_assert_eq!(claims, model.claims.iter().copied().collect::<Vec<_>>());
    prop_assert_eq!(authors, model.authors.clone().into_iter().collect::<Vec<_>>());
    let expect = model.messages.values().filter(|message| message.author() == own);
    prop_assert_eq!(tips, expect.map(|message| (message.key(), message.seq())).take(MAX_OWN_TIPS).collect::<Vec<_>>());

    // All, some, and far between; held or not; whole or cut off.
    for (every, max_bytes) in [(1, usize::MAX), (1, 2000), (3, 9000), (17, usize::MAX), (POOL, 0)] {
        let mut wanted: Vec<Key> = pool.iter().step_by(every).map(Message::key).collect();
        wanted.extend([Key::MIN, Key::last_of(Timestamp::MAX), Key::last_of(Timestamp(u64::MAX))]);
        wanted.sort();
        wanted.reverse();
        let mut size = 0;
        let held = wanted.iter().filter_map(|key| model.messages.get(key));
        let expect = held.take_while(|message| {
            let first = size == 0;
            size += message.bytes().len();
            first || size <= max_bytes
        });
        let expect: Vec<_> = expect.map(|message| (message.key(), message.bytes().to_vec())).collect();
        prop_assert_eq!(store.read(room, wanted.clone(), max_bytes).await.unwrap(), expect);
        let held: Vec<bool> = wanted.iter().map(|key| model.messages.contains_key(key)).collect();
        prop_assert_eq!(store.holds(room, wanted).await.unwrap(), held);
    }

    let middle = pool[POOL / 2].key();
    for lines in [
        Lines::Newest(5),
        Lines::Newest(usize::MAX),
        Lines::Before(middle, 4),
        Lines::Before(Key::MIN, 4),
        Lines::Before(Key::last_of(Timestamp(u64::MAX)), 3),
        Lines::After(middle, 4),
        Lines::After(Key::MIN, usize::MAX),
        Lines::After(Key::last_of(Timestamp(u64::MAX)), 3),
    ] {
        let shown =
            model.messages.values().filter(|message| [kind::TEXT, kind::ACTION, kind::REPLY].contains(&message.kind()));
        let all: Vec<_> = shown.collect();
        let at = |key: &Key| all.partition_point(|message| message.key() < *key);
        let expect = match lines {
            Lines::Newest(count) => &all[all.len().saturating_sub(count)..],
            Lines::Before(key, count) => &all[at(&key).saturating_sub(count)..at(&key)],
            Lines::After(key, count) => {
                let from = all.partition_point(|message| message.key() <= key);
                &all[from..from.saturating_add(count).min(all.len())]
            }
        };
        let expect: Vec<_> = expect
            .iter()
            .map(|message| (message.key(), message.author(), message.seq(), message.kind(), message.body().to_vec()))
            .collect();
        let found = store.lines(room, lines).await.unwrap();
        prop_assert!(found.iter().all(|message| message.arrived_ms == 1234 && !message.late));
        let found: Vec<_> = found
            .into_iter()
            .map(|message| (message.key, message.author, message.seq, message.kind, message.body))
            .collect();
        prop_assert_eq!(found, expect, "{:?}", lines);
    }

    let nicks = model.messages.values().filter(|message| message.kind() == kind::NICK);
    let start = |body: &[u8]| body.get(..NICK_BYTES).unwrap_or(body).to_vec();
    let mut nicks: Vec<_> = nicks.map(|message| (message.author(), message.key(), start(message.body()))).collect();
    nicks.sort();
    prop_assert_eq!(store.nicks(room).await.unwrap(), nicks);
    Ok(())
}

async fn run(ops: Vec<Op>, path: Option<&Path>) -> Result<(), TestCaseError> {
    let pool = pool();
    let names = [name("general"), name("日本語")];
    let mut store = Store::open(path).unwrap();
    let mut models = vec![Model::default(); ROOMS];
    let mut waiting = Vec::new();
    for op in ops.into_iter().chain([Op::Check, Op::Reopen, Op::Check]) {
        let rooms = [store.room(&names[0]).await.unwrap(), store.room(&names[1]).await.unwrap()];
        match op {
            Op::Commit(room, indices, wait) => {
                let commit = commit(&pool, &indices);
                models[room].apply(&commit);
                let done = submit(&store, rooms[room], keypair(0).author(), commit).await;
                if wait { prop_assert_eq!(done.await.unwrap(), Ok(())) } else { waiting.push(done) }
            }
            Op::Check => {
                for (room, model) in rooms.into_iter().zip(&models) {
                    check(&store, room, model, &pool).await?;
                }
            }
            // What is in memory does not outlast it.
            Op::Reopen if path.is_none() => {}
            Op::Reopen => {
                store.close().await;
                for done in waiting.drain(..) {
                    prop_assert_eq!(done.await.unwrap(), Ok(()));
                }
                store = Store::open(path).unwrap();
            }
        }
    }
    store.close().await;
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_as_the_model_says(ops in prop::collection::vec(op(), 0..25), memory in prop::bool::weighted(0.3)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("history.sqlite3");
        runtime.block_on(run(ops, (!memory).then_some(&path)))?;
    }
}

//! The store against a model, and against what happens to files.

mod begun;
mod damage;
mod disk;
mod faults;
mod model;
mod moved;
mod search;
mod search_faults;
mod shown;

use std::sync::Arc;

use distchat_crdt::{
    AuthorId, AuthorLog, Commit, Draft, Key, Keypair, Message, MessageId, RoomId, RoomName, Signer, Timestamp,
};
use tokio::sync::oneshot;

use super::*;

/// Nothing was shown before.
const FRONTIER: Frontier = Frontier { key: Key::MIN, unfinished: false };

/// The author of that number.
fn keypair(author: u8) -> Keypair {
    Keypair::from_seed([author; 32])
}

/// A message that refers to nothing held.
fn message(author: u8, seq: u64, time: u64, kind: u32, body: &[u8]) -> Message {
    let prev = (seq > 0).then(|| Key { time: Timestamp(time - 1), id: MessageId([7; 32]) });
    let room = RoomId::of(&name("general"));
    let draft = Draft { room, seq, time: Timestamp(time), prev, seen: Vec::new(), kind, body: body.to_vec() };
    draft.sign(&keypair(author)).unwrap()
}

fn name(text: &str) -> RoomName {
    RoomName::parse(text).unwrap()
}

fn commit_of(messages: Vec<Message>) -> Commit {
    let author = messages[0].author();
    let log = AuthorLog::from_parts(vec![(0, messages.len() as u64)], false, messages.len() as u64).unwrap();
    Commit { messages, authors: vec![(author, log)], ..Commit::default() }
}

/// Queues a commit; the answer comes when it is done.
async fn submit(
    store: &Store,
    room: RoomNo,
    own: AuthorId,
    commit: Commit,
) -> oneshot::Receiver<Result<(), StoreError>> {
    let (sender, done) = oneshot::channel();
    let done_fn = Box::new(move |result| drop(sender.send(result)));
    let job = CommitJob { room, own, commit: Arc::new(commit), arrived_ms: 1234, frontier: FRONTIER, done: done_fn };
    store.submit(job).await.unwrap();
    done
}

async fn save(store: &Store, room: RoomNo, messages: Vec<Message>) -> Result<(), StoreError> {
    submit(store, room, keypair(0).author(), commit_of(messages)).await.await.unwrap()
}

/// All keys of a room, ascending.
fn keys_of(index: &Index) -> Vec<Key> {
    let mut keys = index.newest(&Key::MIN, &Key::last_of(Timestamp(u64::MAX)), usize::MAX);
    keys.reverse();
    keys
}

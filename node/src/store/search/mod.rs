//! Words and where they are said: an index over the history, in a database of its own beside it.
//!
//! The index is a cache. It can be thrown away at any time, and what it lacks is found by counting: it keeps how many
//! messages of each room it has taken in, and the history knows how many there are. So the history is written as if there
//! were no index. What is new is told to the thread that keeps the index, through a bounded queue, after it is on disk; what
//! that thread does not hear of it finds.

mod history;
mod index;
mod indexer;
mod pace;
mod places;
mod words;
mod work;

use std::{
    collections::BTreeSet,
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use distchat_crdt::{Key, Message};
use tokio::sync::{mpsc, oneshot};

use super::RoomNo;
use crate::{error::SearchError, search::Indexing};
pub(crate) use history::StoredHit;
#[cfg(test)]
pub(super) use history::{HIT, NICK_BEFORE};
pub(super) use history::{History, Source};
use indexer::Indexer;
pub(super) use pace::Pace;
pub(crate) use words::Question;

/// How many commits and questions wait for the indexer.
const QUEUE: usize = 256;
/// A commit of more messages than that is a part of catching up: its room is looked through when that is over.
const MAX_LIVE: usize = 64;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The newest first.
    pub(crate) hits: Vec<StoredHit>,
    /// How far the index is, if it is not complete.
    pub(crate) indexing: Option<Indexing>,
}

/// Where an answer goes.
type Reply = oneshot::Sender<Result<Found, SearchError>>;

/// What the indexer is told and asked.
enum Task {
    /// These messages of a room are on disk.
    Committed(RoomNo, Vec<Key>),
    /// A room was marked.
    Marked,
    /// Who says these words?
    Find { question: Question, limit: usize, reply: Reply },
    /// Takes in what it was told of, and ends.
    Close,
    /// Does so many steps at once.
    #[cfg(test)]
    Steps(usize, oneshot::Sender<()>),
    /// Runs a script: what happens to disks, told to the database.
    #[cfg(test)]
    Sql(&'static str, oneshot::Sender<()>),
    #[cfg(test)]
    Panic,
}

/// A handle on the indexer. Its thread ends when it is closed or the last handle is dropped.
#[derive(Clone)]
pub(super) struct Search {
    queue: mpsc::Sender<Task>,
    marks: Arc<Marks>,
}

/// What the indexer is told without a place in its queue.
struct Marks {
    epoch: Instant,
    /// When the last commit was written, in milliseconds since the epoch.
    last_commit: AtomicU64,
    /// Rooms with messages that the indexer was not told of.
    rooms: Mutex<BTreeSet<RoomNo>>,
}

impl Marks {
    fn new() -> Self {
        Self { epoch: Instant::now(), last_commit: AtomicU64::new(0), rooms: Mutex::default() }
    }

    /// The lock is held for moments and never while something can fail, so a poisoned one holds whole data.
    fn rooms(&self) -> MutexGuard<'_, BTreeSet<RoomNo>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_rooms(&self) -> BTreeSet<RoomNo> {
        mem::take(&mut *self.rooms())
    }

    fn last_commit(&self) -> Instant {
        self.epoch + Duration::from_millis(self.last_commit.load(Ordering::Relaxed))
    }
}

impl Search {
    /// Starts the indexer. `None`: the index is in memory. That it cannot be opened shows when something is looked for.
    pub(super) fn start(path: Option<PathBuf>, history: History, pace: Pace) -> (Self, io::Result<JoinHandle<()>>) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let marks = Arc::new(Marks::new());
        let indexer = Indexer::new(path, history, marks.clone(), pace);
        let work = move || {
            // The queue goes with the thread, so whoever looks for something learns that there will be no answer.
            if catch_unwind(AssertUnwindSafe(|| indexer.run(queue))).is_err() {
                tracing::error!("the search index has crashed: nothing can be found until the node is started again");
            }
        };
        let thread = thread::Builder::new().name("store-search".into()).spawn(work);
        (Self { queue: sender, marks }, thread)
    }

    /// Some messages of a room are on disk. Never waits.
    pub(super) fn committed(&self, room: RoomNo, messages: &[Message]) {
        let at = u64::try_from(self.marks.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.marks.last_commit.store(at, Ordering::Relaxed);
        if messages.is_empty() {
            return;
        }
        let live = messages.len() <= MAX_LIVE;
        let told =
            live && self.queue.try_send(Task::Committed(room, messages.iter().map(Message::key).collect())).is_ok();
        if !told {
            self.marks.rooms().insert(room);
            // If there is no place for this either, the indexer is awake, and looks at the marks when it is through.
            let _ = self.queue.try_send(Task::Marked);
        }
    }

    /// The newest lines with these words, at most so many.
    pub(super) async fn find(&self, question: Question, limit: usize) -> Result<Found, SearchError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Task::Find { question, limit, reply }).await.map_err(|_| SearchError::Stopped)?;
        answer.await.map_err(|_| SearchError::Stopped)?
    }

    /// Has the indexer take in what it was told of, and end.
    pub(super) async fn close(&self) {
        // A thread that has ended needs not be told to.
        let _ = self.queue.send(Task::Close).await;
    }

    /// Has the indexer do so many steps now.
    #[cfg(test)]
    pub(super) async fn steps(&self, steps: usize) {
        let (sender, done) = oneshot::channel();
        self.queue.send(Task::Steps(steps, sender)).await.ok();
        done.await.unwrap();
    }

    #[cfg(test)]
    pub(super) async fn sql(&self, script: &'static str) {
        let (sender, done) = oneshot::channel();
        self.queue.send(Task::Sql(script, sender)).await.ok();
        done.await.unwrap();
    }

    #[cfg(test)]
    pub(super) async fn panic(&self) {
        self.queue.send(Task::Panic).await.ok();
        self.queue.closed().await;
    }
}

//! The thread that keeps the index: it does what it is told, and in between, at its pace, what is missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use distchat_crdt::Key;
use tokio::sync::mpsc;

use super::{
    Found, Marks, Pace, Task,
    history::History,
    index::{self, Index},
    words::Question,
    work::{Trouble, Work},
};
use crate::{
    error::SearchError,
    store::{RoomNo, StoreError},
};

/// How many messages that were told of wait to be taken in. Beyond, their rooms are walked.
const MAX_WAITING: usize = 1000;
/// How long after a failure, or when damage has come back, the index is left alone.
const PAUSE: Duration = Duration::from_secs(60);

/// What the thread works with.
pub(super) struct Indexer {
    path: Option<PathBuf>,
    history: History,
    marks: Arc<Marks>,
    pace: Pace,
    /// None before the start and after a failure. Whatever is lost with it is found by counting.
    work: Option<Work>,
    /// What was told of and is not taken in.
    waiting: BTreeMap<RoomNo, BTreeSet<Key>>,
    /// When the first of it came.
    waiting_since: Option<Instant>,
    /// When the last step ended, and what it took.
    stepped: Instant,
    cost: Duration,
    /// Nothing is done before by itself.
    pause_until: Option<Instant>,
    thrown_away: u32,
}

impl Indexer {
    pub(super) fn new(path: Option<PathBuf>, history: History, marks: Arc<Marks>, pace: Pace) -> Self {
        Self {
            path,
            history,
            marks,
            pace,
            work: None,
            waiting: BTreeMap::new(),
            waiting_since: None,
            stepped: Instant::now(),
            cost: Duration::ZERO,
            pause_until: None,
            thrown_away: 0,
        }
    }

    /// Works until it is told to close.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Task>) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!(%error, "the search index cannot be kept"),
        };
        loop {
            let due = [self.live_due(), self.step_due()].into_iter().flatten().min();
            // What waits in the queue is taken first.
            let received = runtime.block_on(async {
                match due {
                    Some(due) => tokio::time::timeout_at(due.into(), queue.recv()).await,
                    None => Ok(queue.recv().await),
                }
            });
            match received {
                Err(_) => self.work(),
                Ok(Some(Task::Committed(room, keys))) => self.committed(room, keys),
                // The mark is seen when it is due.
                Ok(Some(Task::Marked)) => {}
                Ok(Some(Task::Find { question, limit, reply })) => {
                    if !reply.is_closed() {
                        // Whoever asked may be gone by now.
                        let _ = reply.send(self.find(&question, limit));
                    }
                }
                Ok(None | Some(Task::Close)) => break,
                #[cfg(test)]
                Ok(Some(Task::Steps(steps, done))) => {
                    for _ in 0..steps {
                        self.attempt(Self::step);
                    }
                    done.send(()).unwrap();
                }
                #[cfg(test)]
                Ok(Some(Task::Sql(script, done))) => {
                    self.open().unwrap().sql(script);
                    done.send(()).unwrap();
                }
                #[cfg(test)]
                Ok(Some(Task::Panic)) => panic!("as the test wants"),
            }
        }
        if self.waiting_since.is_some() {
            self.attempt(Self::take_in);
        }
    }

    fn committed(&mut self, room: RoomNo, keys: Vec<Key>) {
        self.waiting_since.get_or_insert_with(Instant::now);
        self.waiting.entry(room).or_default().extend(keys);
        if self.waiting.values().map(BTreeSet::len).sum::<usize>() > MAX_WAITING {
            self.waiting_since = None;
            self.marks.rooms().extend(std::mem::take(&mut self.waiting).into_keys());
        }
    }

    /// When what was told of is to be taken in.
    fn live_due(&self) -> Option<Instant> {
        let due = self.pace.live(self.marks.last_commit(), self.waiting_since?);
        Some(self.pause_until.map_or(due, |until| due.max(until)))
    }

    /// When there is a step to do.
    fn step_due(&self) -> Option<Instant> {
        let behind = self.work.as_ref().is_none_or(Work::is_walking) || !self.marks.rooms().is_empty();
        let due = behind.then(|| self.pace.step(self.marks.last_commit(), self.stepped, self.cost))?;
        Some(self.pause_until.map_or(due, |until| due.max(until)))
    }

    /// Does what is due.
    fn work(&mut self) {
        let now = Instant::now();
        if self.live_due().is_some_and(|due| due <= now) {
            self.attempt(Self::take_in);
        }
        if self.step_due().is_some_and(|due| due <= now) {
            self.attempt(Self::step);
            self.stepped = Instant::now();
            self.cost = self.stepped - now;
        }
    }

    fn find(&mut self, question: &Question, limit: usize) -> Result<Found, SearchError> {
        let find = |indexer: &mut Self| {
            match indexer.take_in() {
                // What is there is found, and it is said that it is not all.
                Err(trouble) if trouble.is_lack_of_space() => _ = indexer.recover(&trouble),
                taken_in => taken_in?,
            }
            indexer.take_up_marks()?;
            let work = indexer.work.as_mut().ok_or(StoreError::Closed)?;
            work.find(&indexer.history, question, limit)
        };
        let damaged = match find(self) {
            Ok(found) => return Ok(found),
            Err(trouble) => self.recover(&trouble).then_some(()).ok_or(trouble),
        };
        // Another one is there now, and empty.
        damaged.and_then(|()| find(self)).map_err(|trouble| SearchError::Failed(trouble.to_string()))
    }

    /// Opens the index, if need be.
    fn open(&mut self) -> Result<&mut Work, Trouble> {
        if self.work.is_none() {
            // Of this the measuring will know all.
            self.marks.take_rooms();
            self.work = Some(Work::begin(Index::open(self.path.as_deref())?, &self.history)?);
        }
        self.work.as_mut().ok_or(Trouble::Misfit)
    }

    /// Takes in what was told of.
    fn take_in(&mut self) -> Result<(), Trouble> {
        self.open()?;
        self.waiting_since = None;
        let waiting = std::mem::take(&mut self.waiting);
        let Some(work) = &mut self.work else { return Ok(()) };
        let taken_in = waiting.iter().try_for_each(|(room, keys)| work.take_in(&self.history, *room, keys));
        if taken_in.is_err() {
            self.marks.rooms().extend(waiting.into_keys());
        }
        taken_in
    }

    fn take_up_marks(&mut self) -> Result<(), Trouble> {
        self.open()?;
        let marked = self.marks.take_rooms();
        let Some(work) = &mut self.work else { return Ok(()) };
        marked.into_iter().try_for_each(|room| work.mark(&self.history, room))
    }

    fn step(&mut self) -> Result<(), Trouble> {
        self.take_up_marks()?;
        let Some(work) = &mut self.work else { return Ok(()) };
        work.step(&self.history)
    }

    fn attempt(&mut self, work: impl FnOnce(&mut Self) -> Result<(), Trouble>) {
        if let Err(trouble) = work(self) {
            self.recover(&trouble);
        }
    }

    /// After a failure: begins anew, with an empty index if that was why. Returns whether it was.
    fn recover(&mut self, trouble: &Trouble) -> bool {
        if trouble.is_lack_of_space() {
            if self.pause_until.is_none_or(|until| until < Instant::now()) {
                tracing::warn!(%trouble, "there is no space for the search index: it is tried again in a minute");
            }
            self.pause_until = Some(Instant::now() + PAUSE);
            return false;
        }
        self.work = None;
        self.waiting.clear();
        self.waiting_since = None;
        if matches!(trouble, Trouble::History(StoreError::Closed)) {
            self.pause_until = Some(Instant::now() + PAUSE);
            return false;
        }
        let damage = trouble.is_damage();
        if damage {
            tracing::warn!(%trouble, "the search index is thrown away and made anew");
            if let Some(path) = &self.path {
                index::remove(path);
            }
            self.thrown_away += 1;
        } else {
            tracing::warn!(%trouble, "the search index could not be read or written: it is tried again in a minute");
        }
        let pause = !damage || self.thrown_away > 1;
        self.pause_until = pause.then(|| Instant::now() + PAUSE);
        damage
    }
}

//! The history on disk: every room's messages and what a room starts from, in one SQLite database.
//!
//! One thread writes, in groups; two read; one keeps an index of the words. All are reached through bounded queues, in which callers wait for a place.

mod apply;
mod audit;
mod authors;
mod carry;
mod check;
mod disk;
mod doubts;
mod error;
mod guard;
mod keys;
mod mend;
mod query;
mod ranges;
mod reader;
mod salvage;
mod schema;
mod scrub;
mod search;
mod size;
mod sums;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use distchat_crdt::{AuthorId, Commit, Key, RoomName, Snapshot, Timestamp, index::Index};
use rusqlite::Connection;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::{
    error::SearchError,
    event::{Reaction, RoomTopic},
};
pub(crate) use audit::Audit;
pub(crate) use check::check;
pub(crate) use error::{Closed, StoreError};
pub(crate) use mend::Mended;
pub(crate) use salvage::open;
pub(crate) use search::{Found, Question};

/// How many jobs wait for the writer, and for the readers, at most. Further callers wait for a place.
const QUEUE: usize = 256;
/// How many KiB of messages wait for the writer at most: the other bound of the same queue.
const QUEUE_KIB: usize = 32 << 10;
const READERS: usize = 2;
/// How many messages a long history has. Loading it takes some tens of milliseconds.
const LONG: usize = if cfg!(test) { 100 } else { 20_000 };

/// Something to do on a store's thread. It sends its own answer.
type Job = Box<dyn FnOnce(&Connection) + Send>;

/// A room's number in this store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RoomNo(i64);

/// What one merge changed, to be written in one transaction.
pub(crate) struct CommitJob {
    /// The room that it is about.
    pub(crate) room: RoomNo,
    /// The node's own author.
    pub(crate) own: AuthorId,
    /// What changed.
    pub(crate) commit: Arc<Commit>,
    /// When the messages came here, in milliseconds since 1970.
    pub(crate) arrived_ms: u64,
    /// What had been here before.
    pub(crate) frontier: Frontier,
    /// Called once the commit outlasts a power cut, or has failed. It runs on the writer's thread, so it must neither
    /// wait nor panic. After a failure every later commit of the room fails too, until the room is loaded again.
    pub(crate) done: Box<dyn FnOnce(Result<(), StoreError>) + Send>,
}

/// The newest message that people had been shown before, not counting those of a catching up that is not finished.
/// Whatever comes now and belongs before it is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frontier {
    pub(crate) key: Key,
    /// A catching up is not finished.
    pub(crate) unfinished: bool,
}

/// What a room starts from.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// All keys.
    pub(crate) index: Index,
    /// All the rest; its list of keys is empty.
    pub(crate) snapshot: Snapshot,
    /// How far it had been shown when a catching up was broken off.
    pub(crate) frontier: Option<Key>,
    /// What was found to be wrong, and was set right.
    pub(crate) mended: Option<Mended>,
}

/// A message that is shown as a line, as people are shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredMessage {
    /// Its place in the transcript.
    pub(crate) key: Key,
    /// Who wrote it.
    pub(crate) author: AuthorId,
    /// How many the author wrote before.
    pub(crate) seq: u64,
    /// Text, action or reply.
    pub(crate) kind: u32,
    /// When it came here, in milliseconds since 1970.
    pub(crate) arrived_ms: u64,
    /// Newer ones had been shown when it came.
    pub(crate) late: bool,
    /// What it says, if it can be read.
    pub(crate) body: Vec<u8>,
}

/// Some messages of a room that are shown as lines, at most so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    Newest(usize),
    /// The newest before that place.
    Before(Key, usize),
    /// The oldest behind that place.
    After(Key, usize),
}

/// A handle on the open store. The threads end when [`Store::close`] is called or the last handle is dropped.
#[derive(Clone)]
pub(crate) struct Store(Arc<Inner>);

struct Inner {
    writer: mpsc::Sender<writer::Task>,
    /// None in memory, where the data is where the one connection is.
    readers: Option<mpsc::Sender<reader::Task>>,
    places: Arc<Semaphore>,
    loading: tokio::sync::Mutex<()>,
    search: search::Search,
    disk: Arc<disk::Disk>,
    doubts: doubts::Doubts,
    /// Which rooms have been looked through, or judged, since the store was opened. Whoever looks through one holds it.
    looked_through: tokio::sync::Mutex<BTreeSet<RoomNo>>,
    /// The writer's, then the others'.
    threads: tokio::sync::Mutex<Vec<JoinHandle<()>>>,
    /// Whether nobody was given yet what was found of the history.
    untold: AtomicBool,
    path: Option<PathBuf>,
}

impl Store {
    /// Opens the history, or creates it. `None`: in memory, until the store is closed. Blocks.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, StoreError> {
        Self::open_at(path, search::Pace::default()).map_err(|error| error.at(path))
    }

    fn open_at(path: Option<&Path>, pace: search::Pace) -> Result<Self, StoreError> {
        let failed = |error| StoreError::io(path.unwrap_or(Path::new("-")), &error);
        let mut threads = Vec::new();

        let conn = schema::open_writer(path)?;
        let reading = path.map(|path| [(); READERS].map(|()| schema::open_reader(path)));
        let (writer, queue) = mpsc::channel(QUEUE);
        let doubts = doubts::Doubts::default();
        let (search, search_thread) = start_search(path, &writer, pace, doubts.clone())?;
        let disk = Arc::new(disk::Disk::new(None));
        let work = writer::Writer::new(conn, path, disk.clone(), search.clone());
        threads.push(thread::Builder::new().name("store-writer".into()).spawn(|| work.run(queue)).map_err(failed)?);

        let mut readers = None;
        if let Some(conns) = reading {
            let (sender, queue) = mpsc::channel(QUEUE);
            let queue = Arc::new(Mutex::new(queue));
            for conn in conns {
                let (conn, queue) = (conn?, Arc::clone(&queue));
                let builder = thread::Builder::new().name("store-reader".into());
                threads.push(builder.spawn(move || reader::run(&conn, &queue)).map_err(failed)?);
            }
            readers = Some(sender);
        }
        match search_thread {
            Ok(thread) => threads.push(thread),
            Err(error) => tracing::error!(%error, "the search index cannot be kept"),
        }
        Ok(Self(Arc::new(Inner {
            writer,
            readers,
            places: Arc::new(Semaphore::new(QUEUE_KIB)),
            loading: tokio::sync::Mutex::new(()),
            search,
            disk,
            doubts,
            looked_through: tokio::sync::Mutex::default(),
            threads: threads.into(),
            untold: AtomicBool::new(true),
            path: path.map(Path::to_owned),
        })))
    }

    /// Somebody was given what was found of the history when it was opened, so no later start tells it. Waits for nothing.
    pub(crate) fn told(&self) {
        let Some(path) = self.0.path.clone() else { return };
        if self.0.untold.swap(false, Ordering::Relaxed) {
            let forget = Box::new(move |_: &Connection| salvage::told(&path));
            // If the writer has too much to do, it is forgotten when it is next given to somebody, or told once more.
            let forgotten = self.0.writer.try_send(writer::Task::Run(forget));
            self.0.untold.store(forgotten.is_err(), Ordering::Relaxed);
        }
    }

    /// The room's number; the room is entered if it is new.
    pub(crate) async fn room(&self, name: &RoomName) -> Result<RoomNo, StoreError> {
        let name = name.clone();
        self.on_writer(move |conn| query::room(conn, &name)).await
    }

    /// Waits until every commit submitted before is done, and whoever waits for one has been told.
    pub(crate) async fn settle(&self) -> Result<(), StoreError> {
        self.on_writer(|_| Ok(())).await
    }

    /// The same, and if a commit of the room has failed, it can commit again: it builds on what is there.
    pub(crate) async fn reload(&self, room: RoomNo) -> Result<(), StoreError> {
        let (sender, done) = oneshot::channel();
        self.0.writer.send(writer::Task::Reload(room, sender)).await.map_err(|_| Closed)?;
        Ok(done.await.map_err(|_| Closed)?)
    }

    /// All that the room starts from. What was submitted and is not done may or may not be in it.
    pub(crate) async fn load(&self, room: RoomNo, own: AuthorId) -> Result<Loaded, StoreError> {
        // One at a time: a long history takes a while, in which the other reader is there for everybody else.
        let _loading = self.0.loading.lock().await;
        let mut loaded = if self.0.doubts.has(room) { None } else { self.try_load(room, own).await? };
        if loaded.as_ref().is_some_and(|loaded| query::misses_own(&loaded.snapshot, own)) {
            self.on_writer(move |conn| query::mark_own(conn, room, own)).await?;
            // If some are still missed, they are gone.
            loaded = self.try_load(room, own).await?.filter(|loaded| !query::misses_own(&loaded.snapshot, own));
        }
        if let Some(loaded) = loaded {
            return Ok(loaded);
        }
        let judged = self.on_reader(move |conn| mend::judge(conn, room, own)).await?;
        let mended = self.on_writer(move |conn| mend::rewrite(conn, room, own, &judged)).await?;
        // Not before: if the disk fails meanwhile, it has yet to be judged. Whatever was noticed meanwhile was, too.
        self.0.doubts.settle(room);
        let loaded = self.try_load(room, own).await?;
        let mut loaded = loaded.ok_or_else(|| StoreError::damaged("what was just written is not there"))?;
        loaded.mended = (mended != Mended::default()).then_some(mended);
        Ok(loaded)
    }

    /// `None` if the room is to be judged anew.
    async fn try_load(&self, room: RoomNo, own: AuthorId) -> Result<Option<Loaded>, StoreError> {
        self.on_reader(move |conn| query::load(conn, room, own).or_else(|error| Ok(error.if_row()?.flatten()))).await
    }

    /// Looks the room through, and waits until something in it is found not to be what it was; says what is to be done.
    pub(crate) async fn doubted(&self, room: RoomNo, own: AuthorId) -> StoreError {
        let scrub = async {
            if let Err(error) = self.scrub(room, own).await {
                return error;
            }
            std::future::pending().await
        };
        tokio::select! {
            error = scrub => error,
            () = self.0.doubts.wait_for(room) => StoreError::row("a message is not what it was, and the room is judged anew"),
        }
    }

    /// Looks through all of the room's messages, at a pace that nobody notices.
    async fn scrub(&self, room: RoomNo, own: AuthorId) -> Result<(), StoreError> {
        if self.0.path.is_none() {
            return Ok(());
        }
        let (mut from, mut told) = (Key::MIN, false);
        loop {
            match self.scrub_from(&mut from, room, own).await {
                // That it cannot be read now does not say what it is, and keeps nobody from the rest of the room.
                Err(error) if error.is_of_disk() => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(room = room.0, %error, "a part of the history cannot be read: it is tried again");
                    }
                    tokio::time::sleep(scrub::UNREADABLE).await;
                }
                done => return done,
            }
        }
    }

    /// The same from a key on, which is moved as far as it comes.
    async fn scrub_from(&self, from: &mut Key, room: RoomNo, own: AuthorId) -> Result<(), StoreError> {
        let mut looked_through = self.0.looked_through.lock().await;
        while !looked_through.contains(&room) {
            let begun = Instant::now();
            let at = *from;
            let step = self.on_reader(move |conn| scrub::step(conn, room, own, at));
            let step =
                step.await.or_else(|error| Ok::<_, StoreError>(error.if_row()?.unwrap_or(scrub::Step::Wrong(None))))?;
            match step {
                scrub::Step::To(next) => *from = next,
                scrub::Step::End => _ = looked_through.insert(room),
                scrub::Step::Wrong(key) => {
                    // The whole room is judged then, so once is enough.
                    looked_through.insert(room);
                    self.0.doubts.raise(room, key.as_ref());
                }
            }
            tokio::time::sleep(begun.elapsed() * scrub::REST).await;
        }
        Ok(())
    }

    fn doubts(&self) -> doubts::Doubts {
        self.0.doubts.clone()
    }

    /// Messages of the room that nobody is to be shown, for they crash the program.
    pub(crate) async fn withheld(&self, room: RoomNo) -> Result<BTreeSet<Key>, StoreError> {
        self.on_reader(move |conn| query::withheld(conn, room)).await
    }

    /// From now on nobody is to be shown that message.
    pub(crate) async fn withhold(&self, room: RoomNo, key: Key) -> Result<(), StoreError> {
        self.on_writer(move |conn| query::withhold(conn, room, key)).await
    }

    /// How many bytes of messages the room holds.
    pub(crate) async fn size(&self, room: RoomNo) -> Result<u64, StoreError> {
        let counted = match self.on_reader(move |conn| size::of(conn, room)).await? {
            size::Size::Known(bytes) => return Ok(bytes),
            size::Size::Counted(counted) => counted,
        };
        // If that cannot be written now, it is counted again the next time.
        match self.on_writer(move |conn| size::keep(conn, room)).await {
            Err(error) if !error.is_of_disk() => Err(error),
            _ => Ok(counted.into_iter().map(|(_, bytes)| bytes).sum()),
        }
    }

    /// Whether loading the room takes so long that people would notice.
    pub(crate) async fn is_long(&self, room: RoomNo) -> Result<bool, StoreError> {
        self.on_reader(move |conn| keys::are_at_least(conn, room, LONG)).await
    }

    /// Why the disk takes no writes, whenever that changes.
    pub(crate) fn disk(&self) -> watch::Receiver<Option<StoreError>> {
        self.0.disk.subscribe()
    }

    /// Tries whether the disk takes writes, and if so, says so.
    pub(crate) async fn try_disk(&self) -> Result<(), StoreError> {
        let (disk, path) = (self.0.disk.clone(), self.0.path.clone());
        self.on_writer(move |conn| {
            disk::try_writing(conn, path.as_deref())?;
            disk.send_replace(None);
            Ok(())
        })
        .await
    }

    /// Queues a commit, and waits for a place if the queue is full. If the future is dropped, or the store is closed,
    /// the job is dropped with its `done`; once it is queued, it is done whatever happens.
    pub(crate) async fn submit(&self, job: CommitJob) -> Result<(), Closed> {
        let weight = weight(&job.commit);
        let places = u32::try_from(weight.div_ceil(1024).clamp(1, QUEUE_KIB)).unwrap_or(1);
        let place = Arc::clone(&self.0.places).acquire_many_owned(places).await.map_err(|_| Closed)?;
        let queued = writer::Queued { job, weight, _place: place };
        self.0.writer.send(writer::Task::Commit(queued)).await.map_err(|_| Closed)
    }

    /// The bytes of those of these messages that are held, newest first, until they would be more than `max_bytes`; at
    /// least one if any is held. The keys must descend.
    pub(crate) async fn read(
        &self,
        room: RoomNo,
        keys: Vec<Key>,
        max_bytes: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        let doubts = self.doubts();
        self.on_reader(move |conn| query::read(conn, room, &keys, max_bytes, &doubts)).await
    }

    /// Some of the messages that are shown as lines, in the transcript's order.
    pub(crate) async fn lines(&self, room: RoomNo, lines: Lines) -> Result<Vec<StoredMessage>, StoreError> {
        let doubts = self.doubts();
        self.on_reader(move |conn| query::lines(conn, room, lines, &doubts)).await
    }

    /// What is thought of these messages, as of that time.
    pub(crate) async fn reactions(
        &self,
        room: RoomNo,
        to: Vec<Key>,
        horizon: Timestamp,
    ) -> Result<Vec<Reaction>, StoreError> {
        let doubts = self.doubts();
        self.on_reader(move |conn| query::reactions(conn, room, &to, horizon, &doubts)).await
    }

    /// What the room is about, as of that time.
    pub(crate) async fn topic(&self, room: RoomNo, horizon: Timestamp) -> Result<Option<RoomTopic>, StoreError> {
        let doubts = self.doubts();
        self.on_reader(move |conn| query::topic(conn, room, horizon, &doubts)).await
    }

    /// All messages in which somebody gave a name (author, key, body), by author, then in the transcript's order.
    pub(crate) async fn nicks(&self, room: RoomNo) -> Result<Vec<(AuthorId, Key, Vec<u8>)>, StoreError> {
        let doubts = self.doubts();
        self.on_reader(move |conn| query::nicks(conn, room, &doubts)).await
    }

    /// The newest lines with these words, over all rooms, the newest first.
    pub(crate) async fn find(&self, question: Question, limit: usize) -> Result<Found, SearchError> {
        let found = self.0.search.find(question, limit).await;
        if self.0.writer.is_closed() { Err(SearchError::Closed) } else { found }
    }

    /// For each key whether its message is held, in a state that outlasts a power cut.
    #[cfg(test)]
    pub(crate) async fn holds(&self, room: RoomNo, keys: Vec<Key>) -> Result<Vec<bool>, StoreError> {
        self.on_reader(move |conn| query::holds(conn, room, &keys)).await
    }

    /// Opens a store whose index is only worked on when it is asked to be.
    #[cfg(test)]
    pub(crate) fn open_waiting(path: Option<&Path>) -> Self {
        Self::open_at(path, search::Pace::when_asked()).unwrap()
    }

    /// The thread that keeps the index.
    #[cfg(test)]
    fn indexer(&self) -> &search::Search {
        &self.0.search
    }

    /// Runs a script behind everything that is queued: what happens to disks, told to the database.
    #[cfg(test)]
    pub(crate) async fn sql(&self, script: &'static str) {
        self.on_writer(move |conn| Ok(conn.execute_batch(script)?)).await.unwrap();
    }

    /// Keeps rooms from being loaded.
    #[cfg(test)]
    pub(crate) async fn hold_loading(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.loading.lock().await
    }

    /// How much is queued for the writer.
    #[cfg(test)]
    pub(crate) fn queued(&self) -> usize {
        self.0.writer.max_capacity() - self.0.writer.capacity()
    }

    /// Makes the writer stand still until the other end of the channel lets go, once it is through with what is queued.
    #[cfg(test)]
    pub(crate) async fn hold(&self, until: std::sync::mpsc::Receiver<()>) {
        let (entered, waiting) = oneshot::channel();
        let store = self.clone();
        tokio::spawn(async move {
            let hold = move |_: &Connection| {
                entered.send(()).unwrap();
                let _ = until.recv();
                Ok(())
            };
            store.on_writer_once(hold).await
        });
        waiting.await.unwrap();
    }

    /// Ends the store: everything queued is committed and in the one file, and the threads are gone. Whatever comes
    /// later gets [`Closed`]. A second call waits for the first.
    pub(crate) async fn close(&self) {
        let mut threads = self.0.threads.lock().await;
        // The writer is the last one out and tidies up. A queue that takes nothing any more is ending already.
        let writing = 1.min(threads.len());
        let others = threads.split_off(writing);
        if let Some(readers) = &self.0.readers {
            // Here and below: a thread that has ended needs not be told to.
            let _ = readers.send(reader::Task::Close).await;
        }
        self.0.search.close().await;
        join(others).await;
        let _ = self.0.writer.send(writer::Task::Close).await;
        join(std::mem::take(&mut *threads)).await;
    }

    async fn on_writer<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.on_writer_once(move |conn| guard::again(conn, work)).await
    }

    /// The same of what cannot be tried again.
    async fn on_writer_once<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answer) = self.job(work);
        self.0.writer.send(writer::Task::Run(job)).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)?
    }

    async fn on_reader<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Some(readers) = &self.0.readers else {
            return self.on_writer(work).await;
        };
        let (job, answer) = self.job(move |conn| guard::again(conn, work));
        readers.send(reader::Task::Run(job)).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)?
    }

    fn job<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> (Job, oneshot::Receiver<Result<T, StoreError>>) {
        let (sender, answer) = oneshot::channel();
        let path = self.0.path.clone();
        let job = Box::new(move |conn: &Connection| {
            if !sender.is_closed() {
                let result = guard::guarded(conn, work).map_err(|error| error.at(path.as_deref()));
                if let (Err(error), Some(path)) = (&result, &path) {
                    salvage::note(path, error);
                }
                // If nobody waits any more, nobody needs to know.
                let _ = sender.send(result);
            }
        });
        (job, answer)
    }
}

/// Starts what keeps the index of the words, beside the history.
fn start_search(
    path: Option<&Path>,
    writer: &mpsc::Sender<writer::Task>,
    pace: search::Pace,
    doubts: doubts::Doubts,
) -> Result<(search::Search, io::Result<JoinHandle<()>>), StoreError> {
    let source = match path {
        Some(path) => {
            let conn = schema::open_reader(path)?;
            // It reads everything once and little twice.
            conn.pragma_update(None, "cache_size", -1024)?;
            search::Source::Own(conn)
        }
        None => search::Source::Writer(writer.downgrade()),
    };
    let history = search::History { source, doubts };
    Ok(search::Search::start(path.map(|path| path.with_file_name("search.sqlite3")), history, pace))
}

async fn join(threads: Vec<JoinHandle<()>>) {
    let ended = tokio::task::spawn_blocking(|| threads.into_iter().filter_map(|thread| thread.join().err()).count());
    if !ended.await.is_ok_and(|panicked| panicked == 0) {
        tracing::error!("a thread of the store has panicked");
    }
}

/// About how many bytes a commit takes in memory.
fn weight(commit: &Commit) -> usize {
    let messages: usize = commit.messages.iter().map(|message| message.bytes().len()).sum();
    let ranges: usize = commit.authors.iter().map(|(_, log)| log.range_count().min(authors::FEW)).sum();
    let keys = commit.heads_added.len() + commit.heads_removed.len() + commit.holes_filled.len();
    messages + 16 * ranges + 40 * keys + 88 * commit.claims_added.len()
}

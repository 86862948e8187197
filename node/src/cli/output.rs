//! Text on its way out of the program, by threads that do nothing but write.
//!
//! Whoever reads may be slow, and a disk, too. What is on the way is bounded, and the session takes in nothing new while it
//! is full.

use std::io::{ErrorKind, Write};

use tokio::sync::{mpsc, oneshot};

/// How many pieces of text wait for the thread that writes to stdout.
const QUEUE: usize = 16;

/// Why there is no more output.
#[derive(Debug)]
pub(crate) enum Closed {
    /// The reader has gone, as `head` does. Nothing is wrong with that.
    ByReader,
    /// Writing failed: the disk is full, say.
    Failed(std::io::Error),
}

impl From<std::io::Error> for Closed {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe { Self::ByReader } else { Self::Failed(error) }
    }
}

enum Item {
    Text(String),
    /// Answered once everything before it has been written.
    Flush(oneshot::Sender<()>),
}

/// A stream with a thread that writes to it.
pub(crate) struct Pipe {
    items: mpsc::Sender<Item>,
    failure: Option<oneshot::Receiver<std::io::Error>>,
}

impl Pipe {
    /// Starts the thread.
    pub(crate) fn start(name: &str, size: usize, stream: impl Write + Send + 'static) -> std::io::Result<Self> {
        let (items, queue) = mpsc::channel(size);
        let (report, failure) = oneshot::channel();
        let work = move || {
            if let Err(error) = write_all(stream, queue) {
                // If nobody asks any more, nobody needs to know.
                let _ = report.send(error);
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { items, failure: Some(failure) })
    }

    /// Sends a text if there is room for it at once; says whether there was.
    pub(crate) fn try_send(&self, text: String) -> bool {
        self.items.try_send(Item::Text(text)).is_ok()
    }

    async fn why(&mut self) -> Closed {
        match self.failure.take() {
            Some(failure) => failure.await.map_or(Closed::ByReader, Closed::from),
            None => Closed::ByReader,
        }
    }

    /// Sends what is pending once there is room; safe to cancel.
    async fn send(&mut self, pending: &mut String) -> Result<(), Closed> {
        if let Ok(room) = self.items.reserve().await {
            room.send(Item::Text(std::mem::take(pending)));
            return Ok(());
        }
        Err(self.why().await)
    }

    /// Waits until all that was sent has been written; says whether it has.
    pub(crate) async fn drained(&self) -> bool {
        let (sender, done) = oneshot::channel();
        self.items.send(Item::Flush(sender)).await.is_ok() && done.await.is_ok()
    }
}

/// The thread's work: one system call for all that has gathered.
fn write_all(mut stream: impl Write, mut queue: mpsc::Receiver<Item>) -> std::io::Result<()> {
    let mut waiting = Vec::new();
    while let Some(first) = queue.blocking_recv() {
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Item::Text(text) => stream.write_all(text.as_bytes())?,
                Item::Flush(done) => waiting.push(done),
            }
            next = queue.try_recv().ok();
        }
        stream.flush()?;
        for done in waiting.drain(..) {
            // If nobody waits any more, nobody needs to know.
            let _ = done.send(());
        }
    }
    Ok(())
}

/// Stdout, where the session writes.
pub(crate) struct Output {
    pending: String,
    pipe: Pipe,
}

impl Output {
    /// Starts its thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        // Rust's own stdout would flush at every line.
        let stream = std::io::BufWriter::with_capacity(64 * 1024, std::io::stdout());
        Ok(Self { pending: String::new(), pipe: Pipe::start("stdout", QUEUE, stream)? })
    }

    /// Writes to something else.
    #[cfg(test)]
    pub(crate) fn to(stream: impl Write + Send + 'static) -> Self {
        Self { pending: String::new(), pipe: Pipe::start("test", QUEUE, stream).unwrap() }
    }

    /// Adds a line to what will be written.
    pub(crate) fn push(&mut self, line: &str) {
        self.pending.push_str(line);
        self.pending.push('\n');
    }

    /// Whether something waits to be sent on its way.
    pub(crate) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Throws away what waits to be sent, for nobody reads it.
    pub(crate) fn forget(&mut self) {
        self.pending.clear();
    }

    /// Sends what is pending on its way. Safe to cancel: nothing is lost or sent twice.
    pub(crate) async fn send(&mut self) -> Result<(), Closed> {
        if self.is_pending() { self.pipe.send(&mut self.pending).await } else { Ok(()) }
    }

    /// Writes everything to its end.
    pub(crate) async fn finish(&mut self) -> Result<(), Closed> {
        self.send().await?;
        if self.pipe.drained().await { Ok(()) } else { Err(self.pipe.why().await) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps what is written, or fails.
    #[derive(Clone, Default)]
    struct Store(Arc<Mutex<Vec<u8>>>, Option<ErrorKind>);

    impl Write for Store {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            match self.1 {
                Some(kind) => Err(kind.into()),
                None => self.0.lock().unwrap().write(bytes),
            }
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn everything_is_written_in_order() {
        let store = Store::default();
        let mut output = Output::to(store.clone());
        let mut expect = String::new();
        for i in 0..1000 {
            output.push(&i.to_string());
            expect += &format!("{i}\n");
            if i % 3 == 0 {
                output.send().await.unwrap();
            }
        }
        output.finish().await.unwrap();
        assert!(!output.is_pending());
        assert_eq!(String::from_utf8(store.0.lock().unwrap().clone()).unwrap(), expect);
    }

    #[tokio::test]
    async fn a_reader_who_left_is_told_from_a_failure() {
        let mut left = Output::to(Store(Arc::default(), Some(ErrorKind::BrokenPipe)));
        left.push("x");
        assert!(matches!(left.finish().await, Err(Closed::ByReader)));
        assert!(matches!(left.finish().await, Err(Closed::ByReader)));
        let mut full = Output::to(Store(Arc::default(), Some(ErrorKind::StorageFull)));
        full.push("x");
        assert!(matches!(full.finish().await, Err(Closed::Failed(_))));
    }
}

//! Notices, logs and panics: what goes to stderr, or to the chat, where writing there would tear up its screen.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::escape;
use super::output::Pipe;

/// How many lines may wait to be written. More are dropped and counted: a stuck stderr must not stop the chat.
const QUEUE: usize = 1024;
/// The longest line of a log.
const LONGEST: usize = 16 * 1024;
/// How long the end of the program waits for stderr.
const PATIENCE: Duration = Duration::from_secs(1);

/// A way to say something beside the data. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Diagnostics(Arc<Inner>);

struct Inner {
    way: Way,
    dropped: AtomicU64,
}

enum Way {
    /// To stderr, by a thread of its own.
    Stderr(Pipe),
    /// To the chat, which has the terminal.
    Chat(mpsc::Sender<String>),
}

impl Diagnostics {
    /// Starts the log and catches panics. `terminal` is whether the chat will own the terminal; if stderr is one too,
    /// the lines come out of the receiver instead of being written.
    pub(crate) fn start(filter: &str, terminal: bool) -> std::io::Result<(Self, Option<mpsc::Receiver<String>>)> {
        let (way, lines) = if terminal && std::io::stderr().is_terminal() {
            let (sender, lines) = mpsc::channel(QUEUE);
            (Way::Chat(sender), Some(lines))
        } else {
            (Way::Stderr(Pipe::start("stderr", QUEUE, std::io::stderr())?), None)
        };
        let diagnostics = Self(Arc::new(Inner { way, dropped: AtomicU64::new(0) }));
        let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_ansi(false);
        // Fails only if there is a log already.
        let _ = log.with_writer(diagnostics.clone()).try_init();
        std::panic::set_hook(Box::new(panicked));
        Ok((diagnostics, lines))
    }

    /// Without a log; the lines come out of the receiver.
    #[cfg(test)]
    pub(crate) fn kept(size: usize) -> (Self, mpsc::Receiver<String>) {
        let (sender, lines) = mpsc::channel(size);
        (Self(Arc::new(Inner { way: Way::Chat(sender), dropped: AtomicU64::new(0) })), lines)
    }

    /// Says a line, which has been through the gate.
    pub(crate) fn say(&self, line: &str) {
        let dropped = self.0.dropped.swap(0, Ordering::Relaxed);
        let mut text = String::with_capacity(line.len() + 1);
        if dropped > 0 {
            text = format!("* {dropped} lines were dropped here, as nobody read them\n");
        }
        text.push_str(line);
        text.push('\n');
        let sent = match &self.0.way {
            Way::Stderr(pipe) => pipe.try_send(text),
            Way::Chat(sender) => sender.try_send(text).is_ok(),
        };
        if !sent {
            self.0.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }

    /// Waits a moment for what was said to be written.
    pub(crate) async fn finish(&self) {
        if let Way::Stderr(pipe) = &self.0.way {
            // Whoever does not read in time has missed it.
            let _ = tokio::time::timeout(PATIENCE, pipe.drained()).await;
        }
    }
}

/// A crash of a task is an event that people are told of in one line; the usual dump would tear up the screen.
fn panicked(info: &std::panic::PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("of unknown kind");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    if thread.name() == Some("main") {
        // The program ends here, and with it whoever would have written the log.
        crate::chat::screen::restore();
        let line = format!("distchat: panic: {} ({place}); this is a fault of ours\n", escape::visible(text));
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    } else {
        tracing::error!(target: "distchat", "panic: {text} ({place})");
    }
}

impl<'a> MakeWriter<'a> for Diagnostics {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        LogLine { diagnostics: self.clone(), bytes: Vec::new() }
    }
}

/// A line of the log, which may quote the network and so goes through the gate.
pub(crate) struct LogLine {
    diagnostics: Diagnostics,
    bytes: Vec<u8>,
}

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = LONGEST.saturating_sub(self.bytes.len());
        self.bytes.extend(bytes.iter().take(room));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.bytes);
        for line in text.lines() {
            self.diagnostics.say(&escape::visible(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_goes_through_the_gate() {
        let (diagnostics, mut lines) = Diagnostics::kept(8);
        diagnostics.make_writer().write_all(b"a \x1b[31m peer\r said\nand more\n").unwrap();
        assert_eq!(lines.try_recv().unwrap(), "a ␛[31m peer␍ said\n");
        assert_eq!(lines.try_recv().unwrap(), "and more\n");
        diagnostics.make_writer().write_all(&vec![b'x'; 2 * LONGEST]).unwrap();
        assert_eq!(lines.try_recv().unwrap().len(), LONGEST + 1);
    }

    #[test]
    fn what_nobody_reads_is_dropped_and_counted() {
        let (diagnostics, mut lines) = Diagnostics::kept(1);
        for text in ["one", "two", "three"] {
            diagnostics.say(text);
        }
        assert_eq!(lines.try_recv().unwrap(), "one\n");
        diagnostics.say("four");
        assert_eq!(lines.try_recv().unwrap(), "* 2 lines were dropped here, as nobody read them\nfour\n");
        diagnostics.say("five");
        assert_eq!(lines.try_recv().unwrap(), "five\n");
    }
}

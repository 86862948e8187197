//! Everything a program has said, kept for those who wait for it and for the one who reads why a test failed.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead, BufReader, Read},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;

/// More than any test makes a program say; a program that says more is broken.
const MOST_EVENTS: usize = 2_000_000;
const MOST_LINES: usize = 100_000;
/// How much of the log a failure shows.
const SHOWN_EVENTS: usize = 40;
const SHOWN_LINES: usize = 60;
const SHOWN_WIDTH: usize = 400;

/// A place in the log: what is said from here on.
#[derive(Clone, Copy, Debug)]
pub struct Mark(usize);

impl Mark {
    /// The beginning of the first run.
    pub const START: Self = Self(0);
}

#[derive(Default)]
struct Said {
    events: Vec<Arc<Value>>,
    stderr: Vec<String>,
    /// Something on standard output that is not an event, though `--json` was asked for.
    broken: Option<String>,
    /// Readers that have not come to the end of their stream.
    reading: usize,
}

/// The log of one chat, over all its runs.
pub(crate) struct Log {
    name: String,
    said: Mutex<Said>,
    changed: Condvar,
}

/// Why a wait ended without what it waited for.
pub(crate) enum Unmet {
    TooLate,
    Ended,
    Broken(String),
}

impl Log {
    pub(crate) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), said: Mutex::default(), changed: Condvar::new() })
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        // A test that panicked with the log in its hands does not make the log wrong.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a stream to its end: with `json` events, else plain lines, which become events that are strings.
    pub(crate) fn read_stdout(self: &Arc<Self>, stream: impl Read + Send + 'static, json: bool) -> JoinHandle<()> {
        self.read(stream, move |said, line| {
            let event = if json {
                serde_json::from_str(&line).ok().filter(Value::is_object)
            } else {
                Some(line.clone().into())
            };
            match event {
                Some(event) if said.events.len() < MOST_EVENTS => said.events.push(Arc::new(event)),
                Some(_) => said.broken = Some("far too many events".to_owned()),
                None => said.broken = Some(format!("standard output has a line that is not an event: {line:?}")),
            }
        })
    }

    pub(crate) fn read_stderr(self: &Arc<Self>, stream: impl Read + Send + 'static) -> JoinHandle<()> {
        self.read(stream, |said, line| {
            if said.stderr.len() < MOST_LINES {
                said.stderr.push(line);
            }
        })
    }

    fn read(
        self: &Arc<Self>,
        stream: impl Read + Send + 'static,
        keep: impl Fn(&mut Said, String) + Send + 'static,
    ) -> JoinHandle<()> {
        self.said().reading += 1;
        let log = Arc::clone(self);
        thread::spawn(move || {
            let mut stream = BufReader::with_capacity(1 << 16, stream);
            let mut line = Vec::new();
            // What a killed program leaves of its last line is not a line, and proves nothing.
            while matches!(stream.read_until(b'\n', &mut line), Ok(1..)) && line.pop() == Some(b'\n') {
                keep(&mut log.said(), String::from_utf8_lossy(&line).into_owned());
                log.changed.notify_all();
                line.clear();
            }
            log.said().reading -= 1;
            log.changed.notify_all();
        })
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.said().events.len())
    }

    pub(crate) fn mark_stderr(&self) -> Mark {
        Mark(self.said().stderr.len())
    }

    /// The first event from the mark on that `wanted` accepts.
    pub(crate) fn wait(
        &self,
        from: Mark,
        within: Duration,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Result<Arc<Value>, Unmet> {
        let mut next = from.0;
        self.wait_until(within, |said| {
            let found = said.events[next..].iter().find(|event| wanted(event)).cloned();
            next = said.events.len();
            found
        })
    }

    /// Waits until standard error holds a line, from the mark on, that `wanted` accepts, or an event says it.
    pub(crate) fn wait_said(
        &self,
        from: (Mark, Mark),
        within: Duration,
        mut wanted: impl FnMut(&str) -> bool,
    ) -> Result<String, Unmet> {
        self.wait_until(within, |said| {
            let errors =
                said.events[from.0.0..].iter().filter(|event| event["event"] == "error").map(|event| event.to_string());
            said.stderr[from.1.0..].iter().cloned().chain(errors).find(|line| wanted(line))
        })
    }

    /// Waits until the program has closed its output, as it does when it ends.
    pub(crate) fn wait_end(&self, within: Duration) -> bool {
        matches!(self.wait_until::<()>(within, |_| None), Err(Unmet::Ended))
    }

    /// Waits for any event from the mark on, or until the time is up: for those who ask again and again.
    pub(crate) fn pause(&self, from: Mark, within: Duration) {
        let _ = self.wait_until(within, |said| (said.events.len() > from.0).then_some(()));
    }

    fn wait_until<T>(&self, within: Duration, mut found: impl FnMut(&Said) -> Option<T>) -> Result<T, Unmet> {
        let deadline = Instant::now() + within;
        let mut said = self.said();
        loop {
            if let Some(found) = found(&said) {
                return Ok(found);
            }
            if let Some(broken) = &said.broken {
                return Err(Unmet::Broken(broken.clone()));
            }
            if said.reading == 0 {
                return Err(Unmet::Ended);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Unmet::TooLate);
            }
            said = self.changed.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(crate) fn events(&self, from: Mark) -> Vec<Arc<Value>> {
        self.said().events[from.0..].to_vec()
    }

    pub(crate) fn stderr(&self, from: Mark) -> Vec<String> {
        self.said().stderr[from.0..].to_vec()
    }

    /// The log as a failure shows it: how much of what, and the end of it.
    pub(crate) fn report(&self) -> String {
        let said = self.said();
        let mut kinds = BTreeMap::<&str, usize>::new();
        for event in &said.events {
            *kinds.entry(event["event"].as_str().unwrap_or("(a line)")).or_default() += 1;
        }
        let mut report = format!("\n--- {}: {} events {kinds:?}, the last:\n", self.name, said.events.len());
        for event in &said.events[said.events.len().saturating_sub(SHOWN_EVENTS)..] {
            let event = event.to_string();
            let shown: String = event.chars().take(SHOWN_WIDTH).collect();
            let _ = writeln!(report, "{shown}{}", if shown.len() < event.len() { " [...]" } else { "" });
        }
        let _ = writeln!(report, "--- {}: {} lines on standard error, the last:", self.name, said.stderr.len());
        for line in &said.stderr[said.stderr.len().saturating_sub(SHOWN_LINES)..] {
            let _ = writeln!(report, "{line}");
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::PATIENCE;

    fn log_of(output: impl Into<Vec<u8>>, json: bool) -> Arc<Log> {
        let log = Log::new("a program");
        log.read_stdout(Cursor::new(output.into()), json).join().unwrap();
        log
    }

    #[test]
    fn it_keeps_up_with_a_hundred_thousand_events() {
        let text = "x".repeat(200);
        let output: String = (0..100_000).fold(String::new(), |mut output, number| {
            let _ = writeln!(output, r#"{{"event":"message","seq":{number},"text":"{text}"}}"#);
            output
        });
        let log = log_of(output, true);
        assert_eq!(log.mark().0, 100_000);
        assert!(log.wait(Mark::START, PATIENCE, |event| event["seq"] == 99_999).is_ok());
    }

    #[test]
    fn the_last_line_of_a_program_that_was_killed_is_no_event() {
        let log = log_of("{\"event\":\"one\"}\n{\"event\":\"tw", true);
        assert_eq!(log.events(Mark::START).len(), 1);
        assert!(matches!(log.wait(Mark::START, PATIENCE, |event| event["event"] == "two"), Err(Unmet::Ended)));
    }

    #[test]
    fn what_is_no_event_is_noticed_by_who_waits() {
        let log = log_of("{\"event\":\"one\"}\nthread panicked\n", true);
        assert!(log.wait(Mark::START, PATIENCE, |event| event["event"] == "one").is_ok());
        assert!(matches!(log.wait(Mark::START, PATIENCE, |_| false), Err(Unmet::Broken(_))));
        assert_eq!(log_of("thread panicked\n", false).events(Mark::START).len(), 1);
    }
}

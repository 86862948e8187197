//! Lines from stdin, of any bytes and any length.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};

use distchat_node::MAX_BODY;
use tokio::sync::mpsc;

/// The longest line worth holding: a message, the slash that protects one at its start, and a carriage return.
const LONGEST: usize = MAX_BODY + 2;
/// How much is read at once.
const CHUNK: usize = 16 * 1024;
/// How many chunks' lines wait for the session before the reading does.
const QUEUE: usize = 2;

/// Something from stdin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A line, without its end.
    Line(String),
    /// A line too long to be a message; none of it was kept.
    TooLong(usize),
    /// From here on, bytes that are not UTF-8 have been replaced. Said once.
    Replaced,
    /// Stdin cannot be read any further.
    Broken(String),
}

/// Cuts a stream of bytes into lines, holding no more of a line than is of use.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    line: Vec<u8>,
    /// Length of the line so far, of which `line` holds all or, if it is too long, nothing.
    length: usize,
    /// Whether the bytes that were not UTF-8 have been mentioned.
    replaced: bool,
}

impl Splitter {
    /// Takes more bytes and gives what they complete.
    pub(crate) fn feed(&mut self, bytes: &[u8], found: &mut Vec<Input>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(last) => {
                    self.extend(last);
                    self.finish(found);
                }
                None => self.extend(piece),
            }
        }
    }

    fn extend(&mut self, piece: &[u8]) {
        self.length = self.length.saturating_add(piece.len());
        if self.length <= LONGEST {
            self.line.extend_from_slice(piece);
        } else {
            self.line.clear();
        }
    }

    /// The line ends here.
    fn finish(&mut self, found: &mut Vec<Input>) {
        let length = std::mem::take(&mut self.length);
        let mut line = std::mem::take(&mut self.line);
        if length > LONGEST {
            found.push(Input::TooLong(length));
            return;
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let line = String::from_utf8(line).unwrap_or_else(|error| {
            if !std::mem::replace(&mut self.replaced, true) {
                found.push(Input::Replaced);
            }
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        });
        found.push(Input::Line(line));
    }

    /// The input ends here, perhaps within a line.
    pub(crate) fn end(&mut self, found: &mut Vec<Input>) {
        if self.length > 0 {
            self.finish(found);
        }
    }
}

/// Reads all of the stream, until it ends or nobody wants more.
fn pump(mut stream: impl Read, lines: &mpsc::Sender<Vec<Input>>) {
    let mut splitter = Splitter::default();
    let mut found = Vec::new();
    let mut bytes = vec![0; CHUNK];
    loop {
        let end = match stream.read(&mut bytes) {
            Ok(0) => {
                splitter.end(&mut found);
                true
            }
            Ok(read) => {
                splitter.feed(bytes.get(..read).unwrap_or_default(), &mut found);
                false
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                found.push(Input::Broken(format!("stdin cannot be read: {error}")));
                true
            }
        };
        // All at once, as every hand-over wakes the other side.
        let gone = !found.is_empty() && lines.blocking_send(std::mem::take(&mut found)).is_err();
        if end || gone {
            return;
        }
    }
}

/// Stdin, read by a thread of its own rather than one of the runtime's: a read that never returns must not keep the
/// program from ending.
pub(crate) struct Stdin {
    batches: mpsc::Receiver<Vec<Input>>,
    batch: VecDeque<Input>,
    ended: bool,
}

impl Stdin {
    /// Starts reading.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (sender, batches) = mpsc::channel(QUEUE);
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || pump(std::io::stdin().lock(), &sender))?;
        Ok(Self { batches, batch: VecDeque::new(), ended: false })
    }

    /// Waits for a line; `None` once, at the end, and never anything after that. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<Input> {
        if self.ended {
            return std::future::pending().await;
        }
        if self.batch.is_empty() {
            match self.batches.recv().await {
                Some(batch) => self.batch = batch.into(),
                None => self.ended = true,
            }
        }
        self.batch.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Input {
        Input::Line(text.to_owned())
    }

    /// What the bytes give, whatever the pieces they come in.
    #[track_caller]
    fn check(bytes: &[u8], expect: &[Input]) {
        for size in [1, 2, 3, 7, 4096, usize::MAX] {
            let mut splitter = Splitter::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(size) {
                splitter.feed(piece, &mut found);
                assert!(splitter.line.len() <= LONGEST);
            }
            splitter.end(&mut found);
            assert_eq!(found, expect, "in pieces of {size}");
        }
    }

    #[test]
    fn lines_are_cut() {
        check(b"", &[]);
        check(b"one\ntwo\n", &[line("one"), line("two")]);
        check(b"one\r\ntwo\r\r\n\nno end", &[line("one"), line("two\r"), line(""), line("no end")]);
        check("zwölf\nБ\n".as_bytes(), &[line("zwölf"), line("Б")]);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_that_is_said_once() {
        check(b"a\xffb\n\xc3\nok\n", &[Input::Replaced, line("a\u{fffd}b"), line("\u{fffd}"), line("ok")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_counted_and_not_kept() {
        let long = vec![b'x'; 5 * LONGEST];
        let most = vec![b'y'; LONGEST];
        let all = [&long[..], b"\n", &most, b"\nshort\n", &long].concat();
        let most = line(std::str::from_utf8(&most).unwrap());
        check(&all, &[Input::TooLong(long.len()), most, line("short"), Input::TooLong(long.len())]);
    }

    #[test]
    fn reading_stops_when_nobody_listens() {
        let (sender, lines) = mpsc::channel(1);
        drop(lines);
        pump(std::io::repeat(b'\n'), &sender);
    }
}

//! Somebody who types at a terminal, and measures how soon it is seen.

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use distchat_tests::{Key, Terminal};
use rand::RngExt;

/// How many characters are typed before the line is cleared: it is not to become two.
const LINE: usize = 80;
/// Between two keys, in milliseconds: so that they do not keep step with the frames. Twice of that is still faster than
/// people type.
const PAUSES: std::ops::Range<u64> = 3..20;

/// What was measured.
#[derive(Clone, Default)]
pub(crate) struct Typed {
    /// From the key to the last byte of the frame that shows it: see [`Terminal::echo_time`].
    pub(crate) keys: Vec<Duration>,
    /// From a byte to the one that `cat` gives back: what two processes that have nothing to do cost on this machine while
    /// it is that busy.
    pub(crate) cat: Vec<Duration>,
}

impl Typed {
    /// Adds what was measured another time.
    pub(crate) fn extend(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.cat.extend(other.cat);
    }
}

/// Somebody who types at a terminal.
pub(crate) struct Typist {
    ann: Terminal,
    cat: Cat,
    /// How much is in the line.
    column: usize,
    /// How much was typed: no two neighbours are the same.
    typed: usize,
}

impl Typist {
    /// At a program that shows what is typed. The line must be empty when the typing begins.
    pub(crate) fn new(ann: Terminal) -> Result<Self> {
        Ok(Self { ann, cat: Cat::start()?, column: 0, typed: 0 })
    }

    pub(crate) fn ann(&self) -> &Terminal {
        &self.ann
    }

    /// Empties the line.
    pub(crate) fn clear(&mut self) {
        self.ann.key(Key::Ctrl('u'));
        self.ann.wait("an empty line", |screen| screen.before_cursor() == " ");
        self.column = 0;
    }

    /// Presses one key after another, as long as it is wanted to; that is asked of the terminal and the number of keys.
    pub(crate) fn type_while(&mut self, mut wanted: impl FnMut(&Terminal, usize) -> bool) -> Result<Typed> {
        let (mut typed, mut random) = (Typed::default(), rand::rng());
        let mut pause = move || thread::sleep(Duration::from_millis(random.random_range(PAUSES)));
        while wanted(&self.ann, typed.keys.len()) {
            if self.column == LINE {
                self.clear();
            }
            pause();
            typed.keys.push(self.ann.echo_time(char::from(b'a' + (self.typed % 26) as u8)));
            self.typed += 1;
            self.column += 1;
            pause();
            typed.cat.push(self.cat.round_trip()?);
        }
        Ok(typed)
    }
}

/// A program that gives back what it gets.
struct Cat {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
}

impl Cat {
    fn start() -> Result<Self> {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (to, from) = (child.stdin.take().context("a pipe")?, child.stdout.take().context("a pipe")?);
        Ok(Self { child, to, from })
    }

    fn round_trip(&mut self) -> Result<Duration> {
        let start = Instant::now();
        self.to.write_all(b"x")?;
        self.from.read_exact(&mut [0])?;
        Ok(start.elapsed())
    }
}

impl Drop for Cat {
    fn drop(&mut self) {
        // It has ended already only if somebody else has seen to that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

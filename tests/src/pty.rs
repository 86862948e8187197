//! The line between a program and its terminal: a pseudo-terminal, and what has come through it.

use std::{
    io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write},
    process::{Child, Command},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use pty_process::{
    Size,
    blocking::{Pty, open},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    termios::{LocalModes, tcgetattr},
};

use crate::{emulator::Emulator, log::Unmet};

/// More than any test makes a program draw; a program that draws more is broken.
const MOST_BYTES: usize = 256 << 20;
/// How much of what it wrote last a failure shows.
const SHOWN_BYTES: usize = 1_500;

/// The terminal's end of the line, with the thread that reads it.
pub(crate) struct Line {
    pty: Arc<Pty>,
    output: Arc<Output>,
    reader: JoinHandle<()>,
    /// Closing it ends the reader.
    stop: PipeWriter,
}

impl Line {
    /// Runs the program at the other end, as the leader of a session whose terminal this is.
    pub(crate) fn spawn(command: Command, size: (u16, u16)) -> io::Result<(Child, Self)> {
        let (pty, program_end) = open().map_err(io::Error::other)?;
        resize(&pty, size)?;
        // A program that does not read must not block the test.
        fcntl_setfl(&pty, fcntl_getfl(&pty)? | OFlags::NONBLOCK)?;
        // The program's end is closed here once the program has it: so the output ends when the program does.
        let child = pty_process::blocking::Command::from(command).spawn(program_end).map_err(io::Error::other)?;
        let (stopped, stop) = io::pipe()?;
        let (pty, output) = (Arc::new(pty), Arc::new(Output::new(size)));
        let reader = {
            let (pty, output) = (Arc::clone(&pty), Arc::clone(&output));
            thread::spawn(move || read(&pty, &stopped, &output))
        };
        Ok((child, Self { pty, output, reader, stop }))
    }

    pub(crate) fn output(&self) -> &Arc<Output> {
        &self.output
    }

    /// Writes as a keyboard does; says why if the program does not read.
    pub(crate) fn write(&self, bytes: &[u8], within: Duration) -> Result<(), String> {
        write(&self.pty, bytes, within)
    }

    /// Makes the window larger or smaller. The terminal does so first, and tells the program then.
    pub(crate) fn resize(&self, size: (u16, u16)) -> io::Result<()> {
        self.output.state().emulator.resize(size);
        resize(&self.pty, size)
    }

    /// Whether the kernel echoes and edits what is typed, as it does for programs that do not do so themselves.
    pub(crate) fn cooked(&self) -> io::Result<bool> {
        Ok(tcgetattr(&self.pty)?.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG))
    }

    /// Closes this end, as a window is closed.
    pub(crate) fn close(self) {
        drop(self.stop);
        // It has panicked only if the parser has, which it has told already.
        let _ = self.reader.join();
    }
}

fn resize(pty: &Pty, (columns, rows): (u16, u16)) -> io::Result<()> {
    pty.resize(Size::new(rows, columns)).map_err(io::Error::other)
}

fn write(pty: &Pty, mut bytes: &[u8], within: Duration) -> Result<(), String> {
    let deadline = Instant::now() + within;
    let mut line = pty;
    while !bytes.is_empty() {
        match line.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err("it does not read its input".to_owned());
                }
                wait_for(&mut [PollFd::new(&pty, PollFlags::OUT)], Some(left));
            }
            // It has ended, and what follows from that is for the test to find.
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Waits until one of these is ready, for no longer than that.
pub(crate) fn wait_for(ends: &mut [PollFd<'_>], within: Option<Duration>) {
    let within = within.and_then(|within| Timespec::try_from(within).ok());
    match poll(ends, within.as_ref()) {
        // Those who wait look for themselves, and wait again.
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => panic!("a pseudo-terminal cannot be waited for: {error}"),
    }
}

fn read(pty: &Pty, stopped: &PipeReader, output: &Output) {
    let _end = End(output);
    let mut buffer = vec![0; 1 << 16];
    let mut line = pty;
    loop {
        let mut ends = [PollFd::new(pty, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        wait_for(&mut ends, None);
        if !ends[1].revents().is_empty() {
            return;
        }
        match line.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                let answers = output.feed(&buffer[..count], Instant::now());
                if let Err(why) = write(pty, &answers, crate::PATIENCE) {
                    output.state().broken = Some(why);
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // Nobody has the other end any more, and all that was written there has been read.
            Err(_) => return,
        }
    }
}

/// All that has come from the program.
pub(crate) struct Output {
    state: Mutex<State>,
    changed: Condvar,
}

pub(crate) struct State {
    pub(crate) emulator: Emulator,
    pub(crate) raw: Vec<u8>,
    /// When the last of it came: to parse it takes time, too, which is not the program's.
    pub(crate) came: Instant,
    ended: bool,
    broken: Option<String>,
}

impl Output {
    fn new(size: (u16, u16)) -> Self {
        let (emulator, came) = (Emulator::new(size), Instant::now());
        let state = State { emulator, raw: Vec::new(), came, ended: false, broken: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked with the terminal in its hands does not make the terminal wrong.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn feed(&self, bytes: &[u8], came: Instant) -> Vec<u8> {
        let mut state = self.state();
        state.came = came;
        if state.raw.len() + bytes.len() <= MOST_BYTES {
            state.raw.extend(bytes);
        } else {
            state.broken = Some("far too much output".to_owned());
        }
        let answers = state.emulator.feed(bytes);
        self.changed.notify_all();
        answers
    }

    /// Waits until `found` finds something, looking again whenever the program has written something. What is half
    /// of a frame, by the program's own word, is not looked at.
    pub(crate) fn wait<T>(&self, within: Duration, mut found: impl FnMut(&State) -> Option<T>) -> Result<T, Unmet> {
        let deadline = Instant::now() + within;
        let mut state = self.state();
        loop {
            if let Some(broken) = &state.broken {
                return Err(Unmet::Broken(broken.clone()));
            }
            if (state.ended || !state.emulator.held())
                && let Some(found) = found(&state)
            {
                return Ok(found);
            }
            if state.ended {
                return Err(Unmet::Ended);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Unmet::TooLate);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The screen and the last bytes, as a failure shows them.
    pub(crate) fn report(&self) -> String {
        let state = self.state();
        let last = &state.raw[state.raw.len().saturating_sub(SHOWN_BYTES)..];
        let last = String::from_utf8_lossy(last).escape_debug().to_string();
        format!("\n{}\n--- the last of {} bytes:\n{last}\n", state.emulator.screen(), state.raw.len())
    }
}

/// Says that there is nothing more to come, also if the reader panics.
struct End<'a>(&'a Output);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if thread::panicking() {
            state.broken = Some("the parser of the terminal panicked, see above".to_owned());
        }
        state.ended = true;
        self.0.changed.notify_all();
    }
}

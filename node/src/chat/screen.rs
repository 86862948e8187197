//! The terminal while the chat has it.
//!
//! A terminal may take long to show a frame, or for ever: somebody pressed Ctrl-S, a connection hangs. Frames are therefore
//! written by a thread of their own, and a new one is only made when the last has been written. Whatever ends the program,
//! the terminal is left as it was.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossterm::cursor::Show;
use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
    EnableMouseCapture,
};
use crossterm::style::ResetColor;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{QueueableCommand, queue};
use ratatui::{Frame, Terminal};
use tokio::sync::mpsc;

use super::{backend, gate};

/// How long a terminal that does not take what is written is waited for in the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the terminal has to be given back.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether a frame is being written. Whoever writes to the terminal then may wait for ever.
static WRITING: AtomicBool = AtomicBool::new(false);

/// Where a frame is put together.
#[derive(Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Bytes {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The terminal while the chat has it.
pub(super) struct Screen {
    terminal: Terminal<backend::Placing<Bytes>>,
    bytes: Bytes,
    /// Whether the terminal may not show the last frame any more.
    stale: bool,
    /// See [`backend::write_doubtful_rows`].
    doubtful: BTreeSet<usize>,
    frames: mpsc::Sender<Vec<u8>>,
    writer: Option<std::thread::JoinHandle<()>>,
    mouse: bool,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn open(mouse: bool) -> std::io::Result<Self> {
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        let opened = Self::set_up(mouse);
        if opened.is_err() {
            restore();
        }
        opened
    }

    fn set_up(mouse: bool) -> std::io::Result<Self> {
        let mut bytes = Bytes::default();
        queue!(bytes, EnterAlternateScreen, EnableBracketedPaste, EnableFocusChange)?;
        if mouse {
            bytes.queue(EnableMouseCapture)?;
        }
        let terminal = Terminal::new(backend::Placing::new(bytes.clone()))?;
        let (frames, queue) = mpsc::channel(1);
        let writer = std::thread::Builder::new().name("screen".to_owned()).spawn(move || write(queue))?;
        let (stale, doubtful) = (false, BTreeSet::new());
        Ok(Self { terminal, bytes, stale, doubtful, frames, writer: Some(writer), mouse })
    }

    /// Waits until the last frame has been written. Safe to cancel; never done if the terminal is gone.
    pub(super) async fn ready(frames: &mpsc::Sender<Vec<u8>>) {
        match frames.reserve().await {
            Ok(_) => {}
            Err(_) => std::future::pending().await,
        }
    }

    /// To wait with until the last frame has been written.
    pub(super) fn frames(&self) -> mpsc::Sender<Vec<u8>> {
        self.frames.clone()
    }

    /// Draws a frame. If the last one has not been written yet, nothing is drawn: whoever wants it to be seen draws again.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> std::io::Result<()> {
        let Ok(place) = self.frames.try_reserve() else { return Ok(()) };
        self.bytes.clone().queue(BeginSynchronizedUpdate)?;
        if std::mem::take(&mut self.stale) {
            self.terminal.clear()?;
        }
        let doubtful = &mut self.doubtful;
        self.terminal.draw(|frame| {
            draw(frame);
            gate::tame(frame.buffer_mut());
            backend::write_doubtful_rows(frame.buffer_mut(), doubtful);
        })?;
        self.bytes.clone().queue(EndSynchronizedUpdate)?;
        place.send(self.bytes.take());
        Ok(())
    }

    /// Has the next frame draw everything, whatever the terminal shows now.
    pub(super) fn redraw(&mut self) {
        self.stale = true;
    }

    /// Rings the bell with the next frame.
    pub(super) fn ring(&mut self) -> std::io::Result<()> {
        self.bytes.write_all(b"\x07")
    }

    /// Shows lines as they are, so that the terminal wraps them and they can be copied, until the next frame.
    pub(super) fn show_bare(&mut self, lines: &[String]) -> std::io::Result<()> {
        let mut bytes = self.bytes.clone();
        queue!(bytes, ResetColor, Clear(ClearType::All), crossterm::cursor::MoveTo(0, 0), DisableMouseCapture)?;
        for line in lines {
            write!(bytes, "{line}\r\n")?;
        }
        if let Ok(place) = self.frames.try_reserve() {
            place.send(self.bytes.take());
        }
        Ok(())
    }

    /// Goes on after [`Screen::show_bare`].
    pub(super) fn resume(&mut self) -> std::io::Result<()> {
        if self.mouse {
            self.bytes.clone().queue(EnableMouseCapture)?;
        }
        self.redraw();
        Ok(())
    }

    /// Gives the terminal back, once it shows the last frame.
    pub(super) async fn close(mut self) {
        let (frames, _) = mpsc::channel(1);
        // The writer ends when it has written what it was given.
        self.frames = frames;
        if let Some(writer) = self.writer.take() {
            let ended = tokio::task::spawn_blocking(move || writer.join().is_ok());
            // A terminal that takes nothing is not waited for.
            let _ = tokio::time::timeout(PATIENCE, ended).await;
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// The thread's work.
fn write(mut frames: mpsc::Receiver<Vec<u8>>) {
    while let Some(frame) = frames.blocking_recv() {
        WRITING.store(true, Ordering::SeqCst);
        let written = put(&frame);
        WRITING.store(false, Ordering::SeqCst);
        if written.is_err() {
            // Without a terminal there is nobody to tell; the loss of it comes as a signal, too.
            return;
        }
    }
}

fn put(bytes: &[u8]) -> std::io::Result<()> {
    let mut screen = std::io::stdout().lock();
    screen.write_all(bytes)?;
    screen.flush()
}

/// Leaves the terminal as it was, if the chat has it. Called again it does nothing. Blocks for a moment if a frame is on its
/// way; a terminal that does not take it is left as it is, but for its mode.
pub(crate) fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let until = Instant::now() + PATIENCE;
    while WRITING.load(Ordering::SeqCst) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut bytes = Vec::new();
    // Writing to memory cannot fail, and for the rest there is no other way left.
    let _ = queue!(
        bytes,
        EndSynchronizedUpdate,
        ResetColor,
        DisableMouseCapture,
        DisableFocusChange,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        Show
    );
    if !WRITING.load(Ordering::SeqCst) {
        let _ = put(&bytes);
    }
    let _ = disable_raw_mode();
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read;
    use std::process::Command;

    use super::*;
    use rustix::termios::{LocalModes, tcgetattr};

    #[test]
    #[ignore = "run by the test below, on a terminal of its own"]
    fn panics() {
        let _screen = Screen::open(true).unwrap();
        panic!("as the test wants");
    }

    #[test]
    fn a_panic_gives_the_terminal_back() {
        let (mut pty, program_end) = pty_process::blocking::open().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "chat::screen::tests::panics"]).env("RUST_BACKTRACE", "0");
        let mut child = pty_process::blocking::Command::from(command).spawn(program_end).unwrap();
        let mut written = Vec::new();
        let mut buffer = [0; 4096];
        // The kernel tells by an error that the other end is closed.
        while let Ok(count @ 1..) = pty.read(&mut buffer) {
            written.extend_from_slice(&buffer[..count]);
        }
        assert!(!child.wait().unwrap().success());
        let written = String::from_utf8_lossy(&written);
        let restored = written.find("\u{1b}[?1049l").unwrap_or_else(|| panic!("nothing is given back: {written:?}"));
        for mode in ["1049", "2004", "1004", "1000", "1002", "1003", "1006"] {
            let (on, off) = (format!("\u{1b}[?{mode}h"), format!("\u{1b}[?{mode}l"));
            assert!(written.rfind(&on).is_none_or(|at| at < restored), "{mode}: {written:?}");
            assert!(written.contains(&off), "{mode}: {written:?}");
        }
        let modes = tcgetattr(&pty).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG));
    }
}

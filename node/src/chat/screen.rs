//! The terminal while the chat has it.
//!
//! A terminal may take long to show a frame, or for ever: somebody pressed Ctrl-S, a connection hangs. Frames are therefore
//! written by a thread of their own, and a new one is only made when the last has been written. Whatever ends the program,
//! the terminal is left as it was.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};
use tokio::sync::mpsc;

use super::gate;

/// How long a terminal that does not take what is written is waited for in the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the terminal has to be given back.
static TAKEN: AtomicBool = AtomicBool::new(false);

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
    terminal: Terminal<CrosstermBackend<Bytes>>,
    bytes: Bytes,
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
        let terminal = Terminal::new(CrosstermBackend::new(bytes.clone()))?;
        let (frames, queue) = mpsc::channel(1);
        let writer = std::thread::Builder::new().name("screen".to_owned()).spawn(move || write(queue))?;
        Ok(Self { terminal, bytes, frames, writer: Some(writer), mouse })
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
        self.terminal.draw(|frame| {
            draw(frame);
            gate::tame(frame.buffer_mut());
        })?;
        self.bytes.clone().queue(EndSynchronizedUpdate)?;
        place.send(self.bytes.take());
        Ok(())
    }

    /// Has the next frame draw everything, whatever the terminal shows now.
    pub(super) fn redraw(&mut self) -> std::io::Result<()> {
        // Not `Terminal::clear`: that asks where the cursor is, and waits for an answer that the keyboard's thread gets.
        self.bytes.clone().queue(Clear(ClearType::All))?;
        // What was drawn last is forgotten.
        self.terminal.swap_buffers();
        Ok(())
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
        self.redraw()
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
        let mut screen = std::io::stdout().lock();
        if screen.write_all(&frame).and_then(|()| screen.flush()).is_err() {
            // Without a terminal there is nobody to tell; the loss of it comes as a signal, too.
            return;
        }
    }
}

/// Leaves the terminal as it was, if the chat has it. Called again it does nothing.
pub(crate) fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
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
    let mut screen = std::io::stdout().lock();
    let _ = screen.write_all(&bytes).and_then(|()| screen.flush());
    let _ = disable_raw_mode();
}

//! What comes from the terminal: keys, the mouse, pastes, the focus, another size.
//!
//! A thread of its own waits for it, and nobody else asks the terminal. crossterm's `EventStream` has such a thread as well,
//! but each time it is polled it also tries to take the lock that this thread holds, for which it yields the processor up
//! to seven times. The chat polls for keys whenever anything happens: while a long history came in on a busy machine, that
//! gave its time away by tens of milliseconds.

use std::io;

use crossterm::event::Event;
use tokio::sync::mpsc;

/// How much may come before it is seen to: more waits in the terminal.
const QUEUE: usize = 64;

/// What comes from the terminal.
pub(super) struct Keyboard(mpsc::Receiver<io::Result<Event>>);

impl Keyboard {
    /// Begins to listen. The thread ends with the terminal, and with the first event that nobody wants any more; where there
    /// is none it does not keep the program from ending.
    pub(super) fn open() -> io::Result<Self> {
        let (events, queue) = mpsc::channel(QUEUE);
        std::thread::Builder::new().name("keyboard".to_owned()).spawn(move || {
            loop {
                let event = crossterm::event::read();
                let last = event.is_err();
                if events.blocking_send(event).is_err() || last {
                    return;
                }
            }
        })?;
        Ok(Self(queue))
    }

    /// The next of it; none when the terminal is gone. Safe to cancel.
    pub(super) async fn next(&mut self) -> Option<io::Result<Event>> {
        self.0.recv().await
    }
}

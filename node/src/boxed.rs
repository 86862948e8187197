//! Bounded channels that cost little while they are empty: tokio's keep space for 32 values from the start, so these hold
//! pointers.

use tokio::sync::mpsc::{self, error::TryRecvError};

/// The receiving end.
#[derive(Debug)]
pub(crate) struct Receiver<T>(mpsc::Receiver<Box<T>>);

/// A channel with so many places.
pub(crate) fn channel<T>(places: usize) -> (mpsc::Sender<Box<T>>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(places);
    (sender, Receiver(receiver))
}

impl<T> Receiver<T> {
    /// The next value; `None` if there will be none.
    pub(crate) async fn recv(&mut self) -> Option<T> {
        self.0.recv().await.map(|value| *value)
    }

    /// The next value, if it is there.
    pub(crate) fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.0.try_recv().map(|value| *value)
    }

    /// Whether nothing that was sent waits here.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

//! What is said here, on its way to gossip: it goes out as fast as others would take it, and waits here until then.

use std::sync::Arc;

use distchat_crdt::Topic;
use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    mpsc::{self, error::TryRecvError},
};

/// How many bytes of frames may wait. What is said later than others would hear it by anti-entropy need not be said.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// How many frames may wait.
const MOST_FRAMES: usize = 1024;

/// A sealed frame that is to be published.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) topic: Topic,
    pub(super) sealed: Vec<u8>,
    /// Given back once it is.
    _place: OwnedSemaphorePermit,
}

/// Where frames are put in.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    queue: mpsc::Sender<Publication>,
    places: Arc<Semaphore>,
}

/// Where they are taken out.
#[derive(Debug)]
pub(super) struct Publications(mpsc::Receiver<Publication>);

pub(super) fn queue() -> (Publisher, Publications) {
    let (queue, publications) = mpsc::channel(MOST_FRAMES);
    (Publisher { queue, places: Arc::new(Semaphore::new(MOST_BYTES)) }, Publications(publications))
}

impl Publisher {
    /// Puts a frame in. False if too many wait.
    pub(super) fn publish(&self, topic: Topic, sealed: Vec<u8>) -> bool {
        let bytes = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
        let place = Arc::clone(&self.places).try_acquire_many_owned(bytes);
        place.is_ok_and(|place| self.queue.try_send(Publication { topic, sealed, _place: place }).is_ok())
    }
}

impl Publications {
    /// The next one. `None` if there will be none.
    pub(super) async fn recv(&mut self) -> Option<Publication> {
        self.0.recv().await
    }

    /// The next one, if it is there.
    pub(super) fn try_recv(&mut self) -> Result<Publication, TryRecvError> {
        self.0.try_recv()
    }

    /// From here on nothing is put in.
    pub(super) fn close(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_bytes_wait_and_no_more() {
        const LONG: usize = 64 * 1024;
        let (publisher, mut publications) = queue();
        let frame = || vec![0; LONG];
        let taken = (0..1000).take_while(|_| publisher.publish(Topic([1; 32]), frame())).count();
        assert_eq!(taken, MOST_BYTES / LONG);
        drop(publications.try_recv());
        assert!(publisher.publish(Topic([1; 32]), frame()), "there is a place again");
        assert!(!publisher.publish(Topic([1; 32]), frame()));
        publications.close();
        while publications.try_recv().is_ok() {}
        assert!(!publisher.publish(Topic([1; 32]), frame()), "nobody takes it out any more");
    }
}

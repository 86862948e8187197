//! What happens on the node, whichever process it is in, and when it changes over.

use distchat_node::Event;
use tokio::sync::{broadcast, watch};

use super::client::Behind;
use super::remote::Happened;

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// On the node.
    Event(Event),
    /// The node of another process has ended.
    Gone,
    /// There is a node again. What happened meanwhile can be read from the rooms.
    Back,
}

/// The events of a node from the moment on at which this was made.
#[derive(Debug)]
pub(crate) struct Events {
    behind: watch::Receiver<Behind>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Here(distchat_node::Events),
    There(broadcast::Receiver<Happened>),
    /// It has ended: the next one comes when the node changes over.
    Ended,
    /// There is none and will be none.
    Nowhere,
}

impl Events {
    pub(super) fn of(mut behind: watch::Receiver<Behind>) -> Self {
        let source = Source::of(&mut behind);
        Self { behind, source }
    }

    /// The next event; `None` once there is no node any more. Can be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        loop {
            match &mut self.source {
                Source::Here(events) => return events.next().await.map(Told::Event),
                Source::There(happens) => match happens.recv().await {
                    Ok(Happened::Event(event)) => return Some(Told::Event(*event)),
                    Ok(Happened::Gone) => return Some(Told::Gone),
                    Ok(Happened::Back) => return Some(Told::Back),
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        return Some(Told::Event(Event::Lagged { missed }));
                    }
                    Err(broadcast::error::RecvError::Closed) => self.source = Source::Ended,
                },
                Source::Ended => {
                    if self.behind.changed().await.is_err() {
                        self.source = Source::Nowhere;
                        continue;
                    }
                    self.source = Source::of(&mut self.behind);
                    if !matches!(self.source, Source::Nowhere) {
                        return Some(Told::Back);
                    }
                }
                Source::Nowhere => return None,
            }
        }
    }
}

impl Source {
    fn of(behind: &mut watch::Receiver<Behind>) -> Self {
        match &*behind.borrow_and_update() {
            Behind::Here(seat) | Behind::Coming(seat, _) => Self::Here(seat.node.events()),
            Behind::There(remote) => Self::There(remote.happens.subscribe()),
            Behind::Nowhere(_) => Self::Nowhere,
        }
    }
}

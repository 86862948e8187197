//! Streams on a TCP connection, by yamux.
//!
//! libp2p's own muxer over yamux (libp2p-yamux 0.48) leaves it to yamux how much may come on a stream and not be read: the
//! more, the longer a round trip takes, up to almost 1 GiB. How long that is the other side decides, for it is measured by its
//! answer to a ping. So this one sets that limit, and is the same otherwise.

use std::{
    collections::VecDeque,
    future::{Ready, ready},
    io, iter,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::{
    UpgradeInfo,
    muxing::{StreamMuxer, StreamMuxerEvent},
    upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade},
};
use yamux::{Connection, ConnectionError, DEFAULT_CREDIT, Mode};

use super::{counters::Counting, frames::Frames, transport::MAX_STREAMS};

/// How many bytes may have come on a stream and not been read, at the beginning and ever after.
pub(super) const WINDOW: u32 = DEFAULT_CREDIT;

/// Makes streams of a connection.
#[derive(Clone)]
pub(super) struct Muxing {
    counting: Arc<Counting>,
}

impl Muxing {
    pub(super) fn new(counting: Arc<Counting>) -> Self {
        Self { counting }
    }

    fn mux<S: AsyncRead + AsyncWrite + Unpin>(self, io: S, mode: Mode) -> Ready<io::Result<Muxer<S>>> {
        let connection = Connection::new(Frames::new(io, self.counting), settings(), mode);
        ready(Ok(Muxer { connection, arrived: VecDeque::new(), waiting: None }))
    }
}

/// yamux (0.14, `connection/stream/flow_control.rs`) lets windows grow out of what the limit for all of a connection is more
/// than a window for each of the streams that there may be. Here that is nothing.
fn settings() -> yamux::Config {
    let mut settings = yamux::Config::default();
    settings.set_max_num_streams(MAX_STREAMS);
    settings.set_max_connection_receive_window(Some(MAX_STREAMS * WINDOW as usize));
    settings
}

impl UpgradeInfo for Muxing {
    type Info = &'static str;
    type InfoIter = iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/yamux/1.0.0")
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> InboundConnectionUpgrade<S> for Muxing {
    type Output = Muxer<S>;
    type Error = io::Error;
    type Future = Ready<io::Result<Muxer<S>>>;

    fn upgrade_inbound(self, io: S, _: Self::Info) -> Self::Future {
        self.mux(io, Mode::Server)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> OutboundConnectionUpgrade<S> for Muxing {
    type Output = Muxer<S>;
    type Error = io::Error;
    type Future = Ready<io::Result<Muxer<S>>>;

    fn upgrade_outbound(self, io: S, _: Self::Info) -> Self::Future {
        self.mux(io, Mode::Client)
    }
}

/// A connection with streams on it.
pub(super) struct Muxer<S> {
    connection: Connection<Frames<S>>,
    /// Streams of the other side's that nobody has taken yet. yamux counts them among those that there may be.
    arrived: VecDeque<yamux::Stream>,
    /// Who waits for one of them.
    waiting: Option<Waker>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Muxer<S> {
    /// Does what is to be done on all streams, until another one has come.
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<yamux::Stream, ConnectionError>> {
        self.connection.poll_next_inbound(cx).map(|stream| stream.unwrap_or(Err(ConnectionError::Closed)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<S> {
    type Substream = yamux::Stream;
    type Error = ConnectionError;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<yamux::Stream, ConnectionError>> {
        if let Some(stream) = self.arrived.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let stream = self.advance(cx);
        if stream.is_pending() {
            self.waiting = Some(cx.waker().clone());
        }
        stream
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<yamux::Stream, ConnectionError>> {
        self.connection.poll_new_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        self.connection.poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, ConnectionError>> {
        let stream = ready!(self.advance(cx))?;
        self.arrived.push_back(stream);
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
        // There may be more, when others have had their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
#[path = "muxer_tests.rs"]
mod tests;

//! TCP (noise, yamux) and QUIC.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite, future::Either};
use libp2p::{
    PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, OrTransport},
        upgrade,
    },
    identity::Keypair,
    noise, quic, tcp,
};
#[cfg(target_os = "linux")]
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use super::{
    counters::Counting,
    ends::{Ends, Lifeline},
    muxer::Muxing,
};

/// How long setting up a connection may take.
const SETUP: Duration = Duration::from_secs(5);
/// How long a connection may go without a sign of life from the other host, or take nothing of what is written to it.
const PATIENCE: Duration = Duration::from_secs(9);
/// Where the system watches over TCP connections, it probes one that has been silent for so long, so often, at this
/// interval: together no more than [`PATIENCE`]. A probe and its answer are 132 bytes, a ping and all that goes with it is
/// 350, and in a quiet room with 25 hosts there is hardly anything else.
#[cfg(target_os = "linux")]
const PROBES: (Duration, u32, Duration) = (Duration::from_secs(6), 3, Duration::from_secs(1));
/// How often a connection is asked for a sign of life. Where the system watches, this only finds programs that hang on a
/// host that lives.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(if cfg!(target_os = "linux") { 60 } else { 3 });
/// How long nothing may be read from a connection: three pings, for both sides send them.
const SILENCE: Duration = Duration::from_secs(3 * PING_INTERVAL.as_secs());
/// How many bytes of a stream and of a connection may have come over QUIC and not been read. Over TCP it is 256 KiB of each
/// stream, see [`super::muxer`].
const UNREAD: (u32, u32) = (512 * 1024, 2 * 1024 * 1024);
/// How many streams a connection has at most: twice as many as requests may be open, for gossip and all else need few, and
/// requests beyond are dropped without ending the connection. Each stream may bring a window of bytes that nobody has read.
pub(super) const MAX_STREAMS: usize = 128;

pub(super) fn build(
    keypair: &Keypair,
    ends: Ends,
    counting: Arc<Counting>,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, String> {
    let noise = noise::Config::new(keypair).map_err(|e| e.to_string())?;
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .map(move |stream, _| {
            watch_over(&stream.0);
            let lifeline = lifeline(&ends, &stream.0);
            Impatient::new(stream, SILENCE, PATIENCE, lifeline)
        })
        .upgrade(upgrade::Version::V1Lazy)
        .authenticate(noise)
        .multiplex(Muxing::new(counting))
        .timeout(SETUP);
    let mut config = quic::Config::new(keypair);
    config.handshake_timeout = SETUP;
    config.max_idle_timeout = u32::try_from(PATIENCE.as_millis()).map_err(|e| e.to_string())?;
    config.keep_alive_interval = Duration::from_secs(3);
    (config.max_stream_data, config.max_connection_data) = UNREAD;
    config.max_concurrent_stream_limit = u32::try_from(MAX_STREAMS).map_err(|e| e.to_string())?;
    let quic = quic::tokio::Transport::new(config);
    let either = OrTransport::new(quic, tcp).map(|output, _| match output {
        Either::Left((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
        Either::Right((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
    });
    Ok(either.boxed())
}

/// A stream that has no addresses any more is about to fail anyway.
fn lifeline(ends: &Ends, stream: &TcpStream) -> Option<Lifeline> {
    Some(ends.note(stream.local_addr().ok()?.ip(), stream.peer_addr().ok()?))
}

/// Has the system notice when the other host is gone, whether or not there is something to send.
#[cfg(target_os = "linux")]
fn watch_over(stream: &TcpStream) {
    let (idle, retries, interval) = PROBES;
    let keepalive = TcpKeepalive::new().with_time(idle).with_retries(retries).with_interval(interval);
    let socket = SockRef::from(stream);
    let watched = socket.set_tcp_keepalive(&keepalive).and_then(|()| socket.set_tcp_user_timeout(Some(PATIENCE)));
    if let Err(error) = watched {
        tracing::warn!(%error, "the system does not watch over a connection: that its other end is gone is noticed late");
    }
}

/// Elsewhere pings do it.
#[cfg(not(target_os = "linux"))]
fn watch_over(_: &TcpStream) {}

/// A stream that fails if nothing comes from it for so long, or if it takes nothing for so long, or if its lifeline is cut.
///
/// A TCP connection to a host that has gone is kept by the system for a quarter of an hour. Closing it in good order does
/// not help: as long as there is something left to send that waits as well, and until then the peer counts as connected.
/// A failure ends it at once.
struct Impatient<S> {
    stream: S,
    silence_limit: Duration,
    stall_limit: Duration,
    /// When something was last read.
    heard: Instant,
    silence: Pin<Box<Sleep>>,
    /// Runs while it takes nothing.
    stall: Option<Pin<Box<Sleep>>>,
    lifeline: Option<Lifeline>,
}

impl<S> Impatient<S> {
    fn new(stream: S, silence_limit: Duration, stall_limit: Duration, lifeline: Option<Lifeline>) -> Self {
        let silence = Box::pin(sleep(silence_limit));
        Self { stream, silence_limit, stall_limit, heard: Instant::now(), silence, stall: None, lifeline }
    }

    fn is_cut(&mut self, cx: &mut Context<'_>) -> bool {
        self.lifeline.as_mut().is_some_and(|lifeline| lifeline.poll_cut(cx).is_ready())
    }

    fn after_read<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.heard = Instant::now();
            return result;
        }
        if self.is_cut(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        // The clock is not wound up at every read, only looked at when it has run down.
        loop {
            ready!(self.silence.as_mut().poll(cx));
            let due = self.heard + self.silence_limit;
            if due <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.silence.as_mut().reset(due);
        }
    }

    fn after_write<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stall = None;
            return result;
        }
        let limit = self.stall_limit;
        ready!(self.stall.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.after_read(cx, result)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [io::IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_read_vectored(cx, bufs);
        self.after_read(cx, result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.after_write(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.after_write(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing to flush is no sign that what was written is taken.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_close(cx);
        self.after_write(cx, result)
    }
}

#[cfg(test)]
mod tests {
    use futures::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Takes so many bytes, and gives so many, one at a time, and no more.
    struct Narrow(usize, usize);

    impl AsyncRead for Narrow {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
            if self.1 == 0 || buf.is_empty() {
                return Poll::Pending;
            }
            self.1 -= 1;
            Poll::Ready(Ok(1))
        }
    }

    impl AsyncWrite for Narrow {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let taken = self.0.min(buf.len());
            self.0 -= taken;
            if taken == 0 { Poll::Pending } else { Poll::Ready(Ok(taken)) }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    fn stream(takes: usize, gives: usize) -> Impatient<Narrow> {
        let limit = Duration::from_millis(20);
        Impatient::new(Narrow(takes, gives), limit, limit, None)
    }

    #[tokio::test]
    async fn a_stream_that_takes_nothing_fails() {
        let mut narrow = stream(1000, 0);
        narrow.write_all(&[0; 1000]).await.unwrap();
        narrow.flush().await.unwrap();
        assert_eq!(narrow.write_all(&[0; 1]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(stream(0, 0).close().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_stream_that_is_cut_fails() {
        let (ends, limit, here) = (Ends::default(), Duration::from_secs(60), std::net::IpAddr::from([10, 0, 0, 1]));
        let lifeline = ends.note(here, (here, 1).into());
        let mut narrow = Impatient::new(Narrow(0, 0), limit, limit, Some(lifeline));
        let mut byte = [0; 1];
        let (read, ()) = futures::join!(narrow.read(&mut byte), async { ends.cut_from(here) });
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn a_silent_stream_fails() {
        let mut narrow = stream(0, 1000);
        narrow.read_exact(&mut [0; 1000]).await.unwrap();
        let heard = narrow.heard;
        assert_eq!(narrow.read(&mut [0; 1]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(heard.elapsed() >= narrow.silence_limit);
    }
}

//! TCP (noise, yamux) and QUIC.

use std::{
    io,
    pin::Pin,
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
    noise, quic, tcp, yamux,
};
use tokio::time::{Sleep, sleep};

/// How long setting up a connection may take.
const SETUP: Duration = Duration::from_secs(5);
/// How long a connection may take nothing of what is written to it.
const STALL: Duration = Duration::from_secs(10);
/// How many streams a connection has at most.
const MAX_STREAMS: usize = 256;

pub(super) fn build(keypair: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, String> {
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(MAX_STREAMS);
    let noise = noise::Config::new(keypair).map_err(|e| e.to_string())?;
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .map(|stream, _| Impatient::new(stream, STALL))
        .upgrade(upgrade::Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux)
        .timeout(SETUP);
    let mut config = quic::Config::new(keypair);
    config.handshake_timeout = SETUP;
    config.keep_alive_interval = Duration::from_secs(3);
    let quic = quic::tokio::Transport::new(config);
    let either = OrTransport::new(quic, tcp).map(|output, _| match output {
        Either::Left((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
        Either::Right((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
    });
    Ok(either.boxed())
}

/// A stream that fails if it takes nothing for so long.
///
/// A TCP connection to a host that has gone is kept by the system for a quarter of an hour as long as there is something
/// left to send. Closing it waits as long, and until then the peer would count as connected.
struct Impatient<S> {
    stream: S,
    limit: Duration,
    /// Since when it has taken nothing, plus the limit.
    until: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, until: None }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.until = None;
            return result;
        }
        let limit = self.limit;
        let until = self.until.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(until.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [io::IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read_vectored(cx, bufs)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing to flush is no sign that what was written is taken.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_close(cx);
        self.watch(cx, result)
    }
}

#[cfg(test)]
mod tests {
    use futures::AsyncWriteExt;

    use super::*;

    /// Takes so many bytes, and no more.
    struct Narrow(usize);

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

    #[tokio::test]
    async fn a_stream_that_takes_nothing_fails() {
        let mut stream = Impatient::new(Narrow(1000), Duration::from_millis(1));
        stream.write_all(&[0; 1000]).await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(stream.write_all(&[0; 1]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let mut stream = Impatient::new(Narrow(0), Duration::from_millis(1));
        assert_eq!(stream.close().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}

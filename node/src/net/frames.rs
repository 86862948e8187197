//! What yamux reads and writes, looked at frame by frame on its way.
//!
//! yamux (0.14) takes what comes behind the end of a stream as if it belonged to it, as long as this side has not dropped the
//! stream, and keeps it: nobody reads behind an end. It keeps each frame by itself, so one of a byte takes as much memory as
//! one of sixty. And when it finds that the other side breaks its rules it says so, and reads on. So whoever sends what nobody
//! may send has the connection ended, before yamux has got it.
//!
//! What a stream may bring is told by the frames of both sides: it is open from its first frame (`SYN`) until the other side
//! has ended its direction (`FIN`) or one of them all of it (`RST`). Nothing is copied but headers.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};
use thiserror::Error;
use tracing::debug;

use super::{counters::Counting, muxer::WINDOW};

/// How many bytes a frame begins with: version, type, flags, stream and length.
const HEADER: usize = 12;
/// Types of frames. The last announces the end of the connection, with a reason that is not 0 if it is for a fault.
const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 1;
const GO_AWAY: u8 = 3;
/// Flags of frames of a stream. The one for "acknowledged" changes nothing here.
const SYN: u16 = 1;
const FIN: u16 = 4;
const RST: u16 = 8;
/// How many streams are remembered that the two sides have not both ended. yamux has [`super::transport::MAX_STREAMS`] and
/// forgets one when this side drops it; the other side may be somewhat later with its end.
const OPEN: usize = 512;
/// How many streams are remembered that this side has reset. What the other side has sent before it hears of that is in order.
const RESET: usize = 512;
/// How many frames of a stream may come until this side tells that it has read half a window. A whole window in as many has
/// sixteen bytes in each, and none of the protocols has messages as short as that.
const PIECES: u32 = 16 * 1024;

/// What is wrong with what has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
enum Fault {
    #[error("more behind the end of a stream")]
    Behind,
    #[error("a frame of more than a stream may bring")]
    TooLong,
    #[error("too many frames that are too short")]
    Crumbs,
    #[error("too many streams that do not end")]
    TooMany,
    #[error("yamux says that its rules were broken")]
    Unruly,
}

/// What yamux reads from and writes to.
pub(super) struct Frames<S> {
    io: S,
    read: Follower,
    written: Follower,
    streams: Streams,
    counting: Arc<Counting>,
    /// Why nothing more is read or written.
    over: Option<Fault>,
}

impl<S> Frames<S> {
    pub(super) fn new(io: S, counting: Arc<Counting>) -> Self {
        let (read, written, streams) = (Follower::default(), Follower::default(), Streams::default());
        Self { io, read, written, streams, counting, over: None }
    }

    fn goes_on(&self) -> io::Result<()> {
        self.over.map_or(Ok(()), |fault| Err(io::Error::new(io::ErrorKind::InvalidData, fault)))
    }

    /// What comes of a look at some bytes: after a fault the connection ends with the next thing that is done.
    fn looked(&mut self, result: Result<(), Fault>) {
        if let Err(fault) = result {
            debug!(%fault, "a connection is ended for what is on its streams");
            self.counting.bad_streams.add();
            self.over = Some(fault);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Frames<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.goes_on()?;
        let count = ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        let result = this.read.follow(buf.get(..count).unwrap_or_default(), |frame| this.streams.came(frame));
        this.looked(result);
        Poll::Ready(this.goes_on().map(|()| count))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Frames<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.goes_on()?;
        let count = ready!(Pin::new(&mut this.io).poll_write(cx, buf))?;
        let result = this.written.follow(buf.get(..count).unwrap_or_default(), |frame| this.streams.went(frame));
        this.looked(result);
        // What was written is on its way, be it the last.
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }
}

/// The header of a frame, as far as it matters here.
#[derive(Clone, Copy)]
struct Frame {
    kind: u8,
    flags: u16,
    stream: u32,
    length: u32,
}

impl Frame {
    fn of([_, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3]: [u8; HEADER]) -> Self {
        Self {
            kind,
            flags: u16::from_be_bytes([f0, f1]),
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        }
    }

    fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// How many bytes stand behind the header. In all other frames the length means something else.
    fn body(&self) -> u32 {
        if self.kind == DATA { self.length } else { 0 }
    }
}

/// Finds the headers in one direction, however the bytes are cut.
#[derive(Default)]
struct Follower {
    header: [u8; HEADER],
    /// How much of it has come.
    begun: usize,
    /// How many bytes of a body are still to come.
    body: usize,
}

impl Follower {
    fn follow(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame) -> Result<(), Fault>) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let skipped = self.body.min(bytes.len());
            self.body -= skipped;
            let (_, behind) = bytes.split_at(skipped);
            let missing = self.header.get_mut(self.begun..).unwrap_or_default();
            let (part, rest) = behind.split_at(missing.len().min(behind.len()));
            missing.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            self.begun += part.len();
            if self.begun == HEADER {
                let frame = Frame::of(self.header);
                (self.begun, self.body) = (0, usize::try_from(frame.body()).unwrap_or(usize::MAX));
                each(frame)?;
            }
            bytes = rest;
        }
        Ok(())
    }
}

/// The streams of a connection.
#[derive(Default)]
struct Streams {
    open: BTreeMap<u32, Stream>,
    /// Those that this side has reset, the last at the end.
    reset: VecDeque<u32>,
}

/// A stream that has not ended in both directions.
struct Stream {
    /// Which directions have not ended.
    theirs: bool,
    ours: bool,
    /// How many frames have come since this side last told that it has read some.
    pieces: u32,
}

impl Streams {
    /// A frame of the other side's.
    fn came(&mut self, frame: Frame) -> Result<(), Fault> {
        if frame.kind != DATA && frame.kind != WINDOW_UPDATE {
            return Ok(());
        }
        if frame.has(RST) {
            self.open.remove(&frame.stream);
            return Ok(());
        }
        if frame.has(SYN) {
            self.begin(frame.stream)?;
        }
        let body = frame.body();
        if body > WINDOW {
            return Err(Fault::TooLong);
        }
        let Some(stream) = self.open.get_mut(&frame.stream).filter(|stream| stream.theirs) else {
            // yamux has forgotten those that were reset, and keeps nothing of what comes on them.
            return if body == 0 || self.reset.contains(&frame.stream) { Ok(()) } else { Err(Fault::Behind) };
        };
        stream.pieces += u32::from(body > 0);
        if stream.pieces > PIECES {
            return Err(Fault::Crumbs);
        }
        stream.theirs = !frame.has(FIN);
        self.forget_ended(frame.stream);
        Ok(())
    }

    /// A frame of this side's.
    fn went(&mut self, frame: Frame) -> Result<(), Fault> {
        match frame.kind {
            DATA | WINDOW_UPDATE => {}
            GO_AWAY if frame.length != 0 => return Err(Fault::Unruly),
            _ => return Ok(()),
        }
        if frame.has(RST) {
            if self.open.remove(&frame.stream).is_some_and(|stream| stream.theirs) {
                if self.reset.len() == RESET {
                    self.reset.pop_front();
                }
                self.reset.push_back(frame.stream);
            }
            return Ok(());
        }
        if frame.has(SYN) {
            self.begin(frame.stream)?;
        }
        if let Some(stream) = self.open.get_mut(&frame.stream) {
            if frame.kind == WINDOW_UPDATE {
                stream.pieces = 0;
            }
            stream.ours &= !frame.has(FIN);
            self.forget_ended(frame.stream);
        }
        Ok(())
    }

    /// Of one that is there already yamux has dropped its end, or says that there cannot be another.
    fn begin(&mut self, id: u32) -> Result<(), Fault> {
        self.open.insert(id, Stream { theirs: true, ours: true, pieces: 0 });
        if self.open.len() > OPEN { Err(Fault::TooMany) } else { Ok(()) }
    }

    fn forget_ended(&mut self, id: u32) {
        if self.open.get(&id).is_some_and(|stream| !stream.theirs && !stream.ours) {
            self.open.remove(&id);
        }
    }
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;

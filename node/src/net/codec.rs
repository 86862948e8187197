//! Frames as bytes: a length in four bytes, big-endian, and that many bytes of CBOR.
//!
//! Behind a request its asker closes the stream in its direction, and a request is none before that: of what somebody sends
//! while its answer is made and taken nothing would be read, and it would lie in memory for that long. Who has closed it and
//! sends more has the connection ended (see [`super::frames`]).
//!
//! A frame that does not decode is an answer of the other side, not an accident of the network. For a request it is
//! handed up as a value, so that the swarm task knows whom to charge: the behaviour tells no peer for a failed read.

use std::{io, sync::Arc, time::Duration};

use ciborium::de::from_reader_with_recursion_limit;
use distchat_crdt::sync::{MAX_FRAME, Request, Response, SYNC_PROTOCOL};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// The longest request that carries no messages, in bytes.
const MAX_QUESTION: usize = 256 * 1024;
/// How a request begins that carries messages: a map of one entry, with this key.
const OFFER: &[u8] = b"\xa1\x65offer";
/// How deep a frame may be nested. The deepest one that means anything takes about ten.
const MAX_DEPTH: usize = 32;
/// How much is read at a time.
const PIECE: usize = 16 * 1024;
/// How much of a request is read before it takes a part of [`LONG_READS`].
const SHORT: usize = 16 * 1024;
/// How many KiB of requests beyond that are in memory while they are read, from all peers together. They are taken as bytes
/// come: what was only announced keeps nobody else out.
const LONG_READS: usize = 16 * 1024;
/// How many requests may wait for a part of that. Meanwhile what has come of them stays in their connections, up to 256 KiB
/// of each, for so much any stream may bring unasked, and no more (see [`super::muxer`]). Others are told to come later.
const WAITING: usize = 32;
/// How fast a request must come, in bytes a second, once it has had [`GRACE`]. A mebibyte takes 13 seconds then.
const LEAST_RATE: u64 = 96 * 1024;
const GRACE: Duration = Duration::from_secs(3);

/// Why bytes are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Malformed {
    /// The announced length is beyond the limit. Nothing of it was read.
    #[error("a frame of {0} bytes")]
    TooLong(usize),
    /// Not a frame's CBOR, or beyond a limit within.
    #[error("{0}")]
    Cbor(String),
    /// Bytes behind the frame.
    #[error("{0} bytes too many")]
    Trailing(usize),
    /// Bytes behind a request.
    #[error("more behind the request")]
    Behind,
    /// There is no room for it among the long requests that are being read. It may be well-formed.
    #[error("one long request too many")]
    Crowded,
    /// It came at less than 96 KiB a second, or did not come at all or to no end. Nobody can tell a bad network from bad
    /// intent by that.
    #[error("a request that does not come")]
    TooSlow,
}

/// A request as it came: decoded, or not to be decoded.
pub(crate) type Incoming = Result<Request, Malformed>;

/// Reads and writes frames.
#[derive(Clone, Debug)]
pub(crate) struct Codec {
    long_reads: Arc<LongReads>,
    grace: Duration,
}

impl Default for Codec {
    fn default() -> Self {
        Self { long_reads: Arc::default(), grace: GRACE }
    }
}

/// What the long requests of all peers share.
#[derive(Debug)]
struct LongReads {
    memory: Semaphore,
    waiting: Semaphore,
}

impl Default for LongReads {
    fn default() -> Self {
        Self { memory: Semaphore::new(LONG_READS), waiting: Semaphore::new(WAITING) }
    }
}

impl LongReads {
    /// So many KiB, as soon as there are as many. Nothing if too many wait already.
    async fn take(&self, kib: u32) -> Option<SemaphorePermit<'_>> {
        if let Ok(taken) = self.memory.try_acquire_many(kib) {
            return Some(taken);
        }
        let _place = self.waiting.try_acquire().ok()?;
        // It is never closed.
        self.memory.acquire_many(kib).await.ok()
    }
}

/// The protocol's name, as the behaviour wants it.
pub(crate) fn protocol() -> StreamProtocol {
    StreamProtocol::new(SYNC_PROTOCOL)
}

/// Decodes a whole frame.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    let mut rest = bytes;
    let value = from_reader_with_recursion_limit(&mut rest, MAX_DEPTH).map_err(|e| Malformed::Cbor(e.to_string()))?;
    if rest.is_empty() { Ok(value) } else { Err(Malformed::Trailing(rest.len())) }
}

/// Encodes a frame with its length in front.
pub(crate) fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    ciborium::into_writer(value, &mut bytes).map_err(io::Error::other)?;
    let length = bytes.len() - 4;
    let announced = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME);
    let announced = announced.ok_or_else(|| io::Error::other(format!("an own frame of {length} bytes")))?;
    if let Some(front) = bytes.get_mut(..4) {
        front.copy_from_slice(&announced.to_be_bytes());
    }
    Ok(bytes)
}

async fn read_length<T: AsyncRead + Unpin>(io: &mut T) -> io::Result<Result<usize, Malformed>> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    Ok(if length > MAX_FRAME { Err(Malformed::TooLong(length)) } else { Ok(length) })
}

/// Waits until the asker has closed its direction. Whoever has more to say is in error.
pub(crate) async fn end<T: AsyncRead + Unpin>(io: &mut T) -> io::Result<Result<(), Malformed>> {
    let more = io.read(&mut [0]).await?;
    Ok(if more == 0 { Ok(()) } else { Err(Malformed::Behind) })
}

/// Reads on until there are so many bytes. What is allocated follows what has come, not what was announced.
///
/// `read_to_end` would do it too, but its zeroing of the buffer, byte by byte in a build without optimisation, takes ten
/// times as long as all the rest.
async fn read_on<T: AsyncRead + Unpin>(
    io: &mut T,
    bytes: &mut Vec<u8>,
    length: usize,
    room: &mut Room<'_>,
) -> io::Result<()> {
    let mut piece = vec![0; length.saturating_sub(bytes.len()).min(PIECE)];
    while bytes.len() < length {
        let wanted = piece.len().min(length - bytes.len());
        let read = io.read(piece.get_mut(..wanted).unwrap_or_default()).await?;
        match piece.get(..read) {
            Some(read) if !read.is_empty() => {
                room.make(bytes.len() + read.len()).await?;
                bytes.extend_from_slice(read);
            }
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
    Ok(())
}

/// What a request has of the memory that all long ones share.
struct Room<'a> {
    shared: Option<&'a LongReads>,
    held: Option<SemaphorePermit<'a>>,
}

impl<'a> Room<'a> {
    fn of(shared: &'a LongReads) -> Self {
        Self { shared: Some(shared), held: None }
    }

    /// For what this node has asked for itself.
    fn unlimited() -> Self {
        Self { shared: None, held: None }
    }

    /// Waits until there is room for so many bytes in all. Fails with [`Malformed::Crowded`].
    async fn make(&mut self, bytes: usize) -> io::Result<()> {
        let Some(shared) = self.shared else { return Ok(()) };
        let held = self.held.as_ref().map_or(0, SemaphorePermit::num_permits);
        let missing = (bytes.saturating_sub(SHORT).div_ceil(1024)).saturating_sub(held);
        if missing == 0 {
            return Ok(());
        }
        let missing = u32::try_from(missing).map_err(io::Error::other)?;
        let more = shared.take(missing).await.ok_or_else(|| io::Error::other(Malformed::Crowded))?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

impl Codec {
    /// How long a request of that length may take.
    fn time_for(&self, length: usize) -> Duration {
        self.grace + Duration::from_millis(length as u64 * 1000 / LEAST_RATE)
    }

    async fn read_body<T: AsyncRead + Unpin>(&self, io: &mut T, length: usize) -> io::Result<Incoming> {
        let (mut bytes, mut room) = (Vec::new(), Room::of(&self.long_reads));
        if length > MAX_QUESTION {
            read_on(io, &mut bytes, OFFER.len(), &mut room).await?;
            if bytes != OFFER {
                return Ok(Err(Malformed::TooLong(length)));
            }
        }
        read_on(io, &mut bytes, length, &mut room).await?;
        // What is decoded takes as much again, and has no part in what all share: it is there when nothing is waited for any more.
        if let Err(behind) = end(io).await? {
            return Ok(Err(behind));
        }
        Ok(decode(&bytes))
    }
}

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Incoming;
    type Response = Response;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Incoming>
    where
        T: AsyncRead + Unpin + Send,
    {
        let length = match timeout(self.grace, read_length(io)).await {
            Err(_) => return Ok(Err(Malformed::TooSlow)),
            Ok(length) => match length? {
                Ok(length) => length,
                Err(malformed) => return Ok(Err(malformed)),
            },
        };
        match timeout(self.time_for(length), self.read_body(io, length)).await {
            Err(_) => Ok(Err(Malformed::TooSlow)),
            Ok(read) => read.or_else(|error| error.downcast().map(Err)),
        }
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        let invalid = |malformed| io::Error::new(io::ErrorKind::InvalidData, malformed);
        let length = read_length(io).await?.map_err(invalid)?;
        let mut bytes = Vec::new();
        read_on(io, &mut bytes, length, &mut Room::unlimited()).await?;
        decode(&bytes).map_err(invalid)
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Incoming) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&encode(&request.map_err(io::Error::other)?)?).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, response: Response) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&encode(&response)?).await
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;

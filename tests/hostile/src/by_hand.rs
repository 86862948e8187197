//! A connection whose streams are frames of yamux written by hand: a library answers pings, ends what it has ended and sends
//! no more than it may.

use std::{
    collections::BTreeMap,
    io, iter,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use distchat_crdt::{
    Keypair as Author, RoomId,
    sync::{Peer, Request, Response, SYNC_PROTOCOL},
};
use futures::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
    future::{Ready, poll_fn, ready},
};
use libp2p::{
    Multiaddr, Transport,
    core::{
        Endpoint, UpgradeInfo,
        muxing::{StreamMuxer, StreamMuxerEvent, SubstreamBox},
        transport::{DialOpts, PortUse},
        upgrade::{self, InboundConnectionUpgrade, OutboundConnectionUpgrade},
    },
    identity::{Keypair, PublicKey},
    multiaddr::Protocol,
    noise,
};

use crate::{
    connection::{MULTISTREAM, a_node, line},
    dialler::Dialler,
    identity::identify,
    member::{entering, framed},
};

const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 1;
const PING: u8 = 2;
const SYN: u16 = 1;
const ACK: u16 = 2;
const FIN: u16 = 4;
/// How much a stream may bring unasked.
pub const WINDOW: usize = 256 * 1024;
/// How much of it goes into a frame.
const PIECE: usize = 16 * 1024;

/// A connection over TCP by a key of its own, which does nothing but what it is told to; only what a node asks at the start is
/// answered, so that it is taken for one.
pub struct ByHand {
    io: SubstreamBox,
    key: PublicKey,
    node: Peer,
    /// The last of its streams.
    last: u32,
    /// How much the node will take on which of them.
    open: BTreeMap<u32, usize>,
    /// What was said on the node's streams, as long as it is not answered.
    asked: BTreeMap<u32, Vec<u8>>,
    /// The first ping, which is left unanswered.
    ping: Option<u32>,
}

impl ByHand {
    /// Connects to a node.
    ///
    /// # Errors
    /// If it is turned away.
    pub async fn to(node: SocketAddr) -> io::Result<Self> {
        let keypair = Keypair::generate_ed25519();
        let noise = noise::Config::new(&keypair).map_err(io::Error::other)?;
        let mut transport =
            Dialler(None).upgrade(upgrade::Version::V1Lazy).authenticate(noise).multiplex(Unmuxed).boxed();
        let address = Multiaddr::from(node.ip()).with(Protocol::Tcp(node.port()));
        let how = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let (peer, mut whole) = transport.dial(address, how).map_err(io::Error::other)?.await?;
        let io = poll_fn(|cx| Pin::new(&mut whole).poll_outbound(cx)).await?;
        let (open, asked) = (BTreeMap::new(), BTreeMap::new());
        let node = Peer::new(&peer.to_bytes());
        Ok(Self { io, key: keypair.public(), node, last: 0, open, asked, ping: None })
    }

    /// Opens a stream that speaks a protocol, says this on it and may end its direction at once. Waits for nothing.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn begin(&mut self, protocol: &str, body: &[u8], ends: bool) -> io::Result<u32> {
        // Those of who has dialled are odd.
        self.last = if self.last == 0 { 1 } else { self.last + 2 };
        self.open.insert(self.last, WINDOW);
        let said = [line(MULTISTREAM), line(protocol), body.to_vec()].concat();
        self.data(self.last, SYN | if ends { FIN } else { 0 }, &said).await?;
        Ok(self.last)
    }

    /// Sends bytes on a stream, whatever the node will take.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn say(&mut self, stream: u32, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(PIECE) {
            self.data(stream, 0, piece).await?;
        }
        Ok(())
    }

    async fn data(&mut self, stream: u32, flags: u16, bytes: &[u8]) -> io::Result<()> {
        if let Some(open) = self.open.get_mut(&stream) {
            *open = open.saturating_sub(bytes.len());
        }
        self.send(DATA, flags, stream, bytes.len() as u32, bytes).await
    }

    async fn send(&mut self, kind: u8, flags: u16, stream: u32, length: u32, body: &[u8]) -> io::Result<()> {
        let header = [&[0, kind][..], &flags.to_be_bytes(), &stream.to_be_bytes(), &length.to_be_bytes()].concat();
        self.io.write_all(&[&header, body].concat()).await?;
        self.io.flush().await
    }

    /// How much the node will take on a stream, as far as it has said so.
    pub fn open(&self, stream: u32) -> usize {
        self.open.get(&stream).copied().unwrap_or(0)
    }

    /// Whether it was asked for a sign of life.
    pub fn is_pinged(&self) -> bool {
        self.ping.is_some()
    }

    /// Answers the ping at last, by which the node knows how long a round trip takes.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn pong(&mut self) -> io::Result<()> {
        let ping = self.ping.take().ok_or(io::ErrorKind::NotFound)?;
        self.send(PING, ACK, 0, ping, &[]).await
    }

    /// Reads the next frame. If it is of one of its own streams, which one, and what has come on it.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn next(&mut self) -> io::Result<Option<(u32, Vec<u8>)>> {
        let mut header = [0; 12];
        self.io.read_exact(&mut header).await?;
        let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (kind, stream, length) = (header[1], number(4), number(8));
        let mut body = vec![0; if kind == DATA { length as usize } else { 0 }];
        self.io.read_exact(&mut body).await?;
        match kind {
            DATA if stream % 2 == 1 => return Ok(Some((stream, body))),
            DATA => self.answer(stream, &body).await?,
            WINDOW_UPDATE => *self.open.entry(stream).or_default() += length as usize,
            PING if header[3] & SYN as u8 != 0 => self.ping = Some(length),
            _ => {}
        }
        Ok(None)
    }

    /// Agrees to whatever the node wants to speak, and says what this is.
    async fn answer(&mut self, stream: u32, said: &[u8]) -> io::Result<()> {
        let so_far = self.asked.entry(stream).or_default();
        so_far.extend_from_slice(said);
        let greeting = line(MULTISTREAM);
        let Some(rest) = so_far.strip_prefix(&greeting[..]) else { return Ok(()) };
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return Ok(()) };
        let agreed = [&greeting, &rest[..=end]].concat();
        let identity = rest[..end].ends_with(b"/ipfs/id/1.0.0").then(|| {
            let (agent, protocols) = a_node();
            identify(&self.key, &agent, &protocols)
        });
        // What comes behind that is not looked at.
        *so_far = vec![0];
        self.data(stream, ACK, &agreed).await?;
        match identity {
            Some(identity) => self.data(stream, FIN, &identity).await,
            None => Ok(()),
        }
    }

    /// Enters a room by a new author key.
    ///
    /// # Errors
    /// If it is not let in.
    pub async fn enter(&mut self, room: RoomId) -> io::Result<()> {
        let me = Peer::new(&self.key.to_peer_id().to_bytes());
        let request = entering(&me, &self.node, room, &Author::from_seed(rand::random()));
        match self.ask(&request).await? {
            Response::Entered(_) => Ok(()),
            other => Err(io::Error::other(format!("not let in: {other:?}"))),
        }
    }

    async fn ask(&mut self, request: &Request) -> io::Result<Response> {
        let asked = self.begin(SYNC_PROTOCOL, &framed(request), true).await?;
        let (mut said, agreed) = (Vec::new(), line(MULTISTREAM).len() + line(SYNC_PROTOCOL).len());
        loop {
            let Some((stream, bytes)) = self.next().await? else { continue };
            if stream != asked {
                continue;
            }
            said.extend_from_slice(&bytes);
            let Some((length, frame)) = said.get(agreed..).and_then(<[u8]>::split_first_chunk) else { continue };
            if frame.len() >= u32::from_be_bytes(*length) as usize {
                return ciborium::from_reader(frame).map_err(io::Error::other);
            }
        }
    }
}

/// What makes no streams of a connection, but says that it does.
#[derive(Clone)]
struct Unmuxed;

impl UpgradeInfo for Unmuxed {
    type Info = &'static str;
    type InfoIter = iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/yamux/1.0.0")
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> InboundConnectionUpgrade<S> for Unmuxed {
    type Output = Whole<S>;
    type Error = io::Error;
    type Future = Ready<io::Result<Whole<S>>>;

    fn upgrade_inbound(self, io: S, _: Self::Info) -> Self::Future {
        ready(Ok(Whole(Some(io))))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> OutboundConnectionUpgrade<S> for Unmuxed {
    type Output = Whole<S>;
    type Error = io::Error;
    type Future = Ready<io::Result<Whole<S>>>;

    fn upgrade_outbound(self, io: S, _: Self::Info) -> Self::Future {
        ready(Ok(Whole(Some(io))))
    }
}

/// A connection that is one stream, once.
struct Whole<S>(Option<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Whole<S> {
    type Substream = S;
    type Error = io::Error;

    fn poll_inbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<S>> {
        Poll::Pending
    }

    fn poll_outbound(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<S>> {
        Poll::Ready(self.0.take().ok_or(io::ErrorKind::NotConnected.into()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        Poll::Pending
    }
}

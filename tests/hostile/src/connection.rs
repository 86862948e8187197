//! One connection, and the streams on it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use distchat_crdt::sync::{Peer, SYNC_PROTOCOL};
use futures::{AsyncReadExt, AsyncWriteExt, io::AsyncRead};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        Endpoint,
        muxing::{StreamMuxer, StreamMuxerBox, SubstreamBox},
        transport::{DialOpts, PortUse},
        upgrade,
    },
    identity::{Keypair, PublicKey},
    multiaddr::Protocol,
    noise, yamux,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::{Answers, Heard, dialler::Dialler, identity::identify, varint::with_length};

/// A stream, for any bytes.
pub type Stream = SubstreamBox;

/// The first line of every stream.
pub(crate) const MULTISTREAM: &str = "/multistream/1.0.0";
/// How many streams may wait to be opened, and how many opened by the other side to be taken.
const QUEUE: usize = 64;

/// How many bytes of the gossip that a connection is sent are kept, to be looked at.
const KEPT: usize = 64 * 1024;

/// What it says of itself where a test does not say otherwise.
pub(crate) fn a_node() -> (String, Vec<String>) {
    ("distchat/0.2.0".to_owned(), [SYNC_PROTOCOL, "/meshsub/1.1.0", "/ipfs/id/1.0.0"].map(str::to_owned).to_vec())
}

/// A connection over TCP by a key of its own. It answers what a node asks at the start, so that it is taken for one.
///
/// It ends when it is dropped.
pub struct Connection {
    key: PublicKey,
    peer: PeerId,
    open: mpsc::Sender<oneshot::Sender<io::Result<Stream>>>,
    heard: Arc<Gossip>,
    tasks: JoinSet<()>,
}

impl Connection {
    /// Connects to a node.
    ///
    /// # Errors
    /// If it is turned away.
    pub async fn to(node: SocketAddr) -> io::Result<Self> {
        let (agent, protocols) = a_node();
        Self::calling_itself(node, agent, protocols).await
    }

    /// Connects as a program of that name, which speaks these protocols.
    ///
    /// # Errors
    /// If it is turned away.
    pub async fn calling_itself(node: SocketAddr, agent: String, protocols: Vec<String>) -> io::Result<Self> {
        Self::open(Dialler(None), node, Some((agent, protocols)), None).await
    }

    /// Connects, and never says what it is.
    ///
    /// # Errors
    /// If it is turned away.
    pub async fn unnamed(node: SocketAddr) -> io::Result<Self> {
        Self::open(Dialler(None), node, None, None).await
    }

    /// Connects, and answers what the node asks about a room.
    ///
    /// # Errors
    /// If it is turned away.
    pub async fn answering(node: SocketAddr, answers: Answers) -> io::Result<Self> {
        Self::open(Dialler(None), node, Some(a_node()), Some(answers)).await
    }

    /// Connects from one of the machine's own addresses.
    ///
    /// # Errors
    /// If it is turned away.
    pub async fn from(own: IpAddr, node: SocketAddr) -> io::Result<Self> {
        Self::open(Dialler(Some(own)), node, Some(a_node()), None).await
    }

    async fn open(
        dialler: Dialler,
        node: SocketAddr,
        name: Option<(String, Vec<String>)>,
        answers: Option<Answers>,
    ) -> io::Result<Self> {
        let keypair = Keypair::generate_ed25519();
        let key = keypair.public();
        let noise = noise::Config::new(&keypair).map_err(io::Error::other)?;
        let mut transport =
            dialler.upgrade(upgrade::Version::V1Lazy).authenticate(noise).multiplex(yamux::Config::default()).boxed();
        let address = Multiaddr::from(node.ip()).with(Protocol::Tcp(node.port()));
        let how = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let (peer, muxer) = transport.dial(address, how).map_err(io::Error::other)?.await?;
        let (open, wanted) = mpsc::channel(QUEUE);
        let (arrived, streams) = mpsc::channel(QUEUE);
        let mut tasks = JoinSet::new();
        tasks.spawn(drive(muxer, wanted, arrived));
        let heard: Arc<Gossip> = Arc::default();
        let known = Arc::new(Known {
            identity: name.map(|(agent, protocols)| identify(&key, &agent, &protocols)),
            me: Peer::new(&key.to_peer_id().to_bytes()),
            node: Peer::new(&peer.to_bytes()),
            answers,
            heard: Arc::clone(&heard),
        });
        tasks.spawn(answer(streams, known));
        Ok(Self { key, peer, open, heard, tasks })
    }

    /// The other side's peer id.
    pub fn peer(&self) -> Peer {
        Peer::new(&self.peer.to_bytes())
    }

    /// The peer id that it has itself.
    pub fn me(&self) -> Peer {
        Peer::new(&self.key.to_peer_id().to_bytes())
    }

    /// How many bytes of gossip the other side has sent so far, all that goes with it included.
    pub fn heard(&self) -> usize {
        self.heard.bytes.load(Ordering::Relaxed)
    }

    /// What was in the first 64 KiB of that.
    pub fn understood(&self) -> Heard {
        Heard::read(&self.heard.first.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens a stream on which nothing has been said.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn stream(&self) -> io::Result<Stream> {
        let (done, opened) = oneshot::channel();
        let gone = |_| io::Error::from(io::ErrorKind::NotConnected);
        self.open.send(done).await.map_err(|_| io::Error::from(io::ErrorKind::NotConnected))?;
        opened.await.map_err(gone)?
    }

    /// Opens a stream that speaks a protocol.
    ///
    /// # Errors
    /// If the connection has ended, or the other side does not speak that.
    pub async fn speaking(&self, protocol: &str) -> io::Result<Stream> {
        self.saying(&[MULTISTREAM, protocol]).await
    }

    /// Opens a stream that is greeted and then left, and waits until that is answered: the other side has it then.
    ///
    /// # Errors
    /// If the connection has ended, or the other side does not take the stream.
    pub async fn greeting(&self) -> io::Result<Stream> {
        self.saying(&[MULTISTREAM]).await
    }

    /// Opens a stream that is greeted, and waits for nothing. Before something is written a stream is only an intention.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn unheard(&self) -> io::Result<Stream> {
        let mut stream = self.stream().await?;
        stream.write_all(&line(MULTISTREAM)).await?;
        stream.flush().await?;
        Ok(stream)
    }

    /// Opens a stream, says these lines of the negotiation, and waits until each is agreed to.
    async fn saying(&self, lines: &[&str]) -> io::Result<Stream> {
        let mut stream = self.stream().await?;
        let hello: Vec<u8> = lines.iter().flat_map(|text| line(text)).collect();
        stream.write_all(&hello).await?;
        stream.flush().await?;
        for expected in lines {
            let said = read_line(&mut stream).await?;
            if said != *expected {
                return Err(io::Error::other(format!("{expected} was answered by {said}")));
            }
        }
        Ok(stream)
    }

    /// Waits until the other side has ended the connection.
    pub async fn ended(&mut self) {
        // The first of its tasks to end is the one that drives the connection.
        let _ = self.tasks.join_next().await;
    }

    /// Whether the other side has not ended it.
    pub fn lives(&self) -> bool {
        !self.open.is_closed()
    }
}

/// A line of the negotiation.
pub(crate) fn line(text: &str) -> Vec<u8> {
    with_length(format!("{text}\n").as_bytes())
}

async fn read_line(stream: &mut Stream) -> io::Result<String> {
    let mut length = [0];
    stream.read_exact(&mut length).await?;
    // None of these is longer than 127 bytes.
    let mut text = vec![0; usize::from(length[0])];
    stream.read_exact(&mut text).await?;
    Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
}

/// Does the work of the connection until it ends.
async fn drive(
    mut muxer: StreamMuxerBox,
    mut wanted: mpsc::Receiver<oneshot::Sender<io::Result<Stream>>>,
    arrived: mpsc::Sender<Stream>,
) {
    let mut opening: Option<oneshot::Sender<io::Result<Stream>>> = None;
    std::future::poll_fn(|cx: &mut Context<'_>| {
        loop {
            if opening.is_none() {
                match wanted.poll_recv(cx) {
                    Poll::Ready(Some(next)) => opening = Some(next),
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
            if opening.is_some()
                && let Poll::Ready(stream) = Pin::new(&mut muxer).poll_outbound(cx)
            {
                let failed = stream.is_err();
                if let Some(done) = opening.take() {
                    // Whoever asked for it may have given up.
                    let _ = done.send(stream);
                }
                if failed {
                    return Poll::Ready(());
                }
                continue;
            }
            match Pin::new(&mut muxer).poll_inbound(cx) {
                Poll::Ready(Ok(stream)) => {
                    // More than it answers are left alone.
                    let _ = arrived.try_send(stream);
                    continue;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            return match Pin::new(&mut muxer).poll(cx) {
                Poll::Ready(Ok(_)) => continue,
                Poll::Ready(Err(_)) => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            };
        }
    })
    .await;
}

/// Holds a connection that it opens no stream on, until it ends.
pub(crate) async fn hold(muxer: StreamMuxerBox, known: Known) {
    let (_open, wanted) = mpsc::channel(1);
    let (arrived, streams) = mpsc::channel(QUEUE);
    futures::join!(drive(muxer, wanted, arrived), answer(streams, Arc::new(known)));
}

/// What it answers with.
pub(crate) struct Known {
    pub(crate) identity: Option<Vec<u8>>,
    pub(crate) me: Peer,
    pub(crate) node: Peer,
    pub(crate) answers: Option<Answers>,
    pub(crate) heard: Arc<Gossip>,
}

/// The gossip that it has been sent.
#[derive(Debug, Default)]
pub(crate) struct Gossip {
    bytes: AtomicUsize,
    /// The first of them.
    first: Mutex<Vec<u8>>,
}

/// Says what it is where it is asked that, answers questions about a room if it has answers, and takes everything else
/// without a word.
async fn answer(mut streams: mpsc::Receiver<Stream>, known: Arc<Known>) {
    let mut taken = JoinSet::new();
    while let Some(mut stream) = streams.recv().await {
        // Those that have ended are no more in the way.
        while taken.try_join_next().is_some() {}
        let known = known.clone();
        taken.spawn(async move {
            // That a stream ends is no concern of the others.
            let _ = answer_one(&mut stream, &known).await;
        });
    }
}

async fn answer_one(stream: &mut Stream, known: &Known) -> io::Result<()> {
    read_line(stream).await?;
    stream.write_all(&line(MULTISTREAM)).await?;
    let protocol = read_line(stream).await?;
    stream.write_all(&line(&protocol)).await?;
    if protocol == "/ipfs/id/1.0.0" {
        let Some(identity) = &known.identity else { return std::future::pending().await };
        stream.write_all(identity).await?;
        return stream.close().await;
    }
    stream.flush().await?;
    if let (SYNC_PROTOCOL, Some(answers)) = (&*protocol, &known.answers) {
        return answers.on(stream, &known.me, &known.node).await;
    }
    swallow(stream, protocol.starts_with("/meshsub/").then_some(&*known.heard)).await
}

/// Reads and forgets, but for how much gossip it was, and the beginning of that.
async fn swallow(stream: &mut (impl AsyncRead + Unpin), gossip: Option<&Gossip>) -> io::Result<()> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let count = stream.read(&mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        if let Some(gossip) = gossip {
            let mut first = gossip.first.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = count.min(KEPT - first.len());
            first.extend_from_slice(&bytes[..kept]);
            gossip.bytes.fetch_add(count, Ordering::Relaxed);
        }
    }
}

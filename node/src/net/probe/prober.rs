//! The asking side: a peer of a moment, with a key that is thrown away, so that it disturbs no running node.

use std::{
    io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use distchat_crdt::sync::SYNC_PROTOCOL;
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, TransportError, identify,
    identity::Keypair,
    request_response::{self, Event, Message, OutboundFailure, ProtocolSupport},
    swarm::{DialError, NetworkBehaviour, SwarmEvent, dial_opts::DialOpts},
};
use thiserror::Error;
use tokio::time::timeout;

use super::{
    codec::{ProbeCodec, protocol},
    wire::{Answer, PROBE_PROTOCOL, Request},
};
use crate::net::{address, ends::Ends, transport};

/// What it calls itself.
const PROTOCOL_VERSION: &str = "/distchat/1";
/// How long a peer may take to say what it speaks, the dial included.
const MEETING: Duration = Duration::from_secs(8);
/// How long an answer may take. The longest question takes three seconds.
const ANSWER: Duration = Duration::from_secs(8);

/// One connection to one peer, made to ask it about the network.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::{Config, Node, probe::{Answer, Outcome, Prober, Request, Via}};
///
/// # let config = |profile: &str| Config {
/// #     profile: profile.into(),
/// #     memory: true,
/// #     mdns: false,
/// #     same_machine: false,
/// #     listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
/// #     ..Config::default()
/// # };
/// let node = Node::start(config("alice")).await?;
/// let mut prober = Prober::new()?;
/// prober.meet(&node.listeners()[0]).await?;
///
/// // Can it come to a port of this machine?
/// let door = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let answer = prober.ask(Request::Dial(Via::Tcp, door.local_addr()?.port(), 0)).await?;
/// assert_eq!(answer, Answer::Dial(Outcome::Done));
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct Prober {
    swarm: Swarm<Behaviour>,
    peer: Option<PeerId>,
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    probe: request_response::Behaviour<ProbeCodec>,
}

/// A peer that has said what it speaks.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::{Config, Node, probe::Prober};
///
/// # let config = |profile: &str| Config {
/// #     profile: profile.into(),
/// #     memory: true,
/// #     mdns: false,
/// #     same_machine: false,
/// #     listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
/// #     ..Config::default()
/// # };
/// let node = Node::start(config("alice")).await?;
/// let met = Prober::new()?.meet(&node.listeners()[0]).await?;
/// assert_eq!(met.peer, node.peer_id());
/// assert!(met.agent.starts_with("distchat/") && met.family == "/distchat/1");
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    /// Who it is, until it is started anew.
    pub peer: PeerId,
    /// Its program, such as `distchat/0.1.0`. Its own words: not to be shown unescaped.
    pub agent: String,
    /// What it calls its family of protocols, such as `/distchat/1`. Its own words, too.
    pub family: String,
    /// Which versions of the sync protocol it speaks: what stands behind `/distchat/sync/`. Its own words, too.
    pub versions: Vec<String>,
    /// Whether it speaks this program's version of it.
    pub speaks: bool,
    /// Whether it helps.
    pub helps: bool,
}

/// Why a peer was not met.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::probe::{Prober, Unmet};
///
/// // A port that was free a moment ago: nobody listens there.
/// let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
/// let address = format!("/ip4/{}/tcp/{}", address.ip(), address.port()).parse()?;
/// let unmet: Unmet = Prober::new()?.meet(&address).await.unwrap_err();
/// assert_eq!(unmet, Unmet::Refused);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unmet {
    /// Nothing listens at that port, or a firewall says so.
    #[error("the connection is refused")]
    Refused,
    /// Nothing came back.
    #[error("nothing comes back")]
    Silence,
    /// The system knows no way there, or the host does not answer.
    #[error("{0}")]
    NoWay(String),
    /// Another peer than the address says is there.
    #[error("another peer is there")]
    Other(PeerId),
    /// It is connected and does not say what it speaks, or parts at once.
    #[error("it does not say what it speaks")]
    Mute,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// Why there is no answer.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::probe::{AskError, Prober, Request};
///
/// let mut prober = Prober::new()?;
/// let asked = prober.ask(Request::Who).await; // and it has met nobody
/// assert!(matches!(asked, Err(AskError::Lost(_))));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AskError {
    /// It does not speak this protocol.
    #[error("it does not know such questions")]
    Unknown,
    /// The connection is gone, or the time was over.
    #[error("it does not answer: {0}")]
    Lost(String),
}

impl Prober {
    /// Makes a peer that listens nowhere.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::probe::{Prober, Unmet};
    ///
    /// let mut prober = Prober::new()?;
    /// let met = prober.meet(&"/dns4/example.org/tcp/4001".parse()?).await; // names are not looked up
    /// assert!(matches!(met, Err(Unmet::Failed(_))));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the keys cannot be made.
    pub fn new() -> io::Result<Self> {
        let keypair = Keypair::generate_ed25519();
        let transport = transport::build(&keypair, Ends::default(), Arc::default()).map_err(io::Error::other)?;
        let identify = identify::Config::new(PROTOCOL_VERSION.to_owned(), keypair.public())
            .with_agent_version(concat!("distchat-doctor/", env!("CARGO_PKG_VERSION")).to_owned())
            .with_cache_size(0);
        let probe = request_response::Config::default().with_request_timeout(ANSWER);
        let behaviour = Behaviour {
            identify: identify::Behaviour::new(identify),
            // It answers nothing; but who does not say that it speaks this is taken for another kind of program.
            probe: request_response::Behaviour::with_codec(ProbeCodec, [(protocol(), ProtocolSupport::Full)], probe),
        };
        let settings = libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(2 * ANSWER);
        let swarm = Swarm::new(transport, behaviour, keypair.public().to_peer_id(), settings);
        Ok(Self { swarm, peer: None })
    }

    /// Connects, and waits until the peer has said what it speaks, 8 seconds at most. Each peer, and each address of one, is
    /// to be met by a prober of its own.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Node, PeerId, probe::{Prober, Unmet}};
    ///
    /// # let config = |profile: &str| Config {
    /// #     profile: profile.into(),
    /// #     memory: true,
    /// #     mdns: false,
    /// #     same_machine: false,
    /// #     listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
    /// #     ..Config::default()
    /// # };
    /// let node = Node::start(config("alice")).await?;
    /// let address = node.listeners().remove(0);
    /// assert!(Prober::new()?.meet(&address).await?.helps);
    ///
    /// // The same address with the name of somebody else.
    /// let wrong = address.to_string().replace(&node.peer_id().to_string(), &PeerId::random().to_string()).parse()?;
    /// assert_eq!(Prober::new()?.meet(&wrong).await, Err(Unmet::Other(node.peer_id())));
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If it cannot be connected to, or does not say.
    pub async fn meet(&mut self, address: &Multiaddr) -> Result<Met, Unmet> {
        if address::dialable(address).is_none() {
            return Err(Unmet::Failed("it is not an address to dial".to_owned()));
        }
        let opts = DialOpts::unknown_peer_id().address(address.clone()).allocate_new_port().build();
        self.swarm.dial(opts).map_err(|error| cause(&error))?;
        let mut connected = false;
        let met = async {
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { .. } => connected = true,
                    SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                        peer_id,
                        info,
                        ..
                    })) => return Ok((peer_id, info)),
                    SwarmEvent::OutgoingConnectionError { error, .. } => return Err(cause(&error)),
                    SwarmEvent::ConnectionClosed { .. } => return Err(Unmet::Mute),
                    _ => {}
                }
            }
        };
        let met = timeout(MEETING, met).await;
        let (peer, info) = met.unwrap_or(Err(if connected { Unmet::Mute } else { Unmet::Silence }))?;
        self.peer = Some(peer);
        let speaks = |name: &str| info.protocols.iter().any(|protocol| protocol.as_ref() == name);
        let family = SYNC_PROTOCOL.trim_end_matches(|c: char| c != '/');
        let versions = info.protocols.iter().filter_map(|protocol| protocol.as_ref().strip_prefix(family));
        Ok(Met {
            peer,
            speaks: speaks(SYNC_PROTOCOL),
            helps: speaks(PROBE_PROTOCOL),
            versions: versions.map(str::to_owned).take(8).collect(),
            agent: info.agent_version,
            family: info.protocol_version,
        })
    }

    /// Asks the peer that was met, and waits for its answer, 16 seconds at most.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Node, probe::{Answer, Prober, Request}};
    ///
    /// # let config = |profile: &str| Config {
    /// #     profile: profile.into(),
    /// #     memory: true,
    /// #     mdns: false,
    /// #     same_machine: false,
    /// #     listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
    /// #     ..Config::default()
    /// # };
    /// let node = Node::start(config("alice")).await?;
    /// let mut prober = Prober::new()?;
    /// prober.meet(&node.listeners()[0]).await?;
    /// let Answer::Who(who) = prober.ask(Request::Who).await? else { return Err("another answer".into()) };
    /// assert!(who.clock_ms.abs_diff(Prober::now_ms()) < 60_000, "the clocks agree");
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If there is no answer, or nobody was met.
    pub async fn ask(&mut self, request: Request) -> Result<Answer, AskError> {
        let peer = self.peer.ok_or_else(|| AskError::Lost("it was not met".to_owned()))?;
        let id = self.swarm.behaviour_mut().probe.send_request(&peer, request);
        let answered = async {
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::Behaviour(BehaviourEvent::Probe(Event::Message {
                        message: Message::Response { request_id, response },
                        ..
                    })) if request_id == id => return Ok(response),
                    SwarmEvent::Behaviour(BehaviourEvent::Probe(Event::OutboundFailure {
                        request_id, error, ..
                    })) if request_id == id => {
                        return Err(match error {
                            OutboundFailure::UnsupportedProtocols => AskError::Unknown,
                            other => AskError::Lost(other.to_string()),
                        });
                    }
                    _ => {}
                }
            }
        };
        timeout(2 * ANSWER, answered).await.unwrap_or_else(|_| Err(AskError::Lost("the time is over".to_owned())))
    }

    /// What an address leads to, as far as this program can dial it.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::probe::Prober;
    ///
    /// let (ip, peer) = Prober::destination(&"/ip4/192.168.1.7/tcp/4001".parse()?).ok_or("not to be dialled")?;
    /// assert_eq!((ip.to_string(), peer), ("192.168.1.7".into(), None));
    /// assert_eq!(Prober::destination(&"/dns4/example.org/tcp/4001".parse()?), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn destination(address: &Multiaddr) -> Option<(IpAddr, Option<PeerId>)> {
        let dialable = address::dialable(address)?;
        Some((address::ip(&dialable.address)?, dialable.peer))
    }

    /// This machine's calendar clock, in milliseconds since 1970.
    ///
    /// ```
    /// use distchat_node::probe::Prober;
    ///
    /// let since = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis());
    /// assert!(u128::from(Prober::now_ms()) >= since);
    /// ```
    pub fn now_ms() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Why a dial failed. What counts is the system's error, which the transports have wrapped in others.
fn cause(error: &DialError) -> Unmet {
    let errors = match error {
        DialError::WrongPeerId { obtained, .. } => return Unmet::Other(*obtained),
        DialError::Transport(errors) => errors,
        other => return Unmet::Failed(other.to_string()),
    };
    let Some((_, TransportError::Other(error))) = errors.last() else { return Unmet::Failed(error.to_string()) };
    let (kind, text) = innermost(error);
    match kind {
        io::ErrorKind::ConnectionRefused => Unmet::Refused,
        io::ErrorKind::TimedOut => Unmet::Silence,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::PermissionDenied => {
            Unmet::NoWay(text)
        }
        // Neither the transports' own time limits nor QUIC's bear a kind.
        _ if text.to_lowercase().contains("timeout") || text.to_lowercase().contains("timed out") => Unmet::Silence,
        _ => Unmet::Failed(text),
    }
}

/// The kind of the innermost error of the system, and what the innermost error of all says.
fn innermost(error: &io::Error) -> (io::ErrorKind, String) {
    let mut kind = error.kind();
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut text = error.to_string();
    while let Some(current) = source {
        text = current.to_string();
        source = match current.downcast_ref::<io::Error>() {
            Some(system) => {
                if system.kind() != io::ErrorKind::Other {
                    kind = system.kind();
                }
                system.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static))
            }
            None => current.source(),
        };
    }
    if kind == io::ErrorKind::Other
        && let Some(code) = text.rsplit_once("(os error ").and_then(|(_, code)| code.strip_suffix(')')?.parse().ok())
    {
        // The error of a transport that is one of several hides what it is made of, but says it.
        kind = io::Error::from_raw_os_error(code).kind();
    }
    (kind, text)
}

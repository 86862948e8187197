//! The frames of the probe protocol, as values. PROTOCOL.md gives their bytes.

use serde::{Deserialize, Serialize};

/// The name under which peers negotiate this protocol.
pub const PROBE_PROTOCOL: &str = "/distchat/probe/1";
/// The longest frame, in bytes.
pub(super) const MAX_FRAME: usize = 1024;
/// The longest text in an answer of ours, in bytes. A frame has at most a few.
const MAX_TEXT: usize = 96;

/// What is asked of a helper.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::{Config, Node, probe::{Answer, Prober, Refusal, Request, Via}};
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
/// assert!(matches!(prober.ask(Request::Who).await?, Answer::Who(_)));
/// // Whoever is asked to knock at another program's port does not.
/// assert_eq!(prober.ask(Request::Dial(Via::Tcp, 22, 0)).await?, Answer::Refused(Refusal::Never));
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Who are you?
    Who,
    /// Listen for the multicasts with the first nonce, and send some with the second.
    Multicast(u64, u64),
    /// Come to this port of mine. A datagram bears the nonce in eight bytes, big-endian.
    Dial(Via, u16, u64),
}

/// By which protocol to come.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::{Config, Node, probe::{Prober, Request, Via}};
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
/// let ear = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
/// let port = ear.local_addr()?.port();
/// let mut nonce = [0; 8];
/// tokio::select! {
///     heard = ear.recv(&mut nonce) => assert_eq!((heard?, u64::from_be_bytes(nonce)), (8, 0xcafe)),
///     answer = prober.ask(Request::Dial(Via::Udp, port, 0xcafe)) => println!("sent, and nothing heard: {answer:?}"),
/// }
/// # assert_eq!(u64::from_be_bytes(nonce), 0xcafe);
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// A TCP connection.
    Tcp,
    /// UDP datagrams.
    Udp,
}

/// What a helper answers.
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
/// match prober.ask(Request::Who).await? {
///     Answer::Who(who) => assert!(!who.interface.is_empty()),
///     Answer::Refused(why) => panic!("it does not help: {why:?}"),
///     Answer::Multicast(_) | Answer::Dial(_) => unreachable!("that was not the question"),
/// }
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// To [`Request::Who`].
    Who(Who),
    /// To [`Request::Multicast`].
    Multicast(Heard),
    /// To [`Request::Dial`].
    Dial(Outcome),
    /// No.
    Refused(Refusal),
}

/// Who a helper is.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::{Config, Node, probe::{Answer, Prober, Request, links}};
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
/// // Here both are on one machine.
/// assert!(links()?.iter().any(|link| link.name == who.interface && link.address.is_loopback()));
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, String, bool)", into = "(u64, String, bool)")]
pub struct Who {
    /// Its calendar clock, in milliseconds since 1970.
    pub clock_ms: u64,
    /// The interface that leads to the asker.
    pub interface: String,
    /// Whether it looks for others by mDNS.
    pub mdns: bool,
}

/// How multicast works for a helper.
///
/// ```
/// use distchat_node::probe::Heard;
///
/// let heard = Heard { interface: "eth0".into(), heard: vec![], deaf: None, mute: None, echo: true };
/// let fault = match &heard {
///     Heard { mute: Some(why), .. } => format!("it cannot send: {why}"),
///     Heard { deaf: Some(why), .. } => format!("it cannot listen: {why}"),
///     Heard { echo: false, .. } => "its own firewall drops what comes in".into(),
///     Heard { heard, .. } if heard.is_empty() => "nothing from here gets there".into(),
///     _ => "all is well".into(),
/// };
/// assert_eq!(fault, "nothing from here gets there");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "HeardFields", into = "HeardFields")]
pub struct Heard {
    /// The interface that leads to the asker, on which it has sent.
    pub interface: String,
    /// The interfaces on which it has heard the asker.
    pub heard: Vec<String>,
    /// Why it could not listen on the interface that leads to the asker.
    pub deaf: Option<String>,
    /// Why it could not send.
    pub mute: Option<String>,
    /// Whether it has heard its own packets.
    pub echo: bool,
}

type HeardFields = (String, Vec<String>, Option<String>, Option<String>, bool);

/// What became of a dial.
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
/// // A port that was free a moment ago: nobody listens there.
/// let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
/// assert_eq!(prober.ask(Request::Dial(Via::Tcp, port, 0)).await?, Answer::Dial(Outcome::Closed));
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is connected, or the datagrams are sent.
    Done,
    /// Nobody listens there.
    Closed,
    /// Nothing came back.
    Silence,
    /// What the system said.
    Failed(String),
}

/// Why a helper does not help.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::{Config, Node, probe::{Answer, Prober, Refusal, Request}};
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
/// // What is sent on the loopback interface tells nothing of a network.
/// assert_eq!(prober.ask(Request::Multicast(1, 2)).await?, Answer::Refused(Refusal::Never));
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refusal {
    /// The asker is on none of its networks.
    Foreign,
    /// Asked too often; a minute later it helps again.
    Often,
    /// That cannot be asked for, such as a port below 1024, or multicast over the loopback interface.
    Never,
}

impl From<(u64, String, bool)> for Who {
    fn from((clock_ms, interface, mdns): (u64, String, bool)) -> Self {
        Self { clock_ms, interface, mdns }
    }
}

impl From<Who> for (u64, String, bool) {
    fn from(who: Who) -> Self {
        (who.clock_ms, short(who.interface), who.mdns)
    }
}

impl From<HeardFields> for Heard {
    fn from((interface, heard, deaf, mute, echo): HeardFields) -> Self {
        Self { interface, heard, deaf, mute, echo }
    }
}

impl From<Heard> for HeardFields {
    fn from(heard: Heard) -> Self {
        let names = heard.heard.into_iter().take(4).map(short).collect();
        (short(heard.interface), names, heard.deaf.map(short), heard.mute.map(short), heard.echo)
    }
}

/// Cuts a text so that a frame holds it.
pub(super) fn short(mut text: String) -> String {
    while text.len() > MAX_TEXT {
        text.pop();
    }
    text
}

//! The frames of the probe protocol, as values. PROTOCOL.md gives their bytes.

use serde::{Deserialize, Serialize};

/// The name under which peers negotiate this protocol.
pub const PROBE_PROTOCOL: &str = "/distchat/probe/1";
/// The longest frame, in bytes.
pub(super) const MAX_FRAME: usize = 1024;
/// The longest text in an answer of ours, in bytes. A frame has at most a few.
const MAX_TEXT: usize = 96;

/// What is asked of a helper.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// A TCP connection.
    Tcp,
    /// UDP datagrams.
    Udp,
}

/// What a helper answers.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refusal {
    /// The asker is on none of its networks.
    Foreign,
    /// Asked too often; a minute later it helps again.
    Often,
    /// That cannot be asked for, such as a port below 1024.
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

//! What the doctor has seen, before it thinks about it. No I/O: the judges are functions of this.

use std::{net::IpAddr, path::PathBuf};

use distchat_node::{
    Multiaddr,
    inspect::History,
    probe::{Heard, Link, Met, Outcome, Refusal, Unmet, Via, Who},
};

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// Whether the node would use mDNS.
    pub(crate) mdns: bool,
    /// Addresses that were given and cannot be dialled.
    pub(crate) undialable: Vec<String>,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) routes: Routes,
    pub(crate) ears: Vec<Ear>,
    /// Who asks by mDNS for programs of our kind, and where that was heard.
    pub(crate) callers: Vec<(IpAddr, String)>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) files: Option<Files>,
    /// How many nodes of this user run on this machine, or why that is unknown.
    pub(crate) neighbours: Option<Result<usize, String>>,
}

/// What an interface is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A cable or Wi-Fi, as far as one can tell.
    Lan,
    Loopback,
    Vpn,
    Container,
    /// Of virtual machines.
    Machines,
    /// Leads nowhere.
    Dummy,
}

/// An interface of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Its IPv4 addresses.
    pub(crate) links: Vec<Link>,
    /// Whether it has an IPv6 address that others of its network can use.
    pub(crate) ip6: bool,
    /// Whether it has a cable, or a network; unknown on some systems.
    pub(crate) carrier: Option<bool>,
    /// Whether it carries multicasts at all; unknown on some systems.
    pub(crate) multicast: Option<bool>,
}

/// By which interface packets leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Routes {
    /// To the world.
    pub(crate) default: Option<String>,
    /// To the group of mDNS, for programs that do not choose.
    pub(crate) multicast: Option<String>,
    /// For each network of ours: its interface, and the one by which packets to its hosts leave.
    pub(crate) networks: Vec<(String, Option<String>)>,
}

/// What could be seen of multicast on an interface without anybody's help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ear {
    pub(crate) interface: String,
    /// Why it could not be listened on.
    pub(crate) deaf: Option<String>,
    /// Why nothing could be sent.
    pub(crate) mute: Option<String>,
    /// Whether what was sent came back by way of this machine's own firewall.
    pub(crate) echo: bool,
    /// Whether anything of another host was heard.
    pub(crate) others: bool,
}

/// Another node, or what was to be one.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) ip: IpAddr,
    /// Where it was heard by mDNS.
    pub(crate) found_on: Option<String>,
    /// What became of each of its addresses.
    pub(crate) dials: Vec<(Multiaddr, Result<Met, Unmet>)>,
    /// The interface of this machine that leads to it.
    pub(crate) here: Option<String>,
    /// Whether it is on the network of that interface.
    pub(crate) on_link: bool,
    pub(crate) who: Option<Result<Who, NoHelp>>,
    /// How far its clock is ahead, in milliseconds.
    pub(crate) clock_ahead_ms: Option<i64>,
    pub(crate) exchange: Option<Exchange>,
    pub(crate) backs: Vec<Back>,
}

/// Why a peer did not help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoHelp {
    /// It cannot: an older program.
    Unknown,
    /// It does not want to.
    Refused(Refusal),
    /// The connection did not last.
    Lost(String),
}

/// Multicast between this machine and a peer, both ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// The interface of this machine that leads to it, on which was sent.
    pub(crate) here: String,
    pub(crate) mute_here: Option<String>,
    pub(crate) echo_here: bool,
    /// The interfaces of this machine on which it was heard.
    pub(crate) heard_here: Vec<String>,
    /// What it says of its side.
    pub(crate) there: Heard,
}

/// A peer's way to a port of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Back {
    pub(crate) via: Via,
    pub(crate) port: u16,
    /// What the peer says.
    pub(crate) outcome: Outcome,
    /// Whether it came; `None` where somebody else has the port.
    pub(crate) came: Option<bool>,
}

/// The profile's files.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) dir: PathBuf,
    /// Whether the directory is there.
    pub(crate) exists: bool,
    /// Why it, or what it would be made in, cannot be written.
    pub(crate) unwritable: Option<String>,
    /// How much space is free, in bytes.
    pub(crate) free: Option<u64>,
    pub(crate) key: Key,
    pub(crate) history: History,
    /// Histories that were moved aside, for they could not be used.
    pub(crate) aside: Vec<PathBuf>,
    /// A process that has the profile, as far as it says who it is.
    pub(crate) in_use: Option<Option<u32>>,
}

/// The author's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Absent,
    Good,
    /// Others of this machine can read it; its mode.
    Open(u32),
    /// It cannot be read, or is none.
    Bad(String),
}

impl Observed {
    pub(crate) fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }

    pub(crate) fn ear(&self, name: &str) -> Option<&Ear> {
        self.ears.iter().find(|ear| ear.interface == name)
    }

    /// The interfaces on which people could be.
    pub(crate) fn lans(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.iter().filter(|interface| interface.kind == Kind::Lan && !interface.links.is_empty())
    }
}

impl Interface {
    /// Whether others can be behind it, whatever it is.
    pub(crate) fn is_outside(&self) -> bool {
        self.kind != Kind::Loopback
    }
}

impl Kind {
    /// In words, with an article.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Lan => "a network interface",
            Self::Loopback => "the loopback interface",
            Self::Vpn => "the interface of a VPN",
            Self::Container => "a network of containers",
            Self::Machines => "a network of virtual machines",
            Self::Dummy => "an interface that leads nowhere",
        }
    }
}

impl Peer {
    /// The first meeting that succeeded.
    pub(crate) fn met(&self) -> Option<&Met> {
        self.dials.iter().find_map(|(_, met)| met.as_ref().ok())
    }
}

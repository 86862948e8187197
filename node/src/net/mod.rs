//! The network: one task owns the libp2p swarm, everything else holds a [`Network`].
//!
//! # What goes in
//! Rooms [`Network::join`] with an inbox, send requests to peers, publish gossip frames and give their verdict on those of
//! others. None of this waits for the network: what does not fit into a queue is dropped and counted, and anti-entropy
//! makes up for it. [`Network::join`], [`Network::leave`] and [`Network::connect`] wait for the task to take note.
//!
//! # What comes out
//! [`NetInput`]s into the rooms' inboxes, [`NetEvent`]s for people. The task never waits for a reader. What a room must not
//! miss, peers and answers, is kept for it until its inbox has space; there are no more of these than peers and requests.
//!
//! # Parts
//! * [`swarm`] is the task, [`events`] what it does with what libp2p tells it, [`requests`] how it
//!   passes on questions and answers, [`mod@start`] how it comes to be, [`kept`] how it comes to be again after a
//!   crash, [`deaf`] how it listens again, [`farewell`] how it ends;
//! * [`behaviour`], [`transport`], [`codec`], [`gossip`] are the protocols and how they are set up,
//!   [`muxer`] makes streams of a TCP connection, and [`frames`] looks at what is on them;
//! * [`mdns`] finds others on the LAN;
//! * [`route`] decides which room gets what, and [`fair`] in which order; [`inbox`] is where it goes and what wakes the room;
//!   [`peers`] knows who is connected;
//! * [`allowance`] and [`budget`] are what a peer's answers may cost, and [`gossip`] has what members may say by it;
//! * [`dial`] decides whom to dial and when, [`address`] what can be dialled at all,
//!   [`ends`] ends what leads nowhere any more;
//! * [`rundir`] is where nodes of one machine meet; [`mod@offline`] stands in where there is to be no network;
//! * [`probe`] finds out what is between two nodes, [`probed`] is how the task helps others to.

mod address;
mod admission;
mod allowance;
mod behaviour;
mod budget;
mod codec;
mod counters;
mod deaf;
mod dial;
mod door;
mod ends;
mod entered;
mod error;
mod events;
mod fair;
mod farewell;
mod foreign;
mod frames;
mod gossip;
mod inbox;
mod kept;
mod leaving;
mod limits;
mod mdns;
mod muxer;
mod offline;
mod origin;
mod own;
mod peers;
pub mod probe;
mod probed;
mod requests;
mod route;
mod rundir;
mod start;
mod swarm;
mod transport;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc};

use distchat_crdt::{
    AuthorId, RoomId, Topic,
    sync::{GossipKey, Request, Response, Verdict},
};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use budget::Offence;
pub use counters::Counters;
pub use error::ConnectError;
pub(crate) use error::{Closed, NetError, RequestError};
pub(crate) use gossip::{GossipTicket, MAX_TOPICS};
pub(crate) use inbox::{Doorbell, Inbox, InputSender, Inputs, inputs};
pub(crate) use offline::offline;
pub(crate) use rundir::look as neighbours;
pub(crate) use start::start;

use counters::Counting;
use entered::Entered;
use own::Publisher;
use route::Outgoing;

/// How the network part is set up.
#[derive(Clone, Debug, Default)]
pub(crate) struct NetConfig {
    /// Where to listen. Empty: TCP and QUIC on all IPv4 interfaces, on ports that the system chooses.
    pub(crate) listen: Vec<Multiaddr>,
    /// Whom to connect to, always.
    pub(crate) connect: Vec<Multiaddr>,
    /// Whether to find others on the LAN by mDNS.
    pub(crate) mdns: bool,
    /// Where to find others on this machine.
    pub(crate) run_dir: Option<PathBuf>,
}

/// What a room hears from the network.
#[derive(Debug)]
pub(crate) enum NetInput {
    /// A peer that speaks the protocol is connected. Whether it is in the room is for the room to find out.
    PeerUp {
        /// Who.
        peer: PeerId,
    },
    /// It is connected no longer.
    PeerDown {
        /// Who.
        peer: PeerId,
    },
    /// A gossip frame of this room's topic. It wants a [`Network::verdict`] at once.
    Gossip {
        /// Who passed it on, which need not be its author.
        from: PeerId,
        /// For the verdict.
        ticket: GossipTicket,
        /// At most [`MAX_GOSSIP`](distchat_crdt::sync::MAX_GOSSIP) bytes, opened.
        frame: Vec<u8>,
    },
    /// A request to this room. A hello has this room's part only. Dropping the reply says "busy".
    Request {
        /// Who asks.
        peer: PeerId,
        /// What.
        request: Request,
        /// About how many bytes the answer may have.
        room_for: usize,
        /// Where the answer goes.
        reply: oneshot::Sender<Response>,
    },
    /// The answer to a request of this room.
    Response {
        /// Who was asked.
        peer: PeerId,
        /// The request's id, as the room gave it.
        id: u64,
        /// The answer; the one to a hello has this room's part only.
        response: Result<Response, RequestError>,
    },
}

/// What a person may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NetEvent {
    /// A peer that speaks the protocol is connected.
    Connected {
        /// Who.
        peer: PeerId,
        /// Where, as seen from here.
        address: Multiaddr,
    },
    /// It is connected no longer.
    Disconnected {
        /// Who.
        peer: PeerId,
        /// Where it was.
        address: Multiaddr,
    },
    /// Something is not as it should be.
    Warning {
        /// A short name for programs.
        code: &'static str,
        /// What it is and what to do, for people.
        message: String,
    },
    /// [`Network::listeners`] has changed.
    ListenersChanged,
}

/// What the task is asked to do.
#[derive(Debug)]
enum Command {
    Connect {
        address: Multiaddr,
        done: oneshot::Sender<Result<(), ConnectError>>,
    },
    Join {
        topic: Topic,
        key: GossipKey,
        inbox: Inbox,
        joined: oneshot::Sender<u32>,
    },
    Leave {
        handle: u32,
    },
    Request(Outgoing),
    Charge {
        peer: PeerId,
        offence: Offence,
    },
    Subscribers {
        done: oneshot::Sender<Vec<(Topic, Vec<PeerId>)>>,
    },
    #[cfg(test)]
    Crash,
}

/// What a room has found of a frame. A queue of its own, so that a flood of frames does not keep requests out.
#[derive(Debug)]
struct Judged {
    ticket: GossipTicket,
    verdict: Verdict,
    new: usize,
}

/// A handle to the network task.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    me: PeerId,
    commands: mpsc::Sender<Command>,
    judged: mpsc::Sender<Judged>,
    publisher: Publisher,
    listeners: watch::Receiver<Vec<Multiaddr>>,
    peers: watch::Receiver<Vec<(PeerId, Multiaddr)>>,
    counting: Arc<Counting>,
    entered: Entered,
}

impl Network {
    /// This process's peer id. Another one after every start.
    pub(crate) fn peer_id(&self) -> PeerId {
        self.me
    }

    /// Where others can connect to, each address with the peer id.
    pub(crate) fn listeners(&self) -> Vec<Multiaddr> {
        self.listeners.borrow().clone()
    }

    /// The connected peers that speak the protocol, and where they are.
    pub(crate) fn peers(&self) -> Vec<(PeerId, Multiaddr)> {
        self.peers.borrow().clone()
    }

    /// Keeps a connection to this address from now on. Returns before it is there.
    ///
    /// # Errors
    /// If the address is not one to dial.
    pub(crate) async fn connect(&self, address: Multiaddr) -> Result<(), ConnectError> {
        let (done, result) = oneshot::channel();
        self.commands.send(Command::Connect { address, done }).await.map_err(|_| ConnectError::Closed)?;
        result.await.map_err(|_| ConnectError::Closed)?
    }

    /// Takes part in a room's topic. The inbox hears of every connected peer at once, unless the room is parked. Returns the
    /// handle by which peers call this room in what they ask of it.
    ///
    /// # Errors
    /// If the network part has ended.
    pub(crate) async fn join(&self, room: &RoomId, inbox: Inbox) -> Result<u32, Closed> {
        let (joined, handle) = oneshot::channel();
        let (topic, key) = (room.topic(), GossipKey::of(room));
        self.commands.send(Command::Join { topic, key, inbox, joined }).await.map_err(|_| Closed)?;
        handle.await.map_err(|_| Closed)
    }

    /// Ends taking part. A room whose inbox is gone is let go without this, though not at once.
    pub(crate) async fn leave(&self, handle: u32) {
        // A network that has ended has no rooms to leave.
        let _ = self.commands.send(Command::Leave { handle }).await;
    }

    /// Sends a request of the room with this (own) handle. The answer comes as [`NetInput::Response`] with the same id,
    /// unless the queue is full or the task is gone: then nothing comes, and the request is counted as dropped.
    pub(crate) fn request(&self, handle: u32, peer: PeerId, id: u64, request: Request) {
        let command = Command::Request(Outgoing { handle, peer, id, request });
        if self.commands.try_send(command).is_err() {
            self.counting.requests_dropped.add();
        }
    }

    /// Tells everybody in the room, as far as they can be reached then, as soon as they would take it. It is sealed here, and
    /// not by the network's task, which has enough to do.
    pub(crate) fn publish(&self, room: &RoomId, frame: &[u8]) {
        let Some(sealed) = GossipKey::of(room).seal(frame) else { return self.counting.publish_dropped.add() };
        if !self.publisher.publish(room.topic(), sealed) {
            self.counting.publish_left.add();
        }
    }

    /// Says what becomes of a frame, and how many bytes of it were new. Without it, the frame is not passed on.
    pub(crate) fn verdict(&self, ticket: GossipTicket, verdict: Verdict, new: usize) {
        if self.judged.try_send(Judged { ticket, verdict, new }).is_err() {
            self.counting.verdicts_dropped.add();
        }
    }

    /// Notes that a peer has entered the room with this (own) handle, as that author: from here on, what it asks of the room
    /// gets there.
    pub(crate) fn entered(&self, handle: u32, peer: PeerId, author: AuthorId) {
        self.entered.note(peer, handle, author);
    }

    /// Notes that a peer is not in that room any more. If it has come back meanwhile it enters again.
    pub(crate) fn left(&self, handle: u32, peer: &PeerId) {
        self.entered.take_out(peer, handle);
    }

    /// Charges a peer for bytes that no correct program sends. After some charges it is disconnected and refused.
    pub(crate) fn charge(&self, peer: PeerId, offence: Offence) {
        if self.commands.try_send(Command::Charge { peer, offence }).is_err() {
            self.counting.charges_dropped.add();
        }
    }

    /// The topics that connected peers subscribe to, with the peers of each.
    ///
    /// # Errors
    /// If the network part has ended.
    pub(crate) async fn subscribers(&self) -> Result<Vec<(Topic, Vec<PeerId>)>, Closed> {
        let (done, subscribers) = oneshot::channel();
        self.commands.send(Command::Subscribers { done }).await.map_err(|_| Closed)?;
        subscribers.await.map_err(|_| Closed)
    }

    /// Makes the task panic.
    #[cfg(test)]
    pub(crate) async fn crash(&self) {
        self.commands.send(Command::Crash).await.unwrap();
    }

    /// What was dropped, refused or wrong so far. The log has it too, every minute in which something was.
    pub(crate) fn counters(&self) -> Counters {
        self.counting.snapshot()
    }
}

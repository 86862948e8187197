//! What a node speaks: gossip, sync, and what keeps connections in order.

use std::{sync::Arc, time::Duration};

use libp2p::{
    allow_block_list::{self, BlockedPeers},
    connection_limits::{self, ConnectionLimits},
    identify,
    identity::Keypair,
    ping,
    request_response::{self, ProtocolSupport},
    swarm::NetworkBehaviour,
};

use super::{
    admission::Admission,
    codec::{self, Codec},
    counters::Counting,
    entered::Entered,
    gossip::Gossip,
    probe::{self, ProbeCodec},
    transport::PING_INTERVAL,
};

/// What identify calls this family of protocols.
const PROTOCOL_VERSION: &str = "/distchat/1";
/// How long a request may take, the reading of the answer included.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// How many connections it opens itself. [`super::admission`] bounds those that others open.
const MAX_DIALLED: u32 = 64;
/// How many requests are open on a connection, both ways together.
const MAX_REQUESTS: usize = 64;
/// How long a ping may take. [`super::transport`] ends connections that give no sign of life for longer.
const PING_TIMEOUT: Duration = Duration::from_secs(6);
/// Never for idleness: a quiet room is not a reason to part.
pub(super) const IDLE: Duration = Duration::from_secs(365 * 24 * 3600);

/// The parts that decide whether a connection is accepted come first: those behind them take note of it at once, and
/// would keep the note of one that is then denied.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    admission: Admission,
    limits: connection_limits::Behaviour,
    pub(super) refused: allow_block_list::Behaviour<BlockedPeers>,
    pub(super) gossip: Gossip,
    pub(super) sync: request_response::Behaviour<Codec>,
    pub(super) probe: request_response::Behaviour<ProbeCodec>,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

impl Behaviour {
    pub(super) fn new(keypair: &Keypair, entered: Entered, counting: Arc<Counting>) -> Result<Self, String> {
        let limits = ConnectionLimits::default()
            .with_max_pending_incoming(Some(64))
            .with_max_pending_outgoing(Some(32))
            .with_max_established_outgoing(Some(MAX_DIALLED))
            .with_max_established_per_peer(Some(4));
        let identify = identify::Config::new(PROTOCOL_VERSION.to_owned(), keypair.public())
            .with_agent_version(concat!("distchat/", env!("CARGO_PKG_VERSION")).to_owned())
            .with_push_listen_addr_updates(true)
            // Other people's claims about their addresses are never dialled, so none are kept.
            .with_cache_size(0);
        let sync = request_response::Config::default()
            .with_request_timeout(REQUEST_TIMEOUT)
            .with_max_concurrent_streams(MAX_REQUESTS);
        Ok(Self {
            admission: Admission::new(entered, counting, rand::random()),
            limits: connection_limits::Behaviour::new(limits),
            refused: allow_block_list::Behaviour::default(),
            gossip: Gossip::new()?,
            sync: request_response::Behaviour::with_codec(
                Codec::default(),
                [(codec::protocol(), ProtocolSupport::Full)],
                sync,
            ),
            probe: request_response::Behaviour::with_codec(
                ProbeCodec,
                [(probe::protocol(), ProtocolSupport::Full)],
                request_response::Config::default()
                    .with_request_timeout(REQUEST_TIMEOUT)
                    .with_max_concurrent_streams(4),
            ),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT)),
        })
    }
}

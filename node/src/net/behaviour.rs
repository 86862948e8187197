//! What a node speaks: gossip, sync, and what keeps connections in order.

use std::{sync::Arc, time::Duration};

use libp2p::{
    allow_block_list::{self, BlockedPeers},
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
    limits::Limits,
    probe::{self, ProbeCodec},
    transport::PING_INTERVAL,
};

/// What identify calls this family of protocols.
const PROTOCOL_VERSION: &str = "/distchat/1";
/// How long a request may take, the reading of the answer included.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// How many requests are open on a connection, both ways together.
const MAX_REQUESTS: usize = 64;
/// How long a ping may take. [`super::transport`] ends connections that give no sign of life for longer.
const PING_TIMEOUT: Duration = Duration::from_secs(6);
/// Never for idleness: a quiet room is not a reason to part.
pub(super) const IDLE: Duration = Duration::from_secs(365 * 24 * 3600);

/// The parts that decide whether a connection is accepted come first: those behind them take note of it at once, and
/// would keep the note of one that is then denied. Of those that decide admission is the last: somebody may have to go for
/// whom it lets in, so nobody behind it may deny.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) refused: allow_block_list::Behaviour<BlockedPeers>,
    limits: Limits,
    admission: Admission,
    pub(super) gossip: Gossip,
    pub(super) sync: request_response::Behaviour<Codec>,
    pub(super) probe: request_response::Behaviour<ProbeCodec>,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

impl Behaviour {
    pub(super) fn new(keypair: &Keypair, entered: Entered, counting: Arc<Counting>) -> Result<Self, String> {
        let identify = identify::Config::new(PROTOCOL_VERSION.to_owned(), keypair.public())
            .with_agent_version(concat!("distchat/", env!("CARGO_PKG_VERSION")).to_owned())
            .with_push_listen_addr_updates(true)
            // Other people's claims about their addresses are never dialled, so none are kept.
            .with_cache_size(0);
        let sync = request_response::Config::default()
            .with_request_timeout(REQUEST_TIMEOUT)
            .with_max_concurrent_streams(MAX_REQUESTS);
        Ok(Self {
            refused: allow_block_list::Behaviour::default(),
            limits: Limits::new(Arc::clone(&counting)),
            admission: Admission::new(entered, counting, rand::random()),
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

#[cfg(test)]
mod tests {
    use libp2p::{
        Multiaddr, PeerId,
        core::ConnectedPoint,
        swarm::{ConnectionId, FromSwarm, behaviour::ConnectionEstablished},
    };

    use super::{super::admission::MAX_GUESTS, *};

    /// A node to which others come, each from an address of its own.
    struct Besieged {
        behaviour: Behaviour,
        counting: Arc<Counting>,
        came: usize,
    }

    impl Besieged {
        fn begin() -> Self {
            let counting = Arc::<Counting>::default();
            let keypair = Keypair::generate_ed25519();
            let behaviour = Behaviour::new(&keypair, Entered::default(), Arc::clone(&counting)).unwrap();
            let mut besieged = Self { behaviour, counting, came: 0 };
            for _ in 0..MAX_GUESTS {
                assert!(besieged.comes(PeerId::random()));
            }
            assert_eq!(besieged.evicted(), 0);
            besieged
        }

        /// Whether it is let in.
        fn comes(&mut self, peer: PeerId) -> bool {
            let from = format!("/ip4/10.0.{}.{}/tcp/1", self.came / 256, self.came % 256);
            let (local_addr, send_back_addr) = ("/ip4/10.1.0.1/tcp/1".parse().unwrap(), from.parse().unwrap());
            let connection_id = ConnectionId::new_unchecked(self.came);
            self.came += 1;
            let accepted =
                self.behaviour.handle_established_inbound_connection(connection_id, peer, &local_addr, &send_back_addr);
            if accepted.is_err() {
                return false;
            }
            let failed_addresses: &[Multiaddr] = &[];
            self.behaviour.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id: peer,
                connection_id,
                endpoint: &ConnectedPoint::Listener { local_addr, send_back_addr },
                failed_addresses,
                other_established: 0,
            }));
            true
        }

        /// How many had to make way.
        fn evicted(&self) -> u64 {
            self.counting.snapshot().evicted
        }
    }

    #[test]
    fn who_is_refused_displaces_nobody() {
        let (mut besieged, refused) = (Besieged::begin(), PeerId::random());
        besieged.behaviour.refused.block_peer(refused);
        for _ in 0..100 {
            assert!(!besieged.comes(refused));
        }
        assert_eq!(besieged.evicted(), 0);
        assert!(besieged.comes(PeerId::random()), "for others there is a place");
        assert_eq!(besieged.evicted(), 1);
    }

    #[test]
    fn who_has_too_many_connections_displaces_nobody() {
        let (mut besieged, one) = (Besieged::begin(), PeerId::random());
        let let_in = (0..100).filter(|_| besieged.comes(one)).count() as u64;
        assert_eq!((let_in, besieged.evicted()), (4, 4));
    }
}

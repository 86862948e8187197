//! Programs that are not this one: some speak something else, some mean harm.

use std::{io, sync::Arc};

use distchat_crdt::sync::{Have, Refusal, Request, Response};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, identify,
    identity::Keypair,
    ping,
    request_response::{self, Event, Message, ProtocolSupport},
    swarm::{NetworkBehaviour, SwarmEvent},
};

use super::help::{Node, quiet, soon, until};
use crate::net::{NetInput, RequestError, codec, ends::Ends, transport};

/// Sends and answers whatever bytes it is told to.
#[derive(Clone, Default)]
struct Raw;

impl request_response::Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        p: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        self.read_request(p, io).await
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        p: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        self.write_request(p, io, bytes).await
    }
}

#[derive(NetworkBehaviour)]
struct Strange {
    sync: request_response::Behaviour<Raw>,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

fn stranger(protocol: StreamProtocol) -> Swarm<Strange> {
    let keypair = Keypair::generate_ed25519();
    let behaviour = Strange {
        sync: request_response::Behaviour::new([(protocol, ProtocolSupport::Full)], Default::default()),
        identify: identify::Behaviour::new(identify::Config::new("/strange/1".to_owned(), keypair.public())),
        ping: ping::Behaviour::default(),
    };
    let config =
        libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(super::super::behaviour::IDLE);
    Swarm::new(
        transport::build(&keypair, Ends::default(), Arc::default()).unwrap(),
        behaviour,
        keypair.public().to_peer_id(),
        config,
    )
}

/// Dials and waits until the node has said what it speaks.
async fn connect(swarm: &mut Swarm<Strange>, address: Multiaddr) {
    swarm.dial(address).unwrap();
    soon("identification", async {
        loop {
            if let SwarmEvent::Behaviour(StrangeEvent::Identify(identify::Event::Sent { .. })) =
                swarm.select_next_some().await
            {
                break;
            }
        }
    })
    .await;
}

/// Sends bytes and returns the answer; `None` if the connection ends instead.
async fn ask(swarm: &mut Swarm<Strange>, peer: PeerId, bytes: &[u8]) -> Option<Vec<u8>> {
    swarm.behaviour_mut().sync.send_request(&peer, bytes.to_vec());
    soon("an answer", async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::Behaviour(StrangeEvent::Sync(Event::Message {
                    message: Message::Response { response, .. },
                    ..
                })) => return Some(response),
                SwarmEvent::Behaviour(StrangeEvent::Sync(Event::OutboundFailure { .. }))
                | SwarmEvent::ConnectionClosed { .. } => return None,
                _ => {}
            }
        }
    })
    .await
}

#[tokio::test]
async fn malformed_requests_are_charged_and_in_the_end_refused() {
    let mut node = Node::start(quiet()).await;
    let mut swarm = stranger(codec::protocol());
    connect(&mut swarm, node.address()).await;
    let refused = codec::encode(&Response::Refused(Refusal::Malformed)).unwrap();
    let unknown = codec::encode(&Response::Refused(Refusal::Unknown)).unwrap();
    for n in 0..8 {
        let garbage = [&[0, 0, 0, 3][..], &[0xff, n, 1]].concat();
        assert_eq!(ask(&mut swarm, node.id(), &garbage).await.as_deref(), Some(&refused[..]), "{n}");
        // A good one costs nothing.
        let good = codec::encode(&Request::Have(Have { handle: 5, keys: Default::default() })).unwrap();
        assert_eq!(ask(&mut swarm, node.id(), &good).await.as_deref(), Some(&unknown[..]), "{n}");
    }
    // An announced length beyond the limit, not followed by anything.
    ask(&mut swarm, node.id(), &[0xff; 4]).await;
    let counters = node.net.counters();
    assert_eq!((counters.malformed, counters.charged, counters.refused), (9, 9, 1));
    assert_eq!(node.warning().await.0, "peer-refused");
    until_gone(&mut swarm, node.id()).await;
    swarm.dial(node.address()).unwrap();
    soon("refusal", async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => break,
                _ => {}
            }
        }
    })
    .await;
    assert!(node.net.peers().is_empty());
}

async fn until_gone(swarm: &mut Swarm<Strange>, peer: PeerId) {
    soon("the end of the connection", async {
        while swarm.is_connected(&peer) {
            swarm.select_next_some().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_malformed_answer_is_charged_and_the_room_hears_of_it() {
    let node = Node::start(quiet()).await;
    let mut room = node.join(1).await;
    let mut swarm = stranger(codec::protocol());
    let id = *swarm.local_peer_id();
    connect(&mut swarm, node.address()).await;
    let answers = tokio::spawn(async move {
        loop {
            if let SwarmEvent::Behaviour(StrangeEvent::Sync(Event::Message {
                message: Message::Request { channel, .. },
                ..
            })) = swarm.select_next_some().await
            {
                swarm.behaviour_mut().sync.send_response(channel, vec![0, 0, 0, 1, 0xff]).unwrap();
            }
        }
    });
    assert_eq!(room.up().await, id);
    node.net.request(room.handle, id, 1, Request::Have(Have { handle: 1, keys: Default::default() }));
    assert!(matches!(room.next().await, NetInput::Response { id: 1, response: Err(RequestError::Malformed), .. }));
    assert_eq!(node.net.counters().malformed, 1);
    answers.abort();
}

#[tokio::test]
async fn another_kind_of_program_is_sent_away() {
    let node = Node::start(quiet()).await;
    let mut room = node.join(1).await;
    let mut swarm = stranger(StreamProtocol::new("/strange/sync/1"));
    connect(&mut swarm, node.address()).await;
    until_gone(&mut swarm, node.id()).await;
    until("the count", || node.net.counters().foreign == 1).await;
    // That it is gone is told in any case: it might have asked something before it was known for a stranger.
    let heard = room.inputs.try_recv();
    assert!(matches!(heard, Err(_) | Ok(NetInput::PeerDown { .. })), "no room has heard that it is there");
    assert!(node.net.peers().is_empty());
}

//! How the task comes to be: keys, listeners, and the first moments.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};
use libp2p::{Multiaddr, Swarm, core::transport::ListenerId, identity::Keypair, multiaddr::Protocol};
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{
    NetConfig, NetError, NetEvent, Network,
    address::ip,
    behaviour::{Behaviour, IDLE},
    budget::Offences,
    counters::Counting,
    dial::Dialer,
    error::{io_cause, listen_error},
    peers::Peers,
    renewal::Renewal,
    route::Rooms,
    rundir,
    swarm::{Inputs, Outputs, Task},
    transport,
};

/// Where a node listens that was not told where. The first must do, the others may fail.
const DEFAULT_LISTEN: [&str; 2] = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"];
/// How long to wait for the first addresses, and how long for more of them.
const FIRST_ADDRESSES: Duration = Duration::from_secs(5);
const MORE_ADDRESSES: Duration = Duration::from_millis(30);
/// How many commands may wait. Requests bear up to a mebibyte each.
const COMMANDS: usize = 256;
/// How many gossip commands may wait. Frames bear up to 64 KiB each.
const GOSSIP: usize = 1024;
/// How many listings of the run directory may wait.
const LISTINGS: usize = 4;

/// Starts listening and the task.
///
/// `events` hears what a person may want to know, as far as it is read. The task ends when `shutdown` is cancelled; that
/// it ended otherwise is for the holder of the join handle to notice.
///
/// # Errors
/// If an address given in the configuration cannot be listened on or dialled, or if there is no network at all.
pub(crate) async fn start(
    config: NetConfig,
    events: mpsc::Sender<NetEvent>,
    shutdown: CancellationToken,
) -> Result<(Network, JoinHandle<()>), NetError> {
    let keypair = Keypair::generate_ed25519();
    let me = keypair.public().to_peer_id();
    let transport = transport::build(&keypair).map_err(NetError::Setup)?;
    let behaviour = Behaviour::new(&keypair, config.mdns).map_err(NetError::Setup)?;
    let settings = libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE);
    let (listeners_in, listeners) = watch::channel(Vec::new());
    let (peers_in, peers) = watch::channel(Vec::new());
    let counting = Arc::new(Counting::default());
    let mut task = Task {
        swarm: Swarm::new(transport, behaviour, me, settings),
        rooms: Rooms::default(),
        peers: Peers::default(),
        dialer: Dialer::new(me, rand::random()),
        dialing: BTreeMap::new(),
        sent: BTreeMap::new(),
        answers: FuturesUnordered::new(),
        offers: 0,
        offences: Offences::default(),
        listening: Vec::new(),
        renewal: Renewal::new(config.mdns),
        mdns_told: false,
        started: false,
        out: Outputs { events, listeners: listeners_in, peers: peers_in, counting: Arc::clone(&counting) },
    };
    for address in &config.connect {
        task.dialer.want(Instant::now(), address)?;
    }
    let waiting = listen(&mut task, &config.listen).await?;
    first_addresses(&mut task, waiting).await;
    if config.mdns {
        task.renew_mdns();
    }
    info!(peer = %me, listeners = ?listeners.borrow(), "listening");

    let (commands_in, commands) = mpsc::channel(COMMANDS);
    let (gossip_in, gossip) = mpsc::channel(GOSSIP);
    let (told_in, told) = mpsc::channel(LISTINGS);
    let dir = config.run_dir.map(|dir| rundir::run(dir, me, listeners.clone(), told_in, shutdown.clone()));
    let inputs = Inputs { commands, gossip, told, shutdown };
    let handle = tokio::spawn(async move {
        // In one task with the swarm, so that whoever awaits its end knows that the files are gone.
        match dir {
            Some(dir) => futures::join!(Box::pin(task.run(inputs)), tokio::spawn(dir)).0,
            None => Box::pin(task.run(inputs)).await,
        }
    });
    Ok((Network { me, commands: commands_in, gossip: gossip_in, listeners, peers, counting }, handle))
}

/// Starts the listeners. Returns those whose addresses are not known yet.
async fn listen(task: &mut Task, wanted: &[Multiaddr]) -> Result<Vec<ListenerId>, NetError> {
    let mut waiting = Vec::new();
    for address in wanted {
        probe(address).await?;
        waiting.push(task.swarm.listen_on(address.clone()).map_err(|error| listen_error(address, &error))?);
    }
    if !wanted.is_empty() {
        return Ok(waiting);
    }
    for (n, address) in DEFAULT_LISTEN.iter().enumerate() {
        let address: Multiaddr = address.parse().map_err(|error| NetError::Setup(format!("{error}")))?;
        match task.swarm.listen_on(address.clone()) {
            Ok(id) => waiting.push(id),
            Err(error) if n == 0 => return Err(listen_error(&address, &error)),
            Err(error) => task.out.warn("listen_failed", listen_error(&address, &error).to_string()),
        }
    }
    Ok(waiting)
}

/// Finds out whether a port is free. The TCP transport shares its ports (`SO_REUSEPORT`), so it would listen beside another
/// program of the same user without a word, and each would get some of the other's connections. The QUIC transport wraps
/// the system's error beyond recognition.
async fn probe(address: &Multiaddr) -> Result<(), NetError> {
    let Some(ip) = ip(address) else { return Ok(()) };
    let bound = match address.iter().nth(1) {
        Some(Protocol::Tcp(port)) if port != 0 => TcpListener::bind((ip, port)).await.map(drop),
        Some(Protocol::Udp(port)) if port != 0 => UdpSocket::bind((ip, port)).await.map(drop),
        _ => Ok(()),
    };
    bound.map_err(|error| NetError::Listen { address: address.clone(), cause: io_cause(&error) })
}

/// Waits until every listener has told an address: a node that starts without knowing its own tells nobody of them.
async fn first_addresses(task: &mut Task, waiting: Vec<ListenerId>) {
    let all = timeout(FIRST_ADDRESSES, async {
        while waiting.iter().any(|id| !task.listening.iter().any(|(listener, _)| listener == id)) {
            let event = task.swarm.select_next_some().await;
            task.on_swarm_event(event);
        }
    });
    if all.await.is_err() {
        debug!("some listeners have no address yet");
    }
    while let Ok(event) = timeout(MORE_ADDRESSES, task.swarm.select_next_some()).await {
        task.on_swarm_event(event);
    }
    task.started = true;
}

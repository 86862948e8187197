//! How the task comes to be: keys, listeners, and the first moments.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use libp2p::{Multiaddr, Swarm, Transport, core::transport::ListenerId, identity::Keypair, multiaddr::Protocol};
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
    allowance::Funds,
    behaviour::{Behaviour, IDLE},
    budget::Offences,
    counters::Counting,
    deaf::{Deaf, drains},
    dial::Dialer,
    door::Door,
    ends::Ends,
    entered::Entered,
    error::{io_cause, listen_error},
    foreign::Foreign,
    kept::{self, Kept},
    leaving::Leaving,
    mdns, own,
    peers::Peers,
    probed::Probed,
    route::Rooms,
    rundir,
    swarm::{Inputs, Outputs, Task},
    transport,
};

/// How long to wait for the first addresses, and how long for more of them: after the last event, and at most.
const FIRST_ADDRESSES: Duration = Duration::from_secs(5);
const MORE_ADDRESSES: Duration = Duration::from_millis(30);
const MORE_AT_MOST: Duration = Duration::from_secs(1);
/// How many commands may wait. Requests bear up to a mebibyte each.
const COMMANDS: usize = 256;
/// How many verdicts may wait.
const JUDGED: usize = 1024;
/// How many listings of the run directory may wait.
const LISTINGS: usize = 4;
/// How often mDNS may have found somebody before it is taken note of. What it finds has a pace.
const FINDS: usize = 16;

/// Starts listening and the task.
///
/// `events` hears what a person may want to know, as far as it is read. The task ends when `shutdown` is cancelled. If it
/// crashes it is started again; that it does so too often, and stays down, is for the holder of the join handle to notice.
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
    let (listeners_in, listeners) = watch::channel(Vec::new());
    let (peers_in, peers) = watch::channel(Vec::new());
    let counting = Arc::new(Counting::default());
    let out = Outputs { events, listeners: listeners_in, peers: peers_in, counting: Arc::clone(&counting) };
    let run_dir = config.run_dir.clone();
    let entered = Entered::default();
    let kept = Arc::new(Kept::new(keypair, config, out, entered.clone()));
    let task = Box::pin(task(&kept, kept.listen_first(), false)).await?;
    info!(peer = %me, listeners = ?listeners.borrow(), "listening");

    let (commands_in, commands) = mpsc::channel(COMMANDS);
    let (judged_in, judged) = mpsc::channel(JUDGED);
    let (publisher, publications) = own::queue();
    let (told_in, told) = mpsc::channel(LISTINGS);
    let (found_in, found) = mpsc::channel(FINDS);
    let dir = run_dir.map(|dir| rundir::run(dir, me, listeners.clone(), told_in, shutdown.clone()));
    let mdns = kept.mdns().then(|| {
        mdns::run(mdns::Surroundings {
            me,
            listeners: listeners.clone(),
            peers: peers.clone(),
            found: found_in,
            events: kept.out().events.clone(),
            counting: Arc::clone(&counting),
            shutdown: shutdown.clone(),
        })
    });
    let running = kept::keep(kept, task, Inputs { commands, judged, publications, told, found, shutdown });
    let beside = join_all(dir.map(tokio::spawn).into_iter().chain(mdns.map(tokio::spawn)));
    // In one task with the swarm, so that whoever awaits its end knows that the files are gone and nothing listens.
    let handle = tokio::spawn(async move { futures::join!(running, beside).0 });
    let network =
        Network { me, commands: commands_in, judged: judged_in, publisher, listeners, peers, counting, entered };
    Ok((network, handle))
}

/// A task that listens, in the rooms that have been joined so far; made anew after another one, or the first.
///
/// # Errors
/// As for [`start`].
pub(super) async fn task(kept: &Arc<Kept>, addresses: Vec<Multiaddr>, anew: bool) -> Result<Box<Task>, NetError> {
    let keypair = kept.keypair();
    let ends = Ends::default();
    let me = keypair.public().to_peer_id();
    let transport = transport::build(keypair, ends.clone(), kept.out().counting.clone()).map_err(NetError::Setup)?;
    let transport = Door::new(transport, kept.out().counting.clone()).boxed();
    let behaviour = Behaviour::new(keypair, kept.entered(), kept.out().counting.clone()).map_err(NetError::Setup)?;
    let settings = libp2p::swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(IDLE)
        // Or those beyond would wait with what they have brought.
        .with_max_negotiating_inbound_streams(transport::MAX_STREAMS);
    let mut task = Box::new(Task {
        swarm: Swarm::new(transport, behaviour, me, settings),
        rooms: Rooms::new(kept.entered()),
        peers: Peers::default(),
        dialer: Dialer::new(me, rand::random()),
        dialing: BTreeMap::new(),
        sent: BTreeMap::new(),
        answers: FuturesUnordered::new(),
        offers: 0,
        leaving: Leaving::default(),
        funds: Funds::default(),
        offences: Offences::default(),
        foreign: Foreign::default(),
        probed: Probed::default(),
        listening: Vec::new(),
        deaf: Vec::new(),
        ends,
        started: false,
        published: None,
        kept: kept.clone(),
        out: kept.out().clone(),
    });
    kept.restore(&mut task)?;
    let ids = listen(&mut task, &addresses, anew).await?;
    first_addresses(&mut task, ids.iter().flatten().copied().collect()).await;
    kept.listening(&addresses, &ids, &task.listening);
    Ok(task)
}

/// Starts the listeners: one for each address, but where an address that nobody has asked for does not work, or one of
/// before does not yet. Their own addresses are not known yet.
async fn listen(task: &mut Task, addresses: &[Multiaddr], anew: bool) -> Result<Vec<Option<ListenerId>>, NetError> {
    let asked_for = task.kept.asked_for();
    let mut ids = Vec::new();
    for (n, address) in addresses.iter().enumerate() {
        let id = match listen_on(task, address, asked_for).await {
            Ok(id) => Some(id),
            Err(error) if anew && drains(address) => {
                debug!(%error, "not yet");
                task.deaf.push(Deaf::new(Instant::now(), n, address.clone()));
                None
            }
            Err(error) if asked_for || n == 0 => return Err(error),
            Err(error) => {
                task.out.warn("listen-failed", error.to_string());
                None
            }
        };
        ids.push(id);
    }
    Ok(ids)
}

/// Starts a listener, if need be after a look whether its port is free.
pub(super) async fn listen_on(task: &mut Task, address: &Multiaddr, look: bool) -> Result<ListenerId, NetError> {
    if look {
        probe(address).await?;
    }
    task.swarm.listen_on(address.clone()).map_err(|error| listen_error(address, &error))
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
    // Strangers who come meanwhile are events, too: without an end to it they could keep this node from starting.
    let more = timeout(MORE_AT_MOST, async {
        while let Ok(event) = timeout(MORE_ADDRESSES, task.swarm.select_next_some()).await {
            task.on_swarm_event(event);
        }
    });
    if more.await.is_err() {
        debug!("so much happens that the own addresses may not all be known");
    }
    task.started = true;
}

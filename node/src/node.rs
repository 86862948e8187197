//! A node: the registry of its rooms, and everything they share.

mod registry;
mod rooms;

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use distchat_crdt::{AuthorId, RoomName, Signer, Zip215, clock::Clocks};
use futures::FutureExt;
use libp2p::{Multiaddr, PeerId};
use tokio::{
    sync::{OwnedMutexGuard, mpsc},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, DEFAULT_PROFILE, default_run_dir},
    disk,
    error::{RoomError, SearchError, StartError, StartErrorKind},
    event::{Event, EventHub, Events, PeerInfo, RoomInfo, RoomState},
    net::{self, ConnectError, Counters, NetConfig, NetEvent},
    profile::Profile,
    room::{self, Parked, Room, Shared, Slot, Wakes, check_nick},
    search::Found,
    store::{self, Question, Store},
    supervisor::{Order, Supervisor},
};
use registry::{MAX_ROOMS, Registry};
pub use rooms::{SeenRoom, StoredRoom};

/// How many events of the network, and how many orders to the supervisor, wait at once.
const QUEUE: usize = 256;

/// A running node. Cloning is cheap; the node runs until [`Node::shutdown`].
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::{Config, Node};
///
/// # let config = Config { memory: true, offline: true, ..Config::default() };
/// let node = Node::start(config).await?;
/// node.open_room(&"general".parse()?).await?.broadcast("hello").await?;
///
/// let elsewhere = node.clone(); // the same node
/// let room = elsewhere.room(&"general".parse()?).ok_or("it is open")?;
/// assert_eq!(room.messages(10).await?.len(), 1);
/// node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    profile: String,
    directory: Option<PathBuf>,
    author: AuthorId,
    warnings: Vec<String>,
    /// Held, for its lock, until the node has shut down.
    locked: Mutex<Option<Profile>>,
    shared: Arc<Shared>,
    /// The rooms that are open. The watch over the network has it, too.
    rooms: Arc<Mutex<Registry>>,
    /// Held while a room is opened or left, so that two calls do not do it twice, and none goes on behind the node's end.
    opening: Arc<tokio::sync::Mutex<()>>,
    starts: mpsc::Sender<Order>,
    restarts: mpsc::Sender<Arc<Slot>>,
    stop: CancellationToken,
    stop_network: CancellationToken,
    life: tokio::sync::Mutex<Life>,
}

/// How far a node is.
enum Life {
    Runs(Tasks),
    /// Shutting down goes on in a task of its own: whoever waits for it may stop to, and the next one waits on.
    Ends(JoinHandle<()>),
    Ended,
}

/// What runs until the node shuts down.
struct Tasks {
    supervisor: JoinHandle<()>,
    network: JoinHandle<()>,
    disk: JoinHandle<()>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("profile", &self.profile())
            .field("peer_id", &self.peer_id())
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Starts a node: opens its profile and history, and joins the network. No room is open yet.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Node};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let config = Config { data_dir: Some(directory.path().into()), offline: true, ..Config::default() };
    /// let node = Node::start(config.clone()).await?;
    /// node.open_room(&"general".parse()?).await?.broadcast("remember me").await?;
    /// node.shutdown().await;
    ///
    /// let node = Node::start(config).await?;
    /// let room = node.open_room(&"general".parse()?).await?;
    /// assert_eq!(room.messages(10).await?[0].text, "remember me");
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the profile is in use or its name or the nick is none, the key or the history cannot be used, or an address cannot
    /// be listened on.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one without I/O and time. The node's tasks run in that runtime, which must live as
    /// long.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if let Some(nick) = &config.nick {
            check_nick(nick)?;
        }
        let (memory, name, data_dir) = (config.memory, config.profile.clone(), config.data_dir.clone());
        let opened = tokio::task::spawn_blocking(move || open(memory, &name, data_dir)).await;
        let (profile, store, told) = opened.map_err(|_| StartErrorKind::Thread)??;
        let events = EventHub::new();

        let run_dir = config.same_machine.then(|| config.run_dir.clone().unwrap_or_else(default_run_dir));
        let net_config = NetConfig { listen: config.listen, connect: config.connect, mdns: config.mdns, run_dir };
        let (net_events, net_event_receiver) = mpsc::channel(QUEUE);
        let stop_network = CancellationToken::new();
        let started = if config.offline {
            Ok(net::offline(stop_network.clone()))
        } else {
            net::start(net_config, net_events, stop_network.clone()).await
        };
        let (network, network_task) = match started {
            Ok(started) => started,
            Err(error) => {
                store.close().await;
                return Err(error.into());
            }
        };

        let default_nick =
            (config.profile != DEFAULT_PROFILE).then(|| config.profile.chars().take(crate::room::MAX_NICK).collect());
        let shared = Arc::new(Shared {
            store,
            network,
            events,
            signer: Arc::new(profile.key().clone()),
            verifier: Arc::new(Zip215::new(rand::random())),
            epoch: Instant::now(),
            wakes: Wakes::default().into(),
            told_clock: Mutex::new(None),
            proven: Mutex::new(BTreeMap::new()),
            nick: config.nick.map(|nick| nick.trim().to_owned()),
            default_nick,
            room_limit: config.room_limit,
        });
        let (stop, rooms) = (CancellationToken::new(), Arc::new(Mutex::new(Registry::default())));
        let (starts, start_receiver) = mpsc::channel(QUEUE);
        let (restarts, restart_receiver) = mpsc::channel(QUEUE);
        let supervisor = Supervisor::new(shared.clone()).run(start_receiver, restart_receiver, stop.clone());
        let tasks = Tasks {
            supervisor: tokio::spawn(supervisor),
            network: tokio::spawn(watch_network(
                network_task,
                net_event_receiver,
                shared.clone(),
                rooms.clone(),
                stop_network.clone(),
            )),
            disk: tokio::spawn(disk::watch(shared.clone(), stop.clone())),
        };
        Ok(Self(Arc::new(Inner {
            profile: profile.name().to_owned(),
            directory: profile.dir().map(Path::to_owned),
            author: profile.key().author(),
            warnings: [profile.warnings(), &told].concat(),
            locked: Mutex::new(Some(profile)),
            shared,
            rooms,
            opening: Arc::default(),
            starts,
            restarts,
            stop,
            stop_network,
            life: tokio::sync::Mutex::new(Life::Runs(tasks)),
        })))
    }

    /// The author whose key this node's profile holds.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// let message = room.broadcast("hello").await?;
    /// assert_eq!(message.author, node.author());
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn author(&self) -> AuthorId {
        self.0.author
    }

    /// The node's transport identity, fresh for every process.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Node};
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
    /// let address = node.listeners().remove(0).to_string();
    /// assert!(address.ends_with(&format!("/p2p/{}", node.peer_id())));
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn peer_id(&self) -> PeerId {
        self.0.shared.network.peer_id()
    }

    /// The profile's name.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Node};
    ///
    /// let config = Config { profile: "alice".into(), memory: true, offline: true, ..Config::default() };
    /// let node = Node::start(config).await?;
    /// assert_eq!(node.profile(), "alice");
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn profile(&self) -> &str {
        &self.0.profile
    }

    /// Where the profile is kept; `None` in memory. It is this process's alone while the node runs, so a client may keep
    /// there what belongs to the profile, such as how far its user has read.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Node};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let config = Config { data_dir: Some(directory.path().into()), offline: true, ..Config::default() };
    /// let node = Node::start(config.clone()).await?;
    /// assert_eq!(node.directory().map(Into::into), config.directory()?);
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn directory(&self) -> Option<&Path> {
        self.0.directory.as_deref()
    }

    /// What a person should know about the profile: permissions that were tightened, a key that was made anew. What was found
    /// of a history that was damaged is kept until this is asked for the first time: a start that fails before that, or whose
    /// process is killed, has the next one tell it.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Node};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let config = Config { data_dir: Some(directory.path().into()), offline: true, ..Config::default() };
    /// let node = Node::start(config.clone()).await?;
    /// assert!(node.warnings().is_empty());
    /// let key = node.directory().ok_or("on disk")?.join("key");
    /// node.shutdown().await;
    ///
    /// std::fs::remove_file(key)?;
    /// let node = Node::start(config).await?;
    /// assert!(node.warnings()[0].ends_with("was gone: you are a new author now"));
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn warnings(&self) -> &[String] {
        self.0.shared.store.told();
        &self.0.warnings
    }

    /// Where the node listens; each address ends in `/p2p/` and the peer id, ready for [`Node::connect`] elsewhere.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Event, Node};
    ///
    /// # let config = |profile: &str| Config {
    /// #     profile: profile.into(),
    /// #     memory: true,
    /// #     mdns: false,
    /// #     same_machine: false,
    /// #     listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
    /// #     ..Config::default()
    /// # };
    /// let [alice, bob] = [Node::start(config("alice")).await?, Node::start(config("bob")).await?];
    /// let mut events = alice.events();
    /// for address in bob.listeners() {
    ///     alice.connect(address).await?;
    /// }
    /// let Some(Event::Peer { peer_id, .. }) = events.next().await else { return Err("nobody".into()) };
    /// assert_eq!(peer_id, bob.peer_id());
    /// # alice.shutdown().await;
    /// # bob.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn listeners(&self) -> Vec<Multiaddr> {
        self.0.shared.network.listeners()
    }

    /// Opens a room: what this profile holds of it can be read at once, the rest follows from the peers that are in it.
    /// Opening an open room returns it. Once the room takes part, it stays open though nobody waits for this any more.
    ///
    /// A history of more than some 20,000 messages goes on loading when this returns. [`Room::messages`] does not wait for
    /// that, everything else does; [`Event::Room`] tells when it is done.
    ///
    /// Rooms in which nothing happens cost next to nothing, so thousands may be open. When there are more than a few dozen,
    /// those are put to sleep, and wake when something happens in them or is asked of them.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Node, RoomName};
    ///
    /// # let config = Config { memory: true, offline: true, ..Config::default() };
    /// let node = Node::start(config).await?;
    /// let name: RoomName = "general".parse()?;
    /// let room = node.open_room(&name).await?;
    /// room.broadcast("hello").await?;
    /// let same = node.open_room(&name).await?;
    /// assert_eq!(same.messages(10).await?.len(), 1);
    /// assert_eq!(node.rooms().len(), 1);
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If its history cannot be read, the node has shut down, or too many rooms are open.
    pub async fn open_room(&self, name: &RoomName) -> Result<Room, RoomError> {
        let inner = &self.0;
        let opening = Arc::clone(&inner.opening).lock_owned().await;
        if inner.stop.is_cancelled() {
            return Err(RoomError::Closed);
        }
        if let Some(room) = self.room(name) {
            return Ok(room);
        }
        if inner.rooms().is_full() {
            return Err(RoomError::TooManyRooms { max: MAX_ROOMS });
        }
        let Shared { store, network, wakes, .. } = &*inner.shared;
        let number = store.room(name).await?;
        let slot = Slot::new(name.clone(), number, inner.stop.child_token(), &network.peer_id(), wakes.clone());
        let is_long = store.is_long(number).await?;
        // A history that cannot be read so is for the room's task to deal with.
        let glance =
            if wakes.are_many_awake() && !is_long { room::glance(&slot, &inner.shared).await.ok() } else { None };
        // From here on it is done though nobody waits for it: else there could be a room that takes part and is not listed.
        let entering = tokio::spawn(Arc::clone(inner).enter(slot.clone(), glance, opening));
        let crashed = |_| RoomError::Crashed(name.clone());
        // Held further on: whoever opens or leaves the room next finds it loaded.
        let (rests, _opening) = entering.await.map_err(crashed)??;
        let room = Room::new(slot, inner.restarts.clone());
        if !rests && !is_long {
            // Answers once the history is loaded, so that the room is seen as it is.
            room.fingerprint().await?;
        }
        Ok(room)
    }

    /// The open room of that name.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// let name = "general".parse()?;
    /// assert!(node.room(&name).is_none());
    /// node.open_room(&name).await?;
    /// assert!(node.room(&name).is_some());
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn room(&self, name: &RoomName) -> Option<Room> {
        let slot = self.0.rooms().get(name)?.clone();
        Some(Room::new(slot, self.0.restarts.clone()))
    }

    /// The open rooms, in the order they were opened. A failed room is still open.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// for name in ["whales", "general"] {
    ///     node.open_room(&name.parse()?).await?;
    /// }
    /// let names: Vec<String> = node.rooms().iter().map(|room| room.name.to_string()).collect();
    /// assert_eq!(names, ["whales", "general"]);
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn rooms(&self) -> Vec<RoomInfo> {
        self.0.rooms().iter().map(|slot| slot.info()).collect()
    }

    /// Leaves a room. Its history stays on disk and is there when it is opened again. Once it was begun, that is done though
    /// nobody waits for it any more.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// use distchat_node::RoomError;
    ///
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// room.broadcast("hello").await?;
    /// node.leave_room(room.name()).await?;
    /// assert_eq!(room.messages(10).await, Err(RoomError::Left(room.name().clone())));
    ///
    /// let again = node.open_room(room.name()).await?;
    /// assert_eq!(again.messages(10).await?.len(), 1);
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the room is not open.
    pub async fn leave_room(&self, name: &RoomName) -> Result<(), RoomError> {
        let inner = &self.0;
        let opening = Arc::clone(&inner.opening).lock_owned().await;
        let slot = inner.rooms().remove(name).ok_or_else(|| RoomError::Left(name.clone()))?;
        // Nothing is waited for between the two: whoever stops waiting has not begun, or somebody else sees to the rest.
        let leaving = tokio::spawn(Arc::clone(inner).leave(slot, opening));
        // It catches its own panics, so this is the end of the runtime.
        leaving.await.map_err(|_| RoomError::Closed)
    }

    /// Looks for words in the texts, actions and replies of all rooms in the history, open or not: the newest `limit` lines
    /// in which all of them occur, the newest first.
    ///
    /// A word is what stands between blanks; of the last one the beginning is enough. Upper and lower case and accents make
    /// no difference, and no character has a meaning of its own. What a word has besides letters and digits only separates:
    /// `don't` finds `don` and `t` side by side. Writing without blanks between words is found by its beginning.
    ///
    /// Whatever was on disk when this is called is found, unless the index is not complete: it is made while the node runs,
    /// from the newest message on down, and [`Found::indexing`] says how far it is.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Node};
    ///
    /// # let config = Config { memory: true, mdns: false, same_machine: false, ..Config::default() };
    /// let node = Node::start(config).await?;
    /// node.open_room(&"general".parse()?).await?.broadcast("Meet me at the café").await?;
    ///
    /// let found = node.search("cafe MEE", 50).await?;
    /// for hit in &found.hits {
    ///     println!("{} <{}> {}", hit.room, hit.message.nick, hit.message.text);
    /// }
    /// if let Some(indexing) = found.indexing {
    ///     println!("still being indexed: {} of {}", indexing.done, indexing.of);
    /// }
    /// # assert_eq!(found.hits.len(), 1);
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If there is no word, or more than 32, if the index cannot be used, or the node has shut down.
    pub async fn search(&self, words: &str, limit: usize) -> Result<Found, SearchError> {
        let question = Question::parse(words)?;
        let shared = &self.0.shared;
        let found = shared.store.find(question, limit).await?;
        Ok(Found::new(found, self.0.author, Clocks::default().read(shared.now()).horizon))
    }

    /// Dials an address, and dials it again whenever the connection is lost.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Event, Node};
    ///
    /// # let config = |profile: &str| Config {
    /// #     profile: profile.into(),
    /// #     memory: true,
    /// #     mdns: false,
    /// #     same_machine: false,
    /// #     listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
    /// #     ..Config::default()
    /// # };
    /// let [alice, bob] = [Node::start(config("alice")).await?, Node::start(config("bob")).await?];
    /// let mut events = bob.events();
    /// bob.open_room(&"general".parse()?).await?;
    /// let room = alice.open_room(&"general".parse()?).await?;
    /// room.broadcast("said before you came").await?;
    ///
    /// alice.connect(bob.listeners().remove(0)).await?;
    /// while let Some(event) = events.next().await {
    ///     if let Event::Message { message, .. } = event {
    ///         assert_eq!((&*message.nick, &*message.text), ("alice", "said before you came"));
    ///         break;
    ///     }
    /// }
    /// # alice.shutdown().await;
    /// # bob.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the address cannot be dialled at all. That nobody answers there yet is no error.
    pub async fn connect(&self, address: Multiaddr) -> Result<(), ConnectError> {
        self.0.shared.network.connect(address).await
    }

    /// The connected peers.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Event, Node};
    ///
    /// # let config = |profile: &str| Config {
    /// #     profile: profile.into(),
    /// #     memory: true,
    /// #     mdns: false,
    /// #     same_machine: false,
    /// #     listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
    /// #     ..Config::default()
    /// # };
    /// let [alice, bob] = [Node::start(config("alice")).await?, Node::start(config("bob")).await?];
    /// let mut events = alice.events();
    /// assert!(alice.peers().is_empty());
    /// alice.connect(bob.listeners().remove(0)).await?;
    /// while !matches!(events.next().await, Some(Event::Peer { connected: true, .. })) {}
    ///
    /// let peers = alice.peers();
    /// assert_eq!((peers.len(), peers[0].peer_id), (1, bob.peer_id()));
    /// assert_eq!(peers[0].author, None); // they are in no room together, so it has proven nothing
    /// # alice.shutdown().await;
    /// # bob.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn peers(&self) -> Vec<PeerInfo> {
        let slots: Vec<Arc<Slot>> = self.0.rooms().iter().cloned().collect();
        let unknown =
            |(peer_id, address)| PeerInfo { peer_id, author: None, address, rooms: Vec::new(), clock_offset_ms: None };
        let mut peers: Vec<PeerInfo> = self.0.shared.network.peers().into_iter().map(unknown).collect();
        let places: BTreeMap<PeerId, usize> = peers.iter().enumerate().map(|(at, info)| (info.peer_id, at)).collect();
        for slot in &slots {
            for peer in &slot.status.borrow().peers {
                if let Some(info) = places.get(&peer.peer).and_then(|at| peers.get_mut(*at)) {
                    info.author = Some(peer.author);
                    info.clock_offset_ms = info.clock_offset_ms.or(peer.clock_offset_ms);
                    info.rooms.push(slot.name.clone());
                }
            }
        }
        peers
    }

    /// What the network dropped, refused or found wrong since the start. No message is lost for good by it: anti-entropy
    /// brings what gossip could not.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Counters, Node};
    ///
    /// # let config = Config { memory: true, offline: true, ..Config::default() };
    /// let node = Node::start(config).await?;
    /// assert_eq!(node.counters(), Counters::default()); // nothing yet
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn counters(&self) -> Counters {
        self.0.shared.network.counters()
    }

    /// All events of this node and its rooms from now on. Each call makes a reader of its own. What was said just before may
    /// be among them: that something is on disk is told to whoever said it first.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::{Config, Event, Node};
    ///
    /// # let config = Config { memory: true, offline: true, ..Config::default() };
    /// let node = Node::start(config).await?;
    /// let mut events = node.events();
    /// node.open_room(&"general".parse()?).await?.broadcast("hello").await?;
    /// while let Some(event) = events.next().await {
    ///     if let Event::Message { room, message } = event {
    ///         assert_eq!((room.as_str(), &*message.text), ("general", "hello"));
    ///         break;
    ///     }
    /// }
    /// # node.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn events(&self) -> Events {
        self.0.shared.events.subscribe()
    }

    /// Stops the node: what was said before is taken up and stored, connections are closed, the history is closed and
    /// the profile is free for the next process. That is done though nobody waits for it any more; calls after the first wait
    /// until it is.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use distchat_node::{Config, Node};
    /// use distchat_node::RoomError;
    ///
    /// # let node = Node::start(Config { memory: true, offline: true, ..Config::default() }).await?;
    /// # let room = node.open_room(&"general".parse()?).await?;
    /// room.broadcast("hello").await?;
    /// node.shutdown().await;
    /// assert_eq!(node.open_room(&"whales".parse()?).await.err(), Some(RoomError::Closed));
    /// node.shutdown().await; // once more does nothing
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(&self) {
        let mut life = self.0.life.lock().await;
        *life = match std::mem::replace(&mut *life, Life::Ended) {
            Life::Runs(tasks) => Life::Ends(tokio::spawn(Arc::clone(&self.0).end(tasks))),
            further => further,
        };
        if let Life::Ends(ending) = &mut *life {
            if ending.await.is_err() {
                tracing::error!("the node crashed while it shut down");
            }
            *life = Life::Ended;
        }
    }
}

impl Inner {
    /// Has a room take part, and lists it; says whether it sleeps.
    async fn enter(
        self: Arc<Self>,
        slot: Arc<Slot>,
        glance: Option<Parked>,
        opening: OwnedMutexGuard<()>,
    ) -> Result<(bool, OwnedMutexGuard<()>), RoomError> {
        let joined = self.shared.network.join(&slot.id, slot.inbox()).await;
        slot.joined(joined.map_err(|_| RoomError::Closed)?);
        let rests = match glance {
            Some(parked) => slot.rest(parked).await,
            None => false,
        };
        if !rests {
            slot.start();
            if self.starts.send(Order::Start(slot.clone())).await.is_err() {
                self.shared.network.leave(slot.handle()).await;
                return Err(RoomError::Closed);
            }
        }
        self.rooms().add(slot.clone());
        if rests && slot.opened() {
            self.shared.events.emit(slot.event());
        }
        Ok((rests, opening))
    }

    /// Leaves a room that is in the registry no more, and says so, whatever happens on the way.
    async fn leave(self: Arc<Self>, slot: Arc<Slot>, _opening: OwnedMutexGuard<()>) {
        if AssertUnwindSafe(self.part_with(&slot)).catch_unwind().await.is_err() {
            tracing::error!(room = %slot.name, "the node crashed while it left a room");
            slot.stop.cancel();
            slot.close();
        }
        self.shared.network.leave(slot.handle()).await;
        // Whoever waits for a commit that is on its way is told of it, and not that the room was left.
        self.shared.store.settle().await.ok();
        slot.set_state(RoomState::Left);
        self.shared.events.emit(slot.event());
    }

    /// Lets a room finish what it was asked before, and ends it.
    async fn part_with(&self, slot: &Arc<Slot>) {
        // A room that was just woken for what was said in it has to get as far as that, and one that sleeps is not woken.
        if slot.is_awake() {
            // It may have failed, or crash over it: that is no reason to stay.
            let _ = Room::new(slot.clone(), self.restarts.clone()).catch_up().await;
        }
        slot.stop.cancel();
        slot.close();
        // The task holds the mailbox until it has ended.
        slot.clear_mailbox().await;
    }

    /// Shuts everything down, in the order in which the one needs the other.
    async fn end(self: Arc<Self>, tasks: Tasks) {
        let _opening = self.opening.lock().await;
        self.stop.cancel();
        if tasks.supervisor.await.is_err() {
            tracing::error!("the supervisor of the rooms crashed");
        }
        if tasks.disk.await.is_err() {
            tracing::error!("the watch over the disk crashed");
        }
        let slots: Vec<Arc<Slot>> = std::mem::take(&mut *self.rooms()).iter().cloned().collect();
        self.shared.store.settle().await.ok();
        for slot in slots {
            slot.set_state(RoomState::Left);
            self.shared.events.emit(slot.event());
        }
        self.stop_network.cancel();
        if tasks.network.await.is_err() {
            tracing::error!("the watch over the network crashed");
        }
        self.shared.store.close().await;
        drop(self.locked.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.shared.events.end();
    }

    /// The lock is held for moments and never while something can fail, so a poisoned one holds whole data.
    fn rooms(&self) -> MutexGuard<'_, Registry> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens what is on disk. This blocks.
fn open(memory: bool, name: &str, data_dir: Option<PathBuf>) -> Result<(Profile, Store, Vec<String>), StartError> {
    let profile = if memory { Profile::in_memory(name)? } else { Profile::open(data_dir.as_deref(), name)? };
    let (store, told) = match profile.history() {
        Some(path) => store::open(&path, profile.key().author())?,
        None => (Store::open(None)?, Vec::new()),
    };
    Ok((profile, store, told))
}

/// Tells people what the network says, and should its task end by itself, says so: the rooms go on without a network.
async fn watch_network(
    mut task: JoinHandle<()>,
    mut events: mpsc::Receiver<NetEvent>,
    shared: Arc<Shared>,
    rooms: Arc<Mutex<Registry>>,
    stop: CancellationToken,
) {
    loop {
        let event = tokio::select! {
            Some(event) = events.recv() => event,
            ended = &mut task => {
                if !stop.is_cancelled() {
                    let why = ended.err().map_or_else(|| "it ended by itself".to_owned(), |error| error.to_string());
                    let message = format!("the network has stopped ({why}): messages stay on this node until it is started again");
                    shared.events.emit(Event::Warning { code: "network-stopped".into(), message });
                    stop.cancelled().await;
                }
                return;
            }
        };
        match event {
            NetEvent::Connected { peer, address } => {
                shared.events.emit(Event::Peer { peer_id: peer, author: None, connected: true, address });
            }
            NetEvent::Disconnected { peer, address } => {
                let author = shared.forget_proof(&peer);
                let slots: Vec<Arc<Slot>> =
                    rooms.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
                slots.iter().for_each(|slot| slot.peer_gone(&peer));
                shared.events.emit(Event::Peer { peer_id: peer, author, connected: false, address });
            }
            NetEvent::Warning { code, message } => shared.events.emit(Event::Warning { code: code.into(), message }),
            NetEvent::ListenersChanged => {}
        }
    }
}

#[cfg(test)]
mod parking_tests;
#[cfg(test)]
mod start_tests;
#[cfg(test)]
mod tests;

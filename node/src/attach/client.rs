//! The node as its users see it, whichever process it is in.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use distchat_node::{
    AuthorId, Config, Counters, Found, Multiaddr, Node, PeerInfo, RoomInfo, RoomName, StartError, StoredRoom,
};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::carried::{Seen, Step};
use super::events::Events;
use super::perform::{Seat, perform};
use super::problem::Problem;
use super::remote::{self, Attached, Left, Order, Remote};
use super::room::{Room, answered};
use super::server::Server;
use super::wire::{Answer, Face, Request, State};

/// How long a node is waited for that has its profile and no socket: it starts, or it ends.
const BETWEEN: Duration = Duration::from_secs(10);
/// The pause between two attempts to reach it.
const PAUSE: Duration = Duration::from_millis(25);
/// How long another process's node may take to take up what it was asked last.
const PARTING: Duration = Duration::from_secs(2);
/// What the library's exit code for a profile that is in use is.
const IN_USE: u8 = 3;

/// The node of a profile: this process's, or another's. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    author: AuthorId,
    profile: String,
    directory: Option<PathBuf>,
    /// Beside those of a node of our own, which is asked for them.
    warnings: Vec<String>,
    /// The process that runs the node, if that is another one.
    host: Option<u32>,
    behind: watch::Sender<Behind>,
    server: Mutex<Option<Server>>,
    /// What keeps the connection to another process's node.
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// Where the node is.
#[derive(Clone, Debug)]
pub(super) enum Behind {
    Here(Arc<Seat>),
    There(Remote),
    /// This process's, which is not yet where the former one was. How everything was there.
    Coming(Arc<Seat>, State),
    /// Nowhere any more, and why.
    Nowhere(Cow<'static, str>),
}

/// Why there is no node to use.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// It could not be started.
    Start(StartError),
    /// It is there, and cannot be used.
    Attach(Problem),
}

impl From<StartError> for OpenError {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

impl From<Problem> for OpenError {
    fn from(problem: Problem) -> Self {
        Self::Attach(problem)
    }
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start(error) => error.fmt(f),
            Self::Attach(problem) => problem.fmt(f),
        }
    }
}

/// What was found.
enum Got {
    Here(Node),
    There(Remote, Box<Attached>),
}

/// The one way to a node: the profile's, if it runs, else one that is started.
async fn attach_or_start(config: &Config) -> Result<Got, OpenError> {
    let directory = config.directory()?;
    let until = Instant::now() + BETWEEN;
    loop {
        if let Some(directory) = &directory
            && let Some((remote, attached)) = remote::attach(directory.clone()).await?
        {
            return Ok(Got::There(remote, Box::new(attached)));
        }
        match Node::start(config.clone()).await {
            Ok(node) => return Ok(Got::Here(node)),
            // It has begun to start since, or has not quite ended.
            Err(error) if error.exit_code() == IN_USE && Instant::now() < until => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(error.into()),
        }
    }
}

impl Client {
    /// Uses the profile's node if one runs; else starts one, which others can use from then on.
    pub(crate) async fn open(config: Config, face: Face) -> Result<Self, OpenError> {
        Ok(match attach_or_start(&config).await? {
            Got::Here(node) => Self::host(node, face),
            Got::There(remote, attached) => Self::guest(remote, attached, config, face),
        })
    }

    /// Starts a node of its own, whether or not another process would have one, and lets others use it.
    pub(crate) async fn start(config: Config, face: Face) -> Result<Self, OpenError> {
        Ok(Self::host(Node::start(config).await?, face))
    }

    fn host(node: Node, face: Face) -> Self {
        let mut warnings = Vec::new();
        let server = Server::start(&node, face).unwrap_or_else(|error| {
            warnings.push(format!("other programs cannot use this node meanwhile: {error}"));
            None
        });
        Self(Arc::new(Inner {
            author: node.author(),
            profile: node.profile().to_owned(),
            directory: node.directory().map(Path::to_owned),
            warnings,
            host: None,
            behind: watch::Sender::new(Behind::Here(Arc::new(Seat::new(node)))),
            server: Mutex::new(server),
            keeper: Mutex::new(None),
        }))
    }

    fn guest(remote: Remote, attached: Box<Attached>, config: Config, face: Face) -> Self {
        let hello = Arc::clone(&remote.hello);
        let client = Self(Arc::new(Inner {
            author: hello.author,
            profile: hello.profile.clone(),
            directory: hello.directory.clone(),
            warnings: hello.warnings.clone(),
            host: Some(hello.pid),
            behind: watch::Sender::new(Behind::There(remote)),
            server: Mutex::new(None),
            keeper: Mutex::new(None),
        }));
        let keeper = tokio::spawn(keep(Arc::clone(&client.0), attached, config, face));
        *lock(&client.0.keeper) = Some(keeper);
        client
    }

    /// The process that runs the node, if it is another one's.
    pub(crate) fn attached_to(&self) -> Option<u32> {
        self.0.host
    }

    pub(crate) fn author(&self) -> AuthorId {
        self.0.author
    }

    pub(crate) fn profile(&self) -> &str {
        &self.0.profile
    }

    pub(crate) fn directory(&self) -> Option<&Path> {
        self.0.directory.as_deref()
    }

    /// What a person should know about the profile. Whoever asks shows it: a node of our own forgets then what it found.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.look(|node| node.warnings().to_vec(), |_| Vec::new());
        warnings.extend_from_slice(&self.0.warnings);
        warnings
    }

    /// Looks something up that is known without asking.
    fn look<T: Default>(&self, here: impl FnOnce(&Node) -> T, there: impl FnOnce(&State) -> T) -> T {
        match &*self.0.behind.borrow() {
            Behind::Here(seat) => here(&seat.node),
            Behind::There(remote) => there(&remote.state.borrow()),
            Behind::Coming(_, state) => there(state),
            Behind::Nowhere(_) => T::default(),
        }
    }

    pub(crate) fn peer_id(&self) -> String {
        self.look(|node| node.peer_id().to_string(), |state| state.peer_id.clone())
    }

    pub(crate) fn listeners(&self) -> Vec<Multiaddr> {
        self.look(Node::listeners, |state| state.listen.clone())
    }

    pub(crate) fn rooms(&self) -> Vec<RoomInfo> {
        self.look(Node::rooms, |state| state.rooms.clone())
    }

    /// The open room of that name in brief: of thousands only this one is looked at.
    pub(crate) fn room_info(&self, name: &RoomName) -> Option<RoomInfo> {
        self.look(
            |node| node.room(name).map(|room| room.info()),
            |state| state.rooms.iter().find(|room| room.name == *name).cloned(),
        )
    }

    pub(crate) fn peers(&self) -> Vec<PeerInfo> {
        self.look(Node::peers, |state| state.peers.clone())
    }

    /// The open room of that name.
    pub(crate) fn room(&self, name: &RoomName) -> Option<Room> {
        let opened =
            self.look(|node| node.room(name).is_some(), |state| state.rooms.iter().any(|room| room.name == *name));
        opened.then(|| Room::new(self.clone(), name.clone()))
    }

    pub(crate) async fn open_room(&self, name: &RoomName) -> Result<Room, Problem> {
        self.ask(Request::Open { room: name.clone() }).await?;
        Ok(Room::new(self.clone(), name.clone()))
    }

    pub(crate) async fn leave_room(&self, name: &RoomName) -> Result<(), Problem> {
        self.ask(Request::Leave { room: name.clone() }).await.map(drop)
    }

    pub(crate) async fn search(&self, words: &str, limit: usize) -> Result<Found, Problem> {
        answered!(self.ask(Request::Search { words: words.to_owned(), limit }).await?, Found)
    }

    /// What the node's network has counted.
    pub(crate) async fn counters(&self) -> Result<Counters, Problem> {
        answered!(self.ask(Request::Counters).await?, Counters)
    }

    /// The rooms in the history by name, open or not, with how many messages.
    pub(crate) async fn stored_rooms(&self) -> Result<Vec<StoredRoom>, Problem> {
        answered!(self.ask(Request::StoredRooms).await?, StoredRooms)
    }

    /// The rooms that connected peers are in, at most so many.
    pub(crate) async fn seen_rooms(&self, at_most: usize) -> Result<Vec<Seen>, Problem> {
        answered!(self.ask(Request::SeenRooms { at_most }).await?, SeenRooms)
    }

    /// The next step in judging the whole history; `None` at the end.
    pub(crate) async fn verify_step(&self) -> Result<Option<Step>, Problem> {
        answered!(self.ask(Request::VerifyStep).await?, Verified)
    }

    pub(crate) async fn connect(&self, address: Multiaddr) -> Result<(), Problem> {
        self.ask(Request::Connect { address }).await.map(drop)
    }

    /// Asks the node. Questions take effect in the order in which these are first polled.
    pub(super) async fn ask(&self, request: Request) -> Result<Answer, Problem> {
        loop {
            let behind = self.0.behind.borrow().clone();
            match behind {
                Behind::Here(seat) => return perform(&seat, request).await,
                Behind::Coming(..) => self.moved().await,
                Behind::There(remote) => {
                    let (reply, answer) = oneshot::channel();
                    if remote.orders.send(Order { request: request.clone(), reply }).await.is_ok() {
                        return answer.await.unwrap_or_else(|_| Err(closed("the node was left".into())));
                    }
                    self.moved().await;
                }
                Behind::Nowhere(why) => return Err(closed(why)),
            }
        }
    }

    /// Waits until the node is no longer where nobody takes questions.
    async fn moved(&self) {
        let taken = |behind: &Behind| match behind {
            Behind::Here(_) | Behind::Nowhere(_) => true,
            Behind::Coming(..) => false,
            Behind::There(remote) => !remote.orders.is_closed(),
        };
        // The sender is this client's own.
        let _ = self.0.behind.subscribe().wait_for(taken).await;
    }

    /// What happens from now on.
    pub(crate) async fn events(&self) -> Events {
        let events = Events::of(self.0.behind.subscribe());
        // It is this process's own that has nothing to do for it; and a node that has gone is told when it is back.
        let _ = self.ask(Request::Watch).await;
        events
    }

    /// Stops the node if it is this process's own; those who are attached to it hear the answers that are under way.
    /// Another process's is left as it is.
    pub(crate) async fn shutdown(&self) {
        if matches!(&*self.0.behind.borrow(), Behind::There(_)) {
            // What was asked before this is taken up before this is answered, and then it is done whoever leaves.
            let _ = tokio::time::timeout(PARTING, self.ask(Request::Watch)).await;
        }
        let keeper = lock(&self.0.keeper).take();
        if let Some(keeper) = keeper {
            keeper.abort();
            // It was told to end.
            let _ = keeper.await;
        }
        let server = lock(&self.0.server).take();
        if let Some(server) = server {
            server.stop().await;
        }
        let behind = self.0.behind.borrow().clone();
        match behind {
            Behind::Here(seat) | Behind::Coming(seat, _) => seat.node.shutdown().await,
            Behind::There(_) | Behind::Nowhere(_) => {
                self.0.behind.send_replace(Behind::Nowhere("it was left".into()));
            }
        }
    }
}

fn closed(why: Cow<'static, str>) -> Problem {
    Problem::new("closed", why)
}

/// Held for moments, and never while something can fail.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a node behind the client: when the other process's ends, the next one, which may be this process's own.
async fn keep(inner: Arc<Inner>, attached: Box<Attached>, config: Config, face: Face) {
    let client = Client(inner);
    let mut attached = Some(attached);
    let mut passing_on = FuturesUnordered::new();
    while let Some(connection) = attached.take() {
        let next = async {
            let left = connection.run().await?;
            Some((left, attach_or_start(&config).await))
        };
        // What is passed on to a node that ends, too, waits for the one after that.
        let Some((left, got)) = beside(next, &mut passing_on).await else { return };
        let behind = match got {
            Ok(Got::Here(node)) => {
                match Server::start(&node, face) {
                    Ok(server) => *lock(&client.0.server) = server,
                    Err(error) => tracing::warn!(%error, "other programs cannot use this node"),
                }
                let seat = Arc::new(Seat::new(node));
                // From here on it is told what happens, and shut down if this process is to end.
                client.0.behind.send_replace(Behind::Coming(Arc::clone(&seat), left.state.clone()));
                for room in &left.rooms {
                    if let Err(problem) = perform(&seat, Request::Open { room: room.clone() }).await {
                        tracing::warn!(%problem, "the next node is not where the former one was");
                    }
                }
                Behind::Here(seat)
            }
            Ok(Got::There(remote, mut next)) => {
                next.succeed(&left);
                attached = Some(next);
                Behind::There(remote)
            }
            Err(error) => Behind::Nowhere(format!("the node has stopped: {error}").into()),
        };
        client.0.behind.send_replace(behind);
        passing_on.push(pass_on(client.clone(), left));
    }
    while passing_on.next().await.is_some() {}
}

/// Does something while other things go on.
async fn beside<T>(doing: impl Future<Output = T>, others: &mut FuturesUnordered<impl Future<Output = ()>>) -> T {
    tokio::pin!(doing);
    loop {
        tokio::select! {
            done = &mut doing => return done,
            Some(()) = others.next() => {}
        }
    }
}

/// Asks the next node what the former one did not answer.
async fn pass_on(client: Client, left: Left) {
    let Left { mut orders, open, .. } = left;
    // The questions of those who come now find the next node by themselves.
    orders.close();
    let mut asking = FuturesUnordered::new();
    for order in open {
        asking.push(pass(&client, order));
    }
    while let Some(order) = orders.recv().await {
        asking.push(pass(&client, order));
    }
    while asking.next().await.is_some() {}
}

async fn pass(client: &Client, Order { request, reply }: Order) {
    // Whoever asked may not want to know any more.
    let _ = reply.send(client.ask(request).await);
}

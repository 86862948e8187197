//! Using the node that another program runs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::path::PathBuf;
use std::time::Duration;

use distchat_node::{Event, RoomName};
use futures::{SinkExt, StreamExt};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::codec::{Framed, LinesCodec};

use super::problem::Problem;
use super::socket::{self, Stream};
use super::wire::{Answer, AnyHello, Asked, Face, Hello, MAX_ANSWER, MAX_QUESTION, Request, State, Told, VERSION};

/// How many questions wait to be sent. Further ones wait for a place.
const QUEUE: usize = 256;
/// How many events a reader may be behind before it misses some and is told so.
const EVENT_BUFFER: usize = 4096;
/// How long the first line may take.
const HELLO: Duration = Duration::from_secs(10);
/// How long a service that has gone is waited for: it is started again within seconds. Nothing else comes back.
const GRACE: Duration = Duration::from_secs(5);
/// The pause between two attempts to reach it.
const PAUSE: Duration = Duration::from_millis(50);

/// What happens on the other side.
#[derive(Clone, Debug)]
pub(super) enum Happened {
    Event(Box<Event>),
    /// It has gone, and is waited for.
    Gone,
    /// It is there again; what happened meanwhile is not known.
    Back,
}

/// A question, and where the answer goes.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) request: Request,
    pub(super) reply: oneshot::Sender<Result<Answer, Problem>>,
}

/// A connection that is made again when it is lost.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    pub(super) hello: std::sync::Arc<Hello>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) state: watch::Receiver<State>,
    pub(super) happens: broadcast::Sender<Happened>,
}

type Lines = Framed<Stream, LinesCodec>;

/// Connects to the node that uses that directory; `None` if there is none.
pub(super) async fn attach(directory: PathBuf) -> Result<Option<(Remote, Attached)>, Problem> {
    let Some((lines, hello)) = greet(&directory).await? else { return Ok(None) };
    let (orders, order_receiver) = mpsc::channel(QUEUE);
    let (state, state_receiver) = watch::channel(hello.state.clone());
    let happens = broadcast::Sender::new(EVENT_BUFFER);
    let remote = Remote { hello: std::sync::Arc::new(hello), orders, state: state_receiver, happens: happens.clone() };
    let attached = Attached {
        directory,
        face: remote.hello.face,
        orders: order_receiver,
        state,
        happens,
        open: BTreeMap::new(),
        rooms: Vec::new(),
        watching: false,
        next: 0,
        unwritten: VecDeque::new(),
        lines: Some(lines),
        gone: false,
        returning: None,
    };
    Ok(Some((remote, attached)))
}

/// Connects, and hears who is there.
async fn greet(directory: &std::path::Path) -> Result<Option<(Lines, Hello)>, Problem> {
    let failed = |why: String| {
        let message = format!("the node that uses {} cannot be attached to: {why}", directory.display());
        Problem::new("attach", message)
    };
    let Some(stream) = socket::connect(directory).await.map_err(|error| failed(error.to_string()))? else {
        return Ok(None);
    };
    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(MAX_ANSWER));
    let line = match tokio::time::timeout(HELLO, lines.next()).await {
        Ok(Some(Ok(line))) => line,
        // It is about to end.
        Ok(None | Some(Err(_))) => return Ok(None),
        Err(_) => {
            let why = "it does not answer; look whether it is stopped or hangs, or very many programs want to use it";
            return Err(failed(why.to_owned()));
        }
    };
    let any: AnyHello = serde_json::from_str(&line).map_err(|error| failed(error.to_string()))?;
    if any.distchat != VERSION {
        let (pid, version) = (any.pid, any.distchat);
        let why = format!(
            "process {pid} speaks version {version} of that and this program version {VERSION}; end it, or use the \
             program that it was started with"
        );
        return Err(failed(why));
    }
    if let Some(full) = any.full {
        let pid = any.pid;
        let why =
            format!("{full} programs use it already, as many as process {pid} allows; end one, or try again later");
        return Err(failed(why));
    }
    let hello: Hello = serde_json::from_str(&line).map_err(|error| failed(error.to_string()))?;
    // One that is about to end has said good-bye instead.
    Ok(Some((lines, hello)))
}

/// The task's side of a connection.
#[derive(Debug)]
pub(super) struct Attached {
    directory: PathBuf,
    face: Face,
    orders: mpsc::Receiver<Order>,
    state: watch::Sender<State>,
    happens: broadcast::Sender<Happened>,
    open: BTreeMap<u64, Open>,
    /// What this program has opened, and opens again on the next node.
    rooms: Vec<RoomName>,
    watching: bool,
    next: u64,
    /// What is to be written, with its number, in order.
    unwritten: VecDeque<(u64, String)>,
    lines: Option<Lines>,
    /// It was told that the node has gone, and not that there is one again.
    gone: bool,
    returning: Option<Returning>,
}

/// A node that is there again and not yet where the former one was. Until it is, nobody's questions come to it, which would
/// be refused for rooms that it has yet to open, and those who look see how everything was before.
#[derive(Debug)]
struct Returning {
    /// What it was asked for to come there, by number, and has not answered yet.
    asked: BTreeSet<u64>,
    /// The questions that the former one did not answer, in order.
    held: Vec<Open>,
    /// How everything is by now.
    state: State,
}

/// A question without an answer yet.
#[derive(Debug)]
struct Open {
    request: Request,
    reply: oneshot::Sender<Result<Answer, Problem>>,
}

/// What is left when there is no node to be attached to any more.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) orders: mpsc::Receiver<Order>,
    /// What has no answer yet, in order.
    pub(super) open: Vec<Order>,
    pub(super) rooms: Vec<RoomName>,
    /// How everything was.
    pub(super) state: State,
}

impl Attached {
    /// Brings a node that has just been attached to where a former one was, of which that is left.
    pub(super) fn succeed(&mut self, left: &Left) {
        (self.rooms, self.watching) = (left.rooms.clone(), true);
        let state = self.state.send_replace(left.state.clone());
        self.bring_back(state);
    }

    /// Asks and hears the answers until nobody wants to ask any more (`None`), or until the node has gone and none has come
    /// back in its place.
    pub(super) async fn run(mut self) -> Option<Left> {
        loop {
            let lines = match self.lines.take() {
                Some(lines) => lines,
                None => match self.again().await {
                    Some(lines) => lines,
                    None => return Some(self.left()),
                },
            };
            let bye = match self.attend(lines).await {
                Ended::Unwanted => return None,
                Ended::Lost(bye) => bye,
            };
            if !std::mem::replace(&mut self.gone, true) {
                // Here and below: nobody listening is no failure.
                let _ = self.happens.send(Happened::Gone);
            }
            self.give_up_what_is_uncertain(bye);
            // What never came to the one that has gone is for the next.
            for open in self.returning.take().into_iter().flat_map(|returning| returning.held) {
                self.open.insert(self.next, open);
                self.next += 1;
            }
        }
    }

    /// Waits for the node to come back, and tells the new one what the former knew.
    async fn again(&mut self) -> Option<Lines> {
        let grace = if self.face == Face::Daemon { GRACE } else { Duration::ZERO };
        let until = Instant::now() + grace;
        loop {
            tokio::time::sleep(PAUSE).await;
            let Ok(Some((lines, hello))) = greet(&self.directory).await else {
                if Instant::now() >= until {
                    return None;
                }
                continue;
            };
            self.face = hello.face;
            self.bring_back(hello.state);
            return Some(lines);
        }
    }

    /// Has the node told what the former one knew.
    fn bring_back(&mut self, state: State) {
        // What was not written to the former one is among what is open.
        self.unwritten.clear();
        let held = std::mem::take(&mut self.open).into_values().collect();
        // Watching comes first: then how everything is with a room open is told before that it is.
        let rooms = self.rooms.clone().into_iter().map(|room| Request::Open { room });
        let asking = self.watching.then_some(Request::Watch).into_iter().chain(rooms).collect::<Vec<_>>();
        let asked = asking.iter().filter_map(|request| match self.number(request) {
            Ok(id) => Some(id),
            Err(problem) => {
                tracing::warn!(%problem, "the next node is not where the former one was");
                None
            }
        });
        let asked = asked.collect();
        self.returning = Some(Returning { asked, held, state });
        self.go_on_once_back();
    }

    /// If the node is where the former one was, its questions go to it.
    fn go_on_once_back(&mut self) {
        let Some(Returning { held, state, .. }) = self.returning.take_if(|returning| returning.asked.is_empty()) else {
            return;
        };
        self.state.send_replace(state);
        held.into_iter().for_each(|open| self.ask(open));
        if std::mem::take(&mut self.gone) {
            let _ = self.happens.send(Happened::Back);
        }
    }

    /// Has a question written, and keeps it until it is answered.
    fn ask(&mut self, open: Open) {
        match self.number(&open.request) {
            Ok(id) => _ = self.open.insert(id, open),
            // Whoever asked may not want to know any more.
            Err(problem) => _ = open.reply.send(Err(problem)),
        }
    }

    /// Gives a question its number, and has it written. One that is too long to be read would only make the node hang up, and be
    /// asked again, for ever.
    fn number(&mut self, request: &Request) -> Result<u64, Problem> {
        let id = self.next;
        let line = serde_json::to_string(&Asked { id, request: request.clone() })
            .map_err(|error| Problem::new("question", format!("this cannot be asked of another process: {error}")))?;
        if line.len() > MAX_QUESTION {
            let length = line.len();
            let message = format!(
                "this is too much to ask of the node that another process runs: {length} bytes, and {MAX_QUESTION} at most \
                 are taken at once; do it in parts"
            );
            return Err(Problem::new("too-long", message));
        }
        self.next += 1;
        self.unwritten.push_back((id, line));
        Ok(id)
    }

    /// Writes and reads, neither of which waits for the other: the node may be waiting for this to read while this waits for
    /// the node to.
    async fn attend(&mut self, lines: Lines) -> Ended {
        let (mut sink, mut stream) = lines.split::<String>();
        let (mut bye, mut unflushed) = (None, false);
        loop {
            let waiting = !self.unwritten.is_empty();
            tokio::select! {
                order = self.orders.recv(), if self.returning.is_none() && self.unwritten.len() < QUEUE => {
                    let Some(Order { request, reply }) = order else { return Ended::Unwanted };
                    self.note(&request);
                    self.ask(Open { request, reply });
                }
                line = stream.next() => {
                    let Some(Ok(line)) = line else { return Ended::Lost(bye) };
                    match serde_json::from_str(&line) {
                        Ok(Told::Bye { bye: last }) => bye = Some(last),
                        Ok(told) => self.hear(told),
                        Err(error) => tracing::warn!(%error, "the node that is attached to says what is not understood"),
                    }
                }
                written = poll_fn(|cx| match waiting {
                    true => sink.poll_ready_unpin(cx),
                    false => sink.poll_flush_unpin(cx),
                }), if waiting || unflushed => {
                    let line = self.unwritten.pop_front();
                    unflushed = line.is_some();
                    let written = written.and_then(|()| line.map_or(Ok(()), |(_, line)| sink.start_send_unpin(line)));
                    if written.is_err() {
                        return Ended::Lost(bye);
                    }
                }
            }
        }
    }

    fn note(&mut self, request: &Request) {
        match request {
            Request::Open { room } if !self.rooms.contains(room) => self.rooms.push(room.clone()),
            Request::Watch => self.watching = true,
            _ => {}
        }
    }

    fn hear(&mut self, told: Told) {
        let (id, result) = match told {
            Told::Answer { id, answer } => (id, Ok(answer)),
            Told::Problem { id, problem } => (id, Err(problem)),
            Told::Event { event } => {
                let _ = self.happens.send(Happened::Event(Box::new(event)));
                return;
            }
            Told::State { state } => {
                match &mut self.returning {
                    Some(returning) => returning.state = state,
                    None => drop(self.state.send_replace(state)),
                }
                return;
            }
            Told::Bye { .. } => return,
        };
        if let Some(returning) = &mut self.returning
            && returning.asked.remove(&id)
        {
            if let Err(problem) = result {
                tracing::warn!(%problem, "the next node is not where the former one was");
            }
            return self.go_on_once_back();
        }
        if let Some(open) = self.open.remove(&id) {
            // Not before: what was asked before that may yet have to be asked of another node.
            if let (Request::Leave { room }, Ok(_)) = (&open.request, &result) {
                self.rooms.retain(|other| other != room);
            }
            // Whoever asked may not want to know any more.
            let _ = open.reply.send(result);
        }
    }

    /// Of what the node may have done before it went nobody knows whether it did, unless it said how far it had come. It has
    /// not done what was never written to it.
    fn give_up_what_is_uncertain(&mut self, bye: Option<Option<u64>>) {
        let unwritten = self.unwritten.front().map(|(id, _)| *id);
        let written = |id: u64| unwritten.is_none_or(|unwritten| id < unwritten);
        let taken_up = |id: u64| written(id) && bye.is_none_or(|last| last.is_some_and(|last| id <= last));
        let uncertain =
            self.open.extract_if(.., |id, open| taken_up(*id) && !open.request.may_be_repeated()).collect::<Vec<_>>();
        for (_, open) in uncertain {
            let message = "the node stopped before it said whether this was done: look, and do it again if it was not";
            // Whoever asked may not want to know any more.
            let _ = open.reply.send(Err(Problem::new("node-gone", message)));
        }
    }

    fn left(self) -> Left {
        let open = self.open.into_values().map(|Open { request, reply }| Order { request, reply }).collect();
        Left { orders: self.orders, open, rooms: self.rooms, state: self.state.borrow().clone() }
    }
}

/// Why a connection is not attended to any more.
enum Ended {
    /// Nobody asks any more.
    Unwanted,
    /// The node is gone; if it said good-bye, with the last question that it took up.
    Lost(Option<Option<u64>>),
}

//! Attending to one who is attached.

use std::collections::VecDeque;
use std::time::Duration;

use distchat_node::{Event, Events, Node};
use futures::{FutureExt, SinkExt, StreamExt};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};
use tokio_util::sync::CancellationToken;

use super::perform::Seat;
use super::problem::Problem;
use super::questions::{Answered, Questions};
use super::socket::Stream;
use super::wire::{Asked, Face, Hello, MAX_ANSWER, MAX_QUESTION, Request, State, Told, VERSION};

/// How many questions of one may be open.
const IN_FLIGHT: usize = 256;
/// How often it is looked whether the state has changed, for those who want to know.
const LOOK: Duration = Duration::from_millis(100);
/// How often at most it is told that time goes on and nothing else; more seldom when there are many times so many rooms, for
/// they are all told of.
const TIME_GOES_ON: Duration = Duration::from_secs(1);
const FEW_ROOMS: usize = 256;
/// How long, at the end, questions that were taken up may take: some wait for others' disks.
const ANSWERING: Duration = Duration::from_secs(1);
/// How many events are written before anything else gets its turn.
const BATCH: usize = 256;

/// The node, and what runs it.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) node: Node,
    pub(super) face: Face,
    pub(super) stop: CancellationToken,
}

impl Host {
    fn hello(&self) -> Hello {
        Hello {
            distchat: VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            face: self.face,
            pid: std::process::id(),
            author: self.node.author(),
            profile: self.node.profile().to_owned(),
            directory: self.node.directory().map(ToOwned::to_owned),
            warnings: self.node.warnings().to_vec(),
            state: state(&self.node),
        }
    }
}

/// How everything is now.
fn state(node: &Node) -> State {
    State { peer_id: node.peer_id().to_string(), rooms: node.rooms(), peers: node.peers(), listen: node.listeners() }
}

struct Connection<'a> {
    host: &'a Host,
    lines: Framed<Stream, LinesCodec>,
    open: Questions,
    /// What is to be written, in order: a batch at most.
    out: VecDeque<String>,
    events: Option<Events>,
    known: State,
    told: Instant,
    /// The last question that was taken up.
    last: Option<u64>,
}

/// Answers until the other side is gone or the node is to stop, and sees to it that what was asked for is done.
pub(super) async fn attend(stream: Stream, host: std::sync::Arc<Host>) {
    let lines = Framed::new(stream, LinesCodec::new_with_max_length(MAX_QUESTION));
    let mut connection = Connection {
        host: &host,
        lines,
        open: Questions::new(Seat::new(host.node.clone())),
        out: VecDeque::new(),
        events: None,
        known: State::default(),
        told: Instant::now(),
        last: None,
    };
    // That the other side is gone is no fault: it may go when it wants.
    if let Err(error) = connection.run().await {
        tracing::debug!(%error, "somebody who was attached is gone");
    }
    let Connection { open, lines, .. } = connection;
    // What is still to be done is done without the socket, and holds a place among those who are attached until it is.
    drop(lines);
    open.finish().await;
}

impl Connection<'_> {
    async fn run(&mut self) -> Result<(), LinesCodecError> {
        let hello = serde_json::to_string(&self.host.hello()).map_err(std::io::Error::from)?;
        self.lines.send(hello).await?;
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.write().await?;
            tokio::select! {
                biased;
                () = self.host.stop.cancelled() => return self.part().await,
                event = next(&mut self.events) => self.take_events(event),
                answered = self.open.next() => self.answer(answered),
                _ = looks.tick(), if self.events.is_some() => self.look(),
                line = self.lines.next(), if self.open.len() < IN_FLIGHT => match line {
                    Some(line) => self.take_up(&line?),
                    None => return Ok(()),
                },
            }
        }
    }

    /// Writes all that there is to say. While the other side does not read, nothing is taken in: the library tells how many
    /// events it missed.
    async fn write(&mut self) -> Result<(), LinesCodecError> {
        while let Some(line) = self.out.pop_front() {
            self.lines.feed(line).await?;
        }
        SinkExt::<String>::flush(&mut self.lines).await
    }

    fn say(&mut self, told: &Told) {
        self.out.extend(line(told, MAX_ANSWER));
    }

    fn answer(&mut self, (id, result): Answered) {
        // What happened on the way to the answer comes first, and how everything is then.
        if let Some(Some(event)) = self.events.as_mut().and_then(|events| events.next().now_or_never()) {
            self.take_events(Some(event));
        }
        self.look();
        self.say(&match result {
            Ok(answer) => Told::Answer { id, answer },
            Err(problem) => Told::Problem { id, problem },
        });
    }

    fn take_events(&mut self, first: Option<Event>) {
        let Some(first) = first else {
            // The node has stopped, which the host says in its own way.
            self.events = None;
            return;
        };
        let mut events = vec![first];
        while events.len() < BATCH {
            let next = self.events.as_mut().and_then(|events| tokio::task::unconstrained(events.next()).now_or_never());
            let Some(Some(event)) = next else { break };
            events.push(event);
        }
        // A room that has gone is no longer there when that is told. All of them have happened, so one look is enough.
        if events.iter().any(|event| matches!(event, Event::Room { .. })) {
            self.look();
        }
        events.into_iter().for_each(|event| self.say(&Told::Event { event }));
    }

    /// Tells how everything is if that has changed.
    fn look(&mut self) {
        if self.events.is_none() {
            return;
        }
        let state = state(&self.host.node);
        let pause = TIME_GOES_ON * u32::try_from(1 + state.rooms.len() / FEW_ROOMS).unwrap_or(u32::MAX);
        let recent = self.told.elapsed() < pause;
        if state != self.known && !(recent && state.timeless() == self.known.timeless()) {
            self.told = Instant::now();
            self.known = state.clone();
            self.say(&Told::State { state });
        }
    }

    fn take_up(&mut self, line: &str) {
        let asked: Asked = match serde_json::from_str(line) {
            Ok(asked) => asked,
            Err(error) => {
                let id = serde_json::from_str::<Numbered>(line).map_or(0, |numbered| numbered.id);
                let message = format!("this cannot be understood: {error}");
                return self.say(&Told::Problem { id, problem: Problem::new("question", message) });
            }
        };
        self.last = Some(asked.id);
        if asked.request == Request::Watch && self.events.is_none() {
            self.events = Some(self.host.node.events());
        }
        if let Some(answered) = self.open.take_up(asked) {
            self.answer(answered);
        }
    }

    /// Answers what was taken up, unless that takes long, and says good-bye.
    async fn part(&mut self) -> Result<(), LinesCodecError> {
        let until = Instant::now() + ANSWERING;
        while !self.open.is_empty()
            && let Ok(answered) = tokio::time::timeout_at(until, self.open.next()).await
        {
            self.answer(answered);
            self.write().await?;
        }
        self.say(&Told::Bye { bye: self.last });
        self.write().await
    }
}

/// What is told, as a line of so many bytes at most. The other side would hang up over a longer one, and ask again.
fn line(told: &Told, max: usize) -> Option<String> {
    let line = match serde_json::to_string(told) {
        Ok(line) => line,
        Err(error) => {
            tracing::error!(%error, "something cannot be told to somebody who is attached");
            return None;
        }
    };
    if line.len() <= max {
        return Some(line);
    }
    let length = line.len();
    tracing::warn!(length, "something is too long to be told to somebody who is attached");
    let Told::Answer { id, .. } = told else { return None };
    let message = format!("the answer has {length} bytes, and {max} at most can be given at once: ask for less");
    serde_json::to_string(&Told::Problem { id: *id, problem: Problem::new("answer-too-long", message) }).ok()
}

/// Only a question's number.
#[derive(serde::Deserialize)]
struct Numbered {
    id: u64,
}

async fn next(events: &mut Option<Events>) -> Option<Event> {
    match events {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;

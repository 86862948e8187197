//! The loop of a chat in lines or in JSON: lines in, events out, until it is time to go.
//!
//! Nothing in it waits for one thing alone. While the reader of stdout is slow, nothing new is taken in: neither
//! events, of which the library drops what is too old and says so, nor lines.

mod finish;
mod receipts;

pub(crate) use finish::delivered;

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use distchat_node::{Event, MAX_BODY, RoomName};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};
use tokio::time::{Interval, MissedTickBehavior};

use super::Failure;
use super::args::Args;
use super::clock;
use super::command::{self, Command, Typed};
use super::execute::{self, Context, Outcome};
use super::front::Front;
use super::input::{Input, Stdin};
use super::output::Closed;
use super::report::Report;
use super::signals::Signals;
use crate::attach::{Client, Events, Problem, Told};

/// How many messages may be on their way to the disk. In order: the library stores them as they were first polled.
const IN_FLIGHT: usize = 256;
/// How many lines are held while an earlier one is seen to.
const WAITING: usize = 256;
/// How many events are put into words before anything else gets its turn.
const BATCH: usize = 256;

/// A running chat.
pub(crate) struct Session {
    node: Client,
    events: Events,
    stdin: Stdin,
    front: Front,
    signals: Signals,
    /// The room that lines go to.
    current: Option<RoomName>,
    /// The nick chosen since the start.
    nick: Option<String>,
    options: Args,
    stay: bool,
    linger: Duration,
    /// Lines read, for whoever wants to know which one was wrong.
    lines: u64,
    waiting: VecDeque<(u64, Typed)>,
    in_flight: FuturesOrdered<BoxFuture<'static, (u64, Result<(), Problem>)>>,
    running: Option<BoxFuture<'static, Outcome>>,
    /// The input has ended, or the user wants to leave.
    ended: bool,
    /// Done when it is time to go.
    leaving: Option<BoxFuture<'static, ()>>,
    /// Rooms that have synced, where something may still be missing.
    synced: BTreeSet<RoomName>,
    missing: Option<BoxFuture<'static, Option<Report>>>,
    /// For programs, which are told who has what was said here.
    receipts: Option<BoxFuture<'static, Infallible>>,
    ticks: Interval,
}

/// Why the loop has ended.
enum Stop {
    /// All is said.
    Done,
    /// By a signal, and so soon.
    Asked,
    /// There is nobody to write to.
    Closed(Closed),
    /// It makes no sense to go on.
    Failed(String),
    /// The library has stopped by itself.
    NodeGone,
}

/// Something that happened.
enum Step {
    Signal,
    Sent(Result<(), Closed>),
    Event(Option<Told>),
    Stored(u64, Result<(), Problem>),
    Ran(Outcome),
    Input(Option<Input>),
    Missing(Option<Report>),
    Tick,
    TimeToGo,
}

/// Waits for a future if there is one, and for ever if not. Leaves its place empty when it is done.
async fn maybe<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(running) => {
            let result = running.await;
            *future = None;
            result
        }
        None => std::future::pending().await,
    }
}

impl Session {
    /// A chat that has not begun.
    pub(crate) async fn new(node: Client, stdin: Stdin, front: Front, signals: Signals, args: &Args) -> Self {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            events: node.events().await,
            receipts: (!front.is_text()).then(|| receipts::watch(node.clone()).boxed()),
            node,
            stdin,
            front,
            signals,
            current: None,
            nick: None,
            options: args.clone(),
            stay: args.stay,
            linger: args.linger,
            lines: 0,
            waiting: VecDeque::new(),
            in_flight: FuturesOrdered::new(),
            running: None,
            ended: false,
            leaving: None,
            synced: BTreeSet::new(),
            missing: None,
            ticks,
        }
    }

    /// Opens the rooms, chats, and leaves.
    pub(crate) async fn run(mut self, rooms: &[RoomName]) -> Result<(), Failure> {
        self.front.say(&Report::Ready {
            author: self.node.author(),
            peer_id: self.node.peer_id(),
            name: self.node.profile().to_owned(),
            listen: self.node.listeners(),
        });
        if let Some(text) = guest(&self.node, &self.options) {
            self.front.say(&Report::Notice(text));
        }
        for warning in self.node.warnings() {
            self.front.say(&Report::Error { code: "profile".into(), message: warning });
        }
        self.running = Some(Box::pin(open(self.node.clone(), rooms.to_vec())));
        let stop = loop {
            self.take_lines();
            self.leave_if_done();
            let step = self.wait().await;
            if let Some(stop) = self.see_to(step) {
                break stop;
            }
        };
        self.finish(stop).await
    }

    /// Sees to the lines that wait, as far as it is their turn: a command's comes when all before it is on the disk.
    fn take_lines(&mut self) {
        while self.running.is_none() && !self.front.stdout.is_pending() {
            match self.waiting.pop_front() {
                Some((number, Typed::Text(text))) if self.in_flight.len() < IN_FLIGHT => self.broadcast(number, text),
                Some((_, Typed::Nothing)) => {}
                Some((_, Typed::Wrong(complaint))) => self.front.say(&complaint.into()),
                Some((_, Typed::Command(command))) if self.in_flight.is_empty() => self.execute(command),
                Some(later) => return self.waiting.push_front(later),
                None => return,
            }
        }
    }

    fn broadcast(&mut self, number: u64, text: String) {
        if text.len() > MAX_BODY {
            return self.front.say(&self.too_long(number, text.len()).into());
        }
        let Some(room) = self.current.as_ref().and_then(|name| self.node.room(name)) else {
            return self.front.say(&execute::no_room().into());
        };
        let storing = async move { (number, room.broadcast(&text).await.map(drop)) };
        // Out of tokio's co-operative budget, which may turn a first poll away before the room has seen it, and so let
        // the next line pass.
        self.in_flight.push_back(Box::pin(tokio::task::unconstrained(storing)));
    }

    fn too_long(&self, number: u64, length: usize) -> Problem {
        let reason = format!("it has {length} bytes and can have {MAX_BODY} at most: send it in parts");
        self.not_sent(number, "too-long".into(), &reason)
    }

    fn not_sent(&self, number: u64, code: Cow<'static, str>, reason: &str) -> Problem {
        Problem { code, message: format!("line {number} was not sent: {reason}") }
    }

    fn execute(&mut self, command: Command) {
        let context = Context { node: self.node.clone(), current: self.current.clone(), nick: self.nick.clone() };
        self.running = Some(Box::pin(execute::execute(context, command)));
    }

    /// Begins to leave once there is nothing more to do.
    fn leave_if_done(&mut self) {
        let idle = self.waiting.is_empty() && self.in_flight.is_empty() && self.running.is_none();
        if self.ended && idle && self.leaving.is_none() && !self.stay {
            let delivered = finish::delivered(self.node.clone());
            let linger = self.linger;
            self.leaving = Some(Box::pin(async move {
                // Either way the messages are on the disk, and go out when this profile runs again.
                let _ = tokio::time::timeout(linger, delivered).await;
            }));
        }
    }

    async fn wait(&mut self) -> Step {
        let ticking = self.front.needs_tick() || !self.synced.is_empty();
        let pending = self.front.stdout.is_pending();
        tokio::select! {
            () = self.signals.recv() => Step::Signal,
            sent = self.front.stdout.send(), if pending => Step::Sent(sent),
            event = self.events.next(), if !pending => Step::Event(event),
            Some((number, result)) = self.in_flight.next(), if !self.in_flight.is_empty() => Step::Stored(number, result),
            outcome = maybe(&mut self.running) => Step::Ran(outcome),
            input = self.stdin.next(), if self.waiting.len() < WAITING => Step::Input(input),
            report = maybe(&mut self.missing) => Step::Missing(report),
            never = maybe(&mut self.receipts) => match never {},
            _ = self.ticks.tick(), if ticking && !pending => Step::Tick,
            () = maybe(&mut self.leaving) => Step::TimeToGo,
        }
    }

    fn see_to(&mut self, step: Step) -> Option<Stop> {
        match step {
            Step::Signal => return Some(Stop::Asked),
            Step::Sent(Ok(())) | Step::Missing(None) => {}
            Step::Sent(Err(closed)) => return Some(Stop::Closed(closed)),
            Step::Event(None) => return Some(Stop::NodeGone),
            Step::Event(Some(event)) => self.see_to_events(event),
            Step::Stored(number, result) => self.see_to_stored(number, result),
            Step::Ran(outcome) => return self.see_to_outcome(outcome),
            Step::Input(input) => self.see_to_inputs(input),
            Step::Missing(Some(report)) => self.front.say(&report),
            Step::Tick => {
                self.front.tick(clock::now_millis());
                self.look_for_missing();
            }
            Step::TimeToGo => return Some(Stop::Done),
        }
        None
    }

    fn see_to_events(&mut self, first: Told) {
        self.say_event(first);
        for _ in 1..BATCH {
            match self.events.next().now_or_never() {
                Some(Some(event)) => self.say_event(event),
                // The end shows itself again.
                Some(None) | None => break,
            }
        }
    }

    fn say_event(&mut self, told: Told) {
        let event = match told {
            Told::Event(event) => event,
            Told::Gone => return self.front.say(&Report::Gone),
            Told::Back => return self.front.say(&Report::Back),
        };
        if let Event::Synced { room, .. } = &event
            && self.front.is_text()
        {
            self.synced.insert(room.clone());
        }
        self.front.say(&Report::Event(event));
    }

    fn see_to_stored(&mut self, number: u64, result: Result<(), Problem>) {
        let mut next = Some((number, result));
        while let Some((number, result)) = next {
            if let Err(error) = result {
                self.front.say(&self.not_sent(number, error.code, &error.message).into());
            }
            next = self.in_flight.next().now_or_never().flatten();
        }
    }

    /// After a sync a person is told what is still missing, one room at a time and at most once a second.
    fn look_for_missing(&mut self) {
        if self.missing.is_none()
            && let Some(name) = self.synced.pop_first()
            && let Some(room) = self.node.room(&name)
        {
            self.missing = Some(Box::pin(async move {
                let info = room.fingerprint().await.ok()?;
                Some(Report::Missing { room: name, missing: info.missing })
            }));
        }
    }

    fn see_to_outcome(&mut self, outcome: Outcome) -> Option<Stop> {
        // What happened on the way to the outcome comes first.
        if let Some(Some(event)) = self.events.next().now_or_never() {
            self.see_to_events(event);
        }
        for report in &outcome.reports {
            self.front.say(report);
        }
        self.current = outcome.current;
        self.nick = outcome.nick.or(self.nick.take());
        if outcome.quit {
            self.stay = false;
            self.waiting.clear();
            self.ended = true;
        }
        outcome.failure.map(Stop::Failed)
    }

    fn see_to_inputs(&mut self, first: Option<Input>) {
        let mut next = Some(first);
        while let Some(input) = next {
            match input {
                Some(input) => self.see_to_input(input),
                None => self.ended = true,
            }
            let more = self.waiting.len() < WAITING;
            next = if more { self.stdin.next().now_or_never() } else { None };
        }
    }

    fn see_to_input(&mut self, input: Input) {
        match input {
            // Whoever has asked to leave is not heard any more.
            Input::Line(_) | Input::TooLong(_) if self.ended => {}
            Input::Line(line) => {
                self.lines += 1;
                self.waiting.push_back((self.lines, command::read(line)));
            }
            Input::TooLong(length) => {
                self.lines += 1;
                self.waiting.push_back((self.lines, Typed::Wrong(self.too_long(self.lines, length))));
            }
            Input::Replaced => {
                let message = "the input is not UTF-8: what could not be read was replaced by \u{fffd}".to_owned();
                self.front.say(&Report::Error { code: "not-utf8".into(), message });
            }
            Input::Broken(message) => {
                self.front.say(&Report::Error { code: "input".into(), message });
                self.ended = true;
            }
        }
    }
}

/// What to tell whoever uses another process's node.
pub(crate) fn guest(node: &Client, args: &Args) -> Option<String> {
    let process = node.attached_to()?;
    let given = [("--listen", !args.listen.is_empty()), ("--no-mdns", args.no_mdns)];
    let idle: Vec<&str> = given.iter().filter(|(_, given)| *given).map(|(option, _)| *option).collect();
    let but = if idle.is_empty() { String::new() } else { format!("; {} is its own matter", idle.join(", ")) };
    Some(format!("the node of process {process} is used{but}"))
}

/// Opens the rooms of the command line; the first is the current one.
pub(crate) async fn open(node: Client, rooms: Vec<RoomName>) -> Outcome {
    let mut outcome = Outcome::default();
    let before = node.rooms();
    for name in rooms {
        // Of what another program has opened there is no event.
        outcome.reports.extend(before.iter().find(|info| info.name == name).cloned().map(Report::Switched));
        match node.open_room(&name).await {
            Ok(_) => {
                outcome.current.get_or_insert(name);
            }
            Err(error) => {
                outcome.failure.get_or_insert_with(|| format!("no room could be opened: {error}"));
                outcome.reports.push(error.into());
            }
        }
    }
    if outcome.current.is_some() {
        outcome.failure = None;
    }
    outcome
}

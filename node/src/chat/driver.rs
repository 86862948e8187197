//! The loop that joins the chat, its terminal and the library.

use std::collections::VecDeque;
use std::time::Duration;

use distchat_node::RoomName;
use futures::FutureExt;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, FuturesUnordered};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::app::{App, Effect, Say};
use super::done::Done;
use super::keyboard::Keyboard;
use super::log::LogFile;
use super::memory::{Kept, Memory};
use super::notify::{Desktop, Notify};
use super::screen::Screen;
use super::{draw, effects};
use crate::attach::{Client, Events, Told};
use crate::cli::args::Args;
use crate::cli::clock;
use crate::cli::command::Command;
use crate::cli::execute::{self, Context, Outcome};
use crate::cli::session;
use crate::cli::signals::Signals;

/// How long events are taken in before anything else gets its turn. What is more than can be taken in is told of as missed,
/// and the window loaded anew.
const BATCH: Duration = Duration::from_millis(3);
/// How long events gather before more are taken in. While a long history comes in there is always one: to wake up for each
/// would make the chat one of those that want the processor all the time, and then it has to wait for it with every key.
const GATHER: Duration = Duration::from_millis(8);
/// Of how many rooms all are looked at for each frame, and how often all of more are.
const FEW_ROOMS: usize = 256;
const LOOK: Duration = Duration::from_secs(1);
/// How long after a frame the next one comes if nobody has pressed a key.
const FRAME: Duration = Duration::from_millis(33);
/// How many messages may be on their way to the disk.
const IN_FLIGHT: usize = 256;
/// How often what is to be remembered is written down.
const REMEMBER: Duration = Duration::from_secs(20);
/// How long the node may take to stop.
const STOPPING: Duration = Duration::from_secs(10);

/// The chat and everything around it.
pub(super) struct Chat {
    node: Client,
    events: Events,
    app: App,
    screen: Screen,
    keys: Keyboard,
    signals: Signals,
    logs: Option<mpsc::Receiver<String>>,
    /// Where they go. In memory there is no file, and they become notices.
    log: Option<LogFile>,
    /// What is remembered on disk.
    memory: Memory,
    kept: Kept,
    notify: Notify,
    desktop: Desktop,
    /// What was typed and is not seen to yet.
    turns: VecDeque<Turn>,
    /// A command is being carried out.
    commanding: bool,
    /// Said in the order in which they were typed: the library stores them as they were first polled.
    saying: FuturesOrdered<BoxFuture<'static, Option<Done>>>,
    doing: FuturesUnordered<BoxFuture<'static, Option<Done>>>,
    leaving: Option<BoxFuture<'static, ()>>,
    linger: Duration,
    /// The nick chosen since the start, which rooms opened later take on too.
    nick: Option<String>,
    /// What the screen shows, and nothing else, until a key is pressed.
    bare: Option<Vec<String>>,
    remembered: Instant,
    events_due: Instant,
    frame_due: Option<Instant>,
    drawn: Instant,
    /// When all rooms were last looked at, and how many peers there were.
    looked: Instant,
    peers: usize,
}

/// Something that was typed.
enum Turn {
    Say {
        room: RoomName,
        what: Say,
    },
    /// In that room.
    Command {
        from: Option<RoomName>,
        command: Command,
    },
}

/// Something that happened.
enum Step {
    Signal,
    Key(Option<std::io::Result<crossterm::event::Event>>),
    Event(Option<Told>),
    Done(Option<Done>),
    Log(Option<String>),
    Tick,
    Frame,
    Leave,
}

impl Chat {
    /// A chat that has not begun.
    pub(super) async fn new(
        node: Client,
        app: App,
        (screen, keys): (Screen, Keyboard),
        signals: Signals,
        memory: Memory,
        args: &Args,
    ) -> Self {
        let now = Instant::now();
        Self {
            events: node.events().await,
            node,
            app,
            screen,
            keys,
            signals,
            logs: None,
            log: None,
            kept: Kept::new(memory.clone()),
            memory,
            notify: args.notify,
            desktop: Desktop::default(),
            turns: VecDeque::new(),
            // The rooms of the command line are opened first.
            commanding: true,
            saying: FuturesOrdered::new(),
            doing: FuturesUnordered::new(),
            leaving: None,
            linger: args.linger,
            nick: None,
            bare: None,
            remembered: now,
            events_due: now,
            frame_due: Some(now),
            drawn: now,
            looked: now,
            peers: 0,
        }
    }

    /// Where the lines of the log come from, and where they go.
    pub(super) fn log(&mut self, lines: Option<mpsc::Receiver<String>>, file: Option<LogFile>) {
        (self.logs, self.log) = (lines, file);
    }

    /// Opens the rooms, chats, and leaves.
    pub(super) async fn run(mut self, mut rooms: Vec<RoomName>) -> std::io::Result<()> {
        for warning in self.node.warnings() {
            self.app.notice(&warning, true);
        }
        // The first one is looked at, and not waited for until all of them are open: there may be thousands.
        let others = rooms.split_off(rooms.len().min(1));
        let opening = session::open(self.node.clone(), rooms).map(|outcome| Some(Done::Ran { from: None, outcome }));
        self.doing.push(opening.boxed());
        if !others.is_empty() {
            let opening = session::open(self.node.clone(), others).map(|outcome| {
                let outcome = Outcome { current: None, failure: None, ..outcome };
                Some(Done::Ran { from: None, outcome })
            });
            self.doing.push(opening.boxed());
        }
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut result = Ok(());
        loop {
            let step = self.wait(&mut ticks).await;
            match self.see_to(step) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.finish().await;
        result
    }

    async fn wait(&mut self, ticks: &mut tokio::time::Interval) -> Step {
        let frames = self.screen.frames();
        let due = self.frame_due;
        let frame = async {
            match due {
                Some(due) => {
                    // What is due already must not wait until a worker of the runtime, which may have a lot to do, has
                    // looked at the clock.
                    if due > Instant::now() {
                        tokio::time::sleep_until(due).await;
                    }
                    Screen::ready(&frames).await;
                }
                None => std::future::pending().await,
            }
        };
        let event = async {
            tokio::time::sleep_until(self.events_due).await;
            self.events.next().await
        };
        let log = async {
            match &mut self.logs {
                Some(logs) => logs.recv().await,
                None => std::future::pending().await,
            }
        };
        let leaving = async {
            match &mut self.leaving {
                Some(leaving) => leaving.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.signals.recv() => Step::Signal,
            key = self.keys.next() => Step::Key(key),
            () = frame => Step::Frame,
            Some(done) = self.saying.next(), if !self.saying.is_empty() => Step::Done(done),
            Some(done) = self.doing.next(), if !self.doing.is_empty() => Step::Done(done),
            event = event => Step::Event(event),
            _ = ticks.tick() => Step::Tick,
            line = log => Step::Log(line),
            () = leaving => Step::Leave,
        }
    }

    /// Sees to what happened; whether to go on.
    fn see_to(&mut self, step: Step) -> std::io::Result<bool> {
        let mut urgent = false;
        match step {
            Step::Signal | Step::Leave | Step::Event(None) => return Ok(false),
            Step::Key(None) => return Ok(false),
            Step::Key(Some(event)) => {
                urgent = true;
                self.input(event?)?;
            }
            Step::Event(Some(event)) => {
                let begun = Instant::now();
                self.told(event);
                loop {
                    // Out of tokio's co-operative budget, which is used up long before. The end shows itself again.
                    let next = tokio::task::unconstrained(self.events.next());
                    let Some(Some(event)) = next.now_or_never() else { break };
                    self.told(event);
                    if begun.elapsed() >= BATCH {
                        break;
                    }
                }
                self.events_due = Instant::now() + GATHER;
            }
            Step::Done(done) => done.into_iter().for_each(|done| self.take(done)),
            Step::Log(Some(line)) => match &mut self.log {
                Some(log) => log.write(&line),
                None => self.app.notice(line.trim(), true),
            },
            Step::Log(None) => self.logs = None,
            Step::Tick => {
                self.app.tick();
                self.remember_now_and_then();
            }
            Step::Frame => {
                self.draw()?;
                self.app.want();
                return self.perform();
            }
        }
        self.app.want();
        if self.bare.is_none() {
            let due = if urgent { Instant::now() } else { self.drawn + FRAME };
            self.frame_due = Some(self.frame_due.map_or(due, |already| already.min(due)));
        }
        self.perform()
    }

    fn told(&mut self, told: Told) {
        match told {
            Told::Event(event) => self.app.event(event),
            Told::Gone => self.app.node_gone(),
            Told::Back => self.app.node_back(),
        }
    }

    fn draw(&mut self) -> std::io::Result<()> {
        self.frame_due = None;
        self.drawn = Instant::now();
        if let Some(lines) = &self.bare {
            return self.screen.show_bare(lines);
        }
        self.look();
        self.screen.draw(|frame| draw::draw(frame, &mut self.app))
    }

    /// Sees how everything is. Of very many rooms only the one on the screen is looked at for each frame.
    fn look(&mut self) {
        let now = clock::now_millis();
        if self.app.rooms.len() <= FEW_ROOMS || self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            self.peers = self.node.peers().len();
            return self.app.look(self.node.rooms(), self.peers, now);
        }
        let current = self.app.current.as_ref().and_then(|name| self.node.room_info(name));
        self.app.look(current.into_iter().collect(), self.peers, now);
    }

    fn take(&mut self, done: Done) {
        if let Done::Ran { outcome, .. } = &done {
            self.commanding = false;
            self.nick = outcome.nick.clone().or(self.nick.take());
        }
        self.app.done(done);
    }

    fn input(&mut self, event: crossterm::event::Event) -> std::io::Result<()> {
        use crossterm::event::Event;
        if self.bare.is_some() && matches!(event, Event::Key(_) | Event::Resize(..)) {
            self.bare = None;
            return self.screen.resume();
        }
        match event {
            Event::Key(key) => self.app.key(key),
            Event::Mouse(mouse) => self.app.mouse(mouse),
            Event::Paste(text) => self.app.paste(&text),
            Event::FocusGained => self.app.focus(true),
            Event::FocusLost => self.app.focus(false),
            // The next frame looks how large the terminal is. It may be as large as before, and yet have lost something
            // in between.
            Event::Resize(..) => self.screen.redraw(),
        }
        Ok(())
    }

    /// Does what the chat wants; whether to go on.
    fn perform(&mut self) -> std::io::Result<bool> {
        for effect in std::mem::take(&mut self.app.effects) {
            let node = self.node.clone();
            match effect {
                Effect::Load { room, number, load, horizon } => {
                    self.doing.push(effects::load(node, room, number, load, horizon).map(Some).boxed());
                }
                Effect::Members(room) => self.doing.push(effects::members(node, room).boxed()),
                Effect::Receipts { room, keys } => self.doing.push(effects::receipts(node, room, keys).boxed()),
                Effect::Look { room, horizon } => self.doing.push(effects::look(node, room, horizon).boxed()),
                Effect::Say { room, what } if self.turns.len() < IN_FLIGHT => {
                    self.turns.push_back(Turn::Say { room, what });
                }
                Effect::Say { room, what } => {
                    let why = "the disk has not taken yet what you said before".to_owned();
                    self.app.done(Done::NotSaid { room, what, why });
                }
                Effect::Command(command) => {
                    self.turns.push_back(Turn::Command { from: self.app.current.clone(), command });
                }
                Effect::Search(words) => self.doing.push(effects::search(node, words).map(Some).boxed()),
                Effect::Notify { title, text } => match self.notify {
                    Notify::Off => {}
                    Notify::Bell => self.screen.ring()?,
                    Notify::Desktop => {
                        let shown = self.desktop.clone().show(title, text);
                        self.doing.push(shown.map(|shown| shown.err().map(Done::Failed)).boxed());
                    }
                },
                Effect::Redraw => self.screen.redraw(),
                Effect::Bare(lines) => {
                    self.bare = Some(lines);
                    self.frame_due = Some(Instant::now());
                }
                Effect::LeaveNow => return Ok(false),
                Effect::Leave if self.app.leaving => return Ok(false),
                Effect::Leave => self.app.leaving = true,
            }
        }
        self.take_turns();
        if self.app.leaving && self.leaving.is_none() && self.is_done() {
            let (linger, delivered) = (self.linger, session::delivered(self.node.clone()));
            let waiting = async move {
                // Either way the messages are on the disk, and go out when this profile runs again.
                let _ = tokio::time::timeout(linger, delivered).await;
            };
            self.leaving = Some(waiting.boxed());
        }
        Ok(true)
    }

    /// Whether all that was typed is stored or done.
    fn is_done(&self) -> bool {
        self.turns.is_empty() && self.saying.is_empty() && !self.commanding
    }

    /// Sees to what was typed, as far as it is its turn: a command's comes when all before it is on the disk, and what was
    /// typed behind it waits until it is done.
    fn take_turns(&mut self) {
        while !self.commanding {
            let (says, commands) = (self.saying.len() < IN_FLIGHT, self.saying.is_empty());
            let may = |turn: &mut Turn| if matches!(turn, Turn::Say { .. }) { says } else { commands };
            match self.turns.pop_front_if(may) {
                Some(Turn::Say { room, what }) => self.say(room, what),
                Some(Turn::Command { from, command }) => {
                    let context = Context { node: self.node.clone(), current: from.clone(), nick: self.nick.clone() };
                    let ran = execute::execute(context, command).map(|outcome| Some(Done::Ran { from, outcome }));
                    self.doing.push(ran.boxed());
                    self.commanding = true;
                }
                None => return,
            }
        }
    }

    fn say(&mut self, room: RoomName, what: Say) {
        // Out of tokio's co-operative budget, which may turn a first poll away before the room has seen it, and so let the
        // next line pass.
        let mut saying = tokio::task::unconstrained(effects::say(self.node.clone(), room, what)).boxed();
        match (&mut saying).now_or_never() {
            Some(done) => self.saying.push_back(futures::future::ready(done).boxed()),
            None => self.saying.push_back(saying),
        }
    }

    /// Stops the node, and gives the terminal back.
    async fn finish(mut self) {
        self.app.notice("closing", false);
        // What was typed behind a command is given to the rooms, which take it up before they end.
        for turn in std::mem::take(&mut self.turns) {
            if let Turn::Say { room, what } = turn {
                self.say(room, what);
            }
        }
        // Only a terminal that is gone fails here, and it is given back all the same.
        let _ = self.draw();
        tokio::select! {
            () = self.node.shutdown() => {}
            () = self.signals.recv() => {}
            () = tokio::time::sleep(STOPPING) => {}
        }
        if let Some(remembering) = self.remember() {
            remembering.await;
        }
        if let Some(log) = &mut self.log {
            while let Some(line) = self.logs.as_mut().and_then(|lines| lines.try_recv().ok()) {
                log.write(&line);
            }
            log.finish().await;
        }
        self.screen.close().await;
    }

    fn remember_now_and_then(&mut self) {
        if self.remembered.elapsed() >= REMEMBER
            && let Some(remembering) = self.remember()
        {
            self.doing.push(remembering);
        }
    }

    /// Writes down what is to be remembered, if that has changed.
    fn remember(&mut self) -> Option<BoxFuture<'static, Option<Done>>> {
        let directory = self.node.directory()?.to_owned();
        let memory = self.app.memory();
        if *memory == self.memory && !self.kept.is_behind() {
            return None;
        }
        self.remembered = Instant::now();
        let memory = memory.clone();
        self.memory.clone_from(&memory);
        let kept = self.kept.clone();
        let written = tokio::task::spawn_blocking(move || kept.write(&memory, &directory));
        Some(written.map(|written| written.ok()?.err().map(Done::Failed)).boxed())
    }
}

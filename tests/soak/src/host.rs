//! A host: the real program on it, process after process, and what these have told.
//!
//! Unlike [`distchat_tests::Chat`] it keeps nothing of what passes but numbers, so that an hour costs no more memory than a
//! minute; and whatever the program does is a finding, not a panic.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::{BufRead, BufReader, BufWriter, Read, Write},
    net::SocketAddr,
    process::{Child, ChildStdin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use distchat_tests::{Launch, Machine, clock};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    heard::{self, Line},
    ledger::Ledger,
    proc::{self, Usage},
};

/// Pieces of input on their way to a program that does not read them yet.
const WAITING: usize = 256;
/// Lines that a host may have said and not acknowledged; beyond that nothing is said there.
pub(crate) const MOST_OUTSTANDING: u64 = 512;
/// How much of standard error is kept.
const STDERR: usize = 40;
/// The longest line of it that is kept.
const STDERR_LINE: usize = 500;
/// How often it is looked whether a process has ended.
const LOOK: Duration = Duration::from_millis(20);

/// What a host's programs have told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The present process is ready, and listens here.
    pub(crate) address: Option<SocketAddr>,
    /// When the present process was started.
    started: Option<Instant>,
    /// Rooms that it has open.
    open: BTreeSet<usize>,
    /// Messages that it holds in each room, as it told last.
    pub(crate) held: Vec<u64>,
    /// How many it lacked of those known when it told that; taken by whoever looks, so that nobody takes it for the present.
    pub(crate) lag: Option<u64>,
    /// How often the present process was asked, and has answered.
    asked: u64,
    answered: u64,
    /// A room's fingerprint, since it was asked last.
    pub(crate) fingerprints: BTreeMap<usize, (u64, String)>,
    /// What the network of the present process has counted, and that of all before it.
    counters: BTreeMap<String, u64>,
    counters_before: BTreeMap<String, u64>,
    /// Answers to `/counters`.
    pub(crate) counted: u64,
    /// Lines said to the present process, and what became of them.
    said: u64,
    settled: u64,
    /// What it warned of or complained about, by code.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Crashes of rooms, and panics.
    pub(crate) crashes: Vec<String>,
    stderr: VecDeque<String>,
}

impl Told {
    /// Lines that were said and neither acknowledged nor refused yet.
    fn outstanding(&self) -> u64 {
        self.said.saturating_sub(self.settled)
    }

    /// What all its processes' networks have counted.
    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        let mut sum = self.counters_before.clone();
        for (name, count) in &self.counters {
            *sum.entry(name.clone()).or_default() += count;
        }
        sum
    }

    fn note_stderr(&mut self, line: &str) {
        let line: String = line.chars().take(STDERR_LINE).collect();
        // A panic that something caught is one all the same.
        if line.contains("panic") {
            self.crashes.push(line.clone());
        }
        if self.stderr.len() == STDERR {
            self.stderr.pop_front();
        }
        self.stderr.push_back(line);
    }
}

/// One process.
struct Run {
    child: Child,
    input: SyncSender<Vec<u8>>,
    threads: Vec<JoinHandle<()>>,
    faked: bool,
    /// The room that lines go to.
    current: usize,
}

/// A host.
pub(crate) struct Host {
    pub(crate) number: usize,
    pub(crate) launch: Launch,
    rooms: Arc<[String]>,
    ledger: Arc<Ledger>,
    told: Arc<Mutex<Told>>,
    run: Mutex<Option<Run>>,
}

impl Host {
    pub(crate) fn new(number: usize, machine: &Machine, rooms: &Arc<[String]>, ledger: &Arc<Ledger>) -> Self {
        let launch = rooms.iter().fold(machine.chat(&format!("h{number}")), |launch, room| launch.room(room));
        Self {
            number,
            launch,
            rooms: Arc::clone(rooms),
            ledger: Arc::clone(ledger),
            told: Arc::new(Mutex::new(Told { held: vec![0; rooms.len()], ..Told::default() })),
            run: Mutex::new(None),
        }
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        // Numbers are whole at any moment.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) -> MutexGuard<'_, Option<Run>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the program, with a clock that is off by so much if one is given.
    pub(crate) fn start(&self, clock: Option<&str>) -> Result<()> {
        let mut run = self.run();
        anyhow::ensure!(run.is_none(), "it runs already");
        let launch = match clock {
            Some(offset) => self.launch.clone().clock(offset),
            None => self.launch.clone(),
        };
        let mut child = launch.command().spawn().context("the program does not start")?;
        {
            let mut told = self.told();
            told.address = None;
            told.open.clear();
            told.fingerprints.clear();
            (told.said, told.settled) = (0, 0);
            (told.asked, told.answered) = (0, 0);
            told.lag = None;
            told.started = Some(Instant::now());
            for (name, count) in std::mem::take(&mut told.counters) {
                *told.counters_before.entry(name).or_default() += count;
            }
        }
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (input, lines) = sync_channel(WAITING);
        let mut threads = Vec::new();
        threads.extend(stdin.map(|stdin| thread::spawn(move || write(stdin, &lines))));
        threads.extend(stdout.map(|stdout| {
            let (told, ledger, rooms, host) = (self.told.clone(), self.ledger.clone(), self.rooms.clone(), self.number);
            thread::spawn(move || {
                read(stdout, |line| note(line, host, &rooms, &ledger, &told));
            })
        }));
        threads.extend(stderr.map(|stderr| {
            let told = self.told.clone();
            let keep = move |line: &[u8]| {
                let line = String::from_utf8_lossy(line);
                told.lock().unwrap_or_else(PoisonError::into_inner).note_stderr(&line);
            };
            thread::spawn(move || read(stderr, keep))
        }));
        *run = Some(Run { child, input, threads, faked: launch.faked(), current: 0 });
        Ok(())
    }

    /// The present process.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.run().as_ref().map(|run| run.child.id())
    }

    /// Whether there is a process, and it has all its rooms open.
    pub(crate) fn is_up(&self) -> bool {
        let told = self.told();
        told.address.is_some() && told.open.len() == self.rooms.len()
    }

    /// How long there has been a process that has not all its rooms open.
    pub(crate) fn starting_for(&self) -> Option<Duration> {
        if self.is_up() || self.pid().is_none() {
            return None;
        }
        self.told().started.map(|started| started.elapsed())
    }

    /// What the present process takes of the machine.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.pid().and_then(proc::usage)
    }

    /// Says lines in a room; whether there was space for them on their way.
    pub(crate) fn say<'a>(&self, room: usize, lines: impl IntoIterator<Item = &'a str>) -> bool {
        let (mut text, mut count) = (String::new(), 0);
        for line in lines {
            // Two slashes are one that is meant.
            text.push_str(if line.starts_with('/') { "/" } else { "" });
            text.push_str(line);
            text.push('\n');
            count += 1;
        }
        let mut run = self.run();
        let Some(run) = run.as_mut() else { return false };
        if self.told().outstanding() + count > MOST_OUTSTANDING {
            return false;
        }
        if run.current != room {
            text.insert_str(0, &format!("/join {}\n", self.rooms[room]));
        }
        // Before anybody can answer.
        self.told().said += count;
        let sent = run.input.try_send(text.into_bytes()).is_ok();
        if sent {
            run.current = room;
        } else {
            let mut told = self.told();
            told.said = told.said.saturating_sub(count);
        }
        sent
    }

    /// Types commands.
    fn command(&self, commands: &str) -> bool {
        self.run().as_ref().is_some_and(|run| run.input.try_send(commands.as_bytes().to_vec()).is_ok())
    }

    /// Asks how many messages it holds and what its network has counted, unless it still owes an answer.
    pub(crate) fn ask(&self) {
        let owes = {
            let told = self.told();
            told.asked != told.answered
        };
        if !owes && self.is_up() {
            // Before it can answer.
            self.told().asked += 1;
            if !self.command("/counters\n/rooms\n") {
                self.told().asked -= 1;
            }
        }
    }

    /// Asks for the fingerprint of every room.
    pub(crate) fn ask_fingerprints(&self) {
        self.told().fingerprints.clear();
        let rooms = self.rooms.iter().map(|room| format!("/join {room}\n/fingerprint\n")).collect::<String>();
        if let Some(run) = self.run().as_mut()
            && run.input.try_send(rooms.into_bytes()).is_ok()
        {
            run.current = self.rooms.len() - 1;
        }
    }

    /// Lines that it has been given and not settled.
    pub(crate) fn outstanding(&self) -> u64 {
        self.told().outstanding()
    }

    /// Stops its process where it stands, or lets it go on.
    pub(crate) fn pause(&self, paused: bool) -> Result<()> {
        self.signal(if paused { Signal::STOP } else { Signal::CONT })
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let run = self.run();
        let run = run.as_ref().context("there is no process")?;
        // It is a child that was not waited for, so the number is still its own.
        kill_process(Pid::from_child(&run.child), signal).with_context(|| format!("it cannot be sent {signal:?}"))
    }

    /// Ends its process as a power failure would.
    pub(crate) fn kill(&self) {
        let run = self.run().take();
        if let Some(mut run) = run {
            // It may have ended by itself.
            let _ = run.child.kill();
            let _ = run.child.wait();
            self.bury(run);
        }
    }

    /// Asks its process to end, and waits for that; it is killed if it does not.
    pub(crate) fn stop(&self, within: Duration) -> Result<()> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if let Some(how) = self.ended() {
                anyhow::ensure!(how.starts_with("exit status: 0"), "asked to end, it ended with {how}");
                return Ok(());
            }
            thread::sleep(LOOK);
        }
        self.kill();
        anyhow::bail!("it does not end within {within:?}")
    }

    /// If its process has ended by itself: how, with the last it said on standard error.
    pub(crate) fn ended(&self) -> Option<String> {
        let mut place = self.run();
        let status = place.as_mut()?.child.try_wait().ok().flatten()?;
        let run = place.take()?;
        drop(place);
        self.bury(run);
        let told = self.told();
        let last: Vec<_> = told.stderr.iter().map(String::as_str).collect();
        Some(format!("{status}; {}", last.join(" | ")))
    }

    fn bury(&self, run: Run) {
        let pid = run.child.id();
        drop(run.input);
        for thread in run.threads {
            // Were one to panic, its part of what is told would be missing, which shows.
            let _ = thread.join();
        }
        if run.faked {
            clock::sweep(pid);
        }
        let mut told = self.told();
        told.address = None;
        told.open.clear();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How many of all the messages are not among those held.
pub(crate) fn lacking(all: &[u64], held: &[u64]) -> u64 {
    all.iter().zip(held).map(|(all, held)| all.saturating_sub(*held)).sum()
}

/// Takes note of a line.
fn note(line: &[u8], host: usize, rooms: &[String], ledger: &Ledger, told: &Mutex<Told>) {
    let room_of = |name: &str| rooms.iter().position(|room| room == name);
    let locked = || told.lock().unwrap_or_else(PoisonError::into_inner);
    match heard::read(line) {
        Line::Message { room, id, own, text } => {
            if let Some(room) = room_of(room) {
                ledger.heard(host, room, id, own, &text);
            }
            if own {
                locked().settled += 1;
            }
        }
        Line::Ready { address } => locked().address = address,
        Line::Room { room, state } => {
            let mut told = locked();
            match (room_of(room), state) {
                (Some(room), "open") => _ = told.open.insert(room),
                (Some(_), "restarted" | "failed") => told.crashes.push(format!("room {room}: {state}")),
                _ => {}
            }
        }
        Line::Rooms(counts) => {
            let union = ledger.union();
            let mut told = locked();
            for (room, held) in counts {
                if let Some(room) = room_of(&room) {
                    told.held[room] = held;
                }
            }
            told.lag = Some(lacking(&union, &told.held));
            told.answered = told.asked;
        }
        Line::Counters(counters) => {
            let mut told = locked();
            told.counters = counters;
            told.counted += 1;
        }
        Line::Fingerprint { room, messages, fingerprint } => {
            if let Some(room) = room_of(&room) {
                locked().fingerprints.insert(room, (messages, fingerprint));
            }
        }
        Line::Error { code, message } => {
            let mut told = locked();
            told.settled += u64::from(message.contains("was not sent"));
            *told.errors.entry(code).or_default() += 1;
        }
        Line::Other => {}
        Line::Broken => {
            let line = String::from_utf8_lossy(line);
            locked().crashes.push(format!("no event: {}", line.chars().take(STDERR_LINE).collect::<String>()));
        }
    }
}

/// Reads whole lines to the end. What a killed program leaves of its last one is none.
fn read(stream: impl Read, mut keep: impl FnMut(&[u8])) {
    let mut stream = BufReader::with_capacity(1 << 16, stream);
    let mut line = Vec::new();
    while matches!(stream.read_until(b'\n', &mut line), Ok(1..)) && line.pop() == Some(b'\n') {
        keep(&line);
        line.clear();
    }
}

/// Writes what comes, until there is no more or nobody reads it.
fn write(stdin: ChildStdin, pieces: &Receiver<Vec<u8>>) {
    let mut stdin = BufWriter::new(stdin);
    while let Ok(first) = pieces.recv() {
        let mut next = Ok(first);
        while let Ok(piece) = next {
            if stdin.write_all(&piece).is_err() {
                return;
            }
            next = pieces.try_recv();
        }
        if stdin.flush().is_err() || next == Err(TryRecvError::Disconnected) {
            return;
        }
    }
}

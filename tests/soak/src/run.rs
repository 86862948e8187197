//! The run, from the first start to the last look at the disks.
//!
//! Whatever happens on the way, there is an outcome: what went wrong is part of it. Every wait has an end, and whatever
//! was started is gone when this returns.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use distchat_tests::{Lan, clock};

use crate::{
    args::Args,
    disks::Lost,
    host::{Host, lacking},
    ledger::{Latency, Ledger},
    plan::{Conditions, Plan},
    sample::{Recorder, Sample, Total, counters, write_faults},
    storm::{Played, Storm, guarded},
    talk::Talk,
};

/// How often something is said, or looked at.
const TICK: Duration = Duration::from_millis(20);
/// How often a message is timed.
const PROBE: Duration = Duration::from_secs(1);
/// How often it is looked whether all processes live.
const LIVES: Duration = Duration::from_secs(1);
/// How long all hosts may take to start and to meet.
const MEETING: Duration = Duration::from_secs(300);
/// How long a process may take to open its rooms, the time that it is stopped included.
const OPENING: Duration = Duration::from_secs(240);
/// How long histories may differ after the storm.
const SETTLING: Duration = Duration::from_secs(600);
/// How much longer than planned the storm may be if the machine does not get done what is to be said.
const OVERTIME: f64 = 1.25;
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(60);
/// How long a program may take to end.
const ENDING: Duration = Duration::from_secs(120);
/// How often a line is said on the quiet mesh, each by somebody else.
const QUIET: Duration = Duration::from_millis(200);
/// How long a node takes at most until what it has received is among what it has counted.
const COUNTED: Duration = Duration::from_secs(3);
/// How often hosts are asked how much they hold while that is waited for.
const ASKED: Duration = Duration::from_millis(250);
/// How often a person is told how it goes.
const TOLD: Duration = Duration::from_secs(15);

/// What the quiet mesh cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Calm {
    /// Messages said, each of which was delivered to all other hosts.
    pub(crate) said: u64,
    pub(crate) delivered: u64,
    pub(crate) gossip: u64,
}

impl Calm {
    /// Gossip messages a delivered message.
    pub(crate) fn ratio(&self) -> f64 {
        self.gossip as f64 / self.delivered.max(1) as f64
    }
}

/// What came of it all.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) rooms: Vec<String>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) course: Vec<Total>,
    pub(crate) latencies: Vec<Latency>,
    pub(crate) played: Vec<Played>,
    /// What the harness did not get done.
    pub(crate) troubles: Vec<String>,
    /// Programs that ended by themselves, rooms that crashed, panics.
    pub(crate) crashes: Vec<String>,
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) acknowledged: u64,
    /// When the storm began and ended, in seconds since the beginning.
    pub(crate) storm: (f64, f64),
    /// How long after the storm all hosts held the same.
    pub(crate) healed: Option<f64>,
    pub(crate) calm: Option<Calm>,
    /// Each room's fingerprint, where all hosts have the same one.
    pub(crate) fingerprints: BTreeMap<String, (u64, String)>,
    /// Where they have not.
    pub(crate) differing: Vec<String>,
    pub(crate) lost: Option<Lost>,
    pub(crate) interrupted: bool,
}

/// Everything that a run works with.
struct Run<'a> {
    args: &'a Args,
    stop: &'a AtomicBool,
    ledger: Arc<Ledger>,
    storm: Arc<Storm>,
    recorder: Recorder,
    talk: Talk,
    crashes: Vec<String>,
    due: Due,
}

/// When what is due next.
struct Due {
    sample: Instant,
    probe: Instant,
    lives: Instant,
    told: Instant,
}

/// Runs it all.
///
/// # Errors
/// If it cannot begin: no namespaces, no place to write to.
pub(crate) fn run(args: &Args, directory: &Path, stop: &AtomicBool) -> Result<Outcome> {
    let rooms: Arc<[String]> = (0..args.rooms).map(room_name).collect();
    let recorder = Recorder::new(directory)?;
    let ledger = Arc::new(Ledger::new(rooms.len()));
    // The last one is for the hostile.
    let lan = guarded(|| Ok(Lan::new(args.hosts + 1)))?;
    let hosts = (0..args.hosts).map(|host| Host::new(host, lan.host(host), &rooms, &ledger)).collect();
    let storm = Arc::new(Storm::new(lan, hosts, Arc::clone(&rooms), Arc::clone(&ledger)));
    let now = Instant::now();
    let due = Due { sample: now, probe: now, lives: now, told: now + TOLD };
    let talk = Talk::new(args.seed, rooms.len());
    let mut run = Run { args, stop, ledger, storm, recorder, talk, crashes: Vec::new(), due };
    let mut outcome = Outcome { rooms: rooms.to_vec(), ..Outcome::default() };
    if let Err(error) = run.through(&mut outcome) {
        run.storm.trouble(format!("{error:#}"));
    }
    run.finish(outcome, directory)
}

impl Run<'_> {
    fn through(&mut self, outcome: &mut Outcome) -> Result<()> {
        self.meet()?;
        outcome.storm.0 = self.ledger.now();
        let raged = self.storm();
        outcome.storm.1 = self.ledger.now();
        raged?;
        outcome.healed = self.settle()?;
        outcome.calm = self.calm()?;
        self.settle()?;
        self.compare(outcome)?;
        outcome.lost = Some(self.look_at_the_disks()?);
        Ok(())
    }

    fn stopped(&self) -> Result<()> {
        anyhow::ensure!(!self.stop.load(Ordering::Relaxed), "interrupted");
        Ok(())
    }

    /// What is to be done all the time, however it goes.
    fn tick(&mut self) -> Result<()> {
        self.stopped()?;
        let now = Instant::now();
        if now >= self.due.sample {
            self.recorder.take(&self.storm, &self.ledger)?;
            self.due.sample = now + Duration::from_secs_f64(self.args.sample);
        }
        if now >= self.due.lives {
            self.see_that_all_live();
            self.due.lives = now + LIVES;
        }
        if now >= self.due.told {
            self.tell();
            self.due.told = now + TOLD;
        }
        thread::sleep(TICK);
        Ok(())
    }

    /// A process that has ended by itself, or does not get to work, is a finding, and is started again.
    fn see_that_all_live(&mut self) {
        for host in &self.storm.hosts {
            let slow = || host.starting_for().filter(|time| *time > OPENING);
            let finding = match host.ended() {
                Some(how) => format!("host {} ended by itself: {how}", host.number),
                None if slow().is_some() => format!("host {} did not open its rooms within {OPENING:?}", host.number),
                None => continue,
            };
            eprintln!("soak: {finding}");
            self.crashes.push(format!("{:.0} s: {finding}", self.ledger.now()));
            host.kill();
            if let Err(error) = host.start(None) {
                self.storm.trouble(format!("host {} does not start again: {error:#}", host.number));
            }
        }
    }

    fn tell(&self) {
        let union = self.ledger.union();
        let up = self.storm.hosts.iter().filter(|host| host.is_up()).count();
        let lag = self.storm.hosts.iter().map(|host| lacking(&union, &host.told().held)).max().unwrap_or_default();
        let busy = self.recorder.course.last().map_or(0., |total| total.busy);
        eprintln!(
            "soak: {:.0} s, {} of {} messages, {up} of {} hosts up, the furthest behind by {lag}, processors {:.0} % busy",
            self.ledger.now(),
            self.ledger.acknowledged(),
            self.args.messages,
            self.args.hosts,
            busy * 100.,
        );
    }

    /// Ticks until something holds; whether it does in time.
    fn until(&mut self, within: Duration, mut holds: impl FnMut(&Self) -> bool) -> Result<bool> {
        let deadline = Instant::now() + within;
        while !holds(self) {
            if Instant::now() > deadline {
                return Ok(false);
            }
            self.tick()?;
        }
        Ok(true)
    }

    /// Starts all hosts, and waits until each hears what is said on another.
    fn meet(&mut self) -> Result<()> {
        for host in &self.storm.hosts {
            host.start(None).with_context(|| format!("host {}", host.number))?;
        }
        anyhow::ensure!(self.until(MEETING, |run| run.storm.hosts.iter().all(Host::is_up))?, "not all hosts start");
        for room in 0..self.args.rooms {
            self.storm.hosts[room % self.args.hosts].say(room, ["hello"]);
        }
        let rooms = self.args.rooms as u64;
        let said = self.until(ANSWER, |run| run.ledger.acknowledged() == rooms)?;
        anyhow::ensure!(said && self.until_level(MEETING)?, "the hosts do not meet");
        eprintln!("soak: {:.0} s, all hosts have met", self.ledger.now());
        Ok(())
    }

    /// Ticks until all hosts hold the same, and all that anybody has told of; whether they do in time.
    fn until_level(&mut self, within: Duration) -> Result<bool> {
        let mut asked = Instant::now();
        self.until(within, |run| {
            if asked.elapsed() > ASKED {
                run.storm.hosts.iter().for_each(Host::ask);
                asked = Instant::now();
            }
            run.is_level()
        })
    }

    /// Whether they do, as they told last. They may hold more than that, if some author was killed before it could tell.
    fn is_level(&self) -> bool {
        let hosts = &self.storm.hosts;
        let held = hosts[0].told().held.clone();
        lacking(&self.ledger.union(), &held) == 0
            && hosts.iter().all(|host| host.outstanding() == 0 && host.told().held == held)
    }

    /// Everybody talks, and whatever can break does, until all is said and all is mended.
    fn storm(&mut self) -> Result<()> {
        let seconds = self.args.minutes * 60.;
        let clocks = clock::available();
        if let Err(why) = &clocks {
            self.storm.trouble(format!("no wrong clocks: {why}"));
        }
        let conditions =
            Conditions { hosts: self.args.hosts, storm: seconds, every: self.args.fault_every, clocks: clocks.is_ok() };
        let plan = Arc::new(Plan::draw(self.args.seed, &conditions));
        let raging = Raging::start(&self.storm, &plan);
        let (began, already) = (self.ledger.now(), self.ledger.acknowledged());
        // What is said later, on the quiet mesh, counts as well; but it is little.
        let wanted = self.args.messages.saturating_sub(already);
        loop {
            let time = self.ledger.now() - began;
            let said = self.ledger.acknowledged() - already;
            if (time >= seconds && said >= wanted) || time >= seconds * OVERTIME {
                break;
            }
            let due = (plan.said_by(time) * wanted as f64) as u64;
            self.talk.say_until(&self.storm, due, said);
            self.probe();
            self.tick()?;
        }
        raging.end();
        Ok(())
    }

    fn probe(&mut self) {
        let now = Instant::now();
        if now >= self.due.probe {
            self.due.probe = now + PROBE;
            self.talk.probe(&self.storm, &self.ledger);
        }
    }

    /// Waits until all hosts hold the same; how long that took.
    fn settle(&mut self) -> Result<Option<f64>> {
        let began = Instant::now();
        let level = self.until_level(SETTLING)?;
        Ok(level.then(|| began.elapsed().as_secs_f64()))
    }

    /// Measures what a message costs where nothing is wrong and few talk.
    fn calm(&mut self) -> Result<Option<Calm>> {
        let Some(before) = self.gossip_received()? else { return Ok(None) };
        let union: u64 = self.ledger.union().iter().sum();
        let end = Instant::now() + Duration::from_secs_f64((self.args.minutes * 3.).clamp(5., 120.));
        let mut next = Instant::now();
        while Instant::now() < end {
            if Instant::now() >= next {
                next += QUIET;
                self.talk.say_one(&self.storm);
            }
            self.probe();
            self.tick()?;
        }
        if !self.until_level(SETTLING)? {
            return Ok(None);
        }
        let Some(after) = self.gossip_received()? else { return Ok(None) };
        let said = self.ledger.union().iter().sum::<u64>() - union;
        let delivered = said * (self.args.hosts as u64 - 1);
        Ok(Some(Calm { said, delivered, gossip: after - before }))
    }

    /// What all hosts have received by gossip, once each has told it anew.
    fn gossip_received(&mut self) -> Result<Option<u64>> {
        let counted = Instant::now() + COUNTED;
        self.until(2 * COUNTED, |_| Instant::now() > counted)?;
        let before: Vec<u64> = self.storm.hosts.iter().map(|host| host.told().counted).collect();
        let anew = |run: &Self| {
            run.storm.hosts.iter().zip(&before).all(|(host, before)| {
                host.ask();
                // The first answer may be to a question from before.
                host.told().counted > before + 1
            })
        };
        let answered = self.until(ANSWER, anew)?;
        Ok(answered.then(|| counters(&self.storm.hosts).get("gossip_received").copied().unwrap_or_default()))
    }

    /// Compares the fingerprints of all hosts.
    fn compare(&mut self, outcome: &mut Outcome) -> Result<()> {
        self.storm.hosts.iter().for_each(Host::ask_fingerprints);
        let rooms = self.args.rooms;
        self.until(ANSWER, |run| run.storm.hosts.iter().all(|host| host.told().fingerprints.len() == rooms))?;
        for (room, name) in outcome.rooms.iter().enumerate() {
            let told: Vec<_> =
                self.storm.hosts.iter().map(|host| host.told().fingerprints.get(&room).cloned()).collect();
            match &told[0] {
                Some(first) if told.iter().all(|one| one.as_ref() == Some(first)) => {
                    outcome.fingerprints.insert(name.clone(), first.clone());
                }
                _ => outcome.differing.push(format!("{name}: {told:?}")),
            }
        }
        Ok(())
    }

    /// Ends all programs and looks for what was acknowledged in their histories.
    fn look_at_the_disks(&mut self) -> Result<Lost> {
        self.recorder.take(&self.storm, &self.ledger)?;
        thread::scope(|scope| {
            for host in &self.storm.hosts {
                scope.spawn(|| {
                    if let Err(error) = host.stop(ENDING) {
                        self.storm.trouble(format!("host {}: {error:#}", host.number));
                    }
                });
            }
        });
        let acknowledged = self.ledger.acknowledged_ids();
        let mut lost = Lost::default();
        for host in &self.storm.hosts {
            self.stopped()?;
            let rooms: Vec<_> = (0..self.args.rooms).map(room_name).collect();
            lost.look(host.number, &host.launch.profile_dir(), &rooms, &acknowledged)?;
        }
        Ok(lost)
    }

    /// Ends what still runs, and puts together what there is to tell.
    fn finish(self, mut outcome: Outcome, directory: &Path) -> Result<Outcome> {
        self.storm.hosts.iter().for_each(Host::kill);
        let (played, troubles) = self.storm.record();
        write_faults(directory, &played)?;
        outcome.crashes = self.crashes;
        for host in &self.storm.hosts {
            let told = host.told();
            outcome.crashes.extend(told.crashes.iter().map(|crash| format!("host {}: {crash}", host.number)));
            for (code, count) in &told.errors {
                *outcome.errors.entry(code.clone()).or_default() += count;
            }
        }
        outcome.counters = counters(&self.storm.hosts);
        outcome.acknowledged = self.ledger.acknowledged();
        outcome.latencies = self.ledger.latencies(0);
        outcome.interrupted = self.stop.load(Ordering::Relaxed);
        (outcome.samples, outcome.course) = (self.recorder.all, self.recorder.course);
        (outcome.played, outcome.troubles) = (played, troubles);
        Ok(outcome)
    }
}

fn room_name(room: usize) -> String {
    format!("soak-{room}")
}

/// The thread that plays the faults. Dropping it mends what is broken and waits for that.
struct Raging {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Raging {
    fn start(storm: &Arc<Storm>, plan: &Arc<Plan>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (storm, plan, stop) = (Arc::clone(storm), Arc::clone(plan), Arc::clone(&over));
        let thread = thread::spawn(move || storm.rage(&plan.faults, &stop));
        Self { over, thread: Some(thread) }
    }

    /// By the end of the storm all of it is mended anyway.
    fn end(self) {}
}

impl Drop for Raging {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it could not do it has told; were it to panic, what is broken would show as a difference.
            let _ = thread.join();
        }
    }
}

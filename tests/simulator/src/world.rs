//! The world of one run: time, what waits to happen, and the loop that lets it happen.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    fmt,
    sync::Arc,
    time::Duration,
};

use distchat_crdt::{
    Key,
    sync::{Input, Request, Response},
};

use crate::{
    check,
    faults::{Fault, Hits},
    host::Host,
    liar::Liar,
    network::Network,
    plan::Plan,
    random::Random,
    trace::Trace,
};

/// How long after the repair all must be equal at the latest.
pub(crate) const HEALING: Duration = Duration::from_secs(120);
/// And within so many hellos of each replica, counted from the last time that a liar wrote something: with each of its peers
/// one session, which has four hellos at most, and half as many again in rounds.
const MAX_HELLOS: u64 = 6 * 50;
/// How often it is looked whether they are.
const GLANCE: Duration = Duration::from_millis(250);
/// How long they have to stay so.
const REST: Duration = Duration::from_secs(2);

/// What a run that kept all promises was like.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How often each fault hit.
    pub hits: Hits,
    /// How long after the repair all correct replicas were equal.
    pub healed_in: Duration,
    /// The most hellos that one correct replica sent between the repair and then.
    pub hellos: u64,
    /// The most bytes that one liar cost one correct replica, and in how many answers.
    pub liar_bytes: usize,
    /// How many messages the transcript has in the end.
    pub messages: usize,
    /// How many inputs were handled.
    pub steps: u64,
}

/// A promise that was broken. Running the seed again breaks it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The run.
    pub seed: u64,
    /// When, since its start.
    pub at: Duration,
    /// What was demanded, and what was found.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {} broke a promise at {:.3} s: {}\n  its story: cargo run --release --example simulate -- --seed {} --trace",
            self.seed,
            self.at.as_secs_f64(),
            self.what,
            self.seed
        )
    }
}

impl std::error::Error for Failure {}

/// Something that is going to happen.
pub(crate) enum Event {
    /// A packet arrives, if both processes still are who they were.
    Arrive { from: (usize, u32), to: (usize, u32), packet: Packet },
    /// A process learns that it is connected to another, or no longer.
    Connected { at: (usize, u32), other: (usize, u32), up: bool },
    /// The transport gives up on a request.
    Unanswered { at: (usize, u32), peer: (usize, u32), id: u64 },
    /// The oldest commit on its way is on disk.
    Written { host: usize, cut: u32 },
    /// Something was read for a task.
    Read { at: (usize, u32), task: u32, input: Input },
    /// A replica's deadline.
    Tick { at: (usize, u32) },
    /// The plan's next action.
    Act(usize),
    /// A host's power is back.
    PowerOn(usize),
    /// A crashed task is started again.
    TaskOn { at: (usize, u32), by_hand: bool },
    /// Two hosts see whether they can be connected.
    Look(usize, usize),
    /// A liar does something of its own accord.
    Mischief(usize),
}

/// What travels.
pub(crate) enum Packet {
    Frame(Arc<Frame>),
    Request { ticket: u64, request: Request },
    Response { id: u64, response: Response },
}

/// A frame of gossip, and what it is recognised by.
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: u64,
}

/// A question that waits for its answer.
pub(crate) struct Call {
    pub(crate) asker: (usize, u32),
    pub(crate) answerer: (usize, u32),
    pub(crate) id: u64,
}

/// What was promised to whom.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Everything that correct authors ever signed.
    pub(crate) signed: BTreeSet<Key>,
    /// What an author was told is safe.
    pub(crate) acknowledged: BTreeSet<Key>,
    /// How many bytes of messages there are in the world, those of liars included.
    pub(crate) bytes: usize,
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) now: Duration,
    queue: BinaryHeap<Reverse<(Duration, u64)>>,
    events: BTreeMap<u64, Event>,
    next: u64,
    pub(crate) hosts: Vec<Host>,
    /// How often each host's disk lost what was on its way: a commit of before is not written after.
    pub(crate) cuts: Vec<u32>,
    pub(crate) network: Network,
    pub(crate) random: Random,
    pub(crate) calls: BTreeMap<u64, Call>,
    pub(crate) ledger: Ledger,
    pub(crate) hits: Hits,
    pub(crate) trace: Trace,
    pub(crate) repaired: bool,
    /// The bytes of answers and frames that each liar cost each correct host.
    pub(crate) costs: BTreeMap<(usize, usize), usize>,
    /// How often each host was connected to each other.
    pub(crate) meetings: BTreeMap<(usize, usize), usize>,
    /// How many hellos each host had said when counting them began.
    hellos: Vec<u64>,
    pub(crate) steps: u64,
    /// What virtual time is counted from, where real code wants a moment.
    pub(crate) epoch: tokio::time::Instant,
    /// The first promise that was broken.
    pub(crate) broken: Option<String>,
}

/// Runs one seed.
///
/// # Errors
/// If a promise was broken.
pub fn run(plan: Plan, trace: Trace) -> Result<Report, Failure> {
    let mut world = World::new(plan, trace);
    let result = world.run();
    let fail = |what| Failure { seed: world.plan.seed, at: world.now, what };
    result.map_err(fail)
}

impl World {
    fn new(plan: Plan, trace: Trace) -> Self {
        let hosts: Vec<Host> = plan
            .hosts
            .iter()
            .enumerate()
            .map(|(n, host)| {
                let liar = host.liar.then(|| Liar::new(n, Random::new(plan.seed, 1000 + n as u64)));
                Host::new(n, host, liar)
            })
            .collect();
        let network = Network::new(plan.weather, Random::new(plan.seed, 1));
        Self {
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            next: 0,
            cuts: vec![0; hosts.len()],
            hosts,
            network,
            random: Random::new(plan.seed, 2),
            calls: BTreeMap::new(),
            ledger: Ledger::default(),
            hits: Hits::default(),
            trace,
            repaired: false,
            costs: BTreeMap::new(),
            meetings: BTreeMap::new(),
            hellos: Vec::new(),
            steps: 0,
            epoch: tokio::time::Instant::now(),
            broken: None,
            plan,
        }
    }

    fn run(&mut self) -> Result<Report, String> {
        self.begin();
        self.run_until(self.plan.repair)?;
        self.repair();
        self.count_hellos();
        let (healed_in, most) = loop {
            if self.now >= self.plan.repair + HEALING {
                return Err(format!("not equal {HEALING:?} after the repair: {}", check::state(self)));
            }
            self.run_until(self.now + GLANCE)?;
            if check::all_equal(self) {
                let healed_in = self.now - self.plan.repair;
                let most = self.correct().map(|host| hellos_since(host, &self.hellos)).max().unwrap_or(0);
                self.run_until(self.now + REST)?;
                // A liar may have shown only now what it wrote before.
                if check::all_equal(self) {
                    if most > MAX_HELLOS {
                        return Err(format!("equal after {healed_in:?}, but a replica said {most} hellos"));
                    }
                    break (healed_in, most);
                }
            }
        };
        check::at_the_end(self)?;
        Ok(Report {
            hits: self.hits.clone(),
            healed_in,
            hellos: most,
            liar_bytes: self.costs.values().copied().max().unwrap_or(0),
            messages: self.correct().filter_map(Host::room).map(|room| room.index().len()).max().unwrap_or(0) as usize,
            steps: self.steps,
        })
    }

    fn begin(&mut self) {
        for host in 0..self.hosts.len() {
            if self.hosts[host].present {
                self.power_on(host);
            }
            if self.hosts[host].liar.is_some() {
                self.after(Duration::from_secs(1), Event::Mischief(host));
            }
        }
        for n in 0..self.plan.actions.len() {
            let at = self.plan.actions[n].0;
            self.at(at, Event::Act(n));
        }
    }

    /// Hellos are counted from here: everything is repaired, or a liar has written something once more.
    pub(crate) fn count_hellos(&mut self) {
        self.hellos = self.hosts.iter().map(hellos).collect();
    }

    /// Mends what can be mended, and brings back who can come back.
    fn repair(&mut self) {
        self.trace.tell(self.now, || "-- everything is repaired --".to_owned());
        self.repaired = true;
        self.network.repair();
        for host in 0..self.hosts.len() {
            self.hosts[host].slow_until = Duration::ZERO;
            if let Some(liar) = &mut self.hosts[host].liar {
                liar.goes_on();
            }
            let drifts = self.hosts[host].ahead_ms(self.now) != self.plan.hosts[host].clock_ms;
            if drifts && self.plan.hosts[host].drift != 0 {
                self.hits.hit(Fault::ClockDrift);
            }
            if self.hosts[host].ahead_ms(self.now).abs() > 60_000 {
                self.hits.hit(Fault::ClockOff);
            }
            if !self.hosts[host].present && !self.hosts[host].left {
                self.hosts[host].present = true;
            }
            if self.hosts[host].process.is_none() && !self.hosts[host].left {
                self.power_on(host);
            }
            self.restart_by_hand(host);
        }
        // Who left may have been the only one between two others.
        let staying: Vec<usize> = self.correct().map(|host| host.number).collect();
        for pair in staying.windows(2) {
            if let [a, b] = *pair {
                self.plan.edges.insert((a.min(b), a.max(b)));
            }
        }
        for (a, b) in self.plan.edges.clone() {
            self.at(self.now, Event::Look(a, b));
        }
    }

    /// The hosts that tell the truth and have not left.
    pub(crate) fn correct(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.liar.is_none() && !host.left)
    }

    fn run_until(&mut self, end: Duration) -> Result<(), String> {
        while let Some(Reverse((at, number))) = self.queue.peek().copied() {
            if at > end {
                break;
            }
            self.queue.pop();
            self.now = self.now.max(at);
            if let Some(event) = self.events.remove(&number) {
                self.happen(event);
            }
            if let Some(broken) = self.broken.take() {
                return Err(broken);
            }
        }
        self.now = end;
        Ok(())
    }

    pub(crate) fn at(&mut self, at: Duration, event: Event) {
        self.next += 1;
        self.queue.push(Reverse((at, self.next)));
        self.events.insert(self.next, event);
    }

    pub(crate) fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.now + wait, event);
    }

    pub(crate) fn ticket(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Notes a broken promise. The first one counts.
    pub(crate) fn demand(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            self.broken = Some(what());
        }
    }

    /// Whether that process still runs.
    pub(crate) fn runs(&self, (host, incarnation): (usize, u32)) -> bool {
        self.hosts[host].incarnation == incarnation && self.hosts[host].process.is_some()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { from, to, packet } => self.arrive(from, to, packet),
            Event::Connected { at, other, up } => self.connected(at, other, up),
            Event::Unanswered { at, peer, id } => self.unanswered(at, peer, id),
            Event::Written { host, cut } => self.written(host, cut),
            Event::Read { at, task, input } => {
                let wanted = self.hosts[at.0].process.is_some() && self.hosts[at.0].tasks == task;
                if self.runs(at) && wanted {
                    self.input(at.0, input);
                }
            }
            Event::Tick { at } => self.tick(at),
            Event::Act(n) => {
                if !self.repaired {
                    let action = self.plan.actions[n].1.clone();
                    self.act(action);
                }
            }
            Event::PowerOn(host) => {
                if self.hosts[host].process.is_none() && !self.hosts[host].left && self.hosts[host].present {
                    self.power_on(host);
                }
            }
            Event::TaskOn { at, by_hand } => self.task_on(at, by_hand),
            Event::Look(a, b) => self.look(a, b),
            Event::Mischief(host) => self.mischief(host),
        }
    }
}

fn hellos(host: &Host) -> u64 {
    host.process.as_ref().map_or(0, |process| process.hellos)
}

fn hellos_since(host: &Host, before: &[u64]) -> u64 {
    hellos(host).saturating_sub(before.get(host.number).copied().unwrap_or(0))
}

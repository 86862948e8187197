//! What happens to hosts: power, crashes, disks, clocks, cables, and people who type.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use distchat_crdt::{Key, Timestamp, kind, sync::Input};
use distchat_node::restart::{Decision, Intensity};

use crate::{
    faults::Fault,
    host::{Host, peer_of, room_id},
    liar::Mischief,
    plan::Action,
    world::{Event, Frame, World},
};

/// How long it takes at most until a process learns that a connection is gone.
const DETECTION: Duration = Duration::from_secs(10);
/// How long until a lost connection is tried again.
const REDIAL: Duration = Duration::from_secs(2);
/// How soon a question to a process that died is given up.
const REQUEST_TIME: Duration = Duration::from_secs(10);

impl World {
    pub(crate) fn act(&mut self, action: Action) {
        match action {
            Action::Say(host, lines, length) => self.say(host, lines, length),
            Action::Cut(from, to) => {
                self.network.cut(from, to);
                for (at, other) in [(from, to), (to, from)] {
                    self.connection_lost(at, other);
                }
            }
            Action::Mend(from, to) => {
                self.network.mend(from, to);
                self.after(self.network_pause(), Event::Look(from.min(to), from.max(to)));
            }
            Action::MendAll => self.network.mend_all(),
            Action::Crash(host, downtime) => self.crash(host, Some(downtime)),
            Action::CrashTask(host) => self.crash_task(host),
            Action::Copy(host) => {
                let copy = self.hosts[host].disk.durable.clone();
                self.hosts[host].copies.push(copy);
            }
            Action::Restore(host, downtime) => self.restore(host, downtime),
            Action::Join(host) => {
                if !self.hosts[host].present && !self.hosts[host].left {
                    self.hosts[host].present = true;
                    if self.correct().any(|host| host.room().is_some_and(|room| !room.index().is_empty())) {
                        self.hits.hit(Fault::Joined);
                    }
                    self.power_on(host);
                }
            }
            Action::Leave(host) => self.leave(host),
            Action::SetClock(host, ahead_ms) => {
                if self.hosts[host].process.is_some() {
                    self.hits.hit(Fault::ClockSet);
                    self.hosts[host].clock_ms += ahead_ms;
                    self.trace.tell(self.now, || format!("h{host}'s clock is set by {ahead_ms} ms"));
                }
            }
            Action::SlowDisk(host, time) => {
                self.hosts[host].slow_until = self.now + time;
                self.trace.tell(self.now, || format!("h{host}'s disk is slow for {time:?}"));
            }
        }
    }

    fn network_pause(&self) -> Duration {
        Duration::from_millis(100)
    }

    fn say(&mut self, host: usize, lines: usize, length: usize) {
        if self.hosts[host].room().is_none() {
            return;
        }
        let first = self.ticket();
        let said = (0..lines)
            .map(|line| {
                let mut body = format!("h{host} says {first}.{line} ").into_bytes();
                body.resize(body.len().max(length), b'.');
                (kind::TEXT, body)
            })
            .collect();
        self.trace.tell(self.now, || format!("h{host} says {lines} things"));
        self.input(host, Input::Say { ticket: first, said });
        if self.random.chance(0.3) {
            self.watch_receipts(host);
        }
    }

    pub(crate) fn power_on(&mut self, host: usize) {
        let seed = self.random.bytes();
        self.hosts[host].start(self.now, seed);
        self.trace.tell(self.now, || format!("{} starts", self.hosts[host].name()));
        let edges: Vec<(usize, usize)> =
            self.plan.edges.iter().copied().filter(|(a, b)| *a == host || *b == host).collect();
        for (a, b) in edges {
            let soon = self.random.time_up_to(Duration::from_secs(1));
            self.after(soon, Event::Look(a, b));
        }
    }

    /// The power is cut, and maybe comes back.
    fn crash(&mut self, host: usize, downtime: Option<Duration>) {
        let Some(process) = self.hosts[host].process.take() else { return };
        self.hits.hit(Fault::Crashed);
        let own = distchat_crdt::Signer::author(&self.hosts[host].author);
        let kept = self.random.below(self.hosts[host].disk.backlog() + 1);
        let lost = self.hosts[host].disk.cut(self.now, own, kept);
        self.cuts[host] += 1;
        if !lost.is_empty() {
            self.hits.hit(Fault::LostUnsynced);
        }
        self.trace.tell(self.now, || format!("h{host} loses power, and {} commits that were not on disk", lost.len()));
        let incarnation = self.hosts[host].incarnation;
        for (other, there) in process.connected {
            let wait = DETECTION.mul_f64(self.random.share());
            self.after(wait, Event::Connected { at: (other, there), other: (host, incarnation), up: false });
        }
        self.leave_unanswered(host);
        if let Some(downtime) = downtime {
            self.after(downtime, Event::PowerOn(host));
        }
    }

    /// Whoever asked that host learns some time that no answer will come.
    fn leave_unanswered(&mut self, host: usize) {
        let calls: Vec<_> = self
            .calls
            .values()
            .filter(|call| call.answerer.0 == host)
            .map(|call| Event::Unanswered { at: call.asker, peer: call.answerer, id: call.id })
            .collect();
        for call in calls {
            self.after(REQUEST_TIME, call);
        }
    }

    fn crash_task(&mut self, host: usize) {
        // As the node's supervisor does: it counts crashes, restarts after a pause, and gives up on too many.
        let epoch = self.epoch;
        let now = self.now;
        let incarnation = self.hosts[host].incarnation;
        let idle_at = self.hosts[host].disk.idle_at();
        let Some(process) = &mut self.hosts[host].process else { return };
        if process.replica.take().is_none() {
            return;
        }
        process.tick_at = None;
        self.hits.hit(Fault::TaskCrashed);
        match process.intensity.crashed(epoch + now) {
            Decision::Restart(pause) => {
                // What is on its way to the disk gets there first.
                let at = (now + pause).max(idle_at);
                self.trace.tell(now, || format!("h{host}'s task crashes"));
                self.at(at, Event::TaskOn { at: (host, incarnation), by_hand: false });
            }
            Decision::GiveUp => {
                process.failed = true;
                process.mailbox.clear();
                self.hits.hit(Fault::GaveUp);
                self.trace.tell(now, || format!("h{host}'s task has crashed too often and stays down"));
                let wait = Duration::from_secs(20).mul_f64(self.random.share());
                self.after(wait, Event::TaskOn { at: (host, incarnation), by_hand: true });
            }
        }
        self.leave_unanswered(host);
    }

    pub(crate) fn task_on(&mut self, at: (usize, u32), by_hand: bool) {
        let idle_at = self.hosts[at.0].disk.idle_at();
        let down = self.hosts[at.0].process.as_ref().is_some_and(|process| process.replica.is_none());
        if !self.runs(at) || !down {
            return;
        }
        if idle_at > self.now {
            return self.at(idle_at + Duration::from_micros(1), Event::TaskOn { at, by_hand });
        }
        let seed = self.random.bytes();
        let host = &mut self.hosts[at.0];
        host.start_task(self.now, seed);
        let Some(process) = &mut host.process else { return };
        if by_hand {
            process.intensity = Intensity::default();
        }
        let waiting = std::mem::take(&mut process.mailbox);
        let peers: Vec<_> = process.connected.iter().map(|(host, there)| peer_of(*host, *there)).collect();
        self.trace.tell(self.now, || format!("h{}'s task runs again", at.0));
        for peer in peers {
            self.input(at.0, Input::PeerUp(peer));
        }
        for input in waiting {
            self.input(at.0, input);
        }
    }

    /// A person starts what has failed.
    pub(crate) fn restart_by_hand(&mut self, host: usize) {
        let incarnation = self.hosts[host].incarnation;
        if self.hosts[host].process.as_ref().is_some_and(|process| process.replica.is_none()) {
            self.after(Duration::ZERO, Event::TaskOn { at: (host, incarnation), by_hand: true });
        }
    }

    fn restore(&mut self, host: usize, downtime: Duration) {
        let Some(copy) = self.hosts[host].copies.pop() else { return };
        if self.hosts[host].left || !self.hosts[host].present {
            return;
        }
        self.crash(host, None);
        let gone: BTreeSet<Key> =
            self.hosts[host].disk.durable.bodies.keys().filter(|key| !copy.bodies.contains_key(key)).copied().collect();
        if !gone.is_empty() {
            self.hits.hit(Fault::Restored);
        }
        self.trace.tell(self.now, || format!("h{host}'s disk is replaced by a copy without {} messages", gone.len()));
        self.forgive(host, &gone);
        self.hosts[host].disk.durable = copy;
        self.hosts[host].restored = true;
        self.after(downtime, Event::PowerOn(host));
    }

    fn leave(&mut self, host: usize) {
        if !self.hosts[host].present || self.hosts[host].left || self.correct().filter(|host| host.present).count() <= 2
        {
            return;
        }
        self.crash(host, None);
        self.hits.hit(Fault::Left);
        let gone: BTreeSet<Key> = self.hosts[host].disk.durable.bodies.keys().copied().collect();
        self.hosts[host].left = true;
        self.forgive(host, &gone);
        self.trace.tell(self.now, || format!("h{host} leaves for good"));
    }

    /// What was on no other disk than the one that is gone now cannot be demanded any more.
    fn forgive(&mut self, host: usize, gone: &BTreeSet<Key>) {
        let held = |key: &Key| {
            let others = self.hosts.iter().filter(|other| other.number != host && other.liar.is_none() && !other.left);
            others.into_iter().any(|other: &Host| other.disk.durable.bodies.contains_key(key))
        };
        let lost: Vec<Key> = gone.iter().filter(|key| !held(key)).copied().collect();
        for key in lost {
            self.ledger.acknowledged.remove(&key);
        }
    }

    /// A liar does something of its own accord, and will again.
    pub(crate) fn mischief(&mut self, host: usize) {
        if self.repaired {
            // It goes on lying to whoever asks, but as long as anybody writes there is nothing to be equal.
            return;
        }
        let now = Timestamp::from_millis(self.hosts[host].clock(self.now).wall_ms);
        let victim = self.hosts[self.random.below(self.plan.correct())].author;
        let Some(liar) = &mut self.hosts[host].liar else { return };
        let mischief = liar.mischief(room_id(), now, victim, &mut self.hits);
        let me = (host, self.hosts[host].incarnation);
        let connected = self.hosts[host].process.as_ref().map(|process| process.connected.clone()).unwrap_or_default();
        for mischief in mischief {
            self.trace.tell(self.now, || format!("liar{host} is up to mischief"));
            let (one, two) = match mischief {
                Mischief::All(frame) => (frame.clone(), frame),
                Mischief::Halves(one, two) => (one, two),
            };
            self.ledger.bytes += one.len() + two.len();
            let frames = [Arc::new(Frame::new(one)), Arc::new(Frame::new(two))];
            for (n, to) in connected.iter().enumerate().filter(|(n, _)| !frames[n % 2].bytes.is_empty()) {
                self.send_frame(me, (*to.0, *to.1), &frames[n % 2]);
            }
        }
        let wait = Duration::from_millis(self.random.between(500, 5000));
        self.after(wait, Event::Mischief(host));
    }

    /// Both ends of a connection will learn that it is gone, each in its own time.
    fn connection_lost(&mut self, at: usize, other: usize) {
        let (here, there) = (self.hosts[at].incarnation, self.hosts[other].incarnation);
        let wait = DETECTION.mul_f64(self.random.share());
        self.after(wait, Event::Connected { at: (at, here), other: (other, there), up: false });
    }

    /// Two hosts connect if they can.
    pub(crate) fn look(&mut self, a: usize, b: usize) {
        let (here, there) = ((a, self.hosts[a].incarnation), (b, self.hosts[b].incarnation));
        if !self.runs(here) || !self.runs(there) || !self.network.joins(a, b) || self.is_dropped(a, b) {
            return;
        }
        for (at, other) in [(here, there), (there, here)] {
            let known = self.hosts[at.0].process.as_ref().and_then(|process| process.connected.get(&other.0).copied());
            if known == Some(other.1) {
                continue;
            }
            if let Some(former) = known {
                self.connected(at, (other.0, former), false);
            }
            let soon = Duration::from_millis(self.random.between(1, 30));
            self.after(soon, Event::Connected { at, other, up: true });
        }
    }

    fn is_dropped(&self, a: usize, b: usize) -> bool {
        let drops =
            |a: usize, b: usize| self.hosts[a].process.as_ref().is_some_and(|process| process.dropped.contains(&b));
        drops(a, b) || drops(b, a)
    }

    pub(crate) fn connected(&mut self, at: (usize, u32), other: (usize, u32), up: bool) {
        if !self.runs(at) {
            return;
        }
        let can = self.runs(other) && self.network.joins(at.0, other.0) && !self.is_dropped(at.0, other.0);
        let mutual = self.hosts[other.0].process.as_ref().is_some_and(|it| it.connected.get(&at.0) == Some(&at.1));
        let Some(process) = &mut self.hosts[at.0].process else { return };
        let known = process.connected.get(&other.0).copied();
        if up {
            if can && known.is_none() {
                process.connected.insert(other.0, other.1);
                *self.meetings.entry((at.0, other.0)).or_default() += 1;
                self.input(at.0, Input::PeerUp(peer_of(other.0, other.1)));
            } else if !can {
                // The other side may have gone ahead.
                self.connection_lost(other.0, at.0);
            }
            return;
        }
        if known == Some(other.1) && !(can && mutual) {
            process.connected.remove(&other.0);
            self.input(at.0, Input::PeerDown(peer_of(other.0, other.1)));
            self.connection_lost(other.0, at.0);
            self.after(REDIAL, Event::Look(at.0.min(other.0), at.0.max(other.0)));
        }
    }
}

//! Driving replicas: what happens goes in, and what they say is done. It is what a node's room task, network and store
//! do, without any of them.

use std::{sync::Arc, time::Duration};

use distchat_crdt::{
    Message, Timestamp,
    clock::FUTURE_LIMIT_MS,
    sync::{Input, Output, Peer, Request, Response, Verdict},
};

use crate::{
    disk::Writing,
    faults::Fault,
    host::{peer_of, process_of},
    world::{Call, Event, Frame, Packet, World},
};

/// When the transport gives up on a request.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// How many offences are one too many.
const MAX_OFFENCES: u32 = 8;
/// How often a liar may give a host what there is, and how many bytes it may make up in a minute: the network
/// doubles some.
const TIMES: usize = 4;
const MAX_LIES: usize = 3 * 1024 * 1024;
/// To how many neighbours gossip goes at once.
const MESH: usize = 6;
/// How much waits for a task that is down. What comes then is refused, as by a full mailbox.
const MAILBOX: usize = 64;

impl World {
    /// Tells a host's replica what happened, and does what it says.
    pub(crate) fn input(&mut self, host: usize, input: Input) {
        let clock = self.hosts[host].clock(self.now);
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(replica) = &mut process.replica else {
            if process.mailbox.len() < MAILBOX && !process.failed {
                process.mailbox.push_back(input);
            }
            return;
        };
        self.steps += 1;
        let is_say = matches!(input, Input::Say { .. });
        let outputs = replica.handle(clock, input);
        for output in outputs {
            self.output(host, output, is_say);
        }
        self.check_receipts(host);
        self.schedule_tick(host);
    }

    fn schedule_tick(&mut self, host: usize) {
        let now = self.now;
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(deadline) = process.replica.as_ref().and_then(|replica| replica.next_deadline()) else { return };
        let at = (process.started + deadline).max(now);
        if process.tick_at.is_none_or(|tick| at < tick) {
            process.tick_at = Some(at);
            let incarnation = self.hosts[host].incarnation;
            self.at(at, Event::Tick { at: (host, incarnation) });
        }
    }

    pub(crate) fn tick(&mut self, at: (usize, u32)) {
        if !self.runs(at) {
            return;
        }
        let now = self.now;
        let Some(process) = &mut self.hosts[at.0].process else { return };
        if process.tick_at != Some(now) {
            return;
        }
        process.tick_at = None;
        let due = process.replica.as_ref().and_then(|replica| replica.next_deadline());
        if due.is_some_and(|due| process.started + due <= now) {
            self.input(at.0, Input::Tick);
        } else {
            self.schedule_tick(at.0);
        }
    }

    fn output(&mut self, host: usize, output: Output, is_say: bool) {
        let me = (host, self.hosts[host].incarnation);
        match output {
            Output::Ask { peer, id, request } => self.ask(me, &peer, id, request),
            Output::Answer { ticket, response } => self.answer(me, ticket, response),
            Output::Read { id, keys, max_bytes } => self.read(me, id, &keys, max_bytes),
            Output::Commit { number, commit } => {
                let slow = self.now < self.hosts[host].slow_until;
                let usual = if self.repaired { Duration::from_millis(1) } else { self.plan.hosts[host].disk };
                let takes = if slow { self.random.time_up_to(Duration::from_secs(8)) } else { usual };
                let task = self.hosts[host].tasks;
                if is_say {
                    self.ledger.bytes += commit.messages.iter().map(|message| message.bytes().len()).sum::<usize>();
                }
                if is_say && self.hosts[host].liar.is_none() {
                    self.ledger.signed.extend(commit.messages.iter().map(Message::key));
                    self.check_dates(host, &commit.messages);
                }
                let now = self.now;
                let writing = Writing { number, task, said: is_say, commit };
                let safe_at = self.hosts[host].disk.submit(now, takes, writing);
                if safe_at - now > Duration::from_secs(1) {
                    self.hits.hit(Fault::SlowDisk);
                }
                let cut = self.cuts[host];
                self.at(safe_at, Event::Written { host, cut });
            }
            Output::Publish { frame } => {
                if self.hosts[host].liar.is_none() {
                    self.demand_on_disk(host, &frame);
                }
                self.spread(me, None, Arc::new(Frame::new(frame)));
            }
            Output::Said { messages, error, .. } => {
                let durable = &self.hosts[host].disk.durable;
                let safe = messages.iter().all(|message| durable.bodies.contains_key(&message.key()));
                self.demand(safe, || format!("h{host} acknowledged what is not on its disk"));
                self.demand(error.is_none(), || format!("h{host} could not say something: {error:?}"));
            }
            Output::Verdict { .. } => {}
            Output::Stored { messages, .. } => {
                let durable = &self.hosts[host].disk.durable;
                let safe = messages.iter().all(|message| durable.bodies.contains_key(&message.key()));
                self.demand(safe, || format!("h{host} showed what is not on its disk"));
            }
            Output::Entered { .. } | Output::Imported { .. } => {}
            Output::Receipt { author, through } => self.check_receipt(host, author, through),
            Output::Holds { author, keys } => self.check_holds(host, author, &keys),
            Output::Synced { peer, received, sent, .. } => {
                let name = self.name_of(&peer);
                self.trace.tell(self.now, || format!("h{host} and {name} are in sync: {received} came, {sent} went"));
            }
            Output::Offence { peer, why } => self.offence(host, &peer, why),
        }
    }

    /// Nobody drags a room's clock: what a correct author writes is dated by the clocks of correct hosts, unless most of
    /// the clocks it can see are liars'.
    fn check_dates(&mut self, host: usize, messages: &[Message]) {
        let clocks_set = self.hits.of(Fault::ClockSet) > 0;
        let replica = self.hosts[host].process.as_ref().and_then(|process| process.replica.as_ref());
        let now = self.hosts[host].clock(self.now);
        let peers = replica.into_iter().flat_map(|replica| replica.peers().map(move |(peer, _)| (replica, peer)));
        let (mut lying, mut clocks) = (0, 1);
        for (replica, peer) in peers {
            if replica.clock_offset_ms(now, peer).is_some() {
                clocks += 1;
                lying += usize::from(process_of(peer).is_some_and(|(peer, _)| self.hosts[peer].liar.is_some()));
            }
        }
        if clocks - lying <= (clocks - 1) / 2 {
            return;
        }
        let latest =
            self.hosts.iter().filter(|host| host.liar.is_none()).map(|host| host.clock(self.now).wall_ms).max();
        let limit = latest.unwrap_or(0) + FUTURE_LIMIT_MS;
        let dragged = messages.iter().find(|message| message.time().millis() > limit).map(Message::time);
        self.demand(dragged.is_none() || clocks_set, || format!("h{host} was made to write at {dragged:?}"));
    }

    pub(crate) fn name_of(&self, peer: &Peer) -> String {
        process_of(peer).map_or_else(|| "nobody".to_owned(), |(host, _)| self.hosts[host].name())
    }

    /// What a correct host writes must be on its disk before anybody hears of it. (What it passes on is read from there.)
    fn demand_on_disk(&mut self, host: usize, bytes: &[u8]) {
        let durable = &self.hosts[host].disk.durable;
        let safe = Message::decode_all(bytes)
            .is_ok_and(|messages| messages.iter().all(|message| durable.bodies.contains_key(&message.key())));
        self.demand(safe, || format!("h{host}: what is not on its disk was spread by gossip"));
    }

    fn ask(&mut self, me: (usize, u32), peer: &Peer, id: u64, request: Request) {
        let Some(there) = process_of(peer) else { return };
        let request = match &mut self.hosts[me.0].liar {
            Some(liar) => liar.twist_request(request, &mut self.hits),
            None => request,
        };
        if let (Request::Hello(_), Some(process)) = (&request, &mut self.hosts[me.0].process) {
            process.hellos += 1;
        }
        self.trace.tell(self.now, || format!("{} asks {}: {}", me.0, there.0, brief_request(&request)));
        let connected = self.hosts[me.0].process.as_ref().and_then(|process| process.connected.get(&there.0).copied());
        if connected != Some(there.1) {
            return self.after(Duration::from_millis(1), Event::Unanswered { at: me, peer: there, id });
        }
        let arrivals = self.network.send(self.now, me.0, there.0, &mut self.hits);
        if arrivals == [None; 2] {
            return self.after(REQUEST_TIME, Event::Unanswered { at: me, peer: there, id });
        }
        for at in arrivals.into_iter().flatten() {
            let ticket = self.ticket();
            self.calls.insert(ticket, Call { asker: me, answerer: there, id });
            let packet = Packet::Request { ticket, request: request.clone() };
            self.at(at, Event::Arrive { from: me, to: there, packet });
        }
    }

    fn answer(&mut self, me: (usize, u32), ticket: u64, response: Response) {
        let Some(call) = self.calls.remove(&ticket) else { return };
        if call.answerer != me {
            return;
        }
        let its_time = Timestamp::from_millis(self.hosts[me.0].clock(self.now).wall_ms);
        let response = match &mut self.hosts[me.0].liar {
            Some(liar) => liar.twist_response(response, its_time, &mut self.hits),
            None => Some((response, Duration::ZERO)),
        };
        let Some((response, late)) = response else {
            return self.after(REQUEST_TIME, Event::Unanswered { at: call.asker, peer: me, id: call.id });
        };
        if late > Duration::ZERO && self.repaired {
            self.count_hellos();
        }
        self.trace.tell(self.now, || format!("{} answers {}: {}", me.0, call.asker.0, brief_response(&response)));
        let arrivals = self.network.send(self.now, me.0, call.asker.0, &mut self.hits);
        if arrivals == [None; 2] {
            return self.after(REQUEST_TIME, Event::Unanswered { at: call.asker, peer: me, id: call.id });
        }
        for at in arrivals.into_iter().flatten() {
            let packet = Packet::Response { id: call.id, response: response.clone() };
            self.at(at + late, Event::Arrive { from: me, to: call.asker, packet });
        }
    }

    fn read(&mut self, me: (usize, u32), id: u64, keys: &[distchat_crdt::Key], max_bytes: usize) {
        let host = &self.hosts[me.0];
        let mut left = max_bytes;
        let mut bodies = Vec::new();
        let mut safe = true;
        for (n, key) in keys.iter().enumerate() {
            let Some(body) = host.disk.durable.bodies.get(key) else {
                safe = false;
                break;
            };
            match left.checked_sub(body.len()) {
                None if n > 0 => break,
                rest => left = rest.unwrap_or(0),
            }
            bodies.push((*key, body.clone()));
        }
        let task = host.tasks;
        let slow = self.now < host.slow_until;
        self.demand(safe, || format!("h{} wants to read what is not on its disk", me.0));
        let takes = if slow { self.random.time_up_to(Duration::from_secs(2)) } else { Duration::from_micros(200) };
        self.after(takes, Event::Read { at: me, task, input: Input::Read { id, bodies } });
    }

    pub(crate) fn written(&mut self, host: usize, cut: u32) {
        if self.cuts[host] != cut {
            return;
        }
        let own = distchat_crdt::Signer::author(&self.hosts[host].author);
        let Some(writing) = self.hosts[host].disk.finish(own) else { return };
        if writing.said {
            let keys: Vec<_> = writing.commit.messages.iter().map(Message::key).collect();
            if self.hosts[host].liar.is_none() {
                self.ledger.acknowledged.extend(&keys);
            }
            if let Some(process) = &mut self.hosts[host].process {
                process.said.extend(keys);
            }
        }
        if self.hosts[host].process.is_some() && self.hosts[host].tasks == writing.task {
            self.input(host, Input::Committed { through: writing.number });
        }
    }

    pub(crate) fn arrive(&mut self, from: (usize, u32), to: (usize, u32), packet: Packet) {
        if !self.runs(to) {
            if let Packet::Request { ticket, .. } = packet {
                self.refuse(ticket);
            }
            return;
        }
        let connected = self.hosts[to.0].process.as_ref().and_then(|process| process.connected.get(&from.0).copied());
        if connected != Some(from.1) {
            if let Packet::Request { ticket, .. } = packet {
                self.refuse(ticket);
            }
            return;
        }
        let peer = peer_of(from.0, from.1);
        if self.hosts[from.0].liar.is_some() && self.hosts[to.0].liar.is_none() {
            let cost = self.costs.entry((to.0, from.0)).or_default();
            *cost += weight(&packet);
            // What it has to give honestly, some times over; and what it can make up before it is left, once a minute, and
            // anew on every connection, and with every further task, which has forgotten it.
            let meetings = self.meetings.get(&(to.0, from.0)).copied().unwrap_or(0);
            let chances = self.now.as_secs() as usize / 60 + meetings + self.hosts[to.0].tasks as usize - 1;
            let (cost, limit) = (*cost, TIMES * self.ledger.bytes + chances * MAX_LIES);
            self.demand(cost <= limit, || format!("liar{} cost h{} {cost} bytes, more than {limit}", from.0, to.0));
        }
        match packet {
            Packet::Frame(frame) => {
                let new = self.hosts[to.0].process.as_mut().is_some_and(|process| process.heard.insert(frame.hash));
                // The transport knows most repetitions, but forgets.
                if new || self.random.chance(0.1) {
                    self.hear(to, peer, frame);
                }
            }
            Packet::Request { ticket, request } => self.input(to.0, Input::Asked { peer, ticket, request }),
            Packet::Response { id, response } => {
                self.input(to.0, Input::Answered { peer, id, response: Some(response) });
            }
        }
    }

    /// A frame of gossip arrives; if it is good, it is passed on.
    fn hear(&mut self, me: (usize, u32), peer: Peer, frame: Arc<Frame>) {
        let clock = self.hosts[me.0].clock(self.now);
        let Some(replica) = self.hosts[me.0].process.as_mut().and_then(|process| process.replica.as_mut()) else {
            return;
        };
        self.steps += 1;
        let input = Input::Frame { peer: peer.clone(), ticket: 0, bytes: frame.bytes.clone() };
        let outputs = replica.handle(clock, input);
        for output in outputs {
            if matches!(output, Output::Verdict { verdict: Verdict::Accept, .. }) {
                self.spread(me, process_of(&peer), frame.clone());
            }
            self.output(me.0, output, false);
        }
        self.schedule_tick(me.0);
    }

    /// Sends a frame to some neighbours.
    pub(crate) fn spread(&mut self, me: (usize, u32), except: Option<(usize, u32)>, frame: Arc<Frame>) {
        let Some(process) = &mut self.hosts[me.0].process else { return };
        process.heard.insert(frame.hash);
        let mut neighbours: Vec<(usize, u32)> =
            process.connected.iter().map(|(host, incarnation)| (*host, *incarnation)).collect();
        neighbours.retain(|other| Some(*other) != except);
        if neighbours.len() > MESH {
            self.random.shuffle(&mut neighbours);
            neighbours.truncate(MESH);
        }
        for to in neighbours {
            self.send_frame(me, to, &frame);
        }
    }

    pub(crate) fn send_frame(&mut self, me: (usize, u32), to: (usize, u32), frame: &Arc<Frame>) {
        for at in self.network.send(self.now, me.0, to.0, &mut self.hits).into_iter().flatten() {
            self.at(at, Event::Arrive { from: me, to, packet: Packet::Frame(frame.clone()) });
        }
    }

    /// Nobody is there to answer.
    fn refuse(&mut self, ticket: u64) {
        if let Some(call) = self.calls.remove(&ticket) {
            let (at, peer, id) = (call.asker, call.answerer, call.id);
            self.after(REQUEST_TIME, Event::Unanswered { at, peer, id });
        }
    }

    pub(crate) fn unanswered(&mut self, at: (usize, u32), peer: (usize, u32), id: u64) {
        if self.runs(at) {
            self.input(at.0, Input::Answered { peer: peer_of(peer.0, peer.1), id, response: None });
        }
    }

    fn offence(&mut self, host: usize, peer: &Peer, why: &'static str) {
        let Some(offender) = process_of(peer) else { return };
        let name = self.hosts[offender.0].name();
        self.trace.tell(self.now, || format!("h{host} charges {name} with {why}"));
        let honest = self.hosts[host].liar.is_none() && self.hosts[offender.0].liar.is_none();
        self.demand(!honest, || format!("h{host} takes {name} for a liar: {why}"));
        let Some(process) = &mut self.hosts[host].process else { return };
        let offences = process.offences.entry(offender).or_default();
        *offences += 1;
        if *offences >= MAX_OFFENCES && process.dropped.insert(offender.0) {
            self.hits.hit(Fault::LiarDropped);
            self.trace.tell(self.now, || format!("h{host} drops {name}"));
            let me = (host, self.hosts[host].incarnation);
            self.after(Duration::ZERO, Event::Connected { at: me, other: offender, up: false });
            self.after(Duration::from_millis(20), Event::Connected { at: offender, other: me, up: false });
        }
    }
}

impl Frame {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let hash = bytes.chunks(8).fold(bytes.len() as u64, |hash, chunk| {
            let word = chunk.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
            (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31)
        });
        Self { bytes, hash }
    }
}

/// About how many bytes something is on the wire.
fn weight(packet: &Packet) -> usize {
    match packet {
        Packet::Frame(frame) => frame.bytes.len(),
        Packet::Request { request, .. } => match request {
            Request::Offer(offer) => 64 + offer.messages.len(),
            Request::Nodes(nodes) => 64 + nodes.items.len() * 200,
            Request::Fetch(fetch) => 64 + fetch.items.len() * 120,
            _ => 128,
        },
        Packet::Response { response, .. } => match response {
            Response::Page(page) => 64 + page.messages.len(),
            Response::Nodes(nodes) => 64 + nodes.summaries.len() * 200,
            _ => 128,
        },
    }
}

fn brief_request(request: &Request) -> String {
    match request {
        Request::Enter(_) => "may I enter?".to_owned(),
        Request::Hello(hello) => {
            let counts: Vec<u64> = hello.rooms.iter().map(|room| room.count).collect();
            format!("hello, I have {counts:?}")
        }
        Request::Nodes(nodes) => format!("where do we differ? ({} regions)", nodes.items.len()),
        Request::Fetch(fetch) => format!("send me {} ranges", fetch.items.len()),
        Request::Offer(offer) => format!("take these {} bytes", offer.messages.len()),
        Request::Have(have) => format!("have you these {}?", have.keys.len()),
    }
}

fn brief_response(response: &Response) -> String {
    match response {
        Response::Entered(_) => "enter".to_owned(),
        Response::Hello(greeting) => format!("{:?}", &*greeting.rooms),
        Response::Nodes(nodes) => format!("{} summaries", nodes.summaries.len()),
        Response::Page(page) => format!("{} bytes, {} ranges done", page.messages.len(), page.done),
        Response::Offered(new) => format!("{new} of them were new"),
        Response::Have(_) => "these".to_owned(),
        Response::Refused(why) => format!("no: {why:?}"),
    }
}

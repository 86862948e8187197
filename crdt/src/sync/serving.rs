//! What peers ask, and how a replica answers.

use super::{
    Blob, Enter, Entered, Greeting, Hello, List, MAX_PAGE, MAX_TAIL, Output, Peer, Refusal, Replica, Request, Response,
    RoomGreeting, Ticket, Wanted,
    answer::{self, PagePlan, TailPlan},
    offers::MAX_OFFER_KEYS,
    proof,
    replica::{Gain, Origin},
    short::pack_bits,
    verify_peer,
};
use crate::{Key, Message, plant::Bug};

/// Reads under way at once, and how many of them for one peer. More questions are refused until some are done.
const MAX_READING: usize = 32;
const MAX_READING_FOR_ONE: usize = 6;

/// What messages are being read for.
pub(super) enum Reading {
    Tail(Ticket, TailPlan),
    Page(Ticket, PagePlan),
    /// For a session of that nonce.
    Offer(u64, Vec<Key>),
}

impl Replica {
    pub(super) fn asked(&mut self, peer: Peer, ticket: Ticket, request: Request) {
        if let Request::Enter(enter) = request {
            return self.asked_enter(peer, ticket, &enter);
        }
        if self.peers.get(&peer).is_none_or(|state| state.entered.is_none()) {
            let refused = match request {
                Request::Hello(hello) => {
                    let rooms = hello.rooms.iter().map(|_| RoomGreeting::Refused(Refusal::Unknown)).collect();
                    Response::Hello(Greeting { clock: self.now.wall_ms, rooms: List::cut(rooms) })
                }
                _ => Response::Refused(Refusal::Unknown),
            };
            self.out.push(Output::Answer { ticket, response: refused });
            return;
        }
        match request {
            Request::Enter(_) => {}
            Request::Hello(hello) => self.asked_hello(&peer, ticket, &hello),
            Request::Nodes(nodes) => {
                self.is_asking(&peer);
                match answer::summarize(self.room.index(), &nodes, self.answer_limit(&peer)) {
                    Ok(summaries) => self.answer(ticket, Response::Nodes(summaries)),
                    Err(answer::Malformed) => self.malformed(&peer, ticket, "a malformed question for nodes"),
                }
            }
            Request::Fetch(fetch) => {
                // Who asks for what others refer to mends nothing else.
                if fetch.items.iter().any(|item| matches!(item, Wanted::Range(_))) {
                    self.is_asking(&peer);
                }
                match answer::plan(self.room.index(), &fetch) {
                    Ok(plan) if plan.keys.is_empty() => {
                        let page = plan.finish(self.room.index(), Vec::new());
                        self.answer(ticket, Response::Page(page));
                    }
                    Ok(plan) => {
                        let keys = plan.keys.clone();
                        self.start_reading(&peer, ticket, keys, MAX_PAGE, Reading::Page(ticket, plan));
                    }
                    Err(answer::Malformed) => self.malformed(&peer, ticket, "a malformed fetch"),
                }
            }
            Request::Offer(offer) => match Message::decode_all(&offer.messages) {
                Ok(messages) => self.asked_offer(&peer, ticket, messages),
                Err(_) => self.malformed(&peer, ticket, "an offer of malformed messages"),
            },
            Request::Have(have) => {
                // What is not yet on disk could still be lost, so it does not count.
                let held = |key: &Key| {
                    self.room.index().contains(key)
                        && (!self.uncommitted_keys.contains(key) || Bug::ReceiptForUnsynced.is_planted())
                };
                let bits = pack_bits(have.keys.iter().map(held));
                self.answer(ticket, Response::Have(Blob::cut(bits)));
            }
        }
    }

    fn answer(&mut self, ticket: Ticket, response: Response) {
        self.out.push(Output::Answer { ticket, response });
    }

    fn malformed(&mut self, peer: &Peer, ticket: Ticket, why: &'static str) {
        self.answer(ticket, Response::Refused(Refusal::Malformed));
        self.offence(peer, why);
    }

    fn asked_enter(&mut self, peer: Peer, ticket: Ticket, enter: &Enter) {
        let room = self.room_id();
        let proven = enter.topic == room.topic()
            && enter.proof == proof(&room, &peer, &self.me)
            && verify_peer(self.room.verifier(), &enter.author, &peer, &enter.signature);
        if !proven {
            self.answer(ticket, Response::Refused(Refusal::Denied));
            return self.offence(&peer, "an enter without proof");
        }
        let entered = Entered {
            handle: self.handle,
            proof: proof(&room, &self.me, &peer),
            author: self.signer.author(),
            signature: self.peer_signature,
        };
        self.answer(ticket, Response::Entered(entered));
        self.entered(&peer, enter.handle, enter.author);
    }

    fn asked_hello(&mut self, peer: &Peer, ticket: Ticket, hello: &Hello) {
        self.clocks.heard(self.now, peer, hello.clock);
        let [room] = &*hello.rooms else {
            return self.malformed(peer, ticket, "a hello to several rooms at once");
        };
        let (greeting, tail) = answer::greet(self.room.index(), room);
        let root = self.room.fingerprint();
        if let Some(state) = self.peers.get_mut(peer) {
            state.count = room.count;
            if greeting == RoomGreeting::Equal(0) {
                state.agreed = Some(root);
            }
        }
        match tail {
            Some(tail) if !tail.keys.is_empty() => {
                let keys = tail.keys.clone();
                self.start_reading(peer, ticket, keys, MAX_TAIL, Reading::Tail(ticket, tail));
            }
            _ => self.answer_hello(ticket, greeting),
        }
    }

    fn answer_hello(&mut self, ticket: Ticket, greeting: RoomGreeting) {
        let greeting = Greeting { clock: self.now.wall_ms, rooms: List::cut(vec![greeting]) };
        self.answer(ticket, Response::Hello(greeting));
    }

    fn asked_offer(&mut self, peer: &Peer, ticket: Ticket, messages: Vec<Message>) {
        if self.paused || self.uncommitted_bytes > self.most_offered() {
            return self.answer(ticket, Response::Refused(Refusal::Busy));
        }
        if messages.iter().any(|message| message.room() != self.room_id()) {
            return self.malformed(peer, ticket, "an offer of another room's messages");
        }
        // What is new is answered once it is on disk.
        if let Ok(Gain { messages: 0, .. }) = self.merge(messages, Origin::Offer(peer.clone(), ticket)) {
            self.answer(ticket, Response::Offered(0));
        }
    }

    fn start_reading(&mut self, peer: &Peer, ticket: Ticket, keys: Vec<Key>, max_bytes: usize, reading: Reading) {
        // What is read to be offered to it is not for its sake.
        let asked = |(reader, reading): &&(Peer, Reading)| reader == peer && !matches!(reading, Reading::Offer(..));
        let for_it = self.reading.values().filter(asked).count();
        if self.reading.len() >= MAX_READING || for_it >= MAX_READING_FOR_ONE {
            return self.answer(ticket, Response::Refused(Refusal::Busy));
        }
        let max_bytes = max_bytes.min(self.answer_limit(peer));
        self.read_keys(peer, keys, max_bytes, reading);
    }

    fn answer_limit(&self, peer: &Peer) -> usize {
        self.peers.get(peer).and_then(|state| state.answer_limit).unwrap_or(MAX_PAGE)
    }

    /// Reads messages to offer them.
    pub(super) fn read_offer(&mut self, peer: &Peer, session: u64, keys: Vec<Key>) {
        debug_assert!(keys.len() <= MAX_OFFER_KEYS, "an offer is one page");
        self.read_keys(peer, keys.clone(), MAX_PAGE, Reading::Offer(session, keys));
    }

    /// Reads messages, once all of them are on disk: what could still be lost is not passed on from here.
    fn read_keys(&mut self, peer: &Peer, mut keys: Vec<Key>, max_bytes: usize, reading: Reading) {
        keys.sort_unstable_by(|a, b| b.cmp(a));
        let id = self.number();
        self.reading.insert(id, (peer.clone(), reading));
        let could_be_lost = keys.iter().any(|key| self.uncommitted_keys.contains(key));
        if could_be_lost && !Bug::ServesUnsynced.is_planted() {
            self.unread.push((self.last_commit(), Output::Read { id, keys, max_bytes }));
        } else {
            self.out.push(Output::Read { id, keys, max_bytes });
        }
    }

    /// Commits are on disk: reads that waited for them can begin.
    pub(super) fn release_reads(&mut self, through: u64) {
        let out = &mut self.out;
        self.unread.retain_mut(|(number, read)| {
            let wait = *number > through;
            if !wait {
                out.push(std::mem::replace(read, Output::Read { id: 0, keys: Vec::new(), max_bytes: 0 }));
            }
            wait
        });
    }

    pub(super) fn read(&mut self, id: u64, bodies: Vec<(Key, Vec<u8>)>) {
        let Some((peer, reading)) = self.reading.remove(&id) else { return };
        match reading {
            Reading::Offer(session, keys) => {
                let bodies = in_order(&keys, bodies);
                self.offer_read(&peer, session, &keys, bodies);
            }
            Reading::Tail(ticket, tail) => {
                let bodies = in_order(&tail.keys, bodies);
                let greeting = tail.finish(self.room.index(), bodies);
                self.answer_hello(ticket, greeting);
            }
            Reading::Page(ticket, plan) => {
                let bodies = in_order(&plan.keys, bodies);
                // A page of nothing would say that the peer asked for nothing. What could not be read is found by the store.
                let response = match bodies.is_empty() {
                    true => Response::Refused(Refusal::Busy),
                    false => Response::Page(plan.finish(self.room.index(), bodies)),
                };
                self.answer(ticket, response);
            }
        }
    }
}

/// The bodies of the first so many keys, in their order: up to the first that was not read.
fn in_order(keys: &[Key], mut bodies: Vec<(Key, Vec<u8>)>) -> Vec<Vec<u8>> {
    // They come as they were asked for, so this finds them sorted.
    bodies.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
    let take = |key: &Key| {
        let at = bodies.binary_search_by(|(held, _)| key.cmp(held)).ok()?;
        bodies.get_mut(at).map(|(_, body)| std::mem::take(body)).filter(|body| !body.is_empty())
    };
    keys.iter().map_while(take).collect()
}

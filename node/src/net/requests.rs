//! Requests and answers on their way between rooms and peers.

use std::{collections::VecDeque, time::Instant};

use distchat_crdt::sync::{Refusal, Request, Response};
use libp2p::{
    PeerId,
    request_response::{
        Event as SyncEvent, InboundRequestId, Message, OutboundFailure, OutboundRequestId, ResponseChannel,
    },
};
use tracing::debug;

use super::{
    NetInput,
    allowance::length,
    budget::{Offence, cost, cost_of_offer},
    codec::{Incoming, Malformed},
    error::RequestError,
    route::{Merged, Outgoing, PATIENCE, Part, merge, split},
    swarm::Task,
};

/// How many requests to one peer are open, and how many more may wait. More at a time would not make them any faster: each
/// has its time limit.
const MAX_OUTGOING: usize = 16;
const MAX_UNSENT: usize = 256;
/// How many of those that wait may bear messages, up to a mebibyte each.
const MAX_UNSENT_OFFERS: usize = 8;
/// How many requests of others wait for rooms: from one peer, from all together, and how many of these may bear messages.
const MAX_ASKED: usize = 64;
const MAX_ASKED_BY_ALL: usize = 512;
const MAX_ASKED_OFFERS: usize = 32;
/// How many requests of one peer that bear messages may wait.
const MAX_OFFERS_OF_ONE: usize = 8;

/// An answer on its way out.
pub(super) struct Answer {
    peer: PeerId,
    id: InboundRequestId,
    channel: ResponseChannel<Response>,
    response: Response,
    /// How many bytes of messages the request bore, if it was an offer.
    offered: Option<usize>,
    /// How long the answer was allowed to be.
    room_for: u64,
}

impl Task {
    /// Sends what rooms ask of others.
    pub(super) fn send_requests(&mut self, requests: Vec<Outgoing>) {
        for merged in merge(requests) {
            match self.peers.get(&merged.peer) {
                Some(peer) if peer.ready && peer.in_flight < MAX_OUTGOING => {
                    peer.in_flight += 1;
                    self.send(merged);
                }
                Some(peer) if peer.ready && has_room(&peer.waiting, &merged) => peer.waiting.push_back(merged),
                Some(_) => self.give_up(merged.peer, merged.parts, RequestError::Unsent),
                None => self.give_up(merged.peer, merged.parts, RequestError::Gone),
            }
        }
    }

    fn send(&mut self, Merged { peer, request, parts }: Merged) {
        // The behaviour would dial a peer that is not connected, on its own account.
        if !self.swarm.is_connected(&peer) {
            return self.give_up(peer, parts, RequestError::Gone);
        }
        let id = self.swarm.behaviour_mut().sync.send_request(&peer, Ok(request));
        self.sent.insert(id, (peer, parts));
    }

    /// Whose request has come to an end. Makes way for the next one to the same peer.
    fn ended(&mut self, id: OutboundRequestId) -> Option<(PeerId, Vec<Part>)> {
        let (peer, parts) = self.sent.remove(&id)?;
        if let Some(known) = self.peers.get(&peer) {
            match known.waiting.pop_front() {
                Some(next) => self.send(next),
                None => known.in_flight = known.in_flight.saturating_sub(1),
            }
        }
        Some((peer, parts))
    }

    /// Tells rooms that there is no answer.
    pub(super) fn give_up(&mut self, peer: PeerId, parts: Vec<Part>, error: RequestError) {
        for Part { handle, id, .. } in parts {
            self.rooms.deliver(handle, NetInput::Response { peer, id, response: Err(error) });
        }
    }

    /// Has rooms think about a request, unless there is too much of that already.
    fn ask(&mut self, peer: PeerId, id: InboundRequestId, request: Request, channel: ResponseChannel<Response>) {
        let offered = if let Request::Offer(offer) = &request { Some(offer.messages.len()) } else { None };
        let crowded = self.answers.len() >= MAX_ASKED_BY_ALL || (offered.is_some() && self.offers >= MAX_ASKED_OFFERS);
        let now = Instant::now();
        let allowed = self.peers.get(&peer).filter(|known| !crowded && known.asked < MAX_ASKED).and_then(|known| {
            let may = (offered.is_none() || known.offers < MAX_OFFERS_OF_ONE) && known.bucket.open(now);
            let room_for = may.then(|| known.allowance.ask(now, length(&request))).flatten()?;
            known.asked += 1;
            known.offers += usize::from(offered.is_some());
            Some(room_for)
        });
        let Some(room_for) = allowed else {
            self.out.counting.busy.add();
            self.respond(channel, Response::Refused(Refusal::Busy));
            return;
        };
        if self.rooms.entered.any(&peer) {
            self.swarm.behaviour_mut().gossip.entered(peer);
        }
        self.offers += usize::from(offered.is_some());
        let asked = self.rooms.ask(peer, request, usize::try_from(room_for).unwrap_or(usize::MAX));
        self.answers.push(Box::pin(async move {
            Answer { peer, id, channel, response: asked.answer(PATIENCE).await, offered, room_for }
        }));
    }

    pub(super) fn send_answer(&mut self, answer: Answer) {
        let Answer { peer, id, channel, mut response, offered, room_for } = answer;
        self.offers -= usize::from(offered.is_some());
        if let Some(known) = self.peers.get(&peer) {
            known.asked = known.asked.saturating_sub(1);
            known.offers = known.offers.saturating_sub(usize::from(offered.is_some()));
            known.allowance.answered(room_for, cost(&response));
            let offer = offered.map_or(0, |bytes| cost_of_offer(bytes as u64, &response));
            known.bucket.spend(cost(&response) + offer);
        }
        if !self.leaving.add(id, peer, cost(&response)) {
            response = Response::Refused(Refusal::Busy);
        }
        if response == Response::Refused(Refusal::Busy) {
            self.out.counting.busy.add();
        }
        if !self.respond(channel, response) {
            self.leaving.gone(&id);
        }
    }

    /// Sends an answer. False if the asker has gone, which is no concern of anybody's.
    fn respond(&mut self, channel: ResponseChannel<Response>, response: Response) -> bool {
        self.swarm.behaviour_mut().sync.send_response(channel, response).is_ok()
    }

    pub(super) fn on_sync(&mut self, event: SyncEvent<Incoming, Response>) {
        match event {
            SyncEvent::Message { peer, message: Message::Request { request_id, request, channel }, .. } => {
                self.on_request(peer, request_id, request, channel);
            }
            SyncEvent::Message { message: Message::Response { request_id, response }, .. } => {
                let Some((peer, parts)) = self.ended(request_id) else { return };
                match split(parts, response) {
                    Ok(shares) => {
                        for (part, response) in shares {
                            self.rooms.deliver(part.handle, NetInput::Response { peer, id: part.id, response });
                        }
                    }
                    Err(parts) => {
                        self.malformed(peer, "an answer that does not fit the request");
                        self.give_up(peer, parts, RequestError::Malformed);
                    }
                }
            }
            SyncEvent::OutboundFailure { request_id, error, .. } => {
                let Some((peer, parts)) = self.ended(request_id) else { return };
                debug!(%peer, %error, "a request failed");
                let reason = request_error(&error);
                if reason == RequestError::Malformed {
                    self.malformed(peer, "an answer that does not decode");
                }
                self.give_up(peer, parts, reason);
            }
            SyncEvent::InboundFailure { peer, request_id, error, .. } => {
                debug!(%peer, %error, "an answer was not sent");
                self.leaving.gone(&request_id);
            }
            SyncEvent::ResponseSent { request_id, .. } => {
                if let Some((peer, bytes)) = self.leaving.gone(&request_id)
                    && let Some(known) = self.peers.get(&peer)
                {
                    known.allowance.took(bytes);
                }
            }
        }
    }

    fn on_request(
        &mut self,
        peer: PeerId,
        id: InboundRequestId,
        request: Incoming,
        channel: ResponseChannel<Response>,
    ) {
        match request {
            Ok(request) => self.ask(peer, id, request, channel),
            Err(Malformed::TooSlow) => {
                debug!(%peer, "a request that does not come");
                self.out.counting.too_slow.add();
                self.respond(channel, Response::Refused(Refusal::Malformed));
                // Of a member it may be the network's fault.
                if !self.rooms.entered.any(&peer) {
                    self.charge(peer, Offence::Slow);
                }
            }
            Err(Malformed::Crowded) => {
                debug!(%peer, "one long request too many");
                self.out.counting.crowded.add();
                self.respond(channel, Response::Refused(Refusal::Busy));
            }
            Err(malformed) => {
                debug!(%peer, %malformed, "a request that does not decode");
                self.respond(channel, Response::Refused(Refusal::Malformed));
                self.malformed(peer, "a request that does not decode");
            }
        }
    }

    fn malformed(&mut self, peer: PeerId, what: &'static str) {
        debug!(%peer, what, "malformed");
        self.out.counting.malformed.add();
        self.charge(peer, Offence::Frame);
    }
}

/// Whether one more request may wait.
fn has_room(waiting: &VecDeque<Merged>, next: &Merged) -> bool {
    let is_offer = |merged: &&Merged| matches!(merged.request, Request::Offer(_));
    waiting.len() < MAX_UNSENT && (!is_offer(&next) || waiting.iter().filter(is_offer).count() < MAX_UNSENT_OFFERS)
}

fn request_error(error: &OutboundFailure) -> RequestError {
    match error {
        OutboundFailure::DialFailure | OutboundFailure::UnsupportedProtocols => RequestError::Unsent,
        OutboundFailure::Timeout => RequestError::Timeout,
        OutboundFailure::ConnectionClosed => RequestError::Disconnected,
        OutboundFailure::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<Malformed>()) => {
            RequestError::Malformed
        }
        OutboundFailure::Io(_) => RequestError::Disconnected,
    }
}

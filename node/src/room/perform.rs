//! Doing what the replica says.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use distchat_crdt::{
    Commit, Message,
    clock::Now,
    sync::{Input, Output, Peer},
};
use libp2p::PeerId;
use tokio::sync::oneshot;

use super::{
    slot::Unannounced,
    task::{RoomFailure, Task, Written},
    view::Shown,
};
use crate::{
    error::RoomError,
    event::Event,
    net::Offence,
    store::{CommitJob, Frontier},
};

/// How much the clock's offset must change before the user is told again.
const CLOCK_CHANGE: Duration = Duration::from_secs(30);

/// Who waits for a message to be on disk, if anybody.
pub(super) type Waiting = Option<oneshot::Sender<Result<Message, RoomError>>>;

impl Task {
    /// Does what the replica says. `waiting` are those who wait for what was just said, one for each thing.
    pub(super) async fn perform(&mut self, outputs: Vec<Output>, mut waiting: Vec<Waiting>) -> Result<(), RoomFailure> {
        let is_own = !waiting.is_empty();
        // Noted before the peer hears of it: what it asks next is not to be taken for a stranger's.
        for output in &outputs {
            if let Output::Entered { peer, author } = output
                && let Some(peer) = peer_id(peer)
            {
                self.shared.network.entered(self.slot.handle(), peer, *author);
            }
        }
        for output in outputs {
            match output {
                Output::Commit { number, commit } => self.commit(number, commit, &mut waiting, is_own).await?,
                Output::Ask { peer, id, request } => {
                    if let Some(peer) = peer_id(&peer) {
                        self.shared.network.request(self.slot.handle(), peer, id, request);
                    }
                }
                Output::Answer { ticket, response } => {
                    // Whoever asked may be gone by now.
                    if let Some(reply) = self.answers.remove(&ticket) {
                        reply.send(response).ok();
                    }
                }
                Output::Read { id, keys, max_bytes } => self.read(id, keys, max_bytes),
                Output::Verdict { ticket, verdict } => {
                    if let Some(ticket) = self.frames.remove(&ticket) {
                        self.shared.network.verdict(ticket, verdict, self.replica.new_in_frame());
                    }
                }
                // Whoever said it was told by the store, which knows even when this task does not live to.
                Output::Said { .. } => {}
                Output::Imported { ticket, imported, commit } => self.imported(ticket, imported, commit),
                Output::Stored { messages, .. } => self.announce(messages),
                Output::Publish { frame } => self.shared.network.publish(&self.slot.id, &frame),
                Output::Entered { peer, author } => self.entered(&peer, author),
                Output::Receipt { author, through } => self.receipt(author, through),
                Output::Holds { .. } => self.slot.receipts.send_modify(|receipts| *receipts += 1),
                Output::Synced { peer, received, sent, fingerprint } => {
                    self.caught_up();
                    // Rounds go on for ever; what people are told is what they did not know.
                    let news = received + sent > 0 || self.synced.get(&peer) != Some(&fingerprint);
                    self.synced.insert(peer.clone(), fingerprint);
                    if let Some(peer_id) = peer_id(&peer).filter(|_| news) {
                        let room = self.slot.name.clone();
                        self.shared.events.emit(Event::Synced { room, peer_id, received, sent, fingerprint });
                    }
                }
                Output::Offence { peer, why } => {
                    tracing::debug!(room = %self.slot.name, ?peer, why, "a peer broke the protocol");
                    if let Some(peer) = peer_id(&peer) {
                        self.shared.network.charge(peer, Offence::Message);
                    }
                }
            }
        }
        // What did not become a message when it was said never will.
        for waiting in waiting.into_iter().flatten() {
            waiting.send(Err(RoomError::Clock)).ok();
        }
        Ok(())
    }

    /// Hands a commit to the store. The store itself tells who waits for it, so that what is on disk is acknowledged
    /// even if this task crashes meanwhile, and what was not handed over is known not to be on disk.
    async fn commit(
        &mut self,
        number: u64,
        commit: Commit,
        waiting: &mut Vec<Waiting>,
        is_own: bool,
    ) -> Result<(), RoomFailure> {
        let now = self.shared.now();
        self.used = Some(tokio::time::Instant::now());
        let commit = Arc::new(commit);
        self.size += commit.messages.iter().map(|message| message.bytes().len() as u64).sum::<u64>();
        let waiting: Vec<Waiting> = waiting.drain(..commit.messages.len().min(waiting.len())).collect();
        let said = commit.clone();
        let slot = self.slot.clone();
        let frontier = self.frontier;
        let unannounced = self.slot.committing(commit.clone(), now.wall_ms, frontier);
        let written = self.written.clone();
        let imported = self.imports.take(number);
        self.last_commit = number;
        let done = move |result: Result<(), crate::store::StoreError>| {
            let durable = result.is_ok();
            unannounced.durable.store(durable, Ordering::Release);
            written.send_modify(|written: &mut Written| match &result {
                Ok(()) => written.through = number,
                Err(error) => written.failed = Some(error.clone()),
            });
            if durable && is_own {
                slot.said(&said.messages);
            }
            if let Some((imported, reply)) = imported {
                // Whoever asked may be gone by now.
                reply.send(result.clone().map(|()| imported).map_err(|error| slot.refused(error))).ok();
            }
            for (waiting, message) in waiting.into_iter().zip(&said.messages) {
                if let Some(waiting) = waiting {
                    waiting.send(result.clone().map(|()| message.clone()).map_err(|error| slot.refused(error))).ok();
                }
            }
        };
        let own_author = self.shared.signer.author();
        let room = self.slot.number;
        let arrived_ms = now.wall_ms;
        let job = CommitJob { room, own: own_author, commit, arrived_ms, frontier, done: Box::new(done) };
        self.shared.store.submit(job).await.map_err(|closed| RoomFailure::Store(closed.into()))
    }

    /// The store has come further.
    pub(super) async fn written(&mut self, written: &Written) -> Result<(), RoomFailure> {
        // What came before a failure is on disk, so it is announced all the same.
        let outputs = self.replica.handle(self.shared.now(), Input::Committed { through: written.through });
        self.perform(outputs, Vec::new()).await?;
        while let Some((_, info, reply)) = self.settling.pop_front_if(|(commit, ..)| *commit <= written.through) {
            // Whoever asked may be gone by now.
            reply.send(Ok(info)).ok();
        }
        self.imports.written(written.through);
        match &written.failed {
            None => Ok(()),
            Some(error) => Err(error.clone().into()),
        }
    }

    fn read(&mut self, id: u64, keys: Vec<distchat_crdt::Key>, max_bytes: usize) {
        let store = self.shared.store.clone();
        let (room, name) = (self.slot.number, self.slot.name.clone());
        self.reads.push(Box::pin(async move {
            let bodies = match store.read(room, keys, max_bytes).await {
                Ok(messages) => messages,
                Err(error) => {
                    tracing::warn!(room = %name, %error, "messages for a peer could not be read");
                    Vec::new()
                }
            };
            Input::Read { id, bodies }
        }));
    }

    /// Tells people of the messages of the oldest commit, which is on disk.
    fn announce(&mut self, messages: Vec<Message>) {
        let Some(commit) = self.slot.to_announce() else { return };
        self.tell(&messages, &commit);
        self.slot.announced(self.view.newest_shown);
        if !self.frontier.unfinished {
            self.frontier.key = self.view.newest_shown;
        }
    }

    fn tell(&mut self, messages: &[Message], commit: &Unannounced) {
        let horizon = self.replica.clock(self.shared.now()).horizon;
        // In the order of acceptance a voucher comes first; people read the transcript's order.
        let mut ascending: Vec<&Message> = messages.iter().collect();
        ascending.sort_unstable_by_key(|message| message.key());
        for message in ascending {
            let room = self.slot.name.clone();
            let shown = self.view.arrived(message, horizon, commit.arrived_ms, commit.frontier);
            if let Some(shown) = shown {
                self.shared.events.emit(match shown {
                    Shown::Line(message) => Event::Message { room, message: Arc::new(message) },
                    Shown::Name { author, from, nick } => Event::Named { room, author, from, nick },
                    Shown::Reaction(reaction) => Event::Reacted { room, reaction },
                    Shown::Topic(topic) => Event::Topic { room, topic },
                });
            }
            let author = message.author();
            let log = self.replica.room().authors().get(&author);
            if log.is_some_and(|log| log.is_forked()) && self.forks_told.insert(author) {
                self.shared.events.emit(Event::Forked { room: self.slot.name.clone(), author });
            }
        }
    }

    /// Tells people, and peers, of what the task before this one had stored and not told.
    pub(super) async fn tell_unannounced(&mut self) -> Result<(), RoomFailure> {
        let (commits, newest_shown) = self.slot.take_unannounced();
        if newest_shown > distchat_crdt::Key::MIN {
            self.view.newest_shown = newest_shown;
        }
        let own = self.shared.signer.author();
        for commit in commits {
            self.tell(&commit.commit.messages, &commit);
            // Peers hear of it by anti-entropy; by gossip they hear sooner.
            for message in commit.commit.messages.iter().filter(|message| message.author() == own) {
                self.shared.network.publish(&self.slot.id, message.bytes());
            }
        }
        Ok(())
    }

    /// Whatever came in the catching up has been shown, as far as it is on disk; the rest is told with what it came with.
    fn caught_up(&mut self) {
        self.frontier = Frontier { key: self.view.newest_shown, unfinished: false };
    }

    /// Somebody has on their disk what was said here, up to that message.
    fn receipt(&self, author: distchat_crdt::AuthorId, through: distchat_crdt::Key) {
        if author == self.shared.signer.author() {
            // The own author at another place, or what was one: that it has it does not mean that somebody else does.
            return;
        }
        self.slot.receipts.send_modify(|receipts| *receipts += 1);
        self.shared.events.emit(Event::Receipt { room: self.slot.name.clone(), author, through });
    }

    fn entered(&self, peer: &Peer, author: distchat_crdt::AuthorId) {
        let Some(peer_id) = peer_id(peer) else { return };
        let address =
            self.shared.network.peers().into_iter().find(|(id, _)| *id == peer_id).map(|(_, address)| address);
        if let Some(address) = address
            && self.shared.first_proof(peer_id, author)
        {
            self.shared.events.emit(Event::Peer { peer_id, author: Some(author), connected: true, address });
        }
    }

    /// Tells the user when the clock turns out to be off, and again when that changes much.
    pub(super) fn tell_clock(&self, now: Now) {
        let off = self.replica.clock(now).off_ms;
        let mut told = self.shared.told_clock.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(offset_ms) = off else { return };
        let change = u64::try_from(CLOCK_CHANGE.as_millis()).unwrap_or(u64::MAX);
        if told.is_none_or(|told| told.abs_diff(offset_ms) > change) {
            *told = Some(offset_ms);
            self.shared.events.emit(Event::ClockOff { offset_ms });
        }
    }
}

fn peer_id(peer: &Peer) -> Option<PeerId> {
    PeerId::from_bytes(peer.as_bytes()).ok()
}

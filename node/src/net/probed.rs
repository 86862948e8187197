//! What the task does for those who ask about the network: it passes their questions to [`probe`](super::probe)'s helper,
//! few at a time and not too often, and their answers back.

use std::{net::IpAddr, time::Instant};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    PeerId, identify,
    request_response::{Event, Message, ResponseChannel},
    swarm::ConnectionId,
};
use tracing::debug;

use super::{
    address::ip,
    foreign::is_sync,
    probe::{Answer, PROBE_PROTOCOL, Rates, Refusal, Request, helper},
    swarm::Task,
};

/// How many requests are worked on at the same time.
const AT_ONCE: usize = 4;

/// An answer, and where it goes.
pub(super) type Done = (ResponseChannel<Answer>, Answer);

/// The questions that are being worked on.
#[derive(Default)]
pub(super) struct Probed {
    rates: Rates,
    working: FuturesUnordered<BoxFuture<'static, Done>>,
}

impl Probed {
    /// The next that is done; `None` if there is none at work.
    pub(super) async fn next(&mut self) -> Option<Done> {
        self.working.next().await
    }
}

/// Whether somebody has come to ask about the network and for nothing else. A node of another version can be asked, too, and
/// is none.
pub(super) fn is_guest(info: &identify::Info) -> bool {
    let names = || info.protocols.iter().map(AsRef::as_ref);
    names().any(|name| name == PROBE_PROTOCOL) && !names().any(is_sync)
}

impl Task {
    pub(super) fn on_probe(&mut self, event: Event<Request, Answer>) {
        match event {
            Event::Message { peer, connection_id, message: Message::Request { request, channel, .. } } => {
                self.help(peer, connection_id, request, channel);
            }
            Event::InboundFailure { peer, error, .. } => debug!(%peer, %error, "a question about the network failed"),
            // It asks nobody.
            Event::Message { .. } | Event::OutboundFailure { .. } | Event::ResponseSent { .. } => {}
        }
    }

    fn help(&mut self, peer: PeerId, connection: ConnectionId, request: Request, channel: ResponseChannel<Answer>) {
        let asker: Option<IpAddr> = self.peers.far_end(&peer, connection).and_then(ip);
        let Some(asker) = asker else { return self.answer_probe((channel, Answer::Refused(Refusal::Foreign))) };
        if self.probed.working.len() >= AT_ONCE || !self.probed.rates.take(Instant::now(), asker) {
            return self.answer_probe((channel, Answer::Refused(Refusal::Often)));
        }
        debug!(%peer, %asker, ?request, "asked about the network");
        let helping = helper::help(request, asker, self.kept.mdns()).map(|answer| (channel, answer));
        self.probed.working.push(helping.boxed());
    }

    pub(super) fn answer_probe(&mut self, (channel, answer): Done) {
        if self.swarm.behaviour_mut().probe.send_response(channel, answer).is_err() {
            debug!("somebody who asked about the network has gone");
        }
    }
}

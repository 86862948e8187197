//! What a peer may cost: the bytes of its answers, and its offences.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use distchat_crdt::{
    MAX_MESSAGE,
    sync::{Response, RoomGreeting, Summary},
};
use libp2p::PeerId;

/// How many bytes of answers a peer may have at once, and how many a second after that.
const BURST: u64 = 64 * 1024 * 1024;
/// What any answer costs at least: looking it up is work even if it is short.
const LEAST: u64 = 1024;
/// How many times its bytes an offer costs, as far as it brought nothing: a signature that is not good is checked by itself,
/// and a mebibyte holds thousands. Two of these a second are borne.
const USELESS_OFFER: u64 = 32;
/// How many offences are one too many.
const LIMIT: u32 = 8;
/// How long it takes until one offence is forgiven.
const FORGIVEN: Duration = Duration::from_secs(60);
/// How long a peer is refused after one too many.
pub(super) const REFUSED: Duration = Duration::from_secs(10 * 60);
/// How many offenders are remembered.
const MAX_OFFENDERS: usize = 1024;

/// A bucket of bytes that fills up again with time.
///
/// It may go below zero: an answer's length is known only once it is there. The debt is paid before the next one.
#[derive(Debug)]
pub(super) struct Bucket {
    bytes: i64,
    at: Instant,
}

impl Bucket {
    pub(super) fn new(now: Instant) -> Self {
        Self { bytes: BURST as i64, at: now }
    }

    /// Whether another answer may be given now.
    pub(super) fn open(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).min(Duration::from_secs(60));
        let gained = (passed.as_micros() * u128::from(BURST) / 1_000_000) as i64;
        if gained > 0 {
            self.bytes = self.bytes.saturating_add(gained).min(BURST as i64);
            self.at = now;
        }
        self.bytes > 0
    }

    /// Takes out what an answer has cost.
    pub(super) fn spend(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes.min(BURST) as i64);
    }
}

/// About how long an answer is on the wire. Exact where it is long.
pub(super) fn cost(response: &Response) -> u64 {
    let bytes = match response {
        Response::Entered(_) | Response::Offered(_) | Response::Refused(_) => 0,
        Response::Hello(greeting) => greeting.rooms.iter().map(greeting_len).sum(),
        Response::Nodes(nodes) => nodes.summaries.iter().map(summary_len).sum(),
        Response::Page(page) => page.messages.len() + page.cuts.len() * KEY + page.lacks.len(),
        Response::Have(bits) => bits.len(),
    };
    LEAST.max(bytes as u64)
}

/// What an offer of so many bytes costs besides, if so much of it was new.
pub(super) fn cost_of_offer(bytes: u64, response: &Response) -> u64 {
    let Response::Offered(new) = response else { return bytes };
    USELESS_OFFER * bytes.saturating_sub(u64::from(*new) * MAX_MESSAGE as u64)
}

/// A key with what stands around it.
const KEY: usize = 48;

fn greeting_len(greeting: &RoomGreeting) -> usize {
    match greeting {
        RoomGreeting::Differs(difference) => {
            LEAST as usize + difference.tail.as_ref().map_or(0, |tail| tail.messages.len() + tail.cuts.len() * KEY)
        }
        RoomGreeting::Equal(_) | RoomGreeting::Refused(_) => 0,
    }
}

fn summary_len(summary: &Summary) -> usize {
    match summary {
        Summary::Keys(_, shorts) => shorts.len() + KEY,
        Summary::Branch(_, branch) => branch.hashes.len() + 2 * KEY,
    }
}

/// What a peer can be charged with: what no correct program does, for anything else may be an accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offence {
    /// A request or an answer that does not decode, or that does not fit what it answers.
    Frame,
    /// A gossip frame that does not open or does not decode.
    Gossip,
    /// A message that is not well-formed.
    Message,
    /// A request that does not come, from somebody who has entered no room.
    Slow,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frame => "a malformed frame",
            Self::Gossip => "a malformed gossip frame",
            Self::Message => "a malformed message",
            Self::Slow => "a request that does not come",
        })
    }
}

/// Who did what wrong how often, and who is refused for it.
#[derive(Debug, Default)]
pub(super) struct Offences {
    charged: BTreeMap<PeerId, (u32, Instant)>,
    refused: BTreeMap<PeerId, Instant>,
}

impl Offences {
    /// Charges a peer once. True if that was once too often.
    pub(super) fn charge(&mut self, now: Instant, peer: PeerId) -> bool {
        if !self.charged.contains_key(&peer) && self.charged.len() >= MAX_OFFENDERS {
            let oldest = self.charged.iter().min_by_key(|(_, (_, at))| *at).map(|(peer, _)| *peer);
            oldest.map(|peer| self.charged.remove(&peer));
        }
        let (count, at) = self.charged.entry(peer).or_insert((0, now));
        let forgiven = now.saturating_duration_since(*at).as_secs() / FORGIVEN.as_secs();
        if forgiven > 0 {
            *count = count.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
            *at = now;
        }
        *count += 1;
        let too_many = *count > LIMIT;
        if too_many {
            self.charged.remove(&peer);
        }
        too_many
    }

    /// Notes that a peer is refused from now on. Returns a peer that is refused no longer, for want of space.
    pub(super) fn refuse(&mut self, now: Instant, peer: PeerId) -> Option<PeerId> {
        let full = !self.refused.contains_key(&peer) && self.refused.len() >= MAX_OFFENDERS;
        let oldest =
            if full { self.refused.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer) } else { None };
        if let Some(oldest) = oldest {
            self.refused.remove(&oldest);
        }
        self.refused.insert(peer, now + REFUSED);
        oldest
    }

    /// Peers whose time is over.
    pub(super) fn pardon(&mut self, now: Instant) -> Vec<PeerId> {
        let over: Vec<PeerId> =
            self.refused.iter().filter(|(_, until)| **until <= now).map(|(peer, _)| *peer).collect();
        for peer in &over {
            self.refused.remove(peer);
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use distchat_crdt::sync::{Blob, Page, Refusal};

    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        assert!(bucket.open(start));
        bucket.spend(BURST / 2);
        assert!(bucket.open(start));
        bucket.spend(BURST);
        assert!(!bucket.open(start), "in debt");
        assert!(!bucket.open(start + Duration::from_millis(400)));
        assert!(bucket.open(start + Duration::from_millis(600)));
        assert!(bucket.open(start + Duration::from_secs(9999)));
        bucket.spend(BURST);
        assert!(!bucket.open(start + Duration::from_secs(9999)), "never more than a burst");
    }

    #[test]
    fn what_is_long_costs_its_length() {
        let page = Page {
            done: 0,
            messages: Blob::cut(vec![0; 5000]),
            cuts: Default::default(),
            lacks: Blob::cut(vec![0; 100]),
        };
        assert_eq!(cost(&Response::Page(page)), 5100);
        assert_eq!(cost(&Response::Refused(Refusal::Busy)), LEAST);
    }

    #[test]
    fn an_offer_is_paid_for_unless_it_brought_something() {
        let page = 1024 * 1024;
        assert_eq!(cost_of_offer(page, &Response::Offered(100)), 0);
        assert_eq!(cost_of_offer(page, &Response::Refused(Refusal::Busy)), page);
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        assert!((0..2).all(|_| {
            let open = bucket.open(start);
            bucket.spend(cost_of_offer(page, &Response::Offered(0)));
            open
        }));
        assert!(!bucket.open(start), "two at once");
        assert!(bucket.open(start + Duration::from_secs(1)), "and two a second");
    }

    #[test]
    fn eight_offences_are_borne_and_one_a_minute_is_forgiven() {
        let start = Instant::now();
        let peer = PeerId::random();
        let mut offences = Offences::default();
        assert!((0..LIMIT).all(|_| !offences.charge(start, peer)));
        assert!(offences.charge(start, peer), "the ninth");
        assert!((0..LIMIT).all(|_| !offences.charge(start, peer)), "counted from the start again");
        assert!(!offences.charge(start + FORGIVEN, peer), "one was forgiven");
        assert!(offences.charge(start + FORGIVEN, peer));
    }

    #[test]
    fn refusal_ends() {
        let start = Instant::now();
        let mut offences = Offences::default();
        let first = PeerId::random();
        assert_eq!(offences.refuse(start, first), None);
        for _ in 1..MAX_OFFENDERS {
            assert_eq!(offences.refuse(start + Duration::from_secs(1), PeerId::random()), None);
        }
        let released = offences.refuse(start + Duration::from_secs(2), PeerId::random());
        assert_eq!(released, Some(first), "the oldest makes room");
        assert_eq!(offences.pardon(start + REFUSED).len(), 0);
        assert_eq!(offences.pardon(start + REFUSED + Duration::from_secs(2)).len(), MAX_OFFENDERS);
    }
}

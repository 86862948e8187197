//! How long the answers to a peer may be: as long as it has earned.
//!
//! A request of a hundred bytes may ask for a mebibyte. So that nobody is made to send much to somebody who asks for much and
//! wants none of it, each begins with a little and earns more as it goes: by what it sends, and by what it has taken, once it
//! asks again. Whoever catches up is at full speed after a few round trips. An answer that would be too long is made shorter
//! rather than refused: what is left of it is asked for anew.
//!
//! In numbers: to one connection go at most [`START`] bytes, [`FOR_ASKING`] for each byte of its requests, and [`FOR_TAKING`]
//! for each byte that it has taken before it asked again; besides these the first message of each answer, which is never cut,
//! and [`A_SECOND`] bytes a second, lest anybody be stuck. What connections begin with comes out of a fund that their address
//! has (see [`Funds`]), so connecting again renews nothing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use distchat_crdt::sync::{Filter, Request, Wanted};

use super::origin::Origin;

/// What a connection begins with, and what it has at least when its address's fund is used up.
const START: u64 = 256 * 1024;
const LEAST_START: u64 = 64 * 1024;
/// How many bytes of answers are earned by each byte of a request, and by each byte of an answer that was taken.
const FOR_ASKING: u64 = 16;
const FOR_TAKING: u64 = 3;
/// How much is earned a second, up to what a connection begins with.
const A_SECOND: u64 = 16 * 1024;
/// How much may be earned in advance.
const MOST: i64 = 64 * 1024 * 1024;
/// How long an answer may be at most, whatever was earned: a page. And how long the shortest limit is.
const MAX_ANSWER: u64 = 1024 * 1024;
const LEAST_ANSWER: u64 = 4 * 1024;
/// What an address's fund holds, and how fast it fills again.
const FUND: u64 = 2 * 1024 * 1024;
const FUND_A_SECOND: u64 = 64 * 1024;
/// How many addresses are remembered for that.
const MAX_FUNDS: usize = 1024;

/// What one peer has earned.
#[derive(Debug)]
pub(super) struct Allowance {
    /// Below zero if the first message of an answer was longer than the answer should have been.
    left: i64,
    /// What it has taken since it asked last.
    taken: u64,
    at: Instant,
}

impl Allowance {
    pub(super) fn new(now: Instant, start: u64) -> Self {
        Self { left: start as i64, taken: 0, at: now }
    }

    /// It asks for something by so many bytes. How long the answer may be; nothing if it has to wait.
    pub(super) fn ask(&mut self, now: Instant, bytes: u64) -> Option<u64> {
        let passed = now.saturating_duration_since(self.at).min(Duration::from_secs(60));
        let gained = (passed.as_micros() * u128::from(A_SECOND) / 1_000_000) as i64;
        if gained > 0 {
            self.at = now;
            self.left = self.left.max(self.left.saturating_add(gained).min(START as i64));
        }
        let earned = FOR_ASKING.saturating_mul(bytes).saturating_add(FOR_TAKING.saturating_mul(self.taken));
        self.left = self.left.saturating_add_unsigned(earned).min(MOST);
        self.taken = 0;
        let left = u64::try_from(self.left).ok().filter(|left| *left >= LEAST_ANSWER)?;
        // Others may be asked for before this one is answered.
        let limit = (left / 2).clamp(LEAST_ANSWER, MAX_ANSWER);
        self.left -= limit as i64;
        Some(limit)
    }

    /// An answer that might have had so many bytes has cost so many.
    pub(super) fn answered(&mut self, limit: u64, cost: u64) {
        self.left = self.left.saturating_add_unsigned(limit).saturating_sub_unsigned(cost);
    }

    /// It has taken so much of an answer.
    pub(super) fn took(&mut self, bytes: u64) {
        self.taken = self.taken.saturating_add(bytes);
    }
}

/// What the connections from each address have to begin with.
#[derive(Debug, Default)]
pub(super) struct Funds(BTreeMap<Origin, (u64, Instant)>);

impl Funds {
    /// What a connection from there begins with.
    pub(super) fn start(&mut self, now: Instant, origin: Option<Origin>) -> u64 {
        let Some(origin) = origin else { return LEAST_START };
        let full_after = Duration::from_secs(FUND.div_ceil(FUND_A_SECOND));
        if self.0.len() >= MAX_FUNDS && !self.0.contains_key(&origin) {
            self.0.retain(|_, (_, at)| now.saturating_duration_since(*at) < full_after);
            if self.0.len() >= MAX_FUNDS {
                return LEAST_START;
            }
        }
        let (left, at) = self.0.entry(origin).or_insert((FUND, now));
        let passed = now.saturating_duration_since(*at).min(full_after);
        *left = left.saturating_add(passed.as_millis() as u64 * FUND_A_SECOND / 1000).min(FUND);
        *at = now;
        let start = START.min(*left);
        *left -= start;
        start.max(LEAST_START)
    }
}

/// About how long a request is on the wire. Never more than it is.
pub(super) fn length(request: &Request) -> u64 {
    let bytes: usize = match request {
        Request::Enter(_) => 160,
        Request::Hello(hello) => 12 + 40 * hello.rooms.len(),
        Request::Nodes(nodes) => 16 + nodes.items.iter().map(|item| 8 + item.branch.hashes.len()).sum::<usize>(),
        Request::Fetch(fetch) => {
            let item = |item: &Wanted| match item {
                Wanted::Key(_) => 36,
                Wanted::Range(range) => {
                    let (Filter::Except(filter) | Filter::Only(filter)) = &range.filter;
                    12 + filter.len()
                }
            };
            16 + fetch.items.iter().map(item).sum::<usize>()
        }
        Request::Offer(offer) => 8 + offer.messages.len(),
        Request::Have(have) => 8 + 36 * have.keys.len(),
    };
    bytes as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const REQUEST: u64 = 100;

    fn origin(n: u8) -> Option<Origin> {
        Origin::of(&format!("/ip4/10.0.0.{n}/tcp/1").parse().unwrap())
    }

    #[test]
    fn who_takes_nothing_gets_what_it_began_with_and_a_multiple_of_what_it_sends() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now, START);
        let mut out = 0;
        for _ in 0..1000 {
            let Some(limit) = allowance.ask(now, REQUEST) else { continue };
            allowance.answered(limit, limit);
            out += limit;
        }
        assert!(out <= START + FOR_ASKING * 1000 * REQUEST, "{out}");
        assert!(out >= START, "{out}");
    }

    #[test]
    fn who_takes_what_it_asked_for_is_at_full_speed_after_a_few_answers() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now, START);
        let limits: Vec<u64> = (0..8)
            .map(|_| {
                let limit = allowance.ask(now, REQUEST).unwrap();
                allowance.answered(limit, limit);
                allowance.took(limit);
                limit
            })
            .collect();
        assert!(limits[4..].iter().all(|limit| *limit == MAX_ANSWER), "{limits:?}");
    }

    #[test]
    fn six_may_be_asked_for_at_once_from_the_start() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now, START);
        assert!((0..6).all(|_| allowance.ask(now, REQUEST).is_some()));
    }

    #[test]
    fn nobody_is_stuck_for_good() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now, LEAST_START);
        while let Some(limit) = allowance.ask(now, 0) {
            allowance.answered(limit, 2 * limit);
        }
        assert_eq!(allowance.ask(now, 0), None);
        assert!(allowance.ask(now + 30 * SECOND, 0).is_some());
    }

    #[test]
    fn connecting_again_renews_nothing() {
        let now = Instant::now();
        let mut funds = Funds::default();
        let given: u64 = (0..100).map(|_| funds.start(now, origin(1))).sum();
        assert!(given <= FUND + 100 * LEAST_START);
        assert_eq!(funds.start(now, origin(1)), LEAST_START);
        assert_eq!(funds.start(now, origin(2)), START, "of another address that is no concern");
        assert_eq!(funds.start(now + 60 * SECOND, origin(1)), START);
        for n in 0..2000 {
            funds.start(now, Origin::of(&format!("/ip4/10.1.{}.{}/tcp/1", n / 250, n % 250).parse().unwrap()));
        }
        assert!(funds.0.len() <= MAX_FUNDS);
    }
}

//! How often a helper helps.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// How many requests of one address are answered in a minute.
pub(in crate::net) const PER_MINUTE: u32 = 12;
/// How many addresses are counted. With more of them nobody new is helped until the minute is over.
const MAX_ADDRESSES: usize = 256;
const MINUTE: Duration = Duration::from_secs(60);

/// Counts by address, not by peer: a peer id costs nothing.
#[derive(Debug, Default)]
pub(in crate::net) struct Rates(BTreeMap<IpAddr, (u32, Instant)>);

impl Rates {
    /// Counts a request. False if it is one too many.
    pub(in crate::net) fn take(&mut self, now: Instant, address: IpAddr) -> bool {
        self.0.retain(|_, (_, since)| now.saturating_duration_since(*since) < MINUTE);
        if self.0.len() >= MAX_ADDRESSES && !self.0.contains_key(&address) {
            return false;
        }
        let (count, _) = self.0.entry(address).or_insert((0, now));
        *count = count.saturating_add(1);
        *count <= PER_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_helped_a_few_times_a_minute() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        let address = |n: u32| IpAddr::V4(n.into());
        assert!((0..PER_MINUTE).all(|_| rates.take(start, address(1))));
        assert!(!rates.take(start, address(1)));
        assert!(rates.take(start, address(2)), "somebody else");
        assert!(!rates.take(start + MINUTE / 2, address(1)));
        assert!(rates.take(start + MINUTE, address(1)), "a minute later");
    }

    #[test]
    fn memory_is_bounded() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        let helped = (0..1000_u32).filter(|n| rates.take(start, IpAddr::V4((*n).into()))).count();
        assert_eq!(helped, MAX_ADDRESSES);
        assert_eq!(rates.0.len(), MAX_ADDRESSES);
    }
}

//! Chance, from a seed.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// A stream of random decisions. One seed, one stream: a run draws everything from it and so can be run again.
#[derive(Debug)]
pub(crate) struct Random(StdRng);

impl Random {
    /// The stream of a seed. Different purposes of one run take different streams, so that a change in one leaves the
    /// others as they were.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        bytes[8..16].copy_from_slice(&purpose.to_be_bytes());
        Self(StdRng::from_seed(bytes))
    }

    /// True with that probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.0.random_bool(probability.clamp(0., 1.))
    }

    /// A number below `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.0.random_range(0..end) }
    }

    /// A number from the first to the last.
    pub(crate) fn between(&mut self, first: u64, last: u64) -> u64 {
        self.0.random_range(first..=last.max(first))
    }

    /// A share between 0 and 1.
    pub(crate) fn share(&mut self) -> f64 {
        self.0.random_range(0. ..1.)
    }

    /// A time up to a limit, short ones as likely as long ones on a scale of powers of ten.
    pub(crate) fn time_up_to(&mut self, limit: Duration) -> Duration {
        limit.mul_f64(10_f64.powf(-4. * self.share()))
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }

    /// Brings a list into any order.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.below(at + 1));
        }
    }

    /// Any bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        self.0.random()
    }
}

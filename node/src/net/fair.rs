//! A queue in which nobody stands behind somebody else's crowd.
//!
//! Each has a queue of its own, and these are served in turn, one thing at a time. So whatever one of them sends, what another
//! sends waits for one thing of each of the others at most. When all of it is too much, the longest queue is the one that
//! loses.

use std::collections::{BTreeMap, VecDeque};

/// How many things wait at most: of one, and of all together.
const MAX_OF_ONE: usize = 128;
const MAX_OF_ALL: usize = 256;

/// What waits, by whose it is.
#[derive(Debug)]
pub(super) struct Fair<K, T> {
    queues: BTreeMap<K, VecDeque<T>>,
    /// Whose turn it is, and who follows. Each who has something waiting, once.
    turns: VecDeque<K>,
    waiting: usize,
}

impl<K, T> Default for Fair<K, T> {
    fn default() -> Self {
        Self { queues: BTreeMap::new(), turns: VecDeque::new(), waiting: 0 }
    }
}

impl<K: Copy + Ord, T> Fair<K, T> {
    /// Puts something into a queue. Returns what there is no place for, if anything: this, or what came last in the longest
    /// queue.
    pub(super) fn push(&mut self, whose: K, thing: T) -> Option<T> {
        let own = self.queues.get(&whose).map_or(0, VecDeque::len);
        if own >= MAX_OF_ONE {
            return Some(thing);
        }
        let mut lost = None;
        if self.waiting >= MAX_OF_ALL {
            let longest = self.queues.iter().max_by_key(|(_, queue)| queue.len());
            let longest = longest.filter(|(_, queue)| queue.len() > own + 1).map(|(whose, _)| *whose);
            let Some(longest) = longest else { return Some(thing) };
            lost = self.queues.get_mut(&longest).and_then(VecDeque::pop_back);
            self.waiting -= usize::from(lost.is_some());
        }
        if own == 0 {
            self.turns.push_back(whose);
        }
        self.queues.entry(whose).or_default().push_back(thing);
        self.waiting += 1;
        lost
    }

    /// Takes the next thing: the first of whoever's turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        while let Some(whose) = self.turns.pop_front() {
            let Some(queue) = self.queues.get_mut(&whose) else { continue };
            let Some(thing) = queue.pop_front() else { continue };
            self.waiting -= 1;
            if queue.is_empty() {
                self.queues.remove(&whose);
            } else {
                self.turns.push_back(whose);
            }
            return Some(thing);
        }
        None
    }

    /// Throws away what one has waiting, but for what is to be kept.
    pub(super) fn retain(&mut self, whose: &K, keep: impl Fn(&T) -> bool) {
        let Some(queue) = self.queues.get_mut(whose) else { return };
        let before = queue.len();
        queue.retain(keep);
        self.waiting -= before - queue.len();
        if queue.is_empty() {
            self.queues.remove(whose);
            self.turns.retain(|other| other != whose);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_turn() {
        let mut fair = Fair::default();
        for n in 0..10 {
            assert_eq!(fair.push('a', n), None);
        }
        assert_eq!(fair.push('b', 100), None);
        assert_eq!(fair.push('c', 200), None);
        let order: Vec<i32> = std::iter::from_fn(|| fair.pop()).collect();
        assert_eq!(order, [0, 100, 200, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert!(fair.is_empty() && fair.turns.is_empty() && fair.queues.is_empty());
    }

    #[test]
    fn who_has_much_loses_first() {
        let mut fair = Fair::default();
        let taken = (0..1000).filter(|n| fair.push(0, *n).is_none()).count();
        assert_eq!(taken, MAX_OF_ONE, "nobody fills it alone");
        for whose in 1..100 {
            for n in 0..MAX_OF_ONE {
                fair.push(whose, n);
            }
        }
        assert_eq!(fair.waiting, MAX_OF_ALL);
        let lost = fair.push(1000, usize::MAX).expect("somebody else's makes way for it");
        assert_ne!(lost, usize::MAX);
        assert_eq!(fair.waiting, MAX_OF_ALL);
        let before_it = std::iter::from_fn(|| fair.pop()).position(|n| n == usize::MAX).unwrap();
        assert!(before_it <= 100, "{before_it} came before it");
    }

    #[test]
    fn who_goes_takes_along_what_need_not_stay() {
        let mut fair = Fair::default();
        for n in 0..4 {
            fair.push('a', n);
            fair.push('b', 10 + n);
        }
        fair.retain(&'a', |n| n % 2 == 1);
        fair.retain(&'b', |_| false);
        fair.retain(&'c', |_| false);
        assert_eq!(std::iter::from_fn(|| fair.pop()).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(fair.waiting, 0);
    }
}

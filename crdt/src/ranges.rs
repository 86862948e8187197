//! Ranges of numbers, in pages.
//!
//! A stranger can leave out every other number, so there may be as many ranges as it has written messages. Each message
//! then changes one of them, and its commit takes a copy along: so they are in pages of at most [`MAX_PAGE`], a clone
//! shares all of them, and a change copies one page and the list of pages.

use std::sync::Arc;

/// How many ranges a page holds at most: copying it costs as much as copying the list of pages where there are 60,000 ranges.
const MAX_PAGE: usize = 256;

/// An inclusive range.
type Range = (u64, u64);

/// Inclusive ranges, ascending, neither overlapping nor touching. No page is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges {
    pages: Arc<Vec<Arc<Vec<Range>>>>,
    len: usize,
}

impl Ranges {
    /// As they must be, ascending and apart.
    pub(crate) fn new(ranges: &[Range]) -> Self {
        let pages = ranges.chunks(MAX_PAGE).map(|page| Arc::new(page.to_vec())).collect();
        Self { pages: Arc::new(pages), len: ranges.len() }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Range> + '_ {
        self.pages.iter().flat_map(|page| page.iter().copied())
    }

    /// Adds a number, which is not the greatest there is; whether it was there.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        // The first range that ends at or behind the number's left neighbour.
        let ends_before = |(_, high): &Range| high.saturating_add(1) < number;
        let page = self.pages.partition_point(|page| page.last().is_none_or(ends_before));
        let at = self.pages.get(page).map_or(0, |ranges| ranges.partition_point(ends_before));
        let found = self.pages.get(page).and_then(|ranges| ranges.get(at)).copied();
        match found {
            Some((low, high)) if (low..=high).contains(&number) => return true,
            Some((low, high)) if high + 1 == number => {
                let end = self.take_next_if(page, at, number + 1).unwrap_or(number);
                self.set(page, at, (low, end));
            }
            Some((low, high)) if number + 1 == low => self.set(page, at, (number, high)),
            Some(_) => self.add(page, at, number),
            None => self.push(number),
        }
        false
    }

    fn set(&mut self, page: usize, at: usize, range: Range) {
        let page = Arc::make_mut(&mut self.pages).get_mut(page).map(Arc::make_mut);
        if let Some(held) = page.and_then(|ranges| ranges.get_mut(at)) {
            *held = range;
        }
    }

    /// Takes out the range behind that place if it begins so; where it ends.
    fn take_next_if(&mut self, page: usize, at: usize, low: u64) -> Option<u64> {
        let here = self.pages.get(page)?.len();
        let (page, at) = if at + 1 < here { (page, at + 1) } else { (page + 1, 0) };
        let (_, end) = self.pages.get(page)?.get(at).copied().filter(|range| range.0 == low)?;
        let pages = Arc::make_mut(&mut self.pages);
        let ranges = Arc::make_mut(pages.get_mut(page)?);
        ranges.remove(at);
        if ranges.is_empty() {
            pages.remove(page);
        }
        self.len -= 1;
        Some(end)
    }

    /// Adds a range of one number in front of that place.
    fn add(&mut self, page: usize, at: usize, number: u64) {
        let pages = Arc::make_mut(&mut self.pages);
        let Some(ranges) = pages.get_mut(page).map(Arc::make_mut) else { return };
        ranges.insert(at, (number, number));
        self.len += 1;
        if ranges.len() > MAX_PAGE {
            let behind = ranges.split_off(MAX_PAGE / 2);
            pages.insert(page + 1, Arc::new(behind));
        }
    }

    /// Adds a range of one number behind all others. Pages that will not grow any more are left full.
    fn push(&mut self, number: u64) {
        let pages = Arc::make_mut(&mut self.pages);
        self.len += 1;
        match pages.last_mut().filter(|page| page.len() < MAX_PAGE) {
            Some(page) => Arc::make_mut(page).push((number, number)),
            None => pages.push(Arc::new(vec![(number, number)])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_copies_one_page_and_what_was_copied_before_stays_as_it_was() {
        let many: Vec<Range> = (0..100_000).map(|n| (4 * n, 4 * n + 1)).collect();
        let mut ranges = Ranges::new(&many);
        let before = ranges.clone();
        assert!(!ranges.insert(200_003));
        let shared = before.pages.iter().filter(|page| ranges.pages.iter().any(|other| Arc::ptr_eq(page, other)));
        assert_eq!(shared.count(), before.pages.len() - 1);
        assert!(before.iter().eq(many));
        assert_eq!((ranges.len(), ranges.iter().count()), (100_000, 100_000));
    }

    #[test]
    fn gaps_of_every_number_that_are_filled_leave_one_range() {
        for order in [1_u64, 7, 499] {
            let mut ranges = Ranges::default();
            let evens = (0..500).map(|n| 2 * (n * order % 500));
            assert!(evens.clone().all(|number| !ranges.insert(number)));
            assert_eq!((ranges.len(), ranges.iter().count()), (500, 500));
            assert!(ranges.pages.iter().all(|page| (1..=MAX_PAGE).contains(&page.len())));
            assert!(evens.clone().all(|number| ranges.insert(number)), "they are there");
            assert!(evens.map(|number| number + 1).all(|number| !ranges.insert(number)));
            assert!(ranges.iter().eq([(0, 999)]));
        }
    }
}

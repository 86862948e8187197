//! The answering side: pure functions of the set and the question.

use std::collections::BTreeSet;

use super::{
    Blob, Branch, Difference, Fetch, Filter, List, MAX_PAGE, MAX_SUMMARIES, MAX_TAIL, Nodes, Page, Range, RoomGreeting,
    RoomHello, Summaries, Summary, Tail, Wanted,
    short::{Short, Shortener, bit, pack_bits, shorts},
};
use crate::{
    KEY_LEN, Key, MAX_MESSAGE, Timestamp,
    index::{Index, Part, Prefix},
};

/// How many messages are read for one page at most.
const MAX_PAGE_KEYS: usize = 8 * 1024;
/// A filter is held against at most this many keys, which bounds what a question can cost. Askers filter small ranges.
const MAX_FILTERED: u64 = 4096;

/// The length of a long summary on the wire, more or less.
const SUMMARY_LEN: usize = 160;

/// How many keys are hashed for one page at most, but for those of the last range.
const MAX_EFFORT: u64 = 4 * MAX_FILTERED;

/// The question breaks the protocol.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The last key that counts in a session.
pub(super) fn last_key(upper: Timestamp) -> Key {
    Key::last_of(upper)
}

/// What to say to a hello; if with a tail, also the keys to read for it, the newest first.
pub(super) fn greet(index: &Index, hello: &RoomHello) -> (RoomGreeting, Option<TailPlan>) {
    let last = last_key(hello.upper);
    let (count, root) = index.root_to(&last);
    let later = index.len() - count;
    if (count, root) == (hello.count, hello.root) {
        return (RoomGreeting::Equal(later), None);
    }
    let difference = Difference { count, root, later, tail: None };
    let is_prefix = hello.count < count && index.root_of_first(hello.count) == hello.root;
    let plan = is_prefix.then(|| {
        let from = index.select(hello.count).unwrap_or(last);
        let keys = index.newest(&from, &last.next(), MAX_TAIL / crate::MIN_MESSAGE);
        TailPlan { difference: difference.clone(), from, keys }
    });
    (RoomGreeting::Differs(difference), plan)
}

/// A greeting whose tail is being read.
#[derive(Debug)]
pub(super) struct TailPlan {
    difference: Difference,
    from: Key,
    pub(super) keys: Vec<Key>,
}

impl TailPlan {
    /// The greeting, once the messages of the first keys are read.
    pub(super) fn finish(mut self, index: &Index, mut bodies: Vec<Vec<u8>>) -> RoomGreeting {
        let bytes = bodies.iter().map(Vec::len).sum();
        // Even if not one message fits, the cuts tell what to fetch.
        let reached = bodies.len().checked_sub(1).and_then(|last| self.keys.get(last).copied());
        let cut = reached.or_else(|| self.keys.first().map(Key::next));
        let cuts = cut.map_or_else(Vec::new, |cut| cuts(index, self.from, cut, bodies.len(), bytes));
        bodies.reverse();
        self.difference.tail = Some(Tail { messages: Blob::cut(bodies.concat()), cuts: List::cut(cuts) });
        RoomGreeting::Differs(self.difference)
    }
}

/// Where what remains below `cut` can be cut so that each piece is about a page; nothing if nothing remains.
fn cuts(index: &Index, from: Key, cut: Key, read: usize, bytes: usize) -> Vec<Key> {
    let (start, mut end) = (index.rank(&from), index.rank(&cut));
    let mut cuts = Vec::new();
    // What was read tells how long messages are here. A little less than a page, so that most pieces are one page.
    let average = bytes.checked_div(read).unwrap_or(MAX_MESSAGE).max(1);
    let step = (MAX_PAGE * 9 / 10 / average).clamp(1, MAX_PAGE_KEYS) as u64;
    if start < end {
        cuts.push(cut);
    }
    while end > start + step && cuts.len() < super::MAX_CUTS {
        end -= step;
        cuts.extend(index.select(end));
    }
    cuts
}

/// What stands where the asker says that the sets differ, in about so many bytes, but at least for the first region.
pub(super) fn summarize(index: &Index, nodes: &Nodes, max_bytes: usize) -> Result<Summaries, Malformed> {
    let most = MAX_SUMMARIES.min(max_bytes / SUMMARY_LEN).max(16);
    let short = Shortener { nonce: nodes.nonce };
    let last = last_key(nodes.upper);
    let mut summaries = Vec::new();
    let mut done = 0;
    for item in nodes.items.iter() {
        let theirs = children(&item.branch)?;
        if !item.region.contains(&item.branch.prefix) {
            return Err(Malformed);
        }
        if summaries.len() + 16 > most {
            break;
        }
        done += 1;
        match index.part(&item.region, &last) {
            Part::Inner { prefix, children } if prefix == item.branch.prefix => {
                let hashes = short.each_hash(children.iter().map(|(_, hash)| hash));
                for digit in 0..16 {
                    let mine = children.iter().position(|(at, _)| *at == digit).and_then(|at| hashes.get(at).copied());
                    let other = theirs.iter().find(|(at, _)| *at == digit).map(|(_, hash)| *hash);
                    if mine != other {
                        let child = prefix.child::<4>(digit);
                        summaries.push(summary(short, child, index.part(&child, &last)));
                    }
                }
            }
            part => summaries.push(summary(short, item.region, part)),
        }
    }
    Ok(Summaries { done, summaries: List::cut(summaries) })
}

fn summary(short: Shortener, region: Prefix, part: Part) -> Summary {
    match part {
        Part::Leaf(keys) => Summary::Keys(region, Blob::cut(short.keys(&keys))),
        Part::Inner { prefix, children } => Summary::Branch(region, branch(short, prefix, &children)),
    }
}

/// An inner node for the wire.
pub(super) fn branch(short: Shortener, prefix: Prefix, children: &[(u8, [u8; 32])]) -> Branch {
    Branch {
        prefix,
        children: children.iter().fold(0, |bits, (digit, _)| bits | 1 << digit),
        hashes: Blob::cut(short.each_hash(children.iter().map(|(_, hash)| hash)).concat()),
    }
}

/// The digits and short hashes of an inner node from the wire.
pub(super) fn children(branch: &Branch) -> Result<Vec<(u8, Short)>, Malformed> {
    let hashes = branch.children.count_ones() as usize;
    if branch.hashes.len() != hashes * super::SHORT_LEN || branch.prefix.digits::<4>() >= 2 * KEY_LEN {
        return Err(Malformed);
    }
    let digits = (0..16).filter(|digit| branch.children >> digit & 1 == 1);
    Ok(digits.zip(shorts(&branch.hashes)).collect())
}

/// A page that is being read.
#[derive(Debug)]
pub(super) struct PagePlan {
    items: Vec<PlannedItem>,
    /// All keys of the page, the most wanted first.
    pub(super) keys: Vec<Key>,
}

#[derive(Debug)]
struct PlannedItem {
    /// How many of the plan's keys are this item's.
    keys: usize,
    /// Whether these are all of it.
    whole: bool,
    /// Where the item begins.
    from: Key,
    /// Which of the asker's messages are not here.
    lacks: Vec<bool>,
}

/// Which messages a fetch asks for.
pub(super) fn plan(index: &Index, fetch: &Fetch) -> Result<PagePlan, Malformed> {
    let short = Shortener { nonce: fetch.nonce };
    let mut plan = PagePlan { items: Vec::new(), keys: Vec::new() };
    let mut effort = MAX_EFFORT;
    for wanted in fetch.items.iter() {
        let room = MAX_PAGE_KEYS - plan.keys.len();
        let (keys, item) = match wanted {
            Wanted::Key(key) => {
                let keys: Vec<Key> = index.contains(key).then_some(*key).into_iter().collect();
                let item = PlannedItem { keys: keys.len(), whole: true, from: *key, lacks: Vec::new() };
                (keys, item)
            }
            Wanted::Range(range) => plan_range(index, short, last_key(fetch.upper), range, room, &mut effort)?,
        };
        // A page is read in one sweep, from the greatest key down.
        if plan.keys.last().zip(keys.first()).is_some_and(|(last, first)| last < first) {
            break;
        }
        let whole = item.whole;
        plan.keys.extend(keys);
        plan.items.push(item);
        if !whole || plan.keys.len() >= MAX_PAGE_KEYS || effort == 0 {
            break;
        }
    }
    Ok(plan)
}

fn plan_range(
    index: &Index,
    short: Shortener,
    last: Key,
    range: &Range,
    room: usize,
    effort: &mut u64,
) -> Result<(Vec<Key>, PlannedItem), Malformed> {
    let (from, below) = range.bounds(last);
    let (Filter::Except(filter) | Filter::Only(filter)) = &range.filter;
    if !filter.len().is_multiple_of(super::SHORT_LEN) {
        return Err(Malformed);
    }
    let filter: Vec<Short> = shorts(filter).collect();
    let count = index.rank(&below).saturating_sub(index.rank(&from));
    let except = matches!(range.filter, Filter::Except(_));
    if except && (filter.is_empty() || count > MAX_FILTERED) {
        // Sending too much is not wrong, only wasteful.
        let keys = index.newest(&from, &below, room);
        let whole = keys.len() as u64 == count;
        let item = PlannedItem { keys: keys.len(), whole, from, lacks: vec![false; filter.len()] };
        return Ok((keys, item));
    }
    let mine: Vec<(Short, Key)> = if count > MAX_FILTERED {
        Vec::new()
    } else {
        let keys = index.newest(&from, &below, usize::MAX);
        short.each_key(&keys).into_iter().zip(keys).collect()
    };
    *effort = effort.saturating_sub(mine.len() as u64);
    let listed: BTreeSet<Short> = filter.iter().copied().collect();
    let mut keys: Vec<Key> =
        mine.iter().filter(|(short, _)| listed.contains(short) != except).map(|(_, key)| *key).collect();
    let whole = keys.len() <= room;
    keys.truncate(room);
    let held: BTreeSet<Short> = mine.iter().map(|(short, _)| *short).collect();
    let lacks = if except { filter.iter().map(|short| !held.contains(short)).collect() } else { Vec::new() };
    let item = PlannedItem { keys: keys.len(), whole, from, lacks };
    Ok((keys, item))
}

impl PagePlan {
    /// The page, once the messages of the first keys are read.
    pub(super) fn finish(self, index: &Index, bodies: Vec<Vec<u8>>) -> Page {
        let (read, bytes) = (bodies.len(), bodies.iter().map(Vec::len).sum());
        let mut bodies = bodies.into_iter();
        let mut page = Page { done: 0, messages: Blob::default(), cuts: List::default(), lacks: Blob::default() };
        let mut messages = Vec::with_capacity(bytes);
        let mut lacks = Vec::new();
        let mut at = 0;
        for item in self.items {
            let here: Vec<Vec<u8>> = bodies.by_ref().take(item.keys).collect();
            let (got, wanted) = (here.len(), item.keys);
            here.iter().rev().for_each(|body| messages.extend_from_slice(body));
            if got < wanted || !item.whole {
                // The item goes on below the last message read of it, if any.
                if let Some(cut) = got.checked_sub(1).and_then(|last| self.keys.get(at + last).copied()) {
                    page.cuts = List::cut(cuts(index, item.from, cut, read, bytes));
                }
                break;
            }
            at += wanted;
            page.done += 1;
            lacks.extend(item.lacks);
        }
        page.messages = Blob::cut(messages);
        page.lacks = Blob::cut(pack_bits(lacks.into_iter()));
        page
    }
}

impl Range {
    /// The range as keys: from the first on, below the second; cut at the session's upper end.
    pub(super) fn bounds(&self, last: Key) -> (Key, Key) {
        let end = [self.region.end(), self.below].into_iter().flatten().fold(last.next(), Key::min);
        (self.from.unwrap_or(Key::MIN).max(self.region.first()), end)
    }
}

/// Which of the listed messages the answerer lacks, by their place in all lists.
pub(super) fn lacking(page: &Page, keys: &[Key]) -> Vec<Key> {
    keys.iter().enumerate().filter(|(at, _)| bit(&page.lacks, *at)).map(|(_, key)| *key).collect()
}

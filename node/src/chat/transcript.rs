//! The part of a room's transcript that is at hand.
//!
//! It is a window: every line of the history whose place is in the covered range is in `entries`, in the transcript's
//! order, but for those of muted authors and those dated in the future. What is outside is loaded when the reader comes
//! near, and forgotten when they are far away, so the window stays small however long the history is.
//!
//! A message may arrive anywhere. While the history is read, nothing goes between the lines that are being looked at: it
//! waits in `held` until the reader moves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use distchat_node::{AuthorId, Key, Message, MessageId, Reaction, Timestamp};

use super::disks::Disks;

/// How many lines the window holds before it forgets those that are far away.
const MOST: usize = 2_000;
/// How many lines are loaded at once.
const LOAD: usize = 200;
/// How near the reader comes to an end of the window before more is loaded, in lines.
const NEAR: usize = 100;
/// How many lines may arrive while others are loaded, or wait for the reader to move, before the window is loaded anew.
const MEANWHILE: usize = 1_024;
/// How many people's reactions to one message are looked at.
const REACTIONS: usize = 500;
/// For how many messages receipts are looked up at once.
const RECEIPTS: usize = 64;
/// How many late arrivals are pointed out.
const EARLIER: usize = 10_000;
/// Less than that is not worth telling: messages overtake each other on the way.
const LATE: Duration = Duration::from_secs(2);

/// Behind every message.
const END: Key = Key { time: Timestamp(u64::MAX), id: MessageId([0xff; 32]) };

/// A line of the window.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) message: Arc<Message>,
    /// What is thought of it: each author's last word, even if that takes back the one before.
    pub(super) reactions: Vec<Reaction>,
    /// Of what the own author said.
    pub(super) disks: Disks,
}

/// What the reader looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// The newest messages, whatever comes.
    Following,
    /// A row is at the top of the screen: so many rows behind the first row of that message's text.
    At { top: Key, behind: isize },
}

/// What was on the screen when it was last drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) first: Key,
    pub(super) last: Key,
    /// Of the first row, as in [`Position::At`].
    pub(super) behind: isize,
}

/// Lines that are wanted from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// The newest that are not dated in the future.
    Newest(usize),
    /// So many before that place.
    Before(Key, usize),
    /// So many behind that place.
    After(Key, usize),
    /// So many before that place and so many from there on.
    Around(Key, usize),
}

/// What the store gave.
#[derive(Clone, Debug, Default)]
pub(super) struct Loaded {
    /// In the transcript's order.
    pub(super) messages: Vec<Message>,
    pub(super) reactions: Vec<Reaction>,
    /// Nothing comes before, or behind.
    pub(super) from_start: bool,
    pub(super) to_end: bool,
}

/// The part of a room's transcript that is at hand.
#[derive(Debug)]
pub(super) struct Transcript {
    entries: BTreeMap<Key, Entry>,
    /// The covered range, both ends included. Up to [`END`], new messages belong into it.
    covered: Option<(Key, Key)>,
    position: Position,
    seen: Option<Seen>,
    /// What arrived among the lines that are looked at.
    held: BTreeMap<Key, Arc<Message>>,
    held_reactions: Vec<Reaction>,
    /// More arrived there than is held back.
    held_more: bool,
    /// Where messages arrived late that were not looked at yet.
    earlier: BTreeSet<Key>,
    /// How many messages came in behind what is looked at.
    pub(super) unseen: u64,
    loading: Option<(u64, Load)>,
    loads: u64,
    /// What arrived while something is loaded: it may be missing there.
    meanwhile: Vec<Arc<Message>>,
    /// The window is not as the history any more.
    stale: bool,
    pub(super) muted: BTreeSet<AuthorId>,
    /// Long messages that are shown whole.
    pub(super) expanded: BTreeSet<Key>,
}

/// How much later than it was written a message came, if that is worth telling.
pub(super) fn lateness(message: &Message) -> Option<Duration> {
    message.delay.filter(|delay| *delay >= LATE)
}

impl Default for Transcript {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            covered: None,
            position: Position::Following,
            seen: None,
            held: BTreeMap::new(),
            held_reactions: Vec::new(),
            held_more: false,
            earlier: BTreeSet::new(),
            unseen: 0,
            loading: None,
            loads: 0,
            meanwhile: Vec::new(),
            stale: true,
            muted: BTreeSet::new(),
            expanded: BTreeSet::new(),
        }
    }
}

impl Transcript {
    pub(super) fn entries(&self) -> &BTreeMap<Key, Entry> {
        &self.entries
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    pub(super) fn seen(&self) -> Option<Seen> {
        self.seen
    }

    pub(super) fn is_following(&self) -> bool {
        self.position == Position::Following
    }

    /// Whether the window begins with the first message of the room.
    pub(super) fn is_from_start(&self) -> bool {
        self.covered.is_some_and(|(from, _)| from == Key::MIN)
    }

    /// Whether the window ends with the newest message.
    pub(super) fn is_to_end(&self) -> bool {
        self.covered.is_some_and(|(_, to)| to == END)
    }

    /// Whether anything has been loaded yet.
    pub(super) fn is_loaded(&self) -> bool {
        self.covered.is_some()
    }

    /// Whether the window holds that place, or the next one behind it.
    pub(super) fn covers(&self, key: Key) -> bool {
        self.covered.is_some_and(|(from, to)| from <= key && key <= to)
    }

    /// How many messages arrived late, above what is looked at or held back from it.
    pub(super) fn earlier(&self) -> usize {
        self.earlier.len()
    }

    /// The newest message of the window.
    pub(super) fn newest(&self) -> Option<Key> {
        self.entries.last_key_value().map(|(key, _)| *key)
    }

    /// What is held back from the reader's eyes.
    #[cfg(test)]
    pub(super) fn held(&self) -> BTreeSet<Key> {
        self.held.keys().copied().collect()
    }

    /// The next message before that one, or behind it.
    pub(super) fn neighbour(&self, of: Option<Key>, down: bool) -> Option<Key> {
        match of {
            None => self.newest().filter(|_| !down),
            Some(key) if down => self.entries.range(key..).map(|(key, _)| *key).find(|other| *other > key),
            Some(key) => self.entries.range(..key).next_back().map(|(key, _)| *key),
        }
    }

    /// The window is not as the history any more: it is loaded anew.
    pub(super) fn refresh(&mut self) {
        self.stale = true;
    }

    /// Whether something that was wanted is on its way.
    pub(super) fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    /// What should be loaded now, with a number to give back with it. Nothing while something is on its way.
    pub(super) fn wanted(&mut self) -> Option<(u64, Load)> {
        if self.loading.is_some() {
            return None;
        }
        let load = if std::mem::take(&mut self.stale) {
            match self.position {
                Position::Following => Load::Newest(LOAD),
                Position::At { top, .. } => Load::Around(top, LOAD),
            }
        } else {
            self.wanted_near()?
        };
        self.loads += 1;
        self.loading = Some((self.loads, load));
        Some((self.loads, load))
    }

    /// What is missing near what the reader looks at.
    fn wanted_near(&self) -> Option<Load> {
        let (from, to) = self.covered?;
        let seen = self.seen;
        let above = |first| self.entries.range(..first).rev().take(NEAR).count();
        let below = |last| self.entries.range(last..).skip(1).take(NEAR).count();
        if from != Key::MIN && seen.is_none_or(|seen| above(seen.first) < NEAR) {
            return Some(Load::Before(from, LOAD));
        }
        (to != END && seen.is_none_or(|seen| below(seen.last) < NEAR)).then_some(Load::After(to, LOAD))
    }

    /// What was wanted is here, or cannot be had.
    pub(super) fn loaded(&mut self, number: u64, loaded: Option<Loaded>) {
        let Some((_, load)) = self.loading.take_if(|(expected, _)| *expected == number) else { return };
        let meanwhile = std::mem::take(&mut self.meanwhile);
        if let Some(loaded) = loaded {
            self.take(load, loaded);
        }
        for message in meanwhile {
            self.place(message);
        }
        self.forget_far();
    }

    fn take(&mut self, load: Load, loaded: Loaded) {
        let Loaded { messages, reactions, from_start, to_end } = loaded;
        let first = messages.first().map(|message| message.key);
        let last = messages.last().map(|message| message.key);
        let mut known = BTreeMap::new();
        let (from, to) = match (load, self.covered) {
            (Load::Before(edge, _), Some((from, to))) if from == edge => (first.unwrap_or(from), to),
            (Load::After(edge, _), Some((from, to))) if to == edge => (from, last.unwrap_or(to)),
            // The window has moved meanwhile.
            (Load::Before(..) | Load::After(..), _) => return,
            (Load::Newest(_) | Load::Around(..), _) => {
                known = std::mem::take(&mut self.entries);
                self.held.clear();
                self.held_reactions.clear();
                (first.unwrap_or(END), last.unwrap_or(Key::MIN))
            }
        };
        let from = if from_start { Key::MIN } else { from };
        let to = if to_end { END } else { to };
        self.covered = (from <= to).then_some((from, to));
        for message in messages {
            let key = message.key;
            self.insert(Arc::new(message));
            if let Some(Entry { disks, .. }) = known.remove(&key) {
                self.confirmed(key, disks);
            }
        }
        for reaction in reactions {
            self.think(reaction);
        }
    }

    /// A message has come in.
    pub(super) fn arrived(&mut self, message: &Arc<Message>) {
        if self.loading.is_some() {
            if self.meanwhile.len() < MEANWHILE {
                self.meanwhile.push(Arc::clone(message));
            } else {
                self.stale = true;
            }
        }
        let key = message.key;
        let looked_at = self.seen.is_some_and(|seen| seen.first <= key && key <= seen.last);
        if lateness(message).is_some() && !message.own && !self.muted.contains(&message.author) {
            let above = self.seen.is_some_and(|seen| key < seen.first) || (looked_at && !self.is_following());
            if above && self.earlier.len() < EARLIER {
                self.earlier.insert(key);
            }
        }
        if !self.is_following() && self.seen.is_some_and(|seen| key > seen.last) {
            self.unseen += 1;
        }
        self.place(Arc::clone(message));
        self.forget_far();
    }

    /// Puts a message where it belongs, if that is in the window.
    fn place(&mut self, message: Arc<Message>) {
        let key = message.key;
        if !self.covers(key) {
            return;
        }
        let between = self.seen.is_some_and(|seen| {
            // The line of a new day, or of what is new, stands above the first message of that kind: where it is on the
            // screen, another one before that message would take it away.
            let takes_line =
                seen.behind < 0 && key < seen.first && self.entries.range(key..seen.first).next().is_none();
            takes_line || (seen.first < key && key < seen.last)
        });
        if between && !self.is_following() && !self.entries.contains_key(&key) {
            if self.held.len() < MEANWHILE {
                self.held.insert(key, message);
            } else {
                self.held_more = true;
            }
        } else {
            self.insert(message);
        }
    }

    fn insert(&mut self, message: Arc<Message>) {
        if !self.muted.contains(&message.author) {
            let key = message.key;
            let (reactions, disks) =
                self.entries.remove(&key).map(|entry| (entry.reactions, entry.disks)).unwrap_or_default();
            self.entries.insert(key, Entry { message, reactions, disks });
        }
    }

    /// Somebody thinks something of a message.
    pub(super) fn reacted(&mut self, reaction: Reaction) {
        let looked_at = self.seen.is_some_and(|seen| seen.first <= reaction.to && reaction.to <= seen.last);
        // The row it may need would move the ones below.
        if looked_at && !self.is_following() {
            self.hold_reaction(reaction);
        } else {
            self.think(reaction);
        }
    }

    fn hold_reaction(&mut self, reaction: Reaction) {
        if self.held_reactions.len() < MEANWHILE {
            self.held_reactions.push(reaction);
        } else {
            self.held_more = true;
        }
    }

    fn think(&mut self, reaction: Reaction) {
        if self.held.contains_key(&reaction.to) {
            return self.hold_reaction(reaction);
        }
        let Some(entry) = self.entries.get_mut(&reaction.to) else { return };
        let full = entry.reactions.len() >= REACTIONS;
        match entry.reactions.iter_mut().find(|known| known.author == reaction.author) {
            Some(known) if known.key < reaction.key => *known = reaction,
            Some(_) => {}
            None if full => {}
            None => entry.reactions.push(reaction),
        }
    }

    /// The own messages on the screen that others may not have yet, as far as is known; not too many.
    pub(super) fn unconfirmed(&self) -> Vec<Key> {
        let Some(Seen { first, last, .. }) = self.seen else { return Vec::new() };
        let open = |entry: &Entry| entry.message.own && entry.disks.is_open();
        self.entries.range(first..=last).filter(|(_, entry)| open(entry)).map(|(key, _)| *key).take(RECEIPTS).collect()
    }

    /// An own message is on so many other disks.
    pub(super) fn confirmed(&mut self, key: Key, disks: Disks) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.disks = disks;
        }
    }

    /// An author goes by another name from that place on.
    pub(super) fn named(&mut self, author: AuthorId, from: Key) {
        let concerns = |(_, entry): (&Key, &Entry)| entry.message.author == author;
        // Until which place it holds only the history knows.
        self.stale |= self.entries.range(from..).any(concerns);
    }

    /// Nobody looks at what is that far away.
    fn forget_far(&mut self) {
        let Some((from, to)) = self.covered else { return };
        // Now and then, as it takes a walk through all of it.
        if self.entries.len() <= MOST + LOAD {
            return;
        }
        let top = match self.position {
            Position::Following => END,
            Position::At { top, .. } => top,
        };
        let above = self.entries.range(..top).count();
        if above > MOST / 2 {
            let keep = self.entries.keys().nth(self.entries.len() - MOST).copied().unwrap_or(from).min(top);
            self.entries = self.entries.split_off(&keep);
            self.covered = Some((keep, to));
        } else if let Some(last) = self.entries.keys().nth(MOST - 1).copied() {
            drop(self.entries.split_off(&last.next()));
            self.covered = Some((from, last));
        }
    }

    /// What is on the screen now.
    pub(super) fn shown(&mut self, seen: Option<Seen>, position: Position) {
        self.seen = seen;
        self.position = position;
        if let Some(Seen { first, last, .. }) = seen {
            if self.is_following() {
                self.unseen = 0;
                self.release();
            }
            let held = &self.held;
            self.earlier.retain(|key| held.contains_key(key) || *key < first || *key > last);
        }
    }

    /// The reader moves: whatever was held back goes in where it belongs.
    pub(super) fn release(&mut self) {
        self.stale |= std::mem::take(&mut self.held_more);
        for message in std::mem::take(&mut self.held).into_values() {
            self.insert(message);
        }
        for reaction in std::mem::take(&mut self.held_reactions) {
            self.think(reaction);
        }
    }

    /// The reader moves to that row.
    pub(super) fn look_at(&mut self, position: Position) {
        self.release();
        self.position = position;
    }

    /// The reader goes to the newest messages.
    pub(super) fn follow(&mut self) {
        self.look_at(Position::Following);
        self.unseen = 0;
        if !self.is_to_end() {
            self.leave_window();
        }
    }

    /// The reader goes to that message.
    pub(super) fn jump(&mut self, to: Key) {
        self.look_at(Position::At { top: to, behind: -3 });
        if !self.covers(to) {
            self.leave_window();
        }
    }

    /// The reader goes to the first message of the room.
    pub(super) fn jump_to_start(&mut self) {
        self.jump(Key::MIN);
    }

    /// The reader goes to the first message that arrived late.
    pub(super) fn jump_to_earlier(&mut self) -> Option<Key> {
        let key = self.earlier.pop_first()?;
        self.jump(key);
        Some(key)
    }

    /// What the reader wants to see is not at hand: whatever is on its way is of no use any more.
    fn leave_window(&mut self) {
        self.stale = true;
        self.loading = None;
        self.meanwhile.clear();
    }
}

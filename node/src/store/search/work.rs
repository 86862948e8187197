//! What the indexer does: it measures rooms, walks down those of which something is missing, and looks words up.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use distchat_crdt::{Key, Timestamp};
use rusqlite::ErrorCode;
use thiserror::Error;

use super::{
    Found,
    history::History,
    index::{Index, Tally},
    words::Question,
};
use crate::{
    search::Indexing,
    store::{RoomNo, StoreError},
};

/// How many bytes of messages are taken in at once at most, or one message.
const MAX_STEP_BYTES: usize = 512 << 10;
/// How many entries are looked up in the history at once.
const ROUND: usize = if cfg!(test) { 3 } else { 256 };

/// Why the index cannot be used as it is.
#[derive(Debug, Error)]
pub(super) enum Trouble {
    #[error("{0}")]
    Index(#[from] rusqlite::Error),
    #[error("{0}")]
    History(#[from] StoreError),
    /// It has taken in what is not in the history, or counted otherwise.
    #[error("it does not fit the history")]
    Misfit,
}

impl Trouble {
    /// Whether there is no space to take anything in. What was taken in can be read.
    pub(super) fn is_lack_of_space(&self) -> bool {
        matches!(self, Self::Index(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull))
    }

    /// Whether the index is to be thrown away. It is not the disk's fault, then.
    pub(super) fn is_damage(&self) -> bool {
        let Self::Index(error) = self else { return matches!(self, Self::Misfit) };
        let damage = [
            ErrorCode::DatabaseCorrupt,
            ErrorCode::NotADatabase,
            ErrorCode::ConstraintViolation,
            ErrorCode::TypeMismatch,
        ];
        // Without a code it is not from SQLite but from reading a row: this program has not written that.
        error.sqlite_error_code().is_none_or(|code| damage.contains(&code))
    }
}

/// The index, and how far it is.
pub(super) struct Work {
    index: Index,
    rooms: BTreeMap<RoomNo, Room>,
}

/// How far the index is with a room.
struct Room {
    name: String,
    taken_in: Tally,
    /// How many messages it has, as far as is known. They are more than were taken in only while there is a walk, or if
    /// walks do not help.
    held: u64,
    walk: Option<Walk>,
}

/// A way down the room's keys, to find those that were not taken in.
struct Walk {
    /// What is below this has not been looked at.
    from: Key,
    /// What was found to be missing, descending.
    missing: Vec<Key>,
    /// When so many are taken in it may be all.
    enough: u64,
    /// How many it has taken in, and how many are not in the history although it has their keys.
    taken_in: u64,
    absent: u64,
    /// Something came meanwhile that nobody has told of.
    marked: bool,
}

impl Walk {
    fn new(enough: u64) -> Self {
        let from = Key::last_of(Timestamp::MAX);
        Self { from, missing: Vec::new(), enough, taken_in: 0, absent: 0, marked: false }
    }

    /// The newest place that it has not come past.
    fn at(&self) -> Key {
        self.missing.first().copied().unwrap_or(self.from)
    }
}

impl Work {
    /// Takes up an index: measures all rooms.
    pub(super) fn begin(index: Index, history: &History) -> Result<Self, Trouble> {
        let mut indexed: BTreeMap<_, _> =
            index.rooms()?.into_iter().map(|(number, name, tally)| (number, (name, tally))).collect();
        let mut work = Self { index, rooms: BTreeMap::new() };
        for (number, name) in history.rooms()? {
            let taken_in = match indexed.remove(&number) {
                Some((known, tally)) if known == name => tally,
                Some(_) => return Err(Trouble::Misfit),
                None => Tally::default(),
            };
            work.rooms.insert(number, Room { name, taken_in, held: taken_in.count, walk: None });
            work.measure(history, number)?;
        }
        if indexed.is_empty() { Ok(work) } else { Err(Trouble::Misfit) }
    }

    #[cfg(test)]
    pub(super) fn sql(&self, script: &str) {
        self.index.sql(script);
    }

    /// Something of a room was committed and not told of.
    pub(super) fn mark(&mut self, history: &History, number: RoomNo) -> Result<(), Trouble> {
        match self.room(history, number)?.walk.as_mut() {
            Some(walk) => walk.marked = true,
            None => self.measure(history, number)?,
        }
        Ok(())
    }

    /// Takes in messages that were committed.
    pub(super) fn take_in(&mut self, history: &History, number: RoomNo, keys: &BTreeSet<Key>) -> Result<(), Trouble> {
        let room = self.room(history, number)?;
        let whole = room.held == room.taken_in.count;
        let mut missing = self.index.missing(number, keys.iter().rev().copied())?;
        while !missing.is_empty() {
            (missing, _) = self.take_in_some(history, number, missing)?;
        }
        if let Some(room) = self.rooms.get_mut(&number) {
            match &mut room.walk {
                Some(walk) => walk.marked = true,
                None if whole => room.held = room.taken_in.count,
                None => {}
            }
        }
        Ok(())
    }

    /// Whether there is anything to catch up with.
    pub(super) fn is_walking(&self) -> bool {
        self.rooms.values().any(|room| room.walk.is_some())
    }

    /// A bit of catching up, where the newest is that was not looked at.
    pub(super) fn step(&mut self, history: &History) -> Result<(), Trouble> {
        let at = |room: &Room| room.walk.as_ref().map(Walk::at);
        let newest = self.rooms.iter().filter_map(|(number, room)| Some((at(room)?, *number))).max();
        let Some((_, number)) = newest else { return Ok(()) };
        let Some(room) = self.rooms.get(&number) else { return Ok(()) };
        let Some(walk) = &room.walk else { return Ok(()) };
        if room.taken_in.count >= walk.enough {
            self.measure(history, number)?;
        }
        let Some(walk) = self.walk(number) else { return Ok(()) };
        let mut missing = std::mem::take(&mut walk.missing);
        if missing.is_empty() {
            let (keys, next) = history.keys_below(number, walk.from)?;
            walk.from = next;
            if keys.is_empty() {
                return self.finish(history, number);
            }
            missing = self.index.missing(number, keys)?;
        }
        if !missing.is_empty() {
            let looked_at = missing.len();
            let (rest, taken_in) = self.take_in_some(history, number, missing)?;
            if let Some(walk) = self.walk(number) {
                walk.taken_in += taken_in as u64;
                walk.absent += (looked_at - rest.len() - taken_in) as u64;
                walk.missing = rest;
            }
        }
        Ok(())
    }

    /// The newest lines that answer the question.
    pub(super) fn find(&mut self, history: &History, question: &Question, limit: usize) -> Result<Found, Trouble> {
        let mut hits = Vec::new();
        let mut from = Some(i64::MAX);
        while let Some(place) = from
            && hits.len() < limit
        {
            let round = (limit - hits.len()).min(ROUND);
            let entries = self.index.find(question, place, round)?;
            // The next ones are below the last one, if there are any.
            from = entries.get(round - 1).and_then(|last| last.place.checked_sub(1));
            // What is not in the history any more is left out.
            hits.append(&mut history.hits(entries.iter().map(|entry| (entry.room, entry.key)).collect())?);
        }
        hits.sort_by_key(|hit| std::cmp::Reverse(hit.message.key));

        self.measure_again(history)?;
        let (done, of) = self.rooms.values().fold((0, 0), |(done, of), room| {
            let taken_in = room.taken_in.count;
            (done + taken_in, of + room.held.max(taken_in))
        });
        Ok(Found { hits, indexing: (done < of || self.is_walking()).then_some(Indexing { done, of }) })
    }

    /// A room that has been measured. A new one is whole: all of it is told of.
    fn room(&mut self, history: &History, number: RoomNo) -> Result<&mut Room, Trouble> {
        Ok(match self.rooms.entry(number) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let name = history.rooms()?.remove(&number).ok_or(Trouble::Misfit)?;
                entry.insert(Room { name, taken_in: Tally::default(), held: 0, walk: None })
            }
        })
    }

    fn walk(&mut self, number: RoomNo) -> Option<&mut Walk> {
        self.rooms.get_mut(&number)?.walk.as_mut()
    }

    /// Compares what was taken in with what is held, and has the room walked if something is missing.
    fn measure(&mut self, history: &History, number: RoomNo) -> Result<(), Trouble> {
        let tally = history.tally(number)?;
        let Some(room) = self.rooms.get_mut(&number) else { return Ok(()) };
        room.held = tally.count;
        if tally == room.taken_in {
            room.walk = None;
            return Ok(());
        }
        // Nothing is taken in that was not read from the history.
        if tally.count <= room.taken_in.count {
            return Err(Trouble::Misfit);
        }
        let walk = room.walk.get_or_insert_with(|| Walk::new(tally.count));
        walk.enough = tally.count;
        walk.marked = false;
        Ok(())
    }

    /// Measures the rooms of which more may be held, or all taken in, than is known.
    fn measure_again(&mut self, history: &History) -> Result<(), Trouble> {
        let doubtful = |(number, room): (&RoomNo, &Room)| {
            let walk = room.walk.as_ref()?;
            (walk.marked || room.taken_in.count >= walk.enough).then_some(*number)
        };
        let doubtful: Vec<RoomNo> = self.rooms.iter().filter_map(doubtful).collect();
        doubtful.into_iter().try_for_each(|number| self.measure(history, number))
    }

    /// A walk is through; if something is missing all the same, because it came meanwhile, there is another one.
    fn finish(&mut self, history: &History, number: RoomNo) -> Result<(), Trouble> {
        let Some(walked) = self.rooms.get_mut(&number).and_then(|room| room.walk.take()) else { return Ok(()) };
        self.measure(history, number)?;
        let Some(room) = self.rooms.get_mut(&number) else { return Ok(()) };
        if room.walk.is_none() || walked.taken_in > 0 || walked.marked {
            return Ok(());
        }
        // All keys have entries, and the tally is less than that.
        if walked.absent == 0 {
            return Err(Trouble::Misfit);
        }
        tracing::warn!(room = room.name, absent = walked.absent, "the history has keys of messages that are not in it");
        room.walk = None;
        Ok(())
    }

    /// Takes in what of these messages fits into one step. They descend. Returns the rest, and how many it has taken in.
    fn take_in_some(
        &mut self,
        history: &History,
        number: RoomNo,
        keys: Vec<Key>,
    ) -> Result<(Vec<Key>, usize), Trouble> {
        let mut texts = history.texts(number, keys.clone(), MAX_STEP_BYTES)?;
        // What was not read down to there is not in the history.
        let Some((last, _)) = texts.last().cloned() else { return Ok((Vec::new(), 0)) };
        texts.reverse();
        if let Some(room) = self.rooms.get_mut(&number) {
            room.taken_in = self.index.take_in(number, &room.name, &texts)?;
        }
        let read = keys.partition_point(|key| *key >= last);
        Ok((keys.get(read..).unwrap_or_default().to_vec(), texts.len()))
    }
}

//! What a session has found to be fetched, and how much of that has come from others meanwhile.

use super::{
    Filter, Range,
    session::last_key,
    transfer::{OVERTAKEN, Piece},
};
use crate::{Key, Room, Timestamp};

/// A range to fetch, and for a list of exceptions the keys it stands for.
#[derive(Clone, Debug)]
pub(super) struct Want {
    pub(super) range: Range,
    pub(super) excepted: Vec<Key>,
}

impl Want {
    /// Whether others have brought a part of it since it was found. The next hello finds out what is still lacking then.
    pub(super) fn is_overtaken(&self, room: &Room, upper: Timestamp) -> bool {
        let held = held(room, std::slice::from_ref(self), upper);
        matches!(self.range.filter, Filter::Except(_)) && held >= self.excepted.len() as u64 + OVERTAKEN
    }
}

/// How many messages are held of what is wanted up to that time.
pub(super) fn held(room: &Room, wants: &[Want], upper: Timestamp) -> u64 {
    let bounds = wants.iter().map(|want| want.range.bounds(last_key(upper)));
    bounds.map(|(from, below)| Piece { from, below }.held(room)).sum()
}

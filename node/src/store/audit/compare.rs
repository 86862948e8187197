//! Comparing what follows from a room's messages with what is kept beside them.
//!
//! Where a message is bad or missing, all that would follow from it differs, too: then only that is told.

use std::collections::{BTreeMap, BTreeSet};

use distchat_crdt::{AuthorId, AuthorLog, Claim, KEY_LEN, Key, index::Index};
use rusqlite::Connection;

use super::{
    super::{authors, error::StoreError, keys, query, sums::Sums},
    walk::Walk,
};
use crate::verify::Fault;

/// How many keys are compared at once.
const KEYS: usize = 4096;

impl Walk {
    pub(super) fn compare(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let no = self.no;
        // None: they are made from the messages when the room is next opened.
        let listed = keys::load(conn, no)?.map(|(index, _)| index).filter(|index| !index.is_empty());
        let differs = listed.as_ref().is_some_and(|index| index.root() != self.room.fingerprint());
        if let Some(index) = listed.as_ref().filter(|_| differs) {
            self.tell(None, Fault::Fingerprint { listed: index.root(), messages: self.room.fingerprint() });
        }

        // By the list of keys it was here; without a list there is only what others say.
        let is_listed = |key: &Key| listed.as_ref().is_none_or(|index| index.contains(key));
        let held_once =
            |walk: &Self, key: &Key| !walk.room.index().contains(key) && !walk.bad.contains_key(key) && is_listed(key);
        let mut missing = BTreeSet::new();
        let heads = query::heads(conn, no)?;
        missing.extend(heads.iter().copied().filter(|key| held_once(self, key)));
        let claims: BTreeSet<Claim> = query::claims(conn, no)?.into_iter().collect();
        let gone = self.room.holes().filter(|claim| !claims.contains(claim)).map(|claim| claim.key);
        let gone: Vec<Key> = gone.filter(|key| held_once(self, key)).collect();
        missing.extend(gone);
        for key in &missing {
            self.tell(Some(*key), Fault::Missing);
        }
        if let Some(index) = listed.filter(|_| differs) {
            self.compare_keys(&index, &missing);
        }
        if self.bad.is_empty() && missing.is_empty() {
            self.compare_heads(&heads);
            self.compare_claims(&claims);
            self.compare_authors(conn)?;
        }
        let frontier = "SELECT frontier FROM room WHERE no = ?";
        let read = conn.query_row(frontier, [no.0], |row| row.get::<_, Option<[u8; KEY_LEN]>>(0));
        if read.is_err() {
            self.tell(None, Fault::Frontier);
        }
        Ok(())
    }

    /// Names the keys that are on one side only.
    fn compare_keys(&mut self, listed: &Index, missing: &BTreeSet<Key>) {
        for key in all(listed) {
            if !self.room.index().contains(&key) && !self.bad.contains_key(&key) && !missing.contains(&key) {
                self.tell(Some(key), Fault::Listed);
            }
        }
        let unlisted: Vec<Key> = all(self.room.index()).filter(|key| !listed.contains(key)).collect();
        for key in unlisted {
            self.tell(Some(key), Fault::Unlisted);
        }
    }

    fn compare_heads(&mut self, kept: &[Key]) {
        // With claims forgotten some heads may be none.
        if self.room.claims_forgotten() > 0 {
            return;
        }
        let kept: BTreeSet<Key> = kept.iter().copied().collect();
        let wrong: Vec<Key> = self.room.heads().symmetric_difference(&kept).copied().collect();
        for key in wrong {
            self.tell(Some(key), Fault::Head);
        }
    }

    fn compare_claims(&mut self, kept: &BTreeSet<Claim>) {
        let forgotten = self.room.claims_forgotten() > 0;
        let holes: BTreeSet<Claim> = self.room.holes().collect();
        for claim in holes.symmetric_difference(kept) {
            if claim.vouched_seq.is_some() || !forgotten {
                self.tell(Some(claim.key), Fault::Claim);
            }
        }
    }

    fn compare_authors(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let mut kept: BTreeMap<AuthorId, Option<AuthorLog>> =
            authors::load(conn, self.no, &mut Sums::default())?.into_iter().collect();
        let mut wrong = Vec::new();
        for (author, log) in self.room.authors() {
            if kept.remove(author).flatten().as_ref() != Some(log) {
                wrong.push(*author);
            }
        }
        wrong.extend(kept.into_keys());
        for author in wrong {
            self.tell(None, Fault::Author(author));
        }
        Ok(())
    }
}

/// All keys of an index, from the greatest down, some at a time.
pub(in crate::store) fn all(index: &Index) -> impl Iterator<Item = Key> + '_ {
    let mut below = Some(Key { time: distchat_crdt::Timestamp(u64::MAX), id: distchat_crdt::MessageId([0xff; 32]) });
    std::iter::from_fn(move || {
        let keys = index.newest(&Key::MIN, &below?, KEYS);
        below = keys.last().copied();
        (!keys.is_empty()).then_some(keys)
    })
    .flatten()
}

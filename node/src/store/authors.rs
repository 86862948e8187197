//! What is held of each author: a row with its numbers as ranges or, where those are many, the ranges in pages.
//!
//! A stranger can leave out every other number, and then each of its messages changes one range of as many as it has
//! written. So up to [`FEW`] ranges stand in the author's row; of more the row's list is empty, and they are in pages: rows
//! with up to [`MAX_PAGE`] ranges, of the numbers from the page's own first one on and below the next page's. The first page
//! begins at zero. A message is then added to the one page where its number belongs. What pages there are beside a list that
//! is not empty is left over from when there were more, and counts for nothing, in the room's sums neither.

use distchat_crdt::{AuthorId, AuthorLog};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    RoomNo,
    error::StoreError,
    ranges,
    sums::{Change, Sums},
};

/// How many ranges stand in an author's row at most.
pub(super) const FEW: usize = 64;
/// How many ranges a page holds at most.
const MAX_PAGE: usize = 128;

/// The page in which a number belongs, and the begin of the one behind it.
pub(super) const AT: &str =
    "SELECT first, ranges FROM author_page WHERE room = ? AND author = ? AND first <= ? ORDER BY first DESC LIMIT 1";
pub(super) const BEHIND: &str =
    "SELECT first FROM author_page WHERE room = ? AND author = ? AND first > ? ORDER BY first LIMIT 1";

/// Writes what is held of an author now, and which numbers are new since it was last written; and counts what it changes.
pub(super) fn write(
    conn: &Connection,
    room: RoomNo,
    author: &AuthorId,
    log: &AuthorLog,
    new: &[u64],
    sums: &mut Sums,
) -> Result<(), StoreError> {
    let few = log.range_count() <= FEW;
    let mut before = conn.prepare_cached("SELECT forked, count, ranges FROM author WHERE room = ? AND author = ?")?;
    let before = before.query_row(params![room.0, author.0], |row| {
        Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?))
    });
    let mut in_pages = false;
    if let Some((forked, count, list)) = before.optional()? {
        sums.author(Change::Removed, author, forked, count.cast_unsigned(), &list);
        in_pages = list.is_empty();
    }
    let list = if few { ranges::encode(log.ranges()) } else { Vec::new() };
    sums.author(Change::Added, author, log.is_forked(), log.count(), &list);
    let mut upsert = conn.prepare_cached(
        "INSERT INTO author (room, author, forked, count, ranges) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET forked = excluded.forked, count = excluded.count, ranges = excluded.ranges",
    )?;
    upsert.execute(params![room.0, author.0, log.is_forked(), log.count().cast_signed(), list])?;
    if few && !in_pages {
        Ok(())
    } else if few {
        count_pages(conn, room, author, Change::Removed, sums)
    } else if in_pages {
        add(conn, room, author, new, sums)
    } else {
        let mut delete = conn.prepare_cached("DELETE FROM author_page WHERE room = ? AND author = ?")?;
        delete.execute(params![room.0, author.0])?;
        let all: Vec<(u64, u64)> = log.ranges().collect();
        write_pages(conn, room, author, 0, all.chunks(MAX_PAGE), sums)
    }
}

/// Counts all pages of an author.
fn count_pages(
    conn: &Connection,
    room: RoomNo,
    author: &AuthorId,
    change: Change,
    sums: &mut Sums,
) -> Result<(), StoreError> {
    let mut pages = conn.prepare_cached("SELECT first, ranges FROM author_page WHERE room = ? AND author = ?")?;
    let mut rows = pages.query(params![room.0, author.0])?;
    while let Some(row) = rows.next()? {
        sums.page(change, author, row.get(0)?, row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?);
    }
    Ok(())
}

/// Adds numbers to the pages where they belong.
fn add(conn: &Connection, room: RoomNo, author: &AuthorId, new: &[u64], sums: &mut Sums) -> Result<(), StoreError> {
    let mut new = new.to_vec();
    new.sort_unstable();
    let mut new = &new[..];
    let mut at = conn.prepare_cached(AT)?;
    let mut behind = conn.prepare_cached(BEHIND)?;
    while let Some(first) = new.first() {
        let page = at.query_row(params![room.0, author.0, first.cast_signed()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        });
        let (begin, held) = page.optional()?.ok_or_else(|| StoreError::row("an author's ranges are missing"))?;
        sums.page(Change::Removed, author, begin, &held);
        let end: Option<i64> = behind.query_row(params![room.0, author.0, begin], |row| row.get(0)).optional()?;
        let here = end.map_or(new.len(), |end| new.partition_point(|number| *number < end.cast_unsigned()));
        let (numbers, rest) = new.split_at(here);
        new = rest;
        let mut held = ranges::decode(&held).ok_or_else(|| StoreError::row("an author's ranges cannot be read"))?;
        let grows_up = end.is_none() && held.last().is_some_and(|(_, high)| high < first);
        held.extend(numbers.iter().map(|number| (*number, *number)));
        held.sort_unstable();
        join(&mut held);
        // Pages that will not grow any more are left full.
        let size = if grows_up { MAX_PAGE } else { held.len().div_ceil(held.len().div_ceil(MAX_PAGE)) };
        write_pages(conn, room, author, begin, held.chunks(size), sums)?;
        if here == 0 {
            break;
        }
    }
    Ok(())
}

/// Writes pages one behind the other, the first of which begins there.
fn write_pages<'a>(
    conn: &Connection,
    room: RoomNo,
    author: &AuthorId,
    begin: i64,
    pages: impl Iterator<Item = &'a [(u64, u64)]>,
    sums: &mut Sums,
) -> Result<(), StoreError> {
    let mut replace = conn.prepare_cached("INSERT OR REPLACE INTO author_page VALUES (?, ?, ?, ?)")?;
    for (n, page) in pages.enumerate() {
        let begin = page.first().filter(|_| n > 0).map_or(begin, |(low, _)| low.cast_signed());
        let page = ranges::encode(page.iter().copied());
        sums.page(Change::Added, author, begin, &page);
        replace.execute(params![room.0, author.0, begin, page])?;
    }
    Ok(())
}

/// Makes one range of those that touch or overlap. They are sorted.
fn join(ranges: &mut Vec<(u64, u64)>) {
    ranges.dedup_by(|(low, high), (_, before)| {
        let joined = *low <= before.saturating_add(1);
        if joined {
            *before = (*before).max(*high);
        }
        joined
    });
}

/// What is held of each author, and what that adds up to; nothing of one whose ranges cannot be read.
pub(super) fn load(
    conn: &Connection,
    room: RoomNo,
    sums: &mut Sums,
) -> Result<Vec<(AuthorId, Option<AuthorLog>)>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT author, forked, count, ranges FROM author WHERE room = ?")?;
    let mut rows = statement.query([room.0])?;
    let mut authors = Vec::new();
    while let Some(row) = rows.next()? {
        let author = AuthorId(row.get(0)?);
        let (list, forked, count) = (row.get_ref(3)?.as_blob().ok(), row.get(1).ok(), row.get::<_, i64>(2).ok());
        if let (Some(list), Some(forked), Some(count)) = (list, forked, count) {
            sums.author(Change::Added, &author, forked, count.cast_unsigned(), list);
        }
        let ranges = match list {
            Some([]) => {
                count_pages(conn, room, &author, Change::Added, sums)?;
                read_pages(conn, room, &author)?
            }
            list => list.and_then(ranges::decode),
        };
        let parts = ranges.zip(forked).zip(count);
        let log =
            parts.and_then(|((ranges, forked), count)| AuthorLog::from_parts(ranges, forked, count.cast_unsigned()));
        authors.push((author, log));
    }
    Ok(authors)
}

fn read_pages(conn: &Connection, room: RoomNo, author: &AuthorId) -> Result<Option<Vec<(u64, u64)>>, StoreError> {
    let mut pages =
        conn.prepare_cached("SELECT ranges FROM author_page WHERE room = ? AND author = ? ORDER BY first")?;
    let mut rows = pages.query(params![room.0, author.0])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let Some(page) = row.get_ref(0)?.as_blob().ok().and_then(ranges::decode) else { return Ok(None) };
        all.extend(page);
    }
    // Where one page ends, the next may go on.
    join(&mut all);
    Ok(Some(all))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::store::schema;

    const ROOM: RoomNo = RoomNo(1);
    const ANN: AuthorId = AuthorId([7; 32]);

    /// The log of an author of whom these numbers are held.
    fn log(held: &BTreeSet<u64>) -> AuthorLog {
        let mut ranges: Vec<(u64, u64)> = held.iter().map(|number| (*number, *number)).collect();
        join(&mut ranges);
        AuthorLog::from_parts(ranges, false, held.len() as u64).unwrap()
    }

    fn longest(conn: &Connection) -> usize {
        let mut pages = conn.prepare("SELECT ranges FROM author_page").unwrap();
        let lengths = pages.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        lengths.map(|page| ranges::decode(&page.unwrap()).unwrap().len()).max().unwrap_or(0)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn pages_hold_what_was_put_in(
            batches in prop::collection::vec((0..600_u64, 1..4_u64, prop::collection::vec(0..600_u64, 1..200)), 1..20)
        ) {
            let conn = schema::open_writer(None).unwrap();
            let (mut held, mut sums) = (BTreeSet::new(), Sums::default());
            for (at, step, offsets) in batches {
                let new: Vec<u64> = offsets.into_iter().map(|offset| at + step * offset).collect();
                held.extend(&new);
                let now = log(&held);
                write(&conn, ROOM, &ANN, &now, &new, &mut sums).unwrap();
                let mut loaded = Sums::default();
                prop_assert_eq!(load(&conn, ROOM, &mut loaded).unwrap(), [(ANN, Some(now))]);
                prop_assert_eq!(loaded, sums);
                prop_assert!(longest(&conn) <= MAX_PAGE);
            }
        }
    }

    #[test]
    fn a_gap_at_every_number_costs_one_page_a_commit() {
        let conn = schema::open_writer(None).unwrap();
        let mut held: BTreeSet<u64> = (0..100_000).map(|n| 2 * n).collect();
        let mut sums = Sums::default();
        write(&conn, ROOM, &ANN, &log(&held), &held.iter().copied().collect::<Vec<_>>(), &mut sums).unwrap();
        for number in [200_000, 200_002, 77, 100_001, 5_000_000_000] {
            held.insert(number);
            let before = conn.total_changes();
            write(&conn, ROOM, &ANN, &log(&held), &[number], &mut sums).unwrap();
            // Its row, and one page or the two that it was cut into.
            assert!(conn.total_changes() - before <= 3);
        }
        assert_eq!(load(&conn, ROOM, &mut Sums::default()).unwrap(), [(ANN, Some(log(&held)))]);
    }
}

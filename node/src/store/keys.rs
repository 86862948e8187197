//! A room's keys once more, in pages, so that a room is opened without reading its messages.
//!
//! A page is a row with up to [`MAX_KEYS`] keys of a room, ascending: those from its own begin on and below the next page's.
//! The first page of a room begins at the least key there is. They are written in the transaction that writes the
//! messages, and can be made anew from them: if somebody takes messages out by hand, a trigger throws the room's pages away.

use distchat_crdt::{KEY_LEN, Key, MessageId, Timestamp, index::Index};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{RoomNo, error::StoreError, sums::Sums};

/// How many keys a page holds at most. Four such rows fill a page of the database, and none needs a second one.
const MAX_KEYS: usize = 48;

/// A page as it is stored.
struct Page {
    begin: Key,
    keys: Vec<Key>,
}

/// The page in which a key belongs, and the begin of the page behind it.
pub(super) const AT: &str = "SELECT time, id, keys FROM key_page
    WHERE room = ? AND (time, id) <= (?, ?) ORDER BY time DESC, id DESC LIMIT 1";
pub(super) const BEHIND: &str = "SELECT time, id FROM key_page
    WHERE room = ? AND (time, id) > (?, ?) ORDER BY time, id LIMIT 1";

/// Adds keys of messages that have just been written, ascending.
pub(super) fn insert(conn: &Connection, room: RoomNo, mut new: &[Key]) -> Result<(), StoreError> {
    let mut at = conn.prepare_cached(AT)?;
    let mut behind = conn.prepare_cached(BEHIND)?;
    while let Some(first) = new.first() {
        let position = params![room.0, first.time.0.cast_signed(), first.id.0];
        let found = at.query_row(position, |row| Ok((begin(row)?, row.get::<_, Vec<u8>>(2)?))).optional()?;
        let Some((start, bytes)) = found else {
            // The room's first messages, or somebody has taken some out.
            return rebuild(conn, room).map(drop);
        };
        let page = Page { begin: start, keys: decode(&bytes)?.collect() };
        let position = params![room.0, start.time.0.cast_signed(), start.id.0];
        let end = behind.query_row(position, begin).optional()?;
        let (here, beyond) = new.split_at(end.map_or(new.len(), |end| new.partition_point(|key| *key < end)));
        add(conn, room, page, here)?;
        new = beyond;
    }
    Ok(())
}

/// Makes a room's pages anew from its messages, and tells what the keys add up to.
pub(super) fn rebuild(conn: &Connection, room: RoomNo) -> Result<Sums, StoreError> {
    conn.execute("DELETE FROM key_page WHERE room = ?", [room.0])?;
    let mut statement = conn.prepare_cached("SELECT time, id FROM message WHERE room = ? ORDER BY time, id")?;
    let mut rows = statement.query([room.0])?;
    let mut page = Page { begin: Key::MIN, keys: Vec::with_capacity(MAX_KEYS) };
    let mut sums = Sums::default();
    while let Some(row) = rows.next()? {
        let key = begin(row)?;
        sums.message(&key);
        if page.keys.len() == MAX_KEYS {
            write(conn, room, &page)?;
            page.begin = key;
            page.keys.clear();
        }
        page.keys.push(key);
    }
    write(conn, room, &page)?;
    Ok(sums)
}

/// The index of all the room's keys, its hashes computed, and what they add up to; `None` if there are messages and no pages.
pub(super) fn load(conn: &Connection, room: RoomNo) -> Result<Option<(Index, Sums)>, StoreError> {
    let mut index = <Index>::default();
    let mut statement = conn.prepare_cached("SELECT keys FROM key_page WHERE room = ? ORDER BY time, id")?;
    let mut rows = statement.query([room.0])?;
    let mut run = Vec::with_capacity(RUN + MAX_KEYS);
    let mut sums = Sums::default();
    while let Some(row) = rows.next()? {
        let page = decode(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
        run.extend(page.inspect(|key| sums.message(key)));
        if run.len() >= RUN {
            add_run(&mut index, &mut run);
        }
    }
    add_run(&mut index, &mut run);
    let forgotten =
        index.is_empty() && conn.prepare_cached("SELECT 1 FROM message WHERE room = ? LIMIT 1")?.exists([room.0])?;
    // Here, and not when somebody first asks: this thread has nothing else to do.
    index.root();
    Ok((!forgotten).then_some((index, sums)))
}

/// How many keys go into the index at once.
const RUN: usize = 4096;

fn add_run(index: &mut Index, run: &mut Vec<Key>) {
    if run.is_sorted_by(|a, b| a < b) {
        index.insert_ascending(run);
    } else {
        // Somebody else wrote the pages.
        run.iter().for_each(|key| {
            index.insert(*key);
        });
    }
    run.clear();
}

/// Goes through all of a room's keys; those of the pages, or, if it has none, those of the messages.
pub(super) fn each(conn: &Connection, room: RoomNo, mut take: impl FnMut(Key)) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached("SELECT keys FROM key_page WHERE room = ?")?;
    let mut rows = statement.query([room.0])?;
    let mut paged = false;
    while let Some(row) = rows.next()? {
        paged = true;
        decode(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?.for_each(&mut take);
    }
    if !paged {
        let mut statement = conn.prepare_cached("SELECT time, id FROM message WHERE room = ?")?;
        let mut rows = statement.query([room.0])?;
        while let Some(row) = rows.next()? {
            take(begin(row)?);
        }
    }
    Ok(())
}

/// How many pages, or as many keys, are read at once on the way down.
const DOWN_PAGES: usize = if cfg!(test) { 1 } else { 16 };

/// A room's pages below a key, and its keys, if it has no pages there.
pub(super) const BELOW: &str = "SELECT time, id, keys FROM key_page
    WHERE room = ? AND (time, id) < (?, ?) ORDER BY time DESC, id DESC LIMIT ?";
pub(super) const BELOW_UNPAGED: &str = "SELECT time, id FROM message
    WHERE room = ? AND (time, id) < (?, ?) ORDER BY time DESC, id DESC LIMIT ?";

/// Some of a room's keys, descending from that one, and from where on to go down further. None at the end.
pub(super) fn below(conn: &Connection, room: RoomNo, from: Key) -> Result<(Vec<Key>, Key), StoreError> {
    let from = from.min(Key::last_of(Timestamp::MAX));
    let (time, id) = (from.time.0.cast_signed(), from.id.0);
    let (mut keys, mut next) = (Vec::new(), from);
    let mut statement = conn.prepare_cached(BELOW)?;
    let mut rows = statement.query(params![room.0, time, id, DOWN_PAGES as i64])?;
    while let Some(row) = rows.next()? {
        next = begin(row)?;
        let page = keys.len();
        keys.extend(decode(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?);
        keys.get_mut(page..).unwrap_or_default().reverse();
    }
    if keys.is_empty() {
        let mut statement = conn.prepare_cached(BELOW_UNPAGED)?;
        let limit = (DOWN_PAGES * MAX_KEYS) as i64;
        keys = statement.query_map(params![room.0, time, id, limit], begin)?.collect::<Result<_, _>>()?;
        next = keys.last().copied().unwrap_or(from);
    }
    Ok((keys, next))
}

/// A page and those behind it.
const FROM: &str = "SELECT time, id, keys FROM key_page
    WHERE room = ? AND (time, id) >= (?, ?) ORDER BY time, id LIMIT ?";

/// Some of a room's keys, ascending, from that one on, which is a page's begin; and the begin of the page behind them.
pub(super) fn from(conn: &Connection, room: RoomNo, from: Key) -> Result<(Vec<Key>, Option<Key>), StoreError> {
    let mut statement = conn.prepare_cached(FROM)?;
    let limit = DOWN_PAGES as i64 + 1;
    let mut rows = statement.query(params![room.0, from.time.0.cast_signed(), from.id.0, limit])?;
    let (mut keys, mut pages) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        if pages == DOWN_PAGES {
            return Ok((keys, Some(begin(row)?)));
        }
        pages += 1;
        keys.extend(decode(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?);
    }
    Ok((keys, None))
}

/// Whether a room has at least so many keys, or a few thousand fewer. Stops counting there.
pub(super) fn are_at_least(conn: &Connection, room: RoomNo, count: usize) -> Result<bool, StoreError> {
    let pages = count.div_ceil(MAX_KEYS) as i64;
    let mut statement = conn.prepare_cached("SELECT count(*) FROM (SELECT 1 FROM key_page WHERE room = ? LIMIT ?)")?;
    Ok(statement.query_row([room.0, pages], |row| row.get::<_, i64>(0))? >= pages)
}

/// Adds keys to a page, and cuts it into several if they are too many.
fn add(conn: &Connection, room: RoomNo, page: Page, new: &[Key]) -> Result<(), StoreError> {
    let Page { begin, keys: mut all } = page;
    let (held, ends) = (all.len(), (all.first().copied(), all.last().copied()));
    all.extend_from_slice(new);
    all.sort_unstable();
    all.dedup();
    if all.len() == held {
        return Ok(());
    }
    // Where a room grows at one end, the pages behind are left full, for they will not grow any more.
    let grows_up = new.first() > ends.1.as_ref();
    let grows_down = ends.0.is_some_and(|first| new.last().is_some_and(|last| *last < first));
    let pieces: Vec<&[Key]> = if grows_up {
        all.chunks(MAX_KEYS).collect()
    } else if grows_down {
        all.rchunks(MAX_KEYS).rev().collect()
    } else {
        all.chunks(all.len().div_ceil(all.len().div_ceil(MAX_KEYS)).max(1)).collect()
    };
    for (n, piece) in pieces.into_iter().enumerate() {
        let begin = if n == 0 { begin } else { piece.first().copied().unwrap_or(begin) };
        write(conn, room, &Page { begin, keys: piece.to_vec() })?;
    }
    Ok(())
}

fn write(conn: &Connection, room: RoomNo, page: &Page) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached("INSERT OR REPLACE INTO key_page VALUES (?, ?, ?, ?)")?;
    let keys: Vec<u8> = page.keys.iter().flat_map(Key::to_bytes).collect();
    statement.execute(params![room.0, page.begin.time.0.cast_signed(), page.begin.id.0, keys])?;
    Ok(())
}

fn begin(row: &Row<'_>) -> rusqlite::Result<Key> {
    Ok(Key { time: Timestamp(row.get::<_, i64>(0)?.cast_unsigned()), id: MessageId(row.get(1)?) })
}

fn decode(bytes: &[u8]) -> Result<impl Iterator<Item = Key>, StoreError> {
    let (keys, rest) = bytes.as_chunks::<KEY_LEN>();
    if rest.is_empty() {
        Ok(keys.iter().map(Key::from_bytes))
    } else {
        Err(StoreError::row("a page of keys is of an odd length"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::store::schema;

    fn key(time: u64) -> Key {
        Key { time: Timestamp(time), id: MessageId([time as u8; 32]) }
    }

    fn rebuilt(held: &BTreeSet<Key>) -> Sums {
        let mut sums = Sums::default();
        held.iter().for_each(|key| sums.message(key));
        sums
    }

    /// Batches that grow the room upwards, downwards and in between.
    fn batches() -> impl Strategy<Value = Vec<BTreeSet<u64>>> {
        let batch = (0..4_u64, 0..1000_u64, prop::collection::btree_set(0..300_u64, 1..150));
        let batch = batch.prop_map(|(way, at, offsets)| match way {
            0 => offsets.into_iter().map(|offset| 100_000 + 300 * at + offset).collect(),
            1 => offsets.into_iter().map(|offset| 100_000 - 100 * at + offset).collect(),
            _ => offsets.into_iter().map(|offset| 100_000 + 37 * offset + at).collect(),
        });
        prop::collection::vec(batch, 1..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn pages_hold_what_was_put_in(batches in batches()) {
            let conn = schema::open_writer(None).unwrap();
            let mut held = BTreeSet::new();
            rebuild(&conn, RoomNo(1)).unwrap();
            for batch in batches {
                let new: Vec<Key> = batch.into_iter().map(key).collect();
                insert(&conn, RoomNo(1), &new).unwrap();
                held.extend(new);
                let (index, sums) = load(&conn, RoomNo(1)).unwrap().unwrap();
                prop_assert_eq!(sums, rebuilt(&held));
                let mut keys = index.newest(&Key::MIN, &Key::last_of(Timestamp::MAX), usize::MAX);
                keys.reverse();
                prop_assert_eq!(&keys, &held.iter().copied().collect::<Vec<_>>());
                let longest: i64 =
                    conn.query_row("SELECT max(length(keys)) FROM key_page", [], |row| row.get(0)).unwrap();
                prop_assert!(longest as usize <= MAX_KEYS * KEY_LEN);
            }
        }
    }

    #[test]
    fn a_room_that_grows_at_one_end_leaves_full_pages() {
        for upwards in [true, false] {
            let conn = schema::open_writer(None).unwrap();
            rebuild(&conn, RoomNo(1)).unwrap();
            for n in 0..100 {
                let at = if upwards { 30 * n } else { 10_000 - 30 * n };
                let new: Vec<Key> = (at..at + 30).map(|time| key(time + 1)).collect();
                insert(&conn, RoomNo(1), &new).unwrap();
            }
            let pages: i64 = conn.query_row("SELECT count(*) FROM key_page", [], |row| row.get(0)).unwrap();
            assert_eq!(pages, 3000_u64.div_ceil(MAX_KEYS as u64) as i64, "upwards: {upwards}");
        }
    }
}

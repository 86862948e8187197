//! The index is a cache: whatever happens to it, what is in the history is found.

use std::fs;

use super::{
    search::{complete, find, lines, text},
    *,
};
use crate::{error::SearchError, search::Indexing};

const INDEX: &str = "search.sqlite3";
const MANY: u64 = 300;

/// A history in that directory with many lines in two rooms and a complete index.
async fn history(dir: &Path) {
    let store = Store::open_waiting(Some(&dir.join("h")));
    for room in ["one", "two"] {
        let number = store.room(&name(room)).await.unwrap();
        // Of the same times in both, so that half of them are moved.
        save(&store, number, (0..MANY).map(|n| text(0, 10 + n, &format!("word {room}{n}"))).collect()).await.unwrap();
    }
    complete(&store).await;
    store.close().await;
}

async fn check_whole(store: &Store) {
    let found = find(store, "word", usize::MAX).await;
    assert_eq!((found.hits.len() as u64, found.indexing), (2 * MANY, None));
    let mut keys: Vec<_> = found.hits.iter().map(|hit| (hit.room.clone(), hit.message.key)).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len() as u64, 2 * MANY, "nothing is found twice");
    assert_eq!(lines(store, "one17").await.len(), 11);
}

fn entries(dir: &Path) -> u64 {
    let conn = Connection::open(dir.join(INDEX)).unwrap();
    let count: i64 = conn.query_row("SELECT count(*) FROM entry", [], |row| row.get(0)).unwrap();
    count as u64
}

#[tokio::test]
async fn after_a_restart_nothing_is_indexed_again() {
    let temp = tempfile::tempdir().unwrap();
    history(temp.path()).await;
    // No step is done here, so whatever is found was in the file.
    let store = Store::open_waiting(Some(&temp.path().join("h")));
    check_whole(&store).await;
    let room = store.room(&name("one")).await.unwrap();
    save(&store, room, vec![text(0, 5000, "new word")]).await.unwrap();
    // What was told of is taken in when the store is closed.
    store.close().await;
    assert_eq!(entries(temp.path()), 2 * MANY + 1);
    let store = Store::open_waiting(Some(&temp.path().join("h")));
    let found = find(&store, "new", 9).await;
    assert_eq!((found.hits.len(), found.indexing), (1, None));
    store.close().await;
}

/// What it is called, and what does it.
type Damage<'a> = (&'static str, Box<dyn Fn() + 'a>);

#[tokio::test]
async fn an_index_that_cannot_be_used_is_made_anew() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let path = dir.join(INDEX);
    history(dir).await;
    let whole = fs::read(&path).unwrap();
    let noise: Vec<u8> = (0..whole.len()).map(|n| (n * n % 251) as u8).collect();
    let middle = whole.len() / 2;
    let torn = [&whole[..4096], &noise[4096..]].concat();
    let sql = |script: &'static str| {
        let path = path.clone();
        move || Connection::open(&path).unwrap().execute_batch(script).unwrap()
    };
    let write = |bytes: Vec<u8>| {
        let path = path.clone();
        move || fs::write(&path, &bytes).unwrap()
    };
    let damages: Vec<Damage<'_>> = vec![
        ("gone", Box::new(|| fs::remove_file(&path).unwrap())),
        ("empty", Box::new(write(Vec::new()))),
        ("cut in half", Box::new(write(whole[..middle].to_vec()))),
        ("cut in a page", Box::new(write(whole[..middle + 77].to_vec()))),
        ("noise", Box::new(write(noise.clone()))),
        ("noise but for the first page", Box::new(write(torn))),
        ("of another version", Box::new(sql("PRAGMA user_version = 99"))),
        ("of another program", Box::new(sql("PRAGMA application_id = 1"))),
        ("without a table", Box::new(sql("DROP TABLE entry"))),
        ("without words", Box::new(sql("DROP TABLE line"))),
        ("without a tally", Box::new(sql("DELETE FROM room WHERE no = 2"))),
        ("with a wrong tally", Box::new(sql("UPDATE room SET sum = sum + 1 WHERE no = 2"))),
        ("ahead of the history", Box::new(sql("UPDATE room SET count = count + 1"))),
        ("with a room too many", Box::new(sql("INSERT INTO room VALUES (3, 'three', 0, 0)"))),
        ("of other rooms", Box::new(sql("UPDATE room SET name = 'other' WHERE no = 1"))),
        ("with values of other types", Box::new(sql("UPDATE room SET count = 'many'"))),
    ];
    for (what, damage) in damages {
        fs::write(&path, &whole).unwrap();
        damage();
        let store = Store::open_waiting(Some(&dir.join("h")));
        complete(&store).await;
        check_whole(&store).await;
        store.close().await;
        assert_eq!(entries(dir), 2 * MANY, "{what}");
    }
}

#[tokio::test]
async fn an_index_of_another_history_is_made_anew() {
    let (temp, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    history(temp.path()).await;
    history(other.path()).await;
    // As many messages in the same rooms, but others.
    let store = Store::open_waiting(Some(&other.path().join("h")));
    store.sql("DELETE FROM message WHERE time > 300").await;
    for room in ["one", "two"] {
        let room = store.room(&name(room)).await.unwrap();
        save(&store, room, (301..310).map(|n| text(1, n, "another")).collect()).await.unwrap();
    }
    store.close().await;
    fs::copy(temp.path().join(INDEX), other.path().join(INDEX)).unwrap();
    let store = Store::open_waiting(Some(&other.path().join("h")));
    complete(&store).await;
    assert_eq!(find(&store, "another", 99).await.hits.len(), 18);
    assert_eq!(find(&store, "one299", 99).await.hits.len(), 0);
    store.close().await;
    assert_eq!(entries(other.path()), 2 * MANY);
}

/// A copy of the files at any moment is what a kill would leave.
#[tokio::test]
async fn what_was_broken_off_is_gone_on_with() {
    let temp = tempfile::tempdir().unwrap();
    history(temp.path()).await;
    fs::remove_file(temp.path().join(INDEX)).unwrap();
    let store = Store::open_waiting(Some(&temp.path().join("h")));
    for steps in 1..40 {
        store.indexer().steps(1).await;
        let copy = tempfile::tempdir().unwrap();
        for file in ["h", "h-wal", "search.sqlite3", "search.sqlite3-wal"] {
            if temp.path().join(file).exists() {
                fs::copy(temp.path().join(file), copy.path().join(file)).unwrap();
            }
        }
        let resumed = Store::open_waiting(Some(&copy.path().join("h")));
        let before = find(&resumed, "word", usize::MAX).await;
        let taken_in = before.hits.len() as u64;
        let indexing = before.indexing;
        assert!(taken_in > 0, "what was taken in is still there");
        assert_eq!(indexing, (taken_in < 2 * MANY).then_some(Indexing { done: taken_in, of: 2 * MANY }));
        complete(&resumed).await;
        check_whole(&resumed).await;
        resumed.close().await;
        assert_eq!(entries(copy.path()), 2 * MANY, "after {steps} steps");
        if indexing.is_none() {
            store.close().await;
            return;
        }
    }
    panic!("it comes to no end");
}

#[tokio::test]
async fn what_was_taken_out_by_hand_is_not_found() {
    let temp = tempfile::tempdir().unwrap();
    history(temp.path()).await;
    let store = Store::open_waiting(Some(&temp.path().join("h")));
    check_whole(&store).await;
    store.sql("DELETE FROM message WHERE time > 15 AND room = 1").await;
    let found = find(&store, "word", usize::MAX).await;
    assert_eq!(found.hits.len() as u64, MANY + 6);
    // They make place for others.
    assert_eq!(find(&store, "word", 300).await.hits.len(), 300);
    store.close().await;
    // There are no pages of keys now.
    let store = Store::open_waiting(Some(&temp.path().join("h")));
    complete(&store).await;
    assert_eq!(find(&store, "word", usize::MAX).await.hits.len() as u64, MANY + 6);
    store.close().await;
    assert_eq!(entries(temp.path()), MANY + 6);
}

#[tokio::test]
async fn a_crash_of_the_indexer_leaves_the_rest_as_it_is() {
    let store = Store::open_waiting(None);
    let room = store.room(&name("r")).await.unwrap();
    store.indexer().panic().await;
    let question = Question::parse("word").unwrap();
    let error = store.find(question.clone(), 9).await.unwrap_err();
    assert_eq!(error, SearchError::Stopped);
    assert!(error.to_string().contains("start the node again"));
    save(&store, room, vec![text(0, 10, "word")]).await.unwrap();
    assert_eq!(store.lines(room, Lines::Newest(9)).await.unwrap().len(), 1);
    store.close().await;
    assert_eq!(store.find(question, 9).await, Err(SearchError::Closed));
}

#[tokio::test]
async fn an_index_that_cannot_be_had_keeps_nobody_from_writing() {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir_all(temp.path().join(INDEX).join("something")).unwrap();
    let store = Store::open_waiting(Some(&temp.path().join("h")));
    let room = store.room(&name("r")).await.unwrap();
    save(&store, room, vec![text(0, 10, "word")]).await.unwrap();
    let error = store.find(Question::parse("word").unwrap(), 9).await.unwrap_err();
    assert!(error.to_string().contains("if search.sqlite3 is in the way, remove it"), "{error}");
    fs::remove_dir_all(temp.path().join(INDEX)).unwrap();
    complete(&store).await;
    assert_eq!(lines(&store, "word").await, ["r word"]);
    store.close().await;
}

/// Left to itself it gets there, too, when others are done writing.
#[tokio::test]
async fn without_space_what_was_taken_in_is_found() {
    let temp = tempfile::tempdir().unwrap();
    history(temp.path()).await;
    let store = Store::open_waiting(Some(&temp.path().join("h")));
    check_whole(&store).await;
    store.indexer().sql("PRAGMA max_page_count = 1").await;
    let room = store.room(&name("one")).await.unwrap();
    let many: String = (0..1200).map(|n| format!(" other{n}")).collect();
    for _ in 0..2 {
        save(&store, room, vec![text(0, 5000, &format!("new word{many}"))]).await.unwrap();
        let found = find(&store, "word", usize::MAX).await;
        assert_eq!(found.hits.len() as u64, 2 * MANY);
        assert!(found.indexing.is_some(), "it is said that this is not all");
    }
    store.indexer().sql("PRAGMA max_page_count = 4294967294").await;
    complete(&store).await;
    assert_eq!(find(&store, "other17", 9).await.hits.len(), 1);
    store.close().await;
}

#[tokio::test]
async fn it_catches_up_by_itself() {
    let temp = tempfile::tempdir().unwrap();
    history(temp.path()).await;
    fs::remove_file(temp.path().join(INDEX)).unwrap();
    let store = Store::open(Some(&temp.path().join("h"))).unwrap();
    let room = store.room(&name("three")).await.unwrap();
    let mut said = 0;
    while find(&store, "x", 0).await.indexing.is_some() {
        if said < 20 {
            save(&store, room, vec![text(0, 10 + said, "more")]).await.unwrap();
            said += 1;
        }
    }
    check_whole(&store).await;
    assert_eq!(find(&store, "more", usize::MAX).await.hits.len() as u64, said);
    store.close().await;
}

/// More than the indexer's queue holds, while nobody takes anything out of it.
#[tokio::test]
async fn what_the_queue_has_no_place_for_is_found() {
    let store = Store::open_waiting(None);
    let room = store.room(&name("r")).await.unwrap();
    for n in 0..2000 {
        save(&store, room, vec![text(0, 10 + n, "word")]).await.unwrap();
    }
    complete(&store).await;
    assert_eq!(find(&store, "word", usize::MAX).await.hits.len(), 2000);
    store.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn it_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open_waiting(Some(&temp.path().join("h")));
    complete(&store).await;
    for file in fs::read_dir(temp.path()).unwrap().map(Result::unwrap) {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
    store.close().await;
}

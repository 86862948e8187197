//! Histories that were only begun when the process was killed or the power failed, and those that only look like it.

use std::fs;

use super::{
    damage::{ME, aside, held, history, killed, open, talk},
    *,
};

/// How much of a file is there that ends in its first page, or is torn in it.
const CUTS: [usize; 8] = [0, 1, 99, 100, 512, 4096, 8191, 8192];

fn beside(path: &Path, what: &str) -> PathBuf {
    path.with_file_name(format!("history.sqlite3{what}"))
}

/// A file and its rollback journal, as they are in the middle of that transaction.
fn in_the_middle(conn: &Connection, path: &Path, script: &str) -> (Vec<u8>, Vec<u8>) {
    // What the cache does not hold is written to the file at once, behind the journal.
    conn.execute_batch("PRAGMA cache_size = 1; PRAGMA journal_mode = DELETE; BEGIN IMMEDIATE;").unwrap();
    conn.execute_batch(script).unwrap();
    let files = ["", "-journal"].map(|end| fs::read(beside(path, end)).unwrap());
    conn.execute_batch("ROLLBACK").unwrap();
    files.into()
}

/// The same of the very first transaction of a file.
fn first_transaction() -> (Vec<u8>, Vec<u8>) {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("history.sqlite3");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA page_size = 8192").unwrap();
    let fill = "CREATE TABLE some (bytes); INSERT INTO some SELECT randomblob(100000) FROM (VALUES (1), (2), (3))";
    let (file, journal) = in_the_middle(&conn, &path, fill);
    assert!(file.len() > 8192 && journal.len() >= 512, "{} {}", file.len(), journal.len());
    (file, journal)
}

/// It can be used, and that outlasts another start.
async fn is_usable(store: Store, path: &Path) {
    let room = store.room(&name("general")).await.unwrap();
    save(&store, room, vec![message(0, 0, 1, 0, b"hello")]).await.unwrap();
    store.close().await;
    let (store, told) = open(path, keypair(ME).author()).unwrap();
    assert_eq!((told, held(&store).await.len()), (Vec::new(), 1));
    store.close().await;
}

/// A process may be killed before the first table is made.
#[tokio::test]
async fn a_history_that_was_only_begun_is_no_damage() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("history.sqlite3");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL;").unwrap();
    drop(conn);
    assert!(fs::metadata(&path).unwrap().len() > 0);
    let (store, told) = open(&path, keypair(ME).author()).unwrap();
    assert_eq!(told, [""; 0]);
    store.close().await;
}

#[tokio::test]
async fn a_file_whose_first_transaction_was_not_finished_is_begun_anew() {
    let (file, journal) = first_transaction();
    for length in CUTS {
        // Some of the sectors may be missing, too.
        for torn in [false, true] {
            let temp = tempfile::tempdir().unwrap();
            let path = temp.path().join("history.sqlite3");
            let mut left = file[..length].to_vec();
            if torn {
                let sector = length.min(512);
                left[..sector].fill(0);
            }
            fs::write(&path, left).unwrap();
            fs::write(beside(&path, "-journal"), &journal).unwrap();
            let (store, told) = open(&path, keypair(ME).author()).unwrap();
            assert_eq!(told, [""; 0], "{length} bytes of it, torn: {torn}");
            is_usable(store, &path).await;
            assert!(aside(&path).is_empty(), "{:?}", aside(&path));
        }
    }
}

#[tokio::test]
async fn that_there_had_been_another_one_is_told() {
    let (file, journal) = first_transaction();
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("history.sqlite3");
    fs::write(&path, &file[..4096]).unwrap();
    fs::write(beside(&path, "-journal"), &journal).unwrap();
    fs::write(path.with_file_name("search.sqlite3"), "").unwrap();
    let (store, told) = open(&path, keypair(ME).author()).unwrap();
    assert!(matches!(&told[..], [told] if told.contains("gone or empty")), "{told:?}");
    is_usable(store, &path).await;
}

/// The journal of a later transaction says that there was something before it.
#[tokio::test]
async fn a_file_that_held_something_is_damaged_and_no_journal_undoes_the_new_one() {
    let (whole, commits) = talk(20);
    let (_temp, whole_path) = history(&commits).await;
    let conn = Connection::open(&whole_path).unwrap();
    let (file, journal) = in_the_middle(&conn, &whole_path, "UPDATE message SET arrived = arrived + 1");
    drop(conn);
    for length in [0, 1, 100, 4096, 8191, 20_000] {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("history.sqlite3");
        let mut left = file[..length].to_vec();
        left.iter_mut().take(1).for_each(|byte| *byte ^= 1);
        fs::write(&path, left).unwrap();
        fs::write(beside(&path, "-journal"), &journal).unwrap();
        let (store, told) = open(&path, keypair(ME).author()).unwrap();
        assert!(matches!(&told[..], [told] if told.contains("was damaged")), "{length}: {told:?}");
        let held = held(&store).await;
        assert!(keys_of(&held).iter().all(|key| whole.index().contains(key)), "{length}");
        store.close().await;
        let aside = aside(&path);
        assert_eq!(aside.len(), 2, "{aside:?}");
        assert!(
            aside.iter().any(|path| path.to_str().unwrap().ends_with("-journal.aside")),
            "it goes with its file: {aside:?}"
        );
        let (store, told) = open(&path, keypair(ME).author()).unwrap();
        assert_eq!(told, [""; 0], "{length}");
        store.close().await;
    }
}

/// As when somebody puts back a copy of a history, beside what a first start had left.
#[tokio::test]
async fn the_journal_of_a_first_transaction_does_not_empty_another_file() {
    let (whole, commits) = talk(20);
    let (_temp, path) = history(&commits).await;
    let (_, journal) = first_transaction();
    fs::write(beside(&path, "-journal"), journal).unwrap();
    let (store, told) = open(&path, keypair(ME).author()).unwrap();
    assert!(matches!(&told[..], [told] if told.contains("not its own")), "{told:?}");
    assert_eq!(held(&store).await.root(), whole.fingerprint());
    store.close().await;
}

/// SQLite throws away the log of a file that is empty.
#[tokio::test]
async fn an_empty_file_with_a_log_is_damaged_and_the_log_is_read() {
    let (whole, commits) = talk(20);
    let (_, journal) = first_transaction();
    for (is_there, journal) in [(false, None), (true, None), (true, Some(journal))] {
        let (_temp, path, mut log) = killed(&commits).await;
        fs::remove_file(&path).unwrap();
        if is_there {
            fs::write(&path, "").unwrap();
        }
        if !is_there {
            // It may be damaged, too.
            log[20] ^= 1;
        }
        fs::write(beside(&path, "-wal"), &log).unwrap();
        if let Some(journal) = journal {
            fs::write(beside(&path, "-journal"), journal).unwrap();
        }
        let (store, told) = open(&path, keypair(ME).author()).unwrap();
        assert!(matches!(&told[..], [told] if told.contains("was damaged")), "{told:?}");
        let held = held(&store).await;
        assert!(!held.is_empty() && keys_of(&held).iter().all(|key| whole.index().contains(key)), "{}", held.len());
        if is_there {
            // Nothing was done to the log, and all of these are in it.
            let logged = commits[10..].iter().flat_map(|commit| &commit.messages);
            let missing = logged.filter(|message| !held.contains(&message.key())).count();
            assert_eq!(missing, 0, "of {} messages in the log", held.len());
        }
        store.close().await;
        assert!(aside(&path).iter().any(|path| fs::read(path).unwrap() == log), "{:?}", aside(&path));
    }
}

/// A part of the disk may be gone. Reading this process's memory at its beginning fails like that.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_journal_that_cannot_be_read_is_damage() {
    let (whole, commits) = talk(20);
    let (_temp, path) = history(&commits).await;
    std::os::unix::fs::symlink("/proc/self/mem", beside(&path, "-journal")).unwrap();
    let (store, told) = open(&path, keypair(ME).author()).unwrap();
    assert!(matches!(&told[..], [told] if told.contains("its journal: a part of it cannot be read")), "{told:?}");
    assert_eq!(held(&store).await.root(), whole.fingerprint());
    store.close().await;
}

/// SQLite would throw the log away, though it can only read.
#[test]
fn a_look_from_outside_leaves_what_is_beside_an_empty_file() {
    let (file, journal) = first_transaction();
    let patience = std::time::Duration::from_secs(60);
    for length in [Some(1), Some(0), Some(2), Some(100), None] {
        for (end, bytes) in [("-wal", &b"what was acknowledged"[..]), ("-journal", &journal)] {
            let temp = tempfile::tempdir().unwrap();
            let path = temp.path().join("history.sqlite3");
            if let Some(length) = length {
                fs::write(&path, &file[..length]).unwrap();
            }
            fs::write(beside(&path, end), bytes).unwrap();
            let looked = crate::store::check(&path, patience);
            let left = fs::read(beside(&path, end)).unwrap_or_default();
            assert!(left == bytes, "{length:?} bytes, {end}: {} of {} bytes are left", left.len(), bytes.len());
            // That journal says that there had been nothing.
            let expect = if end == "-wal" { Err(true) } else { Ok(true) };
            assert_eq!(looked.map_err(|error| error.is_damage()), expect, "{length:?} bytes, {end}");
        }
    }
}

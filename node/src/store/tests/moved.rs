//! What becomes of an old history that is moved aside: all of it is kept, whoever looks at it, and whatever comes in between.

use std::fs;

use super::{
    damage::{ME, aside, held, history, killed, open, talk},
    *,
};

/// The history, or what stands beside it.
fn beside(path: &Path, what: &str) -> PathBuf {
    path.with_file_name(format!("history.sqlite3{what}"))
}

/// Overwrites the first bytes, without which SQLite reads nothing.
fn spoil(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    bytes[..100].fill(0x5a);
    fs::write(path, &bytes).unwrap();
    bytes
}

/// The journal of a transaction of a file in which there was nothing.
fn journal_of_nothing() -> Vec<u8> {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("history.sqlite3");
    let conn = Connection::open(&path).unwrap();
    let script = "PRAGMA cache_size = 1; BEGIN IMMEDIATE; CREATE TABLE some (bytes);
        INSERT INTO some SELECT randomblob(100000) FROM (VALUES (1), (2), (3));";
    conn.execute_batch(script).unwrap();
    fs::read(beside(&path, "-journal")).unwrap()
}

/// The bytes of all files that are not in use any more.
fn kept(path: &Path) -> Vec<Vec<u8>> {
    aside(path).iter().map(|path| fs::read(path).unwrap()).collect()
}

/// As when somebody finds that their history is gone, in the midst of it, and puts back a copy.
#[tokio::test]
async fn what_took_the_place_of_the_old_one_meanwhile_does_not_overwrite_it() {
    let (whole, commits) = talk(20);
    let (_temp, path) = history(&commits).await;
    let old = spoil(&path);
    let obstacle = path.with_extension("damaged");
    fs::create_dir_all(obstacle.join("something")).unwrap();
    open(&path, keypair(ME).author()).err().expect("there is something in the way");
    fs::remove_dir_all(obstacle).unwrap();
    assert!(!path.exists() && kept(&path).contains(&old), "it was moved: {:?}", aside(&path));
    let (_other, copy) = history(&commits[..10]).await;
    let copied = fs::read(&copy).unwrap();
    fs::write(&path, &copied).unwrap();
    fs::write(beside(&path, "-wal"), "beside the copy").unwrap();

    let (store, told) = open(&path, keypair(ME).author()).unwrap();
    assert_eq!(held(&store).await.root(), whole.fingerprint());
    store.close().await;
    let kept = kept(&path);
    for bytes in [&old[..], &copied, b"beside the copy"] {
        assert!(kept.iter().any(|kept| kept == bytes), "{} bytes are lost: {:?}", bytes.len(), aside(&path));
    }
    for file in aside(&path).iter().filter(|path| path.extension().is_some_and(|end| end == "sqlite3")) {
        assert!(told.iter().any(|told| told.contains(file.to_str().unwrap())), "{file:?} is not in {told:?}");
    }
}

#[tokio::test]
async fn whoever_looks_at_an_old_history_with_sqlite_does_not_change_it() {
    let (_, commits) = talk(20);
    let journal = journal_of_nothing();
    for what in ["a journal that is not its own", "a log beside nothing", "a log and a journal"] {
        let (_temp, path, log) = killed(&commits).await;
        match what {
            "a log beside nothing" => fs::write(&path, "").unwrap(),
            _ => fs::write(beside(&path, "-journal"), &journal).unwrap(),
        }
        if what != "a journal that is not its own" {
            fs::write(beside(&path, "-wal"), log).unwrap();
        }
        let (store, told) = open(&path, keypair(ME).author()).unwrap();
        assert!(told[0].contains("was damaged"), "{what}: {told:?}");
        store.close().await;
        let before = kept(&path);
        for file in aside(&path).iter().filter(|path| path.extension().is_some_and(|end| end == "sqlite3")) {
            let conn = Connection::open(file).unwrap();
            // It may find nothing that it can read.
            let _ = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
        }
        assert!(kept(&path).iter().all(|bytes| before.contains(bytes)), "{what}: {:?}", aside(&path));
        assert_eq!(kept(&path).len(), before.len(), "{what}: {:?}", aside(&path));
    }
}

//! Disks that refuse to write, jobs that crash, and how much a room holds.

use super::*;

/// What stands for a disk with no place.
const FULL: &str = "PRAGMA max_page_count = 1";
const EMPTY: &str = "PRAGMA max_page_count = 4294967294";

fn large(from: u64) -> Vec<Message> {
    (from..from + 50).map(|seq| message(0, seq, 10 + seq, 0, &[0; 10_000])).collect()
}

#[tokio::test]
async fn a_disk_that_refuses_is_known_until_it_takes_something() {
    for path in [None, Some(tempfile::tempdir().unwrap())] {
        let file = path.as_ref().map(|dir| dir.path().join("h"));
        let store = Store::open(file.as_deref()).unwrap();
        let room = store.room(&name("general")).await.unwrap();
        let disk = store.disk();
        store.sql(FULL).await;
        let error = save(&store, room, large(1)).await.unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        assert_eq!(*disk.borrow(), Some(error.clone()));
        // What builds on it fails for the same reason, whoever has place by then.
        store.sql(EMPTY).await;
        assert_eq!(save(&store, room, large(100)).await, Err(error));
        assert!(disk.borrow().is_some(), "nobody has tried");
        store.try_disk().await.unwrap();
        assert_eq!(*disk.borrow(), None);
        store.reload(room).await.unwrap();
        save(&store, room, large(1)).await.unwrap();
        store.close().await;
        if let Some(dir) = path {
            assert!(!dir.path().join("space.tmp").exists());
        }
    }
}

#[tokio::test]
async fn a_job_that_crashes_is_its_own_error_and_nobody_elses() {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(Some(&temp.path().join("h"))).unwrap();
    let room = store.room(&name("general")).await.unwrap();
    // More often than there are threads.
    for _ in 0..5 {
        let crash = |_: &Connection| -> Result<(), StoreError> { panic!("as the test wants") };
        assert_eq!(store.on_reader(crash).await, Err(StoreError::Crashed));
        let half = |conn: &Connection| -> Result<(), StoreError> {
            conn.execute_batch("BEGIN; INSERT INTO room (name, id) VALUES ('half', x'00')")?;
            panic!("as the test wants")
        };
        assert_eq!(store.on_writer(half).await, Err(StoreError::Crashed));
    }
    let done = Box::new(|_| panic!("as the test wants"));
    let commit = Arc::new(commit_of(vec![message(0, 0, 9, 0, b"x")]));
    let own = keypair(0).author();
    store.submit(CommitJob { room, own, commit, arrived_ms: 0, frontier: FRONTIER, done }).await.unwrap();
    save(&store, room, vec![message(0, 1, 10, 0, b"x")]).await.unwrap();
    assert_eq!(store.load(room, own).await.unwrap().index.len(), 2);
    assert_eq!(store.rooms().await.unwrap().len(), 1, "what was half done is not done");
    store.close().await;
}

#[tokio::test]
async fn what_a_room_holds_is_counted() {
    let store = Store::open(None).unwrap();
    let room = store.room(&name("general")).await.unwrap();
    assert_eq!(store.size(room).await, Ok(0));
    let messages: Vec<Message> = (0..4).map(|seq| message(0, seq, 10 + seq, 0, &vec![b'x'; seq as usize])).collect();
    let lengths: Vec<u64> = messages.iter().map(|message| message.bytes().len() as u64).collect();
    save(&store, room, messages[..3].to_vec()).await.unwrap();
    // What comes again is not there twice.
    save(&store, room, messages[1..].to_vec()).await.unwrap();
    save(&store, store.room(&name("other")).await.unwrap(), messages.clone()).await.unwrap();
    let all: u64 = lengths.iter().sum();
    assert_eq!(store.size(room).await, Ok(all));
    // Neither what people do by hand nor an older program counts.
    store.sql("DELETE FROM message WHERE room = 1 AND time = 11").await;
    assert_eq!(store.size(room).await, Ok(all - lengths[1]));
    store.sql("UPDATE author SET bytes = NULL").await;
    save(&store, room, vec![message(1, 0, 50, 0, b"")]).await.unwrap();
    let more = message(1, 0, 50, 0, b"").bytes().len() as u64;
    for _ in 0..2 {
        assert_eq!(store.size(room).await, Ok(all - lengths[1] + more));
    }
    store.close().await;
}

//! Crowds, crashes, full and damaged disks, other versions.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use rusqlite::params;

use super::*;

const CHILD: &str = "DISTCHAT_TEST_STORE_TO_KILL";

async fn count(store: &Store, room: RoomNo) -> usize {
    store.reload(room).await.unwrap();
    store.load(room, keypair(0).author()).await.unwrap().index.len() as usize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_rooms_commit_at_once() {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(Some(&temp.path().join("h"))).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for author in 0..20_u8 {
        let store = store.clone();
        tasks.spawn(async move {
            let room = store.room(&name(&format!("room{}", author % 5))).await.unwrap();
            let mut waiting = Vec::new();
            for seq in 0..50 {
                let message = message(author, seq, 1000 + seq, 0, b"hello");
                let key = message.key();
                waiting.push((key, submit(&store, room, keypair(0).author(), commit_of(vec![message])).await));
            }
            for (key, done) in waiting {
                done.await.unwrap().unwrap();
                assert_eq!(store.holds(room, vec![key]).await.unwrap(), [true]);
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    for room in 0..5 {
        let room = store.room(&name(&format!("room{room}"))).await.unwrap();
        assert_eq!(count(&store, room).await, 200);
    }
    store.close().await;
    store.close().await;
    assert_eq!(store.room(&name("late")).await, Err(StoreError::Closed));
    let mut files: Vec<_> = fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["h", "search.sqlite3"], "nothing but the one file and the index is left");
}

/// A process that writes as fast as it can and prints what it was told is saved, until it is killed.
#[test]
fn writer_to_be_killed() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open(Some(Path::new(&path))).unwrap();
        let room = store.room(&name("general")).await.unwrap();
        let (sender, mut saved) = tokio::sync::mpsc::channel(1024);
        tokio::task::spawn_blocking(move || {
            while let Some(key) = saved.blocking_recv() {
                let key: Key = key;
                // In one call, so that no line is cut in two by another.
                std::io::stdout().write_all(format!("\nsaved {} {}\n", key.time.0, key.id).as_bytes()).unwrap();
            }
        });
        for time in 2.. {
            let message = message(0, time, time, 0, &[b'x'; 16_000]);
            let (key, sender) = (message.key(), sender.clone());
            let done = Box::new(move |result: Result<(), StoreError>| {
                result.unwrap();
                let _ = sender.try_send(key);
            });
            let commit = Arc::new(commit_of(vec![message]));
            store
                .submit(CommitJob { room, own: keypair(0).author(), commit, arrived_ms: 0, frontier: FRONTIER, done })
                .await
                .unwrap();
        }
    });
}

#[tokio::test]
async fn what_was_saved_outlasts_a_kill() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("h");
    let mut held = 0;
    // Far enough that the log is written back in between, and then again on what that kill has left.
    for enough in [1200, 300] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::faults::writer_to_be_killed", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut saved = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some((time, id)) = line.strip_prefix("saved ").and_then(|rest| rest.split_once(' ')) {
                saved.push(Key { time: Timestamp(time.parse().unwrap()), id: MessageId::from_hex(id).unwrap() });
            }
            // All that it prints until it is dead counts too.
            if saved.len() == enough {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(saved.len() >= enough);

        let store = Store::open(Some(&path)).unwrap();
        let room = store.room(&name("general")).await.unwrap();
        let checked = saved.len();
        assert_eq!(store.holds(room, saved).await.unwrap(), vec![true; checked]);
        let mut keys = keys_of(&store.load(room, keypair(0).author()).await.unwrap().index);
        assert!(keys.len() >= held);
        held = keys.len();
        keys.reverse();
        let newest = store.read(room, keys, usize::MAX).await.unwrap();
        assert!(newest.iter().all(|(key, bytes)| Message::decode(bytes).unwrap().key() == *key));
        store.close().await;
    }
}

#[tokio::test]
async fn a_bad_commit_fails_alone_and_with_what_builds_on_it() {
    for path in [None, Some(tempfile::tempdir().unwrap())] {
        let file = path.as_ref().map(|dir| dir.path().join("h"));
        let store = Store::open(file.as_deref()).unwrap();
        let (first, second) = (store.room(&name("one")).await.unwrap(), store.room(&name("two")).await.unwrap());
        // Stands for a disk that has no place for this message, though it has for others.
        let full =
            "CREATE TEMP TRIGGER full BEFORE INSERT ON message WHEN NEW.seq = 13 BEGIN SELECT RAISE(ABORT, 'no'); END";
        store.sql(full).await;

        // One group, for the writer waits here.
        let (entered, release) = (Arc::new(tokio::sync::Notify::new()), std::sync::mpsc::sync_channel::<()>(0));
        let (held, told) = (store.clone(), Arc::clone(&entered));
        let pause = tokio::spawn(async move {
            held.on_writer(move |_| {
                told.notify_one();
                release.1.recv().unwrap();
                Ok(())
            })
            .await
        });
        entered.notified().await;
        let own = keypair(0).author();
        let mut answers = Vec::new();
        for (room, seq) in [(first, 1), (second, 1), (first, 13), (second, 2), (first, 14), (second, 3)] {
            answers.push(submit(&store, room, own, commit_of(vec![message(0, seq, 100 + seq, 0, b"x")])).await);
        }
        release.0.send(()).unwrap();
        pause.await.unwrap().unwrap();
        let mut results = Vec::new();
        for answer in answers {
            results.push(answer.await.unwrap());
        }
        assert!(matches!(results[2], Err(StoreError::Failed { .. })), "{results:?}");
        assert_eq!(results[4], Err(StoreError::Stale));
        assert_eq!([0, 1, 3, 5].map(|i| results[i].clone()), [const { Ok(()) }; 4]);

        // It stays so until the room is loaded, and then everything works again.
        let late = || vec![message(0, 15, 115, 0, b"x")];
        assert_eq!(save(&store, first, late()).await, Err(StoreError::Stale));
        assert_eq!(count(&store, first).await, 1);
        assert_eq!(count(&store, second).await, 3);
        assert_eq!(save(&store, first, late()).await, Ok(()));
        assert_eq!(count(&store, first).await, 2);
        store.close().await;
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_survived() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("h");
    let store = Store::open(Some(&path)).unwrap();
    let room = store.room(&name("general")).await.unwrap();
    save(&store, room, vec![message(0, 0, 5, 0, b"first")]).await.unwrap();
    store.sql("PRAGMA max_page_count = 1").await;
    let large = |from: u64| (from..from + 50).map(|seq| message(0, seq, 10 + seq, 0, &[0; 10_000])).collect::<Vec<_>>();
    let error = save(&store, room, large(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert_eq!(count(&store, room).await, 1);
    store.sql("PRAGMA max_page_count = 4294967294").await;
    save(&store, room, large(1)).await.unwrap();
    assert_eq!(count(&store, room).await, 51);
    store.close().await;
}

#[tokio::test]
async fn the_queue_is_bounded_by_bytes_too() {
    let store = Store::open(None).unwrap();
    let room = store.room(&name("general")).await.unwrap();
    let large = commit_of((0..1200).map(|seq| message(0, seq, 10 + seq, 0, &[0; 16_000])).collect());
    assert!(weight(&large) > QUEUE_KIB << 9, "two of them are more than the bound");
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(submit(&store, room, keypair(0).author(), large.clone()).await);
    }
    store.close().await;
    for done in waiting {
        done.await.unwrap().unwrap();
    }
    assert_eq!(store.0.places.available_permits(), QUEUE_KIB);
}

#[tokio::test]
async fn a_key_put_back_finds_its_messages() {
    let store = Store::open(None).unwrap();
    let room = store.room(&name("general")).await.unwrap();
    // Written while the node went by another key.
    let messages: Vec<_> = (0..3).map(|seq| message(4, seq, 10 + seq, 0, b"x")).collect();
    let mut expect: Vec<_> = messages.iter().map(|message| (message.key(), message.seq())).collect();
    expect.reverse();
    save(&store, room, messages).await.unwrap();
    assert_eq!(store.load(room, keypair(4).author()).await.unwrap().snapshot.own, expect);
    assert_eq!(store.load(room, keypair(0).author()).await.unwrap().snapshot.own, []);
}

#[tokio::test]
async fn an_older_history_is_taken_over() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("h");
    let messages: Vec<_> = (0..500).map(|seq| message(0, seq, 10 + seq * 3, 0, b"x")).collect();
    {
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(schema::VERSIONS[0]).unwrap();
        conn.pragma_update(None, "application_id", 0x4443_6874).unwrap();
        conn.pragma_update(None, "user_version", 1).unwrap();
        conn.execute("INSERT INTO room VALUES (1, 'general', ?)", [[1; 32]]).unwrap();
        for message in &messages {
            let (key, at) = (message.key(), message.body_at() as i64);
            let time = key.time.0.cast_signed();
            let row = params![1, time, key.id.0, 0, message.seq() as i64, at, true, 0, message.bytes()];
            conn.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row).unwrap();
        }
    }
    // Once it is there, and once it is there with something new in between.
    let mut keys: Vec<Key> = messages.iter().map(Message::key).collect();
    for late in [None, Some(message(1, 0, 100, 0, b"late"))] {
        let store = Store::open(Some(&path)).unwrap();
        let room = store.room(&name("general")).await.unwrap();
        if let Some(late) = late {
            keys.push(late.key());
            keys.sort();
            save(&store, room, vec![late]).await.unwrap();
        }
        assert_eq!(keys_of(&store.load(room, keypair(0).author()).await.unwrap().index), keys);
        store.close().await;
    }
}

/// People may do with their history what they want.
#[tokio::test]
async fn what_was_taken_out_by_hand_is_not_there() {
    let store = Store::open(None).unwrap();
    let room = store.room(&name("general")).await.unwrap();
    save(&store, room, (0..300).map(|seq| message(0, seq, 10 + seq, 0, b"x")).collect()).await.unwrap();
    store.sql("DELETE FROM message WHERE time > 15").await;
    assert_eq!(count(&store, room).await, 6);
    store.sql("DELETE FROM message WHERE time > 12").await;
    save(&store, room, vec![message(0, 999, 999, 0, b"x")]).await.unwrap();
    assert_eq!(count(&store, room).await, 4);
}

#[test]
fn a_newer_history_is_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("h");
    drop(Store::open(Some(&path)).unwrap());
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", schema::VERSIONS.len() as i64 + 1).unwrap();
    drop(conn);
    let error = Store::open(Some(&path)).err().unwrap();
    let known = schema::VERSIONS.len() as i64;
    assert_eq!(error, StoreError::Newer { path: path.clone(), found: known + 1, known });
    assert!(error.to_string().contains("use the newer program"), "{error}");
}

#[track_caller]
fn check_damaged(error: &StoreError, path: &Path) {
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(path.to_str().unwrap()) && text.contains("moves it aside"), "{text}");
}

#[tokio::test]
async fn a_damaged_history_is_told() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("h");

    fs::write(&path, "a letter to my aunt, ".repeat(1000)).unwrap();
    check_damaged(&Store::open(Some(&path)).err().unwrap(), &path);
    assert!(fs::read_to_string(&path).unwrap().starts_with("a letter"));

    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE recipe (text)").unwrap();
    check_damaged(&Store::open(Some(&path)).err().unwrap(), &path);

    fs::remove_file(&path).unwrap();
    let store = Store::open(Some(&path)).unwrap();
    let room = store.room(&name("general")).await.unwrap();
    save(&store, room, (0..200).map(|seq| message(0, seq, 10 + seq, 0, &[0; 2000])).collect()).await.unwrap();
    store.close().await;
    let whole = fs::read(&path).unwrap();

    // The second half is gone.
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = match Store::open(Some(&path)) {
        Ok(store) => store.load(room, keypair(0).author()).await.err().unwrap(),
        Err(error) => error,
    };
    check_damaged(&error, &path);
}

#[test]
fn a_directory_that_cannot_be_used_is_told() {
    let temp = tempfile::tempdir().unwrap();
    for path in [temp.path().join("no").join("h"), temp.path().to_owned()] {
        let error = Store::open(Some(&path)).err().unwrap();
        assert!(matches!(error, StoreError::Unusable { .. }), "{error:?}");
        assert!(error.to_string().contains("belong to you"), "{error}");
    }
}

/// What people see who open their history with `sqlite3`.
#[tokio::test]
async fn people_can_read_it() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("h");
    let store = Store::open(Some(&path)).unwrap();
    let room = store.room(&name("general")).await.unwrap();
    let at = |ms: u64| Timestamp::from_millis(1_700_000_000_000 + ms).0;
    let messages = vec![
        message(0, 0, at(0), 0, b"before"),
        message(0, 1, at(1), 1, "Zo\u{eb}".as_bytes()),
        message(0, 2, at(2), 0, "h\u{e9}llo".as_bytes()),
        message(1, 0, at(3), 0, b"from another"),
        message(1, 0, at(4), 5, b"not a text"),
    ];
    save(&store, room, messages).await.unwrap();

    let conn = schema::open_reader(&path).unwrap();
    let mut statement = conn.prepare("SELECT room, time, author, nick, text FROM chat").unwrap();
    let rows = statement.query_map([], |row| {
        let texts: [String; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(4)?];
        Ok((texts, row.get::<_, Option<String>>(3)?))
    });
    let rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
    let line = |ms: u64, author: u8, nick: Option<&str>, text: &str| {
        let time = format!("2023-11-14T22:13:20.{ms:03}Z");
        (["general".into(), time, keypair(author).author().short(), text.into()], nick.map(str::to_owned))
    };
    assert_eq!(rows, [line(0, 0, None, "before"), line(2, 0, Some("Zoë"), "héllo"), line(3, 1, None, "from another")]);
    store.close().await;
}

/// What is asked often is answered from an index, not by walking through the room.
#[test]
fn the_indexes_are_used() {
    let conn = schema::open_writer(None).unwrap();
    for (query, index) in [
        (query::OWN, "USING COVERING INDEX message_own (room=? AND own=? AND <expr>=?)"),
        (query::NICKS, "USING INDEX message_nick (room=?)"),
        (keys::AT, "USING PRIMARY KEY (room=? AND (time,id)<(?,?))"),
        (keys::BEHIND, "USING PRIMARY KEY (room=? AND (time,id)>(?,?))"),
        (query::DOWN, "USING PRIMARY KEY (room=? AND (time,id)<(?,?))"),
        (carry::BEFORE, "USING PRIMARY KEY (room=? AND (time,id)<(?,?))"),
        (audit::DOWN, "USING PRIMARY KEY (room=? AND (time,id)<(?,?))"),
        (query::LINES_BEFORE, "USING PRIMARY KEY (room=? AND (time,id)<(?,?))"),
        (query::LINES_AFTER, "USING PRIMARY KEY (room=? AND (time,id)>(?,?))"),
        (query::REACTIONS, "USING INDEX message_reaction (room=? AND <expr>=? AND time<?)"),
        (query::TOPICS, "USING INDEX message_topic (room=? AND time<?)"),
        (keys::BELOW, "USING PRIMARY KEY (room=? AND (time,id)<(?,?))"),
        (keys::BELOW_UNPAGED, "USING PRIMARY KEY (room=? AND (time,id)<(?,?))"),
        (super::super::search::HIT, "USING PRIMARY KEY (room=? AND time=? AND id=?)"),
        (super::super::search::NICK_BEFORE, "USING INDEX message_nick (room=? AND <expr>=? AND (time,id)<(?,?))"),
        ("SELECT nick FROM chat", "USING INDEX message_nick (room=? AND <expr>=? AND (time,id)<(?,?))"),
    ] {
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
        let parameters = statement.parameter_count();
        let plan = statement.query_map(rusqlite::params_from_iter(vec![1; parameters]), |row| row.get(3));
        let plan: Vec<String> = plan.unwrap().map(Result::unwrap).collect();
        assert!(
            plan.iter().any(|step| step.contains(index)) && !plan.iter().any(|step| step.contains("TEMP B-TREE")),
            "{plan:?} for {query}"
        );
    }
}

/// A statement that is planned anew for every page or key costs more than what it reads.
#[test]
fn plans_are_made_once() {
    let conn = schema::open_writer(None).unwrap();
    for query in [keys::AT, keys::BEHIND, query::DOWN, carry::BEFORE, audit::DOWN] {
        let mut statement = conn.prepare(query).unwrap();
        for time in 0..5 {
            let mut rows = statement.query(params![1, time, [time as u8; 32]]).unwrap();
            assert!(rows.next().unwrap().is_none());
        }
        assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0, "{query}");
    }
}

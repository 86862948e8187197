//! A history on disk judged anew, after somebody, or a disk, has had a hand in it.

use std::{collections::BTreeSet, path::Path};

use distchat_crdt::{Key, Message};
use distchat_node::{Config, Fault, Node, RoomReport, Verified, VerifyError};

use crate::carry::{Random, bundle_of, import, start, talk};

/// Judges a history on disk.
async fn verify(disk: &Path) -> (Vec<Fault>, Vec<RoomReport>) {
    let config =
        Config { profile: "alice".into(), data_dir: Some(disk.to_owned()), offline: true, ..Config::default() };
    let node = Node::start(config).await.unwrap();
    let mut verification = node.verify().await.unwrap();
    let (mut faults, mut reports, mut last) = (Vec::new(), Vec::new(), 0);
    while let Some(verified) = verification.step().await.unwrap() {
        match verified {
            Verified::Store { problems } => faults.extend(problems.into_iter().map(|problem| problem.fault)),
            Verified::Progress { done, of, .. } => {
                assert!(last < done && done <= of, "{last} {done} {of}");
                last = done;
            }
            Verified::Room(report) => {
                reports.push(report);
                last = 0;
            }
        }
    }
    drop(verification);
    node.shutdown().await;
    (faults, reports)
}

fn database(disk: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(disk.join("alice/history.sqlite3")).unwrap()
}

/// Everything that stands in the tables.
fn everything(disk: &Path) -> Vec<Vec<rusqlite::types::Value>> {
    let conn = database(disk);
    let mut all = Vec::new();
    for table in ["room", "message", "head", "claim", "author", "key_page"] {
        let mut statement = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect()).unwrap();
        all.extend(rows.map(Result::unwrap));
    }
    all
}

/// A history of so many messages, and one room more.
async fn history(disk: &Path, messages: &[Message]) -> Key {
    let (node, room) = start("alice", Some(disk)).await;
    import(&room, &bundle_of(messages)).await;
    let own = room.broadcast("one of my own").await.unwrap().key;
    node.open_room(&"other".parse().unwrap()).await.unwrap().broadcast("hello").await.unwrap();
    node.shutdown().await;
    own
}

fn codes(report: &RoomReport) -> BTreeSet<&'static str> {
    report.problems.iter().map(|problem| problem.fault.code()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_history_is_found_healthy_and_left_as_it_is() {
    let disk = tempfile::tempdir().unwrap();
    // Some refer to what is not there: that is not wrong.
    let messages: Vec<Message> = talk(9000, |n| n % 6 == 0).split_off(25);
    history(disk.path(), &messages).await;
    let before = everything(disk.path());
    let (faults, reports) = verify(disk.path()).await;
    assert_eq!(faults, []);
    for (report, expect) in reports.iter().zip([("general", 8977), ("other", 2)]) {
        assert!(report.is_fine(), "{report:?}");
        assert_eq!((report.room.as_str(), report.messages, report.fine), (expect.0, expect.1, expect.1));
    }
    assert_eq!(reports.len(), 2);
    assert!(before == everything(disk.path()), "nothing was changed");
    let (node, room) = start("alice", Some(disk.path())).await;
    assert_eq!(room.fingerprint().await.unwrap().fingerprint, reports[0].fingerprint);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_in_a_history_is_named() {
    let mut random = Random::new();
    let messages = talk(500, |n| n == 100 || n == 105);
    // The edit, what is found, and how many messages are fine of 502.
    type Edit<'a> = (&'static str, Box<dyn Fn(&rusqlite::Connection) + 'a>, &'static [&'static str], u64);
    let key_of = |n: usize| -> Key { messages[n].key() };
    let at = |key: Key| (key.time.0.cast_signed(), key.id.0);
    let flip_at = random.below(messages[200].bytes().len());
    let edits: [Edit<'_>; 9] = [
        (
            "a flipped byte",
            Box::new(|conn| {
                let mut bytes = messages[200].bytes().to_vec();
                bytes[flip_at] ^= 4;
                let changed = conn.execute(
                    "UPDATE message SET bytes = ? WHERE (time, id) = (?, ?)",
                    (bytes, at(key_of(200)).0, at(key_of(200)).1),
                );
                assert_eq!(changed, Ok(1));
            }),
            &["fingerprint", "changed|malformed|other-room"],
            501,
        ),
        (
            "a voucher is gone bad, and with it what it vouches for, and what that vouches for",
            Box::new(|conn| {
                let mut bytes = messages[110].bytes().to_vec();
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
                let (time, id) = at(key_of(110));
                conn.execute("UPDATE message SET bytes = ? WHERE (time, id) = (?, ?)", (bytes, time, id)).unwrap();
            }),
            &["fingerprint", "changed", "unauthentic"],
            499,
        ),
        (
            "a missing row",
            Box::new(|conn| {
                let (time, id) = at(key_of(300));
                assert_eq!(conn.execute("DELETE FROM message WHERE (time, id) = (?, ?)", (time, id)), Ok(1));
            }),
            &["missing"],
            501,
        ),
        (
            "a missing row, taken out behind the triggers' back",
            Box::new(|conn| {
                let (time, id) = at(key_of(300));
                conn.execute_batch("CREATE TABLE spare AS SELECT * FROM key_page").unwrap();
                conn.execute("DELETE FROM message WHERE (time, id) = (?, ?)", (time, id)).unwrap();
                conn.execute_batch("INSERT OR IGNORE INTO key_page SELECT * FROM spare; DROP TABLE spare").unwrap();
            }),
            &["fingerprint", "missing"],
            501,
        ),
        (
            "another fingerprint",
            Box::new(|conn| {
                let (begin, mut keys): (Vec<u8>, Vec<u8>) = conn
                    .query_row("SELECT id, keys FROM key_page WHERE room = 1 ORDER BY time LIMIT 1", [], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })
                    .unwrap();
                keys[39] ^= 1;
                conn.execute("UPDATE key_page SET keys = ? WHERE room = 1 AND id = ?", (keys, begin)).unwrap();
            }),
            &["fingerprint", "listed", "unlisted"],
            502,
        ),
        (
            "a column",
            Box::new(|conn| {
                let (time, id) = at(key_of(7));
                conn.execute("UPDATE message SET seq = seq + 1 WHERE (time, id) = (?, ?)", (time, id)).unwrap();
            }),
            &["column"],
            501,
        ),
        (
            "heads, and what is kept of an author",
            Box::new(|conn| {
                conn.execute_batch("DELETE FROM head WHERE room = 1; UPDATE author SET ranges = x'ff' WHERE room = 1")
                    .unwrap();
            }),
            &["author", "head"],
            502,
        ),
        (
            "things that do not belong there",
            Box::new(|conn| {
                conn.execute_batch(
                    "INSERT INTO message VALUES (1, 'x', 'y', 'z', 0, 0, 0, 0, 'bytes', 0);
                    INSERT INTO message VALUES (1, -5, x'00', 0, 0, 0, 0, 0, 7, 0);
                    INSERT INTO message VALUES (1, 5, zeroblob(32), 0, 0, 0, 0, 0, zeroblob(99999), 0);
                    UPDATE room SET frontier = x'00' WHERE no = 1;",
                )
                .unwrap();
            }),
            &["frontier", "malformed", "row"],
            502,
        ),
        (
            "a room without a name, and one without a row",
            Box::new(|conn| {
                conn.execute_batch("UPDATE room SET name = 'Two Words' WHERE name = 'other'").unwrap();
                conn.execute_batch("INSERT INTO message SELECT 77, time, id, kind, seq, body_at, own, arrived, bytes, late FROM message LIMIT 1").unwrap();
            }),
            &[],
            502,
        ),
    ];
    for (what, edit, expect, fine) in edits {
        let disk = tempfile::tempdir().unwrap();
        history(disk.path(), &messages).await;
        {
            let conn = database(disk.path());
            edit(&conn);
        }
        let before = everything(disk.path());
        let (faults, reports) = verify(disk.path()).await;
        let report = &reports[0];
        let found = codes(report);
        let expected =
            found.len() == expect.len() && expect.iter().all(|codes| codes.split('|').any(|code| found.contains(code)));
        assert!(expected, "{what}: {found:?} {report:#?}");
        assert_eq!(report.fine, fine, "{what}: {report:#?}");
        let gone = expect.contains(&"missing").then(|| key_of(300));
        let named = report.problems.iter().find(|problem| problem.fault == Fault::Missing).and_then(|it| it.at);
        assert_eq!(named, gone, "{what}");
        if what.starts_with("a room without") {
            assert_eq!(faults, [Fault::RoomName(2), Fault::NoRoom(77)]);
        } else {
            assert_eq!(faults, [], "{what}");
            assert!(reports[1].is_fine(), "the other room does not notice");
        }
        assert!(before == everything(disk.path()), "{what}: nothing was changed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_with_holes_in_it_is_judged_as_far_as_it_can_be_read() {
    let mut random = Random::new();
    let disk = tempfile::tempdir().unwrap();
    history(disk.path(), &talk(2000, |_| false)).await;
    let path = disk.path().join("alice/history.sqlite3");
    let before = everything(disk.path());
    let whole = std::fs::read(&path).unwrap();
    for _ in 0..8 {
        let mut damaged = whole.clone();
        // Not the first page, without which there is no database to open.
        let at = 8192 + random.below(whole.len() - 8192 - 512);
        for byte in &mut damaged[at..at + 512] {
            *byte ^= 0x5a;
        }
        std::fs::write(&path, &damaged).unwrap();
        let config = Config {
            profile: "alice".into(),
            data_dir: Some(disk.path().to_owned()),
            offline: true,
            ..Config::default()
        };
        let node = Node::start(config).await.unwrap();
        // What is noticed at the start is seen to there.
        let moved = || std::fs::read_dir(disk.path().join("alice")).unwrap().map(|entry| entry.unwrap().path());
        let moved: Vec<_> =
            moved().filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("history-damaged")).collect();
        if let Ok(mut verification) = node.verify().await {
            let mut wrong = 0;
            loop {
                match verification.step().await {
                    Ok(Some(Verified::Store { problems })) => wrong += problems.len(),
                    Ok(Some(Verified::Room(report))) => wrong += report.problems.len(),
                    Ok(Some(Verified::Progress { .. })) => {}
                    Ok(None) => break,
                    Err(error) => {
                        assert_ne!(error, VerifyError::Interrupted, "512 bytes at {at} made it panic");
                        wrong += 1;
                        break;
                    }
                }
            }
            node.shutdown().await;
            // They may have been no data: pages have space to grow into.
            let noticed = wrong > 0 || !moved.is_empty();
            assert!(noticed || everything(disk.path()) == before, "512 bytes at {at} are not what they were");
        }
        node.shutdown().await;
        moved.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    }
}

//! Damage to the database's rows and to its file, and what is left of a history then.

use std::{
    collections::BTreeSet,
    fs,
    io::{Seek, SeekFrom, Write},
    sync::Arc,
};

use distchat_crdt::{Room, Snapshot, Zip215, clock::Clock, kind};
use rusqlite::params;

use super::*;
use crate::store::salvage::{self, log::State};

pub(super) const ME: u8 = 0;
/// What a page takes in a log.
const FRAME: usize = 24 + 8192;

fn clock() -> Clock {
    let now = distchat_crdt::clock::Now { wall_ms: 1_700_000_000_000, ..Default::default() };
    distchat_crdt::clock::Clocks::default().read(now)
}

/// Two who talk, and what each of them says once; some of it is not here, and some is long.
pub(super) fn talk(count: u64) -> (Room, Vec<Commit>) {
    let id = RoomId::of(&name("general"));
    let room = |author: u8| Room::new(id, keypair(author).author(), Arc::new(Zip215::new([3; 32])));
    let (mut me, mut other) = (room(ME), room(1));
    let mut commits = Vec::new();
    for n in 0..count {
        let long = "long ".repeat(if n % 7 == 0 { 1900 } else { 1 });
        let mine = vec![(if n == 3 { kind::NICK } else { kind::TEXT }, format!("{n} {long}").into_bytes())];
        commits.push(me.say(&keypair(ME), &clock(), mine).0);
        let theirs =
            if n == 5 { (kind::TOPIC, b"topic".to_vec()) } else { (kind::TEXT, format!("you {n}").into_bytes()) };
        let said = other.say(&keypair(1), &clock(), vec![theirs]).0;
        other.merge(commits.last().unwrap().messages.clone());
        // One of them never comes.
        if n != count / 2 {
            commits.push(me.merge(said.messages).commit);
        }
    }
    (me, commits)
}

async fn write(store: &Store, commits: &[Commit]) -> RoomNo {
    let room = store.room(&name("general")).await.unwrap();
    for commit in commits {
        submit(store, room, keypair(ME).author(), commit.clone()).await.await.unwrap().unwrap();
    }
    room
}

/// Opens the history as a node does whose user is told what was found.
pub(super) fn open(path: &Path, own: AuthorId) -> Result<(Store, Vec<String>), StoreError> {
    let opened = salvage::open(path, own)?;
    opened.0.told();
    Ok(opened)
}

/// A history of those commits, closed, in a directory of its own.
pub(super) async fn history(commits: &[Commit]) -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("history.sqlite3");
    let (store, told) = open(&path, keypair(ME).author()).unwrap();
    assert_eq!(told, [""; 0]);
    write(&store, commits).await;
    store.close().await;
    (temp, path)
}

fn messages(commits: &[Commit]) -> Vec<Message> {
    commits.iter().flat_map(|commit| commit.messages.clone()).collect()
}

/// The room as it is without those messages.
fn without(commits: &[Commit], gone: &BTreeSet<Key>) -> Room {
    let mut room = Room::new(RoomId::of(&name("general")), keypair(ME).author(), Arc::new(Zip215::new([4; 32])));
    room.merge(messages(commits).into_iter().filter(|message| !gone.contains(&message.key())).collect());
    room
}

#[track_caller]
fn assert_same(loaded: Loaded, expect: &Room, what: &str) {
    let Loaded { index, snapshot, .. } = loaded;
    let Snapshot { mut heads, mut claims, authors, own, .. } = snapshot;
    assert_eq!(index.root(), expect.fingerprint(), "{what}");
    heads.sort();
    claims.sort();
    assert!(heads.iter().eq(expect.heads()), "{what}");
    assert_eq!(claims, expect.holes().collect::<Vec<_>>(), "{what}");
    assert_eq!(authors.into_iter().collect::<std::collections::BTreeMap<_, _>>(), *expect.authors(), "{what}");
    assert!(own.iter().all(|(key, _)| expect.index().contains(key)), "{what}");
}

#[tokio::test]
async fn whatever_is_altered_in_a_room_is_set_right() {
    let (whole, commits) = talk(30);
    let all = messages(&commits);
    let at = |n: usize| (all[n].key().time.0.cast_signed(), all[n].key().id.0);
    let flipped = |n: usize| {
        let mut bytes = all[n].bytes().to_vec();
        let last = bytes.len() - 70;
        bytes[last] ^= 1;
        bytes
    };
    // What is done, which messages are gone then (the newest own one, where there is none of that number), and whether it is
    // noticed when the room is loaded, or only when it is looked through.
    type Edit<'a> = (&'static str, Box<dyn Fn(&Connection) + 'a>, &'a [usize], bool);
    let sql = |script: &'static str| Box::new(move |conn: &Connection| conn.execute_batch(script).unwrap());
    let edits: [Edit<'_>; 14] = [
        (
            "a message's bytes",
            Box::new(|conn| {
                let (time, id) = at(21);
                conn.execute("UPDATE message SET bytes = ? WHERE time = ? AND id = ?", params![flipped(21), time, id])
                    .unwrap();
            }),
            &[21],
            false,
        ),
        (
            "the newest own message's bytes",
            Box::new(|conn| {
                let n = all.iter().rposition(|message| message.author() == keypair(ME).author()).unwrap();
                let (time, id) = at(n);
                conn.execute("UPDATE message SET bytes = ? WHERE time = ? AND id = ?", params![flipped(n), time, id])
                    .unwrap();
            }),
            &[usize::MAX],
            true,
        ),
        (
            "a kind",
            Box::new(|conn| {
                let (time, id) = at(10);
                conn.execute("UPDATE message SET kind = 77 WHERE time = ? AND id = ?", params![time, id]).unwrap();
            }),
            &[],
            false,
        ),
        ("a row that is none", sql("INSERT INTO message VALUES (1, 5, x'00', 'x', 0, 0, 0, 0, 7, 0)"), &[], false),
        ("a head that is none", sql("UPDATE head SET time = time + 1"), &[], true),
        ("no heads", sql("DELETE FROM head"), &[], true),
        ("a claim", sql("UPDATE claim SET vouched_seq = vouched_seq + 1"), &[], true),
        ("no claims", sql("DELETE FROM claim"), &[], true),
        ("ranges that cannot be read", sql("UPDATE author SET ranges = x'ff'"), &[], true),
        ("ranges", sql("UPDATE author SET ranges = x'0003'"), &[], true),
        ("sums", sql("UPDATE sums SET heads = heads + 1"), &[], true),
        ("no sums", sql("DELETE FROM sums"), &[], true),
        ("no pages of keys", sql("DELETE FROM key_page"), &[], true),
        ("a frontier", sql("UPDATE room SET frontier = x'00'"), &[], true),
    ];
    for (what, edit, gone, at_once) in edits {
        let (_temp, path) = history(&commits).await;
        edit(&Connection::open(&path).unwrap());
        let store = Store::open(Some(&path)).unwrap();
        let room = store.room(&name("general")).await.unwrap();
        let own = keypair(ME).author();
        let mut loaded = store.load(room, own).await.unwrap();
        if !at_once {
            assert_eq!(loaded.mended, None, "{what}");
            store.doubted(room, own).await;
            loaded = store.load(room, own).await.unwrap();
            assert!(loaded.mended.is_some(), "{what}");
        }
        let newest_own = || all.iter().filter(|message| message.author() == own).map(Message::key).max().unwrap();
        let gone = gone.iter().map(|n| all.get(*n).map_or_else(newest_own, Message::key)).collect();
        let expect = without(&commits, &gone);
        assert_eq!(expect.fingerprint() == whole.fingerprint(), gone.is_empty());
        assert_same(loaded, &expect, what);

        // It is so for good, and what was lost comes back as from a peer.
        let mut again = expect;
        let back = again.merge(messages(&commits)).commit;
        if !gone.is_empty() {
            submit(&store, room, own, back).await.await.unwrap().unwrap();
        }
        let loaded = store.load(room, own).await.unwrap();
        assert_eq!(loaded.mended, None, "{what}");
        assert_same(loaded, &whole, what);
        store.close().await;
    }
}

/// Everything that a history's file holds, by the room's own rules.
pub(super) async fn held(store: &Store) -> Index {
    let room = store.room(&name("general")).await.unwrap();
    store.load(room, keypair(ME).author()).await.unwrap().index
}

/// The files of the history that are not in use any more.
pub(super) fn aside(path: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let known = ["history.sqlite3", "search.sqlite3", "search.sqlite3-wal", "search.sqlite3-shm"];
    names.filter(|path| !known.contains(&path.file_name().unwrap().to_str().unwrap())).collect()
}

#[tokio::test]
async fn every_message_is_found_without_the_database() {
    let (whole, commits) = talk(200);
    let (_temp, path) = history(&commits).await;
    // The first page is gone, with all that leads to the others.
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all(&[0x5a; 100]).unwrap();
    let before = fs::read(&path).unwrap();
    let (store, told) = open(&path, keypair(ME).author()).unwrap();
    assert!(told[0].contains("was damaged") && told[0].contains("399 messages"), "{told:?}");
    let loaded = store.load(store.room(&name("general")).await.unwrap(), keypair(ME).author()).await.unwrap();
    assert_same(loaded, &whole, "salvaged");
    store.close().await;
    let [aside] = &aside(&path)[..] else { panic!("one file") };
    assert!(aside.file_name().unwrap().to_str().unwrap().starts_with("history-damaged-2"), "{aside:?}");
    assert!(told[0].contains(aside.to_str().unwrap()), "{told:?}");
    assert_eq!(fs::read(aside).unwrap(), before, "it is as it was");
    let (store, told) = open(&path, keypair(ME).author()).unwrap();
    assert_eq!(told, [""; 0]);
    store.close().await;
}

#[tokio::test]
async fn what_is_only_in_the_log_is_found_too() {
    let (whole, commits) = talk(40);
    let (_temp, path) = history(&commits[..30]).await;
    let store = Store::open(Some(&path)).unwrap();
    write(&store, &commits[30..]).await;
    // As after a kill.
    let copied = tempfile::tempdir().unwrap();
    let there = copied.path().join("history.sqlite3");
    for name in ["", "-wal"] {
        let of = |path: &Path| path.with_file_name(format!("history.sqlite3{name}"));
        fs::copy(of(&path), of(&there)).unwrap();
    }
    store.close().await;
    let mut file = fs::OpenOptions::new().write(true).open(&there).unwrap();
    file.seek(SeekFrom::Start(101)).unwrap();
    file.write_all(&[0xff; 8]).unwrap();
    salvage::note(&there, &StoreError::damaged("as if"));
    let (store, told) = open(&there, keypair(ME).author()).unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(held(&store).await.root(), whole.fingerprint());
    store.close().await;
    assert_eq!(aside(&there).len(), 2, "the log is moved with it: {:?}", aside(&there));
}

/// What a kill leaves of a history whose newest messages are only in the log: its file, and the log's bytes.
pub(super) async fn killed(commits: &[Commit]) -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let (_temp, path) = history(&commits[..10]).await;
    let store = Store::open(Some(&path)).unwrap();
    write(&store, &commits[10..]).await;
    let copied = tempfile::tempdir().unwrap();
    let there = copied.path().join("history.sqlite3");
    fs::copy(&path, &there).unwrap();
    let log = fs::read(path.with_file_name("history.sqlite3-wal")).unwrap();
    store.close().await;
    (copied, there, log)
}

/// Gives a history of its own that file and that log, and what is held of it and told.
async fn with_log(path: &Path, log: &[u8]) -> (Index, Vec<String>) {
    let temp = tempfile::tempdir().unwrap();
    let there = temp.path().join("history.sqlite3");
    fs::copy(path, &there).unwrap();
    fs::write(there.with_file_name("history.sqlite3-wal"), log).unwrap();
    let (store, told) = open(&there, keypair(ME).author()).unwrap();
    let held = held(&store).await;
    store.close().await;
    (held, told)
}

/// Where the last transaction of a log begins, as the number of its first page.
fn last_transaction(log: &[u8]) -> usize {
    let frames = (log.len() - 32) / FRAME;
    let commits = |n: &usize| log[32 + n * FRAME + 4..][..4] != [0; 4];
    (0..frames - 1).rev().find(commits).unwrap() + 1
}

/// What a log of these bytes is taken for.
fn state(log: &[u8]) -> State {
    let temp = tempfile::NamedTempFile::new().unwrap();
    fs::write(temp.path(), log).unwrap();
    salvage::log::state(temp.path()).unwrap()
}

#[tokio::test]
async fn a_log_that_was_changed_anywhere_is_noticed_and_loses_at_most_what_stood_there() {
    let (whole, commits) = talk(20);
    let (_temp, path, log) = killed(&commits).await;
    let (frames, last) = ((log.len() - 32) / FRAME, 32 + last_transaction(&log) * FRAME);
    assert!(frames > 40, "{frames}");
    let changed = |at: usize| {
        let mut changed = log.clone();
        changed[at] ^= 1 << (at % 8);
        changed
    };
    // A fifth of all that is no page, and some of every page.
    let heads = (0..frames).flat_map(|n| (n % 5..24).step_by(5).map(move |at| 32 + n * FRAME + at));
    for at in (0..32).chain(heads).chain((32..log.len()).step_by(4093)) {
        let state = state(&changed(at));
        let noticed = matches!(state, State::Changed(_)) || at > last && state == State::Doubtful;
        assert!(noticed, "a bit of byte {at} of {frames} pages: {state:?}");
    }
    for at in [20, 32 + 9, 32 + 5 * FRAME + 20, 32 + frames / 2 * FRAME + 4000] {
        let (held, told) = with_log(&path, &changed(at)).await;
        let lost = whole.index().len() - held.len();
        assert!(lost <= 1, "{lost} are lost by a bit of byte {at}");
        assert!(matches!(&told[..], [told] if told.contains("was damaged") && told.contains("log")), "{at}: {told:?}");
    }
    // Of the last transaction nobody knows whether it ever was whole.
    let (held, told) = with_log(&path, &changed(log.len() - FRAME + 100)).await;
    assert!(whole.index().len() - held.len() <= 1);
    assert!(matches!(&told[..], [told] if told.contains("was not written whole")), "{told:?}");
}

#[tokio::test]
async fn a_log_that_was_not_finished_is_none_that_was_changed() {
    let (_, commits) = talk(20);
    let (_temp, path, log) = killed(&commits).await;
    // Cut off anywhere, as by a kill.
    for length in (0..log.len()).step_by(9973).chain([1, 31, 32, 33, 32 + FRAME - 1, 32 + FRAME, log.len() - 1]) {
        assert_eq!(state(&log[..length]), State::Sound, "{length} bytes of it");
    }
    // The power fails while the last transaction is written over an older log: a page of it, or a part of one, never came to
    // the disk.
    let (frames, last) = ((log.len() - 32) / FRAME, last_transaction(&log));
    assert!(frames - last > 2, "the last one has several pages");
    for missing in last..frames {
        let mut torn = log.clone();
        let page = &mut torn[32 + missing * FRAME..][..FRAME];
        page[24 + 512..].fill(0x5a);
        assert_eq!(state(&torn), State::Doubtful, "without a part of page {missing} of {frames}");
        torn[32 + missing * FRAME..][..FRAME].fill(0x5a);
        assert_eq!(state(&torn), State::Sound, "without page {missing} of {frames}");
        if missing + 1 == frames {
            assert_eq!(with_log(&path, &torn).await.1, [""; 0]);
        }
    }
}

#[tokio::test]
async fn damage_that_shows_while_it_runs_is_noted_for_the_next_start() {
    let (whole, commits) = talk(100);
    let (_temp, path) = history(&commits).await;
    let bytes = fs::read(&path).unwrap();
    let store = Store::open(Some(&path)).unwrap();
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    // All but the first page, and the last ones.
    file.seek(SeekFrom::Start(8192)).unwrap();
    file.write_all(&vec![0x5a; bytes.len() / 2]).unwrap();
    let own = keypair(ME).author();
    let room = RoomNo(1);
    let error = store.load(room, own).await.err().unwrap();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    store.close().await;
    // As if it were too long to be looked through.
    fs::write(&path, &bytes).unwrap();
    let (store, told) = open(&path, own).unwrap();
    assert!(told[0].contains("was damaged"), "{told:?}");
    assert_eq!(held(&store).await.root(), whole.fingerprint());
    store.close().await;
    let (store, told) = open(&path, own).unwrap();
    assert_eq!(told, [""; 0], "once is enough");
    store.close().await;
}

#[tokio::test]
async fn a_history_of_another_is_taken_over() {
    let (whole, commits) = talk(20);
    let (_temp, path) = history(&commits).await;
    let other = keypair(7).author();
    let (store, told) = open(&path, other).unwrap();
    assert!(told[0].contains("another key") && told[0].contains(&keypair(ME).author().short()), "{told:?}");
    let room = store.room(&name("general")).await.unwrap();
    let loaded = store.load(room, other).await.unwrap();
    assert_eq!((loaded.index.root(), loaded.snapshot.own.len()), (whole.fingerprint(), 0));
    store.close().await;
    assert!(aside(&path)[0].to_str().unwrap().contains(&format!("history-of-{}", keypair(ME).author().short())));
    let (store, told) = open(&path, other).unwrap();
    assert_eq!(told, [""; 0], "it is that author's own by now");
    store.close().await;
}

#[tokio::test]
async fn a_crash_while_the_old_one_is_moved_loses_neither() {
    let (whole, commits) = talk(20);
    let (_temp, path) = history(&commits).await;
    let (_other, made) = history(&commits).await;
    fs::rename(made, path.with_extension("salvaged")).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(path.with_file_name("history.sqlite3-wal"), "of the old one").unwrap();
    let (store, told) = open(&path, keypair(ME).author()).unwrap();
    // An older program has not written down what there is to tell.
    assert!(matches!(&told[..], [told] if told.contains("moved to")), "{told:?}");
    assert_eq!(held(&store).await.root(), whole.fingerprint());
    store.close().await;
    assert_eq!(aside(&path).len(), 1);
}

#[tokio::test]
async fn salvaging_that_was_interrupted_is_told_of_by_the_start_that_finishes_it() {
    let (whole, commits) = talk(20);
    let other = keypair(7).author();
    // For both reasons; before the new history is begun, and in the middle of putting it in its place.
    for (by, word) in [(keypair(ME).author(), "damaged"), (other, "of-")] {
        for obstacle in ["part", "damaged"] {
            let what = format!("{word}, {obstacle}");
            let (_temp, path, log) = killed(&commits).await;
            fs::write(path.with_file_name("history.sqlite3-wal"), &log).unwrap();
            if word == "damaged" {
                let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
                file.write_all(&[0x5a; 100]).unwrap();
            }
            let obstacle = path.with_extension(obstacle);
            fs::create_dir_all(obstacle.join("something")).unwrap();
            assert!(open(&path, by).is_err(), "{what}");
            fs::remove_dir_all(obstacle).unwrap();

            let (store, told) = open(&path, by).unwrap();
            let [told] = &told[..] else { panic!("{what}: {told:?}") };
            let says = |part: &str| assert!(told.contains(part), "{what}: {told:?} lacks {part:?}");
            says(if word == "damaged" { "was damaged (its first bytes" } else { "under another key" });
            says(&format!("{} messages were taken over", whole.index().len()));
            let loaded = store.load(store.room(&name("general")).await.unwrap(), by).await.unwrap();
            assert_eq!(loaded.index.root(), whole.fingerprint(), "{what}");
            store.close().await;
            // Under the name that was told, the log with its file.
            let aside = aside(&path);
            let main = aside.iter().find(|path| path.extension().is_some_and(|end| end == "sqlite3")).unwrap();
            says(main.to_str().unwrap());
            let file = main.file_name().unwrap().to_str().unwrap();
            assert!(file.starts_with(&format!("history-{word}")), "{what}: {file}");
            assert!(aside.iter().all(|path| path.to_str().unwrap().starts_with(main.to_str().unwrap())), "{aside:?}");
            let (store, told) = open(&path, by).unwrap();
            assert_eq!(told, [""; 0], "{what}");
            store.close().await;
        }
    }
}

#[tokio::test]
async fn a_cut_or_foreign_file_gives_what_is_in_it() {
    let (whole, commits) = talk(60);
    let (_temp, path) = history(&commits).await;
    let bytes = fs::read(&path).unwrap();
    for length in [0, 1, 99, 100, 8191, 8192, 20_000, bytes.len() / 2, bytes.len() - 8192, bytes.len() - 1] {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("history.sqlite3");
        fs::write(&path, &bytes[..length]).unwrap();
        fs::write(path.with_file_name("search.sqlite3"), "").unwrap();
        let (store, told) = open(&path, keypair(ME).author()).unwrap();
        assert_eq!(told.len(), 1, "{length}: {told:?}");
        assert!(keys_of(&held(&store).await).iter().all(|key| whole.index().contains(key)), "{length}");
        store.close().await;
    }
    fs::write(&path, "a letter to my aunt, ".repeat(1000)).unwrap();
    let (store, told) = open(&path, keypair(ME).author()).unwrap();
    assert!(told[0].contains("0 messages were taken over"), "{told:?}");
    store.close().await;
    assert!(fs::read_to_string(&aside(&path)[0]).unwrap().starts_with("a letter"));
}

//! Rooms are called what people like, and none of it ever becomes the name of a file.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use distchat_crdt::{Draft, Keypair, RoomId, RoomName, Timestamp, bundle::Writer, kind};
use distchat_tests::{Machine, PATIENCE, is, is_room};
use sha2::{Digest, Sha256};

/// Names of rooms that would mean something as the name of a file, somewhere.
const NAMES: [&str; 18] = [
    "..",
    ".",
    "~",
    "-rf",
    "*",
    "$home",
    "`id`;id",
    "..\\..\\x",
    "c:\\x",
    "con",
    "nul",
    "com1.txt",
    "%2e%2e%2fx",
    "key",
    "lock",
    "socket",
    "history.sqlite3",
    "file:x?mode=memory",
];
/// What a profile's directory may hold.
const FILES: [&str; 10] = [
    "key",
    "lock",
    "socket",
    "history.sqlite3",
    "history.sqlite3-shm",
    "history.sqlite3-wal",
    "search.sqlite3",
    "search.sqlite3-shm",
    "search.sqlite3-wal",
    "search.sqlite3-journal",
];

fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut ahead = vec![directory.to_owned()];
    while let Some(next) = ahead.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                ahead.push(path.clone());
            }
            found.insert(path);
        }
    }
    found
}

#[test]
fn no_room_ever_names_a_file() {
    let machine = Machine::loopback();
    let mut ann = machine.chat("ann").start();
    let profile = ann.launch().profile_dir();
    // As long as a name can be, longer than the name of a file.
    let longest = "\u{10348}".repeat(64);
    let names: Vec<&str> = NAMES.into_iter().chain([longest.as_str()]).collect();
    // In the run directory there are the nodes' peer ids.
    let run = machine.directory().join("run");
    let beside = || {
        let all = files(machine.directory()).into_iter();
        all.filter(|path| !path.starts_with(&profile) && !path.starts_with(&run)).collect::<BTreeSet<_>>()
    };
    let before = beside();
    for name in &names {
        ann.send(&format!("/join {name}"));
        ann.wait_for(name, PATIENCE, |event| is_room(event, name, "open"));
        ann.say_and_wait(&format!("in {name}"));
    }
    ann.stop();
    for name in &names {
        let read = machine.chat("ann").options(["history", "--", name]).run(b"");
        assert_eq!(read.code, Some(0), "{name}: {read:?}");
        let text = format!("in {name}");
        let is_read = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap()["text"] == text.as_str();
        assert!(read.stdout.iter().any(is_read), "{name}: {read:?}");
    }
    assert_eq!(beside(), before, "nothing beside the profile");
    for path in files(&profile) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(path.parent() == Some(&profile) && FILES.contains(&name), "{}", path.display());
    }
}

#[test]
fn what_cannot_name_a_room_is_refused_wherever_it_is_given() {
    let machine = Machine::loopback();
    let mut ann = machine.chat("ann").start();
    let long = "x".repeat(10_000);
    for name in ["../x", "/etc/passwd", "a/../b", "nul\0", "\0", long.as_str()] {
        let mark = ann.mark();
        ann.send_bytes(format!("/join {name}\n").as_bytes());
        let told = ann.wait_from(mark, "a refusal", PATIENCE, |event| is(event, "error"));
        assert!(told.to_string().len() < 1_000, "it does not say all of it again: {told}");
    }
    ann.stop();

    // In a file that somebody else has written.
    let honest = bundle("general");
    for (name, code) in
        [(&b"general"[..], 0), (b"../../../../x", 2), (b"/tmp/x", 2), (b"a\0b", 2), (b"\xff\xfe", 2), (&[b'x'; 256], 2)]
    {
        let file = machine.directory().join("bundle");
        fs::write(&file, renamed(&honest, name)).unwrap();
        let before = files(machine.directory());
        let read = machine.chat("bob").options(["import"]).options([&file]).run(b"");
        assert_eq!(read.code, Some(code), "{read:?}");
        let after = files(machine.directory());
        assert!(after.difference(&before).all(|path| path.starts_with(machine.data_dir())), "{after:?}");
        fs::remove_dir_all(machine.data_dir().join("bob")).unwrap();
    }
}

/// A file with one message of that room.
fn bundle(name: &str) -> Vec<u8> {
    let (room, name) = (RoomId::of(&RoomName::parse(name).unwrap()), RoomName::parse(name).unwrap());
    let time = Timestamp::from_millis(1_700_000_000_000);
    let draft = Draft { room, seq: 0, time, prev: None, seen: Vec::new(), kind: kind::TEXT, body: b"hello".to_vec() };
    let mut writer = Writer::new(Vec::new(), name);
    writer.push(draft.sign(&Keypair::from_seed([7; 32])).unwrap().bytes()).unwrap();
    writer.finish().unwrap()
}

/// The file with another name of the room in all its frames, and checksums that fit, as PROTOCOL.md, section 10, has them.
fn renamed(bundle: &[u8], name: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut left = bundle;
    while !left.is_empty() {
        let (head, rest) = left.split_at(16);
        let before = usize::from(u16::from_be_bytes([head[10], head[11]]));
        let content = u32::from_be_bytes([head[12], head[13], head[14], head[15]]) as usize;
        let mut frame = head.to_vec();
        frame[10..12].copy_from_slice(&u16::try_from(name.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(name);
        frame.extend_from_slice(&rest[before..before + content]);
        let checksum = Sha256::new().chain_update(b"distchat/1/bundle\0").chain_update(&frame).finalize();
        file.extend_from_slice(&frame);
        file.extend_from_slice(&checksum);
        left = &rest[before + content + checksum.len()..];
    }
    file
}

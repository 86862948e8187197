//! What keeps the program from starting: one line that says what is wrong, an exit code, and nothing changed.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::PathBuf};

use distchat_tests::{Finished, Launch, Machine};

const USAGE: i32 = 2;
const IN_USE: i32 = 3;
const KEY: i32 = 4;
const STORE: i32 = 5;
const NETWORK: i32 = 6;

/// Where SQLite's file format keeps the number that PRAGMA user_version sets, most significant byte first.
const USER_VERSION: std::ops::Range<usize> = 60..64;

#[test]
fn options_that_make_no_sense() {
    let refused = |options: &[&str]| Machine::loopback().chat("ann").options(options).refused();
    let too_long = "x".repeat(65);
    for room in [too_long.as_str(), "", " ", "two words", "a/b", "bell\u{7}"] {
        let finished = refused(&["--room", room]);
        assert_eq!(finished.code, Some(USAGE), "--room {room:?}: {finished:?}");
        assert!(!finished.stderr.is_empty());
        assert!(!finished.stderr.concat().contains('\u{7}'), "what is refused is escaped, too: {finished:?}");
    }
    for options in [&["--frobnicate"][..], &["--linger", "soon"]] {
        assert_eq!(refused(options).code, Some(USAGE), "{options:?}");
    }
    // A profile is a directory; its name must not lead out of where they all are.
    for name in ["../../etc", "..", "a/b", ""] {
        let finished = Machine::loopback().chat("ann").bare().options(["--name", name]).refused();
        assert_eq!(finished.code, Some(USAGE), "--name {name:?}: {finished:?}");
    }
}

#[test]
fn an_address_that_is_none() {
    for option in ["--connect", "--listen"] {
        let finished = Machine::loopback().chat("ann").options([option, "nonsense"]).refused();
        assert!(matches!(finished.code, Some(USAGE | NETWORK)), "{option}: {finished:?}");
        assert!(finished.stderr.concat().contains("nonsense"), "it says which: {finished:?}");
    }
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let finished = Machine::loopback().chat("ann").listen(&format!("/ip4/127.0.0.1/tcp/{port}")).refused();
    assert_refused(&finished, NETWORK, &port.to_string());
}

#[test]
fn a_profile_that_is_in_use() {
    let machine = Machine::loopback();
    let ann = machine.chat("ann").start();
    // Everything else would use the node that runs.
    let finished = machine.chat("ann").options(["daemon"]).refused();
    assert_refused(&finished, IN_USE, "ann");
    ann.say_and_wait("not disturbed");
    machine.chat("bob").start();
}

#[test]
fn a_lock_of_a_process_that_is_gone_is_none() {
    let machine = Machine::loopback();
    let mut ann = machine.chat("ann").start();
    ann.kill9();
    machine.chat("ann").start();
}

#[test]
fn a_key_that_cannot_be_read() {
    for key in [&b"not a key\n"[..], b"", b"00ff", &[0xff; 64]] {
        let launch = used_profile();
        let path = launch.profile_dir().join("key");
        fs::write(&path, key).unwrap();
        let finished = launch.clone().refused();
        assert_refused(&finished, KEY, "key");
        assert_eq!(fs::read(&path).unwrap(), key, "what may be a damaged identity is not replaced by a new one");
    }
}

#[test]
fn the_key_is_for_its_owner_only() {
    let launch = used_profile();
    let key = launch.profile_dir().join("key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(key).unwrap();
    assert!(text.trim().len() == 64 && text.trim().chars().all(|digit| digit.is_ascii_hexdigit()), "32 bytes in hex");
}

#[test]
fn a_store_of_a_newer_version() {
    let (launch, path) = used_store();
    let mut bytes = fs::read(&path).unwrap();
    bytes[USER_VERSION].copy_from_slice(&9_999_u32.to_be_bytes());
    fs::write(&path, &bytes).unwrap();
    let finished = launch.clone().refused();
    assert_refused(&finished, STORE, "newer");
    assert_eq!(fs::read(&path).unwrap(), bytes, "it is left to the version that can read it");
}

#[test]
fn a_store_that_cannot_be_opened() {
    let (launch, path) = used_store();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_refused(&launch.clone().refused(), STORE, "history.sqlite3");
}

/// That code, one line, and this in it.
fn assert_refused(finished: &Finished, code: i32, word: &str) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    assert_eq!(finished.stderr.len(), 1, "one line: {finished:?}");
    assert!(finished.stderr[0].contains(word), "{word:?} is in it: {finished:?}");
    assert!(!finished.stdout.iter().any(|line| line.contains("\"ready\"")), "it never was ready: {finished:?}");
}

/// A profile that was used and left in good order.
fn used_profile() -> Launch {
    let mut chat = Machine::loopback().chat("ann").start();
    chat.say_and_wait("something to lose");
    chat.stop();
    chat.launch().clone()
}

/// A profile as above, and its store, all in the one file.
fn used_store() -> (Launch, PathBuf) {
    let launch = used_profile();
    let path = launch.profile_dir().join("history.sqlite3");
    for beside in ["history.sqlite3-wal", "history.sqlite3-shm"] {
        let beside = launch.profile_dir().join(beside);
        assert!(!beside.exists() || fs::metadata(&beside).unwrap().len() == 0, "an orderly end leaves one file");
        let _ = fs::remove_file(beside);
    }
    (launch, path)
}

//! A history whose bytes were changed, cut off or exchanged, beside a peer who has everything: what it was comes back, whatever
//! was done to the file, and what cannot be used is moved aside and never lost.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use distchat_tests::{Chat, Finished, Launch, Machine, PATIENCE, is, is_room};
use serde_json::Value;

use crate::{carry::Random, common::pair};

/// The size of a page of the database.
const PAGE: usize = 8192;
/// Where the file says which version's tables it has: another number there is another version's history.
const USER_VERSION: std::ops::Range<usize> = 60..64;

/// Two who have talked: one whose history is damaged now and again, and one who has everything.
struct Pair {
    ann: Chat,
    bob: Chat,
    /// Ann's history as it was.
    whole: Vec<u8>,
    /// What everybody holds.
    fingerprint: Value,
    texts: BTreeSet<String>,
    random: Random,
}

impl Pair {
    fn new() -> Self {
        let machine = Machine::loopback();
        let (mut ann, bob) = pair(&machine, &["general", "other"]);
        for n in 0..40 {
            // Some are longer than what a page of the database holds in one piece.
            let long = "and so on ".repeat(if n % 10 == 7 { 600 } else { 3 });
            ann.say(&format!("ann {n} {long}"));
            bob.say(&format!("bob {n}"));
        }
        for command in
            ["/topic what there is to say", "/nick annie", "/me waves", "/join other", "elsewhere", "/join general"]
        {
            ann.send(command);
        }
        ann.say_and_wait("the last of ann");
        bob.say_and_wait("the last of bob");
        ann.wait_text("the last of bob");
        bob.wait_text("the last of ann");
        let fingerprint = agreed(&ann, &bob);
        let texts = texts(&ann.ask("/history 1000", "history"));
        assert!(texts.len() > 80, "{texts:?}");
        ann.stop();
        let whole = fs::read(history(&ann)).unwrap();
        Self { ann, bob, whole, fingerprint, texts, random: Random::new() }
    }

    /// Gives Ann this history, starts her, and waits until she has again what everybody has. Whatever is lost of it she is told.
    fn heals(&mut self, history: &[u8], log: Option<&[u8]>, what: &str) {
        self.ann.kill9();
        replace(&self.ann, history, log);
        self.tells_what_is_lost(what);
        replace(&self.ann, history, log);
        self.ann.restart();
        let (mut again, deadline) = (false, Instant::now() + PATIENCE);
        loop {
            let mark = self.ann.mark();
            self.ann.send("/history 1000");
            let failed = |event: &Value| is(event, "error") || is_room(event, "general", "failed");
            let told = self.ann.wait_from(mark, what, PATIENCE, |event| is(event, "history") || failed(event));
            if is(&told, "history") && texts(&told) == self.texts {
                if self.ann.ask("/fingerprint", "fingerprint")["fingerprint"] == self.fingerprint {
                    break;
                }
            } else if !again && self.ann.events().iter().any(|event| is_room(event, "general", "failed")) {
                // Damage that shows only while it runs is seen to by the next start.
                again = true;
                self.ann.restart();
            }
            if Instant::now() > deadline {
                self.ann.fail(&format!("it does not come back: {what}"));
            }
            self.ann.pause(mark, Duration::from_millis(20));
        }
        has_not_panicked(&self.ann, what);
        assert_eq!(self.bob.ask("/fingerprint", "fingerprint")["fingerprint"], self.fingerprint, "{what}");
    }

    /// Starts Ann where she finds nobody: she has all that she had, or is told that her history was damaged.
    fn tells_what_is_lost(&self, what: &str) {
        let nobody = directory(&self.ann).with_file_name("nobody");
        let alone = self.ann.launch().clone().env("DISTCHAT_RUN_DIR", nobody.to_str().unwrap()).start();
        let damaged = |event: &Value| {
            let says = |message: &str| ["damaged", "gone or empty"].iter().any(|word| message.contains(word));
            is(event, "error") && event["message"].as_str().is_some_and(says)
        };
        alone.send("/history 1000");
        let told = alone.wait_for(what, PATIENCE, |event| is(event, "history") || damaged(event));
        if is(&told, "history") && texts(&told) != self.texts {
            // She may be told in a moment.
            alone.wait_for(&format!("that it was damaged, for not all is there: {what}"), PATIENCE, damaged);
        }
        has_not_panicked(&alone, what);
    }
    fn flipped(&mut self, at: usize) -> Vec<u8> {
        let mut bytes = self.whole.clone();
        bytes[at] ^= 1 << self.random.below(8);
        bytes
    }
}

#[test]
fn a_flipped_bit_is_noticed_and_what_was_there_comes_back() {
    let mut pair = Pair::new();
    // One on a page of each kind, and some in the first bytes, without which nothing else can be read.
    let mut places: Vec<usize> =
        vec![pair.random.below(16), 16 + pair.random.below(40), PAGE / 2 + pair.random.below(PAGE / 2)];
    let kinds: BTreeSet<u8> = pair.whole.chunks(PAGE).map(|page| page[0]).collect();
    for kind in kinds {
        let pages: Vec<usize> = (1..pair.whole.len() / PAGE).filter(|page| pair.whole[page * PAGE] == kind).collect();
        if let Some(page) = pages.get(pair.random.below(pages.len().max(1))) {
            // Its header, and somewhere in it.
            places.push(page * PAGE + pair.random.below(8));
            places.push(page * PAGE + pair.random.below(PAGE));
        }
    }
    for at in places {
        let bytes = pair.flipped(at);
        pair.heals(&bytes, None, &format!("a bit of byte {at}"));
    }
}

/// What was said last is only in the log when a process is killed.
#[test]
fn a_flipped_bit_of_the_log_is_noticed_and_what_was_there_comes_back() {
    const FRAME: usize = 24 + PAGE;
    let mut pair = Pair::new();
    pair.ann.restart();
    for n in 0..10 {
        pair.ann.say_and_wait(&format!("only in the log {n}"));
    }
    pair.fingerprint = agreed(&pair.ann, &pair.bob);
    pair.texts = texts(&pair.ann.ask("/history 1000", "history"));
    pair.ann.kill9();
    let (whole, log) = (fs::read(history(&pair.ann)).unwrap(), fs::read(in_log(&pair.ann)).unwrap());
    let frames = (log.len() - 32) / FRAME;
    assert!(frames >= 10, "{frames}");
    let commits = |frame: &usize| log[32 + frame * FRAME + 4..][..4] != [0; 4];
    let last_begins = 32 + ((0..frames - 1).rev().find(commits).unwrap() + 1) * FRAME;
    // In its first bytes, in what stands before a page, and in a page: in the first, in the midst and in the last.
    let mut places = vec![pair.random.below(32)];
    let last = frames - 1;
    for frame in [0, pair.random.below(last), last] {
        places.push(32 + frame * FRAME + pair.random.below(24));
        places.push(32 + frame * FRAME + 24 + pair.random.below(PAGE));
    }
    for at in places {
        let mut changed = log.clone();
        changed[at] ^= 1 << pair.random.below(8);
        pair.heals(&whole, Some(&changed), &format!("a bit of byte {at} of the log"));
        // Of the last transaction nobody knows whether it ever was whole.
        let doubt =
            |event: &Value| event["message"].as_str().is_some_and(|message| message.contains("was not written whole"));
        let in_doubt = at > last_begins && pair.ann.events().iter().any(|event| doubt(event));
        assert!(
            in_doubt || moved_aside(&pair.ann).len() == 1,
            "byte {at} of the log: it is noticed\n{}",
            pair.ann.report()
        );
    }
}

/// All of it, in steps of as many bytes as `DISTCHAT_DAMAGE_STEP` says.
#[test]
#[ignore = "it takes a quarter of an hour"]
fn every_byte_in_turn() {
    let mut pair = Pair::new();
    let step = std::env::var("DISTCHAT_DAMAGE_STEP").ok().and_then(|step| step.parse().ok()).unwrap_or(61);
    let mut at = pair.random.below(step);
    while at < pair.whole.len() {
        if !USER_VERSION.contains(&at) {
            let bytes = pair.flipped(at);
            pair.heals(&bytes, None, &format!("a bit of byte {at}"));
        }
        at += step;
    }
}

#[test]
fn a_history_that_was_cut_off_comes_back() {
    let mut pair = Pair::new();
    let length = pair.whole.len();
    let lengths =
        [0, 1 + pair.random.below(99), PAGE, PAGE + pair.random.below(PAGE), pair.random.below(length), length - 1];
    for length in lengths {
        let bytes = pair.whole[..length].to_vec();
        pair.heals(&bytes, None, &format!("cut off after {length} bytes"));
    }
}

const NEWS: &str = "here I am";

#[test]
fn the_history_of_another_profile_is_taken_over_and_kept() {
    let mut pair = Pair::new();
    pair.bob.stop();
    let (of_ann, of_bob) = (pair.whole.clone(), fs::read(history(&pair.bob)).unwrap());
    for (chat, own, foreign) in [(&mut pair.ann, &of_ann, &of_bob), (&mut pair.bob, &of_bob, &of_ann)] {
        assert_ne!(own, foreign);
        replace(chat, foreign, None);
        chat.restart();
        chat.wait_told("another key", PATIENCE);
        // What the other one has said since may be there already.
        let mut there = texts(&chat.ask("/history 1000", "history"));
        there.remove(NEWS);
        assert_eq!(there, pair.texts);
        let kept = moved_aside(chat);
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert_eq!(&fs::read(&kept[0]).unwrap(), foreign, "it is kept as it was");
        // Whoever it is goes on where they were.
        chat.say_and_wait(NEWS);
    }
    let forked = |event: &std::sync::Arc<Value>| is(event, "forked");
    let fingerprint = agreed(&pair.ann, &pair.bob);
    assert_ne!(fingerprint, pair.fingerprint);
    assert!(!pair.ann.events().iter().chain(&pair.bob.events()).any(forked));
}

#[test]
fn what_nobody_else_has_is_saved_from_a_damaged_file() {
    let mut ann = Machine::loopback().chat("ann").room("general").start();
    for n in 0..30 {
        ann.say(&format!("nobody heard {n}"));
    }
    ann.say_and_wait("of it");
    ann.stop();
    let mut bytes = fs::read(history(&ann)).unwrap();
    // The database cannot read anything of it any more.
    bytes[..100].fill(0);
    replace(&ann, &bytes, None);
    ann.restart();
    let told = ann.wait_told("was damaged", PATIENCE);
    let kept = moved_aside(&ann);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(told.contains(kept[0].to_str().unwrap()), "it says where it is: {told}");
    assert_eq!(fs::read(&kept[0]).unwrap(), bytes, "it is kept as it was");
    assert_eq!(texts(&ann.ask("/history 1000", "history")).len(), 31);
    let next = ann.say_and_wait("and the next");
    assert!(!ann.events().iter().any(|event| is(event, "forked")), "it follows what was saved: {next:?}");
    ann.stop();
    let verified = ann.launch().clone().options(["verify"]).run(b"");
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn a_message_that_was_set_aside_is_told_until_it_is_back() {
    let mut ann = Machine::loopback().chat("ann").room("general").start();
    ann.say_and_wait("one");
    ann.say_and_wait("two");
    ann.stop();
    let mut bytes = fs::read(history(&ann)).unwrap();
    let at = bytes.windows(3).rposition(|window| window == b"one").unwrap();
    bytes[at] ^= 1;
    replace(&ann, &bytes, None);
    ann.restart();
    ann.wait_told("damaged on disk", PATIENCE);
    assert_eq!(texts(&ann.ask("/history 1000", "history")), BTreeSet::from(["two".to_owned()]));
    assert_eq!(ann.ask("/fingerprint", "fingerprint")["missing"], 1, "it is known to be missing");
    ann.stop();
    let verified = ann.launch().clone().options(["verify"]).run(b"");
    assert!(verified.code != Some(0) && said(&verified, "set-aside"), "{verified:?}");
}

/// A panic that something caught is one all the same.
#[track_caller]
fn has_not_panicked(chat: &Chat, what: &str) {
    assert!(!chat.stderr().iter().any(|line| line.contains("panic")), "{what}: {}", chat.report());
}

fn said(finished: &Finished, word: &str) -> bool {
    finished.stdout.iter().chain(&finished.stderr).any(|line| line.contains(word))
}

/// Waits until both hold the same, and says what.
fn agreed(ann: &Chat, bob: &Chat) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mark = ann.mark();
        let [here, there] = [ann, bob].map(|chat| chat.ask("/fingerprint", "fingerprint")["fingerprint"].clone());
        if here == there {
            return here;
        }
        assert!(Instant::now() < deadline, "{} {}", ann.report(), bob.report());
        ann.pause(mark, Duration::from_millis(50));
    }
}

fn texts(history: &Value) -> BTreeSet<String> {
    let messages = history["messages"].as_array().unwrap();
    messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}

fn directory(chat: &Chat) -> PathBuf {
    let launch: &Launch = chat.launch();
    launch.profile_dir()
}

fn history(chat: &Chat) -> PathBuf {
    directory(chat).join("history.sqlite3")
}

fn in_log(chat: &Chat) -> PathBuf {
    directory(chat).join("history.sqlite3-wal")
}

/// Puts these bytes in the place of the history and of its log, and takes away what belongs to another one.
fn replace(chat: &Chat, bytes: &[u8], log: Option<&[u8]>) {
    for file in ["history.sqlite3-wal", "history.sqlite3-shm", "history.damaged"] {
        let _ = fs::remove_file(directory(chat).join(file));
    }
    moved_aside(chat).iter().for_each(|path| fs::remove_file(path).unwrap());
    fs::write(history(chat), bytes).unwrap();
    if let Some(log) = log {
        fs::write(in_log(chat), log).unwrap();
    }
}

/// The histories that were moved aside.
fn moved_aside(chat: &Chat) -> Vec<PathBuf> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let files = fs::read_dir(directory(chat)).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| name(path).starts_with("history-") && name(path).ends_with(".sqlite3")).collect()
}

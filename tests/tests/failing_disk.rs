//! Disks that are full or fail while the program runs: nothing is acknowledged that is not there, what is there can be read
//! and is served, and once the disk works the program goes on by itself.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use distchat_tests::{
    Chat, Finished, Launch, Machine, PATIENCE, SmallDisk,
    faults::{DiskError, FaultyDisk, Operations},
    is, is_room, skip,
};

use crate::common::texts;

/// Larger than what a disk must have left to count as working.
const SMALL: u64 = 48 << 20;

/// Says things until one is refused; the refusal's text.
fn say_until_refused(chat: &Chat, what: &str) -> String {
    let refused = |event: &serde_json::Value| is(event, "error") && event["code"] == "room-paused";
    for number in 0..1000 {
        let (mark, text) = (chat.mark(), format!("{what} {number} {}", "x".repeat(4000)));
        chat.say(&text);
        let told = chat.wait_from(mark, "it said or refused", PATIENCE, |event| {
            refused(event) || (is(event, "message") && event["text"] == text.as_str())
        });
        if refused(&told) {
            return told["message"].as_str().unwrap().to_owned();
        }
    }
    chat.fail("the disk does not get full")
}

fn wait_state(chat: &Chat, since: distchat_tests::Mark, state: &str) {
    chat.wait_from(since, &format!("the room to be {state}"), PATIENCE, |event| is_room(event, "general", state));
}

/// All that a chat has ever acknowledged is in its history, and nothing else of its own.
fn check_nothing_lost(chat: &Chat) {
    let acknowledged: BTreeSet<String> = chat.reported().into_iter().map(|message| message.id).collect();
    let history = chat.history();
    let author = chat.author();
    let own = history.iter().filter(|message| message.author == author).map(|message| message.id.clone());
    let own: BTreeSet<String> = own.collect();
    assert_eq!(own, acknowledged, "{}", chat.report());
}

fn errors(chat: &Chat, code: &str) -> usize {
    chat.events().iter().filter(|event| is(event, "error") && event["code"] == code).count()
}

#[test]
fn a_full_disk_is_told_served_from_and_gone_on_with() {
    let Some(disk) = skip::small_disk_or_skip(SMALL) else { return };
    let machine = Machine::loopback();
    let on_disk = |launch: Launch, disk: &SmallDisk| launch.data_dir(disk.path());
    let mut ann = on_disk(machine.chat("ann"), &disk).room("general").start();
    ann.say_and_wait("before");
    let mark = ann.mark();
    disk.fill();
    let told = say_until_refused(&ann, "too much");
    let history = disk.path().join("ann").join("history.sqlite3");
    for part in [history.to_str().unwrap(), "no space is left", "free some", "`general`"] {
        assert!(told.contains(part), "{told:?} lacks {part:?}");
    }
    wait_state(&ann, mark, "paused");
    // Reading goes on, and so does serving: who comes now gets what is there.
    check_nothing_lost(&ann);
    let bob = machine.chat("bob").room("general").start();
    bob.wait_text("before");
    bob.say_and_wait("ann's disk is full");
    let asked = ann.mark();
    ann.say("is it still?");
    ann.wait_from(asked, "it to be refused again", PATIENCE, |event| {
        is(event, "error") && event["code"] == "room-paused"
    });
    check_nothing_lost(&ann);
    assert_eq!(errors(&ann, "disk"), 1, "it is told once\n{}", ann.report());

    let mark = ann.mark();
    disk.free();
    wait_state(&ann, mark, "open");
    ann.wait_text("ann's disk is full");
    let said = ann.say_and_wait("it is not any more");
    bob.wait_for("what ann says after that", PATIENCE, |event| event["id"] == said.id.as_str());
    let both = [ann.fingerprint(), bob.fingerprint()];
    assert_eq!(both[0], both[1]);
    assert_eq!(errors(&ann, "disk"), 1, "{}", ann.report());
    ann.restart();
    check_nothing_lost(&ann);
    assert!(texts(&ann.history()).contains(&"before"));
}

#[test]
fn what_does_not_start_for_lack_of_space_says_so() {
    let Some(disk) = skip::small_disk_or_skip(SMALL) else { return };
    let machine = Machine::loopback();
    let chat = |name| machine.chat(name).data_dir(disk.path()).room("general");
    let mut ann = chat("ann").start();
    ann.say_and_wait("before");
    ann.stop();
    disk.fill();
    let told = |finished: &Finished, name: &str| {
        let told = finished.stderr.join("\n");
        assert!(told.contains("space"), "{name}: {told}");
        assert!(told.contains(disk.path().join(name).to_str().unwrap()), "{name}: {told}");
    };
    let refused = chat("new").refused();
    assert_ne!(refused.code, Some(0));
    told(&refused, "new");
    // What is there is read, if nothing has to be written for it, which is for SQLite to say.
    let read = machine.chat("ann").data_dir(disk.path()).options(["history", "general"]).run(b"");
    match read.code {
        Some(0) => assert!(read.stdout.concat().contains("before"), "{read:?}"),
        _ => told(&read, "ann"),
    }
    disk.free();
    let ann = chat("ann").start();
    assert_eq!(texts(&ann.history()), ["before"]);
}

/// Makes the disk fail, says something, reads, mends the disk, and sees all of it come right.
fn fail_and_mend(operations: Operations, error: DiskError) {
    let machine = Machine::loopback();
    let Some(disk) = skip::faulty_disk_or_skip(&machine) else { return };
    let mut ann = disk.under(machine.chat("ann").room("general")).start();
    ann.say_and_wait("it works");
    let mark = ann.mark();
    disk.fail_all(operations, error);
    let told = say_until_refused(&ann, "lost");
    assert!(told.contains("history.sqlite3"), "{told}");
    wait_state(&ann, mark, "paused");
    if operations == Operations::Changes {
        check_nothing_lost(&ann);
    }
    let mark = ann.mark();
    disk.mend();
    wait_state(&ann, mark, "open");
    ann.say_and_wait("it works again");
    check_nothing_lost(&ann);
    ann.restart();
    check_nothing_lost(&ann);
}

#[test]
fn a_disk_that_fails_is_waited_for() {
    thread::scope(|scope| {
        for error in [DiskError::Io, DiskError::Full, DiskError::ReadOnly] {
            scope.spawn(move || fail_and_mend(Operations::Changes, error));
        }
        // Not even reading works: whoever asks is told.
        scope.spawn(|| fail_and_mend(Operations::All, DiskError::Io));
    });
}

/// Somebody on that disk who has said four megabytes in three hundred messages.
fn talkative(machine: &Machine, disk: &FaultyDisk) -> Chat {
    let ann = disk.under(machine.chat("ann").room("general")).start();
    for n in 0..300 {
        ann.say(&format!("{n} {}", "x".repeat(15_000)));
    }
    ann.wait_for("all of it", PATIENCE, |event| event["text"].as_str().is_some_and(|text| text.starts_with("299 ")));
    ann
}

/// It is looked through for damage while it is used.
#[test]
fn one_read_that_fails_while_the_history_is_looked_through_stops_nothing() {
    let machine = Machine::loopback();
    let Some(disk) = skip::faulty_disk_or_skip(&machine) else { return };
    let mut ann = talkative(&machine, &disk);
    ann.restart();
    wait_state(&ann, distchat_tests::Mark::START, "open");
    let mark = ann.mark();
    disk.fail(Operations::Reads, DiskError::Io, 1, 2);
    let deadline = Instant::now() + PATIENCE;
    while disk.counted().1 == 0 {
        assert!(Instant::now() < deadline, "nothing is read: {}", ann.report());
        ann.pause(ann.mark(), Duration::from_millis(20));
    }
    ann.say_and_wait("all is well");
    let not_well = |event: &serde_json::Value| is(event, "error") || is(event, "room") && event["state"] != "open";
    assert!(!ann.events_from(mark).iter().any(|event| not_well(event)), "{}", ann.report());
    // Nor is there any damage to be found by the next start.
    ann.restart();
    assert_eq!(ann.history().len(), 301);
    assert_eq!(errors(&ann, "profile"), 0, "{}", ann.report());
}

/// A part of a disk may be gone for good. What stood there is lost, and nothing else.
#[test]
fn what_a_disk_does_not_give_is_all_that_is_lost() {
    let machine = Machine::loopback();
    let Some(disk) = skip::faulty_disk_or_skip(&machine) else { return };
    let mut ann = talkative(&machine, &disk);
    ann.stop();
    // As the program leaves it when it finds damage.
    std::fs::write(ann.launch().profile_dir().join("history.damaged"), "as a test says").unwrap();
    disk.fail(Operations::Reads, DiskError::Io, 200, 203);
    ann.restart();
    let told = ann.wait_told("taken over", PATIENCE);
    assert!(told.contains("was damaged (as a test says)") && told.contains("cannot be used any more"), "{told}");
    assert_eq!(disk.counted().1, 3);
    // On a page are the beginnings of at most four of them.
    let held = ann.history().len();
    assert!((288..300).contains(&held), "{held} of 300 are left: {told}");
}

/// Says it until it is said: what is refused meanwhile is refused because the room is paused, and it goes on by itself.
fn say_stubbornly(chat: &Chat, text: &str) {
    loop {
        let mark = chat.mark();
        chat.say(text);
        let told = chat.wait_from(mark, "it said or refused", PATIENCE, |event| {
            (is(event, "error") && event["code"] != "disk") || (is(event, "message") && event["text"] == text)
        });
        if is(&told, "message") {
            return;
        }
        assert_eq!(told["code"], "room-paused", "{}", chat.report());
        if chat.ask("/rooms", "rooms")["rooms"][0]["state"] == "paused" {
            wait_state(chat, mark, "open");
        }
    }
}

/// Where one operation fails.
#[derive(Clone, Copy, Debug)]
enum Where {
    /// Of those that the very first start takes, from making the profile to the end.
    FirstStart,
    /// Of those that a run takes from its start to its end.
    Start,
    /// Of those that it takes to say something.
    Running,
}

/// One operation fails of those that it takes to say something: the room may pause, or not notice; it never fails. Whether an
/// operation did fail.
fn fail_while_it_runs(machine: &Machine, disk: &FaultyDisk, error: DiskError, nth: u64) -> bool {
    let mut ann = disk.under(machine.chat("ann").room("general")).start();
    ann.say_and_wait("a start");
    disk.fail(Operations::All, error, nth, nth + 1);
    for number in 0..3 {
        say_stubbornly(&ann, &format!("{error:?} at {nth}, {number}"));
    }
    let (_, failed) = disk.counted();
    // Or it is the question for the history that meets it, whose answer is that it cannot be read.
    disk.mend();
    check_nothing_lost(&ann);
    ann.restart();
    check_nothing_lost(&ann);
    failed > 0
}

/// A run on that disk from its start to its end.
fn run(machine: &Machine, disk: &FaultyDisk, input: &str) -> Finished {
    disk.under(machine.chat("ann").room("general").options(["--linger", "0"])).run(input.as_bytes())
}

/// One operation fails of those that a run takes, from its start to its end: it says so and ends, or does what it was told.
/// Afterwards all is as if nothing had been. Whether an operation did fail.
fn fail_from_its_start(machine: &Machine, disk: &FaultyDisk, error: DiskError, nth: u64, first: bool) -> bool {
    let run = |input: &str| run(machine, disk, input);
    let said =
        |run: &Finished, text: &str| run.stdout.iter().any(|line| line.contains("\"message\"") && line.contains(text));
    assert!(first || said(&run("before\n"), "before"));
    disk.fail(Operations::All, error, nth, nth + 1);
    let faulty = run("with a fault\n");
    let acknowledged = said(&faulty, "with a fault");
    let told = faulty.code != Some(0) || faulty.stdout.iter().any(|line| line.contains("\"error\""));
    assert!(acknowledged || told, "{error:?} at {nth} was swallowed: {faulty:?}");
    assert!(faulty.code.is_some(), "{error:?} at {nth}: {faulty:?}");
    let (_, failed) = disk.counted();
    disk.mend();
    let after = run("afterwards\n/history\n");
    assert_eq!(after.code, Some(0), "{error:?} at {nth}: {after:?}");
    let held = |text: &str| after.stdout.iter().any(|line| line.contains("\"history\"") && line.contains(text));
    assert!(held("afterwards"), "{error:?} at {nth}: {after:?}");
    assert!(first || held("before"), "{error:?} at {nth}: {after:?}");
    assert!(!acknowledged || held("with a fault"), "{error:?} at {nth}: {after:?}");
    // What has become of its key is no new one, once somebody has seen it.
    let author = |run: &Finished| run.stdout.iter().find_map(|line| author_of(line));
    if let Some(before) = author(&faulty) {
        assert_eq!(author(&after), Some(before), "{error:?} at {nth}: {after:?}");
    }
    failed > 0
}

/// Who a chat is, by its first line.
fn author_of(line: &str) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    is(&event, "ready").then(|| event["author"].as_str().map(str::to_owned)).flatten()
}

/// At every `step`-th operation, from the `first` on, of so many as it takes.
fn fail_at_each(first: u64, step: usize) {
    let machine = Machine::loopback();
    let Some(disk) = skip::faulty_disk_or_skip(&machine) else { return };
    let count = |work: &dyn Fn()| {
        disk.count(Operations::All);
        work();
        disk.counted().0
    };
    let run = || drop(run(&machine, &disk, "with a fault\n"));
    let (first_start, start) = (count(&run), count(&run));
    let ann = disk.under(machine.chat("ann").room("general")).start();
    ann.say_and_wait("a start");
    let running = count(&|| (0..3).for_each(|number| drop(ann.say_and_wait(&format!("counted {number}")))));
    drop(ann);
    assert!(
        start > 10 && first_start > start && running > 10,
        "{first_start} {start} {running} are too few operations"
    );
    let places = [(Where::FirstStart, first_start), (Where::Start, start), (Where::Running, running)];
    let mut cases = Vec::new();
    for error in [DiskError::Io, DiskError::Full] {
        for (place, count) in places {
            cases.extend((first..=count).step_by(step).map(|nth| (error, nth, place)));
        }
    }
    let (count, cases, failed) = (cases.len(), Mutex::new(cases), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let Some((error, nth, place)) = cases.lock().unwrap().pop() else { return };
                    let machine = Machine::loopback();
                    let Some(disk) = skip::faulty_disk_or_skip(&machine) else { return };
                    let has_failed = match place {
                        Where::FirstStart => fail_from_its_start(&machine, &disk, error, nth, true),
                        Where::Start => fail_from_its_start(&machine, &disk, error, nth, false),
                        Where::Running => fail_while_it_runs(&machine, &disk, error, nth),
                    };
                    if has_failed {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    eprintln!("{failed:?} of {count} faults were met; {places:?}");
    // What a run takes is not quite the same each time, so it may be over before.
    assert!(5 * failed.into_inner() >= 4 * count, "few of {count} faults were met");
}

#[test]
fn a_disk_that_fails_once_loses_nothing() {
    fail_at_each(5, 41);
}

#[test]
#[ignore = "several minutes"]
fn a_disk_that_fails_once_loses_nothing_wherever_it_does() {
    fail_at_each(1, 1);
}

/// A disk fails for good while a damaged history is salvaged: the start that brings that to its end tells of it.
#[test]
fn what_was_salvaged_is_told_wherever_that_was_broken_off() {
    let machine = Machine::loopback();
    let Some(disk) = skip::faulty_disk_or_skip(&machine) else { return };
    run(&machine, &disk, "one\ntwo\nthree\n");
    let profile = machine.chat("ann").profile_dir();
    let mut history = fs::read(profile.join("history.sqlite3")).unwrap();
    history[..100].fill(0x5a);
    let (key, mut nth, mut broken_off) = (fs::read(profile.join("key")).unwrap(), 1, 0);
    loop {
        fs::remove_dir_all(&profile).unwrap();
        fs::create_dir(&profile).unwrap();
        fs::write(profile.join("key"), &key).unwrap();
        fs::write(profile.join("history.sqlite3"), &history).unwrap();
        disk.fail(Operations::Changes, DiskError::Io, nth, u64::MAX);
        let first = run(&machine, &disk, "");
        let (_, failed) = disk.counted();
        disk.mend();
        let told = |run: &Finished| run.stdout.iter().filter(|line| line.contains("was damaged (")).count();
        if told(&first) == 0 {
            let second = run(&machine, &disk, "/history\n");
            assert_eq!(told(&second), 1, "broken off at {nth}: {first:?} {second:?}");
            let says = |what: &str| second.stdout.iter().any(|line| line.contains(what));
            let taken_over = says("4 messages were taken over");
            assert!(taken_over && says("\"three\""), "broken off at {nth}: {second:?}");
            broken_off += 1;
        }
        if failed == 0 {
            break;
        }
        nth += 3;
    }
    eprintln!("{broken_off} of {nth} operations");
    assert!(broken_off > 10, "{broken_off} of {nth}");
}

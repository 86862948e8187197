//! The power goes at any moment: whatever people had been shown by then is there, and the store opens.
//!
//! The real program does a script on a disk of which every change is written down; from that come all the states in which a
//! power cut could have left the disk (see [`distchat_tests::faults::power`]), and the real library opens them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    thread,
};

use distchat_crdt::{AuthorId, Message, Room, RoomName, Zip215};
use distchat_node::{Config, MAX_CARRY_PAGE, Node};
use distchat_tests::{
    Machine,
    faults::{
        power::{Cache, Cut, Image, Random, restore},
        trace::Step,
    },
    is, skip,
};

const ROOMS: [&str; 2] = ["general", "rust"];
/// Where the profiles are, of which nothing is there before.
const NEW: &str = "new/data";

/// What people have been shown, by room.
type Shown = BTreeMap<String, BTreeSet<String>>;

/// A state of the disk, with what had been shown when the power went.
struct Case {
    name: String,
    image: Image,
    shown: Arc<Shown>,
}

/// What was said: all that a state may hold.
struct Script {
    steps: Vec<Step>,
    author: String,
    all: Shown,
    /// The history's file as somebody has damaged it, which is kept and told.
    damaged: Option<Vec<u8>>,
}

/// Reads what the program said, line by line.
#[derive(Default)]
struct Listener {
    rest: Vec<u8>,
    shown: Shown,
}

impl Listener {
    fn hear(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let Ok(event) = serde_json::from_slice::<serde_json::Value>(&line) else { continue };
            if is(&event, "message") {
                let text = |field: &str| event[field].as_str().unwrap().to_owned();
                self.shown.entry(text("room")).or_default().insert(text("id"));
            }
        }
    }
}

/// Does the script: two rooms, own messages and others', names, clean ends, and an end by SIGKILL.
fn perform(machine: &Machine, messages: usize, length: usize) -> Option<Script> {
    let disk = skip::faulty_disk_or_skip(machine)?;
    let launch = |name: &str| ROOMS.iter().fold(machine.chat(name), |launch, room| launch.room(room));
    // Another's are on a disk of its own.
    let bob = launch("bob").data_dir(machine.directory().join("others")).start();
    let mut ann = disk.under(launch("ann").data_dir(machine.data_dir().join(NEW))).start();
    ann.wait_peers(1);
    for run in 0..3 {
        for room in ROOMS {
            ann.send(&format!("/join {room}"));
            bob.send(&format!("/join {room}"));
            for number in 0..messages {
                let text = format!("{run} {number} in {room} {}", "x".repeat(length));
                let [mine, theirs] = ["ann", "bob"].map(|who| format!("{who} {text}"));
                bob.say(&theirs);
                ann.say_and_wait(&mine);
                ann.wait_text(&theirs);
            }
        }
        match run {
            0 => {
                ann.send("/nick someone else");
                ann.say_and_wait("under another name");
                ann.stop();
                ann.restart();
                ann.wait_peers(1);
            }
            1 => {
                ann.restart();
                ann.wait_peers(1);
            }
            _ => {}
        }
    }
    let author = ann.author();
    ann.kill9();
    let mut listener = Listener::default();
    let steps = disk.trace();
    for step in &steps {
        if let Step::Said(bytes) = step {
            listener.hear(bytes);
        }
    }
    Some(Script { steps, author, all: listener.shown, damaged: None })
}

/// Calls `judge` for every state that a power cut could leave: for every moment just before something is made durable, and the
/// end, with `lots` states of which sectors are drawn by lot. Of the others those that `wanted` wants.
fn each_case(script: &Script, lots: u64, wanted: &mut dyn FnMut() -> bool, judge: &mut dyn FnMut(Case)) {
    let (mut cache, mut listener) = (Cache::default(), Listener::default());
    let mut shown = Arc::new(Shown::new());
    for (number, step) in script.steps.iter().enumerate() {
        if let Step::Said(bytes) = step {
            listener.hear(bytes);
            shown = Arc::new(listener.shown.clone());
        }
        if matches!(step, Step::Sync { .. }) && !cache.is_clean() {
            let drawn = (0..lots).map(|lot| Cut::Random(number as u64 * 1000 + lot, [2, 4, 10][lot as usize % 3]));
            for cut in cache.cuts().into_iter().chain(drawn) {
                if wanted() {
                    let name = format!("before step {number}, {cut:?}");
                    judge(Case { name, image: cache.after(cut), shown: shown.clone() });
                }
            }
        }
        cache.step(step);
    }
    let name = "at the end".to_owned();
    judge(Case { name, image: cache.after(Cut::First(0)), shown });
}

/// How many states there are.
fn states(script: &Script, lots: u64) -> u64 {
    let mut all = 0;
    let mut count = || {
        all += 1;
        false
    };
    each_case(script, lots, &mut count, &mut |_| {});
    all
}

/// All messages of a room.
async fn messages(room: &distchat_node::Room) -> Vec<Vec<u8>> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = room.export(before, MAX_CARRY_PAGE).await.unwrap();
        all.extend(page.messages);
        match page.next {
            Some(next) => before = Some(next),
            None => return all,
        }
    }
}

/// Opens a state and looks whether it is as it must be.
async fn judge(case: &Case, script: &Script) {
    let place = tempfile::tempdir().unwrap();
    restore(&case.image, place.path());
    // What is left in shared memory's place is of no account.
    let data_dir = place.path().join(NEW);
    let profile = data_dir.join("ann");
    if profile.is_dir() {
        std::fs::write(profile.join("history.sqlite3-shm"), [0x5a; 32 << 10]).unwrap();
    }
    let config = Config {
        profile: "ann".into(),
        data_dir: Some(data_dir),
        offline: true,
        same_machine: false,
        ..Config::default()
    };
    let node = Node::start(config).await.unwrap_or_else(|error| panic!("{}: it does not open: {error}", case.name));
    let damaged = node.warnings().iter().any(|warning| warning.contains("was damaged ("));
    assert_eq!(damaged, script.damaged.is_some(), "{}: damage is told: {:?}", case.name, node.warnings());
    if let Some(damaged) = &script.damaged {
        let mut files = std::fs::read_dir(node.directory().unwrap()).unwrap().map(|file| file.unwrap().path());
        let is_kept = files.any(|file| std::fs::read(file).is_ok_and(|bytes| bytes == *damaged));
        assert!(is_kept, "{}: the damaged file is gone: {:?}", case.name, node.warnings());
    }
    let somebody = !case.shown.is_empty();
    assert!(!somebody || node.author().to_string() == script.author, "{}: the key is lost", case.name);
    for name in ROOMS {
        let room = node.open_room(&name.parse().unwrap()).await;
        let room = room.unwrap_or_else(|error| panic!("{}: {name} does not open: {error}", case.name));
        check_room(case, script, &node.author(), &room).await;
        room.broadcast("after the cut").await.unwrap_or_else(|error| panic!("{}: {error}", case.name));
    }
    node.shutdown().await;
}

async fn check_room(case: &Case, script: &Script, own: &AuthorId, room: &distchat_node::Room) {
    let (case_name, name) = (&case.name, room.name().as_str());
    let held = Message::decode_each(&messages(room).await).into_iter().map(|message| message.expect("it is a message"));
    let held: Vec<Message> = held.collect();
    let shown = case.shown.get(name).into_iter().flatten();
    let ids: BTreeSet<String> = held.iter().map(|message| message.key().id.to_string()).collect();
    let lost: Vec<&String> = shown.filter(|id| !ids.contains(*id)).collect();
    assert!(lost.is_empty(), "{case_name}: {name} has lost {lost:?}");
    let mut seqs: Vec<u64> = held.iter().filter(|message| message.author() == *own).map(Message::seq).collect();
    seqs.sort_unstable();
    assert!(seqs.iter().copied().eq(0..seqs.len() as u64), "{case_name}: {name} has a gap: {seqs:?}");
    // Names are no lines.
    let lines = held.iter().filter(|message| message.kind() == distchat_crdt::kind::TEXT);
    let known = |message: &Message| script.all.get(name).is_some_and(|all| all.contains(&message.key().id.to_string()));
    let unknown = lines.filter(|message| !known(message)).count();
    assert!(unknown <= 2, "{case_name}: {name} has {unknown} messages that nobody was shown");

    let info = room.fingerprint().await.unwrap_or_else(|error| panic!("{case_name}: {name}: {error}"));
    let room_id = distchat_crdt::RoomId::of(&RoomName::parse(name).unwrap());
    let mut anew = Room::new(room_id, *own, Arc::new(Zip215::new([9; 32])));
    anew.merge(held);
    assert_eq!((info.messages, info.fingerprint), (anew.index().len(), anew.fingerprint()), "{case_name}: {name}");
}

/// Judges what comes, on as many threads as there are processors.
fn judge_all(script: &Script, lots: u64, mut wanted: impl FnMut() -> bool) -> u64 {
    let (sender, cases) = std::sync::mpsc::sync_channel::<Case>(4);
    // It goes with the last judge, so that nobody is waited for who has failed.
    let cases = Arc::new(Mutex::new(cases));
    let mut count = 0;
    thread::scope(|scope| {
        for _ in 0..2 {
            let cases = cases.clone();
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                loop {
                    let case = cases.lock().unwrap().recv();
                    let Ok(case) = case else { return };
                    runtime.block_on(judge(&case, script));
                }
            });
        }
        drop(cases);
        each_case(script, lots, &mut wanted, &mut |case| {
            count += 1;
            if count % 100 == 0 {
                eprintln!("{count}: {}", case.name);
            }
            sender.send(case).ok();
        });
        drop(sender);
    });
    count
}

#[test]
fn whatever_was_shown_outlasts_a_power_cut() {
    let machine = Machine::loopback();
    let Some(script) = perform(&machine, 3, 10) else { return };
    let seed = std::env::var("DISTCHAT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) ^ 0x5eed);
    let all = states(&script, 3);
    let mut random = Random(seed);
    eprintln!("seed {seed}: some of {all} states");
    let judged = judge_all(&script, 3, || random.below(all) < 120);
    assert!(judged > 60, "{judged} of {all}");
}

/// Nobody is told of damage, either.
#[test]
fn a_first_start_that_was_cut_off_before_there_was_anything_leaves_nothing_in_the_way() {
    let machine = Machine::loopback();
    let Some(disk) = skip::faulty_disk_or_skip(&machine) else { return };
    let mut ann = disk.under(machine.chat("ann").data_dir(machine.data_dir().join(NEW))).start();
    let author = ann.author();
    ann.kill9();
    let mut steps = disk.trace();
    // Up to the first tables, which are in the log.
    let is_log = |step: &Step| matches!(step, Step::Open { path, .. } if path.ends_with("history.sqlite3-wal"));
    let log = steps.iter().position(is_log).expect("there is a log");
    // A log beside a journal that came back would be taken for another history's.
    let is_undone = |step: &Step| matches!(step, Step::Unlink(path) if path.ends_with("history.sqlite3-journal"));
    let undone = steps.iter().position(is_undone).expect("it began with a journal");
    let before_log = steps.iter().take(log).skip(undone).any(|step| matches!(step, Step::Sync { .. }));
    assert!(before_log, "the journal is gone for good before there is a log: {:?}", steps.get(undone..=log));
    let synced = steps.iter().skip(log).position(|step| matches!(step, Step::Sync { .. })).expect("it is synced");
    steps.truncate(log + synced + 1);
    let script = Script { steps, author, all: Shown::new(), damaged: None };
    let judged = judge_all(&script, 3, || true);
    assert!(judged > 50, "{judged}");
}

/// What was in it is taken over, it is kept as it was, and a start tells that.
#[test]
fn a_power_cut_while_a_damaged_history_is_moved_aside_loses_nothing() {
    let machine = Machine::loopback();
    let Some(disk) = skip::faulty_disk_or_skip(&machine) else { return };
    let launch = ROOMS.iter().fold(machine.chat("ann"), |launch, room| launch.room(room));
    let mut ann = disk.under(launch.data_dir(machine.data_dir().join(NEW))).start();
    for room in ROOMS {
        ann.send(&format!("/join {room}"));
        ann.say_and_wait(&format!("nobody heard this in {room}"));
    }
    let author = ann.author();
    // What was said is in the log.
    ann.kill9();
    let before = disk.trace();
    let path = ann.launch().profile_dir().join("history.sqlite3");
    let mut damaged = std::fs::read(&path).unwrap();
    damaged[..100].fill(0x5a);
    std::fs::write(&path, &damaged).unwrap();
    ann.restart();
    ann.wait_told("was damaged", distchat_tests::PATIENCE);
    ann.kill9();
    let mut after = disk.trace().split_off(before.len());
    // Up to when somebody is told, or it is forgotten as told.
    let is_told = |step: &Step| match step {
        Step::Said(bytes) => String::from_utf8_lossy(bytes).contains("was damaged"),
        Step::Unlink(path) => path.ends_with("history.tell"),
        _ => false,
    };
    after.truncate(after.iter().position(is_told).expect("somebody is told"));
    let is_made = |step: &Step| matches!(step, Step::Open { path, .. } if path.ends_with("history.moving.tmp"));
    let made = after.iter().position(is_made).expect("where it goes is written down");

    let damage = [
        Step::Open {
            file: u64::MAX,
            path: format!("{NEW}/ann/history.sqlite3").into(),
            created: false,
            emptied: false,
        },
        Step::Write { file: u64::MAX, at: 0, bytes: damaged[..100].to_vec() },
        Step::Sync { file: u64::MAX },
    ];
    let mut listener = Listener::default();
    for step in &before {
        if let Step::Said(bytes) = step {
            listener.hear(bytes);
        }
    }
    let all = listener.shown;
    assert_eq!(all.values().map(BTreeSet::len).sum::<usize>(), ROOMS.len());
    let script = |after: &[Step]| Script {
        steps: [&before, &damage[..], after].concat(),
        author: author.clone(),
        all: all.clone(),
        damaged: Some(damaged.clone()),
    };
    // The last state of each is that of its end, and not yet one of the next.
    let [sound, making] = [&[][..], &after[..made]].map(|after| states(&script(after), 3) - 1);
    let (mut random, mut number) = (Random(u64::from(std::process::id())), 0);
    let wanted = || {
        number += 1;
        number > making || number > sound && random.below(making - sound) < 30
    };
    let judged = judge_all(&script(&after), 3, wanted);
    eprintln!("{judged} states, {sound} before it was damaged, {making} before the new history was finished");
    assert!(judged > 40, "{judged}");
}

#[test]
#[ignore = "many minutes"]
fn whatever_was_shown_outlasts_any_power_cut() {
    let machine = Machine::loopback();
    let Some(script) = perform(&machine, 3, 10) else { return };
    eprintln!("all of {} states", states(&script, 20));
    judge_all(&script, 20, || true);
}

/// Enough that the log is written back in between.
#[test]
#[ignore = "many minutes"]
fn whatever_was_shown_outlasts_a_power_cut_while_the_log_is_written_back() {
    let machine = Machine::loopback();
    let Some(script) = perform(&machine, 150, 8000) else { return };
    eprintln!("one in 200 of {} states", states(&script, 5));
    let mut random = Random(7);
    judge_all(&script, 5, || random.below(200) == 0);
}

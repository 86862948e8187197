//! How soon a key that is pressed is seen, in the real program on a terminal, whatever arrives meanwhile.
//!
//! The program that people run, built as this one is, is alone on a terminal of its own. Everything else is in this
//! process, on the same machine: who presses keys and reads the terminal, and the node that talks or is caught up with.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use distchat_examples::local;
use distchat_node::{Config, Node, Room};
use distchat_tests::{Key, Launch, Machine, Screen, Terminal};
use futures::{StreamExt, stream::FuturesOrdered};

use crate::{
    cores::Apart,
    machine,
    talk::line,
    typist::{Typed, Typist},
};

const SIZE: (u16, u16) = (120, 40);
/// How many keys a row is measured with, and for how long at most.
const KEYS: usize = 1_000;
const LONGEST: Duration = Duration::from_secs(60);
/// How long something may take that keys are not measured in.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is caught up with a history at most, however few keys that lasts for.
const CATCHING_UP: usize = 20;
/// How many messages a second arrive, in how many steps.
const RATE: usize = 5_000;
const STEPS: usize = 100;
/// How far back the history is read.
const PAGES: usize = 30;

/// Joins a node that holds a history, and types meanwhile; then types on, while nothing happens and while it talks.
pub(crate) async fn run(history: &Path, empty: &Path) -> Result<()> {
    // What is said in the following is not to stay in a history that is kept.
    let holder = empty.join("node0");
    std::fs::create_dir(&holder)?;
    for file in std::fs::read_dir(history.join("node0"))? {
        let file = file?;
        if file.file_type()?.is_file() {
            std::fs::copy(file.path(), holder.join(file.file_name()))?;
        }
    }
    let node = Node::start(Config { data_dir: Some(empty.to_owned()), ..local("node0")? }).await?;
    let room = node.open_room(&"general".parse()?).await?;
    let address = node.listeners().into_iter().next().context("it does not listen")?.to_string();

    // It may have something left to do for its search, which is not to be measured.
    machine::at_rest(std::process::id()).await?;

    all_catching_up(&room, &address, Apart::new()?).await?;
    let typist = all_catching_up(&room, &address, None).await?;
    let typist = idle(typist).await?;
    let typist = arriving(typist, &room, false).await?;
    let typist = arriving(typist, &room, true).await?;
    blocking(move || drop(typist)).await?;
    node.shutdown().await;
    Ok(())
}

/// A harness that blocks, out of the way of the node.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("the program on the terminal has failed")
}

/// Whether the screen shows the fingerprint that the room has now.
fn in_sync(screen: &Screen, room: &Room) -> bool {
    let hex = room.info().fingerprint.to_string();
    screen.contains(&format!("{} {}", &hex[..4], &hex[4..8]))
}

/// Catches up again and again, each time without any history, until enough keys have been pressed. Returns the last one.
async fn all_catching_up(room: &Room, address: &str, apart: Option<Apart>) -> Result<Typist> {
    let (mut all, mut times) = (Typed::default(), Vec::new());
    let apart = apart.map(Arc::new);
    loop {
        let launch = Machine::loopback().chat("ann").room("general");
        let (typist, keys, took) = catching_up(launch, room.clone(), address.to_owned(), apart.clone()).await?;
        all.extend(keys);
        times.push(took);
        if all.keys.len() >= KEYS || times.len() >= CATCHING_UP {
            let (shortest, longest) = (times.iter().min().copied(), times.iter().max().copied());
            let (shortest, longest) = shortest.zip(longest).context("it has never caught up")?;
            let (times, messages) = (times.len(), room.info().messages);
            let cores = if apart.is_some() { "on a core of its own" } else { "on the cores that the other node is on" };
            let what = format!(
                "catching up with {messages} messages {cores}, {times} times in {shortest:.2?} to {longest:.2?}"
            );
            print(&what, &all);
            return Ok(typist);
        }
        blocking(move || drop(typist)).await?;
    }
}

/// Starts the program without any history, and types from the moment on at which it is told where there is one.
async fn catching_up(
    launch: Launch,
    room: Room,
    address: String,
    apart: Option<Arc<Apart>>,
) -> Result<(Typist, Typed, Duration)> {
    blocking(move || {
        let ann = Terminal::start(launch, SIZE);
        ann.wait_text("general");
        if let Some(apart) = apart {
            apart.other(ann.pid())?;
        }
        ann.type_text(&format!("/connect {address}"));
        ann.wait_text(&address);
        let mut typist = Typist::new(ann)?;
        typist.ann().key(Key::Enter);
        typist.ann().wait("an empty line", |screen| screen.before_cursor() == " ");
        let (start, mut took) = (Instant::now(), None);
        let keys = typist.type_while(|ann, _| {
            took = in_sync(&ann.screen(), &room).then(|| start.elapsed());
            took.is_none() && start.elapsed() < PATIENCE
        })?;
        Ok((typist, keys, took.context("it has not caught up")?))
    })
    .await?
}

/// Waits until it has nothing left to do, and types.
async fn idle(mut typist: Typist) -> Result<Typist> {
    machine::at_rest(typist.ann().pid()).await?;
    blocking(move || {
        let keys = measured(&mut typist)?;
        print("idle", &keys);
        Ok(typist)
    })
    .await?
}

/// Types while the other node talks, following the newest messages or reading the history.
async fn arriving(mut typist: Typist, room: &Room, scrolled: bool) -> Result<Typist> {
    if scrolled {
        typist = blocking(move || {
            for _ in 0..PAGES {
                typist.ann().key(Key::PageUp);
            }
            typist.ann().wait_text("▼ newest");
            typist
        })
        .await?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let start = Instant::now();
    let talking = tokio::spawn(talk(room.clone(), Arc::clone(&stop)));
    let typed = blocking(move || {
        // The first moment is not like the others.
        std::thread::sleep(Duration::from_secs(1));
        let keys = measured(&mut typist);
        stop.store(true, Ordering::Relaxed);
        keys.map(|keys| (typist, keys))
    });
    let (mut typist, keys) = typed.await??;
    let said = talking.await??;
    let ended = start.elapsed();

    let (room, last) = (room.clone(), line(said - 1));
    let last = last.split_inclusive(',').next().unwrap_or_default().to_owned();
    blocking(move || {
        let all = |screen: &Screen| in_sync(screen, &room) && (scrolled || screen.contains(&last));
        typist.ann().wait("all that was said", all);
        let took = start.elapsed();
        if scrolled {
            typist.ann().wait("the way to the newest", |screen| screen.contains("▼") && screen.contains(" new "));
        }
        let what = if scrolled { "scrolled up while they arrive" } else { "messages arrive" };
        let rate = said as f64 / took.as_secs_f64();
        let behind = took.saturating_sub(ended);
        print(&format!("{what}, {rate:.0}/s taken in, the last {behind:.2?} after it was said"), &keys);
        typist.clear();
        Ok(typist)
    })
    .await?
}

fn measured(typist: &mut Typist) -> Result<Typed> {
    let start = Instant::now();
    typist.type_while(|_, keys| keys < KEYS && start.elapsed() < LONGEST)
}

/// Talks at that rate until it is told to stop; returns how much it has said. If the machine cannot keep up, it is less.
async fn talk(room: Room, stop: Arc<AtomicBool>) -> Result<usize> {
    let mut steps = tokio::time::interval(Duration::from_secs(1) / STEPS as u32);
    let (mut pending, mut said) = (FuturesOrdered::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        tokio::select! {
            _ = steps.tick(), if pending.len() < RATE => for _ in 0..RATE / STEPS {
                let text = line(said);
                said += 1;
                let room = &room;
                pending.push_back(async move { room.broadcast(&text).await });
            },
            Some(done) = pending.next(), if !pending.is_empty() => drop(done?),
        }
    }
    while let Some(done) = pending.next().await {
        done?;
    }
    Ok(said)
}

fn print(what: &str, typed: &Typed) {
    let Typed { mut keys, mut cat } = typed.clone();
    println!("  {what}:");
    for (what, times) in [("keys", &mut keys), ("bytes through `cat` in their pauses", &mut cat)] {
        let [p50, p90, p99, most] = [50, 90, 99, 100].map(|percent| machine::percentile(times, percent));
        println!("    {} {what}: p50 {p50:.1?}, p90 {p90:.1?}, p99 {p99:.1?}, max {most:.1?}", times.len());
    }
}

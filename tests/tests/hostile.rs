//! What the tests of hostile peers have in common.

use std::{
    net::SocketAddr,
    sync::{
        MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use distchat_tests::{Chat, Lan, Machine, gauge};
use tokio::{runtime::Builder, sync::oneshot};

use crate::common::{heavy, pair};

/// How much a node may grow, whatever others send.
pub(crate) const GROWTH: u64 = 10 * 1024 * 1024;

/// Where a node listens for TCP, on the loopback interface or, of those of a LAN, on another one.
pub(crate) fn tcp(chat: &Chat) -> SocketAddr {
    let listen = chat.ready("listen");
    let addresses = listen.as_array().unwrap().iter().filter_map(|address| address.as_str());
    let parts = |address: &str| {
        let mut parts = address.split('/').skip(2);
        let (ip, protocol, port) = (parts.next()?, parts.next()?, parts.next()?);
        (protocol == "tcp").then(|| format!("{ip}:{port}").parse().ok()).flatten()
    };
    let mut found: Vec<SocketAddr> = addresses.filter_map(parts).collect();
    found.sort_by_key(|address| address.ip().is_loopback());
    *found.first().expect("it listens for TCP")
}

/// Does what hostile peers do, on a thread of its own, for as long as `work` takes.
pub(crate) fn meanwhile<T>(hostile: impl Future<Output = ()> + Send, work: impl FnOnce() -> T) -> T {
    let (stop, stopped) = oneshot::channel();
    thread::scope(|scope| {
        // Dropped at the end, be it a panic, or this would wait for ever.
        let _stop = Stop(stop);
        scope.spawn(|| until(hostile, stopped));
        work()
    })
}

/// The same from a host of a LAN.
pub(crate) fn meanwhile_on<T>(
    lan: &Lan,
    host: usize,
    hostile: impl Future<Output = ()> + Send,
    work: impl FnOnce() -> T,
) -> T {
    let (stop, stopped) = oneshot::channel();
    thread::scope(|scope| {
        let _stop = Stop(stop);
        scope.spawn(|| lan.on(host, || until(hostile, stopped)));
        work()
    })
}

/// Ends what is hostile when it is dropped.
struct Stop(#[expect(dead_code, reason = "it is there to be dropped")] oneshot::Sender<()>);

fn until(hostile: impl Future<Output = ()>, stopped: oneshot::Receiver<()>) {
    // One thread, for a host's network is a thread's.
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        tokio::select! {
            () = hostile => {}
            _ = stopped => {}
        }
    });
}

/// Runs something hostile to its end.
pub(crate) fn run<T>(hostile: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(hostile)
}

/// A node's memory, to be compared with the most that it is from then on: what is taken for a moment and given back counts.
/// Of one node there is one at a time.
pub(crate) struct Memory {
    pid: u32,
    before: u64,
}

impl Memory {
    pub(crate) fn of(chat: &Chat) -> Self {
        gauge::forget_peak(chat.pid());
        Self { pid: chat.pid(), before: gauge::rss(chat.pid()) }
    }

    /// Checks that it has at no time since been larger by more than that.
    #[track_caller]
    pub(crate) fn has_not_grown_by(&self, limit: u64) {
        let grown = gauge::peak(self.pid).saturating_sub(self.before);
        eprintln!("from {} KiB it grew by up to {} of {} KiB", self.before / 1024, grown / 1024, limit / 1024);
        assert!(grown < limit, "from {} KiB it grew by up to {} KiB", self.before / 1024, grown / 1024);
    }

    /// Checks that it is not larger by more than that now, whatever it was in between.
    #[track_caller]
    pub(crate) fn is_not_larger_by(&self, limit: u64) {
        let grown = gauge::rss(self.pid).saturating_sub(self.before);
        assert!(grown < limit, "from {} KiB it has grown by {} KiB", self.before / 1024, grown / 1024);
    }
}

/// Waits until so many of something have been counted by whoever is hostile.
#[track_caller]
pub(crate) fn wait_counted(what: &str, counted: &AtomicUsize, wanted: usize) {
    let deadline = Instant::now() + distchat_tests::PATIENCE;
    while counted.load(Ordering::Relaxed) < wanted {
        assert!(Instant::now() < deadline, "{counted:?} {what}, not {wanted}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a node has counted so many of something itself; how many it was then.
#[track_caller]
pub(crate) fn wait_counter(chat: &Chat, name: &str, enough: usize) -> u64 {
    let deadline = Instant::now() + distchat_tests::PATIENCE;
    loop {
        let counters = chat.ask("/counters", "counters");
        match counters[name].as_u64() {
            Some(count) if count >= enough as u64 => return count,
            _ => assert!(Instant::now() < deadline, "{name} is not {enough}: {counters}"),
        }
        chat.pause(chat.mark(), Duration::from_millis(100));
    }
}

/// Two who talk in a room on one machine, all to themselves, and what one of them takes of it before anything hostile begins.
pub(crate) struct Scene {
    pub(crate) _alone: MutexGuard<'static, ()>,
    pub(crate) _machine: Machine,
    pub(crate) ann: Chat,
    pub(crate) bob: Chat,
    /// Where ann listens.
    pub(crate) node: SocketAddr,
    /// Ann's.
    pub(crate) memory: Memory,
}

impl Scene {
    pub(crate) fn begin() -> Self {
        let alone = heavy();
        let machine = Machine::loopback();
        let (ann, bob) = pair(&machine, &["general"]);
        warm_up(&bob, &ann);
        let (node, memory) = (tcp(&ann), Memory::of(&ann));
        Self { _alone: alone, _machine: machine, ann, bob, node, memory }
    }
}

/// Has the two say something to each other, so that what they need only once is there.
pub(crate) fn warm_up(one: &Chat, other: &Chat) {
    for n in 0..50 {
        one.say_and_wait(&format!("{n} to warm up"));
    }
    other.wait_text("49 to warm up");
}

/// Has one say so many things, 200 a second, and waits until the other has heard them all.
pub(crate) fn talk(from: &Chat, to: &Chat, topic: &str, count: usize) {
    let mark = to.mark();
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..count {
                thread::sleep(Duration::from_millis(5));
                from.say(&format!("{topic} {n}"));
            }
        });
        let mut heard = 0;
        to.wait_from(mark, "all that is said", distchat_tests::PATIENCE, |event| {
            heard += usize::from(event["text"].as_str().is_some_and(|text| text.starts_with(topic)));
            heard == count
        });
    });
}

/// Waits until two hold the same.
pub(crate) fn agree(one: &Chat, other: &Chat) {
    let deadline = Instant::now() + distchat_tests::PATIENCE;
    while one.fingerprint() != other.fingerprint() {
        assert!(Instant::now() < deadline, "{:?} and {:?}", one.fingerprint(), other.fingerprint());
        one.pause(one.mark(), Duration::from_millis(300));
    }
}

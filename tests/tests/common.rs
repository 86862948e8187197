//! What several tests need.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use distchat_tests::{Chat, Machine, Mark, PATIENCE, is};

/// Held by the tests that keep the whole computer busy, so that there is one of them at a time.
pub(crate) fn heavy() -> MutexGuard<'static, ()> {
    static HEAVY: Mutex<()> = Mutex::new(());
    // A heavy test that failed is over, too.
    HEAVY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Two chats of one machine, in these rooms, that have met.
pub(crate) fn pair(machine: &Machine, rooms: &[&str]) -> (Chat, Chat) {
    let start = |name| rooms.iter().fold(machine.chat(name), |launch, room| launch.room(room)).start();
    let pair = (start("ann"), start("bob"));
    pair.0.wait_peers(1);
    pair.1.wait_peers(1);
    pair
}

/// Types the lines one by one, spread evenly over that time: how fast people type is part of what is tested.
pub(crate) fn post(chat: &Chat, lines: &[&str], over: Duration) {
    let start = Instant::now();
    for (number, line) in lines.iter().enumerate() {
        let due = start + over.mul_f64(number as f64 / lines.len() as f64);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        chat.say(line);
    }
}

/// Waits until the chat has reported all these lines as its own, and stored, since the mark.
pub(crate) fn wait_reported(chat: &Chat, since: Mark, lines: &[&str]) {
    let mut missing: BTreeSet<_> = lines.iter().copied().collect();
    if missing.is_empty() {
        return;
    }
    chat.wait_from(since, "its own lines", PATIENCE, |event| {
        if is(event, "message") && event["own"] == true {
            missing.remove(event["text"].as_str().unwrap_or_default());
        }
        missing.is_empty()
    });
}

/// The texts, in their order.
pub(crate) fn texts(history: &[distchat_tests::Message]) -> Vec<&str> {
    history.iter().map(|message| message.text.as_str()).collect()
}

//! Waiting until several chats hold the same.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    time::{Duration, Instant},
};

use crate::{Chat, Fingerprint, Message};

/// How long to wait for anything new before asking again; whatever the first of them says ends the wait at once.
const PAUSE: Duration = Duration::from_millis(300);

/// Everything the chats have reported as written and stored, by id: what must not be lost.
pub fn reported<'a>(chats: impl IntoIterator<Item = &'a Chat>) -> BTreeSet<String> {
    chats.into_iter().flat_map(Chat::reported).map(|message| message.id).collect()
}

/// Waits until all the chats show the same history of their current rooms, with all of `expected` in it, and returns
/// it. The same history: the same messages in the same order, with the same authors, nicks, times and texts.
///
/// # Panics
/// If that is not so `within` the time, with what is different.
pub fn converged(chats: &[&Chat], expected: &BTreeSet<String>, within: Duration) -> Vec<Message> {
    let deadline = Instant::now() + within;
    loop {
        // Cheap, and equal if and only if the histories are.
        let prints: Vec<_> = chats.iter().map(|chat| chat.fingerprint()).collect();
        let enough = prints
            .iter()
            .all(|print| print.messages >= expected.len() as u64 && print.fingerprint == prints[0].fingerprint);
        let late = Instant::now() > deadline;
        if enough || late {
            let histories: Vec<_> = chats.iter().map(|chat| chat.history()).collect();
            let same = histories.windows(2).all(|pair| pair[0] == pair[1]);
            let complete = histories.first().is_none_or(|history| missing(history, expected) == 0);
            if enough && same && complete {
                return histories.into_iter().next().unwrap_or_default();
            }
            if late {
                panic!("not the same {within:?} later:{}", difference(chats, &prints, &histories, expected));
            }
        }
        if let Some(chat) = chats.first() {
            chat.pause(chat.mark(), PAUSE);
        }
    }
}

fn missing(history: &[Message], expected: &BTreeSet<String>) -> usize {
    let held: BTreeSet<_> = history.iter().map(|message| &message.id).collect();
    expected.iter().filter(|id| !held.contains(id)).count()
}

fn difference(
    chats: &[&Chat],
    prints: &[Fingerprint],
    histories: &[Vec<Message>],
    expected: &BTreeSet<String>,
) -> String {
    let mut text = String::new();
    for ((chat, print), history) in chats.iter().zip(prints).zip(histories) {
        let _ = write!(
            text,
            "\n{}: {} messages held, {} known and not held, fingerprint {}; {} shown, {} of {} expected ones missing",
            chat.launch().label(),
            print.messages,
            print.missing,
            print.fingerprint,
            history.len(),
            missing(history, expected),
            expected.len(),
        );
        if let Some(place) = histories[0].iter().zip(history).position(|(one, other)| one != other) {
            let _ = write!(
                text,
                "\n  unlike the first from number {place}: {:?}\n  instead of {:?}",
                history[place], histories[0][place]
            );
        }
    }
    for chat in chats {
        text += &chat.report();
    }
    text
}

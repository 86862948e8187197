//! What a person is spared: messages from the future, and the same message twice.

use std::collections::{BTreeMap, HashSet, VecDeque};

use distchat_node::{Key, Message, MessageId, RoomName};

use super::escape;

/// How many future-dated messages of a room are held until their time; of more, only the number is kept.
const HELD: usize = 500;
/// How many authors a summary names.
const NAMED: usize = 4;
/// How many messages are remembered as shown.
const REMEMBERED: usize = 1024;

/// Future-dated messages: anybody can write them, so they are hidden until their time comes, and only counted.
#[derive(Debug, Default)]
pub(crate) struct Future {
    rooms: BTreeMap<RoomName, Held>,
}

#[derive(Debug, Default)]
struct Held {
    messages: BTreeMap<Key, Message>,
    /// Those beyond [`HELD`].
    more: u64,
    /// Whether there is something new to say.
    news: bool,
}

impl Future {
    /// Hides a message.
    pub(crate) fn hold(&mut self, room: &RoomName, message: &Message) {
        let held = self.rooms.entry(room.clone()).or_default();
        held.news |= held.messages.insert(message.key, message.clone()).is_none();
        if held.messages.len() > HELD && held.messages.pop_last().is_some() {
            held.more = held.more.saturating_add(1);
        }
    }

    /// Forgets a message that is shown after all.
    pub(crate) fn release(&mut self, room: &RoomName, key: Key) {
        if let Some(held) = self.rooms.get_mut(room) {
            held.messages.remove(&key);
        }
    }

    /// Forgets a room.
    pub(crate) fn forget(&mut self, room: &RoomName) {
        self.rooms.remove(room);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Takes out what has come due.
    pub(crate) fn due(&mut self, now_millis: u64) -> Vec<(RoomName, Message)> {
        let mut due = Vec::new();
        for (room, held) in &mut self.rooms {
            while let Some(first) = held.messages.first_entry() {
                if first.get().time.millis() > now_millis {
                    break;
                }
                due.push((room.clone(), first.remove()));
            }
        }
        self.rooms.retain(|_, held| held.news || !held.messages.is_empty());
        due
    }

    /// One line for each room with something new: how many, and from whom.
    pub(crate) fn news(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for (room, held) in &mut self.rooms {
            if !std::mem::take(&mut held.news) {
                continue;
            }
            let count = u64::try_from(held.messages.len()).unwrap_or(u64::MAX).saturating_add(held.more);
            let mut by = BTreeMap::new();
            for message in held.messages.values() {
                by.entry(message.author).or_insert((&message.nick, 0_usize)).1 += 1;
            }
            let mut by: Vec<_> = by.into_iter().collect();
            by.sort_by_key(|(_, (_, count))| std::cmp::Reverse(*count));
            let mut from: Vec<String> = by
                .iter()
                .take(NAMED)
                .map(|(author, (nick, count))| format!("{count} from {} ({})", name(nick), author.short()))
                .collect();
            if by.len() > NAMED {
                from.push(format!("others from {} more", by.len() - NAMED));
            }
            if held.more > 0 {
                from.push(format!("{} not looked at", held.more));
            }
            let room = escape::visible(room.as_str());
            let (messages, their) = if count == 1 { ("message", "its") } else { ("messages", "their") };
            let from = from.join(", ");
            lines.push(format!(
                "{count} {messages} in {room} dated in the future, hidden until {their} time comes: {from}"
            ));
        }
        lines
    }
}

/// A nick as it is shown; a body of 16 KiB may claim to be one.
pub(crate) fn name(nick: &str) -> String {
    escape::visible_start(nick, 32)
}

/// The messages shown last: one may be in a history that was asked for, or due after its time in the future, before the
/// event tells of it.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    order: VecDeque<MessageId>,
    set: HashSet<MessageId>,
}

impl Shown {
    /// Remembers a message; says whether it is new.
    pub(crate) fn insert(&mut self, id: MessageId) -> bool {
        if !self.set.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{NOON, author, message, room_name};

    #[test]
    fn the_future_is_counted_and_comes() {
        let room = room_name("general");
        let mut future = Future::default();
        for n in 1..=3 {
            future.hold(&room, &message(n, "mallory\u{202e}", "spam"));
        }
        let mut other = message(9, "bob", "hi");
        other.author = author(8);
        future.hold(&room, &other);
        assert_eq!(
            future.news(),
            ["4 messages in general dated in the future, hidden until their time comes: \
              3 from mallory\\u{202e} (07070707), 1 from bob (08080808)"]
        );
        assert!(future.news().is_empty(), "said once");
        assert!(future.due(NOON).is_empty());
        let due: Vec<u64> = future.due(NOON + 3).into_iter().map(|(_, message)| message.seq).collect();
        assert_eq!(due, [1, 2, 3]);
        future.release(&room, other.key);
        assert!(future.due(NOON + 9).is_empty() && future.is_empty());
    }

    #[test]
    fn one_from_the_future_is_one() {
        let mut future = Future::default();
        future.hold(&room_name("r"), &message(1, "ann", "x"));
        assert_eq!(
            future.news(),
            ["1 message in r dated in the future, hidden until its time comes: 1 from ann (07070707)"]
        );
    }

    #[test]
    fn the_future_is_bounded() {
        let room = room_name("general");
        let mut future = Future::default();
        for n in 0..HELD as u64 + 10 {
            let mut message = message(1, "ann", "x");
            message.key.time = distchat_node::Timestamp::from_millis(NOON + n);
            message.time = message.key.time;
            future.hold(&room, &message);
        }
        assert_eq!(future.rooms[&room].messages.len(), HELD);
        let news = future.news();
        assert!(news[0].starts_with("510 messages") && news[0].ends_with("10 not looked at"), "{news:?}");
        assert_eq!(future.due(u64::MAX).len(), HELD);
        assert!(future.is_empty());
    }

    #[test]
    fn what_was_shown_is_remembered_for_a_while() {
        let mut shown = Shown::default();
        let id = |n: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&n.to_be_bytes());
            MessageId(id)
        };
        assert!(shown.insert(id(0)) && !shown.insert(id(0)));
        for n in 1..=REMEMBERED {
            assert!(shown.insert(id(n)));
        }
        assert_eq!(shown.order.len(), shown.set.len());
        assert!(shown.insert(id(0)), "forgotten by now");
    }
}

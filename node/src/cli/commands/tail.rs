//! `distchat tail`: the newest messages of a room, and those that follow.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use clap::Args;
use distchat_node::{Event, Key, Message, MessageId, RoomName, Timestamp};

use super::Desk;
use super::history::{show, since_then};
use super::span::Moment;
use crate::attach::{Room, Told};
use crate::cli::Failure;
use crate::cli::report::Report;

/// How many of those that arrive between two nodes are kept. More are printed at once.
const BETWEEN: usize = 4096;
/// How many messages dated in the future are remembered as printed. Of more, the latest are printed again after a gap.
const AHEAD: usize = 4096;
/// How many messages are looked at at once for one that is not dated in the future.
const LOOK: usize = 256;
const BEFORE_ALL: Key = Key { time: Timestamp(0), id: MessageId([0; 32]) };

/// Print the newest messages of a room, and with -f those that follow.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Which room
    #[arg(value_name = "ROOM", value_parser = RoomName::parse)]
    target: RoomName,

    /// So many of those that are there
    #[arg(short = 'n', value_name = "N", default_value_t = 10, conflicts_with = "since")]
    newest: usize,

    /// All from then on, such as 2h or 2026-11-23
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    since: Option<Moment>,

    /// Go on with those that arrive, in the order in which they do
    #[arg(short, long)]
    follow: bool,
}

impl Tail {
    pub(super) async fn run(&self, desk: &mut Desk) -> Result<(), Failure> {
        // From before anything is read, so that nothing comes in between.
        let events = desk.client.events().await;
        let room = if self.follow { desk.open(&self.target).await? } else { desk.open_stored(&self.target).await? };
        let mut printed = Printed::default();
        match self.since {
            Some(since) => {
                printed.last = since.place();
                since_then(desk, &room, since.place(), None, |message| printed.read(message)).await?;
            }
            None => {
                // One more than is shown tells where to go on if it is none.
                let messages = room.messages(self.newest.max(1)).await?;
                if self.follow {
                    printed.last = newest_before_now(&room, &messages).await?;
                }
                messages.iter().for_each(|message| _ = printed.read(message));
                let messages = if self.newest == 0 { Vec::new() } else { messages };
                show(desk, &room, messages).await?;
            }
        }
        if self.follow { follow(desk, &room, events, printed).await } else { Ok(()) }
    }
}

/// The place of the newest message that is not dated in the future, given the newest ones.
async fn newest_before_now(room: &Room, newest: &[Message]) -> Result<Key, Failure> {
    let mut older;
    let mut page = newest;
    loop {
        if let Some(message) = page.iter().rfind(|message| !message.future) {
            return Ok(message.key);
        }
        let Some(first) = page.first() else { return Ok(BEFORE_ALL) };
        older = room.messages_before(first.key, LOOK).await?;
        page = &older;
    }
}

/// How far a room is printed.
#[derive(Debug)]
struct Printed {
    /// The last message, where to go on after a gap. Not one that is dated in the future: whatever is written until its time
    /// comes stands before it.
    last: Key,
    /// Those behind that.
    ahead: BTreeSet<Key>,
    /// What was read from the room and may be told of once more.
    read: HashSet<MessageId>,
}

impl Default for Printed {
    fn default() -> Self {
        Self { last: BEFORE_ALL, ahead: BTreeSet::new(), read: HashSet::new() }
    }
}

impl Printed {
    /// A message was read from the room; whether it is to be printed.
    fn read(&mut self, message: &Message) -> bool {
        self.read.insert(message.id);
        self.go_on(message)
    }

    /// A message is told of; whether it is to be printed.
    fn told(&mut self, message: &Message) -> bool {
        !self.read.remove(&message.id) && self.go_on(message)
    }

    /// Whether that message is not printed yet; it is from then on.
    fn go_on(&mut self, message: &Message) -> bool {
        let new = !self.ahead.contains(&message.key);
        if message.future {
            self.ahead.insert(message.key);
            if self.ahead.len() > AHEAD {
                self.ahead.pop_last();
            }
        } else if message.key > self.last {
            self.last = message.key;
            self.ahead = self.ahead.split_off(&message.key);
            self.ahead.remove(&message.key);
        }
        new
    }
}

/// Prints what arrives, until the node ends.
async fn follow(
    desk: &mut Desk,
    room: &Room,
    mut events: crate::attach::Events,
    mut printed: Printed,
) -> Result<(), Failure> {
    // What arrives between two nodes stays behind what is read when the next one is there.
    let mut between: Option<Vec<Arc<Message>>> = None;
    while let Some(told) = events.next().await {
        match told {
            Told::Event(Event::Message { room: name, message }) if name == *room.name() => {
                if let Some(between) = between.as_mut().filter(|between| between.len() < BETWEEN) {
                    between.push(message);
                } else if printed.told(&message) {
                    desk.say(&Report::Message { room: name, message }).await?;
                }
            }
            // What was missed is read. What of it was written before the last message that was shown is in the history.
            Told::Back | Told::Event(Event::Lagged { .. }) => {
                printed.read.clear();
                since_then(desk, room, printed.last, None, |message| printed.read(message)).await?;
                for message in between.take().into_iter().flatten() {
                    if printed.told(&message) {
                        desk.say(&Report::Message { room: room.name().clone(), message }).await?;
                    }
                }
            }
            Told::Gone => between = Some(Vec::new()),
            Told::Event(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use distchat_node::Config;

    use super::*;
    use crate::attach::{Client, Face};
    use crate::cli::testing::message;

    fn future(n: u8) -> Message {
        Message { future: true, ..message(n, "eve", "from the future") }
    }

    #[test]
    fn what_is_dated_in_the_future_hides_nothing_that_comes_after_it() {
        let mut printed = Printed::default();
        let [first, second, third] = [1, 2, 3].map(|n| message(n, "ann", "hi"));
        assert!(printed.read(&first) && printed.read(&future(9)));
        // Whether or not it was read, and is told of only now.
        assert!(!printed.told(&first) && printed.told(&future(8)));
        assert_eq!(printed.last, first.key);

        // Events are missed, so what is behind that place is read: the new ones are printed, the others were.
        printed.read.clear();
        assert!(
            printed.read(&second) && printed.read(&third) && !printed.read(&future(8)) && !printed.read(&future(9))
        );
        assert_eq!(printed.last, third.key);

        // Its time has come.
        printed.read.clear();
        assert!(!printed.read(&message(8, "eve", "from the past")) && printed.read(&message(10, "ann", "hi")));
        assert_eq!(printed.last, message(10, "ann", "hi").key);
        assert!(printed.ahead.is_empty());
        // One that comes late is printed, and is no reason to go back.
        assert!(printed.told(&message(4, "bob", "late")));
        assert_eq!(printed.last, message(10, "ann", "hi").key);
    }

    #[test]
    fn a_flood_from_the_future_takes_no_memory_for_good() {
        let mut printed = Printed::default();
        for n in 0..=AHEAD {
            let mut message = future(1);
            message.key.time = Timestamp::from_millis(n as u64);
            assert!(printed.told(&message));
        }
        assert_eq!(printed.ahead.len(), AHEAD);
    }

    #[tokio::test]
    async fn the_place_to_go_on_from_is_found_behind_any_number_of_them() {
        let config = Config { memory: true, offline: true, ..Config::default() };
        let client = Client::start(config, Face::Command).await.unwrap();
        let room = client.open_room(&RoomName::parse("general").unwrap()).await.unwrap();
        assert_eq!(newest_before_now(&room, &[]).await.unwrap(), BEFORE_ALL);
        let said = room.broadcast("now").await.unwrap();
        assert_eq!(newest_before_now(&room, std::slice::from_ref(&said)).await.unwrap(), said.key);
        let mut ahead = future(1);
        ahead.key.time = Timestamp::MAX;
        assert_eq!(newest_before_now(&room, &[said.clone(), ahead.clone()]).await.unwrap(), said.key);
        assert_eq!(newest_before_now(&room, &[ahead]).await.unwrap(), said.key);
        client.shutdown().await;
    }
}

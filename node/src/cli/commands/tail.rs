//! `distchat tail`: the newest messages of a room, and those that follow.

use std::collections::HashSet;
use std::sync::Arc;

use clap::Args;
use distchat_node::{Event, Key, Message, MessageId, RoomName};

use super::Desk;
use super::history::{show, since_then};
use super::span::Moment;
use crate::attach::{Room, Told};
use crate::cli::Failure;
use crate::cli::report::Report;

/// How many of those that arrive between two nodes are kept. More are printed at once.
const BETWEEN: usize = 4096;

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
        let mut shown = HashSet::new();
        let last = match self.since {
            Some(since) => {
                since_then(desk, &room, since.place(), None, |message| {
                    shown.insert(message.id);
                })
                .await?
            }
            None => {
                // One more than is shown tells where to go on if it is none.
                let messages = room.messages(self.newest.max(1)).await?;
                let last = messages.last().map(|message| message.key);
                shown.extend(messages.iter().map(|message| message.id));
                let messages = if self.newest == 0 { Vec::new() } else { messages };
                show(desk, &room, messages).await?;
                last.unwrap_or(Key { time: distchat_node::Timestamp(0), id: MessageId([0; 32]) })
            }
        };
        if self.follow { follow(desk, &room, events, shown, last).await } else { Ok(()) }
    }
}

/// Prints what arrives, until the node ends. What was shown before may be told of once more.
async fn follow(
    desk: &mut Desk,
    room: &Room,
    mut events: crate::attach::Events,
    mut shown: HashSet<MessageId>,
    mut last: Key,
) -> Result<(), Failure> {
    // What arrives between two nodes stays behind what is read when the next one is there.
    let mut between: Option<Vec<Arc<Message>>> = None;
    while let Some(told) = events.next().await {
        match told {
            Told::Event(Event::Message { room: name, message }) if name == *room.name() => {
                if let Some(between) = between.as_mut().filter(|between| between.len() < BETWEEN) {
                    between.push(message);
                } else if !shown.remove(&message.id) {
                    last = last.max(message.key);
                    desk.say(&Report::Message { room: name, message }).await?;
                }
            }
            // What was missed is read. What of it was written before the last message that was shown is in the history.
            Told::Back | Told::Event(Event::Lagged { .. }) => {
                shown.clear();
                last = since_then(desk, room, last, None, |message| {
                    shown.insert(message.id);
                })
                .await?;
                for message in between.take().into_iter().flatten().filter(|message| !shown.remove(&message.id)) {
                    last = last.max(message.key);
                    desk.say(&Report::Message { room: room.name().clone(), message }).await?;
                }
            }
            Told::Gone => between = Some(Vec::new()),
            Told::Event(_) => {}
        }
    }
    Ok(())
}

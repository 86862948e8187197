//! `distchat history`: a room's messages, page by page.

use clap::Args;
use distchat_node::{Key, Message, RoomName};

use super::Desk;
use super::span::Moment;
use crate::attach::Room;
use crate::cli::Failure;
use crate::cli::report::Report;

/// How many messages are read at once.
const PAGE: usize = 256;

/// Print messages of a room, the oldest first.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct History {
    /// Which room
    #[arg(value_name = "ROOM", value_parser = RoomName::parse)]
    target: RoomName,

    /// So many at most, the newest of them
    #[arg(short = 'n', value_name = "N", default_value_t = 50, conflicts_with = "since")]
    newest: usize,

    /// All from then on, such as 2h or 2026-11-23
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    since: Option<Moment>,

    /// None from then on
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    until: Option<Moment>,
}

impl History {
    pub(super) async fn run(&self, desk: &mut Desk) -> Result<(), Failure> {
        let room = desk.open_stored(&self.target).await?;
        let until = self.until.map(Moment::place);
        match self.since {
            Some(since) => since_then(desk, &room, since.place(), until, |_| true).await,
            None => {
                let messages = match until {
                    Some(until) => room.messages_before(until, self.newest).await?,
                    None => room.messages(self.newest).await?,
                };
                show(desk, &room, messages).await
            }
        }
    }
}

/// Prints all behind a place and before another that are wanted.
pub(super) async fn since_then(
    desk: &mut Desk,
    room: &Room,
    mut after: Key,
    until: Option<Key>,
    mut wanted: impl FnMut(&Message) -> bool,
) -> Result<(), Failure> {
    loop {
        let mut page = room.messages_after(after, PAGE).await?;
        let full = page.len() == PAGE;
        if let Some(until) = until {
            page.retain(|message| message.key < until);
        }
        let all = full && page.len() == PAGE;
        after = page.last().map_or(after, |message| message.key);
        page.retain(&mut wanted);
        show(desk, room, page).await?;
        if !all {
            return Ok(());
        }
    }
}

/// Prints messages.
pub(super) async fn show(desk: &mut Desk, room: &Room, messages: Vec<Message>) -> Result<(), Failure> {
    for message in messages {
        desk.say(&Report::Message { room: room.name().clone(), message: message.into() }).await?;
    }
    Ok(())
}

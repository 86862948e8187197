//! Doing what the chat wants, with the library.

use distchat_node::{Key, Receipt, RoomError, RoomName};

use super::app::Say;
use super::disks::Disks;
use super::done::Done;
use super::transcript::{Load, Loaded};
use crate::attach::{Client, Problem, Room};

/// How many messages are found at most.
const FOUND: usize = 200;
/// How many of those in a room are known by name.
const MEMBERS: usize = 1_000;
/// How many future-dated messages are looked at.
const FUTURE: usize = 200;

fn room(node: &Client, name: &RoomName) -> Result<Room, Problem> {
    node.room(name).ok_or_else(|| RoomError::Left(name.clone()).into())
}

/// Loads a part of a room's transcript, up to the horizon.
pub(super) async fn load(node: Client, name: RoomName, number: u64, load: Load, horizon: Key) -> Done {
    let result = lines(&node, &name, load, horizon).await.map_err(|error| error.to_string());
    Done::Loaded { room: name, number, load, result }
}

async fn lines(node: &Client, name: &RoomName, load: Load, horizon: Key) -> Result<Loaded, Problem> {
    let room = room(node, name)?;
    let mut loaded = Loaded::default();
    let before = async |key: Key, count: usize| {
        let messages = room.messages_before(key, count).await?;
        Ok::<_, Problem>((messages.len() < count, messages))
    };
    let after = async |key: Key, count: usize| {
        let mut messages = room.messages_after(key, count).await?;
        let all = messages.len();
        messages.retain(|message| message.key < horizon);
        Ok::<_, Problem>((messages.len() < count || all < count, messages))
    };
    match load {
        Load::Newest(count) => {
            (loaded.from_start, loaded.messages) = before(horizon, count).await?;
            loaded.to_end = true;
        }
        Load::Before(key, count) => (loaded.from_start, loaded.messages) = before(key, count).await?,
        Load::After(key, count) => (loaded.to_end, loaded.messages) = after(key, count).await?,
        Load::Around(key, count) => {
            (loaded.from_start, loaded.messages) = before(key.next(), count).await?;
            let (to_end, mut behind) = after(key, count).await?;
            loaded.to_end = to_end;
            loaded.messages.append(&mut behind);
        }
    }
    let keys: Vec<Key> = loaded.messages.iter().map(|message| message.key).collect();
    loaded.reactions = room.reactions(&keys).await?;
    Ok(loaded)
}

/// Who is in a room.
pub(super) async fn members(node: Client, name: RoomName) -> Option<Done> {
    let members = room(&node, &name).ok()?.members(MEMBERS).await.ok()?;
    Some(Done::Members { room: name, members })
}

/// On how many other disks own messages are, as far as that is known.
pub(super) async fn receipts(node: Client, name: RoomName, keys: Vec<Key>) -> Option<Done> {
    let room = room(&node, &name).ok()?;
    let receipts = room.receipts(&keys).await.ok()?;
    let disks = receipts.into_iter().map(|receipt| match receipt {
        // Before this node started somebody may have had it.
        Some(Receipt { on, said_before: true, .. }) if on.is_empty() => Disks::Unknown,
        Some(Receipt { on, of, .. }) => Disks::On(on.len(), of),
        None => Disks::Unknown,
    });
    Some(Done::Receipts { room: name, receipts: keys.into_iter().zip(disks).collect() })
}

/// What a room is about, and what is dated in the future there.
pub(super) async fn look(node: Client, name: RoomName, horizon: Key) -> Option<Done> {
    let room = room(&node, &name).ok()?;
    let future = room.messages_after(horizon, FUTURE).await.ok()?;
    let topic = room.topic().await.ok()?;
    Some(Done::Looked { room: name, topic, future })
}

/// Searches all rooms.
pub(super) async fn search(node: Client, words: String) -> Done {
    let result = node.search(&words, FOUND).await.map_err(|error| error.to_string());
    Done::Found { words, result }
}

/// Says something. Nothing is to be told if that went well: it comes back as an event.
pub(super) async fn say(node: Client, name: RoomName, what: Say) -> Option<Done> {
    let said = async {
        // A node that was started again opens what this program had opened; this may have been another's. What is typed into a
        // room on the screen is for it.
        let room = match node.room(&name) {
            Some(room) => room,
            None => node.open_room(&name).await?,
        };
        match &what {
            Say::Text(text) => room.broadcast(text).await.map(drop),
            Say::Action(text) => room.act(text).await.map(drop),
            Say::Reply(to, text) => room.reply(*to, text).await.map(drop),
            Say::React(to, emoji) => room.react(*to, emoji).await,
        }
    };
    let why = said.await.err()?.to_string();
    Some(Done::NotSaid { room: name, what, why })
}

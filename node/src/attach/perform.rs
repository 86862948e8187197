//! Doing on a node what was asked for, be it over the socket or by the program that runs the node itself.

use distchat_node::{Message, Node, Room, RoomError, RoomName};

use super::problem::Problem;
use super::wire::{Answer, PAGE, Request, Which};

/// Does it. What has an order takes effect in the order in which these are first polled.
pub(super) async fn perform(node: &Node, request: Request) -> Result<Answer, Problem> {
    let opened = |name: &RoomName| node.room(name).ok_or_else(|| Problem::from(RoomError::Left(name.clone())));
    Ok(match request {
        // Who attends to the connection sees to that.
        Request::Watch => Answer::Done,
        Request::Open { room } => node.open_room(&room).await.map(|_| Answer::Done)?,
        Request::Leave { room } => node.leave_room(&room).await.map(|()| Answer::Done)?,
        Request::Say { room, text } => Answer::Message(opened(&room)?.broadcast(&text).await?),
        Request::Act { room, text } => Answer::Message(opened(&room)?.act(&text).await?),
        Request::Reply { room, to, text } => Answer::Message(opened(&room)?.reply(to, &text).await?),
        Request::React { room, to, emoji } => opened(&room)?.react(to, &emoji).await.map(|()| Answer::Done)?,
        Request::SetTopic { room, text } => opened(&room)?.set_topic(&text).await.map(|()| Answer::Done)?,
        Request::SetNick { room, nick } => opened(&room)?.set_nick(&nick).await.map(|()| Answer::Done)?,
        Request::Messages { room, which, count } => Answer::Messages(page(&opened(&room)?, which, count).await?),
        Request::Reactions { room, to } => Answer::Reactions(opened(&room)?.reactions(&to).await?),
        Request::Topic { room } => Answer::Topic(opened(&room)?.topic().await?),
        Request::Members { room, at_most } => Answer::Members(opened(&room)?.members(at_most).await?),
        Request::Fingerprint { room } => Answer::Fingerprint(opened(&room)?.fingerprint().await?),
        Request::Delivered { room } => Answer::Delivered(opened(&room)?.delivered().await?),
        Request::Receipts { room, of } => Answer::Receipts(opened(&room)?.receipts(&of).await?),
        Request::OnDisks { room, key, others } => Answer::Receipt(opened(&room)?.on_disks(key, others).await?),
        Request::Crash { room } => opened(&room)?.crash().await.map(|()| Answer::Done)?,
        Request::Restart { room } => opened(&room)?.restart().await.map(|()| Answer::Done)?,
        Request::Search { words, limit } => Answer::Found(node.search(&words, limit).await?),
        Request::Connect { address } => node.connect(address).await.map(|()| Answer::Done)?,
    })
}

async fn page(room: &Room, which: Which, count: usize) -> Result<Vec<Message>, RoomError> {
    let count = count.min(PAGE);
    match which {
        Which::Newest => room.messages(count).await,
        Which::Before(key) => room.messages_before(key, count).await,
        Which::After(key) => room.messages_after(key, count).await,
    }
}

//! Doing on a node what was asked for, be it over the socket or by the program that runs the node itself.

use distchat_node::{Message, Node, Room, RoomError, RoomName, Verification};
use tokio::sync::Mutex;

use super::carried::{Bytes, Seen, Step};
use super::problem::Problem;
use super::wire::{Answer, EXPORT_PAGE, MAX_FOUND, PAGE, Request, Which};

/// The place of one who asks: the node, and what of theirs goes on from one question to the next.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) node: Node,
    verification: Mutex<Option<Verification>>,
}

impl Seat {
    pub(super) fn new(node: Node) -> Self {
        Self { node, verification: Mutex::new(None) }
    }
}

/// What a test looks for to have the node crash over it.
#[cfg(test)]
pub(super) const CRASHES: &str = "crashes whoever looks";

/// Does it. What has an order takes effect in the order in which these are first polled.
pub(super) async fn perform(seat: &Seat, request: Request) -> Result<Answer, Problem> {
    let node = &seat.node;
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
        Request::Search { words, limit } => {
            #[cfg(test)]
            assert_ne!(words, CRASHES);
            Answer::Found(node.search(&words, limit.min(MAX_FOUND)).await?)
        }
        Request::Counters => Answer::Counters(node.counters()),
        Request::StoredRooms => Answer::StoredRooms(node.stored_rooms().await?),
        Request::SeenRooms { at_most } => {
            Answer::SeenRooms(node.seen_rooms(at_most).await?.into_iter().map(Seen::from).collect())
        }
        Request::Export { room, before } => Answer::Exported(opened(&room)?.export(before, EXPORT_PAGE).await?.into()),
        Request::Import { room, messages } => {
            Answer::Imported(opened(&room)?.import(messages.into_iter().map(|Bytes(bytes)| bytes).collect()).await?)
        }
        Request::VerifyStep => {
            let mut verification = seat.verification.lock().await;
            let mut running = match verification.take() {
                Some(running) => running,
                None => node.verify().await?,
            };
            let step = running.step().await?.map(Step::from);
            // At its end it is dropped, and the next one begins anew.
            *verification = step.is_some().then_some(running);
            Answer::Verified(step)
        }
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

//! A room of the node that is used, with the calls of [`distchat_node::Room`].

use distchat_node::{FingerprintInfo, Imported, Key, Member, Message, Reaction, Receipt, RoomName, RoomTopic};

use super::carried::{Bytes, Exported};
use super::client::Client;
use super::problem::Problem;
use super::wire::{Answer, PAGE, Request, Which};

/// A room that was open when this was made.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    client: Client,
    name: RoomName,
}

/// Takes out of an answer what the question was about.
macro_rules! answered {
    ($answer:expr, $variant:ident) => {
        match $answer {
            Answer::$variant(value) => Ok(value),
            other => Err(Problem::new("attach", format!("the node gave another answer than was asked for: {other:?}"))),
        }
    };
}
pub(super) use answered;

impl Room {
    pub(super) fn new(client: Client, name: RoomName) -> Self {
        Self { client, name }
    }

    pub(crate) fn name(&self) -> &RoomName {
        &self.name
    }

    fn room(&self) -> RoomName {
        self.name.clone()
    }

    pub(crate) async fn broadcast(&self, text: &str) -> Result<Message, Problem> {
        answered!(self.client.ask(Request::Say { room: self.room(), text: text.to_owned() }).await?, Message)
    }

    pub(crate) async fn act(&self, text: &str) -> Result<Message, Problem> {
        answered!(self.client.ask(Request::Act { room: self.room(), text: text.to_owned() }).await?, Message)
    }

    pub(crate) async fn reply(&self, to: Key, text: &str) -> Result<Message, Problem> {
        answered!(self.client.ask(Request::Reply { room: self.room(), to, text: text.to_owned() }).await?, Message)
    }

    pub(crate) async fn react(&self, to: Key, emoji: &str) -> Result<(), Problem> {
        self.client.ask(Request::React { room: self.room(), to, emoji: emoji.to_owned() }).await.map(drop)
    }

    pub(crate) async fn set_topic(&self, text: &str) -> Result<(), Problem> {
        self.client.ask(Request::SetTopic { room: self.room(), text: text.to_owned() }).await.map(drop)
    }

    pub(crate) async fn set_nick(&self, nick: &str) -> Result<(), Problem> {
        self.client.ask(Request::SetNick { room: self.room(), nick: nick.to_owned() }).await.map(drop)
    }

    pub(crate) async fn messages(&self, newest: usize) -> Result<Vec<Message>, Problem> {
        let page = self.page(Which::Newest, newest).await?;
        if page.len() < PAGE || newest == page.len() {
            return Ok(page);
        }
        let Some(first) = page.first().map(|message| message.key) else { return Ok(page) };
        let mut messages = self.messages_before(first, newest - page.len()).await?;
        messages.extend(page);
        Ok(messages)
    }

    pub(crate) async fn messages_before(&self, mut before: Key, newest: usize) -> Result<Vec<Message>, Problem> {
        let (mut pages, mut left) = (Vec::new(), newest);
        while left > 0 {
            let page = self.page(Which::Before(before), left).await?;
            let (count, first) = (page.len(), page.first().map(|message| message.key));
            left -= count.min(left);
            pages.push(page);
            match first {
                Some(first) if count == PAGE => before = first,
                _ => break,
            }
        }
        Ok(pages.into_iter().rev().flatten().collect())
    }

    pub(crate) async fn messages_after(&self, mut after: Key, oldest: usize) -> Result<Vec<Message>, Problem> {
        let (mut messages, mut left) = (Vec::new(), oldest);
        while left > 0 {
            let page = self.page(Which::After(after), left).await?;
            let (count, last) = (page.len(), page.last().map(|message| message.key));
            left -= count.min(left);
            messages.extend(page);
            match last {
                Some(last) if count == PAGE => after = last,
                _ => break,
            }
        }
        Ok(messages)
    }

    /// At most [`PAGE`] of them.
    async fn page(&self, which: Which, count: usize) -> Result<Vec<Message>, Problem> {
        answered!(self.client.ask(Request::Messages { room: self.room(), which, count }).await?, Messages)
    }

    pub(crate) async fn reactions(&self, to: &[Key]) -> Result<Vec<Reaction>, Problem> {
        answered!(self.client.ask(Request::Reactions { room: self.room(), to: to.to_vec() }).await?, Reactions)
    }

    pub(crate) async fn topic(&self) -> Result<Option<RoomTopic>, Problem> {
        answered!(self.client.ask(Request::Topic { room: self.room() }).await?, Topic)
    }

    pub(crate) async fn members(&self, at_most: usize) -> Result<Vec<Member>, Problem> {
        answered!(self.client.ask(Request::Members { room: self.room(), at_most }).await?, Members)
    }

    pub(crate) async fn fingerprint(&self) -> Result<FingerprintInfo, Problem> {
        answered!(self.client.ask(Request::Fingerprint { room: self.room() }).await?, Fingerprint)
    }

    pub(crate) async fn delivered(&self) -> Result<bool, Problem> {
        answered!(self.client.ask(Request::Delivered { room: self.room() }).await?, Delivered)
    }

    pub(crate) async fn receipts(&self, of: &[Key]) -> Result<Vec<Option<Receipt>>, Problem> {
        answered!(self.client.ask(Request::Receipts { room: self.room(), of: of.to_vec() }).await?, Receipts)
    }

    pub(crate) async fn on_disks(&self, key: Key, others: usize) -> Result<Receipt, Problem> {
        answered!(self.client.ask(Request::OnDisks { room: self.room(), key, others }).await?, Receipt)
    }

    /// A page of the room's messages as they travel, the newest first, and the place before which the next one begins.
    pub(crate) async fn export(&self, before: Option<Key>) -> Result<Exported, Problem> {
        answered!(self.client.ask(Request::Export { room: self.room(), before }).await?, Exported)
    }

    /// Takes messages in as from a peer. At most [`super::IMPORT_PAGE`] bytes of text.
    pub(crate) async fn import(&self, messages: Vec<Bytes>) -> Result<Imported, Problem> {
        answered!(self.client.ask(Request::Import { room: self.room(), messages }).await?, Imported)
    }

    pub(crate) async fn crash(&self) -> Result<(), Problem> {
        self.client.ask(Request::Crash { room: self.room() }).await.map(drop)
    }

    pub(crate) async fn restart(&self) -> Result<(), Problem> {
        self.client.ask(Request::Restart { room: self.room() }).await.map(drop)
    }
}

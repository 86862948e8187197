//! A room as the chat holds it.

use std::collections::BTreeMap;
use std::sync::Arc;

use distchat_node::{Key, Message, MessageId, RoomInfo, RoomName, RoomTopic, Timestamp};

use super::names::Names;
use super::transcript::{Load, Loaded, Transcript};

/// How many future-dated messages are held; of more, only the number is known.
const FUTURE: usize = 200;

/// A room as the chat holds it.
#[derive(Debug)]
pub(super) struct RoomView {
    pub(super) name: RoomName,
    /// The library's word on it, as of the last look.
    pub(super) info: Option<RoomInfo>,
    pub(super) transcript: Transcript,
    pub(super) names: Names,
    /// Somebody came, went or is called otherwise: the names are to be fetched anew.
    pub(super) names_stale: bool,
    pub(super) topic: Option<RoomTopic>,
    /// What is being typed, while another room is looked at.
    pub(super) draft: String,
    /// All up to here was read. `None` until it is known where that is.
    pub(super) read: Option<Key>,
    /// Where the line stands behind which all is new.
    pub(super) read_line: Option<Key>,
    pub(super) unread: u64,
    pub(super) mentions: u64,
    /// Messages dated in the future, hidden until their time comes.
    pub(super) future: BTreeMap<Key, Arc<Message>>,
    pub(super) more_future: u64,
    /// The message that a reply or a reaction is about.
    pub(super) selected: Option<Key>,
}

impl RoomView {
    pub(super) fn new(name: RoomName) -> Self {
        Self {
            name,
            info: None,
            transcript: Transcript::default(),
            names: Names::default(),
            names_stale: true,
            topic: None,
            draft: String::new(),
            read: None,
            read_line: None,
            unread: 0,
            mentions: 0,
            future: BTreeMap::new(),
            more_future: 0,
            selected: None,
        }
    }

    /// The name that the reader goes by here.
    pub(super) fn own_nick(&self) -> &str {
        self.info.as_ref().and_then(|info| info.nick.as_deref()).unwrap_or_default()
    }

    /// Messages from this place on are dated in the future.
    pub(super) fn horizon(&self) -> Key {
        let horizon = self.info.as_ref().map_or(Timestamp::MAX, |info| info.horizon);
        Key { time: Timestamp(horizon.0.saturating_add(1)), id: MessageId([0; 32]) }
    }

    /// Hides a message until its time comes.
    pub(super) fn hold(&mut self, message: Arc<Message>) {
        self.future.insert(message.key, message);
        if self.future.len() > FUTURE && self.future.pop_last().is_some() {
            self.more_future += 1;
        }
    }

    /// Takes out the messages whose time has come.
    pub(super) fn due(&mut self) -> Vec<Arc<Message>> {
        let later = self.future.split_off(&self.horizon());
        std::mem::replace(&mut self.future, later)
            .into_values()
            .map(|message| Arc::new(Message { future: false, ..Arc::unwrap_or_clone(message) }))
            .collect()
    }

    /// All that has arrived has been seen.
    pub(super) fn read_all(&mut self) {
        if let Some(newest) = self.transcript.newest() {
            self.read = self.read.max(Some(newest));
        }
        self.unread = 0;
        self.mentions = 0;
    }

    /// What was wanted for the transcript is here, or cannot be had.
    pub(super) fn loaded(&mut self, number: u64, load: Load, loaded: Option<Loaded>) {
        if let (Load::Newest(_), Some(loaded)) = (load, &loaded)
            && !self.transcript.is_loaded()
        {
            self.first_look(loaded);
        }
        self.transcript.loaded(number, loaded);
    }

    /// How much is new since the reader last was here. Nothing is, of a room that they see for the first time.
    fn first_look(&mut self, loaded: &Loaded) {
        let newest = loaded.messages.last().map(|message| message.key);
        match self.read {
            // An empty one will be new from its first message on.
            None => self.read = newest.or(Some(Key::MIN)),
            Some(read) => {
                let new = loaded.messages.iter().filter(|message| message.key > read && !message.own);
                self.unread = new.count() as u64;
                // Also if nothing is: what was said meanwhile comes from others, who are not here yet.
                self.read_line = Some(read);
            }
        }
    }
}

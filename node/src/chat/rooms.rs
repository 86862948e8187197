//! Which rooms there are, which of them is looked at, and what is remembered of them.

use distchat_node::RoomName;

use super::app::App;
use super::history::History;
use super::memory::{Memory, RoomMemory};
use super::room::RoomView;

impl App {
    pub(super) fn open(&mut self, name: RoomName) {
        match self.room_named(&name) {
            // Before it was opened nothing could be loaded.
            Some(room) => room.transcript.refresh(),
            None => {
                let memory = self.memory.rooms.get(name.as_str()).cloned().unwrap_or_default();
                let mut room = RoomView::new(name);
                room.read = memory.read;
                room.draft = memory.draft;
                room.transcript.muted = memory.muted;
                self.rooms.push(room);
            }
        }
    }

    /// A room is not there any more.
    pub(super) fn close(&mut self, name: &RoomName) {
        self.rooms.retain(|room| room.name != *name);
        if self.current.as_ref() == Some(name) {
            self.current = None;
            if let Some(room) = self.rooms.last().map(|room| room.name.clone()) {
                self.switch(&room);
            }
        }
    }

    /// Goes on from what a former run remembered. To be called before any room is open.
    pub(super) fn remember(&mut self, memory: Memory) {
        self.history = History::new(memory.typed.clone());
        self.memory = memory;
    }

    /// What is to be remembered.
    pub(super) fn memory(&mut self) -> &Memory {
        let current = self.current.clone();
        for room in &self.rooms {
            let draft = if Some(&room.name) == current.as_ref() { self.editor.text() } else { room.draft.clone() };
            let memory = RoomMemory { read: room.read, draft, muted: room.transcript.muted.clone() };
            self.memory.rooms.insert(room.name.as_str().to_owned(), memory);
        }
        self.memory.typed = self.history.lines().to_vec();
        &self.memory
    }

    /// Looks at another room.
    pub(super) fn switch(&mut self, name: &RoomName) {
        if self.current.as_ref() == Some(name) {
            return;
        }
        let draft = self.editor.take();
        if let Some(room) = self.room_mut() {
            room.draft = draft;
            room.read_line = None;
        }
        self.completion = None;
        if self.room_named(name).is_none() {
            self.open(name.clone());
        }
        self.current = Some(name.clone());
        if let Some(room) = self.room_mut() {
            room.names_stale = true;
            room.read_line = room.read.filter(|_| room.unread > 0).or(room.read_line);
            let draft = std::mem::take(&mut room.draft);
            self.editor.insert(&draft);
        }
    }

    /// The room so many places further on in the list.
    pub(super) fn switch_by(&mut self, step: isize) {
        let at = self.rooms.iter().position(|room| Some(&room.name) == self.current.as_ref()).unwrap_or(0);
        let count = isize::try_from(self.rooms.len()).unwrap_or(0);
        if count > 0 {
            let next = (isize::try_from(at).unwrap_or(0) + step).rem_euclid(count);
            self.switch_to(usize::try_from(next).unwrap_or(0));
        }
    }

    pub(super) fn switch_to(&mut self, at: usize) {
        if let Some(name) = self.rooms.get(at).map(|room| room.name.clone()) {
            self.switch(&name);
        }
    }

    /// The next room in which something is new: first those where the user is spoken to.
    pub(super) fn switch_to_news(&mut self) {
        let news = self.rooms.iter().filter(|room| room.unread > 0).max_by_key(|room| room.mentions > 0);
        if let Some(name) = news.map(|room| room.name.clone()) {
            self.switch(&name);
        }
    }
}

//! The chat as a state machine: what happened goes in, what is to be done comes out. It does no I/O and knows no clock, so
//! that a test can play any scene.

use distchat_node::{AuthorId, Key, RoomInfo, RoomName};

use super::completion::Completion;
use super::draw::MouseMap;
use super::editor::Editor;
use super::history::History;
use super::memory::Memory;
use super::notices::Notices;
use super::popup::Popup;
use super::room::RoomView;
use super::theme::Theme;
use super::transcript::Load;
use crate::cli::clock::Clock;
use crate::cli::command::Command;
use crate::cli::text::TextView;

/// How many rooms are looked into for the first time at once: there may be thousands, and looking wakes them.
const LOOKS: usize = 8;

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(super) enum Effect {
    /// Load a part of a room's transcript.
    Load { room: RoomName, number: u64, load: Load, horizon: Key },
    /// Find out who is in a room.
    Members(RoomName),
    /// Find out on whose disks own messages are.
    Receipts { room: RoomName, keys: Vec<Key> },
    /// Find out what a room is about, and what is dated in the future there.
    Look { room: RoomName, horizon: Key },
    /// Say something.
    Say { room: RoomName, what: Say },
    /// Carry out a command.
    Command(Command),
    /// Search all rooms.
    Search(String),
    /// Tell the user who is not looking.
    Notify { title: String, text: String },
    /// Draw the whole screen anew.
    Redraw,
    /// Show these lines as they are, without anything beside them.
    Bare(Vec<String>),
    /// Leave, once somebody has what was said.
    Leave,
    /// Leave at once.
    LeaveNow,
}

/// What to say.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Say {
    Text(String),
    Action(String),
    Reply(Key, String),
    React(Key, String),
}

/// The chat.
pub(super) struct App {
    pub(super) own: AuthorId,
    pub(super) theme: Theme,
    pub(super) clock: Clock,
    pub(super) rooms: Vec<RoomView>,
    pub(super) current: Option<RoomName>,
    /// How many peers are connected.
    pub(super) peers: usize,
    pub(super) editor: Editor,
    pub(super) history: History,
    pub(super) completion: Option<Completion>,
    pub(super) popup: Option<Popup>,
    pub(super) notices: Notices,
    /// How far the own clock is ahead of the others', in milliseconds, if that is worth telling.
    pub(super) clock_off: Option<i64>,
    /// Whether members are shown where there is room for them.
    pub(super) show_members: bool,
    /// Whether the user looks at this terminal, as far as it tells.
    pub(super) focused: bool,
    pub(super) leaving: bool,
    pub(super) mouse_map: MouseMap,
    /// What is remembered of rooms, those that are not open among them.
    pub(super) memory: Memory,
    pub(super) text: TextView,
    now: u64,
    pub(super) effects: Vec<Effect>,
}

impl App {
    pub(super) fn new(own: AuthorId, theme: Theme, clock: Clock) -> Self {
        Self {
            own,
            theme,
            text: TextView::new(clock.clone()),
            clock,
            rooms: Vec::new(),
            current: None,
            peers: 0,
            editor: Editor::default(),
            history: History::default(),
            completion: None,
            popup: None,
            notices: Notices::default(),
            clock_off: None,
            show_members: true,
            focused: true,
            leaving: false,
            mouse_map: MouseMap::default(),
            memory: Memory::default(),
            now: 0,
            effects: Vec::new(),
        }
    }

    pub(super) fn room(&self) -> Option<&RoomView> {
        let current = self.current.as_ref()?;
        self.rooms.iter().find(|room| room.name == *current)
    }

    pub(super) fn room_mut(&mut self) -> Option<&mut RoomView> {
        let current = self.current.as_ref()?;
        self.rooms.iter_mut().find(|room| room.name == *current)
    }

    pub(super) fn room_named(&mut self, name: &RoomName) -> Option<&mut RoomView> {
        self.rooms.iter_mut().find(|room| room.name == *name)
    }

    /// The library's word on everything, as of now: milliseconds since 1970.
    pub(super) fn look(&mut self, infos: Vec<RoomInfo>, peers: usize, now: u64) {
        self.now = now;
        self.peers = peers;
        // There may be thousands, and they are nearly always in the same order here as there.
        let mut at = 0;
        for info in infos {
            if self.rooms.get(at).is_none_or(|room| room.name != info.name) {
                at = self.rooms.iter().position(|room| room.name == info.name).unwrap_or(self.rooms.len());
            }
            // Another program that uses the node may have opened it.
            if at == self.rooms.len() {
                self.open(info.name.clone());
            }
            if let Some(room) = self.rooms.get_mut(at) {
                room.info = Some(info);
                for message in room.due() {
                    room.transcript.arrived(&message);
                }
            }
            at += 1;
        }
        let focused = self.focused;
        if let Some(room) = self.room_mut()
            && focused
            && room.transcript.is_following()
            && room.transcript.is_to_end()
        {
            // It is on the screen.
            room.read_all();
        }
    }

    /// What time it is, in milliseconds since 1970.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// There is something to know that is no message.
    pub(super) fn notice(&mut self, text: &str, error: bool) {
        self.notices.add(self.now, text, error);
    }

    /// What is wanted from the store for what is on the screen.
    pub(super) fn want(&mut self) {
        let current = self.current.clone();
        let looking = |room: &&RoomView| !room.transcript.is_loaded() && room.transcript.is_loading();
        let mut looks = LOOKS.saturating_sub(self.rooms.iter().filter(looking).count());
        for room in &mut self.rooms {
            let (first, is_current) = (!room.transcript.is_loaded(), Some(&room.name) == current.as_ref());
            if !is_current && (!first || looks == 0 || room.transcript.is_loading()) {
                continue;
            }
            looks = looks.saturating_sub(usize::from(first));
            let horizon = room.horizon();
            if let Some((number, load)) = room.transcript.wanted() {
                if first {
                    self.effects.push(Effect::Look { room: room.name.clone(), horizon });
                }
                self.effects.push(Effect::Load { room: room.name.clone(), number, load, horizon });
            }
        }
    }

    /// A second has passed: what is looked up now and then.
    pub(super) fn tick(&mut self) {
        let Some(room) = self.room_mut() else { return };
        let (name, names_stale) = (room.name.clone(), std::mem::take(&mut room.names_stale));
        let keys = room.transcript.unconfirmed();
        if names_stale {
            self.effects.push(Effect::Members(name.clone()));
        }
        if !keys.is_empty() {
            self.effects.push(Effect::Receipts { room: name, keys });
        }
    }
}

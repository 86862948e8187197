//! The chat as a state machine: what happened goes in, what is to be done comes out. It does no I/O and knows no clock, so
//! that a test can play any scene.

use std::collections::VecDeque;

use distchat_node::{AuthorId, Event, Key, Member, Message, RoomInfo, RoomName, RoomState, RoomTopic};

use super::completion::Completion;
use super::editor::Editor;
use super::history::History;
use super::memory::{Memory, RoomMemory};
use super::names;
use super::popup::Popup;
use super::room::RoomView;
use super::theme::Theme;
use super::transcript::{Load, Loaded};
use crate::cli::clock::Clock;
use crate::cli::command::Command;
use crate::cli::escape::{visible, visible_start};
use crate::cli::execute::Outcome;
use crate::cli::report;
use crate::cli::report::Line;
use crate::cli::text::TextView;

/// How many notices are kept.
const NOTICES: usize = 200;
/// How long a notice stays, in milliseconds.
const NOTICE_TIME: u64 = 12_000;

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(super) enum Effect {
    /// Load a part of a room's transcript.
    Load { room: RoomName, number: u64, load: Load, horizon: Key },
    /// Find out who is in a room.
    Members(RoomName),
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

/// What came of an effect.
#[derive(Debug)]
pub(super) enum Done {
    Loaded {
        room: RoomName,
        number: u64,
        load: Load,
        result: Result<Loaded, String>,
    },
    Members {
        room: RoomName,
        members: Vec<Member>,
    },
    Looked {
        room: RoomName,
        topic: Option<RoomTopic>,
        future: Vec<Message>,
    },
    NotSaid {
        room: RoomName,
        what: Say,
        why: String,
    },
    Ran(Outcome),
    /// Something went wrong that people should know of.
    Failed(String),
    Found {
        words: String,
        result: Result<Vec<(RoomName, Message)>, String>,
    },
}

/// Something to know that is no message.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub(super) text: String,
    pub(super) error: bool,
    until: u64,
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
    pub(super) notices: VecDeque<Notice>,
    /// How far the own clock is ahead of the others', in milliseconds, if that is worth telling.
    pub(super) clock_off: Option<i64>,
    /// Whether members are shown where there is room for them.
    pub(super) show_members: bool,
    /// Whether the user looks at this terminal, as far as it tells.
    pub(super) focused: bool,
    pub(super) leaving: bool,
    pub(super) mouse_map: super::draw::MouseMap,
    /// What is remembered of rooms, those that are not open among them.
    memory: Memory,
    text: TextView,
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
            notices: VecDeque::new(),
            clock_off: None,
            show_members: true,
            focused: true,
            leaving: false,
            mouse_map: super::draw::MouseMap::default(),
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

    fn room_named(&mut self, name: &RoomName) -> Option<&mut RoomView> {
        self.rooms.iter_mut().find(|room| room.name == *name)
    }

    /// The library's word on everything, as of now: milliseconds since 1970.
    pub(super) fn look(&mut self, infos: Vec<RoomInfo>, peers: usize, now: u64) {
        self.now = now;
        self.peers = peers;
        for info in infos {
            if let Some(room) = self.room_named(&info.name) {
                room.info = Some(info);
                for message in room.due() {
                    room.transcript.arrived(&message);
                }
            }
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
        while self.notices.front().is_some_and(|notice| notice.until <= now && self.notices.len() > NOTICES) {
            self.notices.pop_front();
        }
    }

    /// What time it is, in milliseconds since 1970.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// The notices that are still to be seen.
    pub(super) fn fresh_notices(&self) -> impl DoubleEndedIterator<Item = &Notice> {
        self.notices.iter().filter(|notice| notice.until > self.now)
    }

    /// Notices have been seen.
    pub(super) fn dismiss_notices(&mut self) {
        for notice in &mut self.notices {
            notice.until = 0;
        }
    }

    pub(super) fn notice(&mut self, text: &str, error: bool) {
        let until = self.now.saturating_add(if error { 3 * NOTICE_TIME } else { NOTICE_TIME });
        let text = visible(text).into_owned();
        // Said again, it stays longer.
        self.notices.retain(|notice| notice.text != text);
        self.notices.push_back(Notice { text, error, until });
        if self.notices.len() > NOTICES {
            self.notices.pop_front();
        }
    }

    /// What is wanted from the store for what is on the screen.
    pub(super) fn want(&mut self) {
        let current = self.current.clone();
        for room in &mut self.rooms {
            let first = !room.transcript.is_loaded();
            if Some(&room.name) != current.as_ref() && !first {
                continue;
            }
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
        if let Some(room) = self.room_mut()
            && std::mem::take(&mut room.names_stale)
        {
            let name = room.name.clone();
            self.effects.push(Effect::Members(name));
        }
    }

    /// Something happened in the library.
    pub(super) fn event(&mut self, event: Event) {
        match event {
            Event::Room { room, state, .. } => self.room_event(room, state),
            Event::Message { room, message } => self.message(&room, message),
            Event::Named { room, author, from, .. } => {
                if let Some(room) = self.room_named(&room) {
                    room.names_stale = true;
                    room.transcript.named(author, from);
                }
            }
            Event::Reacted { room, reaction } => {
                if let Some(room) = self.room_named(&room) {
                    room.transcript.reacted(reaction);
                }
            }
            Event::Topic { room, topic } => {
                if let Some(room) = self.room_named(&room)
                    && room.topic.as_ref().is_none_or(|known| known.key <= topic.key)
                    && topic.key < room.horizon()
                {
                    room.topic = Some(topic);
                }
            }
            Event::Peer { .. } => self.rooms.iter_mut().for_each(|room| room.names_stale = true),
            Event::Synced { room, .. } => {
                if let Some(room) = self.room_named(&room) {
                    room.names_stale = true;
                }
            }
            Event::ClockOff { offset_ms } => {
                self.clock_off = Some(offset_ms);
                self.notice(&report::clock_off(offset_ms), true);
            }
            Event::Forked { room, author } => {
                let who = self.who(&room, author);
                self.notice(&report::forked(&room, &who), true);
            }
            // The screen shows what is, not what happened, so nothing is missed for good.
            Event::Lagged { .. } => self.rooms.iter_mut().for_each(|room| {
                room.transcript.refresh();
                room.names_stale = true;
            }),
            Event::Warning { message, .. } => self.notice(&message, true),
        }
    }

    fn who(&mut self, room: &RoomName, author: AuthorId) -> String {
        let nick = self.room_named(room).and_then(|room| room.names.get(&author).map(|member| member.nick.clone()));
        match nick {
            Some(nick) if nick != author.short() => format!("{} ({})", visible_start(&nick, 32), author.short()),
            _ => author.short(),
        }
    }

    fn room_event(&mut self, name: RoomName, state: RoomState) {
        match state {
            RoomState::Open => self.open(name),
            RoomState::Restarted => {
                self.open(name.clone());
                self.notice(&format!("{name} crashed and was started again; nothing was lost"), false);
            }
            RoomState::Failed => {
                self.notice(&format!("{name} crashes again and again and has given up; /restart tries anew"), true);
            }
            RoomState::Left => {
                self.rooms.retain(|room| room.name != name);
                if self.current.as_ref() == Some(&name) {
                    self.current = None;
                    if let Some(room) = self.rooms.last().map(|room| room.name.clone()) {
                        self.switch(&room);
                    }
                }
            }
        }
    }

    fn open(&mut self, name: RoomName) {
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

    fn message(&mut self, name: &RoomName, message: Message) {
        let looking = self.focused && self.current.as_ref() == Some(name);
        let Some(room) = self.room_named(name) else { return };
        if message.future && !message.own {
            return room.hold(message);
        }
        room.names_stale |= room.names.get(&message.author).is_none();
        room.transcript.arrived(&message);
        if message.own || room.transcript.muted.contains(&message.author) {
            if message.own && message.delay.is_none() {
                // Whoever answers has read what is there.
                room.read = room.read.max(Some(message.key));
            }
            return;
        }
        if room.read.is_none_or(|read| message.key <= read) {
            return;
        }
        let mentioned = names::mentions(&message.text, room.own_nick());
        if looking && room.transcript.is_following() {
            room.read = Some(message.key);
        } else {
            room.unread += 1;
            room.mentions += u64::from(mentioned);
        }
        if mentioned && !looking {
            let title = format!("{} in {}", visible_start(&message.nick, 32), visible(name.as_str()));
            let text = visible_start(&message.text, 200);
            self.effects.push(Effect::Notify { title, text });
        }
    }

    /// The user looks at this terminal again, or no longer.
    pub(super) fn focus(&mut self, focused: bool) {
        self.focused = focused;
        if let Some(room) = self.room_mut()
            && room.transcript.is_following()
        {
            // What comes while nobody looks stands below a line.
            if !focused && room.unread == 0 {
                room.read_line = room.read;
            } else if focused {
                room.read_all();
            }
        }
    }

    /// What came of an effect.
    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Loaded { room: name, number, load, result } => {
                let problem = result.as_ref().err().cloned();
                let looking = self.focused && self.current.as_ref() == Some(&name);
                if let Some(room) = self.room_named(&name) {
                    room.loaded(number, load, result.ok());
                    if looking && room.transcript.is_following() {
                        room.read_all();
                    }
                }
                if let Some(problem) = problem {
                    self.notice(&format!("the history cannot be shown: {problem}"), true);
                }
            }
            Done::Members { room, members } => {
                if let Some(room) = self.room_named(&room) {
                    room.names = names::Names::new(members);
                }
            }
            Done::Looked { room, topic, future } => {
                if let Some(room) = self.room_named(&room) {
                    room.topic = [room.topic.take(), topic].into_iter().flatten().max_by_key(|topic| topic.key);
                    future.into_iter().for_each(|message| room.hold(message));
                }
            }
            Done::NotSaid { room, what, why } => self.not_said(&room, what, &why),
            Done::Ran(outcome) => self.ran(outcome),
            Done::Failed(problem) => self.notice(&problem, true),
            Done::Found { words, result } => match result {
                Ok(hits) if hits.is_empty() => self.notice(&format!("nothing was found for {words}"), false),
                Ok(hits) => self.popup = Some(Popup::found(words, hits)),
                Err(problem) => self.notice(&format!("nothing could be found: {problem}"), true),
            },
        }
    }

    /// What could not be said is given back, if nothing else is being typed.
    fn not_said(&mut self, room: &RoomName, what: Say, why: &str) {
        let text = match what {
            Say::Text(text) => text,
            Say::Action(text) => format!("/me {text}"),
            Say::Reply(_, text) => format!("/reply {text}"),
            Say::React(_, emoji) => format!("/react {emoji}"),
        };
        if self.current.as_ref() == Some(room) && self.editor.is_empty() {
            self.editor.insert(&text);
        } else if let Some(room) = self.room_named(room).filter(|room| room.draft.is_empty()) {
            room.draft = text;
        }
        self.notice(&format!("that was not sent: {why}"), true);
    }

    fn ran(&mut self, outcome: Outcome) {
        let mut data = Vec::new();
        for report in &outcome.reports {
            let error = matches!(report, report::Report::Error { .. });
            for line in self.text.render(report) {
                match line {
                    Line::Data(text) => data.push(text),
                    Line::Notice(text) => self.notice(text.trim_start_matches("* "), error),
                }
            }
        }
        match data.len() {
            0 => {}
            1 => self.notice(&data.concat(), false),
            _ => self.popup = Some(Popup::text("", data)),
        }
        if let Some(current) = &outcome.current {
            self.switch(current);
        } else {
            self.current = None;
        }
        if let Some(problem) = outcome.failure {
            self.notice(&problem, true);
        }
        if outcome.quit {
            self.effects.push(Effect::Leave);
        }
    }
}

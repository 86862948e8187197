//! A chat on a screen in memory, with a history in the place of the library.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use distchat_node::{
    AuthorId, Event, Form, Key, Member, Message, MessageId, RoomInfo, RoomName, RoomState, SyncState, Timestamp,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::chat::app::{App, Effect, Say};
use crate::chat::done::Done;
use crate::chat::draw;
use crate::chat::gate;
use crate::chat::theme::{Ground, Theme};
use crate::chat::transcript::{Load, Loaded};
use crate::cli::clock::Clock;
use crate::cli::testing::{NOON, author, fingerprint, room_name};

/// The reader's own author.
pub(super) const OWN: u8 = 1;

/// A chat that is played.
pub(super) struct Scene {
    pub(super) app: App,
    terminal: Terminal<TestBackend>,
    /// The last frame.
    pub(super) shown: Buffer,
    pub(super) history: BTreeMap<RoomName, BTreeMap<Key, Message>>,
    pub(super) members: Vec<Member>,
    pub(super) sync: SyncState,
    pub(super) missing: u64,
    /// What was asked for and is not a load.
    pub(super) effects: Vec<Effect>,
    /// Loads that are answered when the test says so.
    pub(super) slow: bool,
    pub(super) waiting: Vec<Effect>,
    pub(super) now: u64,
}

/// The name of author `n`.
pub(super) fn nick(n: u8) -> &'static str {
    ["nobody", "me", "ana", "bob", "carol", "dave"][usize::from(n)]
}

pub(super) fn member(n: u8, nick: &str, online: bool) -> Member {
    Member {
        author: who(n),
        nick: nick.to_owned(),
        nick_shared: false,
        online,
        own: n == OWN,
        forked: false,
        messages: 1,
        missing: 0,
    }
}

/// Authors with keys whose digits differ.
pub(super) fn who(n: u8) -> AuthorId {
    author(n.wrapping_mul(0x35).wrapping_add(0xa1))
}

/// A message by author `by`, so many seconds after noon.
pub(super) fn message(second: u64, by: u8, text: &str) -> Message {
    let time = Timestamp::from_millis(NOON + second * 1000);
    let mut id = [by; 32];
    id[..8].copy_from_slice(&second.to_be_bytes());
    let id = MessageId(id);
    Message {
        id,
        key: Key { time, id },
        author: who(by),
        nick: nick(by).to_owned(),
        nick_shared: false,
        seq: second,
        time,
        form: Form::Text,
        text: text.to_owned(),
        own: by == OWN,
        late: false,
        delay: None,
        future: false,
    }
}

impl Scene {
    pub(super) fn new(width: u16, height: u16) -> Self {
        let mut scene = Self {
            app: App::new(who(OWN), Theme::new(Ground::Dark), Clock::utc()),
            terminal: Terminal::new(TestBackend::new(width, height)).unwrap(),
            shown: Buffer::empty(Rect::new(0, 0, width, height)),
            history: BTreeMap::new(),
            members: (1..=4).map(|n| member(n, nick(n), n < 4)).collect(),
            sync: SyncState::InSync,
            missing: 0,
            effects: Vec::new(),
            slow: false,
            waiting: Vec::new(),
            now: NOON + 3_600_000,
        };
        scene.open("general");
        scene.app.switch(&room_name("general"));
        scene
    }

    /// A room is open, with what the history says.
    pub(super) fn open(&mut self, name: &str) {
        let room = room_name(name);
        self.history.entry(room.clone()).or_default();
        self.app.event(Event::Room { room, messages: 0, fingerprint: fingerprint(7), state: RoomState::Open });
    }

    /// Messages that were in the history before.
    pub(super) fn with_history(mut self, messages: impl IntoIterator<Item = Message>) -> Self {
        let room = self.history.entry(room_name("general")).or_default();
        room.extend(messages.into_iter().map(|message| (message.key, message)));
        self.settle();
        self
    }

    /// A message comes in.
    pub(super) fn arrives(&mut self, message: Message) {
        self.arrives_in("general", message);
    }

    /// A message comes in, and nothing is drawn yet.
    pub(super) fn comes(&mut self, message: Message) {
        self.comes_in("general", message);
    }

    fn comes_in(&mut self, room: &str, message: Message) {
        let room = room_name(room);
        self.history.entry(room.clone()).or_default().insert(message.key, message.clone());
        self.app.event(Event::Message { room, message: Arc::new(message) });
    }

    pub(super) fn arrives_in(&mut self, room: &str, message: Message) {
        self.comes_in(room, message);
        self.settle();
    }

    pub(super) fn key(&mut self, code: KeyCode, modifiers: KeyModifiers) {
        self.app.key(KeyEvent::new(code, modifiers));
        self.settle();
    }

    pub(super) fn press(&mut self, code: KeyCode) {
        self.key(code, KeyModifiers::NONE);
    }

    pub(super) fn types(&mut self, text: &str) {
        for c in text.chars() {
            self.press(KeyCode::Char(c));
        }
    }

    pub(super) fn resize(&mut self, width: u16, height: u16) {
        self.terminal.backend_mut().resize(width, height);
        self.settle();
    }

    /// Draws, and answers what the chat asks for, until it asks for nothing more.
    pub(super) fn settle(&mut self) {
        for _ in 0..100 {
            self.draw();
            self.app.tick();
            self.app.want();
            let mut effects = std::mem::take(&mut self.app.effects);
            // It goes on asking for these as long as nobody tells.
            effects.retain(|effect| !matches!(effect, Effect::Receipts { .. }));
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.perform(effect);
            }
        }
        panic!("the chat does not come to rest: {:?}", self.app.effects);
    }

    /// Answers the loads that wait.
    pub(super) fn answer(&mut self) {
        for effect in std::mem::take(&mut self.waiting) {
            self.load(effect);
        }
        self.settle();
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Load { .. } if self.slow => self.waiting.push(effect),
            Effect::Load { .. } => self.load(effect),
            Effect::Members(room) => self.app.done(Done::Members { room, members: self.members.clone() }),
            Effect::Look { room, .. } => self.app.done(Done::Looked { room, topic: None, future: Vec::new() }),
            effect => self.effects.push(effect),
        }
    }

    /// As the library loads.
    fn load(&mut self, effect: Effect) {
        let Effect::Load { room, number, load, horizon } = effect else { return };
        let all = &self.history[&room];
        let mut loaded = Loaded::default();
        let before = |key: Key, count: usize| -> Vec<Message> {
            let mut found: Vec<Message> =
                all.range(..key).rev().take(count).map(|(_, message)| message.clone()).collect();
            found.reverse();
            found
        };
        let after = |key: Key, count: usize| -> Vec<Message> {
            all.range(key.next()..horizon).take(count).map(|(_, message)| message.clone()).collect()
        };
        match load {
            Load::Newest(count) => {
                loaded.messages = before(horizon, count);
                loaded.from_start = loaded.messages.len() < count;
                loaded.to_end = true;
            }
            Load::Before(key, count) => {
                loaded.messages = before(key, count);
                loaded.from_start = loaded.messages.len() < count;
            }
            Load::After(key, count) => {
                loaded.messages = after(key, count);
                loaded.to_end = loaded.messages.len() < count;
            }
            Load::Around(key, count) => {
                loaded.messages = before(key.next(), count);
                loaded.from_start = loaded.messages.len() < count;
                let behind = after(key, count);
                loaded.to_end = behind.len() < count;
                loaded.messages.extend(behind);
            }
        }
        self.app.done(Done::Loaded { room, number, load, result: Ok(loaded) });
    }

    pub(super) fn draw(&mut self) {
        let infos = self.history.keys().map(|name| self.info(name)).collect();
        self.app.look(infos, 2, self.now);
        let app = &mut self.app;
        let frame = self.terminal.draw(|frame| {
            draw::draw(frame, app);
            gate::tame(frame.buffer_mut());
        });
        // What the backend makes of it is not what a terminal does: it leaves the second half of a wide character standing.
        self.shown = frame.unwrap().buffer.clone();
    }

    fn info(&self, name: &RoomName) -> RoomInfo {
        RoomInfo {
            name: name.clone(),
            messages: 9,
            peers: 2,
            state: RoomState::Open,
            fingerprint: fingerprint(7),
            nick: Some(nick(OWN).to_owned()),
            sync: self.sync,
            missing: self.missing,
            horizon: Timestamp::from_millis(self.now + 120_000),
        }
    }

    /// The rows of the screen.
    pub(super) fn rows(&self) -> Vec<String> {
        let buffer = &self.shown;
        let row = |y: u16| -> String {
            let mut text = String::new();
            let mut skip = 0;
            for x in 0..buffer.area.width {
                let symbol = buffer[(x, y)].symbol();
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                text.push_str(symbol);
                skip = crate::chat::wrap::columns(symbol).saturating_sub(1);
            }
            text.trim_end().to_owned()
        };
        (0..buffer.area.height).map(row).collect()
    }

    pub(super) fn screen(&self) -> String {
        self.rows().join("\n")
    }

    /// The rows of the transcript alone.
    pub(super) fn transcript(&self) -> Vec<String> {
        let buffer = &self.shown;
        let wide = buffer.area.width;
        self.rows()
            .into_iter()
            .skip(usize::from(buffer.area.height >= 8))
            .take(self.app.mouse_map.height)
            .map(|row| {
                // Beside the lists.
                let mut parts = row.split('│');
                if wide >= 70 {
                    parts.next();
                }
                parts.take(2).collect::<Vec<_>>().join("│").trim_end().to_owned()
            })
            .collect()
    }

    #[track_caller]
    pub(super) fn shows(&self, text: &str) {
        assert!(self.screen().contains(text), "there is no {text:?} in\n{}", self.screen());
    }

    #[track_caller]
    pub(super) fn shows_not(&self, text: &str) {
        assert!(!self.screen().contains(text), "there is {text:?} in\n{}", self.screen());
    }

    /// What was said.
    pub(super) fn said(&mut self) -> Vec<Say> {
        std::mem::take(&mut self.effects)
            .into_iter()
            .filter_map(|effect| if let Effect::Say { what, .. } = effect { Some(what) } else { None })
            .collect()
    }
}

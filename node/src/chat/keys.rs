//! What keys, the mouse and pastes do.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::app::{App, Effect};
use super::completion::{Completion, Known};
use super::draw::{self, Target};
use super::page;
use super::popup::Popup;
use crate::cli::command::{Command, HELP};
use crate::cli::escape::{visible, visible_start};

/// How many rows the wheel moves.
const WHEEL: isize = 3;
/// A paste of more lines than that is asked about.
const PASTE: usize = 3;

/// What `F1` shows besides the commands.
const KEYS: &[(&str, &str)] = &[
    ("Enter", "send; Alt-Enter or Ctrl-J begins another line"),
    ("Tab", "complete a name, a room or a command"),
    ("Up, Down", "what was typed before"),
    ("Ctrl-U, Ctrl-Z", "clear the line, and have it back"),
    ("PageUp, PageDown", "read the history; Ctrl-Home its start, Ctrl-End the newest"),
    ("Ctrl-Up, Ctrl-Down", "select a message, to answer or to react to"),
    ("Alt-E", "go to what arrived late, further up"),
    ("Alt-Up, Alt-Down", "the room before, the next; Alt-1 to Alt-9 by number"),
    ("Alt-A", "the next room with something new"),
    ("Alt-L", "the lines as they are, to copy them; any key comes back"),
    ("F2", "members, yes or no"),
    ("F3", "notices once more"),
    ("Ctrl-L", "draw the screen anew"),
    ("Ctrl-D", "leave once somebody has what you wrote; Ctrl-C at once"),
    ("○ ✓3/5 ✓", "what you said is on nobody else's disk, on 3 of 5, on all"),
];

impl App {
    /// A key was pressed.
    pub(super) fn key(&mut self, key: KeyEvent) {
        if key.kind == KeyEventKind::Release {
            return;
        }
        if self.popup.is_some() && self.popup_key(key) {
            return;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        let shift = key.modifiers.contains(KeyModifiers::SHIFT);
        let ends = self.editor.at_ends();
        let completing = self.completion.take();
        match (key.code, control, alt) {
            (KeyCode::Char('c'), true, false) if self.editor.is_empty() => self.effects.push(Effect::LeaveNow),
            (KeyCode::Char('c'), true, false) => {
                self.editor.clear();
                self.notice("cleared; Ctrl-Z has it back, Ctrl-C again leaves", false);
            }
            (KeyCode::Char('d'), true, false) if self.editor.is_empty() => self.effects.push(Effect::Leave),
            (KeyCode::Char('l'), true, false) => self.effects.push(Effect::Redraw),
            (KeyCode::Enter, false, false) if !shift => self.enter(),
            (KeyCode::Enter, ..) | (KeyCode::Char('j'), true, false) => self.editor.insert("\n"),
            (KeyCode::Tab, ..) => self.complete(completing, false),
            (KeyCode::BackTab, ..) => self.complete(completing, true),
            (KeyCode::Esc, ..) => self.escape(),
            (KeyCode::F(1), ..) => self.help(),
            (KeyCode::F(2), ..) => self.show_members = !self.show_members,
            (KeyCode::F(3), ..) => {
                let lines = self.notices.all().map(|notice| notice.text.clone()).collect();
                self.popup = Some(Popup::text("notices", lines));
            }
            (KeyCode::PageUp, ..) => self.scroll(-self.screenful()),
            (KeyCode::PageDown, ..) => self.scroll(self.screenful()),
            (KeyCode::Home, true, _) => self.go(|room| room.transcript.jump_to_start()),
            (KeyCode::End, true, _) => self.go(|room| room.transcript.follow()),
            (KeyCode::Up, true, _) => self.select(false),
            (KeyCode::Down, true, _) => self.select(true),
            (KeyCode::Up, _, true) | (KeyCode::Char('p'), true, _) => self.switch_by(-1),
            (KeyCode::Down, _, true) | (KeyCode::Char('n'), true, _) => self.switch_by(1),
            (KeyCode::Char(digit @ '1'..='9'), false, true) => self.switch_to(digit as usize - '1' as usize),
            (KeyCode::Char('a'), false, true) => self.switch_to_news(),
            (KeyCode::Char('e'), false, true) => self.go_to_earlier(),
            (KeyCode::Char('l'), false, true) => self.bare(),
            (KeyCode::Up, false, false) if ends.0 => {
                if let Some(line) = self.history.older(&self.editor.text()) {
                    self.editor.replace(line);
                }
            }
            (KeyCode::Down, false, false) if ends.1 => {
                if let Some(line) = self.history.newer() {
                    self.editor.replace(&line);
                }
            }
            _ => {
                let before = self.editor.text();
                self.editor.key(key);
                if before != self.editor.text() {
                    self.history.leave();
                }
            }
        }
    }

    /// The reader goes elsewhere.
    pub(super) fn go(&mut self, to: impl FnOnce(&mut super::room::RoomView)) {
        let focused = self.focused;
        if let Some(room) = self.room_mut() {
            to(room);
            if focused && room.transcript.is_following() && room.transcript.is_to_end() {
                room.read_all();
            }
        }
    }

    /// Puts away whatever is on top.
    fn escape(&mut self) {
        self.notices.dismiss();
        if let Some(room) = self.room_mut()
            && room.selected.take().is_none()
        {
            self.go(|room| room.transcript.follow());
        }
    }

    /// How many rows a page of the transcript is, with some of the last one still to be seen.
    pub(super) fn screenful(&self) -> isize {
        isize::try_from(self.mouse_map.height).unwrap_or(0).saturating_sub(2).max(1)
    }

    /// Scrolls the transcript.
    pub(super) fn scroll(&mut self, step: isize) {
        let (width, height) = (self.mouse_map.width, self.mouse_map.height);
        draw::with_look(self, width, |transcript, look| page::scroll(transcript, look, step, height));
        self.go(|_| {});
    }

    /// Selects the message before the selected one, or the one behind it.
    fn select(&mut self, down: bool) {
        let Some(room) = self.room_mut() else { return };
        let next = room.transcript.neighbour(room.selected, down);
        if next.is_none() && down {
            room.selected = None;
            return;
        }
        room.selected = next.or(room.selected);
        if let (Some(selected), Some(seen)) = (room.selected, room.transcript.seen())
            && !(seen.first < selected && selected <= seen.last)
        {
            let step = if down { WHEEL } else { -WHEEL };
            self.scroll(step);
        }
    }

    fn go_to_earlier(&mut self) {
        let Some(room) = self.room_mut() else { return };
        match room.transcript.jump_to_earlier() {
            Some(key) => room.selected = Some(key),
            None => self.notice("nothing has arrived late that you have not seen", false),
        }
    }

    /// Shows what is on the screen without anything that is in the way of copying it.
    fn bare(&mut self) {
        let clock = self.clock.clone();
        let Some(room) = self.room() else { return };
        let Some(seen) = room.transcript.seen() else { return };
        let entries = room.transcript.entries().range(seen.first..=seen.last);
        let lines = entries.flat_map(|(_, entry)| {
            let message = &entry.message;
            let head = format!("{} {}: ", clock.time(message.time.millis()), visible_start(&message.nick, 32));
            let mut rows: Vec<String> = message.text.lines().map(|line| visible(line).into_owned()).collect();
            if let Some(first) = rows.first_mut() {
                first.insert_str(0, &head);
            }
            rows
        });
        let lines = lines.collect();
        self.effects.push(Effect::Bare(lines));
    }

    pub(super) fn help(&mut self) {
        let row = |(what, does): &(&str, &str)| format!("{what:20} {does}");
        let mut lines: Vec<String> = KEYS.iter().map(row).collect();
        lines.push(String::new());
        lines.extend(HELP.iter().map(row));
        lines.push(String::new());
        lines.push("Anything else is a message; // stands for a slash at its start.".to_owned());
        lines.push("To select text with the mouse, hold Shift.".to_owned());
        self.popup = Some(Popup::text("help", lines));
    }

    fn complete(&mut self, under_way: Option<Completion>, back: bool) {
        let mut completion = under_way;
        if completion.is_none() {
            let room = self.room();
            // Who spoke last is most likely to be spoken to.
            let mut nicks: Vec<&str> = Vec::new();
            let speakers = room.iter().flat_map(|room| room.transcript.entries().values().rev().take(200));
            let members = room.iter().flat_map(|room| room.names.members());
            let speakers = speakers.filter(|entry| !entry.message.own).map(|entry| &*entry.message.nick);
            for nick in speakers.chain(members.filter(|member| !member.own).map(|member| &*member.nick)) {
                // What would not get through the gate is not put into a message.
                if !nicks.contains(&nick) && visible(nick) == nick {
                    nicks.push(nick);
                }
            }
            let rooms = self.rooms.iter().map(|room| room.name.as_str()).collect();
            completion = Completion::start(self.editor.before_cursor(), &Known { rooms, nicks });
        }
        if let Some(completion) = &mut completion {
            let (erase, candidate) = completion.step(back);
            self.editor.replace_before(erase, &candidate);
        }
        self.completion = completion;
    }

    /// A key while something lies over the chat; whether that took it.
    fn popup_key(&mut self, key: KeyEvent) -> bool {
        let page = self.screenful();
        let Some(popup) = &mut self.popup else { return false };
        match (popup, key.code) {
            (_, KeyCode::Esc) => self.popup = None,
            (_, KeyCode::Char('c')) if key.modifiers.contains(KeyModifiers::CONTROL) => self.popup = None,
            (Popup::Paste { text }, KeyCode::Enter | KeyCode::Char('y')) => {
                let text = std::mem::take(text);
                self.editor.insert(&text);
                self.popup = None;
            }
            (Popup::Found { .. }, KeyCode::Enter) => self.jump_to_hit(),
            (Popup::Paste { .. }, KeyCode::Char('n')) => self.popup = None,
            (Popup::Paste { .. }, _) => {}
            (popup, KeyCode::Up) => popup.scroll(-1),
            (popup, KeyCode::Down) => popup.scroll(1),
            (popup, KeyCode::PageUp) => popup.scroll(-page),
            (popup, KeyCode::PageDown) => popup.scroll(page),
            (popup, KeyCode::Home) => popup.scroll(isize::MIN),
            (popup, KeyCode::End) => popup.scroll(isize::MAX),
            (_, KeyCode::Enter | KeyCode::F(_)) => self.popup = None,
            // Whoever goes on does not read any more.
            _ => {
                self.popup = None;
                return false;
            }
        }
        true
    }

    fn jump_to_hit(&mut self) {
        let Some((name, key)) = self.popup.take().and_then(|popup| popup.hit()) else { return };
        if !self.rooms.iter().any(|room| room.name == name) {
            self.effects.push(Effect::Command(Command::Join(name.clone())));
        }
        self.switch(&name);
        if let Some(room) = self.room_mut() {
            room.selected = Some(key);
            room.transcript.jump(key);
        }
    }

    /// Text was pasted.
    pub(super) fn paste(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let text = text.strip_suffix('\n').unwrap_or(&text);
        self.completion = None;
        if text.lines().count() > PASTE {
            self.popup = Some(Popup::Paste { text: text.to_owned() });
        } else {
            self.editor.insert(text);
        }
    }

    /// The mouse did something.
    pub(super) fn mouse(&mut self, event: MouseEvent) {
        match event.kind {
            MouseEventKind::ScrollUp | MouseEventKind::ScrollDown => {
                let step = if event.kind == MouseEventKind::ScrollUp { -WHEEL } else { WHEEL };
                match &mut self.popup {
                    Some(popup) => popup.scroll(step),
                    None => self.scroll(step),
                }
            }
            MouseEventKind::Down(MouseButton::Left) => {
                if self.popup.is_some() {
                    self.popup = None;
                    return;
                }
                match self.mouse_map.at(event.column, event.row) {
                    Some(Target::Room(name)) => self.switch(&name),
                    Some(Target::Earlier) => self.go_to_earlier(),
                    Some(Target::Newest) => self.go(|room| room.transcript.follow()),
                    Some(Target::Message(key)) => {
                        if let Some(room) = self.room_mut() {
                            if room.selected == Some(key) {
                                self.toggle_selected();
                            } else {
                                room.selected = Some(key);
                            }
                        }
                    }
                    Some(Target::Member(nick)) => self.editor.insert(&format!("{nick} ")),
                    None => {}
                }
            }
            _ => {}
        }
    }
}

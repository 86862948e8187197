//! What becomes of a line that was typed.

use distchat_node::Key;

use super::app::{App, Effect, Say};
use crate::cli::command::{self, Command, Typed};

impl App {
    /// Sends what was typed, or does what it says.
    pub(super) fn enter(&mut self) {
        if self.editor.text().trim().is_empty() {
            return self.toggle_selected();
        }
        if self.leaving {
            return self.notice("you are leaving: nothing is sent any more; Ctrl-C leaves at once", true);
        }
        let text = self.editor.take();
        self.notices.dismiss();
        self.history.add(&text);
        match command::read(text) {
            Typed::Nothing => {}
            Typed::Text(text) => self.say(Say::Text(text)),
            Typed::Wrong(complaint) => self.notice(&complaint.message, true),
            Typed::Command(command) => self.command(command),
        }
    }

    pub(super) fn toggle_selected(&mut self) {
        if let Some(room) = self.room_mut()
            && let Some(selected) = room.selected
            && !room.transcript.expanded.remove(&selected)
        {
            room.transcript.expanded.insert(selected);
        }
    }

    fn say(&mut self, what: Say) {
        let Some(room) = self.room_mut() else {
            return self.notice("no room is open; /join ROOM opens one", true);
        };
        let name = room.name.clone();
        room.selected = None;
        room.read_line = None;
        self.go(|room| room.transcript.follow());
        self.effects.push(Effect::Say { room: name, what });
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Me(text) => self.say(Say::Action(text)),
            Command::Reply(text) => {
                if let Some(to) = self.subject() {
                    self.say(Say::Reply(to, text));
                }
            }
            Command::React(emoji) => {
                if let Some(to) = self.subject() {
                    self.say(Say::React(to, emoji));
                }
            }
            Command::Join(name) => {
                // What is typed from now on is meant for that room.
                self.effects.push(Effect::Command(Command::Join(name.clone())));
                self.switch(&name);
            }
            Command::Help => self.help(),
            Command::History(_) => {
                self.scroll(-self.screenful());
                self.notice("PageUp and PageDown read the history, Ctrl-Home goes to its start", false);
            }
            Command::Search(words) => self.effects.push(Effect::Search(words)),
            Command::Mute(None) => {
                let muted = self.room().map(|room| room.transcript.muted.clone()).unwrap_or_default();
                let muted: Vec<String> = muted.iter().map(|author| author.short()).collect();
                let list = if muted.is_empty() { "nobody".to_owned() } else { muted.join(", ") };
                self.notice(&format!("muted here: {list}"), false);
            }
            Command::Mute(Some(who)) => self.mute(&who, true),
            Command::Unmute(who) => self.mute(&who, false),
            other => self.effects.push(Effect::Command(other)),
        }
    }

    /// The message that a reply or a reaction is about.
    fn subject(&mut self) -> Option<Key> {
        let subject = self.room().and_then(|room| {
            let newest = || room.transcript.entries().values().rfind(|entry| !entry.message.own);
            room.selected.or_else(|| newest().map(|entry| entry.message.key))
        });
        if subject.is_none() {
            self.notice("there is no message to answer: select one with Ctrl-Up", true);
        }
        subject
    }

    fn mute(&mut self, who: &str, mute: bool) {
        let Some(room) = self.room_mut() else { return };
        let mut found: Vec<_> = room.names.find(who).into_iter().map(|member| (member.author, member.own)).collect();
        if found.is_empty() {
            // Who has just begun to talk is not among the names yet.
            let messages = room.transcript.entries().values().map(|entry| &entry.message);
            found =
                messages.filter(|message| message.nick == who).map(|message| (message.author, message.own)).collect();
            found.sort_unstable();
            found.dedup();
        }
        let text = match found.as_slice() {
            [] => format!("nobody here is called {who}; /who lists everybody"),
            [(_, true)] => "that is you".to_owned(),
            [(author, _)] => {
                let changed =
                    if mute { room.transcript.muted.insert(*author) } else { room.transcript.muted.remove(author) };
                room.transcript.refresh();
                let what = if mute { "not shown any more" } else { "shown again" };
                if changed { format!("what {who} writes is {what}") } else { "nothing changes by that".to_owned() }
            }
            several => {
                let keys: Vec<String> = several.iter().map(|(author, _)| author.short()).collect();
                format!("there is more than one {who}: name the key, one of {}", keys.join(", "))
            }
        };
        self.notice(&text, found.len() != 1);
    }
}

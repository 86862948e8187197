//! What happens in the library, and what the chat makes of it.

use std::sync::Arc;

use distchat_node::{AuthorId, Event, Message, RoomName, RoomState};

use super::app::{App, Effect};
use super::names;
use crate::cli::escape::{visible, visible_start};
use crate::cli::report;

impl App {
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
            // It is looked up once a second for what is on the screen.
            Event::Receipt { .. } => {}
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
            Event::Lagged { .. } => self.look_anew(),
            Event::Warning { message, .. } => self.notice(&message, true),
        }
    }

    fn look_anew(&mut self) {
        for room in &mut self.rooms {
            room.transcript.refresh();
            room.names_stale = true;
        }
    }

    /// The node, which another process runs, has ended.
    pub(super) fn node_gone(&mut self) {
        self.notice("the node that this chat uses has ended; waiting for another", true);
    }

    /// There is a node again.
    pub(super) fn node_back(&mut self) {
        self.notice("there is a node again", false);
        self.look_anew();
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
            RoomState::Left => self.close(&name),
        }
    }

    fn message(&mut self, name: &RoomName, message: Arc<Message>) {
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
            let title = format!("{} in {}", room.names.called(&message), visible(name.as_str()));
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
}

//! What came of what the chat wanted.

use std::sync::Arc;

use distchat_node::{Found, Indexing, Key, Member, Message, RoomName, RoomTopic};

use super::app::{App, Effect, Say};
use super::disks::Disks;
use super::names::Names;
use super::popup::Popup;
use super::status::thousands;
use super::transcript::{Load, Loaded};
use crate::cli::execute::Outcome;
use crate::cli::report::{Line, Report};

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
    /// On how many other disks messages are, of how many.
    Receipts {
        room: RoomName,
        receipts: Vec<(Key, Disks)>,
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
    /// A command was carried out, which was given in that room.
    Ran {
        from: Option<RoomName>,
        outcome: Outcome,
    },
    /// Something went wrong that people should know of.
    Failed(String),
    Found {
        words: String,
        result: Result<Found, String>,
    },
}

/// Why there may be more to find.
pub(super) fn indexing(indexing: Indexing) -> String {
    format!(" (still being indexed: {} of {})", thousands(indexing.done), thousands(indexing.of))
}

impl App {
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
                    room.names = Names::new(members);
                }
            }
            Done::Receipts { room, receipts } => {
                if let Some(room) = self.room_named(&room) {
                    receipts.into_iter().for_each(|(key, disks)| room.transcript.confirmed(key, disks));
                }
            }
            Done::Looked { room, topic, future } => {
                if let Some(room) = self.room_named(&room) {
                    room.topic = [room.topic.take(), topic].into_iter().flatten().max_by_key(|topic| topic.key);
                    future.into_iter().for_each(|message| room.hold(Arc::new(message)));
                }
            }
            Done::NotSaid { room, what, why } => self.not_said(&room, what, &why),
            Done::Ran { from, outcome } => self.ran(from, outcome),
            Done::Failed(problem) => self.notice(&problem, true),
            Done::Found { words, result } => match result {
                Ok(found) if found.hits.is_empty() => {
                    let so_far = found.indexing.map(indexing).unwrap_or_default();
                    self.notice(&format!("nothing was found for {words}{so_far}"), false);
                }
                Ok(found) => self.popup = Some(Popup::Found { words, found, at: 0 }),
                Err(problem) => self.notice(&problem, true),
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

    fn ran(&mut self, from: Option<RoomName>, outcome: Outcome) {
        let mut data = Vec::new();
        for report in &outcome.reports {
            if let Report::Switched(info) = report {
                // One sees it. If another program has opened it, there is no event.
                if self.room_named(&info.name).is_none() {
                    self.open(info.name.clone());
                }
                continue;
            }
            let error = matches!(report, Report::Error { .. });
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
        let failed = outcome.reports.iter().any(|report| matches!(report, Report::Error { .. }));
        if failed && let Some(room) = self.room().filter(|room| room.info.is_none()) {
            // It could not be opened.
            let name = room.name.clone();
            self.close(&name);
        }
        // The user may have gone elsewhere meanwhile.
        if outcome.current != from {
            match &outcome.current {
                Some(current) => self.switch(current),
                None => self.current = None,
            }
        }
        if let Some(problem) = outcome.failure {
            self.notice(&problem, true);
        }
        if outcome.quit {
            self.effects.push(Effect::Leave);
        }
    }
}

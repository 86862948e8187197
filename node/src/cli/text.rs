//! Reports as plain lines, for people: of a program behind a pipe, and of commands in the chat.

use std::collections::{BTreeSet, HashMap};

use distchat_node::{
    AuthorId, Event, Form, Imported, Member, Message, PeerId, PeerInfo, RoomInfo, RoomName, RoomState,
};

use super::clock::Clock;
use super::command::HELP;
use super::escape::visible;
use super::fold::{Future, Shown, name};
use super::report::{self, Line, Report, Row};

/// How many authors' nicks are remembered for the notices.
const NICKS: usize = 4096;

/// Puts reports into lines, and remembers what it needs for the next ones.
pub(crate) struct TextView {
    clock: Clock,
    /// How far this computer's clock is ahead of the others', as far as known.
    ahead_ms: i64,
    nicks: HashMap<AuthorId, String>,
    /// Who is connected, as far as they have proven who they are.
    peers: HashMap<PeerId, AuthorId>,
    rooms: BTreeSet<RoomName>,
    future: Future,
    shown: Shown,
    /// The number of missing messages said last.
    missing: HashMap<RoomName, u64>,
}

impl TextView {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            ahead_ms: 0,
            nicks: HashMap::new(),
            peers: HashMap::new(),
            rooms: BTreeSet::new(),
            future: Future::default(),
            shown: Shown::default(),
            missing: HashMap::new(),
        }
    }

    /// Whether [`TextView::tick`] has something to do.
    pub(crate) fn needs_tick(&self) -> bool {
        !self.future.is_empty()
    }

    /// What a second's passing brings to light.
    pub(crate) fn tick(&mut self, now_millis: u64) -> Vec<Line> {
        let mut lines = Vec::new();
        let now = now_millis.saturating_add_signed(self.ahead_ms.saturating_neg());
        for (room, message) in self.future.due(now) {
            self.message(&room, &message, &mut lines);
        }
        lines.extend(self.future.news().into_iter().map(|news| notice(&news)));
        lines
    }

    /// Puts a report into lines.
    pub(crate) fn render(&mut self, report: &Report) -> Vec<Line> {
        let mut lines = Vec::new();
        match report {
            Report::Ready { author, peer_id, name, listen } => {
                lines.push(notice(&format!("profile {name}, author {author}, peer {peer_id}")));
                lines.extend(listen.iter().map(|address| notice(&format!("listening on {address}"))));
            }
            Report::Event(event) => self.event(event, &mut lines),
            Report::Message { message, .. } => lines.push(self.dated(message)),
            Report::Catalogue { rooms } if rooms.is_empty() => lines.push(notice("there are no rooms")),
            Report::Catalogue { rooms } => lines.extend(rooms.iter().map(|row| Line::Data(self::row(row)))),
            Report::Imported { file, tally, rooms } => {
                lines.extend(rooms.iter().map(|(room, imported)| Line::Data(self::imported(room, imported))));
                if tally.damaged > 0 {
                    let places = count(tally.damaged, "place");
                    lines.push(notice(&format!("{file}: {places} cannot be read; what is around is taken")));
                }
                if !tally.is_whole() {
                    let missing = tally.stated.map(|stated| stated.saturating_sub(tally.messages));
                    let missing = missing.map_or_else(|| "its end".to_owned(), |missing| count(missing, "message"));
                    lines.push(notice(&format!("{file} is not whole: {missing} missing")));
                }
            }
            Report::Exported { room, messages, file } => {
                let to = file.as_ref().map(|file| format!(" to {file}")).unwrap_or_default();
                lines.push(notice(&format!("{room}: {} written{to}", count(*messages, "message"))));
            }
            Report::Damaged { problems } => {
                lines.extend(problems.iter().map(|wrong| error(&wrong.message)));
            }
            Report::Judged(judged) => {
                let (fine, of) = (judged.fine, count(judged.messages, "message"));
                let (room, print) = (visible(judged.room.as_str()), judged.fingerprint.grouped());
                lines.push(Line::Data(format!("{room}: {fine} of {of} are fine, fingerprint {print}")));
                lines.extend(judged.problems.iter().map(|wrong| error(&format!("{room}: {}", wrong.message))));
                if judged.untold > 0 {
                    lines.push(error(&format!("{room}: {} more", count(judged.untold, "problem"))));
                }
            }
            // Whoever has said it knows.
            Report::Said { .. } => {}
            Report::OnDisks { receipt, .. } => {
                let (on, of) = (receipt.on.len(), receipt.of);
                lines.push(notice(&format!("it is on {on} of {of} other disks")));
            }
            Report::Id { author, profile, directory, process } => {
                lines.push(Line::Data(format!("author     {author}")));
                lines.push(Line::Data(format!("profile    {profile}")));
                let directory = directory.as_ref().map(|directory| directory.display().to_string());
                let directory = directory.unwrap_or_else(|| "none: it is kept in memory".to_owned());
                lines.push(Line::Data(format!("directory  {}", visible(&directory))));
                lines.extend(process.map(|process| Line::Data(format!("process    {process}"))));
            }
            Report::History { room, messages } => self.history(room, messages, &mut lines),
            Report::Fingerprint { room, info } => {
                let full = info.fingerprint.to_string();
                lines.push(Line::Data(format!(
                    "{}: {}, {} missing, fingerprint {} ({full})",
                    visible(room.as_str()),
                    count(info.messages, "message"),
                    info.missing,
                    grouped(&full),
                )));
            }
            Report::Peers { peers, listen } => {
                lines.extend(peers.iter().map(|peer| Line::Data(self.peer(peer))));
                if peers.is_empty() {
                    lines.push(notice("nobody is connected"));
                }
                lines.extend(listen.iter().map(|address| notice(&format!("your address: {address}"))));
            }
            Report::Counters(counters) => {
                let named = serde_json::to_value(counters).unwrap_or_default();
                let counted = named.as_object().into_iter().flatten().filter(|(_, count)| **count != 0);
                let before = lines.len();
                lines.extend(counted.map(|(name, count)| Line::Data(format!("{name:18} {count}"))));
                if lines.len() == before {
                    lines.push(notice("nothing was counted yet"));
                }
            }
            Report::Found(found) => {
                // As in the transcript, the newest last.
                for hit in found.hits.iter().rev() {
                    let millis = hit.message.time.millis();
                    let when = format!(
                        "{} [{} {}]",
                        visible(hit.room.as_str()),
                        self.clock.date(millis),
                        self.clock.time(millis)
                    );
                    let (nick, key) = (name(&hit.message.nick), hit.message.author.short());
                    let who = if nick == key { format!("<{key}>") } else { format!("<{nick} {key}>") };
                    lines.push(Line::Data(format!("{when} {who} {}", visible(&hit.message.text))));
                }
                if let Some(indexing) = found.indexing {
                    let (done, of) = (indexing.done, indexing.of);
                    lines.push(notice(&format!("there may be more: {done} of {of} messages are indexed so far")));
                } else if found.hits.is_empty() {
                    lines.push(notice("nothing was found"));
                }
            }
            Report::Members { members, .. } => {
                let mut members: Vec<&Member> = members.iter().collect();
                members.sort_by_key(|member| (!member.online, member.nick.to_lowercase(), member.author));
                lines.extend(members.into_iter().map(|member| Line::Data(self::member(member))));
            }
            Report::Rooms { rooms, .. } if rooms.is_empty() => lines.push(notice("no room is open")),
            Report::Rooms { rooms, current } => {
                lines.extend(rooms.iter().map(|info| Line::Data(room(info, current.as_ref() == Some(&info.name)))));
            }
            Report::Switched(info) => {
                lines.push(notice(&format!("what you type goes to {} now", info.name)));
            }
            Report::Gone => lines.push(notice("the node, which another process ran, has ended; waiting for another")),
            Report::Back => lines.push(notice("there is a node again")),
            Report::Missing { room, missing } => {
                let before = self.missing.insert(room.clone(), *missing).unwrap_or(0);
                if *missing == before {
                } else if *missing == 0 {
                    lines.push(notice(&format!("{room}: nothing is missing any more")));
                } else {
                    lines.push(notice(&format!("{room}: {} known, not here yet", count(*missing, "message"))));
                }
            }
            Report::Help => {
                lines.extend(HELP.iter().map(|(usage, what)| Line::Data(format!("  {usage:16} {what}"))));
                lines.push(Line::Data("  Anything else is a message; // stands for a slash at its start.".to_owned()));
            }
            Report::Notice(text) => lines.push(notice(text)),
            Report::Error { message, .. } => lines.push(error(message)),
        }
        lines
    }

    fn event(&mut self, event: &Event, lines: &mut Vec<Line>) {
        match event {
            Event::Room { room, messages, state, .. } => self.room_event(room, *messages, state, lines),
            Event::Message { room, message } => {
                self.remember(message);
                if message.future && !message.own {
                    self.future.hold(room, message);
                } else {
                    self.future.release(room, message.key);
                    self.message(room, message, lines);
                }
            }
            Event::Peer { peer_id, author, connected: true, .. } => {
                // Who has not proven who they are may not even be one of us.
                if let Some(author) = author
                    && self.peers.insert(*peer_id, *author).is_none()
                {
                    lines.push(notice(&format!("{} is here", self.who(*author))));
                }
            }
            Event::Peer { peer_id, .. } => {
                if let Some(author) = self.peers.remove(peer_id) {
                    lines.push(notice(&format!("{} has left", self.who(author))));
                }
            }
            // A line says by what name it was written.
            Event::Named { .. }
            | Event::Reacted { .. }
            | Event::Receipt { .. }
            | Event::Topic { .. }
            | Event::Synced { received: 0, sent: 0, .. } => {}
            Event::Synced { room, peer_id, received, sent, .. } => {
                let who = self.peers.get(peer_id).map_or_else(|| format!("peer {peer_id}"), |author| self.who(*author));
                let text = format!("{room}: synced with {who}, {} received, {sent} sent", count(*received, "message"));
                lines.push(notice(&text));
            }
            Event::ClockOff { offset_ms } => {
                self.ahead_ms = *offset_ms;
                lines.push(error(&report::clock_off(*offset_ms)));
            }
            Event::Forked { room, author } => lines.push(error(&report::forked(room, &self.who(*author)))),
            Event::Lagged { missed } => lines.push(error(&report::lagged(*missed))),
            Event::Warning { message, .. } => lines.push(error(message)),
        }
    }

    fn room_event(&mut self, room: &RoomName, messages: u64, state: &RoomState, lines: &mut Vec<Line>) {
        let messages = count(messages, "message");
        match state {
            RoomState::Open => {
                let what = if self.rooms.insert(room.clone()) { "is open" } else { "takes messages in again" };
                lines.push(notice(&format!("{room} {what}, {messages}")));
            }
            RoomState::Restarted => {
                self.rooms.insert(room.clone());
                lines.push(notice(&format!("{room} was started again, {messages}")));
            }
            RoomState::Paused => {
                lines.push(error(&format!("{room} takes nothing in for now; what is there can be read")));
            }
            RoomState::Failed => {
                lines.push(error(&format!(
                    "{room} crashes again and again and has given up; /restart {room} tries anew"
                )));
            }
            RoomState::Left => {
                self.rooms.remove(room);
                self.future.forget(room);
                self.missing.remove(room);
                lines.push(notice(&format!("you have left {room}; /join {room} opens it again")));
            }
        }
    }

    fn history(&mut self, room: &RoomName, messages: &[Message], lines: &mut Vec<Line>) {
        if messages.is_empty() {
            lines.push(notice(&format!("{room} has no messages yet")));
        }
        for message in messages {
            self.remember(message);
            if message.future && !message.own {
                self.future.hold(room, message);
            } else {
                // Asked for, it is shown again.
                self.shown.insert(message.id);
                lines.push(self.line(room, message));
            }
        }
    }

    /// A message that has come in.
    fn message(&mut self, room: &RoomName, message: &Message, lines: &mut Vec<Line>) {
        if self.shown.insert(message.id) {
            lines.push(self.line(room, message));
        }
    }

    /// With its day, for whoever reads it in another context.
    fn dated(&self, message: &Message) -> Line {
        let millis = message.time.millis();
        let (day, time) = (self.clock.date(millis), self.clock.time(millis));
        Line::Data(format!("[{day} {time}] {}", who_what(message)))
    }

    fn line(&self, room: &RoomName, message: &Message) -> Line {
        let time = self.clock.time(message.time.millis());
        let room = if self.rooms.len() > 1 { format!("{} ", visible(room.as_str())) } else { String::new() };
        Line::Data(format!("{room}[{time}] {}", who_what(message)))
    }

    fn remember(&mut self, message: &Message) {
        if self.nicks.get(&message.author).is_some_and(|nick| *nick == message.nick) {
            return;
        }
        if self.nicks.len() >= NICKS {
            self.nicks.clear();
        }
        self.nicks.insert(message.author, message.nick.chars().take(64).collect());
    }

    fn who(&self, author: AuthorId) -> String {
        match self.nicks.get(&author) {
            Some(nick) if *nick != author.short() => format!("{} ({})", name(nick), author.short()),
            _ => author.short(),
        }
    }

    fn peer(&self, peer: &PeerInfo) -> String {
        let who = peer.author.map_or_else(|| "not yet known".to_owned(), |author| self.who(author));
        let rooms: Vec<&str> = peer.rooms.iter().map(RoomName::as_str).collect();
        let rooms = if rooms.is_empty() { "no room of yours".to_owned() } else { rooms.join(", ") };
        let clock = peer.clock_offset_ms.map(|offset| format!(", clock {offset:+} ms")).unwrap_or_default();
        visible(&format!("{who} at {}, in {rooms}{clock}", peer.address)).into_owned()
    }
}

fn who_what(message: &Message) -> String {
    // What ends the name is not in it: what follows is said, and by whom.
    let mut nick = name(&message.nick).replace('<', "\\u{3c}").replace('>', "\\u{3e}");
    if message.nick_shared {
        nick = format!("{nick} {}", message.author.short());
    }
    let nick = match message.form {
        Form::Text | Form::Reply(_) => format!("<{nick}>"),
        Form::Action => format!("* {nick}"),
    };
    format!("{nick} {}", visible(&message.text))
}

/// A line about what goes on. The text may quote anybody.
fn notice(text: &str) -> Line {
    Line::Notice(format!("* {}", visible(text)))
}

fn error(text: &str) -> Line {
    Line::Notice(format!("* error: {}", visible(text)))
}

fn room(info: &RoomInfo, current: bool) -> String {
    let mark = if current { '>' } else { ' ' };
    let state = report::state(&info.state);
    let (messages, peers) = (count(info.messages, "message"), count(info.peers as u64, "peer"));
    format!("{mark} {}: {messages}, {peers}, {state}", visible(info.name.as_str()))
}

fn row(row: &Row) -> String {
    let name = match (&row.name, &row.topic) {
        (Some(name), _) => visible(name.as_str()).into_owned(),
        (None, topic) => format!("({}, whose name you do not know)", topic.as_deref().unwrap_or_default()),
    };
    let (messages, peers) = (count(row.messages, "message"), count(row.peers as u64, "peer"));
    format!("{name}: {messages}, {peers}, {}", row.state.as_ref().map_or("closed", report::state))
}

fn imported(room: &RoomName, imported: &Imported) -> String {
    let mut line = format!("{}: {} new, {} known", visible(room.as_str()), imported.new, imported.known);
    for (number, what) in [
        (imported.unvouched, "changed by somebody, or without what vouches for them"),
        (imported.foreign, "of another room"),
        (imported.malformed, "that are no messages"),
    ] {
        if number > 0 {
            line += &format!(", {number} {what}");
        }
    }
    line
}

fn member(member: &Member) -> String {
    let here = match (member.own, member.online) {
        (true, _) => "you",
        (false, true) => "here",
        (false, false) => "away",
    };
    let mut line =
        format!("{} ({}): {here}, {}", name(&member.nick), member.author.short(), count(member.messages, "message"));
    if member.missing > 0 {
        line += &format!(", refers to {} that are not here yet", member.missing);
    }
    if member.forked {
        line += ", written from two places";
    }
    line
}

fn count(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// The start of a fingerprint, as people can read it to each other.
fn grouped(hex: &str) -> String {
    let groups: Vec<&str> = (0..4).filter_map(|i| hex.get(4 * i..4 * i + 4)).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests;

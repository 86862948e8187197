//! What people are shown of a room: texts with the names their authors went by.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use distchat_crdt::{AuthorId, Content, Key, Timestamp, kind};

use super::short::{NICK_BYTES, emoji};
use crate::{
    event::{Form, Message, Reaction, RoomTopic},
    look::{is_like_a_key, look, look_of_key},
    store::{Frontier, StoredMessage},
};

/// The longest display name, in characters. Of a longer one from elsewhere the first so many are shown.
pub(crate) const MAX_NICK: usize = 32;

/// What is shown for a message that nobody can be shown.
const WITHHELD: &[u8] = b"[a message that crashed the program, and is not shown]";

/// Stands for a bug that a message sets off in whatever looks at it.
#[cfg(test)]
pub(crate) const CRASHES: &str = "crashes whoever looks";
/// The same, but for whoever has said it.
#[cfg(test)]
pub(crate) const CRASHES_OTHERS: &str = "crashes others who look";

/// What people are shown of a message.
#[derive(Debug)]
pub(super) enum Shown {
    Line(Message),
    Name { author: AuthorId, from: Key, nick: String },
    Reaction(Reaction),
    Topic(RoomTopic),
}

/// What stands in a message, as far as it takes to show it.
struct Raw<'a> {
    key: Key,
    author: AuthorId,
    seq: u64,
    kind: u32,
    body: &'a [u8],
    delay: Option<Duration>,
}

/// A name that an author goes by.
#[derive(Debug)]
struct Name {
    nick: String,
    /// What it looks like. It takes longer to find out than all else about a message.
    look: String,
}

impl Name {
    fn new(body: &[u8], author: &AuthorId) -> Self {
        let nick = shown_nick(body, author);
        Self { look: look(&nick), nick }
    }
}

/// The names in a room, and how far its transcript has been shown.
#[derive(Debug)]
pub(super) struct View {
    own: AuthorId,
    /// Each author's names, by the place from which on they hold.
    names: BTreeMap<AuthorId, BTreeMap<Key, Name>>,
    /// Who goes now by a name that looks like this.
    users: BTreeMap<String, BTreeSet<AuthorId>>,
    /// Messages that nobody is shown: they crash the program.
    withheld: BTreeSet<Key>,
    /// The newest message shown that was not future-dated.
    pub(super) newest_shown: Key,
}

impl View {
    pub(super) fn new(own: AuthorId, nicks: Vec<(AuthorId, Key, Vec<u8>)>, newest_shown: Key) -> Self {
        Self::without(BTreeSet::new(), own, nicks, newest_shown)
    }

    /// The same, without those messages.
    pub(super) fn without(
        withheld: BTreeSet<Key>,
        own: AuthorId,
        nicks: Vec<(AuthorId, Key, Vec<u8>)>,
        newest_shown: Key,
    ) -> Self {
        let mut view = Self { own, names: BTreeMap::new(), users: BTreeMap::new(), withheld, newest_shown };
        for (author, key, body) in nicks {
            if !view.withheld.contains(&key) {
                view.names.entry(author).or_default().insert(key, Name::new(&body, &author));
            }
        }
        for (author, names) in &view.names {
            if let Some((_, name)) = names.last_key_value() {
                view.users.entry(name.look.clone()).or_default().insert(*author);
            }
        }
        view
    }

    /// An author goes by another name from that place on.
    fn renamed(&mut self, author: AuthorId, key: Key, body: &[u8]) {
        let names = self.names.entry(author).or_default();
        let before = names.last_key_value().map(|(_, name)| name.look.clone());
        names.insert(key, Name::new(body, &author));
        let after = names.last_key_value().map(|(_, name)| name.look.clone());
        if let Some(before) = before
            && let Some(users) = self.users.get_mut(&before)
        {
            users.remove(&author);
            if users.is_empty() {
                self.users.remove(&before);
            }
        }
        if let Some(after) = after {
            self.users.entry(after).or_default().insert(author);
        }
    }

    /// The name that the author goes by at that place, and whether another one does, too.
    fn nick(&self, author: &AuthorId, at: &Key) -> (String, bool) {
        let names = self.names.get(author);
        match names.and_then(|names| names.range(..=at).next_back()) {
            Some((_, name)) => (name.nick.clone(), self.is_shared(author, name)),
            None => {
                let nick = author.short();
                let name = Name { look: look_of_key(&nick), nick };
                let shared = self.is_shared(author, &name);
                (name.nick, shared)
            }
        }
    }

    /// The name that the author goes by now, and whether another one does, too.
    pub(super) fn nick_now(&self, author: &AuthorId) -> (String, bool) {
        match self.names.get(author).and_then(|names| names.last_key_value()) {
            Some((_, name)) => (name.nick.clone(), self.is_shared(author, name)),
            None => (author.short(), false),
        }
    }

    /// Whether somebody else could be meant by that name of the author's.
    fn is_shared(&self, author: &AuthorId, name: &Name) -> bool {
        self.users.get(&name.look).is_some_and(|users| users.iter().any(|user| user != author))
            || (is_like_a_key(&name.look) && name.nick != author.short())
    }

    /// The name that the own author has chosen last.
    pub(super) fn own_nick(&self) -> Option<&str> {
        Some(&self.names.get(&self.own)?.last_key_value()?.1.nick)
    }

    /// A message has become part of the room; what people are shown of it, if anything. It arrived at that time, in
    /// milliseconds since 1970, when so much had been here.
    pub(super) fn arrived(
        &mut self,
        message: &distchat_crdt::Message,
        horizon: Timestamp,
        arrived_ms: u64,
        frontier: Frontier,
    ) -> Option<Shown> {
        let (key, author, kind, body) = (message.key(), message.author(), message.kind(), message.body());
        if self.withheld.contains(&key) {
            return None;
        }
        match (kind, Content::read(kind, body)) {
            (kind::NICK, _) => {
                self.renamed(author, key, body);
                Some(Shown::Name { author, from: key, nick: self.nick(&author, &key).0 })
            }
            (kind::TEXT | kind::ACTION | kind::REPLY, _) => {
                let delay = (key < frontier.key).then(|| delay(key, arrived_ms));
                let mut shown = self.show(Raw { key, author, seq: message.seq(), kind, body, delay }, horizon);
                shown.late = !shown.future && key < self.newest_shown;
                if !shown.future {
                    self.newest_shown = self.newest_shown.max(key);
                }
                Some(Shown::Line(shown))
            }
            (kind::REACTION, _) => {
                let (to, text) = body.split_first_chunk()?;
                let (to, emoji) = (Key::from_bytes(to), emoji(text)?.to_owned());
                Some(Shown::Reaction(Reaction { key, author, to, emoji }))
            }
            (_, Some(Content::Topic(text))) => Some(Shown::Topic(RoomTopic { key, author, text: text.to_owned() })),
            _ => None,
        }
    }

    /// A message from the store.
    pub(super) fn stored(&self, message: &StoredMessage, horizon: Timestamp) -> Message {
        let StoredMessage { key, author, seq, kind, arrived_ms, late, ref body } = *message;
        let delay = late.then(|| delay(key, arrived_ms));
        let (kind, body) = if self.withheld.contains(&key) { (kind::TEXT, WITHHELD) } else { (kind, &body[..]) };
        self.show(Raw { key, author, seq, kind, body, delay }, horizon)
    }

    fn show(&self, raw: Raw<'_>, horizon: Timestamp) -> Message {
        let Raw { key, author, seq, kind, body, delay } = raw;
        #[cfg(test)]
        assert!(body != CRASHES.as_bytes() && (body != CRASHES_OTHERS.as_bytes() || author == self.own));
        let (nick, nick_shared) = self.nick(&author, &key);
        let (form, text) = match Content::read(kind, body) {
            Some(Content::Action(text)) => (Form::Action, text.to_owned()),
            Some(Content::Reply { to, text }) => (Form::Reply(to), text.to_owned()),
            Some(Content::Text(text)) => (Form::Text, text.to_owned()),
            _ => (Form::Text, format!("[{} bytes that are not text]", body.len())),
        };
        Message {
            id: key.id,
            key,
            author,
            nick,
            nick_shared,
            seq,
            time: key.time,
            form,
            text,
            own: author == self.own,
            late: false,
            delay,
            future: key.time > horizon,
        }
    }
}

/// A message from the store, by the name that its author had chosen last before it. Others' names are not known.
pub(crate) fn shown(
    own: AuthorId,
    message: &StoredMessage,
    nick: Option<(Key, Vec<u8>)>,
    horizon: Timestamp,
) -> Message {
    let nick = nick.into_iter().map(|(key, body)| (message.author, key, body)).collect();
    View::new(own, nick, Key::MIN).stored(message, horizon)
}

/// How much later than it was written a message came.
fn delay(key: Key, arrived_ms: u64) -> Duration {
    Duration::from_millis(arrived_ms.saturating_sub(key.time.millis()))
}

/// What is shown for a name: never nothing, never very long.
fn shown_nick(body: &[u8], author: &AuthorId) -> String {
    #[cfg(test)]
    assert_ne!(body, CRASHES.as_bytes());
    let start = body.get(..NICK_BYTES).unwrap_or(body);
    let nick: String = String::from_utf8_lossy(start).trim().chars().take(MAX_NICK).collect();
    if nick.is_empty() { author.short() } else { nick }
}

#[cfg(test)]
mod tests {
    use super::*;
    use distchat_crdt::MessageId;

    fn key(time: u64) -> Key {
        Key { time: Timestamp(time), id: MessageId([time as u8; 32]) }
    }

    const A: AuthorId = AuthorId([0xaa; 32]);
    const B: AuthorId = AuthorId([0xbb; 32]);

    fn view(nicks: &[(AuthorId, u64, &str)]) -> View {
        let nicks = nicks.iter().map(|(author, time, nick)| (*author, key(*time), nick.as_bytes().to_vec())).collect();
        View::new(A, nicks, Key::MIN)
    }

    fn raw(time: u64, author: AuthorId, body: &[u8]) -> Raw<'_> {
        Raw { key: key(time), author, seq: 0, kind: kind::TEXT, body, delay: None }
    }

    #[test]
    fn a_name_holds_from_its_place_on() {
        let view = view(&[(A, 20, "bob"), (A, 10, "alice")]);
        assert_eq!(view.nick(&A, &key(5)).0, "aaaaaaaa");
        assert_eq!(view.nick(&A, &key(10)).0, "alice");
        assert_eq!(view.nick(&A, &key(19)).0, "alice");
        assert_eq!(view.nick(&A, &key(21)).0, "bob");
        assert_eq!(view.own_nick(), Some("bob"));
    }

    #[test]
    fn a_shared_name_is_told_and_so_is_one_no_longer_shared() {
        let mut view = view(&[(A, 10, "sam"), (B, 11, "sam")]);
        assert!(view.show(raw(12, A, b"hi"), Timestamp::MAX).nick_shared);
        view.renamed(B, key(13), b"pat");
        assert!(!view.show(raw(14, A, b"hi"), Timestamp::MAX).nick_shared);
        assert!(view.show(raw(12, B, b"hi"), Timestamp::MAX).nick_shared, "then it was");
    }

    #[test]
    fn a_name_that_passes_for_another_is_told() {
        for (name, shared) in [("sаm", true), ("SAM·aaaa", true), ("aaaaaaaa", true), ("samuel", false)] {
            let mut view = view(&[(A, 10, "sam")]);
            view.renamed(B, key(11), name.as_bytes());
            assert_eq!(view.show(raw(12, B, b"hi"), Timestamp::MAX).nick_shared, shared, "{name}");
        }
        let own_digits = view(&[(B, 10, "bbbbbbbb")]);
        assert!(!own_digits.show(raw(12, B, b"hi"), Timestamp::MAX).nick_shared);
    }

    #[test]
    fn odd_names_and_texts_are_shown_as_such() {
        let view = view(&[(A, 10, " \t "), (B, 10, &"x".repeat(500))]);
        assert_eq!(view.nick(&A, &key(11)).0, "aaaaaaaa");
        assert_eq!(view.nick(&B, &key(11)).0.len(), MAX_NICK);
        let shown = view.show(raw(12, B, &[0xff, 0xfe]), Timestamp::MAX);
        assert_eq!(shown.text, "[2 bytes that are not text]");
    }
}

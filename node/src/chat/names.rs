//! Who is who: what tells authors apart whose names are the same, or look so.

use std::collections::{BTreeMap, BTreeSet};

use distchat_node::{AuthorId, Member, Message, look};

use crate::cli::escape::visible_start;

/// The names that people go by in a room.
#[derive(Debug, Default)]
pub(super) struct Names {
    members: Vec<Member>,
    by_author: BTreeMap<AuthorId, usize>,
    /// Who goes by a name that looks like this.
    by_look: BTreeMap<String, BTreeSet<AuthorId>>,
}

impl Names {
    /// The names of these.
    pub(super) fn new(mut members: Vec<Member>) -> Self {
        members.sort_by_cached_key(|member| (!member.online, !member.own, member.nick.to_lowercase(), member.author));
        let mut by_look: BTreeMap<String, BTreeSet<AuthorId>> = BTreeMap::new();
        for member in &members {
            by_look.entry(look(&member.nick)).or_default().insert(member.author);
        }
        let by_author = members.iter().enumerate().map(|(at, member)| (member.author, at)).collect();
        Self { members, by_author, by_look }
    }

    /// Everybody: first those who are here.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(super) fn get(&self, author: &AuthorId) -> Option<&Member> {
        self.members.get(*self.by_author.get(author)?)
    }

    /// Whether somebody else goes by a name that looks like this one.
    pub(super) fn is_doubtful(&self, author: AuthorId, nick: &str) -> bool {
        self.by_look.get(&look(nick)).is_some_and(|others| others.iter().any(|other| *other != author))
    }

    /// A name with the digits that tell its author apart.
    pub(super) fn shown(&self, author: AuthorId, nick: &str) -> String {
        let doubtful = self.is_doubtful(author, nick);
        let mark = if doubtful { "≈" } else { "" };
        if nick == author.short() {
            nick.to_owned()
        } else {
            format!("{mark}{}·{}", visible_start(nick, 32), tag(author, doubtful))
        }
    }

    /// What a message's author is called where there is room for no more than it takes to tell them apart.
    pub(super) fn called(&self, message: &Message) -> String {
        let Message { author, nick, nick_shared, .. } = message;
        if *nick_shared || self.is_doubtful(*author, nick) { named(*author, nick) } else { visible_start(nick, 32) }
    }

    /// The author of that name, or whose key begins with these digits; all of them if there are several.
    pub(super) fn find(&self, who: &str) -> Vec<&Member> {
        let by_name: Vec<&Member> = self.members.iter().filter(|member| member.nick == who).collect();
        if !by_name.is_empty() {
            return by_name;
        }
        let digits = who.to_ascii_lowercase();
        let fits = |member: &&Member| digits.len() >= 4 && member.author.to_string().starts_with(&digits);
        self.members.iter().filter(fits).collect()
    }
}

/// A name with its author's digits, where it is not known who else goes by it.
pub(super) fn named(author: AuthorId, nick: &str) -> String {
    if nick == author.short() { author.short() } else { format!("{}·{}", visible_start(nick, 32), author.short()) }
}

/// The digits of a key that stand beside a name.
pub(super) fn tag(author: AuthorId, doubtful: bool) -> String {
    let short = author.short();
    if doubtful { short } else { short.chars().take(4).collect() }
}

/// Whether a text speaks of that name: as a word of its own, whatever its case.
pub(super) fn mentions(text: &str, nick: &str) -> bool {
    !mentioned(text, nick).is_empty()
}

/// Where a text speaks of that name, in bytes.
pub(super) fn mentioned(text: &str, nick: &str) -> Vec<std::ops::Range<usize>> {
    let mut found: Vec<std::ops::Range<usize>> = Vec::new();
    let wanted: Vec<char> = nick.chars().flat_map(char::to_lowercase).collect();
    if wanted.is_empty() {
        return found;
    }
    let letter = |c: char| c.is_alphanumeric() || c == '_';
    let mut before = None;
    for (start, c) in text.char_indices() {
        let free = !before.is_some_and(letter) || !nick.starts_with(letter);
        before = Some(c);
        if !free || found.last().is_some_and(|last| start < last.end) {
            continue;
        }
        let mut left = wanted.as_slice();
        let mut end = start;
        let mut rest = text.get(start..).unwrap_or_default().chars();
        while !left.is_empty() {
            let Some(c) = rest.next() else { break };
            let lower: Vec<char> = c.to_lowercase().collect();
            let Some(remaining) = left.strip_prefix(lower.as_slice()) else { break };
            left = remaining;
            end += c.len_utf8();
        }
        let ends = rest.next().is_none_or(|c| !letter(c)) || !nick.ends_with(letter);
        if left.is_empty() && ends {
            found.push(start..end);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::author;

    fn member(n: u8, nick: &str) -> Member {
        Member {
            author: author(n),
            nick: nick.to_owned(),
            nick_shared: false,
            online: n.is_multiple_of(2),
            own: false,
            forked: false,
            messages: 1,
            missing: 0,
        }
    }

    #[test]
    fn names_that_look_alike_are_doubtful() {
        let names =
            Names::new(vec![member(1, "ana"), member(2, "аnа"), member(3, "bob"), member(4, "Bоb"), member(5, "eve")]);
        for (n, nick, doubtful) in [
            (1, "ana", true),
            (2, "аnа", true),
            (3, "bob", true),
            (5, "eve", false),
            (6, "ANA", true),
            (6, "eve·0505", true),
            (5, "eve·0505", false),
        ] {
            assert_eq!(names.is_doubtful(author(n), nick), doubtful, "{nick}");
        }
        assert!(!Names::new(vec![member(1, "ana")]).is_doubtful(author(1), "ana"));
    }

    #[test]
    fn people_are_found_by_name_or_key() {
        let names = Names::new(vec![member(1, "ana"), member(2, "ana"), member(3, "bob")]);
        assert_eq!(names.find("ana").len(), 2);
        assert_eq!(names.find("0303").len(), 1);
        assert_eq!(names.find("03").len(), 0);
        assert_eq!(names.find("carol").len(), 0);
        assert_eq!(names.members().first().map(|member| member.author), Some(author(2)), "who is here comes first");
    }

    #[test]
    fn mentions_are_words() {
        for (text, nick, expect) in [
            ("ana: hi", "ana", &[(0, 3)][..]),
            ("hi Ana, ANA!", "ana", &[(3, 6), (8, 11)]),
            ("banana ana_b", "ana", &[]),
            ("@ana", "ana", &[(1, 4)][..]),
            ("ana", "", &[]),
            ("İx ix", "ix", &[(4, 6)][..]),
            ("日本 日", "日", &[(7, 10)][..]),
        ] {
            let found: Vec<_> = mentioned(text, nick).into_iter().map(|range| (range.start, range.end)).collect();
            assert_eq!(found, expect, "{text:?}");
        }
    }
}

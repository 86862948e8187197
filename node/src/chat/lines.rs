//! Messages as rows of the transcript.

use std::collections::BTreeMap;

use distchat_node::{AuthorId, Form, Key, Message};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::disks::Disks;
use super::names::{self, Names};
use super::page::{Block, Layout};
use super::theme::Theme;
use super::transcript::{Entry, Transcript, lateness};
use super::wrap::{Piece, columns, fit, wrap};
use crate::cli::clock::{self, Clock};
use crate::cli::escape::{visible, visible_start};

/// How many rows a message takes before the rest is folded.
const FOLDED: usize = 16;
/// How many rows it takes if its reader wants all of it.
const WHOLE: usize = 20_000;
/// From which width on names stand in a column of their own.
const ALIGNED: usize = 56;
const WIDE: usize = 96;

/// What messages look like, for whom and where.
pub(super) struct Look<'a> {
    pub(super) width: usize,
    pub(super) clock: &'a Clock,
    pub(super) theme: &'a Theme,
    pub(super) names: &'a Names,
    pub(super) own: AuthorId,
    pub(super) own_nick: &'a str,
    /// Behind this message begins what was not read.
    pub(super) read: Option<Key>,
    pub(super) selected: Option<Key>,
}

impl Layout for Look<'_> {
    fn block(&self, transcript: &Transcript, before: Option<&Entry>, entry: &Entry) -> Block {
        let message = &entry.message;
        let mut rows = self.lead(transcript, before, message);
        let lead = rows.len();
        let (head, indent) = self.head(message);
        if let Form::Reply(to) = message.form {
            rows.push(self.quote(transcript, &head, to));
        }
        let most = if transcript.expanded.contains(&message.key) { WHOLE } else { FOLDED };
        let first = if rows.len() > lead { indent.clone() } else { head };
        let marked = message.own && self.width >= ALIGNED;
        let width = if marked { self.width - Disks::COLUMNS } else { self.width };
        let (mut text, cut) = wrap(first, indent.clone(), &self.text(message, most), width, most);
        if let (Some(mark), Some(last)) = (entry.disks.mark().filter(|_| marked), text.last_mut()) {
            let missing = self.width.saturating_sub(last.width() + columns(&mark));
            last.push_span(Span::styled(format!("{}{mark}", " ".repeat(missing)), self.theme.dim));
        }
        if cut {
            text.push(self.aside(&indent, "… this message goes on; a click or Enter on it shows the rest"));
        }
        rows.append(&mut text);
        rows.extend(self.reactions(&indent, entry));
        if self.selected == Some(message.key) {
            for row in rows.iter_mut().skip(lead) {
                let missing = self.width.saturating_sub(row.width());
                row.push_span(" ".repeat(missing));
                row.style = self.theme.selected;
            }
        }
        Block { rows, lead }
    }
}

impl Look<'_> {
    /// What stands between the message and the one before it.
    fn lead(&self, transcript: &Transcript, before: Option<&Entry>, message: &Message) -> Vec<Line<'static>> {
        let mut rows = Vec::new();
        let day = self.clock.date(message.time.millis());
        let new_day = match before {
            Some(before) => self.clock.date(before.message.time.millis()) != day,
            None => transcript.is_from_start(),
        };
        if new_day {
            rows.push(self.rule(&clock::day(day), self.theme.day));
        }
        if let Some(read) = self.read
            && before.is_some_and(|before| before.message.key <= read)
            && message.key > read
        {
            rows.push(self.rule("new", self.theme.unread));
        }
        rows
    }

    fn rule(&self, text: &str, style: Style) -> Line<'static> {
        let text = format!(" {text} ");
        let left = self.width.saturating_sub(columns(&text)) / 2;
        let right = self.width.saturating_sub(columns(&text) + left);
        Line::styled(format!("{}{text}{}", "─".repeat(left), "─".repeat(right)), style)
    }

    /// What stands before the text, in its first row and in the others.
    fn head(&self, message: &Message) -> (Vec<Span<'static>>, Vec<Span<'static>>) {
        let theme = self.theme;
        let time = Span::styled(self.clock.time(message.time.millis()), theme.dim);
        let column = match self.width {
            WIDE.. => 18,
            ALIGNED.. => 16,
            _ => {
                let mut head = vec![time, Span::raw(" ")];
                match message.form {
                    Form::Action => head.push(Span::styled("*", self.theme.nick(message.author))),
                    Form::Text | Form::Reply(_) => head.extend(self.name(message, 20)),
                }
                head.push(Span::raw(" "));
                return (head, vec![Span::raw("  ")]);
            }
        };
        let bar = if self.concerns(message) {
            Span::styled(" ┃ ", theme.mention.remove_modifier(Modifier::REVERSED))
        } else {
            Span::styled(" │ ", theme.dim)
        };
        let name = match message.form {
            Form::Action => vec![Span::styled("*", theme.nick(message.author))],
            Form::Text | Form::Reply(_) => self.name(message, column),
        };
        let missing = column.saturating_sub(name.iter().map(Span::width).sum());
        let mut head = vec![time, Span::raw(" ".repeat(missing + 1))];
        head.extend(name);
        head.push(bar.clone());
        (head, vec![Span::raw(" ".repeat(6 + column)), bar])
    }

    /// Whether somebody else speaks of the reader.
    fn concerns(&self, message: &Message) -> bool {
        !message.own && names::mentions(&message.text, self.own_nick)
    }

    /// Who it is, in at most so many columns.
    fn name(&self, message: &Message, width: usize) -> Vec<Span<'static>> {
        let Message { author, nick, nick_shared, own, .. } = message;
        let doubtful = self.names.is_doubtful(*author, nick);
        let tag = names::tag(*author, doubtful || *nick_shared);
        let mut style = self.theme.nick(*author);
        if *own {
            style = style.add_modifier(Modifier::BOLD);
        }
        let mark = if doubtful { "≈" } else { "" };
        // Without a name of their own they go by those digits.
        if *nick == author.short() {
            return vec![Span::styled(nick.clone(), style)];
        }
        let nick = fit(&visible_start(nick, 32), width.saturating_sub(1 + tag.len() + columns(mark)));
        vec![
            Span::styled(mark, self.theme.warning),
            Span::styled(nick, style),
            Span::styled(format!("·{tag}"), if doubtful { self.theme.warning } else { self.theme.dim }),
        ]
    }

    fn text(&self, message: &Message, most: usize) -> Vec<Piece> {
        // Nobody sees more than that: each column has at most a few code points.
        let most = most.saturating_mul(self.width).saturating_mul(8);
        let end = message.text.char_indices().nth(most).map_or(message.text.len(), |(end, _)| end);
        let text = message.text.get(..end).unwrap_or_default().replace('\t', "    ");
        let lines: Vec<_> = text.split('\n').map(visible).collect();
        let mut pieces = Vec::new();
        if message.form == Form::Action {
            pieces.extend(self.name(message, 32).into_iter().map(|span| (span.content.into_owned(), span.style)));
            pieces.push((" ".to_owned(), Style::new()));
        }
        self.highlighted(lines.join("\n").trim_end_matches('\n'), message.own, &mut pieces);
        if let Some(delay) = lateness(message) {
            let about = clock::about(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
            pieces.push((format!(" ({about} late)"), self.theme.warning));
        }
        pieces
    }

    /// The text with links, and names that are the reader's, set off.
    fn highlighted(&self, text: &str, own: bool, pieces: &mut Vec<Piece>) {
        let mut marks: BTreeMap<usize, (usize, Style)> =
            links(text).map(|(start, end)| (start, (end, self.theme.link))).collect();
        if !own {
            for range in names::mentioned(text, self.own_nick) {
                marks.entry(range.start).or_insert((range.end, self.theme.mention));
            }
        }
        let mut at = 0;
        for (start, (end, style)) in marks {
            if start < at {
                continue;
            }
            pieces.push((text.get(at..start).unwrap_or_default().to_owned(), Style::new()));
            pieces.push((text.get(start..end).unwrap_or_default().to_owned(), style));
            at = end;
        }
        pieces.push((text.get(at..).unwrap_or_default().to_owned(), Style::new()));
    }

    /// What a reply answers, in one row.
    fn quote(&self, transcript: &Transcript, head: &[Span<'static>], to: Key) -> Line<'static> {
        let text = match transcript.entries().get(&to) {
            Some(Entry { message, .. }) => {
                let start = message.text.lines().next().unwrap_or_default();
                format!("↪ {}: {}", self.names.called(message), visible_start(start, 200))
            }
            None => "↪ an earlier message".to_owned(),
        };
        let taken: usize = head.iter().map(Span::width).sum();
        let mut row = head.to_vec();
        row.push(Span::styled(fit(&text, self.width.saturating_sub(taken)), self.theme.dim));
        Line::from(row)
    }

    fn aside(&self, indent: &[Span<'static>], text: &str) -> Line<'static> {
        let taken: usize = indent.iter().map(Span::width).sum();
        let mut row = indent.to_vec();
        row.push(Span::styled(fit(text, self.width.saturating_sub(taken)), self.theme.dim));
        Line::from(row)
    }

    /// What is thought of the message, if anything, in one row.
    fn reactions(&self, indent: &[Span<'static>], entry: &Entry) -> Option<Line<'static>> {
        let mut counts: BTreeMap<&str, (Key, usize, bool)> = BTreeMap::new();
        for reaction in entry.reactions.iter().filter(|reaction| !reaction.emoji.is_empty()) {
            let own = reaction.author == self.own;
            let count = counts.entry(&reaction.emoji).or_insert((reaction.key, 0, false));
            *count = (count.0.min(reaction.key), count.1 + 1, count.2 || own);
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable_by_key(|(_, (first, ..))| *first);
        let shown: Vec<String> = counts
            .iter()
            .map(|(emoji, (_, count, own))| {
                format!("{} {count}{}", visible_start(emoji, 12), if *own { "*" } else { "" })
            })
            .collect();
        (!shown.is_empty()).then(|| self.aside(indent, &shown.join("  ")))
    }
}

/// Where links begin and end.
fn links(text: &str) -> impl Iterator<Item = (usize, usize)> {
    ["https://", "http://"].into_iter().flat_map(|scheme| text.match_indices(scheme)).map(|(start, _)| {
        let rest = text.get(start..).unwrap_or_default();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        // What ends a sentence does not belong to it.
        let link =
            rest.get(..end).unwrap_or_default().trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '>', '"', '\'']);
        (start, start + link.len())
    })
}

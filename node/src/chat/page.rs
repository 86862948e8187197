//! Which rows of the transcript are on the screen.
//!
//! A message takes as many rows as it needs, and rows are made when they are looked at: the history is long, a screen is
//! not. A place in the transcript is therefore a message and a row of it, never a number of rows from an end.

use distchat_node::Key;
use ratatui::text::Line;

use super::transcript::{Entry, Position, Seen, Transcript};

/// The rows of a message.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) rows: Vec<Line<'static>>,
    /// How many rows come before the message itself: a new day, the place up to which all has been read.
    pub(super) lead: usize,
}

/// Makes rows of messages.
pub(super) trait Layout {
    /// The rows of a message that follows another one, in that transcript.
    fn block(&self, transcript: &Transcript, before: Option<&Entry>, entry: &Entry) -> Block;
}

/// A row of the transcript.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The message that it belongs to.
    pub(super) key: Key,
    /// How many rows it is behind the first one of the message's text.
    behind: isize,
    pub(super) line: Line<'static>,
}

/// The rows on the screen.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) rows: Vec<Row>,
    /// How many rows of the screen are empty above them.
    pub(super) blank: usize,
}

fn rows<L: Layout>(
    transcript: &Transcript,
    layout: &L,
    entry: &Entry,
) -> impl DoubleEndedIterator<Item = Row> + use<L> {
    let key = entry.message.key;
    let before = transcript.entries().range(..key).next_back().map(|(_, entry)| entry);
    let Block { rows, lead } = layout.block(transcript, before, entry);
    let row = move |(number, line)| Row { key, behind: (number as isize).saturating_sub_unsigned(lead), line };
    rows.into_iter().enumerate().map(row)
}

/// The rows before that one, the last of them first.
fn up<'a>(
    transcript: &'a Transcript,
    layout: &'a impl Layout,
    to: Option<(Key, isize)>,
) -> impl Iterator<Item = Row> + 'a {
    let entries = transcript.entries();
    let reach = to.map_or_else(|| entries.range(..), |(key, _)| entries.range(..=key));
    reach.rev().flat_map(move |(key, entry)| {
        let past = to.filter(|(top, _)| top == key).map_or(isize::MAX, |(_, behind)| behind);
        rows(transcript, layout, entry).filter(move |row| row.behind < past).rev()
    })
}

/// That row and those behind it.
fn down<'a>(
    transcript: &'a Transcript,
    layout: &'a impl Layout,
    top: Key,
    behind: isize,
) -> impl Iterator<Item = Row> + 'a {
    let entries = transcript.entries();
    entries.range(top..).flat_map(move |(_, entry)| {
        rows(transcript, layout, entry).filter(move |row| row.key != top || row.behind >= behind)
    })
}

/// The row at the top of the screen, a step further up or down, and what that makes of the reader's position.
pub(super) fn scroll(transcript: &mut Transcript, layout: &impl Layout, step: isize, height: usize) {
    let Some(Seen { first, behind, .. }) = transcript.seen() else { return };
    transcript.release();
    let by = step.unsigned_abs();
    let target = if step < 0 {
        let above = up(transcript, layout, Some((first, behind))).take(by).last();
        above.map(|row| Position::At { top: row.key, behind: row.behind })
    } else {
        let rest: Vec<Row> = down(transcript, layout, first, behind).skip(by).take(height).collect();
        match rest.first() {
            Some(row) if rest.len() >= height || !transcript.is_to_end() => {
                Some(Position::At { top: row.key, behind: row.behind })
            }
            _ => Some(Position::Following),
        }
    };
    match target {
        Some(Position::Following) => transcript.follow(),
        Some(position) => transcript.look_at(position),
        // The very first row: it is held, so that what comes does not move it away.
        None => transcript.look_at(Position::At { top: first, behind }),
    }
}

/// The rows for a screen of that height, where the reader is.
pub(super) fn page(transcript: &mut Transcript, layout: &impl Layout, height: usize) -> Page {
    let mut position = transcript.position();
    let mut page = match position {
        Position::Following => None,
        Position::At { top, behind } => at(transcript, layout, top, behind, height),
    };
    if page.is_none() {
        // Near the end there is not enough below: the last screen is shown, and followed.
        if transcript.is_to_end() {
            position = Position::Following;
        }
        page = Some(last(transcript, layout, height));
    }
    let rows = page.unwrap_or_default();
    let ends = rows.first().zip(rows.last());
    let seen = ends.map(|(top, end)| Seen { first: top.key, last: end.key, behind: top.behind });
    if let (Position::At { top, .. }, Some(Seen { first, behind, .. })) = (position, seen)
        && transcript.covers(top)
    {
        // The row that is held is the one on the screen: what comes before it does not move it.
        position = Position::At { top: first, behind };
    }
    transcript.shown(seen, position);
    Page { blank: height.saturating_sub(rows.len()), rows }
}

fn last(transcript: &Transcript, layout: &impl Layout, height: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = up(transcript, layout, None).take(height).collect();
    rows.reverse();
    rows
}

/// The screen whose first row is that one; `None` if the history ends on it.
fn at(transcript: &Transcript, layout: &impl Layout, top: Key, behind: isize, height: usize) -> Option<Vec<Row>> {
    let first = down(transcript, layout, top, isize::MIN).next()?;
    let missing = if first.key == top { first.behind.saturating_sub(behind) } else { 0 };
    let mut rows: Vec<Row> = match usize::try_from(missing) {
        Ok(above @ 1..) => up(transcript, layout, Some((top, isize::MIN))).take(above.min(height)).collect(),
        _ => Vec::new(),
    };
    rows.reverse();
    rows.extend(down(transcript, layout, top, behind).take(height - rows.len()));
    // What is below may not be loaded yet; then the rest of the screen stays empty for a moment.
    (rows.len() >= height || !transcript.is_to_end()).then_some(rows)
}

//! Where everything is on the screen.

use distchat_node::{Key, RoomName};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::app::App;
use super::lines::Look;
use super::names::Names;
use super::page;
use super::status;
use super::transcript::Transcript;
use super::wrap::{columns, fit, wrap};
use crate::cli::escape::{visible, visible_start};

/// From how many columns on there is room for the list of rooms, and for that of members.
const WITH_ROOMS: u16 = 70;
const WITH_MEMBERS: u16 = 96;
/// The least and the most columns of each.
const ROOMS: (usize, usize) = (12, 18);
const MEMBERS: (usize, usize) = (12, 20);
/// The most rows that what is being typed takes.
const INPUT: usize = 6;
const NOTICES: usize = 4;
/// From how many rows on there is room for the topic.
const WITH_TOPIC: u16 = 8;
const PROMPT: &str = "› ";

/// Something that can be clicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Room(RoomName),
    Member(String),
    Message(Key),
    /// Where messages arrived late.
    Earlier,
    Newest,
}

/// What is where on the screen.
#[derive(Debug, Default)]
pub(super) struct MouseMap {
    /// The size of the transcript.
    pub(super) width: usize,
    pub(super) height: usize,
    targets: Vec<(Rect, Target)>,
}

impl MouseMap {
    pub(super) fn at(&self, column: u16, row: u16) -> Option<Target> {
        let here = Position::new(column, row);
        self.targets.iter().rev().find(|(area, _)| area.contains(here)).map(|(_, target)| target.clone())
    }
}

/// Does something with the transcript that is looked at and what its messages look like.
pub(super) fn with_look<T>(app: &mut App, width: usize, f: impl FnOnce(&mut Transcript, &Look<'_>) -> T) -> Option<T> {
    let App { rooms, current, clock, theme, own, .. } = app;
    let room = rooms.iter_mut().find(|room| Some(&room.name) == current.as_ref())?;
    let own_nick = room.own_nick().to_owned();
    let look = Look {
        width,
        clock,
        theme,
        names: &room.names,
        own: *own,
        own_nick: &own_nick,
        read: room.read_line,
        selected: room.selected,
    };
    Some(f(&mut room.transcript, &look))
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App) {
    let area = frame.area();
    let shown = app.editor.shown(usize::from(area.width).saturating_sub(columns(PROMPT)));
    let input_rows = shown.rows.len().clamp(1, INPUT);
    let notices: Vec<(String, bool)> =
        app.notices.fresh(app.now()).take(NOTICES).map(|notice| (notice.text.clone(), notice.error)).collect();

    // From the bottom up.
    let mut left = area;
    let input = cut_bottom(&mut left, input_rows);
    let bar = cut_bottom(&mut left, 1);
    let topic = if area.height >= WITH_TOPIC { cut_top(&mut left, 1) } else { Rect::ZERO };
    let mut side = Rect::ZERO;
    if area.width >= WITH_ROOMS {
        let shown = app.rooms.iter().skip(first_room(app, left.height.into())).take(left.height.into());
        let widest = shown.map(|room| columns(&visible(room.name.as_str()))).max().unwrap_or(0);
        let width = (widest + 6).clamp(ROOMS.0, ROOMS.1) as u16;
        side = Rect { width, ..left };
        left = Rect { x: left.x + width + 1, width: left.width - width - 1, ..left };
    }
    let mut members = Rect::ZERO;
    if area.width >= WITH_MEMBERS && app.show_members {
        let members_here = app.room().map_or(&[][..], |room| room.names.members());
        let widest = members_here.iter().take(usize::from(left.height)).map(|member| member.nick.chars().count()).max();
        let width = (widest.unwrap_or(0) + 8).clamp(MEMBERS.0, MEMBERS.1) as u16;
        left.width -= width + 1;
        members = Rect { x: left.right() + 1, width, ..left };
    }

    let mut targets = Vec::new();
    let buffer = frame.buffer_mut();
    for fence in [side.right(), left.right()].into_iter().zip([side, members]).filter(|(_, pane)| pane.width > 0) {
        for row in left.top()..left.bottom() {
            buffer.set_string(fence.0, row, "│", app.theme.dim);
        }
    }
    draw_notices(buffer, &mut left, app, &notices);
    if let Some(text) = status::future(app) {
        let row = cut_bottom(&mut left, 1);
        buffer.set_string(row.x, row.y, fit(&text, row.width.into()), app.theme.warning);
    }
    draw_transcript(buffer, left, app, &mut targets);
    draw_topic(buffer, topic, app, &mut targets);
    draw_rooms(buffer, side, app, &mut targets);
    draw_members(buffer, members, app, &mut targets);
    draw_bar(buffer, bar, app, &mut targets);
    app.mouse_map = MouseMap { width: left.width.into(), height: left.height.into(), targets };

    let first = shown.cursor.0.saturating_sub(input_rows - 1);
    for (number, (row, y)) in shown.rows.iter().skip(first).zip(input.top()..input.bottom()).enumerate() {
        let prompt = if number + first == 0 { PROMPT } else { "  " };
        buffer.set_line(
            input.x,
            y,
            &Line::from(vec![Span::styled(prompt, app.theme.strong), Span::raw(&**row)]),
            input.width,
        );
    }
    let (row, column) = (shown.cursor.0 - first, shown.cursor.1 + columns(PROMPT));
    let cursor = (input.x + u16::try_from(column).unwrap_or(0), input.y + u16::try_from(row).unwrap_or(0));
    match &app.popup {
        Some(popup) => popup.draw(buffer, area, app),
        None => frame.set_cursor_position(cursor),
    }
}

fn cut_bottom(area: &mut Rect, rows: usize) -> Rect {
    let height = u16::try_from(rows).unwrap_or(u16::MAX).min(area.height);
    area.height -= height;
    Rect { y: area.bottom(), height, ..*area }
}

fn cut_top(area: &mut Rect, rows: usize) -> Rect {
    let height = u16::try_from(rows).unwrap_or(u16::MAX).min(area.height);
    let top = Rect { height, ..*area };
    area.y += height;
    area.height -= height;
    top
}

fn draw_notices(buffer: &mut Buffer, left: &mut Rect, app: &App, notices: &[(String, bool)]) {
    // The newest at the bottom, each in as many rows as it needs, and always some rows for the transcript.
    for (text, error) in notices {
        let style = if *error { app.theme.error } else { app.theme.dim };
        let head = vec![Span::styled("· ", style)];
        let (rows, _) = wrap(head, vec![Span::raw("  ")], &[(text.clone(), style)], left.width.into(), NOTICES);
        if left.height < 3 + u16::try_from(rows.len()).unwrap_or(u16::MAX) {
            return;
        }
        let area = cut_bottom(left, rows.len());
        for (row, y) in rows.iter().zip(area.top()..) {
            buffer.set_line(area.x, y, row, area.width);
        }
    }
}

fn draw_transcript(buffer: &mut Buffer, area: Rect, app: &mut App, targets: &mut Vec<(Rect, Target)>) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    if width == 0 || height == 0 {
        return;
    }
    let Some(page) = with_look(app, width, |transcript, look| page::page(transcript, look, height)) else {
        let text = fit("no room is open; /join ROOM opens one", width);
        buffer.set_string(area.x, area.y, text, app.theme.dim);
        return;
    };
    for (row, y) in page.rows.iter().zip(area.top() + u16::try_from(page.blank).unwrap_or(0)..) {
        buffer.set_line(area.x, y, &row.line, area.width);
        let area = Rect { y, height: 1, ..area };
        if row.line.style != Style::default() {
            buffer.set_style(area, Style { fg: None, ..row.line.style });
        }
        targets.push((area, Target::Message(row.key)));
    }
    if page.rows.is_empty() {
        let loaded = app.room().is_some_and(|room| room.transcript.is_loaded());
        let text = if loaded { "nobody has said anything here yet" } else { "…" };
        buffer.set_string(area.x, area.bottom() - 1, fit(text, width), app.theme.dim);
    }
}

fn draw_topic(buffer: &mut Buffer, area: Rect, app: &App, targets: &mut Vec<(Rect, Target)>) {
    if area.height == 0 {
        return;
    }
    buffer.set_style(area, app.theme.bar);
    let Some(room) = app.room() else { return };
    let name = visible(room.name.as_str()).into_owned();
    let topic = room.topic.as_ref().map(|topic| visible(topic.text.lines().next().unwrap_or_default()).into_owned());
    let mut line = Line::from(vec![Span::styled(format!(" {name}"), Style::new().add_modifier(Modifier::BOLD))]);
    if let Some(topic) = topic.filter(|topic| !topic.is_empty()) {
        line.push_span(Span::raw(format!("  {topic}")));
    }
    let late = room.transcript.earlier();
    let chip = match late {
        0 => String::new(),
        1 => " ▲ 1 earlier message arrived ".to_owned(),
        _ => format!(" ▲ {late} earlier messages arrived "),
    };
    let width = u16::try_from(columns(&chip)).unwrap_or(0).min(area.width);
    buffer.set_line(area.x, area.y, &line, area.width - width);
    if late > 0 {
        let chip_area = Rect { x: area.right() - width, width, ..area };
        buffer.set_string(chip_area.x, chip_area.y, fit(&chip, width.into()), app.theme.mention);
        targets.push((chip_area, Target::Earlier));
    }
}

/// The first room in a list of so many rows: the current one stays in sight.
fn first_room(app: &App, rows: usize) -> usize {
    let current = app.rooms.iter().position(|room| Some(&room.name) == app.current.as_ref()).unwrap_or(0);
    (current + 1).saturating_sub(rows)
}

fn draw_rooms(buffer: &mut Buffer, area: Rect, app: &App, targets: &mut Vec<(Rect, Target)>) {
    let first = first_room(app, area.height.into());
    for ((number, room), y) in app.rooms.iter().enumerate().skip(first).zip(area.top()..area.bottom()) {
        let current = Some(&room.name) == app.current.as_ref();
        let count = match (room.mentions, room.unread) {
            (_, 0) => String::new(),
            (0, unread) => format!(" {}", status::brief(unread)),
            (mentions, unread) => format!(" {}@{}", status::brief(unread), status::brief(mentions)),
        };
        let number = if number < 9 { format!("{} ", number + 1) } else { "  ".to_owned() };
        let name =
            fit(&visible(room.name.as_str()), usize::from(area.width).saturating_sub(number.len() + count.len()));
        let style = match (current, room.mentions, room.unread) {
            (true, ..) => app.theme.strong,
            (_, 1.., _) => app.theme.mention,
            (_, _, 1..) => app.theme.strong,
            _ => Style::new(),
        };
        let line = Line::from(vec![
            Span::styled(number, app.theme.dim),
            Span::styled(name, style),
            Span::styled(count, if room.mentions > 0 { app.theme.mention } else { app.theme.unread }),
        ]);
        buffer.set_line(area.x, y, &line, area.width);
        let row = Rect { y, height: 1, ..area };
        if current {
            buffer.set_style(row, app.theme.selected);
        }
        targets.push((row, Target::Room(room.name.clone())));
    }
}

fn draw_members(buffer: &mut Buffer, area: Rect, app: &App, targets: &mut Vec<(Rect, Target)>) {
    let Some(names) = app.room().map(|room| &room.names) else { return };
    let members = Names::members(names);
    let height = usize::from(area.height);
    let fitting = if members.len() > height { height.saturating_sub(1) } else { members.len() };
    for (member, y) in members.iter().take(fitting).zip(area.top()..area.bottom()) {
        let (dot, style) = if member.online { ("● ", app.theme.good) } else { ("○ ", app.theme.dim) };
        let mut name = if member.online { app.theme.nick(member.author) } else { app.theme.dim };
        if member.own {
            name = name.add_modifier(Modifier::BOLD);
        }
        let text = fit(&names.shown(member.author, &member.nick), usize::from(area.width).saturating_sub(3));
        let fork = if member.forked { "⑂" } else { "" };
        let line =
            Line::from(vec![Span::styled(dot, style), Span::styled(text, name), Span::styled(fork, app.theme.warning)]);
        buffer.set_line(area.x, y, &line, area.width);
        targets.push((Rect { y, height: 1, ..area }, Target::Member(visible_start(&member.nick, 32))));
    }
    if fitting < members.len() && height > 0 {
        let text = format!("and {} more: /who", members.len() - fitting);
        buffer.set_string(area.x, area.bottom() - 1, fit(&text, area.width.into()), app.theme.dim);
    }
}

fn draw_bar(buffer: &mut Buffer, area: Rect, app: &App, targets: &mut Vec<(Rect, Target)>) {
    if area.height == 0 {
        return;
    }
    buffer.set_style(area, app.theme.bar);
    let narrow = area.width < WITH_ROOMS;
    let chip = app.room().filter(|room| !room.transcript.is_following()).map(|room| match room.transcript.unseen {
        0 => " ▼ newest ".to_owned(),
        unseen => format!(" ▼ {} new ", status::brief(unseen)),
    });
    let mut right = area.right();
    if let Some(chip) = chip {
        let width = u16::try_from(columns(&chip)).unwrap_or(0).min(area.width);
        right -= width;
        buffer.set_string(right, area.y, &chip, app.theme.mention);
        targets.push((Rect { x: right, width, ..area }, Target::Newest));
    }
    let line = status::line(app, narrow);
    buffer.set_line(area.x, area.y, &line, right - area.x);
}

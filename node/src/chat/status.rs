//! The line that says how everything is.

use distchat_node::{RoomState, SyncState};
use ratatui::text::{Line, Span};

use super::app::App;
use super::room::RoomView;
use crate::cli::clock;
use crate::cli::escape::{visible, visible_start};

/// Fewer messages than that on their way are not worth a word.
const FEW: u64 = 50;

/// The line that says how everything is. On a narrow screen it tells of the other rooms, too.
pub(super) fn line(app: &App, narrow: bool) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    let mut say = |text: String, style| {
        if spans.len() > 1 {
            spans.push(Span::raw(" · "));
        }
        spans.push(Span::styled(text, style));
    };
    let theme = &app.theme;
    let plain = ratatui::style::Style::new();
    if app.leaving {
        say("leaving once somebody has what you wrote".to_owned(), theme.warning);
    }
    if let Some(room) = app.room() {
        if narrow {
            for other in app.rooms.iter().filter(|other| other.name != room.name && other.unread > 0) {
                say(format!("{} {}", visible(other.name.as_str()), brief(other.unread)), theme.unread);
            }
        }
        room_state(room, theme, &mut say);
    } else {
        say(peers(app.peers), plain);
    }
    if let Some(offset_ms) = app.clock_off {
        let direction = if offset_ms < 0 { "behind" } else { "ahead" };
        say(format!("clock {} {direction}", clock::about(offset_ms.unsigned_abs())), theme.error);
    }
    Line::from(spans)
}

fn room_state(room: &RoomView, theme: &super::theme::Theme, say: &mut impl FnMut(String, ratatui::style::Style)) {
    let plain = ratatui::style::Style::new();
    let Some(info) = &room.info else { return say("opening".to_owned(), plain) };
    if info.state == RoomState::Failed {
        return say("this room has given up: /restart".to_owned(), theme.error);
    }
    if info.state == RoomState::Paused {
        say("paused: nothing is taken in".to_owned(), theme.error);
    }
    match info.sync {
        SyncState::Alone => say("alone".to_owned(), theme.warning),
        SyncState::Comparing => say(peers(info.peers), plain),
        SyncState::CatchingUp { held, of } if of.saturating_sub(held) > FEW => {
            say(peers(info.peers), plain);
            say(format!("catching up {} of {}", thousands(held), thousands(of)), theme.warning);
        }
        SyncState::CatchingUp { .. } | SyncState::InSync => {
            say(peers(info.peers), plain);
            say("in sync".to_owned(), theme.good);
        }
    }
    if info.missing > 0 {
        say(format!("{} known, not here yet", thousands(info.missing)), theme.warning);
    }
    let hex = info.fingerprint.to_string();
    say(format!("{} {}", hex.get(..4).unwrap_or_default(), hex.get(4..8).unwrap_or_default()), plain);
}

fn peers(count: usize) -> String {
    if count == 1 { "1 peer".to_owned() } else { format!("{count} peers") }
}

/// What is about the future-dated messages of the room, in one line.
pub(super) fn future(app: &App) -> Option<String> {
    let room = app.room()?;
    let first = room.future.values().next()?;
    let count = room.future.len() as u64 + room.more_future;
    let mut from: Vec<&str> = room.future.values().map(|message| &*message.nick).collect();
    from.sort_unstable();
    from.dedup();
    let more = from.len().saturating_sub(3);
    let mut from: Vec<String> = from.into_iter().take(3).map(|nick| visible_start(nick, 16)).collect();
    if more > 0 {
        from.push(format!("{more} more"));
    }
    let messages = if count == 1 { "1 message".to_owned() } else { format!("{count} messages") };
    let ahead = first.time.millis().saturating_sub(app.now());
    Some(format!("{messages} dated in the future, from {}: shown in {}", from.join(", "), clock::about(ahead)))
}

/// A number in few characters.
pub(super) fn brief(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{}k", count / 1_000),
        _ => format!("{}M", count / 1_000_000),
    }
}

/// A number as people read it.
pub(super) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_easily() {
        for (count, long, short) in
            [(0, "0", "0"), (999, "999", "999"), (12_000, "12,000", "12k"), (1_234_567, "1,234,567", "1M")]
        {
            assert_eq!(thousands(count), long);
            assert_eq!(brief(count), short);
        }
    }
}

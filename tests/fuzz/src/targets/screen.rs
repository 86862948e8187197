//! Text on its way to a person's eye.

use ratatui::{buffer::Buffer, layout::Rect, text::Line, widgets::Widget};

use crate::cli::escape;

#[path = "../../../../node/src/chat/gate.rs"]
mod gate;

/// Nothing acts on the terminal, reorders what is read or is not there to the eye, in a line or in a frame of the chat.
pub(super) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let shown = escape::visible(&text);
    assert!(!shown.chars().any(acts), "{shown:?}");
    assert_eq!(escape::visible(&shown), shown, "what is visible stays as it is");
    assert!(!escape::visible_start(&text, 20).chars().any(acts));

    let mut buffer = Buffer::empty(Rect::new(0, 0, 40, 2));
    Line::raw(&*text).render(Rect::new(0, 0, 40, 1), &mut buffer);
    for (cell, symbol) in buffer.content.iter_mut().skip(40).zip(text.split('.')) {
        cell.set_symbol(symbol);
    }
    gate::tame(&mut buffer);
    assert!(!buffer.content.iter().any(|cell| cell.symbol().chars().any(acts)));
}

/// What no terminal may ever get from others: controls of both kinds, of direction, and tags.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0x61c | 0x200b | 0x200e..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff | 0xe0000..=0xe0fff)
}

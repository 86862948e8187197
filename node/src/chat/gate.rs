//! The last look at a frame before it is written: whatever the parts of the chat have put there, nothing in it acts on the
//! terminal or hides from the eye.

use ratatui::buffer::Buffer;

use crate::cli::escape::visible;

/// Replaces what would not be seen as what it is.
pub(super) fn tame(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let symbol = cell.symbol();
        if !symbol.is_ascii() || symbol.bytes().any(|byte| byte.is_ascii_control()) {
            let tame = visible(symbol) == symbol;
            if !tame {
                cell.set_symbol("\u{fffd}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;

    #[test]
    fn nothing_gets_through() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 5, 1));
        for (cell, symbol) in buffer.content.iter_mut().zip(["a", "\u{1b}", "é", "b\u{202e}", "👩‍💻"]) {
            cell.set_symbol(symbol);
        }
        tame(&mut buffer);
        let shown: Vec<&str> = buffer.content.iter().map(|cell| cell.symbol()).collect();
        assert_eq!(shown, ["a", "\u{fffd}", "é", "\u{fffd}", "👩‍💻"]);
    }
}

//! Characters that are drawings, drawn: as letters they would leave gaps between the cells in most fonts.

use std::fmt::Write as _;

use super::Rgb;

/// Frames, by the sides to which their lines lead: up, right, down, left; 1 is light, 2 heavy.
const FRAMES: [(char, [u8; 4]); 26] = [
    ('─', [0, 1, 0, 1]),
    ('━', [0, 2, 0, 2]),
    ('│', [1, 0, 1, 0]),
    ('┃', [2, 0, 2, 0]),
    ('┌', [0, 1, 1, 0]),
    ('┏', [0, 2, 2, 0]),
    ('┐', [0, 0, 1, 1]),
    ('┓', [0, 0, 2, 2]),
    ('└', [1, 1, 0, 0]),
    ('┗', [2, 2, 0, 0]),
    ('┘', [1, 0, 0, 1]),
    ('┛', [2, 0, 0, 2]),
    ('├', [1, 1, 1, 0]),
    ('┣', [2, 2, 2, 0]),
    ('┤', [1, 0, 1, 1]),
    ('┫', [2, 0, 2, 2]),
    ('┬', [0, 1, 1, 1]),
    ('┳', [0, 2, 2, 2]),
    ('┴', [1, 1, 0, 1]),
    ('┻', [2, 2, 0, 2]),
    ('┼', [1, 1, 1, 1]),
    ('╋', [2, 2, 2, 2]),
    ('╴', [0, 0, 0, 1]),
    ('╵', [1, 0, 0, 0]),
    ('╶', [0, 1, 0, 0]),
    ('╷', [0, 0, 1, 0]),
];
const ROUND: [(char, [u8; 4]); 4] =
    [('╭', [0, 1, 1, 0]), ('╮', [0, 0, 1, 1]), ('╰', [1, 1, 0, 0]), ('╯', [1, 0, 0, 1])];

/// Draws a frame's or a bar's part into the cell at that place, or says that this is not one.
pub(super) fn draw(svg: &mut String, text: &str, place: (u32, u32), cell: (u32, u32), ink: Rgb) -> bool {
    let mut all = text.chars();
    let (Some(c), None) = (all.next(), all.next()) else { return false };
    let find = |list: &[(char, [u8; 4])]| list.iter().find(|(own, _)| *own == c).map(|(_, arms)| *arms);
    if let Some(arms) = find(&FRAMES) {
        let width = arms.into_iter().max().unwrap_or(1);
        path(svg, &straight(arms, place, cell), width, ink);
    } else if let Some(arms) = find(&ROUND) {
        path(svg, &round(arms, place, cell), 1, ink);
    } else if let Some((x, y, width, height, opacity)) = block(c, cell) {
        let (x, y) = (place.0 + x, place.1 + y);
        let opacity = if opacity < 4 { format!(" fill-opacity=\".{}\"", opacity * 25) } else { String::new() };
        // Writing to a string cannot fail.
        let _ = writeln!(svg, r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{ink}"{opacity}/>"#);
    } else {
        return false;
    }
    true
}

fn path(svg: &mut String, path: &str, width: u8, ink: Rgb) {
    // Writing to a string cannot fail.
    let _ = writeln!(svg, r#"<path d="{path}" stroke="{ink}" stroke-width="{width}" fill="none"/>"#);
}

/// The middle of a cell, on the middle of a pixel so that light lines are sharp.
fn middle((x, y): (u32, u32), (width, height): (u32, u32)) -> (String, String) {
    (format!("{}.5", x + width / 2), format!("{}.5", y + height / 2))
}

fn straight(arms: [u8; 4], place: (u32, u32), cell: (u32, u32)) -> String {
    let (x, y) = middle(place, cell);
    let ends = [
        format!("V{}", place.1),
        format!("H{}", place.0 + cell.0),
        format!("V{}", place.1 + cell.1),
        format!("H{}", place.0),
    ];
    arms.into_iter().zip(ends).filter(|(arm, _)| *arm > 0).map(|(_, end)| format!("M{x} {y}{end}")).collect()
}

/// A corner that is a quarter of a circle as wide as half a cell, and straight from there.
fn round(arms: [u8; 4], place: (u32, u32), cell: (u32, u32)) -> String {
    let (x, y) = middle(place, cell);
    let (from, bend) =
        if arms[0] > 0 { (place.1, place.1 + cell.1 / 2 - 4) } else { (place.1 + cell.1, place.1 + cell.1 / 2 + 5) };
    let end = if arms[1] > 0 { place.0 + cell.0 } else { place.0 };
    format!("M{x} {from}V{bend}Q{x} {y} {end} {y}")
}

/// A block's left and upper edge, width and height within its cell, and how many quarters of it are ink.
fn block(c: char, (width, height): (u32, u32)) -> Option<(u32, u32, u32, u32, u32)> {
    let code = u32::from(c);
    Some(match c {
        '▀' => (0, 0, width, height / 2, 4),
        // Eighths from below, and from the left.
        '▁'..='█' => {
            let high = (height * (code - 0x2580)).div_ceil(8);
            (0, height - high, width, high, 4)
        }
        '▉'..='▏' => (0, 0, (width * (0x2590 - code)).div_ceil(8), height, 4),
        '▐' => (width / 2, 0, width - width / 2, height, 4),
        '░'..='▓' => (0, 0, width, height, code - 0x2590),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str) -> String {
        let mut svg = String::new();
        draw(&mut svg, text, (9, 19), (9, 19), Rgb(0, 0, 0));
        svg.lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn lines_meet_those_of_the_neighbours() {
        for (text, expect) in [
            ("│", r##"<path d="M13.5 28.5V19M13.5 28.5V38" stroke="#000000" stroke-width="1" fill="none"/>"##),
            ("━", r##"<path d="M13.5 28.5H18M13.5 28.5H9" stroke="#000000" stroke-width="2" fill="none"/>"##),
            ("╭", r##"<path d="M13.5 38V33Q13.5 28.5 18 28.5" stroke="#000000" stroke-width="1" fill="none"/>"##),
            ("╯", r##"<path d="M13.5 19V24Q13.5 28.5 9 28.5" stroke="#000000" stroke-width="1" fill="none"/>"##),
            ("█", r##"<rect x="9" y="19" width="9" height="19" fill="#000000"/>"##),
            ("▄", r##"<rect x="9" y="28" width="9" height="10" fill="#000000"/>"##),
            ("▌", r##"<rect x="9" y="19" width="5" height="19" fill="#000000"/>"##),
            ("▐", r##"<rect x="13" y="19" width="5" height="19" fill="#000000"/>"##),
            ("░", r##"<rect x="9" y="19" width="9" height="19" fill="#000000" fill-opacity=".25"/>"##),
            ("a", ""),
            ("─\u{301}", ""),
            ("", ""),
        ] {
            assert_eq!(drawn(text), expect, "{text}");
        }
    }
}

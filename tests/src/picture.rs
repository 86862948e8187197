//! Pictures of a terminal's screen, as SVG.
//!
//! They look the same whatever fonts there are: every word is given its column and its width, and what is drawn with
//! characters (frames, bars) is drawn with lines. The same screen gives the same bytes.

mod lines;
mod palette;

use std::fmt::Write as _;

pub use palette::{Palette, Rgb};

use crate::Screen;

/// A cell's width and height in pixels: 15 pixel letters of most monospaced fonts are 9 wide.
const CELL: (u32, u32) = (9, 19);
const LETTERS: u32 = 15;
/// Where letters stand in a cell, from its upper edge.
const BASELINE: u32 = 14;
const UNDERLINE: u32 = 16;
/// Between the window's edge and the screen.
const PADDING: u32 = 12;
const TITLE_BAR: u32 = 32;
const FONTS: &str = "ui-monospace,'DejaVu Sans Mono','Cascadia Mono',Menlo,Consolas,monospace";

/// Writing to a string cannot fail.
macro_rules! draw {
    ($($argument:tt)*) => { _ = writeln!($($argument)*) };
}

/// How a cell looks once everything about it is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    ink: Rgb,
    ground: Rgb,
    bold: bool,
    italic: bool,
    underline: bool,
}

/// A cell and the place it takes.
struct Place<'a> {
    column: u32,
    width: u32,
    text: &'a str,
    look: Look,
}

impl Place<'_> {
    fn end(&self) -> u32 {
        self.column + self.width
    }
}

/// The screen in a window of that title.
pub fn svg(screen: &Screen, title: &str, palette: &Palette) -> String {
    let (columns, rows) = screen.size();
    let (left, top) = (PADDING, TITLE_BAR + PADDING / 2);
    let width = u32::from(columns) * CELL.0 + 2 * PADDING;
    let height = top + u32::from(rows) * CELL.1 + PADDING;
    let mut svg = String::new();
    draw!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="{FONTS}" font-size="{LETTERS}">"#
    );
    window(&mut svg, (width, height), title, palette);
    draw!(svg, r#"<g transform="translate({left} {top})">"#);
    for row in 0..rows {
        let places = places(screen, row, palette);
        let y = u32::from(row) * CELL.1;
        grounds(&mut svg, &places, y, palette);
        letters(&mut svg, &places, y);
    }
    draw!(svg, "</g>\n</svg>");
    svg
}

fn window(svg: &mut String, (width, height): (u32, u32), title: &str, palette: &Palette) {
    let (inner, middle) = (width - 1, TITLE_BAR / 2);
    draw!(svg, "<title>{}</title>", escaped(title));
    let (ground, frame) = (palette.ground, palette.frame);
    draw!(
        svg,
        r#"<rect x=".5" y=".5" width="{inner}" height="{}" rx="8" fill="{ground}" stroke="{frame}"/>"#,
        height - 1
    );
    draw!(
        svg,
        r#"<path d="M.5 {TITLE_BAR}V8.5a8 8 0 0 1 8-8H{}a8 8 0 0 1 8 8V{TITLE_BAR}z" fill="{frame}"/>"#,
        width - 9
    );
    for (number, colour) in palette.buttons.iter().enumerate() {
        draw!(svg, r#"<circle cx="{}" cy="{middle}" r="6" fill="{colour}"/>"#, 20 + 20 * number);
    }
    let (x, y, title) = (width / 2, middle + 5, escaped(title));
    draw!(
        svg,
        r#"<text x="{x}" y="{y}" text-anchor="middle" font-family="sans-serif" font-size="13" fill="{}">{title}</text>"#,
        palette.title
    );
}

/// The cells of a row, with the cursor among them.
fn places<'a>(screen: &'a Screen, row: u16, palette: &Palette) -> Vec<Place<'a>> {
    let (columns, _) = screen.size();
    let mut places = Vec::new();
    for column in (0..columns).filter(|&column| !screen.cell(column, row).is_wide_continuation()) {
        let cell = screen.cell(column, row);
        let bold = cell.bold();
        let (mut ink, mut ground) = (palette.ink(cell.fgcolor()), palette.ground(cell.bgcolor()));
        if cell.inverse() {
            (ink, ground) = (ground, ink);
        }
        if cell.dim() {
            ink = ink.mixed(ground);
        }
        if screen.cursor_visible() && screen.cursor() == (column, row) {
            (ink, ground) = (palette.ground, palette.cursor);
        }
        let look = Look { ink, ground, bold, italic: cell.italic(), underline: cell.underline() };
        let width = if cell.is_wide() { 2 } else { 1 };
        places.push(Place { column: column.into(), width, text: cell.contents(), look });
    }
    places
}

/// Backgrounds and underlines, one rectangle for neighbours that look alike.
fn grounds(svg: &mut String, places: &[Place<'_>], y: u32, palette: &Palette) {
    for run in places.chunk_by(|one, next| one.look.ground == next.look.ground) {
        let (x, width, ground) = (run[0].column * CELL.0, extent(run), run[0].look.ground);
        if ground != palette.ground {
            draw!(svg, r#"<rect x="{x}" y="{y}" width="{width}" height="{}" fill="{ground}"/>"#, CELL.1);
        }
    }
    let line = |place: &Place<'_>| place.look.underline.then_some(place.look.ink);
    for run in places.chunk_by(|one, next| line(one) == line(next)) {
        if let Some(ink) = line(&run[0]) {
            let (x, width) = (run[0].column * CELL.0, extent(run));
            draw!(svg, r#"<rect x="{x}" y="{}" width="{width}" height="1" fill="{ink}"/>"#, y + UNDERLINE);
        }
    }
}

fn extent(run: &[Place<'_>]) -> u32 {
    (run[run.len() - 1].end() - run[0].column) * CELL.0
}

/// What is written: letters by the word, whatever may have another width in another font by itself.
fn letters(svg: &mut String, places: &[Place<'_>], y: u32) {
    let together = |one: &Place<'_>, next: &Place<'_>| one.look == next.look && is_letter(one) && is_letter(next);
    for run in places.chunk_by(together).filter(|run| !run[0].text.trim().is_empty()) {
        let (look, x) = (run[0].look, run[0].column * CELL.0);
        if lines::draw(svg, run[0].text, (x, y), CELL, look.ink) {
            continue;
        }
        let text: String = run.iter().map(|place| escaped(place.text)).collect();
        let bold = if look.bold { r#" font-weight="bold""# } else { "" };
        let italic = if look.italic { r#" font-style="italic""# } else { "" };
        let (y, width, ink) = (y + BASELINE, extent(run), look.ink);
        draw!(
            svg,
            r#"<text x="{x}" y="{y}" textLength="{width}" lengthAdjust="spacingAndGlyphs" fill="{ink}"{bold}{italic}>{text}</text>"#
        );
    }
}

/// Whether a cell holds a letter that every monospaced font has at its one width.
fn is_letter(place: &Place<'_>) -> bool {
    let mut all = place.text.chars();
    let first = all.next().is_some_and(|c| c > ' ' && c < '\u{250}');
    first && all.next().is_none()
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        match c {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '"' => escaped += "&quot;",
            // XML has no way to write these.
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is on the screen, without the window.
    fn drawn(size: (u16, u16), bytes: &str, palette: &Palette) -> String {
        let svg = svg(&Screen::of(size, bytes.as_bytes()), "a title", palette);
        let (_, screen) = svg.split_once("<g transform=\"translate(12 38)\">\n").unwrap();
        screen.strip_suffix("</g>\n</svg>\n").unwrap().to_owned()
    }

    #[test]
    fn a_small_screen_as_it_is_drawn() {
        let screen = "\x1b[31mred\x1b[0m a<b\r\n\x1b[44;1m日b\x1b[0m \x1b[4;2mx y\x1b[0m\x1b[7m \x1b[0m\x1b[?25l";
        let expect = "\
<text x=\"0\" y=\"14\" textLength=\"27\" lengthAdjust=\"spacingAndGlyphs\" fill=\"#f28b82\">red</text>
<text x=\"36\" y=\"14\" textLength=\"27\" lengthAdjust=\"spacingAndGlyphs\" fill=\"#d8dee6\">a&lt;b</text>
<rect x=\"0\" y=\"19\" width=\"27\" height=\"19\" fill=\"#7aa7f0\"/>
<rect x=\"63\" y=\"19\" width=\"9\" height=\"19\" fill=\"#d8dee6\"/>
<rect x=\"36\" y=\"35\" width=\"27\" height=\"1\" fill=\"#91969e\"/>
<text x=\"0\" y=\"33\" textLength=\"18\" lengthAdjust=\"spacingAndGlyphs\" fill=\"#d8dee6\" font-weight=\"bold\">日</text>
<text x=\"18\" y=\"33\" textLength=\"9\" lengthAdjust=\"spacingAndGlyphs\" fill=\"#d8dee6\" font-weight=\"bold\">b</text>
<text x=\"36\" y=\"33\" textLength=\"9\" lengthAdjust=\"spacingAndGlyphs\" fill=\"#91969e\">x</text>
<text x=\"54\" y=\"33\" textLength=\"9\" lengthAdjust=\"spacingAndGlyphs\" fill=\"#91969e\">y</text>
";
        assert_eq!(drawn((10, 2), screen, &Palette::DARK), expect);
    }

    #[test]
    fn the_cursor_is_a_block_with_the_letter_in_it() {
        let expect = "\
<rect x=\"9\" y=\"0\" width=\"9\" height=\"19\" fill=\"#1f2328\"/>
<text x=\"0\" y=\"14\" textLength=\"9\" lengthAdjust=\"spacingAndGlyphs\" fill=\"#1f2328\">a</text>
<text x=\"9\" y=\"14\" textLength=\"9\" lengthAdjust=\"spacingAndGlyphs\" fill=\"#ffffff\">b</text>
";
        assert_eq!(drawn((4, 1), "ab\x1b[1;2H", &Palette::LIGHT), expect);
    }

    #[test]
    fn frames_are_lines_and_not_letters() {
        let picture = drawn((4, 1), "┌─┐\x1b[?25l", &Palette::DARK);
        assert_eq!((picture.matches("<path").count(), picture.matches("<text").count()), (3, 0), "{picture}");
    }

    #[test]
    fn the_window_has_its_title_and_its_size() {
        let picture = svg(&Screen::of((80, 24), b""), "rooms & <people>", &Palette::DARK);
        assert!(
            picture.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"744\" height=\"506\""),
            "{picture}"
        );
        assert!(picture.contains("<title>rooms &amp; &lt;people&gt;</title>"));
        assert_eq!(picture, svg(&Screen::of((80, 24), b""), "rooms & <people>", &Palette::DARK));
    }
}

//! Colours: for a dark ground, for a light one, and none at all.

use distchat_node::AuthorId;
use ratatui::style::{Color, Modifier, Style};

/// Which colours to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ground {
    /// Colours that are read well on a dark ground.
    Dark,
    /// Colours that are read well on a light ground.
    Light,
    /// No colours.
    None,
}

/// How everything looks.
#[derive(Clone, Debug)]
pub(super) struct Theme {
    nicks: &'static [Color],
    /// What goes with the text: times, tags, lines between things.
    pub(super) dim: Style,
    pub(super) day: Style,
    pub(super) unread: Style,
    pub(super) mention: Style,
    pub(super) link: Style,
    /// Something is not as it seems, or as it should be.
    pub(super) warning: Style,
    pub(super) error: Style,
    pub(super) selected: Style,
    pub(super) bar: Style,
    pub(super) good: Style,
    pub(super) strong: Style,
}

/// The colours of the terminal's own palette adapt to what its user likes; those from the 256 are picked so that each has
/// a contrast of at least 4.5 to 1 with a black or a white ground.
const ON_DARK: [Color; 12] = [
    Color::Indexed(203),
    Color::Indexed(114),
    Color::Indexed(179),
    Color::Indexed(75),
    Color::Indexed(176),
    Color::Indexed(80),
    Color::Indexed(215),
    Color::Indexed(149),
    Color::Indexed(111),
    Color::Indexed(211),
    Color::Indexed(147),
    Color::Indexed(186),
];
const ON_LIGHT: [Color; 12] = [
    Color::Indexed(124),
    Color::Indexed(22),
    Color::Indexed(94),
    Color::Indexed(25),
    Color::Indexed(90),
    Color::Indexed(23),
    Color::Indexed(130),
    Color::Indexed(58),
    Color::Indexed(55),
    Color::Indexed(161),
    Color::Indexed(18),
    Color::Indexed(52),
];

impl Theme {
    pub(super) fn new(ground: Ground) -> Self {
        let plain = Style::new();
        let coloured = |dark, light| {
            Style::new().fg(if ground == Ground::Dark { Color::Indexed(dark) } else { Color::Indexed(light) })
        };
        let none = Self {
            nicks: &[],
            dim: plain.add_modifier(Modifier::DIM),
            day: plain.add_modifier(Modifier::DIM),
            unread: plain.add_modifier(Modifier::BOLD),
            mention: plain.add_modifier(Modifier::BOLD | Modifier::REVERSED),
            link: plain.add_modifier(Modifier::UNDERLINED),
            warning: plain.add_modifier(Modifier::BOLD),
            error: plain.add_modifier(Modifier::BOLD),
            selected: plain.add_modifier(Modifier::REVERSED),
            bar: plain.add_modifier(Modifier::REVERSED),
            good: plain,
            strong: plain.add_modifier(Modifier::BOLD),
        };
        if ground == Ground::None {
            return none;
        }
        let (bar, selected) = match ground {
            Ground::Dark => (plain.fg(Color::Indexed(252)).bg(Color::Indexed(236)), plain.bg(Color::Indexed(237))),
            _ => (plain.fg(Color::Indexed(236)).bg(Color::Indexed(252)), plain.bg(Color::Indexed(253))),
        };
        Self {
            nicks: if ground == Ground::Dark { &ON_DARK } else { &ON_LIGHT },
            dim: coloured(245, 242),
            day: coloured(245, 242),
            unread: coloured(203, 160).add_modifier(Modifier::BOLD),
            mention: coloured(222, 130).add_modifier(Modifier::BOLD),
            warning: coloured(215, 130),
            error: coloured(203, 160),
            good: coloured(114, 28),
            selected,
            bar,
            ..none
        }
    }

    /// A name's colour: always the same for one author.
    pub(super) fn nick(&self, author: AuthorId) -> Style {
        let number = author.0.iter().take(4).fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
        match self.nicks.get(number.checked_rem(self.nicks.len()).unwrap_or(0)) {
            Some(colour) => Style::new().fg(*colour),
            None => Style::new(),
        }
    }
}

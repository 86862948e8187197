//! Colours.

use std::fmt;

use vt100::Color;

/// A colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rgb(
    /// Red.
    pub u8,
    /// Green.
    pub u8,
    /// Blue.
    pub u8,
);

impl Rgb {
    /// This colour, faint on that ground.
    pub(crate) fn mixed(self, ground: Self) -> Self {
        let mix = |ink: u8, ground: u8| ((u16::from(ink) * 5 + u16::from(ground) * 3) / 8) as u8;
        Self(mix(self.0, ground.0), mix(self.1, ground.1), mix(self.2, ground.2))
    }

    const fn hex(colour: u32) -> Self {
        Self((colour >> 16) as u8, (colour >> 8) as u8, colour as u8)
    }
}

/// As SVG writes it.
impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

/// What the colours are that a program knows by number only, and those of the window around it.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "they say what they are")]
pub struct Palette {
    pub ink: Rgb,
    pub ground: Rgb,
    pub cursor: Rgb,
    /// Black, red, green, yellow, blue, magenta, cyan, white, and the bright ones.
    pub colours: [Rgb; 16],
    pub frame: Rgb,
    pub title: Rgb,
    pub buttons: [Rgb; 3],
}

/// Close, minimise, maximise.
const BUTTONS: [Rgb; 3] = [Rgb::hex(0xff5f57), Rgb::hex(0xfebc2e), Rgb::hex(0x28c840)];

impl Palette {
    /// Light on dark.
    pub const DARK: Self = Self {
        ink: Rgb::hex(0xd8dee6),
        ground: Rgb::hex(0x1b1f27),
        cursor: Rgb::hex(0xd8dee6),
        colours: [
            Rgb::hex(0x3b4252),
            Rgb::hex(0xf28b82),
            Rgb::hex(0x8fce8b),
            Rgb::hex(0xe6c07b),
            Rgb::hex(0x7aa7f0),
            Rgb::hex(0xc796ea),
            Rgb::hex(0x6cc7cf),
            Rgb::hex(0xc8ced8),
            Rgb::hex(0x76808f),
            Rgb::hex(0xff9e95),
            Rgb::hex(0xa8e0a2),
            Rgb::hex(0xf5d595),
            Rgb::hex(0x9cc0ff),
            Rgb::hex(0xdbb2f8),
            Rgb::hex(0x8edfe6),
            Rgb::hex(0xffffff),
        ],
        frame: Rgb::hex(0x2a303b),
        title: Rgb::hex(0x9aa4b2),
        buttons: BUTTONS,
    };

    /// Dark on light.
    pub const LIGHT: Self = Self {
        ink: Rgb::hex(0x1f2328),
        ground: Rgb::hex(0xffffff),
        cursor: Rgb::hex(0x1f2328),
        colours: [
            Rgb::hex(0x24292f),
            Rgb::hex(0xc0342b),
            Rgb::hex(0x1a7f37),
            Rgb::hex(0x8a6100),
            Rgb::hex(0x0a5bc4),
            Rgb::hex(0x8250c4),
            Rgb::hex(0x147a83),
            Rgb::hex(0xd0d7de),
            Rgb::hex(0x6e7781),
            Rgb::hex(0xa4262c),
            Rgb::hex(0x116329),
            Rgb::hex(0x6b4a00),
            Rgb::hex(0x0550ae),
            Rgb::hex(0x6639ba),
            Rgb::hex(0x0e606a),
            Rgb::hex(0xf6f8fa),
        ],
        frame: Rgb::hex(0xe3e7ec),
        title: Rgb::hex(0x57606a),
        buttons: BUTTONS,
    };

    pub(crate) fn ink(&self, colour: Color) -> Rgb {
        self.colour(colour, self.ink)
    }

    pub(crate) fn ground(&self, colour: Color) -> Rgb {
        self.colour(colour, self.ground)
    }

    fn colour(&self, colour: Color, default: Rgb) -> Rgb {
        match colour {
            Color::Default => default,
            Color::Rgb(red, green, blue) => Rgb(red, green, blue),
            Color::Idx(index @ 0..=15) => self.colours[usize::from(index)],
            // A cube of six by six by six, whose steps are what xterm has made them.
            Color::Idx(index @ 16..=231) => {
                let step = |number: u8| if number == 0 { 0 } else { 55 + 40 * number };
                let place = index - 16;
                Rgb(step(place / 36), step(place / 6 % 6), step(place % 6))
            }
            Color::Idx(index) => {
                let grey = 8 + 10 * (index - 232);
                Rgb(grey, grey, grey)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_colours_that_xterm_has() {
        for (index, expect) in [(16, "#000000"), (21, "#0000ff"), (110, "#87afd7"), (231, "#ffffff"), (255, "#eeeeee")]
        {
            assert_eq!(Palette::DARK.ink(Color::Idx(index)).to_string(), expect, "{index}");
        }
        assert_eq!(Palette::LIGHT.ground(Color::Default), Palette::LIGHT.ground);
        assert_eq!(Palette::DARK.ink(Color::Rgb(1, 2, 3)), Rgb(1, 2, 3));
    }
}

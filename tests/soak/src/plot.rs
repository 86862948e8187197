//! Plots as SVG: a few lines and areas over time, on an axis that is even or logarithmic.

use std::fmt::Write as _;

const WIDTH: f64 = 920.;
const HEIGHT: f64 = 330.;
/// Between the edge and the frame: left, right, top, bottom.
const MARGIN: (f64, f64, f64, f64) = (76., 20., 62., 44.);
const INK: &str = "#24292f";
const FAINT: &str = "#6e7781";
const GRID: &str = "#e4e8ec";
/// Below that a logarithmic axis does not go.
const LEAST: f64 = 1.;

/// Writing to a string cannot fail.
macro_rules! draw {
    ($($argument:tt)*) => { _ = writeln!($($argument)*) };
}

/// How values become heights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Even,
    /// What is less than 1 is shown as 1.
    Logarithmic,
}

/// Something that is drawn.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// A line through points; where two are further apart than the gap, it is interrupted.
    Line { points: Vec<(f64, f64)>, width: f64 },
    /// The area between two values at each time.
    Band(Vec<(f64, f64, f64)>),
}

/// A shape with what it stands for. Several may have one name, which is then told once.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) colour: &'static str,
    pub(crate) shape: Shape,
}

/// A plot. Times are in seconds.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    pub(crate) title: String,
    /// What the values are, and in what.
    pub(crate) unit: &'static str,
    pub(crate) scale: Scale,
    pub(crate) span: (f64, f64),
    /// Times to be marked by a line from top to bottom, with a word.
    pub(crate) marks: Vec<(f64, &'static str)>,
    pub(crate) series: Vec<Series>,
}

/// Where things are.
struct Frame {
    span: (f64, f64),
    top: f64,
    scale: Scale,
}

impl Frame {
    fn x(&self, time: f64) -> f64 {
        let part = (time - self.span.0) / (self.span.1 - self.span.0).max(f64::EPSILON);
        MARGIN.0 + part.clamp(0., 1.) * (WIDTH - MARGIN.0 - MARGIN.1)
    }

    fn y(&self, value: f64) -> f64 {
        let part = match self.scale {
            Scale::Even => value / self.top,
            Scale::Logarithmic => (value.max(LEAST) / LEAST).log10() / (self.top / LEAST).log10(),
        };
        HEIGHT - MARGIN.3 - part.clamp(0., 1.) * (HEIGHT - MARGIN.2 - MARGIN.3)
    }
}

impl Plot {
    /// Draws it. The same plot gives the same bytes.
    pub(crate) fn svg(&self) -> String {
        let frame = self.frame();
        let mut svg = String::new();
        draw!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" fill="{INK}">"#
        );
        draw!(svg, r#"<title>{}</title>"#, self.title);
        draw!(svg, r##"<rect width="100%" height="100%" fill="#ffffff"/>"##);
        draw!(svg, r#"<text x="{}" y="22" font-size="15" font-weight="bold">{}</text>"#, MARGIN.0, self.title);
        self.legend(&mut svg);
        self.axes(&mut svg, &frame);
        for series in &self.series {
            series.draw(&mut svg, &frame);
        }
        self.draw_marks(&mut svg, &frame);
        draw!(svg, "</svg>");
        svg
    }

    fn frame(&self) -> Frame {
        let values = self.series.iter().flat_map(|series| match &series.shape {
            Shape::Line { points, .. } => points.iter().map(|point| point.1).collect::<Vec<_>>(),
            Shape::Band(points) => points.iter().map(|point| point.2).collect(),
        });
        let most = values.fold(0., f64::max);
        let top = match self.scale {
            Scale::Even => (most / step(most)).ceil().max(1.) * step(most),
            Scale::Logarithmic => 10_f64.powf((most.max(10. * LEAST) / LEAST).log10().ceil()) * LEAST,
        };
        Frame { span: self.span, top, scale: self.scale }
    }

    fn legend(&self, svg: &mut String) {
        let mut x = MARGIN.0;
        let mut told: Vec<&str> = Vec::new();
        for series in &self.series {
            if told.contains(&series.name) {
                continue;
            }
            told.push(series.name);
            draw!(svg, r#"<rect x="{x:.0}" y="37" width="14" height="8" rx="2" fill="{}"/>"#, series.colour);
            draw!(svg, r#"<text x="{:.0}" y="45" fill="{FAINT}">{}</text>"#, x + 19., series.name);
            x += 40. + 6.6 * series.name.len() as f64;
        }
    }

    fn axes(&self, svg: &mut String, frame: &Frame) {
        let (left, right, bottom) = (MARGIN.0, WIDTH - MARGIN.1, HEIGHT - MARGIN.3);
        for value in ticks(frame) {
            let y = frame.y(value);
            draw!(svg, r#"<path d="M{left} {y:.1}H{right}" stroke="{GRID}"/>"#);
            let (x, y, text) = (left - 8., y + 4., short(value));
            draw!(svg, r#"<text x="{x}" y="{y:.1}" text-anchor="end" fill="{FAINT}">{text}</text>"#);
        }
        let middle = (MARGIN.2 + bottom) / 2.;
        draw!(
            svg,
            r#"<text transform="translate(20 {middle}) rotate(-90)" text-anchor="middle" fill="{FAINT}">{}</text>"#,
            self.unit
        );
        let (seconds, unit) = if self.span.1 - self.span.0 > 300. { (60., "minutes") } else { (1., "seconds") };
        let every = step((self.span.1 - self.span.0) / seconds) * seconds;
        let mut time = (self.span.0 / every).ceil() * every;
        while time <= self.span.1 {
            let x = frame.x(time);
            draw!(svg, r#"<path d="M{x:.1} {bottom}v5" stroke="{FAINT}"/>"#);
            let (y, text) = (bottom + 18., short(time / seconds));
            draw!(svg, r#"<text x="{x:.1}" y="{y}" text-anchor="middle" fill="{FAINT}">{text}</text>"#);
            time += every;
        }
        let (x, y) = ((left + right) / 2., HEIGHT - 9.);
        draw!(svg, r#"<text x="{x}" y="{y}" text-anchor="middle" fill="{FAINT}">{unit} since the start</text>"#);
        draw!(svg, r#"<path d="M{left} {}V{bottom}H{right}" fill="none" stroke="{FAINT}"/>"#, MARGIN.2);
    }

    fn draw_marks(&self, svg: &mut String, frame: &Frame) {
        for (time, word) in &self.marks {
            let x = frame.x(*time);
            let (top, bottom) = (MARGIN.2, HEIGHT - MARGIN.3);
            draw!(svg, r#"<path d="M{x:.1} {top}V{bottom}" stroke="{FAINT}" stroke-dasharray="3 3"/>"#);
            // Inside the frame, also at its right end.
            let (anchor, x) = if x > WIDTH - 140. { ("end", x - 4.) } else { ("start", x + 4.) };
            draw!(
                svg,
                r#"<text x="{x:.1}" y="{}" text-anchor="{anchor}" font-size="11" fill="{FAINT}">{word}</text>"#,
                top + 11.
            );
        }
    }
}

impl Series {
    fn draw(&self, svg: &mut String, frame: &Frame) {
        let colour = self.colour;
        match &self.shape {
            Shape::Line { points, width } => {
                let mut path = String::new();
                let gap = self.gap();
                let mut last = f64::NEG_INFINITY;
                for (time, value) in points {
                    let to = if time - last > gap { 'M' } else { 'L' };
                    _ = write!(path, "{to}{:.1} {:.1}", frame.x(*time), frame.y(*value));
                    last = *time;
                }
                draw!(
                    svg,
                    r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round" stroke-linecap="round"/>"#
                );
            }
            Shape::Band(points) if !points.is_empty() => {
                let there = points.iter().map(|(time, low, _)| (time, low));
                let back = points.iter().rev().map(|(time, _, high)| (time, high));
                let corner = |(time, value): (&f64, &f64)| format!("{:.1} {:.1}", frame.x(*time), frame.y(*value));
                let path = there.chain(back).map(corner).collect::<Vec<_>>().join("L");
                draw!(svg, r#"<path d="M{path}z" fill="{colour}"/>"#);
            }
            Shape::Band(_) => {}
        }
    }

    /// A time without points that is longer than is usual.
    fn gap(&self) -> f64 {
        let Shape::Line { points, .. } = &self.shape else { return 0. };
        let mut between: Vec<f64> = points.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        between.sort_by(f64::total_cmp);
        between.get(between.len() / 2).map_or(f64::INFINITY, |usual| usual * 5.)
    }
}

/// A round number that divides so much into four to nine.
fn step(most: f64) -> f64 {
    if most <= 0. {
        return 1.;
    }
    let power = 10_f64.powf(most.log10().floor());
    match most / power {
        part if part < 2. => power / 4.,
        part if part < 5. => power / 2.,
        _ => power,
    }
}

fn ticks(frame: &Frame) -> Vec<f64> {
    match frame.scale {
        Scale::Even => {
            let step = step(frame.top);
            (0..=(frame.top / step).round() as u32).map(|number| f64::from(number) * step).collect()
        }
        Scale::Logarithmic => {
            let powers = (frame.top / LEAST).log10().round() as i32;
            (0..=powers).map(|power| LEAST * 10_f64.powi(power)).collect()
        }
    }
}

/// A number on an axis.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", round(value / 1e6)),
        value if value >= 1e4 => format!("{} k", round(value / 1e3)),
        value => round(value),
    }
}

fn round(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(scale: Scale, points: Vec<(f64, f64)>) -> Plot {
        let series = vec![Series { name: "a", colour: "#000000", shape: Shape::Line { points, width: 2. } }];
        Plot { title: "t".to_owned(), unit: "MiB", scale, span: (0., 100.), marks: vec![(50., "half")], series }
    }

    #[test]
    fn points_are_where_they_belong_and_gaps_are_gaps() {
        let mut points: Vec<(f64, f64)> = (0..=4).map(|time| (f64::from(time), 0.)).collect();
        points.push((100., 40.));
        let svg = plot(Scale::Even, points).svg();
        // The frame's lower left corner, and its upper right one after a gap.
        assert!(svg.contains("M76.0 286.0L84.2 286.0"), "{svg}");
        assert!(svg.contains("M900.0 62.0\""), "{svg}");
        assert!(svg.contains(">40</text>") && svg.contains(">half</text>"));
    }

    #[test]
    fn a_logarithmic_axis_has_its_powers() {
        let svg = plot(Scale::Logarithmic, vec![(0., 0.), (1., 20_000.)]).svg();
        for tick in ["1", "10", "100", "1000", "10 k", "100 k"] {
            assert!(svg.contains(&format!(">{tick}</text>")), "{tick}: {svg}");
        }
    }

    #[test]
    fn nothing_can_be_drawn_too() {
        for scale in [Scale::Even, Scale::Logarithmic] {
            let svg = plot(scale, Vec::new()).svg();
            assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn axes_have_round_numbers() {
        for (most, expect) in [(1., 0.25), (3., 0.5), (60., 10.), (47., 5.), (1000., 250.), (0., 1.)] {
            assert_eq!(step(most), expect, "{most}");
        }
    }
}

//! Plots as SVG: lines over a common grid, both axes linear or logarithmic as their numbers ask for.

use std::fmt::Write as _;

use super::report::{Plot, number};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 44.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 52.0;
/// From here on an axis is logarithmic: the largest number over the smallest.
const DECADES_FROM: f64 = 30.0;
/// A line of more points has no dots.
const DOTS_MAX: usize = 40;
/// Told apart in greyscale and by people who see fewer colours (Okabe and Ito).
const COLOURS: [&str; 5] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000"];

/// One axis: numbers to places.
struct Axis {
    low: f64,
    high: f64,
    log: bool,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64> + Clone, from_zero: bool) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        if !(low.is_finite() && high.is_finite()) {
            return Self { low: 0.0, high: 1.0, log: false };
        }
        if low > 0.0 && high / low >= DECADES_FROM {
            return Self { low, high, log: true };
        }
        let low = if from_zero { 0.0 } else { low };
        let high = if high > low { high } else { low + 1.0 };
        // A curve that touches the upper edge looks cut off.
        let high = if from_zero { (high / step(high - low)).ceil() * step(high - low) } else { high };
        Self { low, high, log: false }
    }

    /// From 0 to 1.
    fn place(&self, value: f64) -> f64 {
        if self.log {
            (value.max(self.low).ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    fn ticks(&self) -> Vec<f64> {
        if !self.log {
            let step = step(self.high - self.low);
            let first = (self.low / step).ceil();
            let ticks = (0..=10).map(|i| (first + f64::from(i)) * step);
            return ticks.filter(|tick| *tick <= self.high + step / 1e6).collect();
        }
        let mut ticks = Vec::new();
        let mut decade = 10f64.powf(self.low.log10().floor());
        while decade <= self.high {
            ticks.extend(
                [1.0, 2.0, 5.0]
                    .map(|step| step * decade)
                    .into_iter()
                    .filter(|tick| (self.low..=self.high).contains(tick)),
            );
            decade *= 10.0;
        }
        ticks
    }
}

/// A round distance between ticks, at most eight of which fit the range.
fn step(range: f64) -> f64 {
    let decade = 10f64.powf((range / 5.0).log10().floor());
    [1.0, 2.0, 5.0]
        .map(|round| round * decade)
        .into_iter()
        .find(|step| range / step <= 8.0)
        .unwrap_or(10.0 * decade)
}

/// A plot as an SVG file's text.
pub(super) fn svg(plot: &Plot) -> String {
    let points = || plot.lines.iter().flat_map(|line| line.points.iter());
    let across = Axis::of(points().map(|point| point.0), false);
    let up = Axis::of(points().map(|point| point.1), true);
    let x = |value: f64| LEFT + across.place(value) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - up.place(value) * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{}</text>\n",
        escaped(&plot.title)
    );
    // INVARIANT: writing to a String cannot fail, so the results below carry nothing.
    let mut put = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    let (floor, end) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for tick in up.ticks() {
        let at = y(tick);
        put(format!("<path d=\"M{LEFT} {at:.1}H{end}\" stroke=\"#ddd\"/>"));
        put(format!(
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            number(tick)
        ));
    }
    for tick in across.ticks() {
        let at = x(tick);
        put(format!("<path d=\"M{at:.1} {TOP}V{floor}\" stroke=\"#eee\"/>"));
        put(format!(
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            floor + 18.0,
            number(tick)
        ));
    }
    put(format!("<text x=\"{end}\" y=\"{}\" text-anchor=\"end\">{}</text>", floor + 38.0, escaped(plot.x)));
    put(format!("<text x=\"{LEFT}\" y=\"{}\">{}</text>", TOP - 8.0, escaped(plot.y)));
    for (i, (line, colour)) in plot.lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let path: Vec<String> =
            line.points.iter().map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py))).collect();
        put(format!(
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
            path.join(" ")
        ));
        let dots = if line.points.len() > DOTS_MAX { &[][..] } else { &line.points };
        for (px, py) in dots {
            put(format!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(*px), y(*py)));
        }
        let at = TOP + 16.0 * (i as f64 + 1.0);
        put(format!(
            "<path d=\"M{} {:.1}h18\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            LEFT + 10.0,
            at - 4.0
        ));
        put(format!("<text x=\"{}\" y=\"{at:.1}\">{}</text>", LEFT + 34.0, escaped(&line.name)));
    }
    out.push_str("</svg>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::report::Line;
    use super::*;

    #[test]
    fn every_point_is_in_the_picture_and_names_are_escaped() {
        let line =
            |name: &str, points: &[(f64, f64)]| Line { name: name.to_owned(), points: points.to_vec() };
        let plot = Plot {
            name: "p",
            title: "a < b".to_owned(),
            x: "clients",
            y: "per s",
            lines: vec![line("x & y", &[(1.0, 1_000.0), (256.0, 9_300.0)]), line("none", &[])],
        };
        let text = svg(&plot);
        assert!(text.contains("a &lt; b") && text.contains("x &amp; y"));
        assert_eq!(text.matches("<circle").count(), 2);
        assert!(!text.contains("NaN") && !text.contains("inf"));
        assert!(text.contains(">10 000<"), "the axis ends at a round number");
        let flat = Plot { lines: vec![line("flat", &[(3.0, 0.0)])], ..plot };
        assert!(!svg(&flat).contains("NaN"));
    }
}

//! What was measured, as a table, as JSON and as the page in `docs/`.

use serde::Serialize;

use super::machine::Machine;

/// A number of several rounds: the median, the smallest and the largest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    /// The middle one.
    pub(super) median: f64,
    /// The smallest.
    pub(super) min: f64,
    /// The largest.
    pub(super) max: f64,
}

impl Spread {
    /// Of at least one number; of none it is all zeros.
    pub(super) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (middle, even) = (sorted.len() / 2, sorted.len().is_multiple_of(2));
        let at = |i: usize| sorted.get(i).copied().unwrap_or_default();
        let median = if even { f64::midpoint(at(middle.saturating_sub(1)), at(middle)) } else { at(middle) };
        Self { median, min: at(0), max: at(sorted.len().saturating_sub(1)) }
    }
}

/// Which side of the line is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bound {
    AtLeast,
    AtMost,
}

/// One row of "Numbers to hold".
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    /// The row's name on the command line.
    pub(super) row: &'static str,
    /// What is measured.
    pub(super) what: String,
    /// The unit of value and yardstick.
    pub(super) unit: &'static str,
    /// What was measured.
    pub(super) value: Spread,
    /// What it is held against, where there is something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) yardstick: Option<Yardstick>,
    /// Value over yardstick, of each round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ratio: Option<Spread>,
    /// Which side is good.
    pub(super) bound: Bound,
    /// The line for the ratio, or for the value where there is no yardstick.
    pub(super) hold: f64,
    /// The farther line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stretch: Option<f64>,
    /// Whether `hold` is met.
    pub(super) met: bool,
    /// How it was measured, and what else was seen.
    pub(super) notes: Vec<String>,
}

/// What a row is held against.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Yardstick {
    pub(super) what: String,
    pub(super) value: Spread,
}

/// A promise that cannot be measured yet.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Missing {
    pub(super) row: &'static str,
    pub(super) what: &'static str,
    pub(super) why: &'static str,
}

/// A picture's numbers.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Plot {
    /// Its file's name without the ending.
    pub(super) name: &'static str,
    pub(super) title: String,
    pub(super) x: &'static str,
    pub(super) y: &'static str,
    pub(super) lines: Vec<Line>,
}

/// One line of a picture.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// Everything of one run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) schema: &'static str,
    pub(super) version: &'static str,
    pub(super) command: String,
    pub(super) machine: Machine,
    pub(super) rows: Vec<Row>,
    pub(super) missing: Vec<Missing>,
    pub(super) plots: Vec<Plot>,
}

/// What a row says before it is judged.
pub(super) struct Draft {
    pub(super) row: &'static str,
    pub(super) what: String,
    pub(super) unit: &'static str,
    pub(super) bound: Bound,
    pub(super) hold: f64,
    pub(super) stretch: Option<f64>,
    pub(super) notes: Vec<String>,
}

impl Draft {
    /// Held against a yardstick: pairs of (value, yardstick), one of each round.
    pub(super) fn against(self, yardstick: impl Into<String>, rounds: &[(f64, f64)]) -> Row {
        let each = |pick: fn(&(f64, f64)) -> f64| Spread::of(&rounds.iter().map(pick).collect::<Vec<_>>());
        let ratio = each(|(value, yardstick)| value / yardstick.max(f64::MIN_POSITIVE));
        let yardstick = Yardstick { what: yardstick.into(), value: each(|pair| pair.1) };
        self.row(each(|pair| pair.0), Some(yardstick), Some(ratio))
    }

    /// Held against a number.
    pub(super) fn alone(self, values: &[f64]) -> Row {
        self.row(Spread::of(values), None, None)
    }

    fn row(self, value: Spread, yardstick: Option<Yardstick>, ratio: Option<Spread>) -> Row {
        let judged = ratio.unwrap_or(value).median;
        let met = match self.bound {
            Bound::AtLeast => judged >= self.hold,
            Bound::AtMost => judged <= self.hold,
        };
        Row {
            row: self.row,
            what: self.what,
            unit: self.unit,
            value,
            yardstick,
            ratio,
            bound: self.bound,
            hold: self.hold,
            stretch: self.stretch,
            met,
            notes: self.notes,
        }
    }
}

impl Row {
    /// The cells of the table: what, value, yardstick, ratio, hold, stretch, met.
    pub(super) fn cells(&self) -> [String; 7] {
        let percent = self.ratio.is_some() && self.bound == Bound::AtLeast;
        let sign = if self.bound == Bound::AtLeast { "≥" } else { "≤" };
        let line = |line: f64| match (percent, self.ratio.is_some()) {
            (true, _) => format!("{sign} {} %", number(line * 100.0)),
            (false, true) => format!("{sign} {}×", number(line)),
            (false, false) => format!("{sign} {} {}", number(line), self.unit),
        };
        let ratio = self.ratio.map_or_else(String::new, |ratio| {
            let show = |ratio: f64| if percent { number(ratio * 100.0) } else { number(ratio) };
            let unit = if percent { " %" } else { "×" };
            format!("{}{unit} ({}–{})", show(ratio.median), show(ratio.min), show(ratio.max))
        });
        let yardstick = self.yardstick.as_ref().map_or_else(String::new, |yardstick| {
            format!("{}: {} {}", yardstick.what, number(yardstick.value.median), self.unit)
        });
        [
            self.what.clone(),
            format!("{} {}", number(self.value.median), self.unit),
            yardstick,
            ratio,
            line(self.hold),
            self.stretch.map_or_else(String::new, line),
            if self.met { "yes" } else { "no" }.to_owned(),
        ]
    }
}

/// The headings of [`Row::cells`].
pub(super) const HEADINGS: [&str; 7] = ["what", "measured", "yardstick", "ratio", "hold", "stretch", "met"];

/// Three digits that matter.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => {
            let digits = format!("{value:.0}");
            let mut out = String::new();
            for (i, c) in digits.chars().enumerate() {
                if i > 0 && (digits.len() - i).is_multiple_of(3) && !out.ends_with('-') {
                    out.push(' ');
                }
                out.push(c);
            }
            out
        }
        medium if medium >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

impl Report {
    /// For a terminal: one block a row, since the cells are long.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.machine.to_string(), String::new()];
        for row in &self.rows {
            let [what, value, yardstick, ratio, hold, stretch, _] = row.cells();
            let mark = if row.met { "\x1b[32m✓\x1b[0m" } else { "\x1b[31m✗\x1b[0m" };
            let stretch = if stretch.is_empty() { stretch } else { format!(", stretch {stretch}") };
            lines.push(format!("{mark} {what} [{}]", row.row));
            let against = if yardstick.is_empty() { String::new() } else { format!(" | {yardstick}") };
            let ratio = if ratio.is_empty() { ratio } else { format!(" | ratio {ratio}") };
            lines.push(format!("    {value}{against}{ratio} | hold {hold}{stretch}"));
            lines.extend(row.notes.iter().map(|note| format!("    {note}")));
        }
        lines.extend(self.missing.iter().map(|m| format!("- {} [{}]: {}", m.what, m.row, m.why)));
        lines
    }

    /// For `docs/performance.md`.
    pub(super) fn markdown(&self, pictures: &str) -> String {
        let mut out = format!("{}\n\nCommand: `{}`\n\n", self.machine, self.command);
        out.push_str(&format!("| {} |\n|{}\n", HEADINGS.join(" | "), "---|".repeat(HEADINGS.len())));
        for row in &self.rows {
            out.push_str(&format!("| {} |\n", row.cells().join(" | ")));
        }
        for missing in &self.missing {
            out.push_str(&format!("| {} | not measured: {} | | | | | |\n", missing.what, missing.why));
        }
        out.push_str("\nA ratio is the median over the rounds, with the smallest and the largest.\n");
        for row in self.rows.iter().filter(|row| !row.notes.is_empty()) {
            out.push_str(&format!("\n**{}** (`{}`)\n", row.what, row.row));
            row.notes.iter().for_each(|note| out.push_str(&format!("- {note}\n")));
        }
        for plot in &self.plots {
            out.push_str(&format!("\n![{}]({pictures}/{}.svg)\n", plot.title, plot.name));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bound: Bound) -> Draft {
        Draft {
            row: "r",
            what: "w".to_owned(),
            unit: "ms",
            bound,
            hold: 2.0,
            stretch: None,
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_row_is_judged_by_its_ratio_where_it_has_one() {
        let rounds = [(3.0, 1.0), (10.0, 5.0), (9.0, 6.0)];
        let row = line(Bound::AtMost).against("y", &rounds);
        assert_eq!(row.ratio, Some(Spread { median: 2.0, min: 1.5, max: 3.0 }));
        assert_eq!((row.value.median, row.met), (9.0, true));
        assert!(line(Bound::AtLeast).against("y", &rounds).met);
        assert!(!line(Bound::AtMost).against("y", &[(5.0, 2.0)]).met);
        assert!(!line(Bound::AtMost).alone(&[2.5]).met);
        assert!(line(Bound::AtLeast).alone(&[2.5, 1.0, 3.0]).met);
        assert_eq!(Spread::of(&[1.0, 4.0]).median, 2.5);
    }

    #[test]
    fn numbers_are_short_and_read() {
        assert_eq!(number(0.123_4), "0.12");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(1_234_567.8), "1 234 568");
        assert_eq!(number(-1_234.0), "-1 234");
        assert_eq!(number(100.0), "100");
    }
}

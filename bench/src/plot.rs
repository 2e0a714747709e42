//! Draws the figures as SVG: ratios with their goals, and times beside the reference's. The
//! pictures have their own background, so that they are readable on a dark page too.

use std::fmt::Write as _;
use std::path::Path;

use crate::table::{Goal, Judged, Row, number};

const WIDTH: f64 = 760.0;
const MARGIN: f64 = 24.0;
const HEAD: f64 = 48.0;
const FOOT: f64 = 58.0;
/// A line of text, and the marks below it.
const LINE: f64 = 50.0;

const GROUND: &str = "#fcfcfc";
const INK: &str = "#1f2328";
const PALE: &str = "#59636e";
const GRID: &str = "#d8dee4";
const OURS: &str = "#1f6feb";
const MISSED: &str = "#c4501b";

/// One figure: its name, its number, and its marks on the axis.
struct Line {
    what: String,
    number: String,
    marks: Vec<Mark>,
}

enum Mark {
    Dot { at: f64, colour: &'static str, full: bool },
    Span { from: f64, to: f64 },
    Goal { at: f64 },
}

/// Writes `ratios.svg` and `times.svg`, each only if there is something to draw.
pub(crate) fn write(dir: &Path, rows: &[Row]) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    for (name, drawn) in [("ratios.svg", ratios(rows)), ("times.svg", times(rows))] {
        if let Some(drawn) = drawn {
            std::fs::write(dir.join(name), drawn)?;
        }
    }
    Ok(())
}

/// The figures that are judged by their ratio to a reference, with the spread of the rounds and the
/// goal.
fn ratios(rows: &[Row]) -> Option<String> {
    let with_goal =
        |row: &&Row| row.judged_by == Judged::Ratio && row.goal != Goal::Told && row.judged > 0.0;
    let lines = rows.iter().filter(with_goal).map(|row| {
        let (sign, goal) = match row.goal {
            Goal::AtLeast(goal) => ("≥", goal),
            Goal::AtMost(goal) => ("≤", goal),
            Goal::Told => ("", f64::NAN),
        };
        let missed = row.reached == Some(false);
        let mut marks = vec![Mark::Goal { at: goal }];
        marks.extend(row.spread.map(|(from, to)| Mark::Span { from, to }));
        marks.push(Mark::Dot {
            at: row.judged,
            colour: if missed { MISSED } else { OURS },
            full: !missed,
        });
        let number = format!("{}, goal {sign} {}", number(row.judged), number(goal));
        Line { what: format!("{}: {}", row.id, row.what), number, marks }
    });
    let note = "dot: median of the rounds, hollow where the goal is missed; line: least to most; \
        bar: goal";
    chart("Tidegate's figure divided by the reference's", note, &lines.collect::<Vec<_>>())
}

/// Times beside the reference's, in milliseconds.
fn times(rows: &[Row]) -> Option<String> {
    let lines = rows.iter().filter_map(|row| {
        let scale = match row.unit {
            _ if row.reference.is_none() => return None,
            ref unit if unit == "ms" => 1.0,
            ref unit if unit == "µs" => 1e-3,
            _ => return None,
        };
        let (ours, reference) = (row.ours * scale, row.reference? * scale);
        let marks = vec![
            Mark::Span { from: ours.min(reference), to: ours.max(reference) },
            Mark::Dot { at: reference, colour: PALE, full: false },
            Mark::Dot { at: ours, colour: OURS, full: true },
        ];
        let number = format!("{} ms beside {}", number(ours), number(reference));
        (ours > 0.0 && reference > 0.0).then(|| Line {
            what: format!("{}: {}", row.id, row.what),
            number,
            marks,
        })
    });
    chart(
        "Times in milliseconds",
        "full: Tidegate; hollow: the reference",
        &lines.collect::<Vec<_>>(),
    )
}

fn chart(title: &str, note: &str, lines: &[Line]) -> Option<String> {
    let axis = Axis::over(lines.iter().flat_map(|line| &line.marks))?;
    let height = HEAD + LINE * lines.len() as f64 + FOOT;
    let bottom = height - FOOT;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="13" fill="{INK}">
<rect width="100%" height="100%" rx="6" fill="{GROUND}"/>
<text x="{MARGIN}" y="30" font-size="17" font-weight="600">{title}</text>
"#,
        title = escaped(title)
    );
    let mut draw = |line: std::fmt::Arguments<'_>| {
        // Writing into a string does not fail.
        let _ = writeln!(svg, "{line}");
    };
    for tick in axis.ticks() {
        let (x, top) = (axis.place(tick), HEAD + 20.0);
        // At this line both sides are equal.
        let colour = if tick.to_bits() == 1.0_f64.to_bits() { PALE } else { GRID };
        draw(format_args!(r#"<path d="M{x:.1} {top}V{bottom}" stroke="{colour}"/>"#));
        let y = bottom + 18.0;
        draw(format_args!(
            r#"<text x="{x:.1}" y="{y}" text-anchor="middle" fill="{PALE}">{tick}</text>"#
        ));
    }
    for (index, line) in lines.iter().enumerate() {
        let text = HEAD + LINE * index as f64 + 16.0;
        let y = text + 18.0;
        // Hides the grid behind the text.
        let (top, width) = (text - 14.0, WIDTH - 2.0 * MARGIN);
        draw(format_args!(
            r#"<rect x="{MARGIN}" y="{top}" width="{width}" height="19" fill="{GROUND}"/>"#
        ));
        draw(format_args!(r#"<text x="{MARGIN}" y="{text}">{}</text>"#, escaped(&line.what)));
        let right = WIDTH - MARGIN;
        let number = escaped(&line.number);
        draw(format_args!(
            r#"<text x="{right}" y="{text}" text-anchor="end" font-weight="600">{number}</text>"#
        ));
        for mark in &line.marks {
            draw(format_args!("{}", mark.drawn(&axis, y)));
        }
    }
    let y = height - 14.0;
    draw(format_args!(r#"<text x="{MARGIN}" y="{y}" fill="{PALE}">{}</text>"#, escaped(note)));
    svg.push_str("</svg>\n");
    Some(svg)
}

impl Mark {
    fn drawn(&self, axis: &Axis, y: f64) -> String {
        match *self {
            Self::Dot { at, colour, full } => {
                let (x, fill) = (axis.place(at), if full { colour } else { GROUND });
                format!(
                    r#"<circle cx="{x:.1}" cy="{y}" r="5.5" fill="{fill}" stroke="{colour}" stroke-width="2.5"/>"#
                )
            }
            Self::Span { from, to } => {
                let (from, to) = (axis.place(from), axis.place(to));
                format!(r#"<path d="M{from:.1} {y}H{to:.1}" stroke="{PALE}" stroke-width="2.5"/>"#)
            }
            Self::Goal { at } => {
                let (x, top, bottom) = (axis.place(at), y - 11.0, y + 11.0);
                format!(r#"<path d="M{x:.1} {top}V{bottom}" stroke="{INK}" stroke-width="3.5"/>"#)
            }
        }
    }

    fn places(&self) -> [f64; 2] {
        match *self {
            Self::Dot { at, .. } | Self::Goal { at } => [at, at],
            Self::Span { from, to } => [from, to],
        }
    }
}

/// A logarithmic axis, on which half and double are equally far from one.
struct Axis {
    least: f64,
    most: f64,
}

impl Axis {
    /// An axis wide enough for all marks, and for one.
    fn over<'a>(marks: impl Iterator<Item = &'a Mark>) -> Option<Self> {
        let mut all = marks
            .flat_map(Mark::places)
            .filter(|place| place.is_finite() && *place > 0.0)
            .peekable();
        all.peek()?;
        let (least, most) = all
            .fold((1.0_f64, 1.0_f64), |(least, most), place| (least.min(place), most.max(place)));
        Some(Self { least: least / 1.25, most: most * 1.25 })
    }

    fn place(&self, value: f64) -> f64 {
        let part = (value / self.least).ln() / (self.most / self.least).ln();
        MARGIN + part.clamp(0.0, 1.0) * (WIDTH - 2.0 * MARGIN)
    }

    /// One, two and five times each power of ten; only the powers if the axis is long.
    fn ticks(&self) -> Vec<f64> {
        let steps: &[f64] =
            if self.most / self.least > 2_000.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all =
            (-6..=6).flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)));
        // The rounding error of a power of ten must not show.
        let round = all.map(|tick| format!("{tick:.6}").parse().unwrap_or(tick));
        round.filter(|tick| (self.least..=self.most).contains(tick)).collect()
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        vec![
            Row::ratio(
                "B0",
                "much & fast",
                "/s",
                &[(50.0, 100.0), (60.0, 100.0)],
                Goal::AtLeast(0.9),
            ),
            Row::ratio("B0", "as wanted", "/s", &[(90.0, 100.0)], Goal::AtLeast(0.9)),
            Row::difference("B0", "late", "ms", &[(3.0, 1.0)], Goal::AtMost(1.0)),
            Row::figure("B0", "alone", "ms", &[3.0], Goal::AtMost(1.0)),
        ]
    }

    #[test]
    fn each_figure_is_in_its_own_picture() {
        let (ratios, times) = (ratios(&rows()).unwrap(), times(&rows()).unwrap());
        for (what, in_ratios, in_times) in [
            ("much &amp; fast", true, false),
            ("as wanted", true, false),
            ("late", false, true),
            ("alone", false, false),
        ] {
            assert_eq!(
                (ratios.contains(what), times.contains(what)),
                (in_ratios, in_times),
                "{what}"
            );
        }
        assert_eq!(ratios.matches(MISSED).count(), 1, "one goal is missed");
        assert!(super::times(&rows()[..2]).is_none(), "nothing to draw is no picture");
    }

    #[test]
    fn a_figure_that_is_its_goal_stands_on_it() {
        let drawn = ratios(&rows()).unwrap();
        let dot = drawn.split("<circle cx=\"").nth(2).unwrap().split('"').next().unwrap();
        assert!(drawn.contains(&format!("M{dot} ")), "no goal at {dot}:\n{drawn}");
    }

    #[test]
    fn half_and_twice_lie_as_far_from_one() {
        let marks = [Mark::Span { from: 0.25, to: 4.0 }];
        let axis = Axis::over(marks.iter()).unwrap();
        let [half, one, twice] = [0.5, 1.0, 2.0].map(|value| axis.place(value));
        assert!(
            (twice - one - (one - half)).abs() < 1e-9 && twice > one + 50.0,
            "{half} {one} {twice}"
        );
        assert_eq!(axis.ticks(), [0.2, 0.5, 1.0, 2.0, 5.0]);
    }
}

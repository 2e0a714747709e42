//! The table of the figures, and whether they reach their goals.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::{Deserialize, Deserializer, Serialize};

/// One line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: Cow<'static, str>,
    pub(crate) what: String,
    pub(crate) unit: Cow<'static, str>,
    /// The median of the rounds.
    #[serde(deserialize_with = "number_or_none")]
    pub(crate) ours: f64,
    pub(crate) reference: Option<f64>,
    /// The number that the goal concerns. For a ratio, it is the median of the rounds' ratios, each
    /// of two neighbouring slices.
    #[serde(deserialize_with = "number_or_none")]
    pub(crate) judged: f64,
    pub(crate) judged_by: Judged,
    /// The minimum and the maximum of the rounds.
    pub(crate) spread: Option<(f64, f64)>,
    pub(crate) goal: Goal,
    /// Whether the goal is reached. `None` if there is no goal, or if the run is only a smoke test.
    pub(crate) reached: Option<bool>,
}

/// The kind of number in `judged`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Judged {
    Figure,
    Ratio,
    Difference,
}

/// What `judged` must be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// There is no goal; the figure is only reported.
    Told,
}

impl Goal {
    fn is_reached(self, judged: f64) -> Option<bool> {
        match self {
            Self::AtLeast(least) => Some(judged >= least),
            Self::AtMost(most) => Some(judged <= most),
            Self::Told => None,
        }
    }
}

impl Row {
    /// A figure beside its reference, round by round; the ratio is judged.
    pub(crate) fn ratio(
        id: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        pairs: &[(f64, f64)],
        goal: Goal,
    ) -> Self {
        let judged: Vec<f64> = pairs.iter().map(|(ours, theirs)| ours / theirs).collect();
        Self {
            reference: Some(middle(pairs, |pair| pair.1)),
            ours: middle(pairs, |pair| pair.0),
            judged_by: Judged::Ratio,
            ..Self::figure(id, what, unit, &judged, goal)
        }
    }

    /// A figure beside its reference, round by round; the difference is judged.
    pub(crate) fn difference(
        id: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        pairs: &[(f64, f64)],
        goal: Goal,
    ) -> Self {
        let judged: Vec<f64> = pairs.iter().map(|(ours, theirs)| ours - theirs).collect();
        Self {
            reference: Some(middle(pairs, |pair| pair.1)),
            ours: middle(pairs, |pair| pair.0),
            judged_by: Judged::Difference,
            ..Self::figure(id, what, unit, &judged, goal)
        }
    }

    /// A figure without a reference.
    pub(crate) fn figure(
        id: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        rounds: &[f64],
        goal: Goal,
    ) -> Self {
        let all = sorted(rounds);
        let ours = median(rounds);
        let spread = (all.len() > 1).then(|| (all[0], all[all.len() - 1]));
        Self {
            id: id.into(),
            what: what.into(),
            unit: unit.into(),
            ours,
            reference: None,
            judged: ours,
            judged_by: Judged::Figure,
            spread,
            goal,
            reached: goal.is_reached(ours),
        }
    }
}

/// A figure that was not counted is NaN, which JSON cannot express.
fn number_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

fn middle(pairs: &[(f64, f64)], of: fn(&(f64, f64)) -> f64) -> f64 {
    median(&pairs.iter().map(of).collect::<Vec<_>>())
}

fn sorted(all: &[f64]) -> Vec<f64> {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    all
}

/// The middle value, or the mean of the two middle values.
pub(crate) fn median(all: &[f64]) -> f64 {
    let all = sorted(all);
    match all.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => all[odd / 2],
        even => f64::midpoint(all[even / 2 - 1], all[even / 2]),
    }
}

/// A number for people, with three significant digits.
pub(crate) fn number(value: f64) -> String {
    if value.is_nan() {
        return "not counted".to_owned();
    }
    let places = match value.abs() {
        big if big >= 1_000.0 => return thousands(value),
        big if big >= 100.0 => 0,
        big if big >= 10.0 => 1,
        big if big >= 0.995 => 2,
        _ => 3,
    };
    format!("{value:.places$}")
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

/// One line in Markdown.
pub(crate) fn line(row: &Row) -> String {
    let goal = match row.goal {
        Goal::AtLeast(least) => format!("≥ {}", number(least)),
        Goal::AtMost(most) => format!("≤ {}", number(most)),
        Goal::Told => String::new(),
    };
    let mut judged = if row.reference.is_some() { number(row.judged) } else { String::new() };
    if let Some((least, most)) = row.spread {
        let _ = write!(judged, " ({} to {})", number(least), number(most));
    }
    let reached = match row.reached {
        Some(true) => "pass",
        Some(false) => "FAIL",
        None => "",
    };
    let reference = row.reference.map(number).unwrap_or_default();
    let (ours, unit) = (number(row.ours), &row.unit);
    format!(
        "| {} | {} | {ours} {unit} | {reference} | {} | {goal} | {reached} |",
        row.id,
        row.what,
        judged.trim()
    )
}

pub(crate) const HEAD: &str = "| | what | Tidegate | reference | ratio (rounds) | goal | |\n| --- | --- | --- | --- | --- | --- | --- |";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let all = [0.0312, 0.5, 1.0, 12.345, 123.4, 1_234.5, 1_234_567.0, -1_234.0];
        assert_eq!(
            all.map(number),
            ["0.031", "0.500", "1.00", "12.3", "123", "1,234", "1,234,567", "-1,234"]
        );
    }

    #[test]
    fn what_is_written_can_be_read() {
        let rows = [
            Row::ratio("B0", "it", "/s", &[(50.0, 100.0), (26.0, 50.0)], Goal::AtLeast(0.5)),
            Row::figure("B0", "not counted", "", &[], Goal::Told),
        ];
        for row in rows {
            let read: Row = serde_json::from_str(&serde_json::to_string(&row).unwrap()).unwrap();
            assert_eq!(line(&read), line(&row));
        }
    }

    #[test]
    fn the_ratio_of_neighbours_is_judged() {
        // In the second round, the machine was half as fast.
        let row = Row::ratio(
            "B0",
            "it",
            "/s",
            &[(50.0, 100.0), (26.0, 50.0), (60.0, 100.0)],
            Goal::AtLeast(0.5),
        );
        assert_eq!((row.judged, row.reached, row.spread), (0.52, Some(true), Some((0.5, 0.6))));
        let row = Row::difference("B0", "it", "ms", &[(3.0, 1.0), (5.0, 2.0)], Goal::AtMost(2.0));
        assert_eq!((row.judged, row.reached), (2.5, Some(false)));
    }
}

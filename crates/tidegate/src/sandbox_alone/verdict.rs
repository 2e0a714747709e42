//! The verdict on a middleware, for people and for programs.

use std::collections::HashMap;
use std::fmt::Write;

use sandbox::{Verdict, VerdictRow};
use serde_json::{Value, json};

/// How many rows of one kind are shown. The others are only counted.
const MAX_ROWS: usize = 20;

/// How many faults the middleware has.
pub(super) fn count(verdict: &Verdict) -> usize {
    faults(verdict).count()
}

/// `{"passed": …, "faults": …, "verdict": …}`, on one line.
pub(super) fn json(verdict: &Verdict) -> String {
    let mut kinds = serde_json::Map::<String, Value>::new();
    for (kind, count) in by_kind(verdict) {
        kinds.insert(kind.to_owned(), count.into());
    }
    let passed = kinds.is_empty();
    format!("{}\n", json!({"passed": passed, "faults": kinds, "verdict": verdict}))
}

/// A table with a row for each fault, in order of time.
pub(super) fn table(verdict: &Verdict) -> String {
    let count = count(verdict);
    let (to, from) = (verdict.messages, verdict.inbound);
    let mut out = format!("{to} messages went to the middleware, {from} came from it.\n");
    if count == 0 {
        out.push_str("It did nothing wrong.\n");
        return out;
    }
    let rows = rows(verdict);
    let head = ["FAULT", "MESSAGE OR PATH", "WHAT", "WHEN"].map(str::to_owned);
    let width = |column: usize| {
        rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    out.push('\n');
    for [fault, about, what, when] in [&head].into_iter().chain(&rows) {
        let [a, b, c] = widths;
        let line = format!("{fault:a$}  {about:b$}  {what:c$}  {when}");
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", line.trim_end());
    }
    let _ = writeln!(out, "\n{count} faults");
    out
}

/// The first rows of each kind, and how many more of that kind there are.
fn rows(verdict: &Verdict) -> Vec<[String; 4]> {
    let mut shown = HashMap::<&str, usize>::new();
    let first = faults(verdict).filter(|row| {
        let shown = shown.entry(row.fault).or_default();
        *shown += 1;
        *shown <= MAX_ROWS
    });
    let row = |row: &VerdictRow| {
        [row.fault.to_owned(), row.about.clone(), row.what.clone(), row.at.clone()]
    };
    let mut rows: Vec<_> = first.map(row).collect();
    for (kind, count) in by_kind(verdict) {
        if let Some(more) = count.checked_sub(MAX_ROWS).filter(|more| *more > 0) {
            rows.push([kind.to_owned(), format!("and {more} more"), String::new(), String::new()]);
        }
    }
    rows
}

/// The number of faults of each kind, in order of first appearance.
fn by_kind(verdict: &Verdict) -> Vec<(&'static str, usize)> {
    let mut kinds: Vec<(&'static str, usize)> = Vec::new();
    for row in faults(verdict) {
        match kinds.iter_mut().find(|(kind, _)| *kind == row.fault) {
            Some((_, count)) => *count += 1,
            None => kinds.push((row.fault, 1)),
        }
    }
    kinds
}

/// The faults that count against the middleware. Others, such as a webhook without an answer, may
/// have another cause.
fn faults(verdict: &Verdict) -> impl Iterator<Item = &VerdictRow> {
    verdict.rows.iter().filter(|row| row.counts)
}

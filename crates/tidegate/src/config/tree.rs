//! The configuration as a tree of values with their origins.
//!
//! The tree is built from the file, and environment variables change it. This module does not know
//! what a key means.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Origin, Problem};

/// A value and where it was written. It may be a secret, so it has no `Debug`.
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// The types of values. A variable's value is always a text.
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Flag(bool),
    List(Vec<Node>),
    Table(Entries),
    /// A type that no key accepts, with its name for people.
    Other(&'static str),
}

/// The keys of a table.
pub(super) type Entries = BTreeMap<String, Node>;

impl Value {
    /// Its type, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// Reads TOML. If the file is not valid TOML, nothing else is reported, because a key that seems
/// missing may be in the broken part.
///
/// The key of such a problem is the text in the place of a key, which may be a piece of a secret.
pub(super) fn parse(text: &str) -> Result<Entries, Vec<Problem>> {
    let lines = LineStarts::of(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(entries(&lines, root.get_ref()));
    }
    let mut problems: Vec<Problem> = Vec::new();
    for error in errors {
        let start = error.span().map_or(0, |span| span.start);
        let origin = Origin::Line(lines.at(start));
        // One mistake causes several errors. The first of a line is the most helpful.
        if problems.iter().all(|problem| problem.origin != origin) {
            let what = error.message().trim().replace('\n', ", ");
            let key = lines.key_at(text, start).unwrap_or_default().to_owned();
            let text = format!("this is not TOML: {what}{}", way_out(&what, !key.is_empty()));
            problems.push(Problem { origin, key, text });
        }
    }
    Err(problems)
}

fn way_out(what: &str, has_key: bool) -> &'static str {
    if what.contains("duplicate") {
        ": write each key and each section once"
    } else if has_key {
        ": put texts in quotes, as in listen = \"127.0.0.1:8080\""
    } else {
        ": a line is a [section], or key = value"
    }
}

fn entries(lines: &LineStarts, table: &DeTable<'_>) -> Entries {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key: &Spanned<std::borrow::Cow<'_, str>> = key;
        (key.get_ref().to_string(), node(lines, value, key.span().start))
    };
    table.iter().map(entry).collect()
}

fn node(lines: &LineStarts, value: &Spanned<DeValue<'_>>, start: usize) -> Node {
    let read = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Other("a number this large"), Value::Integer),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Array(list) => Value::List(
            list.iter().map(|element| node(lines, element, element.span().start)).collect(),
        ),
        DeValue::Table(table) => Value::Table(entries(lines, table)),
        DeValue::Float(_) => Value::Other("a decimal number"),
        DeValue::Datetime(_) => Value::Other("a date"),
    };
    Node { value: read, origin: Origin::Line(lines.at(start)) }
}

/// Where each line begins.
struct LineStarts(Vec<usize>);

impl LineStarts {
    fn of(text: &str) -> Self {
        let breaks =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(breaks).collect())
    }

    /// The line of this byte, counted from 1.
    fn at(&self, byte: usize) -> usize {
        self.0.partition_point(|start| *start <= byte)
    }

    /// The text before the equals sign in the line of this byte, if it is a plain word.
    fn key_at<'t>(&self, text: &'t str, byte: usize) -> Option<&'t str> {
        let line = text[self.0[self.at(byte) - 1]..].lines().next()?;
        let key = line.split_once('=')?.0.trim();
        let plain = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        (plain && !key.is_empty()).then_some(key)
    }
}

//! Parses the values: texts, numbers, durations, sizes, choices, lists, URLs.
//!
//! The sections read values with these functions. Each problem says what was written and what to
//! write instead. URLs are not repeated, because they may contain a password.

use std::ops::RangeInclusive;
use std::time::Duration;

use url::Url;

use super::problem::Origin;
use super::report::{nearest, quoted};
use super::tree::{Node, Value};
use super::walk::Field;

const DURATIONS: &str = "write for example \"30s\", \"500ms\", \"5m\" or \"1h\"";
const SIZES: &str = "write for example \"1MiB\", \"512KiB\", \"64kB\", or a number of bytes";

impl Field<'_> {
    /// A text that is not empty.
    pub(super) fn text(&self) -> Option<String> {
        self.parsed(|text| Ok(text.to_owned()))
    }

    /// The result of `parse` for a text that is not empty.
    pub(super) fn parsed<T>(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.read(|node| match &node.value {
            Value::Text(text) if text.trim().is_empty() => Err("is empty".to_owned()),
            Value::Text(text) => parse(text),
            other => Err(format!("must be a text in quotes, not {}", other.kind())),
        })
    }

    /// A duration such as `"1m30s"`.
    pub(super) fn duration(&self, limits: RangeInclusive<Duration>) -> Option<Duration> {
        self.read(|node| {
            let (written, value) = match &node.value {
                Value::Text(text) => (quoted(text), duration(text)),
                Value::Integer(number) => (number.to_string(), None),
                other => {
                    return Err(format!("must be a duration, not {}: {DURATIONS}", other.kind()));
                }
            };
            let value = value.ok_or_else(|| format!("{written} is not a duration: {DURATIONS}"))?;
            within(value, &written, &limits, |limit| shown(*limit))
        })
    }

    /// A size in bytes, such as `"1MiB"` or `1048576`.
    pub(super) fn size(&self, limits: RangeInclusive<usize>) -> Option<usize> {
        self.read(|node| {
            let (written, value) = match &node.value {
                Value::Text(text) => (quoted(text), size(text)),
                Value::Integer(number) => (number.to_string(), usize::try_from(*number).ok()),
                other => return Err(format!("must be a size, not {}: {SIZES}", other.kind())),
            };
            let value = value.ok_or_else(|| format!("{written} is not a size: {SIZES}"))?;
            within(value, &written, &limits, |limit| format!("{limit} bytes"))
        })
    }

    /// A whole number.
    pub(super) fn count(&self, limits: RangeInclusive<usize>) -> Option<usize> {
        self.read(|node| {
            let (written, value) = match &node.value {
                Value::Integer(number) => (number.to_string(), usize::try_from(*number).ok()),
                Value::Text(text) if is_variable(node) => (quoted(text), text.trim().parse().ok()),
                other => {
                    return Err(format!("must be a number without quotes, not {}", other.kind()));
                }
            };
            let value = value.ok_or_else(|| {
                format!("{written} is not a whole number of {} to {}", limits.start(), limits.end())
            })?;
            within(value, &written, &limits, usize::to_string)
        })
    }

    /// True or false.
    pub(super) fn flag(&self) -> Option<bool> {
        self.read(|node| match &node.value {
            Value::Flag(flag) => Ok(*flag),
            Value::Text(text) if is_variable(node) => text
                .trim()
                .parse()
                .map_err(|_| format!("{} is neither true nor false", quoted(text))),
            other => Err(format!("must be true or false without quotes, not {}", other.kind())),
        })
    }

    /// One of these words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        self.parsed(|text| choose(text, choices))
    }

    /// A list of texts, each parsed by `parse`. In a variable, commas separate them.
    pub(super) fn list<T>(&self, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let whole = self.read(|node| match &node.value {
            Value::Text(text) if is_variable(node) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts.map(&parse).collect::<Result<_, _>>().map(Some)
            }
            _ => Ok(None),
        })?;
        match whole {
            Some(list) => Some(list),
            None => self
                .elements()?
                .into_iter()
                .map(|element| element.parsed(&parse))
                .collect::<Vec<_>>()
                .into_iter()
                .collect(),
        }
    }

    /// The base URL of an HTTP server, without a user, a password, a query or a fragment.
    pub(super) fn http_url(&self, example: &str) -> Option<Url> {
        self.parsed(|text| {
            let url =
                Url::parse(text).map_err(|cause| {
                    format!("is not a URL ({cause}): write for example {example:?}")
                })?;
            if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
                Err(format!("is not a URL of http or https: write for example {example:?}"))
            } else if !url.username().is_empty() || url.password().is_some() {
                Err("has a user or a password in it: leave them out".to_owned())
            } else if url.query().is_some() || url.fragment().is_some() {
                Err(format!("has a '?' or a '#' in it: paths are added to it, so write for example {example:?}"))
            } else {
                Ok(url)
            }
        })
    }
}

/// The value of the word among `choices`.
pub(super) fn choose<T: Copy>(word: &str, choices: &[(&str, T)]) -> Result<T, String> {
    if let Some((_, value)) = choices.iter().find(|(name, _)| *name == word) {
        return Ok(*value);
    }
    let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
    let near = nearest(word, choices.iter().map(|(name, _)| *name));
    let near = near.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
    Err(format!("{} is none of {}{near}", quoted(word), names.join(", ")))
}

/// Numbers with one or more units, in any order: `500ms`, `1m30s`, `30d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        let millis = number.parse::<u64>().ok()?.checked_mul(unit)?;
        total = total.checked_add(Duration::from_millis(millis))?;
        rest = tail.trim_start();
        if rest.is_empty() {
            return Some(total);
        }
    }
}

/// A number of bytes, or a number with a unit based on 1000 or 1024.
pub(super) fn size(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_start() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(unit)
}

/// The duration as the configuration writes it, in the largest unit that gives a whole number.
pub(super) fn shown(duration: Duration) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let millis = duration.as_millis();
    let (size, unit) =
        units.into_iter().find(|(size, _)| millis.is_multiple_of(*size)).unwrap_or((1, "ms"));
    format!("{}{unit}", millis / size)
}

fn within<T: PartialOrd>(
    value: T,
    written: &str,
    limits: &RangeInclusive<T>,
    show: impl Fn(&T) -> String,
) -> Result<T, String> {
    if value < *limits.start() {
        Err(format!("{written} is too small: the minimum is {}", show(limits.start())))
    } else if value > *limits.end() {
        Err(format!("{written} is too large: the maximum is {}", show(limits.end())))
    } else {
        Ok(value)
    }
}

fn is_variable(node: &Node) -> bool {
    matches!(node.origin, Origin::Variable(_))
}

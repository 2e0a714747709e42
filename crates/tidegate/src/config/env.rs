//! Environment variables that override keys of the file: `TIDEGATE_SERVER__LISTEN` is
//! `server.listen`.
//!
//! They change the tree before it is read, so that every rule for the file also applies to them. No
//! problem that is found here contains a variable's value.

use std::collections::BTreeMap;

use super::problem::{Origin, Problem};
use super::tree::{Entries, Node, Value};

const PREFIX: &str = "TIDEGATE_";

/// The sections of the file.
pub(super) const SECTIONS: [&str; 6] =
    ["server", "admin", "store", "media", "console", "integration"];

/// The deepest nesting of a key.
const DEEPEST: usize = 8;

/// A step on the path to a key. Its order sorts the elements of a list by index.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Index(usize),
    Key(String),
}

/// The variable that overrides `key`: `TIDEGATE_INTEGRATION__0__NAME` for `integration[0].name`.
pub(super) fn variable(key: &str) -> String {
    let name = key.replace(']', "").replace(['.', '['], "__");
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}

/// The path to the key that this variable overrides, if any. Some variables that begin with
/// `TIDEGATE_`, such as `TIDEGATE_LOG`, have other purposes.
fn way(name: &str) -> Option<Vec<Step>> {
    let name = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
    let section = name.split('_').next().is_some_and(|word| SECTIONS.contains(&word));
    let step = |step: &str| step.parse().map_or_else(|_| Step::Key(step.to_owned()), Step::Index);
    (name.contains("__") || section).then(|| name.split("__").map(step).collect())
}

/// Whether the variables name an integration, and so may form a whole configuration.
pub(super) fn are_a_configuration(variables: &BTreeMap<String, String>) -> bool {
    let is_one = |way: Vec<Step>| way.len() > 1 && way[0] == Step::Key("integration".to_owned());
    variables.keys().filter_map(|name| way(name)).any(is_one)
}

/// The value without a trailing line break, which many tools leave there.
pub(super) fn without_line_break(value: &str) -> &str {
    value.strip_suffix('\n').map_or(value, |value| value.strip_suffix('\r').unwrap_or(value))
}

/// Puts each variable that overrides a key into the tree.
pub(super) fn override_keys(
    root: &mut Entries,
    variables: &BTreeMap<String, String>,
) -> Vec<Problem> {
    let mut ways: Vec<_> =
        variables.iter().filter_map(|(name, value)| Some((way(name)?, name, value))).collect();
    ways.sort();
    let mut problems = Vec::new();
    for (way, name, value) in ways {
        let put = Override { name, value: without_line_break(value) };
        let done =
            match &way[..] {
                [Step::Key(section), rest @ ..]
                    if rest.len() < DEEPEST && !way.contains(&Step::Key(String::new())) =>
                {
                    put.set(root.entry(section.clone()).or_insert_with(|| put.nothing()), rest)
                }
                _ => Err("no key has such a variable: write for example TIDEGATE_SERVER__LISTEN"
                    .to_owned()),
            };
        if let Err(text) = done {
            problems.push(Problem {
                origin: Origin::Variable(name.clone()),
                key: String::new(),
                text,
            });
        }
    }
    problems
}

/// A variable that is being put into the tree.
struct Override<'v> {
    name: &'v str,
    value: &'v str,
}

impl Override<'_> {
    fn nothing(&self) -> Node {
        Node { value: Value::Table(Entries::new()), origin: self.origin() }
    }

    fn origin(&self) -> Origin {
        Origin::Variable(self.name.to_owned())
    }

    fn set(&self, node: &mut Node, way: &[Step]) -> Result<(), String> {
        let Some((step, rest)) = way.split_first() else {
            *node = Node { value: Value::Text(self.value.to_owned()), origin: self.origin() };
            return Ok(());
        };
        self.make_room(node, step)?;
        match (&mut node.value, step) {
            (Value::List(list), Step::Index(index)) => {
                let length = list.len();
                if *index == length {
                    list.push(self.nothing());
                }
                let element = list
                    .get_mut(*index)
                    .ok_or_else(|| format!("the next index of this list is {length}"))?;
                self.set(element, rest)
            }
            (Value::Table(entries), Step::Key(key)) => {
                self.set(entries.entry(key.clone()).or_insert_with(|| self.nothing()), rest)
            }
            (Value::List(_), _) => {
                Err("this key is a list: append the index of the element, counted from 0, as \
                     in TIDEGATE_INTEGRATION__0__NAME"
                    .to_owned())
            }
            _ => Err("this key is not a list, so it has no index".to_owned()),
        }
    }

    /// Replaces a value of the file with a list or a table, if a variable names a key below it. A
    /// value of another variable is not replaced.
    fn make_room(&self, node: &mut Node, step: &Step) -> Result<(), String> {
        let empty = match &node.value {
            Value::List(_) => return Ok(()),
            Value::Table(entries) => entries.is_empty(),
            _ => {
                if let Origin::Variable(other) = &node.origin {
                    return Err(format!(
                        "{} is set as well: keep one of the two",
                        other.escape_debug()
                    ));
                }
                true
            }
        };
        if empty {
            let value = match step {
                Step::Index(_) => Value::List(Vec::new()),
                Step::Key(_) => Value::Table(Entries::new()),
            };
            *node = Node { value, origin: self.origin() };
        }
        Ok(())
    }
}

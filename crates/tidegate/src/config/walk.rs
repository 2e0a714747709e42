//! Reads the tree: the sections enter tables and ask for keys. A key that no section asks for is
//! unknown.
//!
//! There is no separate list of known keys, which could be wrong. A problem does not stop the walk:
//! it is collected, and the walk continues.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use connector::Kind;

use super::env;
use super::problem::{Origin, Problem};
use super::report::{nearest, quoted};
use super::tree::{Entries, Node, Value};

/// What a walk has found so far, and what it needs to read secrets and connectors.
pub(super) struct Walk {
    /// Every environment variable.
    pub(super) variables: BTreeMap<String, String>,
    /// The directory to which the paths of secrets are relative.
    pub(super) directory: PathBuf,
    /// The kinds of connectors that may be named.
    pub(super) kinds: &'static [&'static dyn Kind],
    problems: RefCell<Vec<Problem>>,
    asked: RefCell<BTreeSet<String>>,
    unknown: RefCell<Vec<Unknown>>,
}

/// A key that was never asked for.
struct Unknown {
    origin: Origin,
    table: String,
    key: String,
}

/// A table that is being read.
pub(super) struct Table<'a> {
    walk: &'a Walk,
    path: String,
    origin: &'a Origin,
    entries: Option<&'a Entries>,
    /// Set if missing or unknown keys are not reported here, because a larger problem is.
    quiet: Cell<bool>,
}

/// A key of a table, or an element of a list. It may be missing.
pub(super) struct Field<'a> {
    walk: &'a Walk,
    path: String,
    /// Where it was written; if it is missing, where its table was written.
    origin: &'a Origin,
    node: Option<&'a Node>,
    quiet: bool,
}

impl Walk {
    pub(super) fn new(
        variables: BTreeMap<String, String>,
        directory: PathBuf,
        kinds: &'static [&'static dyn Kind],
        problems: Vec<Problem>,
    ) -> Self {
        Self {
            variables,
            directory,
            kinds,
            problems: RefCell::new(problems),
            asked: RefCell::default(),
            unknown: RefCell::default(),
        }
    }

    /// Reads the whole tree.
    pub(super) fn root<R>(&self, entries: &Entries, read: impl FnOnce(&Table<'_>) -> R) -> R {
        let origin = Origin::File;
        let table = Table {
            walk: self,
            path: String::new(),
            origin: &origin,
            entries: Some(entries),
            quiet: Cell::new(false),
        };
        let result = read(&table);
        table.finish();
        result
    }

    /// The problems, once everything has been read.
    pub(super) fn problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        let asked = self.asked.into_inner();
        for Unknown { origin, table, key } in self.unknown.into_inner() {
            let (key, text) = match &origin {
                // Of a variable, only its name says which key it overrides.
                Origin::Variable(name) => (String::new(), unknown_variable(name, &asked)),
                _ => (under(&table, &key), unknown_key(&table, &key, &asked)),
            };
            problems.push(Problem { origin, key, text });
        }
        problems
    }

    /// Every key that was asked for, such as `integration.hold.for`.
    pub(super) fn known(&self) -> BTreeSet<String> {
        self.asked.borrow().iter().map(|key| without_indices(key)).collect()
    }
}

impl<'a> Table<'a> {
    /// The field of this key. From now on, the key is known.
    pub(super) fn field(&self, key: &str) -> Field<'a> {
        let path = under(&self.path, key);
        self.walk.asked.borrow_mut().insert(path.clone());
        let node = self.entries.and_then(|entries| entries.get(key));
        let origin = node.map_or(self.origin, |node| &node.origin);
        Field { walk: self.walk, path, origin, node, quiet: self.quiet.get() }
    }

    /// Reports a problem with the table as a whole.
    pub(super) fn problem(&self, text: impl Into<String>) {
        if !self.quiet.get() {
            self.walk.note(self.origin, &self.path, text.into());
        }
    }

    /// From now on, reports no missing or unknown keys of the table.
    pub(super) fn leave(&self) {
        self.quiet.set(true);
    }

    fn finish(&self) {
        let Some(entries) = self.entries.filter(|_| !self.quiet.get()) else { return };
        let asked = self.walk.asked.borrow();
        let mut unknown = self.walk.unknown.borrow_mut();
        for (key, node) in
            entries.iter().filter(|(key, _)| !asked.contains(&under(&self.path, key)))
        {
            let mut origins = BTreeSet::new();
            if !matches!(node.origin, Origin::Variable(_)) {
                origins.insert(&node.origin);
            }
            variables_in(node, &mut origins);
            let of = |origin: &Origin| Unknown {
                origin: origin.clone(),
                table: self.path.clone(),
                key: key.clone(),
            };
            unknown.extend(origins.into_iter().map(of));
        }
    }
}

impl<'a> Field<'a> {
    /// Whether it was written.
    pub(super) fn is_given(&self) -> bool {
        self.node.is_some()
    }

    /// Reports a problem if it is missing. `example` is what to write.
    pub(super) fn required(self, example: &str) -> Self {
        if self.node.is_none() {
            self.problem(format!("is missing: write for example {example}"));
        }
        self
    }

    /// Reports a problem with it.
    pub(super) fn problem(&self, text: impl Into<String>) {
        if self.node.is_some() || !self.quiet {
            self.walk.note(self.origin, &self.path, text.into());
        }
    }

    /// The result of `read`. `None` if it is missing, or if `read` fails, which is then reported.
    pub(super) fn read<T>(&self, read: impl FnOnce(&'a Node) -> Result<T, String>) -> Option<T> {
        read(self.node?).map_err(|text| self.problem(text)).ok()
    }

    /// Reads it as a table. If it is missing, the table is empty, and its keys are still known.
    pub(super) fn table<R>(&self, read: impl FnOnce(&Table<'a>) -> R) -> R {
        let entries = self.read(|node| match &node.value {
            Value::Table(entries) => Ok(entries),
            Value::List(_) => {
                Err(format!("must be one table: write [{}], with single brackets", self.section()))
            }
            _ if matches!(node.origin, Origin::Variable(_)) => Err(format!(
                "is a section: each of its keys has a variable of its own, which begins with {}__",
                env::variable(&self.path)
            )),
            other => {
                Err(format!("must be a table, not {}: write [{}]", other.kind(), self.section()))
            }
        });
        let quiet = self.quiet || (self.node.is_some() && entries.is_none());
        let table = Table {
            walk: self.walk,
            path: self.path.clone(),
            origin: self.origin,
            entries,
            quiet: Cell::new(quiet),
        };
        let result = read(&table);
        table.finish();
        result
    }

    /// Its elements. `None` if it is missing, or if it is not a list, which is then reported.
    pub(super) fn elements(&self) -> Option<Vec<Field<'a>>> {
        let list = self.read(|node| match &node.value {
            Value::List(list) => Ok(list),
            Value::Table(_) if !self.path.contains(['.', '[']) => {
                Err(format!("must be a list of tables: write [[{}]], with two brackets", self.path))
            }
            _ if matches!(node.origin, Origin::Variable(_)) => Err(format!(
                "must be a list: its first element is {}__0",
                env::variable(&self.path)
            )),
            other => Err(format!("must be a list in brackets, [ … ], not {}", other.kind())),
        })?;
        let element = |(index, node): (usize, &'a Node)| Field {
            walk: self.walk,
            path: format!("{}[{index}]", self.path),
            origin: &node.origin,
            node: Some(node),
            quiet: self.quiet,
        };
        Some(list.iter().enumerate().map(element).collect())
    }

    /// The walk that this field belongs to.
    pub(super) fn walk(&self) -> &'a Walk {
        self.walk
    }

    fn section(&self) -> String {
        without_indices(&self.path)
    }
}

impl Walk {
    fn note(&self, origin: &Origin, key: &str, text: String) {
        self.problems.borrow_mut().push(Problem {
            origin: origin.clone(),
            key: key.to_owned(),
            text,
        });
    }
}

fn under(table: &str, key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let key = if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { quoted(key) };
    if table.is_empty() { key } else { format!("{table}.{key}") }
}

fn variables_in<'n>(node: &'n Node, found: &mut BTreeSet<&'n Origin>) {
    match &node.value {
        Value::Table(entries) => entries.values().for_each(|node| variables_in(node, found)),
        Value::List(list) => list.iter().for_each(|node| variables_in(node, found)),
        _ if matches!(node.origin, Origin::Variable(_)) => {
            found.insert(&node.origin);
        }
        _ => {}
    }
}

fn without_indices(key: &str) -> String {
    key.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect()
}

fn unknown_variable(name: &str, asked: &BTreeSet<String>) -> String {
    let known: Vec<String> =
        asked.iter().filter(|key| key.contains('.')).map(|key| env::variable(key)).collect();
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("no key has this variable; did you mean {near}?"),
        None => "no key has this variable: docs/configuration.md lists the keys, and a variable has two underscores \
                 for each dot, as in TIDEGATE_SERVER__LISTEN"
            .to_owned(),
    }
}

fn unknown_key(table: &str, key: &str, asked: &BTreeSet<String>) -> String {
    let parts = |known: &'_ str| -> (String, String) {
        let (parent, last) = known.rsplit_once('.').unwrap_or(("", known));
        (parent.to_owned(), last.to_owned())
    };
    let elsewhere: BTreeSet<_> = asked
        .iter()
        .filter(|known| parts(known).1 == key)
        .map(|known| without_indices(known))
        .collect();
    if !elsewhere.is_empty() {
        let elsewhere: Vec<_> = elsewhere.into_iter().collect();
        return format!(
            "there is no such key here; it belongs to its own section, as {}",
            elsewhere.join(" or ")
        );
    }
    let here: Vec<_> =
        asked.iter().map(|known| parts(known)).filter(|(parent, _)| parent == table).collect();
    let here: Vec<_> = here.iter().map(|(_, key)| key.as_str()).collect();
    match nearest(key, here.iter().copied()) {
        Some(near) => format!("there is no such key; did you mean {near:?}?"),
        None => format!("there is no such key; the keys here are {}", here.join(", ")),
    }
}

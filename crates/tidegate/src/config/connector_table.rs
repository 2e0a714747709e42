//! `[integration.connector]`: the chat service. The kind of connector determines its keys.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use connector::{Keys, Read, Settings};

use super::report::quoted;
use super::walk::{Field, Table};

pub(super) fn connector(field: &Field<'_>) -> Option<Arc<dyn Settings>> {
    let kinds = field.walk().kinds;
    field.table(|table| {
        if !field.is_given() {
            // The missing table is already reported, so its missing keys are not.
            table.leave();
        }
        let kind = table.field("type").required("type = \"http\"").parsed(|name| {
            kinds.iter().find(|kind| kind.name() == name).ok_or_else(|| {
                let known: Vec<_> = kinds.iter().map(|kind| quoted(kind.name())).collect();
                format!(
                    "{} is not a connector of this version, which knows only {}",
                    quoted(name),
                    known.join(" and ")
                )
            })
        });
        match kind {
            Some(kind) => kind.settings(table),
            None if table.field("type").is_given() => {
                // The keys of an unknown kind of connector are unknown.
                table.leave();
                None
            }
            None => {
                // The type is missing. Reports what else is missing, as if the connector were of
                // the first kind.
                let _ = kinds.first().map(|kind| kind.settings(table));
                None
            }
        }
    })
}

impl Keys for Table<'_> {
    fn require(&self, key: &str, example: &str) {
        self.field(key).required(example);
    }

    fn read_text(&self, key: &str, read: &mut Read<'_>) -> bool {
        self.field(key).parsed(read).is_some()
    }

    fn read_secrets(&self, key: &str, read: &mut Read<'_>) -> bool {
        let read = RefCell::new(read);
        self.field(key).secrets(|text| read.borrow_mut()(text)).is_some()
    }

    fn read_list(&self, key: &str, read: &mut Read<'_>) -> bool {
        let read = RefCell::new(read);
        self.field(key).list(|text| read.borrow_mut()(text)).is_some()
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.field(key).flag()
    }

    fn count(&self, key: &str, limits: RangeInclusive<usize>) -> Option<usize> {
        self.field(key).count(limits)
    }

    fn duration(&self, key: &str, limits: RangeInclusive<Duration>) -> Option<Duration> {
        self.field(key).duration(limits)
    }
}

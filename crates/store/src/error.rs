//! What can go wrong, grouped by what a caller can do about it. [`Chain`](crate::Chain) shows an
//! error with its cause.

use std::path::PathBuf;

use crate::cause::{Cause, JsonError};
use crate::sqlite::Holder;

/// A call to the store did not work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot take or give anything now (disk full, I/O error, shutting down): try again
    /// later.
    #[error("the store is not available")]
    Unavailable(#[source] Cause),
    /// The store's contents cannot be read. Trying again will not help.
    #[error("the store holds something that cannot be read")]
    Corrupt(#[source] Cause),
}

impl StoreError {
    /// Something at `place` in the store cannot be read.
    pub(crate) fn corrupt_at(place: impl Into<String>, cause: impl Into<Cause>) -> Self {
        Self::Corrupt(Cause::of(place, cause))
    }
}

impl From<JsonError> for StoreError {
    fn from(error: JsonError) -> Self {
        Self::Corrupt(error.into())
    }
}

/// An append did not work.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another writer appended to the conversation since it was loaded: discard the state.
    #[error("another writer appended to the conversation")]
    Fenced,
    /// The store did not confirm the append: it may have been written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is of no known kind. It may contain a password, so it is not repeated.
    #[error("the URL is that of no store: write `sqlite:PATH` or `postgres://USER@HOST/DATABASE`")]
    Url,
    /// There is no such file.
    #[error("there is no store at {}", .0.display())]
    Missing(PathBuf),
    /// The file cannot be opened or written.
    #[error("cannot open {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's error, or SQLite's.
        #[source]
        cause: Cause,
    },
    /// Another process serves the file, possibly under another name.
    #[error(
        "{} is in use by {}: stop that process, or write another store.url",
        path.display(),
        shown(holder.as_ref())
    )]
    InUse {
        /// Which file.
        path: PathBuf,
        /// The process, if the system shows it.
        holder: Option<Holder>,
    },
    /// The file has two names, and the log of the last commits belongs to only one of them.
    #[error(
        "{} has a second name (a hard link), and what was committed last is found by one of them \
         only: remove the other name; copy a store with `tidegate store copy`", .0.display()
    )]
    Linked(PathBuf),
    /// Acknowledged writes would not survive a loss of power.
    #[error(
        "{} does not keep what is committed (stop whatever else has the file open, and put it on a \
         local disk)", path.display()
    )]
    NotDurable {
        /// Which file.
        path: PathBuf,
        /// What is missing.
        #[source]
        cause: Cause,
    },
    /// A newer version of the program wrote it.
    #[error("{} was written by a newer version of tidegate: its schema is {found}, this program \
        knows {known}", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The version of its schema.
        found: usize,
        /// The newest version that this program knows.
        known: usize,
    },
    /// The file is not a tidegate store.
    #[error("{} holds no tidegate store", .0.display())]
    Empty(PathBuf),
    /// The database cannot be reached, or does not do what it is asked.
    #[error("cannot use the database")]
    Database(#[source] Cause),
    /// A newer version of the program wrote the database.
    #[error(
        "the database was written by a newer version of tidegate: its schema is {found}, this \
         program knows {known}"
    )]
    NewerDatabase {
        /// The version of its schema.
        found: i32,
        /// The newest version that this program knows.
        known: i32,
    },
}

impl OpenError {
    /// The file at `path` cannot be opened or written.
    pub(crate) fn io(path: impl Into<PathBuf>, cause: impl Into<Cause>) -> Self {
        Self::Io { path: path.into(), cause: cause.into() }
    }
}

fn shown(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { id, name }) => format!("process {id} ({name})"),
        None => "another process".to_owned(),
    }
}

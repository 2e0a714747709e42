//! What can go wrong, grouped by what a caller can do about it.

use std::path::PathBuf;

use crate::sqlite::Holder;

/// A call to the store did not work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot take or give anything now (disk full, I/O error, shutting down): try again
    /// later.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The store's contents cannot be read. Trying again will not help.
    #[error("the store holds something that cannot be read: {0}")]
    Corrupt(String),
}

/// An append did not work.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another writer appended to the conversation since it was loaded: discard the state.
    #[error("another writer appended to the conversation")]
    Fenced,
    /// Nothing was appended.
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
    #[error("cannot open {}: {cause}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: String,
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
        "{} does not keep what is committed: {cause}: stop whatever else has the file open, and \
         put it on a local disk", path.display()
    )]
    NotDurable {
        /// Which file.
        path: PathBuf,
        /// What is missing.
        cause: String,
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
    #[error("cannot use the database: {0}")]
    Database(String),
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

fn shown(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { id, name }) => format!("process {id} ({name})"),
        None => "another process".to_owned(),
    }
}

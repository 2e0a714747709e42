//! What can go wrong, by what a caller can do about it.

use std::path::PathBuf;

/// A call to the store did not work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot take or give anything now (disk full, I/O error, shutting down): try again later.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// What it holds cannot be read. Trying again will not help.
    #[error("the store holds something that cannot be read: {0}")]
    Corrupt(String),
}

/// An append did not work.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else appended to the conversation since it was loaded: throw the state away.
    #[error("another writer appended to the conversation")]
    Fenced,
    /// Nothing was appended.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is of no known kind. A password may stand in it, so it is not repeated.
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
    /// Another process has it.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// A newer version of the program wrote it.
    #[error("{} was written by a newer version of tidegate: its schema is {found}, this program knows {known}", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The version of its schema.
        found: usize,
        /// The newest version that this program knows.
        known: usize,
    },
    /// The file is no store of ours.
    #[error("{} holds no tidegate store", .0.display())]
    Empty(PathBuf),
    /// The database cannot be reached, or does not do what it is asked.
    #[error("cannot use the database: {0}")]
    Database(String),
    /// A newer version of the program wrote the database.
    #[error(
        "the database was written by a newer version of tidegate: its schema is {found}, this program knows {known}"
    )]
    NewerDatabase {
        /// The version of its schema.
        found: i32,
        /// The newest version that this program knows.
        known: i32,
    },
}

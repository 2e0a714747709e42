//! Permissions of the store's files: they contain messages, so only their owner may read them.
//!
//! Opening a store calls this once its files exist.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::lock::{OWNER_ONLY, beside};

/// Restricts the database, its log, the log's index and the lock file to their owner, whatever the
/// umask was. Warns if others can write into their folder. SQLite creates new files with the mode
/// of the database.
///
/// It changes the modes by name, because opening and closing one of the files would drop SQLite's
/// locks on it.
pub(super) fn restrict(database: &Path) {
    let with = |ending: &str| {
        let mut name = database.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    for file in [database.to_owned(), with("-wal"), with("-shm"), beside(database)] {
        let Ok(found) = file.metadata() else { continue };
        if found.permissions().mode() & 0o7777 == OWNER_ONLY {
            continue;
        }
        if let Err(error) = std::fs::set_permissions(&file, Permissions::from_mode(OWNER_ONLY)) {
            tracing::warn!(
                file = %file.display(), %error,
                "others may be able to read the store: run the gateway as the owner of its files"
            );
        }
    }
    let folder = database.parent().and_then(|folder| Some((folder, folder.metadata().ok()?)));
    if let Some((folder, found)) = folder
        && found.permissions().mode() & 0o022 != 0
    {
        tracing::warn!(
            folder = %folder.display(),
            "other users can write into the store's folder and replace its files: run chmod go-w \
             on it"
        );
    }
}

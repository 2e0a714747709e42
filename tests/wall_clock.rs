//! A wall clock that a test sets, for programs that run with Debian's `libfaketime`. Their
//! monotonic clock stays correct.

use std::path::PathBuf;

/// The clock of one machine.
pub(crate) struct WallClock {
    dir: tempfile::TempDir,
}

impl WallClock {
    /// A clock that is wrong by this much, such as `+1h`.
    pub(crate) fn off_by(by: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        // Servers that run as another user read it too.
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), everybody).expect("its rights change");
        let clock = Self { dir };
        clock.set(by);
        clock
    }

    pub(crate) fn set(&self, by: &str) {
        let (file, new) = (self.file(), self.dir.path().join("new"));
        // Renaming is atomic: a reader must not see half of it.
        std::fs::write(&new, by).expect("written");
        std::fs::rename(&new, file).expect("it changes");
    }

    /// The file with the time, in a folder that is removed with the clock.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("clock")
    }

    /// The environment variables that a program needs.
    pub(crate) fn variables(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("LD_PRELOAD", library()),
            ("FAKETIME_TIMESTAMP_FILE", self.file()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ]
    }
}

/// The library's path in Debian's package; the folder is named after the processor.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("a system").flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    found
        .find(|path| path.exists())
        .expect("libfaketime: run ./test --set-up, or apt-get install faketime")
}

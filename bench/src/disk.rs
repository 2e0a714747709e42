//! What the disk takes for one `fdatasync`, measured beside whatever waits for one.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

/// A file into which 4 kB are appended at a time.
pub(crate) struct Probe(File);

impl Probe {
    pub(crate) fn new(dir: &Path) -> Self {
        Self(File::create(dir.join("probe")).expect("a file"))
    }

    /// Appends 4 kB, and waits until they are on the disk.
    pub(crate) fn sync(&mut self) -> Duration {
        let begun = Instant::now();
        self.0.seek(SeekFrom::End(0)).expect("a place");
        self.0.write_all(&[7; 4096]).expect("written");
        self.0.sync_data().expect("synced");
        begun.elapsed()
    }
}

//! Measures how long the disk takes for one `fdatasync`, beside a program that waits for one.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

/// Two files into which 4 KiB are written at a time.
pub(crate) struct Probe {
    grows: File,
    stays: File,
}

impl Probe {
    pub(crate) fn new(dir: &Path) -> Self {
        let file = |name| File::create(dir.join(name)).expect("a file");
        let mut probe = Self { grows: file("grows"), stays: file("stays") };
        sync(&mut probe.stays, SeekFrom::Start(0));
        probe
    }

    /// Appends 4 KiB, and waits until they are on disk.
    pub(crate) fn append(&mut self) -> Duration {
        sync(&mut self.grows, SeekFrom::End(0))
    }

    /// Overwrites 4 KiB, which costs the disk less, and waits until they are on disk.
    pub(crate) fn write_over(&mut self) -> Duration {
        sync(&mut self.stays, SeekFrom::Start(0))
    }
}

fn sync(file: &mut File, place: SeekFrom) -> Duration {
    let begun = Instant::now();
    file.seek(place).expect("a place");
    file.write_all(&[7; 4096]).expect("written");
    file.sync_data().expect("synced");
    begun.elapsed()
}

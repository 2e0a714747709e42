//! Checks what the measurements need before anything is measured, so that none fails after an hour.

use std::path::Path;
use std::process::Command;

use nix::sys::statvfs::statvfs;

use crate::postgres_cluster;
use crate::programs::express_folder;

/// Disk space for B9 and B10, in bytes: a store of ten million messages (12.5 GB), a table of as
/// many, logs, and a reserve.
const ROOM: u64 = 30 << 30;

/// What these measurements lack, with one line for each that says what to do.
pub(crate) fn missing(ids: &[&str], quick: bool) -> Vec<String> {
    let mut missing = Vec::new();
    if ids.contains(&"B4") {
        if Command::new("node").arg("--version").output().is_err() {
            missing.push("B4 needs Node: install it, 20.18.1 or later".to_owned());
        }
        let folder = express_folder();
        if !folder.join("node_modules/express").exists() {
            missing.push(format!("B4 needs Express: run `npm ci` in {}", folder.display()));
        }
    }
    if ids.contains(&"B13") && postgres_cluster::installed().is_none() {
        missing.push(
            "B13 needs PostgreSQL's programs; on Debian: apt-get install postgresql".to_owned(),
        );
    }
    let this = std::env::current_exe().expect("this program");
    let folder = this.parent().unwrap_or(Path::new("."));
    if !quick
        && ids.iter().any(|id| ["B9", "B10"].contains(id))
        && let Ok(disk) = statvfs(folder)
        && disk.blocks_available().saturating_mul(disk.fragment_size()) < ROOM
    {
        missing.push(format!("B9 and B10 want {} GiB of room in {}", ROOM >> 30, folder.display()));
    }
    if ids.contains(&"B14") && Command::new("perf").arg("--version").output().is_err() {
        // B14 measures the rest without `perf`.
        eprintln!(
            "bench: there is no perf: B14 does not count fdatasync; on Debian: apt-get install \
             linux-perf"
        );
    }
    missing
}

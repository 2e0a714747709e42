//! Ports for programs under test that must restart on the same port, and so cannot use port 0.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range that Linux uses for outgoing connections, which could otherwise take a port
/// while its program restarts.
const FIRST: u16 = 20_000;
const LAST: u16 = 31_999;

/// A port on which no process listens, and which no other test gets while this process runs.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    /// A file lock reserves a port among processes; it is released when this process ends, however
    /// it ends.
    static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

    // The folder is per user, since users cannot lock each other's files.
    let user = std::fs::metadata("/proc/self").expect("ourselves").uid();
    let dir = std::env::temp_dir().join(format!("tidegate-test-ports-{user}"));
    std::fs::create_dir_all(&dir).expect("a folder for the locks");
    let range = LAST - FIRST + 1;
    // Processes start at different ports, so that they seldom collide.
    let start = u16::try_from(std::process::id() * 37 % u32::from(range)).expect("below the range");
    for _ in 0..range {
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % range) % range;
        let file = File::create(dir.join(port.to_string())).expect("a lock file");
        if file.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            HELD.lock().expect("no test panicked").push(file);
            return port;
        }
    }
    panic!("no port between {FIRST} and {LAST} is free");
}

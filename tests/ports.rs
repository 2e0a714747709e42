//! Ports for programs under test that must come back where they were, and so cannot ask for any.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below what Linux gives to outgoing connections, which would else take a port while its program restarts.
const FIRST: u16 = 20_000;
const LAST: u16 = 31_999;

/// A port that nobody listens on, and that no other test is given while this process runs.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    /// A lock on a file tells the other processes; it goes with this one, however it ends.
    static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

    // Each user's own: nobody may lock what another has made.
    let user = std::fs::metadata("/proc/self").expect("ourselves").uid();
    let dir = std::env::temp_dir().join(format!("tidegate-test-ports-{user}"));
    std::fs::create_dir_all(&dir).expect("a folder for the locks");
    let range = LAST - FIRST + 1;
    // Processes begin at different places, so that they seldom meet.
    let start = u16::try_from(std::process::id() * 37 % u32::from(range)).expect("below the range");
    for _ in 0..range {
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % range) % range;
        let file = File::create(dir.join(port.to_string())).expect("a lock file");
        if file.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            HELD.lock().expect("nobody panicked").push(file);
            return port;
        }
    }
    panic!("no port between {FIRST} and {LAST} is free");
}

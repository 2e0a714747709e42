//! A gateway that holds a message in each of many conversations whose handshakes are pending: the
//! starting point of B6, B7 and B8.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use conversation::Clock as _;
use rusqlite::{Connection, OpenFlags};
use tokio::time::Instant;

use super::Bench;
use crate::load::{PATIENCE, Source, all};
use crate::programs::Program;
use crate::stubs::Stubs;

/// How many connections post the messages.
pub(super) const CONNECTIONS: usize = 64;
/// How many messages the gateway holds when its idle memory is measured. They are not among the
/// measured ones.
const WARM: usize = 500;

/// The gateway and the stubs around it.
pub(super) struct Held {
    pub(super) stubs: Stubs,
    pub(super) gateway: Program,
    /// The gateway's memory before the measured messages, in bytes.
    pub(super) idle: u64,
    /// The gateway's memory with half of them, in bytes.
    pub(super) half: u64,
    /// The gateway's memory with all of them, in bytes.
    pub(super) memory: u64,
}

impl Bench {
    /// How many conversations B6, B7 and B8 have.
    pub(super) fn many(&self) -> usize {
        if self.scale.quick { 500 } else { 100_000 }
    }

    /// Holds one message in each conversation, and returns when the gateway has nothing left to do.
    pub(super) async fn hold(&self, run: &str, config: &str) -> Held {
        let stubs = Stubs::start().await;
        stubs.seen.slow_handshakes.store(true, Ordering::Relaxed);
        let gateway = self.programs.gateway(&stubs, config).await;
        let warm = Source::behind(&format!("{run}-warm"), WARM / 10, self.many());
        all(gateway.address, CONNECTIONS, WARM, &warm).await;
        all_held(&gateway.store()).await;
        let idle = self.settled(&gateway).await;
        let source = Source::new(run, self.many());
        let mut memory = [0; 2];
        for memory in &mut memory {
            all(gateway.address, CONNECTIONS, self.many() / 2, &source).await;
            all_held(&gateway.store()).await;
            *memory = self.settled(&gateway).await;
        }
        let [half, memory] = memory;
        Held { stubs, gateway, idle, half, memory }
    }
}

/// Opens the store of a running gateway for reading.
pub(super) fn look_into(store: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let store = Connection::open_with_flags(store, flags).expect("the store opens");
    store.busy_timeout(PATIENCE).expect("a time-out");
    store
}

/// Waits until the inbox is empty and no conversation is due, so that every message is held and
/// every handshake is pending.
pub(super) async fn all_held(store: &Path) {
    let store = look_into(store);
    let sql = "select exists (select 1 from inbox) or exists (select 1 from conversation where due <= ?1)";
    let begun = Instant::now();
    loop {
        let now = gateway::SystemClock.now().as_millisecond();
        if !store.query_row(sql, [now], |row| row.get::<_, bool>(0)).expect("a query") {
            return;
        }
        assert!(begun.elapsed() < PATIENCE * 5, "they are not held");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Bench {
    /// A program's memory once it has stayed within 1 % for 20 s.
    pub(super) async fn settled(&self, program: &Program) -> u64 {
        let long = Duration::from_secs(if self.scale.quick { 1 } else { 20 });
        let begun = Instant::now();
        let (mut memory, mut since) = (program.memory(), Instant::now());
        while since.elapsed() < long && begun.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = program.memory();
            if now.abs_diff(memory) > memory / 100 {
                (memory, since) = (now, Instant::now());
            }
        }
        program.memory()
    }
}

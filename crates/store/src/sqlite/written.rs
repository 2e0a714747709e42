//! What the writer's transaction has changed so far, kept in memory.

use rusqlite::Connection;

use super::recent::InboxChange;

/// What the jobs of a batch leave for the next job and for the cache.
pub(super) struct TxState {
    /// What the batch changed in the inbox.
    pub(super) changes: Vec<InboxChange>,
    last: Last,
}

/// The last sequence numbers of the inbox and the outbox. They are assigned here, and never reused
/// while the process lives, even after the row is gone. Otherwise a caller that still has the
/// number could remove another row with it. SQLite's `autoincrement` would write the last number
/// with every row.
struct Last {
    inbox: u64,
    outbox: u64,
}

impl TxState {
    /// Continues after the numbers in the file.
    pub(super) fn new(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "select coalesce((select max(seq) from inbox), 0), coalesce((select max(seq) \
            from outbox), 0)";
        let last = connection
            .query_row(sql, [], |row| Ok(Last { inbox: row.get(0)?, outbox: row.get(1)? }))?;
        Ok(Self { changes: Vec::new(), last })
    }

    /// The last assigned sequence number of the outbox.
    pub(super) fn last_in_outbox(&self) -> u64 {
        self.last.outbox
    }

    /// The number of a new row of the inbox.
    pub(super) fn next_in_inbox(&mut self) -> u64 {
        self.last.inbox += 1;
        self.last.inbox
    }

    /// The number of a new row of the outbox.
    pub(super) fn next_in_outbox(&mut self) -> u64 {
        self.last.outbox += 1;
        self.last.outbox
    }
}

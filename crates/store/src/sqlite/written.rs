//! What the writer's transaction has written so far, for those who do not read it in the file.

use rusqlite::Connection;

use super::recent::Change;

/// What the jobs of a batch leave behind them for the next one and for memory.
pub(super) struct Written {
    /// What the batch changed in the inbox.
    pub(super) changes: Vec<Change>,
    last: Last,
}

/// The last numbers in the inbox and in the outbox. They are given here and never again while the process lives, even where
/// the row that had one is gone: whoever still holds that number must not remove another's row by it. SQLite's
/// `autoincrement` would write down the last one with every row.
struct Last {
    inbox: u64,
    outbox: u64,
}

impl Written {
    /// Goes on behind what is in the file.
    pub(super) fn new(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "select coalesce((select max(seq) from inbox), 0), coalesce((select max(seq) from outbox), 0)";
        let last = connection
            .query_row(sql, [], |row| Ok(Last { inbox: row.get(0)?, outbox: row.get(1)? }))?;
        Ok(Self { changes: Vec::new(), last })
    }

    /// The last place in the outbox that is taken.
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

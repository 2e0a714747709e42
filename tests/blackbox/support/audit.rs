//! What the gateway keeps, seen from outside: the audit, and the rows of one message.

use conversation::{ConversationId, IntegrationName, MessageId, Record};
use store::{Direction, MessageRow, SqliteStore, Store};

use super::{Loop, process, tidegate};

/// `tidegate audit`: its exit code and what it printed.
pub(crate) fn audit(store: &str) -> (Option<i32>, String) {
    let mut command = tidegate();
    command.args(["audit", "--store", store]);
    let output = process::output(command);
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Loop {
    /// An agent's message as the store has it now.
    pub(crate) async fn stored(&self, foreign_id: &str) -> Option<MessageRow> {
        let store = SqliteStore::open_read_only(&self.store()).expect("the store");
        let (acme, id) = (IntegrationName::new("acme"), MessageId::from_foreign(foreign_id));
        let row = store.message(&acme, Direction::Outbound, &id).await.expect("the store can be read");
        store.close().await;
        row
    }

    /// How many messages the store has for a customer, both ways.
    pub(crate) async fn stored_for(&self, customer: &str) -> usize {
        let store = SqliteStore::open_read_only(&self.store()).expect("the store");
        let conversation = ConversationId::of(&IntegrationName::new("acme"), customer);
        let rows = store.messages(&conversation).await.expect("the store can be read");
        store.close().await;
        rows.len()
    }

    /// How much Genesys is still owed about a customer.
    pub(crate) async fn owed(&self, customer: &str) -> usize {
        let store = SqliteStore::open_read_only(&self.store()).expect("the store");
        let conversation = ConversationId::of(&IntegrationName::new("acme"), customer);
        let owed = store.owed(&conversation).await.expect("the store can be read");
        store.close().await;
        owed.len()
    }

    /// What the conversation of a customer has decided so far.
    pub(crate) async fn records(&self, customer: &str) -> Vec<Record> {
        let store = SqliteStore::open_read_only(&self.store()).expect("the store");
        let conversation = ConversationId::of(&IntegrationName::new("acme"), customer);
        let journal = store.journal(&conversation).await.expect("the store can be read");
        store.close().await;
        journal.into_iter().map(|row| row.record.expect("it can be read")).collect()
    }

    /// Panics with the report unless every invariant holds.
    pub(crate) fn audited(&self) {
        let (code, report) = audit(&self.store());
        assert_eq!(code, Some(0), "{report}");
    }
}

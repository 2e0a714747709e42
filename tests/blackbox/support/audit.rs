//! The gateway's data, seen from outside: the audit, and the rows of one message.

use std::time::Duration;

use conversation::{ConversationId, IntegrationName, MessageId};
use store::{Direction, Dossier, MessageRow, SqliteStore, Store};

use super::{Loop, eventually, process, tidegate};

/// `tidegate audit`: its exit code and what it printed.
pub(crate) fn audit(store: &str) -> (Option<i32>, String) {
    let mut command = tidegate();
    command.args(["audit", "--store", store]);
    let output = process::output(command);
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// An agent's message as a store has it now.
pub(crate) async fn stored(store: &str, foreign_id: &str) -> Option<MessageRow> {
    let store = SqliteStore::open_read_only(store).expect("the store");
    let (acme, id) = (IntegrationName::new("acme"), MessageId::from_foreign(foreign_id));
    let row = store.message(&acme, Direction::Outbound, &id).await.expect("the store can be read");
    store.close().await;
    row
}

/// Waits until Genesys has the final receipt for an agent's message; returns its row in the store.
pub(crate) async fn settled(store: &str, foreign_id: &str) -> MessageRow {
    eventually(&format!("the end of {foreign_id:.80}"), async || {
        let row = stored(store, foreign_id).await?;
        row.receipt.is_some().then_some(row)
    })
    .await
}

impl Loop {
    /// An agent's message as the store has it now.
    pub(crate) async fn stored(&self, foreign_id: &str) -> Option<MessageRow> {
        stored(&self.store(), foreign_id).await
    }

    /// Waits until Genesys has the final receipt for an agent's message; returns its row in the
    /// store.
    pub(crate) async fn settled(&self, foreign_id: &str) -> MessageRow {
        settled(&self.store(), foreign_id).await
    }

    /// The ids of the webhooks that were kept although they need no action, by their bodies; only
    /// those without a receipt.
    pub(crate) fn kept(&self) -> std::collections::HashMap<Vec<u8>, String> {
        let store =
            rusqlite::Connection::open(self.dir.path().join("tidegate.db")).expect("the store");
        let kept = "select body, id from message join body using (seq) where state = 'kept' and \
            receipt is null";
        let mut statement = store.prepare(kept).expect("a query");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
        rows.collect::<Result<_, _>>().expect("rows")
    }

    /// How many messages the store has for a customer, in both directions.
    pub(crate) async fn stored_for(&self, customer: &str) -> usize {
        self.dossier(customer).await.map_or(0, |dossier| dossier.messages.len())
    }

    /// All that the store has about a customer now.
    pub(crate) async fn dossier(&self, customer: &str) -> Option<Dossier> {
        let store = SqliteStore::open_read_only(&self.store()).expect("the store");
        let conversation = ConversationId::of(&IntegrationName::new("acme"), customer);
        let dossier = store.dossier(&conversation).await.expect("the store can be read");
        store.close().await;
        dossier
    }

    /// Locks the store against the gateway, as a backup or another program might, until it is
    /// rolled back.
    pub(crate) fn lock_store(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.dir.path().join("tidegate.db"))
            .expect("the store's file");
        connection.busy_timeout(Duration::from_secs(5)).expect("a time-out");
        connection.execute_batch("begin exclusive").expect("the lock");
        connection
    }

    /// Panics with the report unless every invariant holds.
    pub(crate) fn audited(&self) {
        let (code, report) = audit(&self.store());
        assert_eq!(code, Some(0), "{report}");
    }
}

//! What the gateway keeps, seen from outside: the audit, and the rows of one message.

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

/// Waits until Genesys has the final receipt for an agent's message; returns what the store says of it.
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

    /// Waits until Genesys has the final receipt for an agent's message; returns what the store says of it.
    pub(crate) async fn settled(&self, foreign_id: &str) -> MessageRow {
        settled(&self.store(), foreign_id).await
    }

    /// Webhooks that were kept although they ask for nothing.
    pub(crate) async fn kept(&self) -> Vec<MessageRow> {
        let store = SqliteStore::open_read_only(&self.store()).expect("the store");
        let mut kept = Vec::new();
        for conversation in store.conversations(None, usize::MAX).await.expect("the store can be read") {
            let dossier = store.dossier(&conversation).await.expect("the store can be read").expect("it is there");
            for row in &dossier.messages {
                let whole = store.message(&dossier.integration, row.direction, &row.id);
                kept.extend(whole.await.expect("the store can be read").filter(|row| row.state == "kept"));
            }
        }
        store.close().await;
        kept
    }

    /// How many messages the store has for a customer, both ways.
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

    /// Panics with the report unless every invariant holds.
    pub(crate) fn audited(&self) {
        let (code, report) = audit(&self.store());
        assert_eq!(code, Some(0), "{report}");
    }
}

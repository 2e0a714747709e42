//! What the gateway keeps, seen from outside: the audit, and the rows of one message.

use conversation::{ConversationId, IntegrationName, MessageId};
use store::{Direction, Dossier, MessageRow, SqliteStore, Store};

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

//! Events about all conversations of a chat service.
//!
//! Each conversation that may have a session, or asks for one, gets its own copy of the event.
//! Copies are stored page by page, so that memory and transactions stay small however many there
//! are. The event counts as accepted only after that. If the process dies before that, the event
//! comes again, and the store recognizes the copies that it already has by their ids.

use std::sync::Arc;

use conversation::{ConversationId, Input, IntegrationName};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use store::{Acceptance, Arrival, StoreError};

use crate::engine::Engine;

/// How many conversations one read of the store returns.
const PAGE: usize = 500;
/// How many of them are stored at once.
const AT_ONCE: usize = 64;

/// An event about all conversations of an integration.
pub(crate) struct Broadcast {
    pub(crate) integration: IntegrationName,
    pub(crate) id: String,
    pub(crate) received: Timestamp,
    pub(crate) input: Input,
}

impl Broadcast {
    /// Hands the event to each conversation that it may concern. When this returns `Ok`, the event
    /// is durable.
    pub(crate) async fn accept(self, engine: &Arc<Engine>) -> Result<Acceptance, StoreError> {
        if engine.store.has_event(&self.integration, &self.id).await? {
            return Ok(Acceptance::Repeated);
        }
        let mut after: Option<ConversationId> = None;
        loop {
            let page = engine.store.in_touch(&self.integration, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            let stored =
                stream::iter(page).map(|conversation| engine.accept(self.of(conversation)));
            stored.buffer_unordered(AT_ONCE).try_for_each(|_| async { Ok(()) }).await?;
        }
        let Self { integration, id, received, .. } = self;
        engine.accept(Arrival::Noted { integration, id, received }).await
    }

    /// One conversation's copy of the event. Its id is the event's id and the conversation's,
    /// separated by a character that no id should contain.
    fn of(&self, conversation: ConversationId) -> Arrival {
        Arrival::Event {
            integration: self.integration.clone(),
            id: format!("{}\u{1f}{conversation}", self.id),
            received: self.received,
            conversation,
            input: self.input.clone(),
        }
    }
}

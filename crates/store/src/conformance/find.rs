//! How a store finds what an id names.

use conversation::{ConversationId, IntegrationName, MessageId, PostResult};

use super::customers::Customer;
use super::{acme, at, conversation};
use crate::{Direction, Found, FoundBy, Store};

async fn find(store: &dyn Store, id: &str) -> Vec<Found> {
    store.find(id, 10).await.expect("a search")
}

/// Each kind of id leads to its conversation, and to the message that it names. The store has the
/// message `m1`, which the chat service calls `x1`.
pub(super) async fn finds_by_any_id(store: &dyn Store) {
    let is = |message: Option<&str>, by| {
        let message = message.map(|id| (Direction::Outbound, MessageId::new(id)));
        vec![Found { conversation: conversation(), integration: acme(), message, by }]
    };
    assert_eq!(find(store, "m1").await, is(Some("m1"), FoundBy::Message));
    assert_eq!(find(store, "x1").await, is(Some("m1"), FoundBy::ServiceMessage));
    assert_eq!(find(store, conversation().as_str()).await, is(None, FoundBy::Conversation));
    for nothing in ["", "m", "%", "m_", "M1", "\0", &"x".repeat(100_000)] {
        assert_eq!(find(store, nothing).await, [], "{nothing:.20}");
    }
}

/// Genesys's ids stay as long as they are new, and the last one as long as the conversation.
pub(super) async fn finds_genesys_conversations(store: &dyn Store) {
    let integration = IntegrationName::new("sought");
    let mut customer = Customer::new(store, &integration, "sam");
    let id = ConversationId::of(&integration, "sam");
    for (message, genesys, millis) in
        [("s1", "chat one", 50_000), ("s2", "chat-two", 60_000), ("s3", "chat-three", 70_000)]
    {
        customer.says(message, millis).await;
        let genesys = Some(genesys.into());
        let result = PostResult::Posted { genesys_id: None };
        customer.hears_in(message, result, genesys, millis).await;
    }
    let is = |integration: &IntegrationName| {
        let by = FoundBy::GenesysConversation;
        let integration = integration.clone();
        vec![Found { conversation: id.clone(), integration, message: None, by }]
    };
    for genesys in ["chat one", "chat-two", "chat-three"] {
        assert_eq!(find(store, genesys).await, is(&integration), "{genesys}");
    }
    let key = MessageId::from_foreign("chat one");
    assert_ne!(key.as_str(), "chat one");
    assert_eq!(find(store, key.as_str()).await, is(&integration), "an id as the store writes it");
    assert_eq!(store.find("chat-two", 0).await.expect("a search"), [], "a limit is a limit");
    store.prune(at(65_000)).await.expect("a prune");
    assert_eq!(find(store, "chat one").await, [], "it is older than the retention time");
    assert_eq!(find(store, "chat-three").await, is(&integration));
}

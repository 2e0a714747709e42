//! Several sockets of one chat service share the work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::support::{SocketLoop, audit, conversation_of};

#[tokio::test]
async fn two_sockets_share_the_conversations_and_each_keeps_its_order() {
    let all = SocketLoop::start("").await;
    let book = Arc::new(Mutex::new(Vec::new()));
    all.socket().await.works(&book);
    all.socket().await.works(&book);
    let customers: Vec<_> = (0..12).map(|n| format!("customer-{n}")).collect();
    // Events may still be posted.
    for customer in &customers {
        let event = json!({ "type": "message.created", "id": customer, "text": "Hello?",
            "customer": { "id": customer } });
        let (status, _) = all.gateway.events(event.to_string().as_bytes()).await;
        assert_eq!(status, 202);
    }
    let mut messages = Vec::new();
    for text in ["One", "Two", "Three", "Four"] {
        for customer in &customers {
            messages.push(all.agent_writes(customer, text).await);
        }
    }
    for message in &messages {
        assert_eq!(all.sandbox.final_receipt(message).await, ("Delivered".to_owned(), None));
    }
    let heard = book.lock().expect("no test panicked").clone();
    let mut of_conversation: BTreeMap<String, (BTreeSet<String>, Vec<String>)> = BTreeMap::new();
    for one in &heard {
        let (sockets, texts) = of_conversation.entry(one.conversation.clone()).or_default();
        sockets.insert(one.socket.clone());
        texts.push(one.text.clone());
    }
    for customer in &customers {
        let (sockets, texts) = &of_conversation[conversation_of(customer).as_str()];
        assert_eq!(texts, &["One", "Two", "Three", "Four"], "{customer}: once each, in order");
        assert_eq!(sockets.len(), 1, "{customer}: always the same socket");
    }
    let sockets: BTreeSet<_> = heard.iter().map(|one| &one.socket).collect();
    assert_eq!(sockets.len(), 2, "both have work");
    let (code, report) = audit(&all.store());
    assert_eq!(code, Some(0), "{report}");
}

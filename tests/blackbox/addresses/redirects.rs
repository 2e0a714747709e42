//! A chat service that sends each kind of call elsewhere.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use conversation::{ConversationId, IntegrationName};
use serde_json::json;

use super::REDIRECTS;
use super::decoy::{Decoy, chat};
use crate::support::{Gateway, Sandbox, WEBHOOK_SECRET, audit, delivered, eventually, free_port};

const CALLS: [&str; 4] = ["open", "messages", "typing", "close"];

#[tokio::test]
async fn no_redirect_of_a_chat_service_is_followed() {
    let dir = tempfile::tempdir().expect("a folder");
    let decoy = Decoy::start().await;
    let acme = IntegrationName::new("acme");
    let customer = |status: u16| format!("customer-{status}");
    let statuses: HashMap<_, _> = REDIRECTS
        .map(|status| (ConversationId::of(&acme, &customer(status)).to_string(), status))
        .into();
    // The first call of each kind is redirected, and the next one is accepted.
    let redirected = Arc::new(Mutex::new(Vec::new()));
    let (leads, all) = (decoy.url.clone(), Arc::clone(&redirected));
    let chat = chat(move |path, count| {
        let mut parts = path.split('/').skip(2);
        let (status, call) = (*statuses.get(parts.next()?)?, parts.next()?);
        (count == 0).then(|| {
            all.lock().expect("no test panicked").push((call.to_owned(), status));
            (status, format!("{leads}{path}"))
        })
    })
    .await;
    let port = free_port();
    let sandbox = Sandbox::start(dir.path(), &[]).await;
    let id = sandbox
        .create_integration(&format!("http://127.0.0.1:{port}/genesys/acme"), WEBHOOK_SECRET)
        .await;
    let config = Gateway::configure(dir.path(), port, &sandbox.url, &id, &chat, "");
    let gateway = Gateway::start(&config, port).await;
    let was = |call: &str, status: u16| {
        redirected
            .lock()
            .expect("no test panicked")
            .iter()
            .any(|(one, by)| one == call && *by == status)
    };
    for status in REDIRECTS {
        let name = customer(status);
        let event = json!({ "type": "message.created", "id": name, "customer": { "id": name }, "text": "Hello?" });
        assert_eq!(gateway.events(event.to_string().as_bytes()).await.0, 202);
        let send = async || sandbox.agent_sends(&name, "Good morning.").await;
        let message = eventually("the agent has the conversation", send).await;
        assert_eq!(sandbox.final_receipt(&message).await, delivered(), "the next attempt is taken");
        sandbox.post("/sandbox/agent/typing", &json!({ "customer": name })).await;
        eventually("typing was told", async || was("typing", status).then_some(())).await;
        sandbox.post("/sandbox/agent/end", &json!({ "customer": name })).await;
    }
    for (call, status) in CALLS.into_iter().flat_map(|call| REDIRECTS.map(|status| (call, status)))
    {
        let what = format!("{call} was redirected with {status}");
        eventually(&what, async || was(call, status).then_some(())).await;
    }
    decoy.was_never_visited().await;
    let (code, report) = audit(&format!("sqlite:{}", dir.path().join("tidegate.db").display()));
    assert_eq!(code, Some(0), "{report}");
}

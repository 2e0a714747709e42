//! The HTTP connector passes the conformance suite.

use std::sync::Arc;

use async_trait::async_trait;
use connector::Connector;
use connector::conformance::{Behaviour, ChatService, Taken, passes};

use crate::service::{Reply, Service, closed_port, connector_to};

struct Scripted {
    service: Service,
    nobody: String,
}

#[async_trait]
impl ChatService for Scripted {
    fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(self.service.connector())
    }

    fn connector_without_socket(&self) -> Arc<dyn Connector> {
        Arc::new(connector_to(&self.nobody))
    }

    async fn behave(&self, behave: Behaviour) -> bool {
        let refusal = r#"{"reason":{"code":"RecipientOptedOut","message":"She left."}}"#;
        self.service.script(move |call| match behave {
            Behaviour::Take => Reply::new(202, r#"{"status":"sent"}"#),
            Behaviour::Deliver if call.path.ends_with("/open") => {
                Reply::new(200, r#"{"session":"s"}"#)
            }
            Behaviour::Deliver => Reply::new(200, r#"{"status":"delivered"}"#),
            Behaviour::Refuse => Reply::new(422, refusal),
            Behaviour::SessionGone => Reply::new(409, ""),
            Behaviour::Busy => Reply::new(429, "").with("retry-after", "7"),
            Behaviour::Fail => Reply::new(503, ""),
            Behaviour::Hang => Reply::Hang,
            Behaviour::LoseAnswer => Reply::Break,
        });
        true
    }

    async fn taken(&self) -> Vec<Taken> {
        let calls = self.service.calls();
        assert!(calls.iter().all(|call| call.genuine), "every call is signed");
        let messages = calls.iter().filter(|call| call.path.ends_with("/messages"));
        let text =
            |call: &crate::service::Call| call.body["text"].as_str().unwrap_or_default().to_owned();
        messages
            .map(|call| Taken { id: call.header("idempotency-key").to_owned(), text: text(call) })
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_http_connector_passes_the_suite() {
    let nobody = format!("http://{}", closed_port().await);
    passes(&Scripted { service: Service::start().await, nobody }).await;
}

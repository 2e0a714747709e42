//! Where a webhook of Genesys comes in: verified over its raw bytes, made durable, answered. Nothing else.
//!
//! It knows nothing of sessions, handshakes or Genesys's API, so that none of them can reach the answer.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use conversation::{Input, IntegrationName};
use genesys::signature;
use store::{Arrival, Stored};

use crate::body::{self, Door};
use crate::engine::Engine;
use crate::from_genesys::{self, Webhook};

/// `POST /genesys/{integration}`.
pub(crate) async fn webhook(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> (StatusCode, &'static str) {
    let Some(integration) = engine.integration(&IntegrationName::new(&name)).cloned() else {
        return (StatusCode::NOT_FOUND, "no such integration\n");
    };
    let body = match body::read(body, engine.limits.max_body, &engine.bodies, Door::Webhooks).await
    {
        Ok(body) => body,
        Err(refusal) => {
            engine.metrics.webhook(&name, refusal.word());
            tracing::warn!(integration = name, "a webhook was refused: {}", refusal.text());
            return (refusal.status(), refusal.text());
        }
    };
    let bytes = &body.bytes;
    let header = headers.get(signature::HEADER).map(axum::http::HeaderValue::as_bytes);
    if let Err(error) = signature::verify(&integration.webhook_secrets, header, bytes) {
        engine.metrics.webhook(&name, "unsigned");
        tracing::warn!(integration = name, %error, bytes = bytes.len(), "a webhook was refused");
        return (StatusCode::UNAUTHORIZED, "the signature is missing or wrong\n");
    }
    let read = from_genesys::read(
        &integration.name,
        integration.connector.capabilities(),
        bytes,
        engine.clock.now(),
    );
    let (message, no_message) = match read {
        Webhook::Typing { conversation, on, duration } => {
            engine.metrics.webhook(&name, "typing");
            engine.mention(&conversation, Input::AgentTyping { on, duration });
            return (StatusCode::OK, "");
        }
        Webhook::Message(message) => (message, None),
        Webhook::NoMessage(message, why) => (message, Some(why)),
    };
    let id = message.id.clone();
    match engine.accept(Arrival::Message(*message)).await {
        Ok(stored) => {
            let repeated = stored == Stored::Repeated;
            engine.metrics.webhook(&name, if repeated { "repeated" } else { "accepted" });
            if let Some(why) = no_message.filter(|_| !repeated) {
                tracing::warn!(integration = name, %id, why, "a webhook is no message; it is kept");
            }
            (StatusCode::OK, "")
        }
        Err(error) => {
            engine.metrics.webhook(&name, "unavailable");
            tracing::error!(integration = name, %error, "a webhook could not be stored");
            (StatusCode::SERVICE_UNAVAILABLE, "the store cannot take it now; send it again\n")
        }
    }
}

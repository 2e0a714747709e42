//! The endpoint for Genesys's webhooks: verifies them over their raw bytes, makes them durable, and
//! answers. It does nothing else.
//!
//! A webhook of another integration is stored and fails, even if it is signed with that
//! integration's secret. The endpoint has no access to sessions, handshakes or Genesys's API, so
//! that none of them can affect the answer.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use conversation::{Input, IntegrationName};
use genesys::signature;
use store::{Acceptance, Arrival};

use super::answers;
use super::body::{self, Endpoint};
use super::state::HttpState;
use crate::from_genesys::{self, Stray, Webhook};
use crate::replay;

/// `POST /genesys/{integration}`.
pub(crate) async fn webhook(
    State(state): State<Arc<HttpState>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> (StatusCode, Cow<'static, str>) {
    let engine = &state.engine;
    let Some(integration) = engine.integration(&IntegrationName::new(&name)).cloned() else {
        let why = answers::unknown_integration(engine, "/genesys", &name);
        return (StatusCode::NOT_FOUND, format!("{why}\n").into());
    };
    let body =
        match body::read(body, engine.limits.max_body, &state.bodies, Endpoint::Webhooks).await {
            Ok(body) => body,
            Err(refusal) => {
                engine.metrics.webhook(&name, refusal.word());
                tracing::warn!(integration = name, "a webhook was refused: {}", refusal.text());
                return (refusal.status(), refusal.text().into());
            }
        };
    let bytes = &body.bytes;
    let header = headers.get(signature::HEADER).map(axum::http::HeaderValue::as_bytes);
    if let Err(error) = signature::verify(&integration.webhook_secrets, header, bytes) {
        engine.metrics.webhook(&name, "unsigned");
        tracing::warn!(integration = name, %error, bytes = bytes.len(), "a webhook was refused");
        return (StatusCode::UNAUTHORIZED, "the signature is missing or wrong\n".into());
    }
    let find_stray = |genesys_id: &str| {
        let other = engine
            .integration_of_genesys(genesys_id)
            .filter(|_| genesys_id != integration.genesys_id)?;
        // A caller with only this integration's secret must not write into the other's
        // conversations.
        let genuine = signature::verify(&other.webhook_secrets, header, bytes).is_ok();
        let keeper = if genuine { &other.name } else { &integration.name };
        Some(Stray { of: other.name.clone(), keeper: keeper.clone() })
    };
    let can = integration.connector.capabilities();
    let read = from_genesys::read(&integration.name, can, &find_stray, bytes, engine.clock.now());
    let (mut message, no_message) = match read {
        Webhook::Stray { message, stray } => {
            engine.metrics.webhook(&name, "other_integration");
            if let Some(more) = engine.failures.admit(&name, "webhook", stray.of.as_str()) {
                tracing::error!(
                    integration = name, of = %stray.of, more,
                    "a webhook of another integration came to this one's address and fails: \
                     correct outboundNotificationWebhookUrl of the other integration at Genesys"
                );
            }
            let Some(message) = message else { return (StatusCode::OK, "".into()) };
            (message, None)
        }
        Webhook::Typing { conversation, on, duration } => {
            engine.metrics.webhook(&name, "typing");
            engine.deliver_volatile(&conversation, Input::AgentTyping { on, duration });
            return (StatusCode::OK, "".into());
        }
        Webhook::Message(message) => (message, None),
        Webhook::NoMessage(message, why) => (message, Some(why)),
    };
    let id = message.id.clone();
    let too_old =
        replay::fail_if_too_old(&mut message, engine.clock.wall(), engine.limits.retention);
    match engine.accept(Arrival::Message(*message)).await {
        Ok(stored) => {
            let repeated = stored == Acceptance::Repeated;
            engine.metrics.webhook(&name, if repeated { "repeated" } else { "accepted" });
            if too_old && !repeated {
                tracing::warn!(integration = name, %id, "a webhook is older than what is kept, \
                    and may be a replay; it fails");
            }
            if let Some(why) = no_message.filter(|_| !repeated) {
                tracing::warn!(integration = name, %id, why, "a webhook is no message; it is kept");
            }
            (StatusCode::OK, "".into())
        }
        Err(error) => {
            engine.metrics.webhook(&name, "unavailable");
            tracing::error!(integration = name, %error, "a webhook could not be stored");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the store cannot take it now; send it again\n".into(),
            )
        }
    }
}

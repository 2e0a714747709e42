//! The endpoint for Genesys's webhooks: verifies them over their raw bytes, makes them durable, and
//! answers. It does nothing else.
//!
//! A webhook of another integration is stored and fails, even if it is signed with that
//! integration's secret. The endpoint has no access to sessions, handshakes or Genesys's API, so
//! that none of them can affect the answer.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use conversation::{Input, IntegrationName};
use genesys::signature;
use store::{Acceptance, Arrival, Chain, NewMessage};

use super::answers;
use super::body::{self, Endpoint};
use super::state::HttpState;
use crate::engine::Engine;
use crate::files::{self, MayHaveFiles};
use crate::from_genesys::{self, Stray, Webhook};
use crate::replay;
use crate::settings::Integration;

/// The answer to Genesys: a status, and a sentence for people.
type Reply = (StatusCode, Cow<'static, str>);

/// Answers `POST /genesys/{integration}` with 200 once the message is durable.
pub(crate) async fn webhook(
    State(state): State<Arc<HttpState>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let engine = &state.engine;
    let Some(integration) = engine.integration(&IntegrationName::new(&name)) else {
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
    let header = headers.get(signature::HEADER).map(HeaderValue::as_bytes);
    if let Err(error) = signature::verify(&integration.webhook_secrets, header, bytes) {
        engine.metrics.webhook(&name, "unsigned");
        tracing::warn!(integration = name, %error, bytes = bytes.len(), "a webhook was refused");
        return (StatusCode::UNAUTHORIZED, "the signature is missing or wrong\n".into());
    }
    match read(engine, integration, header, bytes) {
        Some(message) => store(engine, integration, message).await,
        // It was typing, or a stray that gets no receipt.
        None => (StatusCode::OK, "".into()),
    }
}

/// What to store, and, if it cannot be read as a message, the reason.
type ParsedMessage = (Box<NewMessage>, Option<String>);

/// Reads an authentic webhook. Typing is passed on at once.
fn read(
    engine: &Arc<Engine>,
    integration: &Integration,
    header: Option<&[u8]>,
    bytes: &Bytes,
) -> Option<ParsedMessage> {
    let name = integration.name.as_str();
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
    let service = from_genesys::Service {
        can: integration.connector.capabilities(),
        fallback: integration.fallback,
    };
    match from_genesys::read(&integration.name, service, &find_stray, bytes, engine.clock.now()) {
        Webhook::Message(message) => Some((message, None)),
        Webhook::NoMessage(message, why) => Some((message, Some(why))),
        Webhook::Typing { conversation, on, duration } => {
            engine.metrics.webhook(name, "typing");
            engine.deliver_volatile(&conversation, Input::AgentTyping { on, duration });
            None
        }
        Webhook::Stray { message, stray } => {
            engine.metrics.webhook(name, "other_integration");
            if let Some(more) = engine.failures.admit(name, "webhook", stray.of.as_str()) {
                tracing::error!(
                    integration = name, of = %stray.of, more,
                    "a webhook of another integration came to this one's address and fails: \
                     correct outboundNotificationWebhookUrl of the other integration at Genesys"
                );
            }
            message.map(|message| (message, None))
        }
    }
}

/// Makes the message durable, and answers.
async fn store(
    engine: &Arc<Engine>,
    integration: &Integration,
    (mut message, no_message): ParsedMessage,
) -> Reply {
    let (name, id) = (integration.name.as_str(), message.id.clone());
    let too_old =
        replay::fail_if_too_old(&mut message, engine.clock.wall(), engine.limits.retention);
    let may_have_files = MayHaveFiles::of(integration, &message);
    match engine.accept(Arrival::Message(*message)).await {
        Ok(stored) => {
            let repeated = stored == Acceptance::Repeated;
            if !repeated {
                files::start(integration, may_have_files);
            }
            engine.metrics.webhook(name, if repeated { "repeated" } else { "accepted" });
            if too_old && !repeated {
                tracing::warn!(integration = name, %id, "a webhook is older than what is kept, \
                    and may be a replay; it fails");
            }
            if let Some(why) = no_message.filter(|_| !repeated) {
                tracing::warn!(integration = name, %id, why, "a webhook is not a message; it is \
                    stored");
            }
            (StatusCode::OK, "".into())
        }
        Err(error) => {
            engine.metrics.webhook(name, "unavailable");
            let error = Chain(&error);
            tracing::error!(integration = name, %error, "a webhook could not be stored");
            let text = "the store cannot take it now; send it again\n";
            (StatusCode::SERVICE_UNAVAILABLE, text.into())
        }
    }
}

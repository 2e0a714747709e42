//! Creating integrations, and what Genesys checks of one beyond its schema.
//!
//! The API and the handle create integrations through this module.

use genesys::integration::{IntegrationRequest, IntegrationUpdate};
use http::{HeaderName, HeaderValue};
use url::{Host, Url};

use crate::app::App;
use crate::clock::later;
use crate::ids;
use crate::invalid::Invalid;
use crate::switches::PlainHttp;
use crate::world::Integration;

/// Creates an integration, or says what is wrong with it.
pub(crate) fn create(app: &App, change: IntegrationUpdate) -> Result<Integration, Invalid> {
    let switches = app.switches();
    app.world().names_profiles(&change)?;
    if let Some(invalid) = refused(&change, switches.plain_http) {
        return Err(invalid);
    }
    let now = app.clock.now();
    let mut world = app.world();
    let most = usize::try_from(switches.max_integrations).unwrap_or(usize::MAX);
    if most > 0 && world.integrations.len() >= most {
        return Err(Invalid::new("integrations", "limit", "are max_integrations already"));
    }
    let completes = later(now, switches.create_delay.0);
    let id = ids::uuid(world.rng());
    let mut integration = Integration::new(id, now, completes, app.webhook_connections);
    integration.apply(change, now);
    world.integrations.add(integration.clone());
    Ok(integration)
}

/// Why this change of an integration is refused, beyond what the schema says.
pub(crate) fn refused(change: &IntegrationUpdate, plain_http: PlainHttp) -> Option<Invalid> {
    let secret = change.outbound_notification_webhook_signature_secret_token.as_ref();
    if secret.is_some_and(|secret| {
        secret.expose().chars().count() < IntegrationRequest::SECRET_MIN_CHARS
    }) {
        let field = "outboundNotificationWebhookSignatureSecretToken";
        let least = IntegrationRequest::SECRET_MIN_CHARS;
        return Some(Invalid::new(
            field,
            "minLength",
            format!("has fewer than {least} characters"),
        ));
    }
    let headers = change.webhook_headers.iter().flatten();
    for (name, value) in headers {
        if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value.expose()).is_err() {
            return Some(Invalid::new("webhookHeaders", "header", "holds what cannot be a header"));
        }
    }
    let url = change.outbound_notification_webhook_url.as_ref()?;
    let reason = match Url::parse(url) {
        Ok(url) if url.scheme() == "https" => None,
        Ok(url)
            if url.scheme() == "http"
                && (plain_http == PlainHttp::Anywhere || is_loopback(&url)) =>
        {
            None
        }
        Ok(url) if url.scheme() == "http" => {
            Some("is plain http and not on this machine (switch plain_http)")
        }
        _ => Some("is no URL of https"),
    };
    reason.map(|reason| Invalid::new("outboundNotificationWebhookUrl", "url", reason))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

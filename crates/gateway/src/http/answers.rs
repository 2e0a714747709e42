//! Answers that several endpoints share.

use axum::http::{HeaderName, header};

use crate::engine::Engine;

/// Identifies the gateway to callers, and to `tidegate check`.
pub(crate) const SERVER: [(HeaderName, &str); 1] = [(header::SERVER, connector::http::GATEWAY)];

/// Handles a request that names an integration that is not configured. Returns the answer's text.
/// The names are not secret: they are part of URLs, and each call must be signed.
pub(crate) fn unknown_integration(engine: &Engine, door: &str, name: &str) -> String {
    let named = shown(name);
    let there: Vec<_> =
        engine.integrations().take(MAX_NAMES).map(|name| format!("{:?}", name.as_str())).collect();
    let there = there.join(", ");
    engine.metrics.turned_away("unknown_integration");
    if let Some(more) = engine.failures.admit(&named, door, "unknown integration") {
        tracing::warn!(
            path = format!("{door}/{named}"),
            integrations = there,
            more,
            "a request was turned away: no integration has this name"
        );
    }
    format!(
        "there is no integration {named:?}; the path must contain the name of an \
         [[integration]]: {there}"
    )
}

/// How many integrations an answer lists.
const MAX_NAMES: usize = 20;

/// How much of a caller's path or name is quoted, in characters.
const LONGEST_SHOWN: usize = 100;

/// A caller's text for answers and log lines: cut, and without control characters.
pub(crate) fn shown(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut shown: String = clean.take(LONGEST_SHOWN).collect();
    if text.chars().nth(LONGEST_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

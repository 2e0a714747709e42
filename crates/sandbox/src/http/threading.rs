//! `…/messaging/threadingtimeline`: how long after its end a conversation is taken up again, for each messenger.
//!
//! For Open it is the switch `threading_window`, which is finer; the others are kept and shown only.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{About, ApiError, Reply};
use super::body::Body;
use crate::app::App;

/// Genesys's default and maximum, in minutes: 72 h.
const MOST: u32 = 4_320;
/// The messengers that have one, beside Open.
const OTHERS: [&str; 8] =
    ["sms", "facebook", "twitter", "whatsapp", "webmessaging", "instagram", "apple", "linkedin"];

/// `GET /api/v2/conversations/messaging/threadingtimeline`
pub(super) async fn show(State(app): State<Arc<App>>) -> Reply {
    let minutes = app.switches().threading_window.0.as_secs() / 60;
    let open = json!({"messengerType": "open", "timeoutInMinutes": minutes});
    let world = app.world();
    let others = OTHERS.iter().map(|messenger| {
        let minutes = world.threading.get(*messenger).copied().unwrap_or(MOST);
        json!({"messengerType": messenger, "timeoutInMinutes": minutes})
    });
    let settings: Vec<Value> = std::iter::once(open).chain(others).collect();
    Reply::ok(
        &json!({"id": "threading", "settings": settings, "defaultTimeoutMinutes": MOST}),
        About::default(),
    )
}

#[derive(Debug, Deserialize)]
pub(super) struct Timeline {
    settings: Vec<Window>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Window {
    messenger_type: String,
    timeout_in_minutes: u32,
}

/// `PUT /api/v2/conversations/messaging/threadingtimeline`: sets all; a messenger that is left out has the default.
pub(super) async fn set(
    State(app): State<Arc<App>>,
    Body(timeline): Body<Timeline>,
) -> Result<Reply, ApiError> {
    if timeline.settings.iter().any(|each| each.timeout_in_minutes > MOST) {
        return Err(ApiError::bad_request(format!("timeoutInMinutes is 0 to {MOST}")));
    }
    let mut windows: std::collections::BTreeMap<String, u32> = timeline
        .settings
        .into_iter()
        .map(|each| (each.messenger_type, each.timeout_in_minutes))
        .collect();
    let open = windows.remove("open").unwrap_or(MOST);
    let change = Map::from_iter([("threading_window".to_owned(), format!("{open}m").into())]);
    app.switch(change).map_err(ApiError::bad_request)?;
    app.world().threading = windows;
    Ok(show(State(app)).await)
}

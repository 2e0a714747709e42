//! `…/messaging/threadingtimeline`: how long after its end a conversation can be resumed, per
//! messenger.
//!
//! For Open this is the switch `threading_window`, which has a finer resolution; the others are
//! only stored and shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{About, ApiError, Reply};
use super::body::Body;
use crate::app::App;
use crate::invalid::Invalid;

/// Genesys's default and maximum, in minutes: 72 h.
const MOST: u32 = 4_320;
/// The messengers that have a timeline, besides Open.
const OTHERS: [&str; 8] =
    ["sms", "facebook", "twitter", "whatsapp", "webmessaging", "instagram", "apple", "linkedin"];

/// `GET /api/v2/conversations/messaging/threadingtimeline`: the window of each messenger, in whole
/// minutes.
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
    timeout_in_minutes: i64,
}

/// `PUT /api/v2/conversations/messaging/threadingtimeline`: sets all; a messenger that is left out
/// gets the default.
pub(super) async fn set(
    State(app): State<Arc<App>>,
    Body(timeline): Body<Timeline>,
) -> Result<Reply, ApiError> {
    let mut windows = BTreeMap::new();
    for (n, Window { messenger_type, timeout_in_minutes }) in
        timeline.settings.into_iter().enumerate()
    {
        let minutes = u32::try_from(timeout_in_minutes).ok().filter(|minutes| *minutes <= MOST);
        let Some(minutes) = minutes else {
            let field = format!("settings[{n}].timeoutInMinutes");
            return Err(Invalid::new(field, "range", format!("is not 0 to {MOST}")).into());
        };
        windows.insert(messenger_type, minutes);
    }
    let open = windows.remove("open").unwrap_or(MOST);
    let change = Map::from_iter([("threading_window".to_owned(), format!("{open}m").into())]);
    app.switch(change).map_err(|error| Invalid::new("settings", "range", error.to_string()))?;
    app.world().threading = windows;
    Ok(show(State(app)).await)
}

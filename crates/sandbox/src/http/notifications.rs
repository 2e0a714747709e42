//! `/api/v2/notifications/channels`: channels and their topics. The sockets themselves are in
//! `socket`.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{About, ApiError, Reply};
use super::body::Body;
use super::call::Caller;
use crate::app::App;
use crate::clock::wire_time;
use crate::ids;
use crate::invalid::Invalid;
use crate::world::channels::{Channel, ChannelRefusal, MAX_TOPICS, rejection};

const PATH: &str = "/api/v2/notifications/channels";

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route(PATH, post(make).get(list)).route(
        "/api/v2/notifications/channels/{id}/subscriptions",
        get(subscriptions).post(add).put(replace).delete(clear),
    )
}

async fn make(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Reply, ApiError> {
    let now = app.clock.now();
    let mut world = app.world();
    let id = format!("streaming-5-{}", ids::uuid(world.rng()));
    match world.channels.make(id, &caller.client, now) {
        Ok(channel) => Ok(Reply::ok(&shown(channel, &headers), About::default())),
        Err(_) => {
            Err(Invalid::new("channels", "limit", "are 20 already, and each has a socket").into())
        }
    }
}

/// The channels of the client, whichever of its tokens made them.
async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Reply {
    let world = app.world();
    let channels = world.channels.of(&caller.client, app.clock.now());
    let entities: Vec<Value> =
        channels.into_iter().map(|channel| shown(channel, &headers)).collect();
    Reply::ok(&json!({"entities": entities}), About::default())
}

/// The socket is at the address by which the caller reached the API.
fn shown(channel: &Channel, headers: &HeaderMap) -> Value {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    json!({
        "id": channel.id,
        "connectUri": format!("ws://{host}/channels/{}", channel.id),
        "expires": wire_time(channel.expires),
    })
}

async fn subscriptions(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Reply, ApiError> {
    let world = app.world();
    let channel =
        world.channels.get(&id, &caller.client, app.clock.now()).ok_or(ChannelRefusal::None)?;
    Ok(answer(&channel.topics))
}

async fn add(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(wanted): Body<Vec<TopicName>>,
) -> Result<Reply, ApiError> {
    subscribe(&app, &caller, &id, wanted, false)
}

async fn replace(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(wanted): Body<Vec<TopicName>>,
) -> Result<Reply, ApiError> {
    subscribe(&app, &caller, &id, wanted, true)
}

async fn clear(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Reply, ApiError> {
    let now = app.clock.now();
    let mut world = app.world();
    world.channels.get(&id, &caller.client, now).ok_or(ChannelRefusal::None)?;
    world.channels.subscribe(&id, Vec::new(), now);
    Ok(Reply::empty(StatusCode::OK, About::default()))
}

#[derive(Debug, Deserialize)]
struct TopicName {
    id: String,
}

fn subscribe(
    app: &App,
    caller: &Caller,
    id: &str,
    wanted: Vec<TopicName>,
    replace: bool,
) -> Result<Reply, ApiError> {
    let now = app.clock.now();
    let mut world = app.world();
    let channel = world.channels.get(id, &caller.client, now).ok_or(ChannelRefusal::None)?;
    let mut topics = if replace { Vec::new() } else { channel.topics.clone() };
    let mut known: HashSet<String> = topics.iter().cloned().collect();
    for TopicName { id } in &wanted {
        if rejection(id).is_none() && known.insert(id.clone()) {
            topics.push(id.clone());
        }
    }
    if topics.len() > MAX_TOPICS {
        return Err(
            Invalid::new("body", "maxItems", format!("makes over {MAX_TOPICS} topics")).into()
        );
    }
    world.channels.subscribe(id, topics.clone(), now);
    // The requested topics, and for an addition also the existing ones.
    let rejected =
        wanted.into_iter().map(|topic| topic.id).filter(|topic| rejection(topic).is_some());
    topics.extend(rejected);
    Ok(answer(&topics))
}

fn answer(topics: &[String]) -> Reply {
    let entities: Vec<Value> = topics.iter().map(|topic| subscription(topic)).collect();
    Reply::ok(&json!({"entities": entities}), About::default())
}

fn subscription(topic: &str) -> Value {
    let mut answer = json!({
        "id": topic,
        "state": "Permitted",
        "selfUri": format!("/api/v2/notifications/topics/{topic}"),
    });
    if let Some(reason) = rejection(topic) {
        answer["state"] = "Rejected".into();
        answer["rejectionReason"] = reason.into();
    }
    answer
}

impl From<ChannelRefusal> for ApiError {
    fn from(_: ChannelRefusal) -> Self {
        Self::not_found("there is no such channel")
    }
}

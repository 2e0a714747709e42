//! Takes the connector's events, as the gateway does, and remembers what came.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::http::Inbound;
use crate::protocol::{self, BadEvent};
use crate::{Event, EventSource, IncomingEvent};

/// The gateway's default for `max_body`, in bytes.
const LARGEST_BODY: usize = 1024 * 1024;

/// One event that came, or a body that holds none.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) content: ArrivalContent,
    /// Whether it was answered with 202. Otherwise it must come again.
    pub(super) is_accepted: bool,
}

#[derive(Clone, Debug)]
pub(super) enum ArrivalContent {
    /// An event, and its JSON.
    Event(Box<Event>, Value),
    /// Signed, but not an event. Says what is wrong.
    Unreadable(String),
    /// Not rightly signed. Says what is wrong.
    NotSigned(String),
}

impl Arrival {
    pub(super) fn event(&self) -> Option<&Event> {
        match &self.content {
            ArrivalContent::Event(event, _) => Some(event),
            _ => None,
        }
    }

    /// The event's `id`. Typing has none.
    pub(super) fn id(&self) -> Option<&str> {
        self.event()?.id()
    }
}

/// Everything that came.
pub(super) struct Arrivals {
    inbound: Inbound,
    list: watch::Sender<Vec<Arrival>>,
    is_away: AtomicBool,
}

impl Arrivals {
    /// Listens for the events of an integration until the program ends.
    pub(super) fn listen(listener: TcpListener, integration: &str, inbound: Inbound) -> Arc<Self> {
        let (list, _) = watch::channel(Vec::new());
        let arrivals = Arc::new(Self { inbound, list, is_away: AtomicBool::new(false) });
        let router = Router::new()
            .route(&format!("/connectors/{integration}/events"), post(take))
            .layer(DefaultBodyLimit::max(LARGEST_BODY))
            .with_state(Arc::clone(&arrivals));
        tokio::spawn(async move { axum::serve(listener, router).await });
        arrivals
    }

    /// From now on, answers 503 until the guard is dropped.
    pub(super) fn go_away(&self) -> AwayGuard<'_> {
        self.is_away.store(true, Ordering::SeqCst);
        AwayGuard(self)
    }

    pub(super) fn so_far(&self) -> Vec<Arrival> {
        self.list.borrow().clone()
    }

    /// Waits until `find` finds something among the events, for at most `limit`. No lock is held
    /// while it looks, so it may call other methods.
    pub(super) async fn wait<T>(
        &self,
        limit: Duration,
        find: impl Fn(&[Arrival]) -> Option<T>,
    ) -> Option<T> {
        let mut list = self.list.subscribe();
        let search = async {
            loop {
                let so_far = list.borrow_and_update().clone();
                if let Some(found) = find(&so_far) {
                    break Some(found);
                }
                list.changed().await.ok()?;
            }
        };
        timeout(limit, search).await.ok().flatten()
    }

    fn note(&self, body: &[u8], is_accepted: bool) -> Result<Vec<BadEvent>, String> {
        let events = protocol::parse(body).map_err(|error| error.to_string())?;
        let mut bad = Vec::new();
        let noted = events.into_iter().map(|event| match event {
            Ok(IncomingEvent { event, raw, .. }) => {
                let json = lenient::json::from_slice(&raw).unwrap_or_default();
                Arrival { content: ArrivalContent::Event(Box::new(event), json), is_accepted }
            }
            Err(error) => {
                bad.push(error.clone());
                Arrival { content: ArrivalContent::Unreadable(error.to_string()), is_accepted }
            }
        });
        let noted: Vec<_> = noted.collect();
        self.list.send_modify(|list| list.extend(noted));
        Ok(bad)
    }

    fn refused(&self, content: ArrivalContent) {
        self.list.send_modify(|list| list.push(Arrival { content, is_accepted: false }));
    }
}

/// While it lives, the suite takes no event.
pub(super) struct AwayGuard<'a>(&'a Arrivals);

impl Drop for AwayGuard<'_> {
    fn drop(&mut self) {
        self.0.is_away.store(false, Ordering::SeqCst);
    }
}

async fn take(State(arrivals): State<Arc<Arrivals>>, headers: HeaderMap, body: Bytes) -> Response {
    let refuse = |status: StatusCode, why: String| {
        (status, Json(json!({ "accepted": 0, "error": why }))).into_response()
    };
    if let Err(error) = arrivals.inbound.verify(&headers, &body) {
        arrivals.refused(ArrivalContent::NotSigned(error.to_string()));
        return refuse(StatusCode::UNAUTHORIZED, error.to_string());
    }
    let is_away = arrivals.is_away.load(Ordering::SeqCst);
    match arrivals.note(&body, !is_away) {
        _ if is_away => refuse(StatusCode::SERVICE_UNAVAILABLE, "the suite is away".to_owned()),
        Ok(bad) => {
            let ignored: Vec<_> = bad
                .iter()
                .map(|bad| json!({ "index": bad.index, "id": bad.id, "why": bad.why }))
                .collect();
            (StatusCode::ACCEPTED, Json(json!({ "ignored": ignored }))).into_response()
        }
        Err(why) => {
            arrivals.refused(ArrivalContent::Unreadable(why.clone()));
            refuse(StatusCode::BAD_REQUEST, why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Secret;

    /// A clock that stands still.
    struct Stopped;

    impl conversation::Clock for Stopped {
        fn now(&self) -> jiff::Timestamp {
            jiff::Timestamp::UNIX_EPOCH
        }
    }

    fn arrivals() -> Arrivals {
        let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let inbound = Inbound::new(secret.into(), Arc::new(Stopped));
        let (list, _) = watch::channel(Vec::new());
        Arrivals { inbound, list, is_away: AtomicBool::new(false) }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_event_that_comes_while_one_looks_is_found() {
        let arrivals = arrivals();
        let found = arrivals.wait(Duration::from_secs(10), |list| {
            if list.is_empty() {
                // It comes in the middle of the look. A lock here would wait for itself.
                arrivals.refused(ArrivalContent::Unreadable(String::new()));
            }
            (list.len() == 1).then_some(arrivals.so_far().len())
        });
        assert_eq!(found.await, Some(1));
        let none: Option<()> = arrivals.wait(Duration::ZERO, |_| None).await;
        assert_eq!(none, None);
    }
}

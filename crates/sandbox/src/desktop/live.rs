//! The Server-Sent Events for open pages: which conversations changed, and who types.
//!
//! The page reads the texts themselves, so a page that misses an event only has to read again.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::app::App;
use crate::world::News;

/// One event. The first one has `all` set, as has the first after some were missed.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct DesktopEvent {
    /// The page must read everything again.
    all: bool,
    changed: Vec<String>,
    typing: Vec<String>,
}

impl DesktopEvent {
    fn add(&mut self, news: News) {
        let (list, id) = match news {
            News::Changed(id) => (&mut self.changed, id),
            News::Typing(id) => (&mut self.typing, id),
        };
        if !list.contains(&id) {
            list.push(id);
        }
    }
}

/// `GET /sandbox/desktop/events`: the news as Server-Sent Events, until the page leaves or the
/// sandbox stops.
pub(super) async fn events(
    State(app): State<Arc<App>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let watch = app.world().desk.watch();
    let events = stream::unfold((app, watch, true), async |(app, mut watch, first)| {
        let told = if first {
            DesktopEvent { all: true, ..DesktopEvent::default() }
        } else {
            next(&app, &mut watch).await?
        };
        // Cannot fail: strings and a boolean.
        let event = Event::default().json_data(&told).unwrap_or_default();
        Some((Ok(event), (app, watch, false)))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// Waits for news, and takes all that has arrived by then. `None` when the sandbox stops.
async fn next(app: &App, watch: &mut Receiver<News>) -> Option<DesktopEvent> {
    let mut told = DesktopEvent::default();
    tokio::select! {
        news = watch.recv() => match news {
            Ok(news) => told.add(news),
            Err(RecvError::Lagged(_)) => told.all = true,
            Err(RecvError::Closed) => return None,
        },
        () = app.stop.cancelled() => return None,
    }
    loop {
        match watch.try_recv() {
            Ok(news) => told.add(news),
            Err(TryRecvError::Lagged(_)) => told.all = true,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Some(told),
        }
    }
}

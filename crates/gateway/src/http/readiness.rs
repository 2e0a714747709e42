//! Readiness: whether the store can make writes durable now, and can be read for all conversations.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use store::Chain;
use tokio::sync::watch;

use crate::engine::Engine;

/// How long a probe of the store may take.
const PATIENCE: Duration = Duration::from_secs(2);

type ProbeReply = (StatusCode, String);

/// Runs one probe of the store at a time. All requests that come meanwhile share its answer, so
/// that the cost does not grow with their number.
#[derive(Default)]
pub(crate) struct Readiness {
    /// The last probe, and its answer once there is one.
    last: Mutex<Option<watch::Receiver<Option<ProbeReply>>>>,
}

impl Readiness {
    pub(crate) async fn ask(&self, engine: &Arc<Engine>) -> ProbeReply {
        if engine.stop.is_cancelled() {
            return not_ready("stopping");
        }
        let mut probe = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let under_way = last
                .as_ref()
                .filter(|probe| probe.has_changed().is_ok() && probe.borrow().is_none());
            match under_way {
                Some(probe) => probe.clone(),
                None => last.insert(begin(Arc::clone(engine))).clone(),
            }
        };
        let answer = probe.wait_for(Option::is_some).await;
        answer
            .ok()
            .and_then(|answer| answer.clone())
            .unwrap_or_else(|| not_ready("not ready: the probe failed"))
    }
}

/// Starts a probe in a task of its own. It ends even if every caller leaves, so the callers that
/// share it get an answer, and the next caller starts a new probe.
fn begin(engine: Arc<Engine>) -> watch::Receiver<Option<ProbeReply>> {
    let (tell, told) = watch::channel(None);
    tokio::spawn(async move {
        let answer = match tokio::time::timeout(PATIENCE, engine.store.probe()).await {
            Ok(Ok(())) => match engine.broken_read() {
                None => (StatusCode::OK, "ready\n".to_owned()),
                Some(what) => not_ready(&format!(
                    "not ready: cannot {what}: the store holds something that cannot be read"
                )),
            },
            Ok(Err(error)) => not_ready(&format!("not ready: {}", Chain(&error))),
            Err(_) => not_ready("not ready: the store does not answer"),
        };
        tell.send_replace(Some(answer));
    });
    told
}

fn not_ready(why: &str) -> ProbeReply {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
}
